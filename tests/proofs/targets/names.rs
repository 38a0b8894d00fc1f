//! Names: what is taken is of its alphabet, as this page of rules has it, and
//! what is refused isn't repeated.

use paramd::name::{
    AliasName, EnvironmentName, MatrixName, NameError, ParameterName, PipelineName, PresetName,
    RunId, SourceName, StepName, TokenName, nearest,
};

use super::{Target, holds, untold};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "a",
    "-",
    "_",
    "0",
    "Zq!hunter2",
    ".",
    "/",
    "\u{e4}",
    "\0",
    "\n",
    " ",
    "~",
    "A",
    "train",
    "dev",
];

pub(super) const NAMES: Target = Target { name: "names", seeds, words: WORDS, run: names };

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = super::expressions::lines(include_str!("seeds/names.txt"));
    for length in [62, 63, 64, 249, 250, 251] {
        seeds.push(vec![b'a'; length]);
        seeds.push(vec![b'9'; length]);
    }
    seeds
}

fn names(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(1) };
    macro_rules! check {
        ($($type:ident $rule:ident),*) => { $(
            let parsed = $type::parse(text);
            same(stringify!($type), text, parsed.as_ref().map(|name| name.as_str()), $rule(text))?;
            let read = serde_json::from_value::<$type>(text.into()).ok();
            holds(read == parsed.ok(), "JSON takes another name")?;
        )* };
    }
    check!(
        ParameterName under, MatrixName under, AliasName loose, SourceName loose,
        PipelineName dashed, EnvironmentName dashed, PresetName dashed, StepName dashed, TokenName dashed,
        RunId printable
    );
    let declared = ["epochs", "dataset", "layers"];
    let near = nearest(text, declared);
    holds(near.is_none_or(|near| declared.contains(&near)), "a suggestion isn't a candidate")?;
    Ok(1)
}

fn same(
    kind: &str,
    text: &str,
    parsed: Result<&str, &NameError>,
    wanted: bool,
) -> Result<(), String> {
    match parsed {
        Ok(name) => holds(wanted && name == text, format!("{kind} took {text:?}")),
        Err(error) => {
            untold("an error", &error.to_string())?;
            holds(!wanted, format!("{kind} refused {text:?}"))
        }
    }
}

fn spelt(text: &str, first: &str, rest: &str) -> bool {
    let mut letters = text.chars();
    let begins = letters.next().is_some_and(|one| first.contains(one));
    begins && letters.all(|one| rest.contains(one)) && text.chars().count() <= 63
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";

fn under(text: &str) -> bool {
    spelt(text, LETTERS, &format!("{LETTERS}{DIGITS}_"))
}

fn loose(text: &str) -> bool {
    spelt(text, LETTERS, &format!("{LETTERS}{DIGITS}_-"))
}

fn dashed(text: &str) -> bool {
    let all = format!("{LETTERS}{DIGITS}");
    spelt(text, &all, &format!("{all}-"))
}

fn printable(text: &str) -> bool {
    !text.is_empty() && text.len() <= 250 && text.chars().all(|one| (' '..='~').contains(&one))
}
