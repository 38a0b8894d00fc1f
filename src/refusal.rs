//! Why a caller is refused: the contract's table of errors, as one type.
//!
//! No refusal holds a value, and a name only where it could be one.

use std::time::Duration;

use crate::name::{ParameterName, RunKey};
use crate::provenance::SourceKind;
use crate::source::Cause;
use crate::store::RunEnd;

/// A refusal. The edge turns each into its status by one exhaustive match.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// No credential, or one that isn't good.
    Unauthenticated,
    /// Asked too often.
    RateLimited {
        /// Which limit it was.
        limit: &'static str,
        /// Whose limit: `principal`, `all`, of failed logins `place`, of step tokens
        /// `run`.
        of: &'static str,
        /// When to ask again.
        retry_after: Duration,
    },
    /// Not permitted, or not there. A reveal tells the names that it refuses.
    AccessDenied {
        /// Fields of the request, such as `names[2]`.
        fields: Vec<Violation>,
    },
    /// The request is wrong whatever a source would say.
    Invalid(Vec<Violation>),
    /// The access can't be recorded.
    AuditUnavailable,
    /// The store doesn't answer.
    StoreUnavailable,
    /// The daemon is starting or stopping.
    NotServing,
    /// A fault of paramd; the log has it under the incident.
    Internal {
        /// Names the incident.
        incident: String,
    },
    /// No pipeline has this name.
    PipelineNotFound {
        /// The name that was asked for.
        pipeline: String,
    },
    /// There is no such environment, or the pipeline doesn't run in it.
    EnvironmentNotFound {
        /// The pipeline.
        pipeline: String,
        /// The name that was asked for.
        environment: String,
    },
    /// No such run.
    RunNotFound {
        /// The pipeline.
        pipeline: String,
        /// The run.
        run_id: String,
        /// The attempt that was asked for.
        attempt: u32,
    },
    /// The run's plan has no such step.
    StepNotFound {
        /// The pipeline.
        pipeline: String,
        /// The name that was asked for.
        step: String,
    },
    /// The name stands for another request.
    RunConflict {
        /// The run.
        run: RunKey,
        /// The fields that differ, such as `overrides.epochs`.
        differs: Vec<String>,
    },
    /// Not the revision that was expected.
    RevisionMismatch {
        /// The one that is frozen or in force.
        revision: String,
    },
    /// The attempt before this one hasn't ended, or doesn't exist.
    AttemptOutOfOrder {
        /// The newest attempt; 0: there is none.
        newest: u32,
        /// How it ended; none while it is open, or where there is none.
        end: Option<RunEnd>,
    },
    /// The attempt before can't be repeated exactly: the parameters why.
    ExactUnavailable(Vec<Problem>),
    /// The sources answered, and what they gave isn't fit.
    ResolutionFailed(Vec<Problem>),
    /// A source failed.
    SourceFailed {
        /// The failure that is told first.
        failure: SourceFailure,
        /// Every problem, that of other sources too.
        problems: Vec<Problem>,
    },
    /// The run was completed or has expired.
    RunEnded {
        /// How.
        end: RunEnd,
    },
    /// A step that doesn't run needs no secrets.
    StepSkipped {
        /// The step.
        step: String,
    },
    /// Answers can't be sealed with this suite.
    SealingUnsupported,
    /// The policies allow it only sealed.
    SealingRequired,
    /// Ask for one instance, or for fewer names.
    AnswerTooLarge {
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The token points to events that retention removed.
    PositionGone,
    /// What is stored was changed, or its key is gone.
    SnapshotUnreadable {
        /// The run.
        run: RunKey,
    },
}

/// What a source's failure tells the caller.
#[derive(Debug, Clone)]
pub struct SourceFailure {
    /// The kind.
    pub source: SourceKind,
    /// The name in `paramd.yaml`.
    pub source_name: String,
    /// The parameters concerned.
    pub parameters: Vec<ParameterName>,
    /// Why.
    pub cause: Cause,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// One problem of a request: a `BadRequest` field violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A path in the request, such as `overrides.layers/1`.
    pub field: String,
    /// The reason.
    pub reason: ViolationReason,
    /// What was expected, in our own words.
    pub description: String,
}

/// One problem after submission: a `PreconditionFailure` violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The parameter, or the field of a rule such as `rules[0]`.
    pub subject: String,
    /// The reason.
    pub reason: ViolationReason,
    /// What went wrong, in our own words.
    pub description: String,
}

