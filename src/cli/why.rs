//! `paramd why`: what went wrong when a run could not be resolved.

use serde::Serialize;

use super::client::send;
use super::document::{source_kind, time};
use super::error::CliError;
use super::exit::Exit;
use super::run_name::RunArgs;
use super::table::Sheet;
use super::{App, render};
use crate::proto::v1;

#[derive(Serialize)]
struct Document<'a> {
    pipeline: &'a str,
    run_id: &'a str,
    failures: Vec<FailureDocument<'a>>,
}

#[derive(Serialize)]
struct FailureDocument<'a> {
    time: Option<String>,
    reason: &'a str,
    parameters: Vec<ParameterDocument<'a>>,
}

#[derive(Serialize)]
struct ParameterDocument<'a> {
    parameter: &'a str,
    reason: &'a str,
    source: String,
    source_name: &'a str,
    location: &'a str,
    cause: Option<&'a str>,
    attempt_count: u32,
}

pub(crate) async fn run(app: &App, args: &RunArgs) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    let name = args.name();
    let request = v1::ListFailuresRequest { run: Some(name.clone()) };
    let answer = send(request, |request| {
        let mut client = daemon.runs();
        async move { client.list_failures(request).await }
    })
    .await?;
    if app.wants_json() {
        let failures = answer.failures.iter().map(failure).collect();
        let document = Document { pipeline: &name.pipeline, run_id: &name.run_id, failures };
        app.printer.json(&document);
    } else if answer.failures.is_empty() {
        app.printer.text("no resolution of this run has failed");
    } else {
        app.printer.text(&text(&answer.failures, app.printer.width()));
    }
    Ok(Exit::Success)
}

fn failure(one: &v1::Failure) -> FailureDocument<'_> {
    FailureDocument {
        time: one.time.as_ref().map(time),
        reason: &one.reason,
        parameters: one.parameters.iter().map(parameter).collect(),
    }
}

fn parameter(one: &v1::ParameterFailure) -> ParameterDocument<'_> {
    ParameterDocument {
        parameter: &one.parameter,
        reason: &one.reason,
        source: source_kind(one.source),
        source_name: &one.source_name,
        location: &one.location,
        cause: Some(&*one.cause).filter(|cause| !cause.is_empty()),
        attempt_count: one.attempt_count,
    }
}

/// The failures, newest first, a table each.
fn text(failures: &[v1::Failure], width: u16) -> String {
    let one = |failure: &v1::Failure| {
        let at = failure.time.as_ref().map(time).unwrap_or_default();
        let facts = render::facts([("time", &at), ("reason", &failure.reason)]);
        let mut sheet = Sheet::new(width, ["parameter", "reason", "source", "why", "asked"]);
        for problem in &failure.parameters {
            sheet.row([
                &problem.parameter,
                &problem.reason,
                &place(problem),
                words(problem),
                &times(problem.attempt_count),
            ]);
        }
        if failure.parameters.is_empty() { facts } else { format!("{facts}\n{}\n", sheet.text()) }
    };
    failures.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// Where the value was looked for.
fn place(problem: &v1::ParameterFailure) -> String {
    let mut text = match v1::SourceKind::try_from(problem.source) {
        Ok(v1::SourceKind::Unspecified) => String::new(),
        _ => source_kind(problem.source),
    };
    if !problem.source_name.is_empty() {
        text = format!("{text} {}", problem.source_name);
    }
    if !problem.location.is_empty() {
        text = format!("{text}: {}", problem.location);
    }
    text
}

fn times(count: u32) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// What went wrong, in words: the cause, or what the reason means.
fn words(problem: &v1::ParameterFailure) -> &str {
    match problem.cause.as_str() {
        "bad_answer" => "its answer can't be understood",
        "interrupted" => "the connection broke half-way",
        "login_failed" => "it refused the daemon's own login",
        "no_such_mount" => "the mount isn't there",
        "not_granted" => "no grant of paramd.yaml covers it",
        "not_ready" => "it is sealed, on standby or starting",
        "rate_limited" => "it was asked too often",
        "refused" => "it refuses the daemon",
        "server_error" => "it has a fault of its own",
        "timeout" => "it took too long",
        "tls" => "TLS could not be set up",
        "too_large" => "its answer is over the limits",
        "unreachable" => "nobody answers there",
        "" => meaning(&problem.reason),
        newer => newer,
    }
}

/// What the reason of a problem means, where the source answered.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "NO_SUCH_VALUE" => "it has no such value, and there is no default",
        "VALUE_GONE" => "the value was deleted, or this version isn't to be had",
        "INVALID_VALUE" => "the value isn't of the declared type, or against its schema",
        "RULE_VIOLATED" => "the values break a rule",
        "TEMPLATE_FAILED" => "the template gives no text, or is over its limits",
        "NOT_REPEATABLE" => "the source has no versions",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Cause;

    #[test]
    fn every_cause_has_words() {
        for cause in [
            Cause::BadAnswer,
            Cause::Interrupted,
            Cause::LoginFailed,
            Cause::NoSuchMount,
            Cause::NotGranted,
            Cause::NotReady,
            Cause::RateLimited,
            Cause::Refused,
            Cause::ServerError,
            Cause::Timeout,
            Cause::Tls,
            Cause::TooLarge,
            Cause::Unreachable,
        ] {
            let cause = cause.word().to_owned();
            let problem = v1::ParameterFailure { cause, ..Default::default() };
            assert!(words(&problem).contains(' '), "{problem:?}");
        }
    }

    #[test]
    fn a_failure_tells_where_why_and_how_often() {
        let problem = v1::ParameterFailure {
            parameter: "password".into(),
            reason: "SOURCE_UNAVAILABLE".into(),
            source: v1::SourceKind::Vault.into(),
            source_name: "main".into(),
            location: "secret/db#password".into(),
            cause: "unreachable".into(),
            attempt_count: 4,
        };
        let failure = v1::Failure {
            time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            reason: "SOURCE_UNAVAILABLE".into(),
            parameters: vec![problem],
        };
        let text = text(&[failure], 120);
        for word in [
            "1970-01-01T00:00:00.000Z",
            "vault main: secret/db#password",
            "nobody answers there",
            "4 times",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }
}
