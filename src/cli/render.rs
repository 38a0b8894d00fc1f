//! Runs, snapshots and decisions as text for people.

use std::fmt::Write as _;

use super::document::{
    attempt_mode, decision_reason, layer, outcome, source_kind, state, time, value_text,
    warning_kind,
};
use super::run_name;
use super::table::Sheet;
use super::text::{cell, escaped};
use crate::proto::v1;

/// What stands for a secret.
pub(crate) const REDACTED: &str = "[REDACTED]";

/// A run's own lines.
pub(crate) fn run(run: &v1::Run) -> String {
    let name = run.name.clone().unwrap_or_default();
    let mut text = String::new();
    fact(&mut text, "run", &run_name::path(&name));
    let mode = match run.mode {
        0 => String::new(),
        mode => format!(" ({})", attempt_mode(mode)),
    };
    fact(&mut text, "attempt", &format!("{}{mode}", name.attempt));
    fact(&mut text, "environment", &run.environment);
    if let Some(preset) = run.preset.as_deref().filter(|preset| !preset.is_empty()) {
        fact(&mut text, "preset", preset);
    }
    if let Some(date) = &run.logical_date {
        fact(&mut text, "logical date", &time(date));
    }
    fact(&mut text, "revision", &run.revision);
    fact(&mut text, "owner", &run.owner.clone().unwrap_or_default().name);
    fact(&mut text, "state", &life(run));
    for (key, value) in &run.labels {
        fact(&mut text, "label", &format!("{key}={value}"));
    }
    text
}

/// A run's state in words.
pub(crate) fn life(run: &v1::Run) -> String {
    let state = state(run.state);
    let ended = run.end_time.as_ref().map(|at| format!(" at {}", time(at))).unwrap_or_default();
    match v1::RunState::try_from(run.state) {
        Ok(v1::RunState::Open) => match &run.expire_time {
            Some(at) => format!("{state} until {}", time(at)),
            None => state,
        },
        Ok(v1::RunState::Completed) => format!("{state}: {}{ended}", outcome(run.outcome)),
        _ => format!("{state}{ended}"),
    }
}

/// Names and what they stand for, a line each.
pub(crate) fn facts<const N: usize>(facts: [(&str, &str); N]) -> String {
    let mut text = String::new();
    facts.into_iter().for_each(|(name, value)| fact(&mut text, name, value));
    text
}

/// A layer as people say it.
pub(crate) fn layer_words(number: i32) -> String {
    layer(number).replace('_', " ")
}

fn fact(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "{name:<12} {}", escaped(value));
}

/// What only `resolve` knows.
pub(crate) fn result(answer: &v1::ResolveRunResponse) -> String {
    let mut text = String::new();
    let how = match v1::ResolveResult::try_from(answer.result) {
        Ok(v1::ResolveResult::Created) => "created",
        Ok(v1::ResolveResult::Replayed) => "replayed: it was there, and no source was asked",
        _ => "unspecified",
    };
    fact(&mut text, "result", how);
    if answer.revision_changed {
        fact(&mut text, "", "the revision in force today is another one");
    }
    text
}

/// Parameters, steps and warnings.
pub(crate) fn snapshot(snapshot: &v1::Snapshot, width: u16) -> String {
    let mut text = format!("\n{}\n", parameters(&snapshot.parameters, width));
    text.push_str(&steps(&snapshot.steps, width));
    text.push_str(&warnings(&snapshot.warnings));
    text
}

fn parameters(parameters: &[v1::ResolvedParameter], width: u16) -> String {
    let mut sheet = Sheet::new(width, ["parameter", "value", "layer", "source"]);
    for one in parameters {
        let provenance = one.provenance.as_ref();
        sheet.row([
            &one.name,
            &content(one),
            &provenance.map(|from| layer_words(from.layer)).unwrap_or_default(),
            &provenance.map(source).unwrap_or_default(),
        ]);
    }
    sheet.text()
}

/// A public value; the empty text can be seen.
pub(crate) fn value(value: &v1::Value) -> String {
    match value_text(value) {
        text if text.is_empty() => "\"\"".to_owned(),
        text => text,
    }
}

