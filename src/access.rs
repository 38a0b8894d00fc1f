//! principal × action × resource → [`Permit`] or [`Denied`]: pure decisions by
//! Cedar policies. What isn't permitted is denied, and so is what can't be
//! decided without an error.

mod context;
mod decisions;
mod entities;
pub mod expectation;
pub mod explain;
mod limits;
mod members;
pub mod question;
mod read;
mod roles;
mod timed;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use cedar_policy::{
    AuthorizationError, Authorizer, Decision, Policy, PolicyId, PolicySet, Response,
};
use jiff::Timestamp;

use crate::audit::Principal;
use crate::definition::{Bundle, Groups, PolicyFile};
use crate::name::{EnvironmentName, ParameterName, PipelineName, PresetName, StepKey};
use crate::yaml::Place;
use crate::yaml::diagnostic::Problems;
use decisions::{Decided, Decisions};
use members::Members;
use read::Checked;
use timed::Timed;
use vocabulary::{VOCABULARY, Vocabulary};

pub use roles::ROLES;
pub use vocabulary::SCHEMA;

/// The id under which the audit log shows what `serve --dev` permits. No policy
/// of a file may have it.
pub const DEV_POLICY: &str = "dev";

/// The id of the policy that ships with paramd: what a step token is good for. No
/// policy of a file may have it.
pub const STEP_TOKEN_POLICY: &str = "step-token";

/// What a caller wants to do. Which rpc is which action says `Action` in
/// `audit.proto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Resolve a run of one's own.
    Resolve,
    /// Be answered for another principal's run.
    Join,
    /// See what would be used, and why.
    Explain,
    /// Read pipelines, runs and contexts.
    Read,
    /// Get secret bytes as they are.
    Reveal,
    /// Get secret bytes sealed to a key of one's own. The same action for policies,
    /// with `sealed` in its context.
    RevealSealed,
    /// End or extend a run.
    Complete,
    /// Read and check the audit log.
    Audit,
    /// See fingerprints of secrets in any answer.
    Fingerprints,
    /// Have a token made for a step.
    Delegate,
}

/// What it is to be done with.
#[derive(Debug, Clone, Copy)]
pub enum Resource<'a> {
    /// The daemon as a whole.
    Daemon,
    /// A pipeline.
    Pipeline(&'a PipelineName),
    /// A run, in its pipeline.
    Run {
        /// The pipeline.
        pipeline: &'a PipelineName,
        /// The run as given, well formed.
        run_id: &'a str,
    },
    /// A step, in its run.
    Step {
        /// The pipeline.
        pipeline: &'a PipelineName,
        /// The run as given, well formed.
        run_id: &'a str,
        /// The step.
        step: &'a str,
    },
    /// A parameter or revealable item, in its step and in what it is made of.
    Parameter {
        /// The pipeline.
        pipeline: &'a PipelineName,
        /// The run as given, well formed.
        run_id: &'a str,
        /// The step.
        step: &'a str,
        /// A parameter's name, `env.NAME` or `files.NAME`.
        item: &'a str,
        /// The secret parameters that it is computed from, itself included.
        secrets: &'a [ParameterName],
    },
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// The groups that his credential vouches for.
    pub groups: &'a [String],
    /// The one step that his step token is good for, if that is what he shows.
    pub step: Option<&'a StepKey>,
    /// To do what.
    pub action: Action,
    /// With what.
    pub resource: Resource<'a>,
    /// In which environment, where one is concerned.
    pub environment: Option<&'a EnvironmentName>,
    /// With which preset, where one is concerned.
    pub preset: Option<&'a PresetName>,
    /// The parameters that the run binds itself, ordered; of actions that don't
    /// depend on a run's values none.
    pub overridden: &'a [ParameterName],
    /// When: one time for all that is asked for one request.
    pub time: Timestamp,
}

