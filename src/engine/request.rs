//! What callers ask for, as the edge took it from their messages.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Begin, Overrides, Violation};
use crate::envelope::Form;
use crate::store::{AttemptMode, EventQuery, RunQuery};
use crate::token::Holder;

/// What names a run in a request, not yet checked.
#[derive(Clone)]
pub struct RunSelector {
    /// The pipeline.
    pub pipeline: String,
    /// The run.
    pub run_id: String,
    /// The attempt; 0: the newest.
    pub attempt: u32,
}

/// `ResolveRun`.
#[derive(Clone)]
pub struct ResolveRequest {
    /// The run; attempt 0 means the first.
    pub run: RunSelector,
    /// The environment.
    pub environment: String,
    /// The preset; empty: none.
    pub preset: String,
    /// The values.
    pub overrides: Overrides,
    /// The caller's own date for the run.
    pub logical_date: Option<Timestamp>,
    /// How an attempt after the first takes over the values of the one before.
    pub mode: Option<AttemptMode>,
    /// Free labels, within their limits.
    pub labels: BTreeMap<String, String>,
    /// How long the run may stay open.
    pub lifetime: Option<Duration>,
    /// The revision that the caller expects; empty: any.
    pub expected_revision: String,
    /// Problems that the edge found already (fields that this daemon can't
    /// serve, malformed durations).
    pub problems: Vec<Violation>,
}

/// `ExplainRun`.
#[derive(Clone)]
pub struct ExplainRequest {
    /// The pipeline.
    pub pipeline: String,
    /// The environment.
    pub environment: String,
    /// The preset; empty: none.
    pub preset: String,
    /// The values.
    pub overrides: Overrides,
    /// The date that the run would be for.
    pub logical_date: Option<Timestamp>,
    /// Problems that the edge found already.
    pub problems: Vec<Violation>,
}

/// `GetContext`.
#[derive(Clone)]
pub struct ContextRequest {
    /// The run.
    pub run: RunSelector,
    /// The step.
    pub step: String,
    /// Only this instance.
    pub instance: Option<u32>,
    /// The etag of an earlier answer; empty: none.
    pub if_none_match: String,
}

/// `RevealSecrets`.
#[derive(Clone)]
pub struct RevealRequest {
    /// The run.
    pub run: RunSelector,
    /// The step.
    pub step: String,
    /// Only this instance.
    pub instance: Option<u32>,
    /// The secrets asked for.
    pub names: Vec<String>,
    /// All that the step may see.
    pub all: bool,
    /// How the answer is to leave.
    pub form: Form,
    /// Problems that the edge found already.
    pub problems: Vec<Violation>,
}

/// `MintStepToken`.
#[derive(Clone)]
pub struct MintRequest {
    /// The run.
    pub run: RunSelector,
    /// The step.
    pub step: String,
    /// Whose the token is to be; none where that is among the problems.
    pub holder: Option<Holder>,
    /// How long it is to live.
    pub lifetime: Duration,
    /// Problems that the edge found already.
    pub problems: Vec<Violation>,
}

/// How many bytes an entry has in an answer.
pub type Weigh<T> = fn(&T) -> usize;

/// A page of something.
#[derive(Clone, Default)]
pub struct PageRequest {
    /// The most entries wanted; 0: the default. Negative sizes are refused.
    pub size: i32,
    /// The last answer's token; empty: the first page.
    pub token: String,
}

/// `ListRuns`.
#[derive(Clone, Default)]
pub struct RunsRequest {
    /// Which page.
    pub page: PageRequest,
    /// Which runs; its position and limit are the engine's to fill in.
    pub query: RunQuery,
    /// Problems that the edge found already.
    pub problems: Vec<Violation>,
}

/// `ListEvents`.
#[derive(Clone, Default)]
pub struct EventsRequest {
    /// Which page.
    pub page: PageRequest,
    /// Which events; its position and limit are the engine's to fill in.
    pub query: EventQuery,
    /// Problems that the edge found already.
    pub problems: Vec<Violation>,
}

/// `WatchEvents`.
#[derive(Debug, Clone)]
pub struct WatchRequest {
    /// Which events; its place and limit are the engine's to fill in.
    pub query: EventQuery,
    /// Where to begin.
    pub begin: Begin,
    /// Problems that the edge found already.
    pub problems: Vec<Violation>,
}