/// A parameter's value, or what stands for it.
pub(crate) fn content(parameter: &v1::ResolvedParameter) -> String {
    use v1::resolved_parameter::Content;
    match &parameter.content {
        Some(Content::Value(value)) => self::value(value),
        Some(Content::Redacted(_)) => REDACTED.to_owned(),
        Some(Content::NotNeeded(_)) => "not needed".to_owned(),
        None => "(newer than this client)".to_owned(),
    }
}

/// Where a value came from, in one cell.
pub(crate) fn source(from: &v1::Provenance) -> String {
    let mut text = source_kind(from.source);
    if !from.source_name.is_empty() {
        text = format!("{text} {}", from.source_name);
    }
    if !from.location.is_empty() {
        text = format!("{text}: {}", from.location);
    }
    if let Some(version) = &from.version {
        text = format!("{text} @ {}", short_version(version));
    }
    if !from.computed_from.is_empty() {
        text = format!("{text} of {}", from.computed_from.join(", "));
    }
    if from.default_used { format!("{text}; no such value: default") } else { text }
}

/// A file's version is a long hash: its beginning tells it apart.
fn short_version(version: &str) -> String {
    match version.strip_prefix("sha256:") {
        Some(hash) => format!("sha256:{}…", hash.chars().take(8).collect::<String>()),
        None => version.to_owned(),
    }
}

/// The steps with their decisions.
pub(crate) fn steps(steps: &[v1::StepDecision], width: u16) -> String {
    let mut sheet = Sheet::new(width, ["step", "decision", "why", "after"]);
    for step in steps {
        let decision = step.decision.clone().unwrap_or_default();
        let times = match step.instance_count {
            0 | 1 => String::new(),
            count => format!(", {count} times"),
        };
        sheet.row([
            &step.step,
            &format!("{}{times}", action(&decision)),
            &why(&decision),
            &step.needs.join(", "),
        ]);
    }
    format!("\n{}\n", sheet.text())
}

/// What becomes of a step, in words.
pub(crate) fn action(decision: &v1::Decision) -> &'static str {
    match v1::StepAction::try_from(decision.action) {
        Ok(v1::StepAction::Run) => "runs",
        Ok(v1::StepAction::Skip) => "skipped",
        Ok(v1::StepAction::Unknown) => "can't be told yet",
        _ => "not run: newer than this client",
    }
}

/// Why a step runs or doesn't: its condition, and the values that decided.
pub(crate) fn why(decision: &v1::Decision) -> String {
    let mut text = match v1::DecisionReason::try_from(decision.reason) {
        Ok(v1::DecisionReason::Unconditional) => "no condition".to_owned(),
        Ok(v1::DecisionReason::MatrixEmpty) => "a list of its matrix is empty".to_owned(),
        Ok(v1::DecisionReason::ConditionTrue | v1::DecisionReason::ConditionFalse) => {
            let verdict = decision_reason(decision.reason).replace("condition_", "");
            format!("`{}` is {verdict}", decision.condition.as_deref().unwrap_or_default())
        }
        _ => decision
            .condition
            .as_ref()
            .map(|condition| format!("hangs on `{condition}`"))
            .unwrap_or_default(),
    };
    let values: Vec<String> = decision
        .deciding_values
        .iter()
        .map(|(name, value)| format!("{name} = {}", cell(&value_text(value))))
        .collect();
    if !values.is_empty() {
        text = format!("{text} ({})", values.join(", "));
    }
    text
}

/// What should be mended.
pub(crate) fn warnings(warnings: &[v1::Warning]) -> String {
    let mut text = String::new();
    for one in warnings {
        let what = match v1::WarningKind::try_from(one.kind) {
            Ok(v1::WarningKind::AliasUsed) => "was named by an alias".to_owned(),
            Ok(v1::WarningKind::Deprecated) => "is deprecated".to_owned(),
            _ => warning_kind(one.kind),
        };
        let message =
            if one.message.is_empty() { String::new() } else { format!(": {}", one.message) };
        let _ =
            writeln!(text, "warning: `{}` {what}{}", escaped(&one.parameter), escaped(&message));
    }
    text
}

#[cfg(test)]
mod tests;
