//! `paramd diff`: what differs between two runs, redacted.

use serde::Serialize;

use super::client::{incomplete, send};
use super::document::{ParameterDocument, RunDocument, StepDocument, comparison};
use super::error::CliError;
use super::exit::Exit;
use super::run_name::{self, RunPath};
use super::table::Sheet;
use super::{App, render};
use crate::proto::v1;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run to compare from.
    #[arg(value_name = "PIPELINE/RUN_ID", value_parser = RunPath::parse)]
    base: RunPath,
    /// The run to compare with.
    #[arg(value_name = "PIPELINE/RUN_ID", value_parser = RunPath::parse)]
    other: RunPath,
    /// The first run's attempt, from 1; else the newest.
    #[arg(long, value_name = "N", value_parser = run_name::attempt)]
    base_attempt: Option<u32>,
    /// The second run's attempt, from 1; else the newest.
    #[arg(long, value_name = "N", value_parser = run_name::attempt)]
    other_attempt: Option<u32>,
}

#[derive(Serialize)]
struct Document<'a> {
    base: RunDocument,
    other: RunDocument,
    parameters: Vec<ParameterDiff<'a>>,
    steps: Vec<StepDiff<'a>>,
}

#[derive(Serialize)]
struct ParameterDiff<'a> {
    name: &'a str,
    comparison: String,
    base: Option<ParameterDocument>,
    other: Option<ParameterDocument>,
}

#[derive(Serialize)]
struct StepDiff<'a> {
    step: &'a str,
    base: Option<StepDocument>,
    other: Option<StepDocument>,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let request = v1::DiffRunsRequest {
        base: Some(args.base.name(args.base_attempt)),
        other: Some(args.other.name(args.other_attempt)),
    };
    let daemon = app.connect().await?;
    let answer = send(request, |request| {
        let mut client = daemon.runs();
        async move { client.diff_runs(request).await }
    })
    .await?;
    let base = answer.base.as_ref().ok_or_else(incomplete)?;
    let other = answer.other.as_ref().ok_or_else(incomplete)?;
    if app.wants_json() {
        app.printer.json(&document(&answer, base, other));
    } else {
        app.printer.text(&text(&answer, base, other, app.printer.width()));
    }
    Ok(Exit::Success)
}

fn document<'a>(answer: &'a v1::DiffRunsResponse, base: &v1::Run, other: &v1::Run) -> Document<'a> {
    let parameter = |one: &'a v1::ParameterDiff| ParameterDiff {
        name: &one.name,
        comparison: comparison(one.comparison),
        base: one.base.as_ref().map(ParameterDocument::new),
        other: one.other.as_ref().map(ParameterDocument::new),
    };
    let step = |one: &'a v1::StepDiff| StepDiff {
        step: &one.step,
        base: one.base.as_ref().map(StepDocument::new),
        other: one.other.as_ref().map(StepDocument::new),
    };
    Document {
        base: RunDocument::new(base),
        other: RunDocument::new(other),
        parameters: answer.parameters.iter().map(parameter).collect(),
        steps: answer.steps.iter().map(step).collect(),
    }
}

fn text(answer: &v1::DiffRunsResponse, base: &v1::Run, other: &v1::Run, width: u16) -> String {
    let mut text = render::facts([("base", &one_line(base)), ("other", &one_line(other))]);
    if answer.parameters.is_empty() && answer.steps.is_empty() {
        return format!("{text}\nnothing differs\n");
    }
    if !answer.parameters.is_empty() {
        let mut sheet = Sheet::new(width, ["parameter", "value", "base", "other"]);
        for one in &answer.parameters {
            sheet.lines([
                vec![one.name.clone()],
                vec![verdict(one.comparison).to_owned()],
                one.base.as_ref().map_or_else(|| vec!["not declared".to_owned()], parameter),
                one.other.as_ref().map_or_else(|| vec!["not declared".to_owned()], parameter),
            ]);
        }
        text.push_str(&format!("\n{}\n", sheet.text()));
    }
    if !answer.steps.is_empty() {
        let mut sheet = Sheet::new(width, ["step", "base", "other"]);
        for one in &answer.steps {
            sheet.lines([
                vec![one.step.clone()],
                one.base.as_ref().map_or_else(|| vec!["not defined".to_owned()], step),
                one.other.as_ref().map_or_else(|| vec!["not defined".to_owned()], step),
            ]);
        }
        text.push_str(&format!("\n{}\n", sheet.text()));
    }
    text
}

fn one_line(run: &v1::Run) -> String {
    let name = run.name.clone().unwrap_or_default();
    let path = run_name::path(&name);
    format!("{path}, attempt {}, in {}: {}", name.attempt, run.environment, render::life(run))
}

/// Whether the values are the same.
fn verdict(number: i32) -> &'static str {
    match v1::ValueComparison::try_from(number) {
        Ok(v1::ValueComparison::Same) => "same",
        Ok(v1::ValueComparison::Different) => "different",
        _ => "not told",
    }
}

/// What a run has for a parameter, and where from.
fn parameter(one: &v1::ResolvedParameter) -> Vec<String> {
    let mut lines = vec![render::content(one)];
    if let Some(from) = &one.provenance {
        lines.push(format!("{}: {}", render::layer_words(from.layer), render::source(from)));
    }
    lines
}

/// What a run does with a step, and why.
fn step(one: &v1::StepDecision) -> Vec<String> {
    let decision = one.decision.clone().unwrap_or_default();
    let mut action = render::action(&decision).to_owned();
    if one.instance_count > 1 {
        action = format!("{action}, {} times", one.instance_count);
    }
    let needs = match one.needs.join(", ") {
        needs if needs.is_empty() => needs,
        needs => format!("after {needs}"),
    };
    vec![action, render::why(&decision), needs]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_one_run_only_and_what_is_not_told_can_be_seen() {
        let redacted = v1::ResolvedParameter {
            name: "token".into(),
            content: Some(v1::resolved_parameter::Content::Redacted(v1::Redacted::default())),
            provenance: None,
        };
        let answer = v1::DiffRunsResponse {
            parameters: vec![v1::ParameterDiff {
                name: "token".into(),
                base: Some(redacted),
                other: None,
                comparison: 0,
            }],
            steps: vec![v1::StepDiff { step: "go".into(), base: None, other: None }],
            ..Default::default()
        };
        let run = v1::Run::default();
        let text = text(&answer, &run, &run, 100);
        for word in ["[REDACTED]", "not declared", "not told", "not defined"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
