//! Compares an answer of `ResolveRun`, or its error, with what is expected.

use paramd::proto::v1::{
    Layer, Provenance, ResolveRunResponse, ResolvedParameter, SourceKind,
    resolved_parameter::Content,
};
use tonic::Status;

use super::expect::{Answer, Parameter, Problem, Violation, Warning};
use crate::support::client::{alike, to_json};
use crate::support::status::{self, everything};

/// What is wrong with an answer, steps apart.
pub(super) fn check_answer(expected: &Answer, answer: &ResolveRunResponse) -> Vec<String> {
    let mut wrong = Vec::new();
    let snapshot = answer.snapshot.as_ref().expect("an answer has a snapshot");
    if let Some(result) = &expected.result {
        same(
            "result",
            result,
            &short(answer.result().as_str_name(), "RESOLVE_RESULT_"),
            &mut wrong,
        );
    }
    for (name, expected) in &expected.parameters {
        match snapshot.parameters.iter().find(|actual| actual.name == *name) {
            Some(actual) => check_parameter(expected, actual, &mut wrong),
            None => wrong.push(format!("no parameter `{name}`")),
        }
    }
    if let Some(warnings) = &expected.warnings {
        let mut actual: Vec<_> = snapshot
            .warnings
            .iter()
            .map(|w| (w.parameter.clone(), short(w.kind().as_str_name(), "WARNING_KIND_")))
            .collect();
        let pair = |w: &Warning| (w.parameter.clone(), w.kind.clone());
        let mut warnings: Vec<_> = warnings.iter().map(pair).collect();
        actual.sort();
        warnings.sort();
        same("warnings", &format!("{warnings:?}"), &format!("{actual:?}"), &mut wrong);
    }
    wrong
}

fn check_parameter(expected: &Parameter, actual: &ResolvedParameter, wrong: &mut Vec<String>) {
    let name = &actual.name;
    match actual.content.as_ref().expect("a parameter has content") {
        Content::Value(value) => {
            let value = to_json(value);
            match &expected.value {
                Some(wanted) if alike(wanted, &value) => {}
                Some(wanted) => wrong.push(format!("`{name}` is {value}, not {wanted}")),
                None if expected.secret => wrong.push(format!("`{name}` is public")),
                None if expected.not_needed => wrong.push(format!("`{name}` was needed")),
                None => {}
            }
        }
        Content::Redacted(_) if !expected.secret => wrong.push(format!("`{name}` is secret")),
        Content::NotNeeded(_) if !expected.not_needed => {
            wrong.push(format!("`{name}` was not needed"));
        }
        Content::Redacted(_) | Content::NotNeeded(_) => {}
    }
    let nothing = Provenance::default();
    check_provenance(expected, name, actual.provenance.as_ref().unwrap_or(&nothing), wrong);
}

fn check_provenance(
    expected: &Parameter,
    name: &str,
    actual: &Provenance,
    wrong: &mut Vec<String>,
) {
    let layer = short(Layer::try_from(actual.layer).unwrap().as_str_name(), "LAYER_");
    let source = short(SourceKind::try_from(actual.source).unwrap().as_str_name(), "SOURCE_KIND_");
    let version = actual.version.clone().unwrap_or_default();
    let texts = [
        ("layer", &expected.layer, &layer),
        ("source", &expected.source, &source),
        ("source_name", &expected.source_name, &actual.source_name),
        ("location", &expected.location, &actual.location),
        ("version", &expected.version, &version),
    ];
    for (what, expected, actual) in texts {
        if let Some(expected) = expected {
            same(&format!("{what} of `{name}`"), expected, actual, wrong);
        }
    }
    if let Some(expected) = &expected.computed_from {
        let what = format!("computed_from of `{name}`");
        same(&what, &expected.join(","), &actual.computed_from.join(","), wrong);
    }
    if expected.default_used.is_some_and(|used| used != actual.default_used) {
        wrong.push(format!("default_used of `{name}` is {}", actual.default_used));
    }
}

/// What is wrong with an error.
pub(super) fn check_error(expected: &Problem, status: &Status) -> Vec<String> {
    let actual = status::problem(status);
    let mut wrong = Vec::new();
    same("code", &expected.code, &actual.code, &mut wrong);
    same("reason", &expected.reason, &actual.reason, &mut wrong);
    for (key, value) in &expected.metadata {
        let found = actual.metadata.get(key).cloned().unwrap_or_default();
        same(key, value, &found, &mut wrong);
    }
    if expected.retry && !actual.retry {
        wrong.push("no RetryInfo".into());
    }
    let differs = actual.metadata.get("differs").cloned().unwrap_or_default();
    for field in expected.differs.iter().filter(|field| !differs.contains(field.as_str())) {
        wrong.push(format!("`{field}` is not in `{differs}`"));
    }
    if let Some(violations) = &expected.violations {
        check_violations(violations, &actual.violations, &mut wrong);
    }
    let text = String::from_utf8_lossy(&everything(status)).into_owned();
    let told = expected.never.iter().filter(|never| text.contains(never.as_str()));
    wrong.extend(told.map(|never| format!("`{never}` is told")));
    if !wrong.is_empty() {
        wrong.push(format!("{actual:#?}"));
    }
    wrong
}

fn check_violations(expected: &[Violation], actual: &[status::Violation], wrong: &mut Vec<String>) {
    let mut left: Vec<_> = actual.iter().collect();
    for (index, expected) in expected.iter().enumerate() {
        match left.iter().position(|actual| fits(expected, actual)) {
            Some(place) => {
                left.remove(place);
            }
            None if expected.optional => {}
            None => wrong.push(format!("violation {index} is missing")),
        }
    }
    wrong.extend(left.iter().map(|left| format!("not expected: {} {}", left.field, left.reason)));
}

fn fits(expected: &Violation, actual: &status::Violation) -> bool {
    let last = actual.field.rsplit('.').next().unwrap_or_default();
    let told = format!("{} {}", actual.field, actual.description).to_lowercase();
    expected.field.as_ref().is_none_or(|field| field.fits(&actual.field))
        && expected.parameter.as_ref().is_none_or(|parameter| parameter.fits(last))
        && expected.reason.as_ref().is_none_or(|reason| reason.fits(&actual.reason))
        && expected.says.iter().all(|text| told.contains(&text.to_lowercase()))
}

/// An enum's value as the cases spell it.
pub(super) fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).expect("the name has its enum's prefix").to_lowercase()
}

pub(super) fn same(what: &str, expected: &str, actual: &str, wrong: &mut Vec<String>) {
    if expected != actual {
        wrong.push(format!("{what} is `{actual}`, not `{expected}`"));
    }
}
