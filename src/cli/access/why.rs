//! `paramd access why`: one decision, and what each policy says of it.

use serde::Serialize;

use super::question::{self, Within};
use super::{configuration, written};
use crate::access::Action;
use crate::access::explain::{Considered, Part, Verdict, Why};
use crate::access::question::Subject;
use crate::cli::App;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::table::Sheet;
use crate::yaml::diagnostic::Files;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Who, by the name of the audit log, such as uid:1000.
    #[arg(value_name = "PRINCIPAL")]
    principal: String,
    /// To do what, such as reveal.
    #[arg(value_name = "ACTION", value_parser = question::action)]
    action: Action,
    /// With what: daemon, PIPELINE, PIPELINE/RUN_ID, PIPELINE/RUN_ID/STEP or
    /// PIPELINE/RUN_ID/STEP/NAME.
    #[arg(value_name = "RESOURCE", value_parser = question::subject)]
    resource: Subject,
    /// How it was proved who calls, where the name doesn't tell: unix_user,
    /// certificate, token, jwt or step_token.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// A group that the caller's credential vouches for; may be repeated.
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    #[command(flatten)]
    within: Within,
}

#[derive(Serialize)]
struct Document<'a> {
    permitted: bool,
    policy_ids: &'a [String],
    errors: bool,
    policies: Vec<PolicyDocument<'a>>,
}

#[derive(Serialize)]
struct PolicyDocument<'a> {
    id: &'a str,
    effect: &'static str,
    place: String,
    annotations: &'a std::collections::BTreeMap<String, String>,
    verdict: &'static str,
    differs: Vec<&'static str>,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let principal = question::principal(&args.principal, args.kind.as_deref())?;
    let (compiled, files) = configuration(&args.within.config)?;
    let question = args.within.question(
        principal,
        &args.group,
        args.action,
        &args.resource,
        &compiled.plans,
    )?;
    let why = compiled.policies.why(&question);
    if app.wants_json() {
        app.printer.json(&document(&why, &files));
        return Ok(Exit::Success);
    }
    app.printer.text(&decision(&why));
    if why.policies.is_empty() {
        app.printer.text(&format!("no policy is about `{}`", args.action.name()));
        return Ok(Exit::Success);
    }
    let mut sheet = Sheet::new(app.printer.width(), ["policy", "effect", "here", "where"]);
    for one in &why.policies {
        let notes = one.annotations.iter().map(|(key, text)| match text.is_empty() {
            true => format!("@{key}"),
            false => format!("@{key} {text}"),
        });
        sheet.lines([
            std::iter::once(one.id.clone()).chain(notes).collect(),
            vec![effect(one).to_owned()],
            vec![here(&one.verdict)],
            vec![written(one.place.as_ref(), &files)],
        ]);
    }
    app.printer.text(&sheet.text());
    Ok(Exit::Success)
}

fn document<'a>(why: &'a Why, files: &Files) -> Document<'a> {
    let policy = |one: &'a Considered| PolicyDocument {
        id: &one.id,
        effect: effect(one),
        place: written(one.place.as_ref(), files),
        annotations: &one.annotations,
        verdict: match one.verdict {
            Verdict::Applies => "applies",
            Verdict::Fails => "fails",
            Verdict::Differs(_) => "differs",
        },
        differs: parts(&one.verdict),
    };
    Document {
        permitted: why.permitted,
        policy_ids: &why.policy_ids,
        errors: why.errors,
        policies: why.policies.iter().map(policy).collect(),
    }
}

/// One line that tells the decision. Who is asked about isn't repeated: a name may be a
/// misplaced secret.
fn decision(why: &Why) -> String {
    let by = why.policy_ids.join(", ");
    match (why.permitted, why.errors, why.policy_ids.is_empty()) {
        (true, ..) => format!("allowed by {by}"),
        (false, true, _) => format!("denied, since {by} fails"),
        (false, false, false) => format!("denied by {by}"),
        (false, false, true) => "denied: no policy permits it".to_owned(),
    }
}

fn effect(one: &Considered) -> &'static str {
    if one.forbids { "forbid" } else { "permit" }
}

fn here(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Applies => "applies".to_owned(),
        Verdict::Fails => "fails".to_owned(),
        Verdict::Differs(parts) if parts.contains(&Part::Condition) => {
            "its condition isn't met".to_owned()
        }
        Verdict::Differs(_) => format!("another {}", parts(verdict).join(" and ")),
    }
}

fn parts(verdict: &Verdict) -> Vec<&'static str> {
    let Verdict::Differs(parts) = verdict else { return Vec::new() };
    let word = |part: &Part| match part {
        Part::Principal => "principal",
        Part::Resource => "resource",
        Part::Condition => "condition",
    };
    parts.iter().map(word).collect()
}
