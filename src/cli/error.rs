//! Errors of the command line, in one voice: what happened, every problem,
//! the way out.

use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::exit::Exit;
use super::text::escaped;

/// What an argument must look like, from a parser of our own: unlike clap's, it
/// never repeats what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Expected(pub(crate) String);

impl From<crate::name::NameError> for Expected {
    fn from(error: crate::name::NameError) -> Self {
        Self(error.to_string())
    }
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    /// The exit status that tells it.
    pub(crate) exit: Exit,
    /// The stable reason of the daemon's answer; empty: it is our own error.
    pub(crate) reason: String,
    /// How long to wait before it is tried again, if that helps.
    pub(crate) retry_after: Option<Duration>,
    message: String,
    problems: Vec<Problem>,
    help: Vec<String>,
}

/// One problem of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    /// The parameter, or the field of the request.
    subject: String,
    reason: String,
    description: String,
}

impl CliError {
    /// An error of our own.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            reason: String::new(),
            retry_after: None,
            message: message.into(),
            problems: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A command line that can't be understood.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Adds a line that names the way out.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds problems, a line each.
    pub(crate) fn with_problems(mut self, lines: Vec<String>) -> Self {
        self.problems.extend(lines.into_iter().map(|description| Problem {
            subject: String::new(),
            reason: String::new(),
            description,
        }));
        self
    }

    /// Whether the daemon finds this field of the request wrong.
    pub(crate) fn is_about(&self, field: &str) -> bool {
        self.problems.iter().any(|problem| problem.subject == field)
    }

    /// Calls the problems' subjects by the names that a person gave.
    pub(crate) fn with_subjects(mut self, named: impl Fn(&str) -> Option<String>) -> Self {
        for problem in &mut self.problems {
            if let Some(name) = named(&problem.subject) {
                problem.subject = name;
            }
        }
        self
    }

    /// Several errors of one command line as one.
    pub(crate) fn all(mut errors: Vec<Self>) -> Option<Self> {
        if errors.len() < 2 {
            return errors.pop();
        }
        let mut joined = Self::usage(format!("{} problems", errors.len()));
        for error in errors {
            joined.problems.push(Problem {
                subject: String::new(),
                reason: String::new(),
                description: error.message,
            });
            joined.help.extend(
                error
                    .help
                    .into_iter()
                    .filter(|line| !joined.help.contains(line))
                    .collect::<Vec<_>>(),
            );
        }
        Some(joined)
    }

    fn add_problems(&mut self, details: &ErrorDetails) {
        let fields = details.bad_request().map(|found| found.field_violations.as_slice());
        for violation in fields.unwrap_or_default() {
            self.problems.push(Problem {
                subject: subject(&violation.field),
                reason: violation.reason.clone(),
                description: violation.description.clone(),
            });
        }
        let conditions = details.precondition_failure().map(|found| found.violations.as_slice());
        for violation in conditions.unwrap_or_default() {
            self.problems.push(Problem {
                subject: violation.subject.clone(),
                reason: violation.r#type.clone(),
                description: violation.description.clone(),
            });
        }
    }
}

/// The name that a person knows a request's field by.
fn subject(field: &str) -> String {
    ["text_overrides.", "secret_overrides.", "overrides.", "parameters."]
        .iter()
        .find_map(|prefix| field.strip_prefix(prefix))
        .unwrap_or(field)
        .to_owned()
}

impl From<Status> for CliError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
        let mut error = if reason.is_empty() {
            Self::new(exit_from_below(status.code()), from_below(&status))
        } else {
            Self::new(exit_of(status.code()), status.message())
        };
        error.exit = exit_of_reason(&reason).unwrap_or(error.exit);
        error.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        error.add_problems(&details);
        if let Some(help) = help_for(&reason) {
            error.help.push(help.to_owned());
        }
        error.reason = reason;
        error
    }
}

/// An error that the service didn't make: its text comes from libraries, so
/// only its code is told.
fn from_below(status: &Status) -> String {
    match status.code() {
        Code::Unavailable | Code::Unknown => "the connection to the daemon broke off".to_owned(),
        Code::DeadlineExceeded | Code::Cancelled => "the daemon didn't answer in time".to_owned(),
        Code::Unimplemented => "the daemon doesn't know this command; it may be older".to_owned(),
        Code::OutOfRange | Code::ResourceExhausted => {
            "the request or its answer is larger than 4 MiB".to_owned()
        }
        code => format!("the daemon can't be understood ({code:?})"),
    }
}

