use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::engine::refusal::{Problem, SourceFailure};
use crate::engine::{Violation, ViolationReason};
use crate::name::{ParameterName, PipelineName, RunId, RunKey};
use crate::provenance::SourceKind;
use crate::source::Cause;

fn run() -> RunKey {
    RunKey {
        pipeline: PipelineName::parse("p").unwrap(),
        run_id: RunId::parse("r").unwrap(),
        attempt: 1,
    }
}

fn violation(field: &str, description: &str) -> Violation {
    Violation {
        field: field.to_owned(),
        reason: ViolationReason::InvalidField,
        description: description.to_owned(),
    }
}

fn source_failed_by(cause: Cause) -> Refusal {
    let failure = SourceFailure {
        source: SourceKind::Vault,
        source_name: "main".to_owned(),
        parameters: ["a", "b"].map(|name| ParameterName::parse(name).unwrap()).to_vec(),
        cause,
        retry_after: None,
    };
    let problems = vec![Problem {
        subject: "a".to_owned(),
        reason: ViolationReason::SourceFailed,
        description: String::new(),
    }];
    Refusal::SourceFailed { failure, problems }
}

/// One of each refusal, by its reason.
fn refusals() -> Vec<Refusal> {
    let text = || "x".to_owned();
    vec![
        Refusal::AccessDenied { fields: Vec::new() },
        Refusal::Invalid(vec![violation("run", "expected a run")]),
        Refusal::RateLimited { limit: "requests", of: "principal", retry_after: Duration::ZERO },
        Refusal::AuditUnavailable,
        Refusal::StoreUnavailable,
        Refusal::NotServing,
        Refusal::Internal { incident: text() },
        Refusal::PipelineNotFound { pipeline: text() },
        Refusal::EnvironmentNotFound { pipeline: text(), environment: text() },
        Refusal::RunNotFound { pipeline: text(), run_id: text(), attempt: 2 },
        Refusal::StepNotFound { pipeline: text(), step: text() },
        Refusal::RunConflict { run: run(), differs: vec!["environment".into(), "preset".into()] },
        Refusal::RevisionMismatch { revision: text() },
        Refusal::AttemptOutOfOrder { newest: 1, end: None },
        Refusal::ExactUnavailable(Vec::new()),
        Refusal::ResolutionFailed(Vec::new()),
        source_failed_by(Cause::Refused),
        source_failed_by(Cause::BadAnswer),
        source_failed_by(Cause::Timeout),
        Refusal::Unauthenticated,
        Refusal::RunEnded { end: RunEnd::Cancelled },
        Refusal::StepSkipped { step: text() },
        Refusal::SealingUnsupported,
        Refusal::SealingRequired,
        Refusal::AnswerTooLarge { limit_bytes: ANSWER_LIMIT },
        Refusal::PositionGone,
        Refusal::SnapshotUnreadable { run: run() },
    ]
}

/// A row of the contract's table of errors.
struct Row {
    code: String,
    metadata: BTreeSet<String>,
    retry: bool,
}

fn table() -> BTreeMap<String, Row> {
    let text = include_str!("../../../proto/README.md");
    let errors = text.split("\n## Errors\n").nth(1).unwrap();
    let mut last = BTreeSet::new();
    errors
        .lines()
        .skip_while(|line| !line.starts_with("| `UNAUTHENTICATED`"))
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let quoted = |cell: &str| -> BTreeSet<String> {
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
            };
            if cells[3] != "the same" {
                last = quoted(cells[3]);
            }
            let row = Row {
                code: cells[0].trim_matches('`').to_owned(),
                metadata: last.clone(),
                retry: cells[4].contains("RetryInfo"),
            };
            (cells[1].trim_matches('`').to_owned(), row)
        })
        .collect()
}

