//! Why a run could not be resolved, parameter by parameter.

use std::time::Duration;

use crate::name::{ParameterName, SourceName};
use crate::provenance::SourceKind;
use crate::refusal::{Problem, Refusal, SourceFailure, ViolationReason};
use crate::source::{Cause, FailureClass};

/// Why one parameter (or rule, or step) had no value. It holds no value.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The parameter, or a rule such as `rules[0]`.
    pub subject: String,
    /// The reason.
    pub reason: ViolationReason,
    /// What went wrong, in our own words.
    pub description: String,
    /// The source that was asked.
    pub asked: Option<Asked>,
    /// The keyword of the schema that a secret broke; for the audit log alone.
    pub keyword: &'static str,
}

/// Which source was asked, and how that went.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The kind.
    pub kind: SourceKind,
    /// The name in `paramd.yaml`.
    pub source: SourceName,
    /// The place inside it, canonical.
    pub location: String,
    /// Why it gave no answer; none where it answered.
    pub cause: Option<Cause>,
    /// How often it was asked.
    pub attempts: u32,
    /// When it may be asked again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure that no source is to blame for.
    pub fn own(subject: impl Into<String>, reason: ViolationReason, description: String) -> Self {
        Self { subject: subject.into(), reason, description, asked: None, keyword: "" }
    }

    fn cause(&self) -> Option<Cause> {
        self.asked.as_ref().and_then(|asked| asked.cause)
    }
}

/// The reason of a problem that a source's failure is.
pub fn reason_of(cause: Cause) -> ViolationReason {
    match cause.class() {
        FailureClass::Denied => ViolationReason::SourceDenied,
        FailureClass::Failed => ViolationReason::SourceFailed,
        FailureClass::Unavailable => ViolationReason::SourceUnavailable,
    }
}

/// A source's failure in words for people.
pub fn words_of(cause: Cause) -> &'static str {
    match cause {
        Cause::BadAnswer => "the source's answer makes no sense",
        Cause::Interrupted => "the connection to the source broke",
        Cause::LoginFailed => "the source refuses the daemon's login",
        Cause::NoSuchMount => "the source has no such mount",
        Cause::NotGranted => "no grant of paramd.yaml covers it",
        Cause::NotReady => "the source is sealed, on standby or starting",
        Cause::RateLimited => "the source was asked too often",
        Cause::Refused => "the source refuses the daemon",
        Cause::ServerError => "the source has a fault",
        Cause::Timeout => "the source took too long",
        Cause::Tls => "TLS to the source could not be set up",
        Cause::TooLarge => "the source's answer is over the limits",
        Cause::Unreachable => "the source can't be reached",
    }
}

/// The answer to an exact attempt that failed.
pub fn exact_refusal(failures: Vec<Failure>) -> Refusal {
    let is_gone =
        |reason| matches!(reason, ViolationReason::ValueGone | ViolationReason::NotRepeatable);
    match refusal(failures) {
        Refusal::ResolutionFailed(problems) if problems.iter().any(|one| is_gone(one.reason)) => {
            Refusal::ExactUnavailable(problems)
        }
        other => other,
    }
}

/// The answer to a resolution that failed. One that won't mend by waiting is
/// told before one that may.
pub fn refusal(mut failures: Vec<Failure>) -> Refusal {
    failures.sort_by(|a, b| a.subject.cmp(&b.subject));
    let problems: Vec<Problem> = failures
        .iter()
        .map(|failure| Problem {
            subject: failure.subject.clone(),
            reason: failure.reason,
            description: failure.description.clone(),
        })
        .collect();
    let lasting = |class| {
        failures.iter().find(|failure| failure.cause().is_some_and(|cause| cause.class() == class))
    };
    let answered = failures.iter().any(|failure| failure.cause().is_none());
    let first = lasting(FailureClass::Denied)
        .or_else(|| lasting(FailureClass::Failed))
        .or_else(|| lasting(FailureClass::Unavailable).filter(|_| !answered));
    match first.and_then(|failure| source_failure(failure, &failures)) {
        Some(failure) => Refusal::SourceFailed { failure, problems },
        None => Refusal::ResolutionFailed(problems),
    }
}

fn source_failure(first: &Failure, all: &[Failure]) -> Option<SourceFailure> {
    let asked = first.asked.as_ref()?;
    let cause = asked.cause?;
    let alike = |failure: &&Failure| {
        failure
            .asked
            .as_ref()
            .is_some_and(|other| other.source == asked.source && other.cause == asked.cause)
    };
    let parameters = all
        .iter()
        .filter(alike)
        .filter_map(|failure| ParameterName::parse(&failure.subject).ok())
        .collect();
    Some(SourceFailure {
        source: asked.kind,
        source_name: asked.source.to_string(),
        parameters,
        cause,
        retry_after: all.iter().filter(alike).filter_map(|f| f.asked.as_ref()?.retry_after).max(),
    })
}