fn exit_from_below(code: Code) -> Exit {
    match code {
        Code::Unavailable | Code::Unknown => Exit::Unreachable,
        code => exit_of(code),
    }
}

fn exit_of(code: Code) -> Exit {
    match code {
        Code::InvalidArgument | Code::OutOfRange => Exit::Invalid,
        Code::NotFound => Exit::NotFound,
        Code::AlreadyExists => Exit::Conflict,
        Code::PermissionDenied | Code::Unauthenticated => Exit::Denied,
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

fn exit_of_reason(reason: &str) -> Option<Exit> {
    match reason {
        "RUN_ENDED" | "ATTEMPT_OUT_OF_ORDER" | "REVISION_MISMATCH" | "STEP_SKIPPED" => {
            Some(Exit::Conflict)
        }
        "ANSWER_TOO_LARGE" => Some(Exit::Failed),
        _ => None,
    }
}

fn help_for(reason: &str) -> Option<&'static str> {
    match reason {
        "RUN_CONFLICT" => Some("give another --run-id, or the same request again"),
        "RUN_ENDED" => {
            Some("a run's name is never used again; `paramd runs show RUN` has its record")
        }
        "PIPELINE_NOT_FOUND" => Some("`paramd pipelines list` has those that you may see"),
        "ENVIRONMENT_NOT_FOUND" => {
            Some("`paramd pipelines show PIPELINE` has the environments that it runs in")
        }
        "RUN_NOT_FOUND" => Some("`paramd runs list` has those that you may see"),
        "STEP_NOT_FOUND" => Some("`paramd runs show RUN` has its steps"),
        "ATTEMPT_OUT_OF_ORDER" => {
            Some("attempts are numbered from 1; `paramd complete RUN OUTCOME` ends one")
        }
        "REVISION_MISMATCH" => {
            Some("a definition or a layer has changed; `paramd explain` shows what holds now")
        }
        "ACCESS_DENIED" => {
            Some("what is denied and what isn't there look alike; the audit log tells them apart")
        }
        "ANSWER_TOO_LARGE" => Some("ask for one instance with --instance, or for fewer names"),
        "SECRECY_MISMATCH" => {
            Some("secrets are given by --secret NAME=file:F, NAME=env:V or NAME=-")
        }
        "INTERNAL" => Some("the daemon's log has it under the incident"),
        _ => None,
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", escaped(&self.message))?;
        if !self.reason.is_empty() {
            write!(f, " [{}]", escaped(&self.reason))?;
        }
        for problem in &self.problems {
            f.write_str("\n  ")?;
            if !problem.subject.is_empty() {
                write!(f, "{}: ", escaped(&problem.subject))?;
            }
            f.write_str(&escaped(&problem.description))?;
            if !problem.reason.is_empty() {
                write!(f, " [{}]", escaped(&problem.reason))?;
            }
        }
        if let Some(delay) = self.retry_after {
            write!(f, "\n  help: try again in {} s", delay.as_secs().max(1))?;
        }
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {}", escaped(help)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_is_told_by_its_parameter() {
        let mut details = ErrorDetails::new();
        details.set_error_info("INVALID_REQUEST", "paramd", std::collections::HashMap::new());
        details.set_bad_request(vec![
            tonic_types::FieldViolation {
                reason: "INVALID_VALUE".into(),
                ..tonic_types::FieldViolation::new("text_overrides.epochs", "expected an integer")
            },
            tonic_types::FieldViolation {
                reason: "LATER".into(),
                ..tonic_types::FieldViolation::new("run.run_id", "a\u{1b}[2Jb")
            },
        ]);
        let status = Status::with_error_details(
            Code::InvalidArgument,
            "the request has 2 problems",
            details,
        );
        let error = CliError::from(status);
        assert_eq!(error.exit, Exit::Invalid);
        assert_eq!(
            error.to_string(),
            "error: the request has 2 problems [INVALID_REQUEST]\n  \
             epochs: expected an integer [INVALID_VALUE]\n  \
             run.run_id: a\\u{1b}[2Jb [LATER]"
        );
    }

    #[test]
    fn the_text_of_an_error_from_below_is_not_repeated() {
        let error = CliError::from(Status::unknown("transport error: hunter2"));
        assert_eq!(error.to_string(), "error: the connection to the daemon broke off");
    }

    #[test]
    fn several_errors_are_told_together() {
        let errors = vec![CliError::usage("a").with_help("h"), CliError::usage("b").with_help("h")];
        let text = CliError::all(errors).unwrap().to_string();
        assert_eq!(text, "error: 2 problems\n  a\n  b\n  help: h");
    }
}