/// The contract's reasons of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationReason {
    /// A field of the request itself is missing.
    MissingField,
    /// A field of the request itself is wrong.
    InvalidField,
    /// No such preset.
    UnknownPreset,
    /// A name or nested property that isn't declared.
    UnknownParameter,
    /// In two of the override fields, or by its name and an alias.
    DuplicateParameter,
    /// Required, and no layer binds it.
    MissingParameter,
    /// The declaration's `override` forbids it.
    OverrideNotAllowed,
    /// A layer locks it.
    ParameterLocked,
    /// A secret's value outside `secret_overrides`, or a public one inside.
    SecrecyMismatch,
    /// Not of the declared type, or against its schema.
    InvalidValue,
    /// A rule over parameters.
    RuleViolated,
    /// Undefined, over its limits, or not text.
    TemplateFailed,
    /// The source never had such a value, and there is no default.
    NoSuchValue,
    /// It was deleted or destroyed.
    ValueGone,
    /// For an exact attempt: the source has no versions.
    NotRepeatable,
    /// A source or grant refuses the daemon.
    SourceDenied,
    /// A source gave no usable answer.
    SourceFailed,
    /// A source can't be reached.
    SourceUnavailable,
    /// Not permitted or not there.
    AccessDenied,
}

impl ViolationReason {
    /// The contract's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::MissingField => "MISSING_FIELD",
            Self::InvalidField => "INVALID_FIELD",
            Self::UnknownPreset => "UNKNOWN_PRESET",
            Self::UnknownParameter => "UNKNOWN_PARAMETER",
            Self::DuplicateParameter => "DUPLICATE_PARAMETER",
            Self::MissingParameter => "MISSING_PARAMETER",
            Self::OverrideNotAllowed => "OVERRIDE_NOT_ALLOWED",
            Self::ParameterLocked => "PARAMETER_LOCKED",
            Self::SecrecyMismatch => "SECRECY_MISMATCH",
            Self::InvalidValue => "INVALID_VALUE",
            Self::RuleViolated => "RULE_VIOLATED",
            Self::TemplateFailed => "TEMPLATE_FAILED",
            Self::NoSuchValue => "NO_SUCH_VALUE",
            Self::ValueGone => "VALUE_GONE",
            Self::NotRepeatable => "NOT_REPEATABLE",
            Self::SourceDenied => "SOURCE_DENIED",
            Self::SourceFailed => "SOURCE_FAILED",
            Self::SourceUnavailable => "SOURCE_UNAVAILABLE",
            Self::AccessDenied => "ACCESS_DENIED",
        }
    }
}

impl Refusal {
    /// The contract's reason: `ErrorInfo.reason`.
    pub fn reason(&self) -> &'static str {
        use crate::source::FailureClass;
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::RateLimited { .. } => "RATE_LIMITED",
            Self::AccessDenied { .. } => "ACCESS_DENIED",
            Self::Invalid(_) => "INVALID_REQUEST",
            Self::AuditUnavailable => "AUDIT_UNAVAILABLE",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::NotServing => "NOT_SERVING",
            Self::Internal { .. } => "INTERNAL",
            Self::PipelineNotFound { .. } => "PIPELINE_NOT_FOUND",
            Self::EnvironmentNotFound { .. } => "ENVIRONMENT_NOT_FOUND",
            Self::RunNotFound { .. } => "RUN_NOT_FOUND",
            Self::StepNotFound { .. } => "STEP_NOT_FOUND",
            Self::RunConflict { .. } => "RUN_CONFLICT",
            Self::RevisionMismatch { .. } => "REVISION_MISMATCH",
            Self::AttemptOutOfOrder { .. } => "ATTEMPT_OUT_OF_ORDER",
            Self::ExactUnavailable(_) => "EXACT_UNAVAILABLE",
            Self::ResolutionFailed(_) => "RESOLUTION_FAILED",
            Self::SourceFailed { failure, .. } => match failure.cause.class() {
                FailureClass::Denied => "SOURCE_DENIED",
                FailureClass::Failed => "SOURCE_FAILED",
                FailureClass::Unavailable => "SOURCE_UNAVAILABLE",
            },
            Self::RunEnded { .. } => "RUN_ENDED",
            Self::StepSkipped { .. } => "STEP_SKIPPED",
            Self::SealingUnsupported => "SEALING_UNSUPPORTED",
            Self::SealingRequired => "SEALING_REQUIRED",
            Self::AnswerTooLarge { .. } => "ANSWER_TOO_LARGE",
            Self::PositionGone => "POSITION_GONE",
            Self::SnapshotUnreadable { .. } => "SNAPSHOT_UNREADABLE",
        }
    }
}
