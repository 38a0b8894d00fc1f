//! `paramd access who`: who could do something, of all who are named anywhere.

use serde::Serialize;

use super::question::{self, Within};
use super::{configuration, written};
use crate::access::Action;
use crate::access::explain::{Could, Somebody};
use crate::access::question::{Principal, Subject};
use crate::cli::App;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::table::Sheet;
use crate::token;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// To do what, such as reveal.
    #[arg(value_name = "ACTION", value_parser = question::action)]
    action: Action,
    /// With what: daemon, PIPELINE, PIPELINE/RUN_ID, PIPELINE/RUN_ID/STEP or
    /// PIPELINE/RUN_ID/STEP/NAME.
    #[arg(value_name = "RESOURCE", value_parser = question::subject)]
    resource: Subject,
    #[command(flatten)]
    within: Within,
}

#[derive(Serialize)]
struct Document<'a> {
    permitted: Vec<CouldDocument<'a>>,
    by_condition: &'a [String],
}

#[derive(Serialize)]
struct CouldDocument<'a> {
    kind: &'static str,
    name: Option<&'a str>,
    proved_by: &'a [&'static str],
    policy_ids: &'a [String],
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let (compiled, files) = configuration(&args.within.config)?;
    let question = args.within.question(
        Principal::anonymous(),
        &[],
        args.action,
        &args.resource,
        &compiled.plans,
    )?;
    let tokens = token::list(&compiled.bundle.settings.tokens);
    if let Err(error) = &tokens {
        app.printer.note(&format!("note: {error}; whoever has a token is left out"));
    }
    let tokens: Vec<String> =
        tokens.iter().flatten().map(|entry| format!("token:{}", entry.name)).collect();
    let who = compiled.policies.who(&question, &tokens);
    if app.wants_json() {
        let permitted = who.permitted.iter().map(could).collect();
        app.printer.json(&Document { permitted, by_condition: &who.by_condition });
        return Ok(Exit::Success);
    }
    if who.permitted.is_empty() {
        app.printer.text("nobody who is named could do it");
    } else {
        let mut sheet = Sheet::new(app.printer.width(), ["who", "by"]);
        for one in &who.permitted {
            let mut words = match &one.who {
                Somebody::Anyone => "anyone".to_owned(),
                Somebody::Group(name) => format!("group {name}"),
                Somebody::Principal(name) => name.clone(),
            };
            if !one.kinds.is_empty() {
                words = format!("{words} ({})", one.kinds.join(", "));
            }
            sheet.row([&words, &one.policy_ids.join(", ")]);
        }
        app.printer.text(&sheet.text());
    }
    for id in &who.by_condition {
        let place: String = written(compiled.policies.place(id), &files);
        let told = "permits whoever meets its condition, which nobody named here does";
        let place = if place.is_empty() { place } else { format!(" ({place})") };
        app.printer.text(&format!("{id}{place} {told}"));
    }
    Ok(Exit::Success)
}

fn could(one: &Could) -> CouldDocument<'_> {
    let (kind, name) = match &one.who {
        Somebody::Anyone => ("anyone", None),
        Somebody::Group(name) => ("group", Some(name.as_str())),
        Somebody::Principal(name) => ("principal", Some(name.as_str())),
    };
    CouldDocument { kind, name, proved_by: &one.kinds, policy_ids: &one.policy_ids }
}
