//! What the daemon does for a caller, apart from how the caller is spoken to.
//!
//! Each operation goes the way of a request: names → permission → work → audit
//! → answer. The gRPC edge turns messages into the requests of this module and
//! its answers and [`Refusal`]s back into messages.

mod access;
mod admission;
mod context;
mod delegate;
mod diff;
mod events;
mod explain;
mod extend;
mod failures;
mod flight;
mod life;
mod mark;
mod open;
mod pages;
mod pipelines;
mod polls;
mod ready;
mod record;
mod request;
mod resolve;
mod runs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Policies;
use crate::allowance::Allowance;
use crate::audit::verify::ChainReport;
use crate::audit::{Event, Principal};
use crate::definition::settings::Limits;
use crate::envelope::{About, Sealing};
use crate::name::{
    EnvironmentName, ParameterName, PipelineName, PresetName, RunKey, StepKey, StepName,
};
use crate::plan::Plans;
use crate::provenance::{Layer, SourceKind};
use crate::resolve::fetch::Sources;
use crate::secret::SecretBytes;
use crate::snapshot::{FrozenStep, Snapshot, Warning};
use crate::store::fingerprint::Fingerprints;
use crate::store::sealing::Sealer;
use crate::store::{Store, StoredRun};
use crate::telemetry::measure;
use crate::token::StepTokens;
use crate::value::PublicValue;
use arc_swap::ArcSwap;
use bytes::Bytes;
use flight::Flights;
use jiff::Timestamp;
use open::{LoadedRun, OpenRuns};
use polls::Polls;
use ready::AnswerKey;

pub use crate::refusal;
pub use crate::refusal::{Refusal, Violation, ViolationReason};
pub use crate::resolve::submission::{MalformedValue, Overrides, SecretOverride};
pub use crate::reveal::RevealedSecret;
pub use delegate::MAX_STEP_TOKEN_LIFETIME;
pub use failures::SubjectFailure;
pub use request::{
    ContextRequest, EventsRequest, ExplainRequest, MintRequest, PageRequest, ResolveRequest,
    RevealRequest, RunSelector, RunsRequest, WatchRequest, Weigh,
};
pub use watch::{Begin, Watch, Watched};

/// Who calls, as the edge found out.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The principal.
    pub principal: Principal,
    /// The groups that the credential vouches for.
    pub groups: Arc<[String]>,
    /// What his step token is good for, and nothing else; none: he shows none.
    pub step: Option<Arc<StepPass>>,
    /// The caller's W3C trace id; empty: none was sent.
    pub trace_id: String,
    /// When he called: all that is decided for the call is decided at this time.
    pub time: Timestamp,
}

/// What a step token lets its holder do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPass {
    /// The one step.
    pub step: StepKey,
    /// Whether its secrets are to leave sealed alone: the proof of who holds the
    /// token could be sent again by others.
    pub sealed_only: bool,
}

impl Caller {
    /// A caller, now, whose credential vouches for a name alone.
    pub fn new(principal: Principal, trace_id: String) -> Self {
        Self { principal, groups: Arc::default(), step: None, trace_id, time: Timestamp::now() }
    }
}

/// A run as it is answered.
#[derive(Clone)]
pub struct RunView {
    /// The run as it is kept; its sealed part is empty here.
    pub run: Arc<StoredRun>,
    /// What was frozen.
    pub snapshot: Arc<Snapshot>,
    /// Whether the caller may see fingerprints.
    pub fingerprints: bool,
}

/// A resolved run.
pub struct Resolved {
    /// The run.
    pub view: RunView,
    /// Whether this call made it.
    pub created: bool,
    /// The revision in force is not the one that was frozen.
    pub revision_changed: bool,
    loaded: Arc<LoadedRun>,
}

impl Resolved {
    /// The answer, encoded by `encode`; that of a replay is encoded once and then
    /// kept.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        if self.created {
            return encode(self);
        }
        let (fingerprints, revision_changed) = (self.view.fingerprints, self.revision_changed);
        let key = AnswerKey::Replayed { fingerprints, revision_changed };
        if let Some(kept) = self.loaded.ready.answer(&key) {
            return kept.answer;
        }
        let answer = encode(self);
        self.loaded
            .ready
            .keep_answer(key, EncodedAnswer { etag: Arc::default(), answer: answer.clone() });
        answer
    }
}