impl<'a> Request<'a> {
    /// A question with nothing but who, what and with what, at this time.
    pub fn new(
        principal: &'a Principal,
        action: Action,
        resource: Resource<'a>,
        time: Timestamp,
    ) -> Self {
        Self {
            principal,
            groups: &[],
            step: None,
            action,
            resource,
            environment: None,
            preset: None,
            overridden: &[],
            time,
        }
    }
}

/// Policies that passed every check against the shipped schema. The default has
/// none, and denies everything.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// The checked policies, by their ids.
    set: PolicySet,
    /// The principal that may do all under `serve --dev`.
    dev: Option<Principal>,
    /// Who is in which group by `paramd.yaml`.
    members: Members,
    /// What depends on the time, and so isn't remembered.
    timed: Timed,
    /// Where each policy is written, by its id.
    places: Arc<BTreeMap<String, Place>>,
    /// What these policies decided before.
    decisions: Arc<Decisions>,
}

/// Proof that a policy permits an action, and on which item. Only
/// [`Policies::decide`] makes one.
#[derive(Debug)]
#[must_use = "a permission that nobody demands protects nothing"]
pub struct Permit {
    action: Action,
    item: Option<String>,
    /// What was asked about, see [`Resource::path`].
    path: String,
    policy_ids: Arc<[String]>,
}

/// No permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The policies that forbade it or failed, ordered; empty: none permits it.
    pub policy_ids: Vec<String>,
    /// Whether a policy failed, which denies whatever the others say.
    pub errors: bool,
}

impl Resource<'_> {
    /// Its names, joined by what no name can hold.
    fn path(&self) -> String {
        match *self {
            Self::Daemon => String::new(),
            Self::Pipeline(pipeline) => pipeline.as_str().to_owned(),
            Self::Run { pipeline, run_id } => [pipeline.as_str(), run_id].join("\0"),
            Self::Step { pipeline, run_id, step } => [pipeline.as_str(), run_id, step].join("\0"),
            Self::Parameter { pipeline, run_id, step, item, .. } => {
                [pipeline.as_str(), run_id, step, item].join("\0")
            }
        }
    }
}

impl Permit {
    /// The policies that permitted it, ordered.
    pub fn policy_ids(&self) -> &[String] {
        &self.policy_ids
    }

    /// Whether this is the permission for `action` on this very item; none: on
    /// what isn't a parameter.
    pub fn covers(&self, action: Action, item: Option<&str>) -> bool {
        self.action == action && self.item.as_deref() == item
    }

    /// Whether it was given for this very resource: a permission for one run is
    /// none for another.
    pub fn is_about(&self, resource: &Resource<'_>) -> bool {
        self.path == resource.path()
    }

    fn new(request: &Request<'_>, policy_ids: Arc<[String]>) -> Self {
        let item = match request.resource {
            Resource::Parameter { item, .. } => Some(item.to_owned()),
            _ => None,
        };
        let path = request.resource.path();
        Self { action: request.action, item, path, policy_ids }
    }
}

impl Policies {
    /// The policies of a bundle, with its groups; problems as [`Self::read`].
    pub fn of(bundle: &Bundle, problems: &mut Problems) -> Self {
        if !problems.has_errors() {
            roles::check_steps(&bundle.roles, &bundle.pipelines, problems);
        }
        Self::checked(read::read(&bundle.policies, &bundle.roles, problems))
            .with_groups(&bundle.settings.groups)
    }

    /// Parses and checks policy files. A file's problem goes to `problems` with
    /// its place; with an error anywhere the result denies everything, because
    /// a `forbid` could be what is missing.
    pub fn read(files: &[PolicyFile], problems: &mut Problems) -> Self {
        Self::checked(read::read(files, &[], problems))
    }

    fn checked(Checked { set, timed, places }: Checked) -> Self {
        Self { set, timed, places: Arc::new(places), ..Self::default() }
    }

    /// Knows who is in which group.
    #[must_use]
    pub fn with_groups(self, groups: &Groups) -> Self {
        Self { members: Members::of(groups), decisions: Arc::default(), ..self }
    }

