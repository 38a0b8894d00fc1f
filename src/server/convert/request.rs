//! Requests about runs and steps.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{invalid, time, value};
use crate::engine::{
    ContextRequest, ExplainRequest, Overrides, ResolveRequest, RunSelector, SecretOverride,
    Violation, ViolationReason,
};
use crate::proto::v1;
use crate::secret::SecretBytes;
use crate::snapshot::SecretEncoding;
use crate::store::{AttemptMode, RunEnd};

/// The most names in a request.
pub(super) const MAX_NAMES: usize = 1_000;
/// The most labels of a run.
const MAX_LABELS: usize = 32;
/// The shortest lifetime.
const MIN_LIFETIME: Duration = Duration::from_secs(60);

/// `ResolveRun`.
pub(in crate::server) fn resolve(message: v1::ResolveRunRequest) -> ResolveRequest {
    let run = selector(message.run);
    let mut problems = Vec::new();
    ResolveRequest {
        run,
        environment: message.environment,
        preset: message.preset.unwrap_or_default(),
        overrides: overrides(
            message.overrides,
            message.text_overrides,
            message.secret_overrides,
            &mut problems,
        ),
        logical_date: logical_date(message.logical_date, &mut problems),
        mode: mode(message.mode, &mut problems),
        labels: labels(message.labels, &mut problems),
        lifetime: message.lifetime.and_then(|span| lifetime(span, &mut problems)),
        expected_revision: message.expected_revision,
        problems,
    }
}

/// `ExplainRun`.
pub(in crate::server) fn explain(message: v1::ExplainRunRequest) -> ExplainRequest {
    let mut problems = Vec::new();
    ExplainRequest {
        pipeline: message.pipeline,
        environment: message.environment,
        preset: message.preset.unwrap_or_default(),
        overrides: overrides(
            message.overrides,
            message.text_overrides,
            message.secret_overrides,
            &mut problems,
        ),
        logical_date: logical_date(message.logical_date, &mut problems),
        problems,
    }
}

/// `GetContext`.
pub(in crate::server) fn context(message: v1::GetContextRequest) -> ContextRequest {
    ContextRequest {
        run: selector(message.run),
        step: message.step,
        instance: message.instance,
        if_none_match: message.if_none_match,
    }
}

/// What names a run; a message that isn't there has no names in it.
pub(in crate::server) fn selector(message: Option<v1::RunName>) -> RunSelector {
    let v1::RunName { pipeline, run_id, attempt } = message.unwrap_or_default();
    RunSelector { pipeline, run_id, attempt }
}

/// How a run ended, or what is wrong with what is said of it.
pub(in crate::server) fn outcome(number: i32) -> Result<RunEnd, Violation> {
    const EXPECTED: &str = "expected succeeded, failed or cancelled";
    match v1::RunOutcome::try_from(number) {
        Ok(v1::RunOutcome::Succeeded) => Ok(RunEnd::Succeeded),
        Ok(v1::RunOutcome::Failed) => Ok(RunEnd::Failed),
        Ok(v1::RunOutcome::Cancelled) => Ok(RunEnd::Cancelled),
        Ok(v1::RunOutcome::Unspecified) => Err(Violation {
            reason: ViolationReason::MissingField,
            ..invalid("outcome", format!("required; {EXPECTED}"))
        }),
        Err(_) => Err(invalid("outcome", EXPECTED)),
    }
}

fn logical_date(
    time: Option<prost_types::Timestamp>,
    problems: &mut Vec<Violation>,
) -> Option<Timestamp> {
    let date = time::read(time?);
    if date.is_none() {
        problems.push(invalid(
            "logical_date",
            "expected a time from 0001-01-01 to 9999-12-30T22:00:00Z",
        ));
    }
    date
}