fn contract_code(code: Code) -> String {
    let mut text = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[test]
fn every_refusal_is_told_as_the_contract_has_it() {
    let table = table();
    let told: Vec<_> = refusals().iter().map(status).collect();
    let mut left: BTreeSet<_> = table.keys().cloned().collect();
    for status in told {
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        let row = &table[&info.reason];
        assert_eq!(contract_code(status.code()), row.code, "{}", info.reason);
        assert_eq!(info.domain, "paramd");
        let keys: BTreeSet<_> = info.metadata.keys().cloned().collect();
        assert_eq!(keys, row.metadata, "{}", info.reason);
        assert_eq!(details.retry_info().is_some(), row.retry, "{}", info.reason);
        assert!(!status.message().is_empty());
        left.remove(&info.reason);
    }
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn problems_have_place_reason_and_words() {
    let status = status(&Refusal::Invalid(vec![violation("labels", "none are served")]));
    let details = status.get_error_details();
    let told = &details.bad_request().unwrap().field_violations[0];
    assert_eq!(
        (told.field.as_str(), told.reason.as_str(), told.description.as_str()),
        ("labels", "INVALID_FIELD", "none are served")
    );
    let failed = super::status(&source_failed_by(Cause::Timeout)).get_error_details();
    let told = &failed.precondition_failure().unwrap().violations[0];
    assert_eq!((told.subject.as_str(), told.r#type.as_str()), ("a", "SOURCE_FAILED"));
    assert_eq!(failed.error_info().unwrap().metadata["parameters"], "a,b");
}

#[test]
fn a_source_says_when_to_come_again_within_an_hour() {
    let told = |retry_after| {
        let Refusal::SourceFailed { mut failure, problems } = source_failed_by(Cause::RateLimited)
        else {
            unreachable!()
        };
        failure.retry_after = retry_after;
        let status = status(&Refusal::SourceFailed { failure, problems });
        status.get_error_details().retry_info().unwrap().retry_delay.unwrap()
    };
    assert_eq!(told(None), RETRY_DELAY);
    assert_eq!(told(Some(Duration::from_secs(7))), Duration::from_secs(7));
    assert_eq!(told(Some(Duration::MAX)), RETRY_DELAY_LIMIT);
}

/// What the trailers cost in a client's book: 32 bytes beside each pair.
fn trailers(status: Status) -> usize {
    let headers = status.into_http::<()>();
    headers.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

#[test]
fn all_of_a_hundred_problems_are_told_and_fit_into_a_clients_trailers() {
    let problems = |length: usize| -> Vec<_> {
        (0..120)
            .map(|n| violation(&format!("overrides.{n:0length$}"), "expected an integer, as said"))
            .collect()
    };
    let usual = status(&Refusal::Invalid(problems(8)));
    assert_eq!(usual.get_error_details().bad_request().unwrap().field_violations.len(), 100);
    assert!(usual.message().contains("120 problems"));
    for length in [8, 63, 1_000] {
        assert!(trailers(status(&Refusal::Invalid(problems(length)))) < 8 << 10);
    }
}

#[test]
fn lists_of_names_are_cut_to_fit() {
    let name = |n: usize| ParameterName::parse(&format!("a{n:062}")).unwrap();
    let Refusal::SourceFailed { mut failure, .. } = source_failed_by(Cause::Timeout) else {
        unreachable!()
    };
    failure.parameters = (0..1_000).map(name).collect();
    let problems = (0..1_000)
        .map(|n| Problem {
            subject: name(n).to_string(),
            reason: ViolationReason::SourceUnavailable,
            description: "x".repeat(200),
        })
        .collect();
    assert!(trailers(status(&Refusal::SourceFailed { failure, problems })) < 8 << 10);
    let differs = (0..1_000).map(|n| format!("overrides.{}", name(n))).collect();
    assert!(trailers(status(&Refusal::RunConflict { run: run(), differs })) < 8 << 10);
}

#[test]
fn denied_and_absent_look_alike() {
    let denied = || status(&Refusal::AccessDenied { fields: Vec::new() });
    assert_eq!(denied().message(), denied().message());
    assert!(denied().get_error_details().bad_request().is_none());
    let reveal = status(&Refusal::AccessDenied {
        fields: vec![Violation {
            field: "names[0]".to_owned(),
            reason: ViolationReason::AccessDenied,
            description: String::new(),
        }],
    });
    assert_eq!(reveal.message(), denied().message());
    assert_eq!(reveal.get_error_details().bad_request().unwrap().field_violations.len(), 1);
}

#[test]
fn faults_have_incidents_of_their_own() {
    let incident = || match fault("tried") {
        Refusal::Internal { incident } => incident,
        _ => unreachable!(),
    };
    let (one, other) = (incident(), incident());
    assert_eq!(one.len(), 16);
    assert_ne!(one, other);
}
