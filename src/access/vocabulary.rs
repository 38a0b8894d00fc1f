//! The shipped schema and the names in it, parsed once.

use std::str::FromStr as _;
use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema, Validator};

use super::Action;

/// The schema's text, as policy writers get it.
pub const SCHEMA: &str = include_str!("paramd.cedarschema");

/// All actions, in the order of the contract.
pub(super) const ACTIONS: [Action; 9] = [
    Action::Resolve,
    Action::Join,
    Action::Explain,
    Action::Read,
    Action::Reveal,
    Action::Complete,
    Action::Audit,
    Action::Fingerprints,
    Action::Delegate,
];

/// None: the shipped schema is broken, and everything is denied. A test says
/// that it isn't.
pub(super) static VOCABULARY: LazyLock<Option<Vocabulary>> = LazyLock::new(Vocabulary::parse);

/// Names of the schema, ready for use.
pub(super) struct Vocabulary {
    /// Checks policies.
    pub(super) validator: Validator,
    /// `Paramd::Daemon::"paramd"`.
    pub(super) daemon: EntityUid,
    principal: EntityTypeName,
    group: EntityTypeName,
    pipeline: EntityTypeName,
    run: EntityTypeName,
    step: EntityTypeName,
    parameter: EntityTypeName,
    action: EntityTypeName,
}

impl Action {
    /// The name that policies use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Join => "join",
            Self::Explain => "explain",
            Self::Read => "read",
            Self::Reveal | Self::RevealSealed => "reveal",
            Self::Complete => "complete",
            Self::Audit => "audit",
            Self::Fingerprints => "fingerprints",
            Self::Delegate => "delegate",
        }
    }
}

impl Action {
    /// Whether a run's own values are concerned, so that policies are told which
    /// parameters it binds.
    pub(super) fn knows_overridden(self) -> bool {
        match self {
            Self::Resolve
            | Self::Join
            | Self::Explain
            | Self::Reveal
            | Self::RevealSealed
            | Self::Delegate => true,
            Self::Read | Self::Complete | Self::Audit | Self::Fingerprints => false,
        }
    }
}

impl Vocabulary {
    fn parse() -> Option<Self> {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).ok()?;
        let kind = |name: &str| EntityTypeName::from_str(&format!("Paramd::{name}")).ok();
        Some(Self {
            validator: Validator::new(schema),
            daemon: uid(&kind("Daemon")?, "paramd"),
            principal: kind("Principal")?,
            group: kind("Group")?,
            pipeline: kind("Pipeline")?,
            run: kind("Run")?,
            step: kind("Step")?,
            parameter: kind("Parameter")?,
            action: kind("Action")?,
        })
    }

    pub(super) fn principal(&self, name: &str) -> EntityUid {
        uid(&self.principal, name)
    }

    pub(super) fn group(&self, name: &str) -> EntityUid {
        uid(&self.group, name)
    }

    pub(super) fn action(&self, action: Action) -> EntityUid {
        uid(&self.action, action.name())
    }

    pub(super) fn pipeline(&self, pipeline: &str) -> EntityUid {
        uid(&self.pipeline, pipeline)
    }

    pub(super) fn run(&self, pipeline: &str, run_id: &str) -> EntityUid {
        uid(&self.run, &format!("{pipeline}/{run_id}"))
    }

    pub(super) fn step(&self, pipeline: &str, run_id: &str, step: &str) -> EntityUid {
        uid(&self.step, &format!("{pipeline}/{run_id}/{step}"))
    }

    /// A step in whatever run: one slash, where one of a run has two or more.
    pub(super) fn step_in_any_run(&self, pipeline: &str, step: &str) -> EntityUid {
        uid(&self.step, &format!("{pipeline}/{step}"))
    }

    /// A secret of the pipeline, whatever the run: one slash, where an item of a
    /// step has three or more.
    pub(super) fn secret(&self, pipeline: &str, parameter: &str) -> EntityUid {
        uid(&self.parameter, &format!("{pipeline}/{parameter}"))
    }

    pub(super) fn item(&self, pipeline: &str, run_id: &str, step: &str, item: &str) -> EntityUid {
        uid(&self.parameter, &format!("{pipeline}/{run_id}/{step}/{item}"))
    }
}

/// Built from parts and never from text to parse: a name can hold quotes.
fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}