    /// Lets this uid do all, whatever the files forbid: for `serve --dev`.
    #[must_use]
    pub fn with_dev_user(self, uid: u32) -> Self {
        Self { dev: Some(Principal::unix_user(uid)), ..self }
    }

    /// Whether nobody could ever be permitted anything.
    pub fn is_empty(&self) -> bool {
        let shipped = |policy: &Policy| *policy.id() == PolicyId::new(STEP_TOKEN_POLICY);
        self.set.policies().all(shipped) && self.dev.is_none()
    }

    /// Where a policy is written, or the role given, by its id.
    pub fn place(&self, id: &str) -> Option<&Place> {
        self.places.get(id)
    }

    /// Whether a decision on this action depends on the time.
    pub fn is_timed(&self, action: Action) -> bool {
        self.timed.concerns(action)
    }

    /// Decides one question.
    ///
    /// # Errors
    /// No policy permits it, one forbids it, or one fails.
    pub fn decide(&self, request: &Request<'_>) -> Result<Permit, Denied> {
        if request.step.is_some_and(|step| !is_within(step, request)) {
            return Err(Denied { policy_ids: Vec::new(), errors: false });
        }
        if self.dev.as_ref() == Some(request.principal) {
            return Ok(Permit::new(request, Arc::from([DEV_POLICY.to_owned()])));
        }
        let Decided { permitted, policy_ids, errors } = match self.timed.concerns(request.action) {
            // What was decided a moment ago may be out of date.
            true => self.decided(request),
            false => self.decisions.of(request, || self.decided(request)),
        };
        match permitted {
            true => Ok(Permit::new(request, policy_ids)),
            false => Err(Denied { policy_ids: policy_ids.to_vec(), errors }),
        }
    }

    fn decided(&self, request: &Request<'_>) -> Decided {
        let response = VOCABULARY.as_ref().and_then(|vocabulary| self.ask(vocabulary, request));
        // What can't even be asked is denied.
        let Some(response) = response else {
            return Decided { permitted: false, policy_ids: Arc::default(), errors: true };
        };
        let errors = response.diagnostics().errors().next().is_some();
        let permitted = response.decision() == Decision::Allow && !errors;
        Decided { permitted, policy_ids: policy_ids(&response).into(), errors }
    }

    fn ask(&self, vocabulary: &Vocabulary, request: &Request<'_>) -> Option<Response> {
        static AUTHORIZER: LazyLock<Authorizer> = LazyLock::new(Authorizer::new);
        let groups = self.members.groups(&request.principal.name, request.groups);
        let (resource, entities) =
            entities::build(vocabulary, request.principal, &groups, &request.resource)?;
        let principal = vocabulary.principal(&request.principal.name);
        let action = vocabulary.action(request.action);
        let context = context::of(request, self.timed.concerns(request.action))?;
        let asked = cedar_policy::Request::new(principal, action, resource, context, None).ok()?;
        Some(AUTHORIZER.is_authorized(&asked, &self.set, &entities))
    }
}

/// Whether a step token can be good for this at all, whatever the policies say.
fn is_within(scope: &StepKey, request: &Request<'_>) -> bool {
    let good_for = matches!(
        request.action,
        Action::Read | Action::Reveal | Action::RevealSealed | Action::Fingerprints
    );
    let (of, run, named) = match request.resource {
        Resource::Step { pipeline, run_id, step }
        | Resource::Parameter { pipeline, run_id, step, .. } => (pipeline, run_id, step),
        Resource::Daemon | Resource::Pipeline(_) | Resource::Run { .. } => return false,
    };
    let StepKey { run: key, step } = scope;
    good_for && *of == key.pipeline && run == key.run_id.as_str() && named == step.as_str()
}

/// The policies that decided; where some failed, those alone.
fn policy_ids(response: &Response) -> Vec<String> {
    let diagnostics = response.diagnostics();
    let mut ids: Vec<String> = diagnostics
        .errors()
        .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string())
        .collect();
    if ids.is_empty() {
        ids = diagnostics.reason().map(ToString::to_string).collect();
    }
    ids.sort_unstable();
    ids
}