/// A step's view of its run, ready to be encoded.
pub struct ContextView<'a> {
    /// The run.
    pub run: &'a StoredRun,
    /// What was frozen.
    pub snapshot: &'a Snapshot,
    /// The step.
    pub step: &'a FrozenStep,
    /// Only the instance with this index.
    pub instance: Option<u32>,
    /// Whether the caller may see fingerprints.
    pub fingerprints: bool,
}

/// An answer as the edge encodes it.
#[derive(Clone)]
pub struct EncodedAnswer {
    /// Names this state of a step's view; empty for other answers.
    pub etag: Arc<str>,
    /// The whole answer.
    pub answer: Bytes,
}

/// What `GetContext` gives.
pub enum ContextAnswer {
    /// The view, encoded.
    Whole(Bytes),
    /// It is the one that the caller has.
    NotModified {
        /// Its etag.
        etag: Arc<str>,
    },
}

/// What a run would use and why.
pub struct Explanation {
    /// The revision.
    pub revision: String,
    /// One for each declared parameter, ordered by name.
    pub parameters: Vec<ParameterExplanation>,
    /// One for each step; instances are left out, `instance_count` says how many
    /// where it is known.
    pub steps: Vec<StepExplanation>,
    /// What the caller should mend.
    pub warnings: Vec<Warning>,
}

/// A step in an explanation.
pub struct StepExplanation {
    /// The step, decided as far as that is known.
    pub step: FrozenStep,
    /// How many instances; 0 where it is skipped or not known.
    pub instance_count: u32,
}

/// What one parameter would be, and why.
pub struct ParameterExplanation {
    /// Its name.
    pub name: ParameterName,
    /// What each layer binds, lowest first.
    pub candidates: Vec<Candidate>,
    /// The value, where it is public and known without asking a source.
    pub value: Option<PublicValue>,
    /// Why it is secret; empty: it is public.
    pub secrecy: Vec<crate::plan::SecrecyLink>,
}

/// What one layer binds a parameter to.
pub struct Candidate {
    /// The layer.
    pub layer: Layer,
    /// What becomes of it.
    pub fate: CandidateFate,
    /// What the layer gives.
    pub binding: CandidateBinding,
    /// The layer locks the parameter.
    pub locked: bool,
    /// `file:line`; empty for the request.
    pub place: String,
}

/// What becomes of a layer's binding; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum CandidateFate {
    /// It is used.
    Wins = 1,
    /// A higher layer binds the parameter too.
    Hidden = 2,
    /// The default, for the case that the source has no such value.
    Standby = 3,
}

/// What a layer gives.
pub enum CandidateBinding {
    /// A value of a public parameter.
    Value(PublicValue),
    /// A value of a secret one.
    Redacted,
    /// A source.
    Source {
        /// Its kind.
        kind: SourceKind,
        /// Its name in `paramd.yaml`; empty for templates.
        name: String,
        /// The place as the definition writes it, at most 1,024 characters.
        location: String,
        /// The parameters that it is computed from.
        computed_from: Vec<ParameterName>,
    },
}

/// A pipeline in a list.
pub struct PipelineSummary {
    /// Its name.
    pub name: PipelineName,
    /// What it does.
    pub description: String,
}

/// A page of pipelines.
pub struct PipelinePage {
    /// The pipelines.
    pub pipelines: Vec<PipelineSummary>,
    /// For the next page; empty: this is the last.
    pub next_token: String,
}

/// One pipeline in full.
pub struct PipelineView {
    /// Its name.
    pub name: PipelineName,
    /// What it does.
    pub description: String,
    /// The JSON Schema of its parameters, as text.
    pub parameters_schema: String,
    /// The presets.
    pub presets: BTreeMap<PresetName, BTreeMap<ParameterName, PublicValue>>,
    /// The steps, in an order that respects `needs`.
    pub steps: Vec<StepView>,
    /// The environments in which the caller may resolve it, with the revision.
    pub environments: Vec<(EnvironmentName, String)>,
    /// How long a run stays open.
    pub lifetime: Duration,
    /// The bundle in force.
    pub bundle: String,
}

