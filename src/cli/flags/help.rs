//! `paramd run PIPELINE --help`: paramd's own options and the pipeline's flags.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::schema::{self, Declared};
use super::tokens::given_by;
use crate::cli::error::CliError;
use crate::cli::table::{Sheet, paragraph};
use crate::cli::text::escaped;
use crate::proto::v1::Pipeline;

/// The options that every command for a pipeline takes, for clap's help too.
pub(crate) const OPTIONS: &str = "\
Options for a pipeline:
  --environment NAME     where it runs; may be left out where there is one
  --preset NAME          a set of values of the pipeline
  --run-id ID            the run's name; made up and printed if left out
  --attempt N            the attempt, from 1
  --mode exact|refresh   for a later attempt: the same values, or sources anew
  --logical-date TIME    the date that the run is for, in RFC 3339
  --label KEY=VALUE      a label to find the run by; may be repeated
  --lifetime SPAN        how long it may stay open, such as 48h
  --expected-revision R  refuses the run where another revision is in force
  --param NAME=VALUE     a parameter, also one named as an option of paramd
  --params-file FILE     parameters by name, in YAML or JSON
  --secret NAME=SOURCE   a secret: file:FILE, env:VARIABLE or - (standard input)
  -h, --help             after the pipeline's name: its parameters";

/// The options of every command.
const GLOBAL: &str = "  --endpoint ENDPOINT    unix:PATH or https://HOST:PORT of the daemon
  --output text|json     how data is printed (`run` prints none)

A variable PARAMD_PARAM_<NAME> gives a parameter too. Flags win over variables,
and variables over the file.";

/// The help of a command for one pipeline.
pub(crate) fn text(command: &str, pipeline: &Pipeline, width: u16) -> Result<String, CliError> {
    let mut help = String::new();
    if !pipeline.description.is_empty() {
        line(&mut help, &format!("{}\n", paragraph(&escaped(&pipeline.description), width)));
    }
    line(
        &mut help,
        &format!("Usage: paramd {command} {} [OPTIONS] [--PARAMETER VALUE]…\n", pipeline.name),
    );
    help.push_str(&parameters(pipeline, width)?);
    line(&mut help, OPTIONS);
    line(&mut help, GLOBAL);
    let environments = pipeline.environments.iter().map(|one| one.name.as_str());
    names(&mut help, "Environments", environments);
    names(&mut help, "Presets", pipeline.presets.iter().map(|one| one.name.as_str()));
    Ok(help)
}

/// The parameters of a pipeline, a table for each group.
pub(crate) fn parameters(pipeline: &Pipeline, width: u16) -> Result<String, CliError> {
    let declared = schema::read(&pipeline.parameters_schema)?;
    let mut text = String::new();
    for (group, members) in groups(&declared) {
        let heading = if group.is_empty() { "Parameters".into() } else { escaped(group) };
        line(&mut text, &format!("{heading}:"));
        line(&mut text, &table(&members, width));
    }
    Ok(text)
}

fn line(help: &mut String, text: &str) {
    let _ = writeln!(help, "{text}");
}

fn names<'a>(help: &mut String, heading: &str, names: impl Iterator<Item = &'a str>) {
    let names: Vec<&str> = names.collect();
    if !names.is_empty() {
        line(help, &format!("\n{heading}: {}", names.join(", ")));
    }
}

/// The parameters by group; those without one first.
fn groups(declared: &[Declared]) -> BTreeMap<&str, Vec<&Declared>> {
    let mut groups: BTreeMap<&str, Vec<&Declared>> = BTreeMap::new();
    for one in declared {
        groups.entry(&one.group).or_default().push(one);
    }
    groups
}

fn table(members: &[&Declared], width: u16) -> String {
    let mut sheet = Sheet::new(width, ["flag", "type", "range", "default", "description"]);
    for one in members {
        sheet.lines([
            flag(one),
            vec![one.kind.clone()],
            vec![one.range.clone()],
            vec![one.default.clone().unwrap_or_default()],
            vec![description(one)],
        ]);
    }
    let mut text = sheet.text();
    text.push('\n');
    text
}

/// How it is given: by its name, then by each alias.
fn flag(one: &Declared) -> Vec<String> {
    if !one.bindable {
        return vec![one.name.clone()];
    }
    let form = |name: &String| match given_by(name, "") {
        _ if one.secret => format!("--secret {name}=…"),
        own if own.ends_with('=') => format!("{own}…"),
        flag => flag.trim_end().to_owned(),
    };
    std::iter::once(&one.name).chain(&one.aliases).map(form).collect()
}

fn description(one: &Declared) -> String {
    let mut parts = Vec::new();
    if one.secret {
        parts.push("secret".to_owned());
    }
    if one.required {
        parts.push("required".to_owned());
    }
    if !one.bindable {
        parts.push("not set by a run".to_owned());
    }
    match one.deprecated.as_deref() {
        Some("") => parts.push("deprecated".to_owned()),
        Some(why) => parts.push(format!("deprecated: {why}")),
        None => {}
    }
    let marks = if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) };
    [one.description.as_str(), &marks].join(" ").trim().to_owned()
}
