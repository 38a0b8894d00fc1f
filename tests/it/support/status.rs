//! What an error says, taken apart.

use std::collections::BTreeMap;

use tonic::Status;
use tonic_types::StatusExt as _;

/// An error of the service.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The canonical code, as the contract spells it.
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) retry: bool,
    pub(crate) violations: Vec<Violation>,
    pub(crate) message: String,
}

/// One problem of several.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The field of a `BadRequest`, the subject of a `PreconditionFailure`.
    pub(crate) field: String,
    pub(crate) reason: String,
    pub(crate) description: String,
}

/// Takes an error apart.
pub(crate) fn problem(status: &Status) -> Problem {
    let details = status.check_error_details().expect("the details can be read");
    let info = details.error_info().cloned();
    let fields = details.bad_request().map(|bad| &bad.field_violations[..]).unwrap_or_default();
    let states =
        details.precondition_failure().map(|failure| &failure.violations[..]).unwrap_or_default();
    let violations = fields
        .iter()
        .map(|v| (&v.field, &v.reason, &v.description))
        .chain(states.iter().map(|v| (&v.subject, &v.r#type, &v.description)))
        .map(|(field, reason, description)| Violation {
            field: field.clone(),
            reason: reason.clone(),
            description: description.clone(),
        })
        .collect();
    if let Some(info) = &info {
        assert_eq!(info.domain, "paramd");
    }
    Problem {
        code: code(status.code()),
        reason: info.as_ref().map(|info| info.reason.clone()).unwrap_or_default(),
        metadata: info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default(),
        retry: details.retry_info().is_some_and(|retry| retry.retry_delay.is_some()),
        violations,
        message: status.message().into(),
    }
}

/// All that an error carries, to be searched.
pub(crate) fn everything(status: &Status) -> Vec<u8> {
    let mut bytes = status.message().as_bytes().to_vec();
    bytes.push(b'\n');
    bytes.extend_from_slice(status.details());
    for entry in status.metadata().iter() {
        bytes.push(b'\n');
        match entry {
            tonic::metadata::KeyAndValueRef::Ascii(key, value) => {
                bytes.extend_from_slice(key.as_str().as_bytes());
                bytes.push(b'=');
                bytes.extend_from_slice(value.as_encoded_bytes());
            }
            tonic::metadata::KeyAndValueRef::Binary(key, value) => {
                bytes.extend_from_slice(key.as_str().as_bytes());
                bytes.push(b'=');
                bytes.extend_from_slice(&value.to_bytes().unwrap_or_default());
            }
        }
    }
    bytes
}

/// Fails unless `status` has this reason, and gives its parts.
#[track_caller]
pub(crate) fn check_reason(status: &Status, reason: &str) -> Problem {
    let problem = problem(status);
    assert_eq!(problem.reason, reason, "{problem:#?}");
    assert!(!problem.message.is_empty(), "an error has words for people");
    problem
}

/// Fails unless `status` is an `INVALID_REQUEST` with exactly these problems.
#[track_caller]
pub(crate) fn check_invalid(status: &Status, expected: &[(&str, &str)]) {
    let problem = check_reason(status, "INVALID_REQUEST");
    let mut actual: Vec<_> =
        problem.violations.iter().map(|v| (v.field.as_str(), v.reason.as_str())).collect();
    let mut expected = expected.to_vec();
    actual.sort_unstable();
    expected.sort_unstable();
    assert_eq!(actual, expected, "{problem:#?}");
}

fn code(code: tonic::Code) -> String {
    let mut text = String::new();
    for (index, letter) in format!("{code:?}").chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}