/// A step as it is defined.
pub struct StepView {
    /// Its name.
    pub name: StepName,
    /// The steps before it.
    pub needs: Vec<StepName>,
    /// The text of `when`.
    pub condition: Option<String>,
    /// The parameters that it may see.
    pub parameters: Vec<ParameterName>,
    /// The lists of its matrix.
    pub matrix: Vec<String>,
    /// Whether it has a `run`.
    pub has_run: bool,
}

/// A page of events.
pub struct EventsAnswer {
    /// The events.
    pub events: Vec<Event>,
    /// For the next page; empty: this is the last.
    pub next_token: String,
    /// Whether the caller may see fingerprints.
    pub fingerprints: bool,
}

/// A failed resolution.
pub struct FailureView {
    /// When it was given up.
    pub time: jiff::Timestamp,
    /// The reason of the answer.
    pub reason: String,
    /// What was in the way, ordered by name.
    pub subjects: Vec<SubjectFailure>,
}

/// A page of runs.
pub struct RunsAnswer {
    /// The runs; their records are left out.
    pub runs: Vec<StoredRun>,
    /// For the next page; empty: this is the last.
    pub next_token: String,
}

/// What the check of the log found.
pub struct VerifyAnswer {
    /// The chains that were read.
    pub chains: Vec<ChainReport>,
    /// To go on; empty: all is read.
    pub next_token: String,
}

/// What `MintStepToken` gives.
pub struct StepTokenAnswer {
    /// The token, told this once.
    pub token: SecretBytes,
    /// The run, with the attempt that it is good for.
    pub run: RunKey,
    /// When it ends.
    pub expires: jiff::Timestamp,
}

/// What `RevealSecrets` gives.
pub struct Revealed {
    /// What was read.
    pub about: About,
    /// Set where the answer is to be sealed.
    pub sealing: Option<Sealing>,
    /// The secrets, in the order of the names asked for; ordered by name where
    /// all were.
    pub secrets: Vec<RevealedSecret>,
}

/// A bundle in force: its plans, who may do what, and its sources.
pub struct InForce {
    /// The compiled pipelines.
    pub plans: Plans,
    /// Who may do what.
    pub policies: Policies,
    /// The sources, ready to be read.
    pub sources: Sources,
    /// The longest that a run may stay open.
    pub maximum_lifetime: Duration,
    /// The budget of a resolution.
    pub resolve_timeout: Duration,
    /// How much may be asked for.
    pub limits: Limits,
}

/// The daemon without its edge.
pub struct Engine {
    in_force: ArcSwap<InForce>,
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    fingerprints: Arc<Fingerprints>,
    step_tokens: StepTokens,
    open: OpenRuns,
    flights: Arc<Flights>,
    polls: Polls,
    allowance: Allowance,
}

impl Engine {
    /// Over a store, with its keys.
    pub fn new(
        in_force: InForce,
        store: Arc<dyn Store>,
        sealer: Sealer,
        fingerprints: Fingerprints,
        step_tokens: StepTokens,
    ) -> Self {
        let allowance = Allowance::new(in_force.limits);
        Self {
            in_force: ArcSwap::from_pointee(in_force),
            store,
            sealer: Arc::new(sealer),
            fingerprints: Arc::new(fingerprints),
            step_tokens,
            open: OpenRuns::default(),
            flights: Arc::default(),
            polls: Polls::default(),
            allowance,
        }
    }

    /// The bundle in force.
    fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts another bundle in force. What has begun ends with what it began with.
    pub fn put_in_force(&self, next: InForce) {
        self.allowance.put_in_force(next.limits);
        self.in_force.store(Arc::new(next));
    }

    /// Counts the open runs, for who looks at metrics.
    pub fn count_open_runs(&self) {
        // What can't be counted stays as it was; requests tell of the store.
        if let Ok(count) = self.store.open_runs() {
            measure::open_runs(count);
        }
    }
}