/// How an attempt takes over the values of the one before; whether it needs to
/// say so is known with its number.
fn mode(number: i32, problems: &mut Vec<Violation>) -> Option<AttemptMode> {
    match v1::AttemptMode::try_from(number) {
        Ok(v1::AttemptMode::Unspecified) => None,
        Ok(v1::AttemptMode::Exact) => Some(AttemptMode::Exact),
        Ok(v1::AttemptMode::Refresh) => Some(AttemptMode::Refresh),
        Err(_) => {
            problems.push(invalid("mode", "expected exact or refresh"));
            None
        }
    }
}

/// Labels within their limits. A key that can't be one isn't quoted.
pub(super) fn labels(
    given: BTreeMap<String, String>,
    problems: &mut Vec<Violation>,
) -> BTreeMap<String, String> {
    if given.len() > MAX_LABELS {
        problems.push(invalid("labels", "expected at most 32 labels"));
        return BTreeMap::new();
    }
    if !given.keys().all(|key| is_label_key(key)) {
        let expected = "expected keys of 1 to 63 of `a-z 0-9 . _ / -`, a letter or digit first";
        problems.push(invalid("labels", expected));
    }
    for (key, _) in given.iter().filter(|(key, text)| is_label_key(key) && !is_label(text)) {
        let expected = "expected at most 128 bytes without control characters";
        problems.push(invalid(format!("labels.{key}"), expected));
    }
    given
}

fn is_label_key(key: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (first, fits) = (key.bytes().next(), (1..=63).contains(&key.len()));
    fits && first.is_some_and(alphanumeric)
        && key.bytes().all(|byte| alphanumeric(byte) || b"._/-".contains(&byte))
}

fn is_label(text: &str) -> bool {
    text.len() <= 128 && !text.contains(char::is_control)
}

fn lifetime(span: prost_types::Duration, problems: &mut Vec<Violation>) -> Option<Duration> {
    let lifetime = time::read_span(span).filter(|lifetime| *lifetime >= MIN_LIFETIME);
    if lifetime.is_none() {
        problems.push(invalid("lifetime", "expected a duration of at least 1 minute"));
    }
    lifetime
}

fn overrides(
    typed: BTreeMap<String, v1::Value>,
    text: BTreeMap<String, String>,
    secret: BTreeMap<String, v1::SecretPayload>,
    problems: &mut Vec<Violation>,
) -> Overrides {
    let mut room = MAX_NAMES;
    let mut over = Vec::new();
    // What is over the limit is dropped, so that a huge request costs nothing.
    let read = Overrides {
        secret: take("secret_overrides", secret, &mut room, &mut over, read_secret),
        text: take("text_overrides", text, &mut room, &mut over, |text| text),
        typed: take("overrides", typed, &mut room, &mut over, value::read),
    };
    if let Some(field) = over.first() {
        problems.push(invalid(
            *field,
            "expected at most 1,000 names in the fields for overrides together",
        ));
    }
    read
}

fn take<A, B>(
    field: &'static str,
    from: BTreeMap<String, A>,
    room: &mut usize,
    over: &mut Vec<&'static str>,
    read: impl Fn(A) -> B,
) -> BTreeMap<String, B> {
    if from.len() > *room {
        over.push(field);
    }
    let taken: BTreeMap<_, _> =
        from.into_iter().take(*room).map(|(name, item)| (name, read(item))).collect();
    *room = room.saturating_sub(taken.len());
    taken
}

fn read_secret(payload: v1::SecretPayload) -> SecretOverride {
    let (encoding, unknown_encoding) = match v1::SecretEncoding::try_from(payload.encoding) {
        Ok(v1::SecretEncoding::Unspecified) => (None, false),
        Ok(v1::SecretEncoding::Text) => (Some(SecretEncoding::Text), false),
        Ok(v1::SecretEncoding::Json) => (Some(SecretEncoding::Json), false),
        Ok(v1::SecretEncoding::Binary) => (Some(SecretEncoding::Binary), false),
        Err(_) => (None, true),
    };
    SecretOverride { bytes: SecretBytes::new(payload.data), encoding, unknown_encoding }
}

#[cfg(test)]
mod tests;
