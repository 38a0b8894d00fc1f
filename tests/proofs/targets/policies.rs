//! Policies: any text is a sound set or denies everything.

use paramd::access::expectation::{self, Expectation};
use paramd::access::{Action, Policies, Request, Resource};
use paramd::audit::Principal;
use paramd::definition::PolicyFile;
use paramd::name::{EnvironmentName, ParameterName, PipelineName};
use paramd::yaml::diagnostic::{Files, Problems, lines};

use super::{Target, holds, untold};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "permit",
    "forbid",
    "(principal, action, resource)",
    "principal == ",
    "Paramd::Principal::",
    "Paramd::Action::\"reveal\"",
    "Paramd::Pipeline::",
    "resource in ",
    "action in [",
    "when { ",
    "unless { ",
    " }",
    ";",
    "context.environment",
    " has ",
    " like \"*\"",
    "&&",
    "||",
    "!",
    "if ",
    " then ",
    " else ",
    "@id(\"a\")",
    "?principal",
    "\"Zq!hunter2\"",
    "ip(\"1.2.3.4\")",
    "9223372036854775808",
    "(",
    ")",
    "[",
    "]",
    ".contains(",
    "//",
    "\\u{1F600}",
];

pub(super) const POLICIES: Target = Target { name: "policies", seeds, words: WORDS, run: policies };

pub(super) const EXPECTATIONS: Target =
    Target { name: "expectations", seeds: expected, words: WORDS, run: expectations };

fn expected() -> Vec<Vec<u8>> {
    let whole = include_str!("seeds/expectations.yaml");
    let ones = whole.split("\n\n").map(|one| format!("decisions:\n{one}\n").into_bytes());
    ones.chain([format!("decisions:\n{whole}").into_bytes()]).collect()
}

/// A file of expected decisions: read, or told where it is wrong, and decided.
fn expectations(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(1) };
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add("decisions.yaml".to_owned(), text.into());
    let node = paramd::yaml::parse(file, text, &mut problems);
    let found = node.map(|node| expectation::read(&node, &mut problems)).unwrap_or_default();
    let told = lines(&problems, &files);
    untold("a problem", &told.join("\n"))?;
    let policies = &*OPEN;
    for one in &found {
        // All is permitted, and so what is met is what is expected to be.
        let met = policies.meet(&Expectation { by: None, ..one.clone() }).is_ok();
        holds(met == one.permitted, "it is decided otherwise")?;
        let why = policies.why(&one.question);
        holds(why.permitted, "what explains decides otherwise")?;
    }
    Ok(1)
}

static OPEN: std::sync::LazyLock<Policies> = std::sync::LazyLock::new(|| {
    let text: std::sync::Arc<str> = "permit (principal, action, resource);".into();
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add("policies/open.cedar".to_owned(), text.clone());
    Policies::read(&[PolicyFile { file, name: "open".to_owned(), text }], &mut problems)
});

fn seeds() -> Vec<Vec<u8>> {
    include_str!("seeds/policies.cedar").split("\n\n").map(|one| one.as_bytes().to_vec()).collect()
}

fn policies(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(1) };
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add("policies/own.cedar".to_owned(), text.into());
    let one = PolicyFile { file, name: "own".to_owned(), text: text.into() };
    let policies = Policies::read(&[one], &mut problems);
    let told = lines(&problems, &files);
    untold("a problem", &told.join("\n"))?;
    let refused = problems.has_errors();
    for request in requests(&PRINCIPAL) {
        let permitted = policies.decide(&request).is_ok();
        holds(!(refused && permitted), "a refused file permits something")?;
        let again = policies.decide(&request).is_ok();
        holds(permitted == again, "the second time it decides otherwise")?;
        let without = !text.contains("permit");
        holds(!(permitted && without), "permitted without a `permit`")?;
    }
    Ok(1)
}

static PRINCIPAL: std::sync::LazyLock<Principal> =
    std::sync::LazyLock::new(|| Principal::unix_user(1000));
static NAMES: std::sync::LazyLock<(PipelineName, EnvironmentName, Vec<ParameterName>)> =
    std::sync::LazyLock::new(|| {
        let secrets = vec!["password".parse().unwrap()];
        ("train".parse().unwrap(), "dev".parse().unwrap(), secrets)
    });

fn requests(principal: &Principal) -> Vec<Request<'_>> {
    let (pipeline, environment, secrets) = &*NAMES;
    let about = |action, resource| Request {
        environment: Some(environment),
        ..Request::new(principal, action, resource, jiff::Timestamp::UNIX_EPOCH)
    };
    let (run_id, step) = ("r", "main");
    vec![
        about(Action::Resolve, Resource::Run { pipeline, run_id }),
        about(Action::Read, Resource::Run { pipeline, run_id }),
        about(Action::Read, Resource::Step { pipeline, run_id, step }),
        about(
            Action::Reveal,
            Resource::Parameter { pipeline, run_id, step, item: "env.URL", secrets },
        ),
        about(Action::Audit, Resource::Daemon),
    ]
}
