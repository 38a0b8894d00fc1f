//! Questions as people write them, for whoever tries policies without a daemon.

use jiff::Timestamp;

use super::vocabulary::ACTIONS;
use super::{Action, Request, Resource};
use crate::audit::PrincipalKind;
use crate::name::{EnvironmentName, ParameterName, PipelineName, PresetName, RunId, StepName};

pub use crate::audit::Principal;

/// A question with all of it owned.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub principal: Principal,
    /// The groups that his credential vouches for.
    pub groups: Vec<String>,
    /// To do what.
    pub action: Action,
    /// With what.
    pub subject: Subject,
    /// In which environment, where one is concerned.
    pub environment: Option<EnvironmentName>,
    /// With which preset, where one is concerned.
    pub preset: Option<PresetName>,
    /// The parameters that the run binds itself, ordered.
    pub overridden: Vec<ParameterName>,
    /// When.
    pub time: Timestamp,
}

/// What something may be done with, by its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The daemon.
    Daemon,
    /// A pipeline.
    Pipeline(PipelineName),
    /// A run, whether or not there is one.
    Run(PipelineName, RunId),
    /// A step of it.
    Step(PipelineName, RunId, StepName),
    /// What a step can be given.
    Item {
        /// The pipeline.
        pipeline: PipelineName,
        /// The run.
        run_id: RunId,
        /// The step.
        step: StepName,
        /// A parameter's name, `env.NAME` or `files.NAME`.
        item: String,
        /// The secret parameters that it is computed from.
        secrets: Vec<ParameterName>,
    },
}

/// What a subject looks like.
pub const SUBJECT: &str =
    "`daemon`, PIPELINE, PIPELINE/RUN_ID, PIPELINE/RUN_ID/STEP or PIPELINE/RUN_ID/STEP/NAME";

/// The word of the daemon itself.
const DAEMON: &str = "daemon";

impl Subject {
    /// Reads its text form, see [`SUBJECT`]. A run's id with a `/` in it can't be said
    /// so; no policy tells it from another.
    pub fn parse(text: &str) -> Option<Self> {
        if text == DAEMON {
            return Some(Self::Daemon);
        }
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let pipeline = PipelineName::parse(parts.first()?).ok()?;
        let run_id = parts.get(1).map(|part| RunId::parse(part)).transpose().ok()?;
        let step = parts.get(2).map(|part| StepName::parse(part)).transpose().ok()?;
        let item = parts.get(3).filter(|item| !item.chars().any(char::is_control));
        Some(match (run_id, step, item, parts.len()) {
            (None, ..) => Self::Pipeline(pipeline),
            (Some(run_id), None, ..) => Self::Run(pipeline, run_id),
            (Some(run_id), Some(step), None, 3) => Self::Step(pipeline, run_id, step),
            (Some(run_id), Some(step), Some(item), _) if !item.is_empty() => {
                Self::Item { pipeline, run_id, step, item: (*item).to_owned(), secrets: Vec::new() }
            }
            _ => return None,
        })
    }

    /// What is asked of the policies.
    pub fn resource(&self) -> Resource<'_> {
        match self {
            Self::Daemon => Resource::Daemon,
            Self::Pipeline(pipeline) => Resource::Pipeline(pipeline),
            Self::Run(pipeline, run_id) => Resource::Run { pipeline, run_id: run_id.as_str() },
            Self::Step(pipeline, run_id, step) => {
                Resource::Step { pipeline, run_id: run_id.as_str(), step: step.as_str() }
            }
            Self::Item { pipeline, run_id, step, item, secrets } => Resource::Parameter {
                pipeline,
                run_id: run_id.as_str(),
                step: step.as_str(),
                item,
                secrets,
            },
        }
    }

    /// The pipeline; none: it is the daemon.
    pub fn pipeline(&self) -> Option<&PipelineName> {
        match self {
            Self::Daemon => None,
            Self::Pipeline(pipeline)
            | Self::Run(pipeline, _)
            | Self::Step(pipeline, ..)
            | Self::Item { pipeline, .. } => Some(pipeline),
        }
    }
}

impl Action {
    /// The one of this name; `reveal` is one in the open.
    pub fn named(name: &str) -> Option<Self> {
        ACTIONS.into_iter().find(|action| action.name() == name)
    }

    /// The names of all, in the order of the contract.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ACTIONS.into_iter().map(Self::name)
    }

    /// What it is asked of: what else it were asked of, no policy could permit.
    pub fn subjects(self) -> &'static str {
        match self {
            Self::Resolve | Self::Join | Self::Complete => "a run",
            Self::Explain => "a pipeline",
            Self::Read => "a pipeline, a run or a step",
            Self::Delegate => "a step",
            Self::Reveal | Self::RevealSealed => "a step or what it is given",
            Self::Audit => "the daemon or a pipeline",
            Self::Fingerprints => "the daemon, a run or a step",
        }
    }

    /// Whether it is asked of such a thing.
    pub fn is_asked_of(self, subject: &Subject) -> bool {
        use Subject::{Daemon, Item, Pipeline, Run, Step};
        match self {
            Self::Resolve | Self::Join | Self::Complete => matches!(subject, Run(..)),
            Self::Explain => matches!(subject, Pipeline(_)),
            Self::Read => matches!(subject, Pipeline(_) | Run(..) | Step(..)),
            Self::Delegate => matches!(subject, Step(..)),
            Self::Reveal | Self::RevealSealed => matches!(subject, Step(..) | Item { .. }),
            Self::Audit => matches!(subject, Daemon | Pipeline(_)),
            Self::Fingerprints => matches!(subject, Daemon | Run(..) | Step(..)),
        }
    }
}

/// The kinds that a principal of policies can be of, with the words for them.
const KINDS: [(&str, PrincipalKind); 5] = [
    ("unix_user", PrincipalKind::UnixUser),
    ("certificate", PrincipalKind::Certificate),
    ("token", PrincipalKind::Token),
    ("jwt", PrincipalKind::Jwt),
    ("step_token", PrincipalKind::StepToken),
];

/// The words for the kinds of principals.
pub fn kinds() -> [&'static str; 5] {
    KINDS.map(|(word, _)| word)
}

/// The kind of this word.
pub fn kind(word: &str) -> Option<PrincipalKind> {
    KINDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
}

/// The kind that a principal's name tells.
pub fn kind_of(name: &str) -> Option<PrincipalKind> {
    let begins = |beginning: &str| name.starts_with(beginning);
    match name {
        _ if begins("uid:") => Some(PrincipalKind::UnixUser),
        _ if begins("token:") => Some(PrincipalKind::Token),
        _ if begins("step-token:") => Some(PrincipalKind::StepToken),
        _ if begins("jwt:") => Some(PrincipalKind::Jwt),
        _ if begins("spiffe://") || name.contains('=') => Some(PrincipalKind::Certificate),
        _ => None,
    }
}

impl Question {
    /// As the policies are asked.
    pub fn request(&self) -> Request<'_> {
        Request {
            groups: &self.groups,
            environment: self.environment.as_ref(),
            preset: self.preset.as_ref(),
            overridden: &self.overridden,
            ..Request::new(&self.principal, self.action, self.subject.resource(), self.time)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use cedar_policy::{Context, Request as Asked, Schema};

    use super::*;
    use crate::access::context;
    use crate::access::vocabulary::VOCABULARY;

    const TEXTS: [&str; 5] = ["daemon", "train", "train/1", "train/1/fit", "train/1/fit/env.A"];

    #[test]
    fn a_subject_is_said_by_its_names() {
        for text in TEXTS {
            let subject = Subject::parse(text).unwrap();
            let path = subject.resource().path().replace('\0', "/");
            assert_eq!(if path.is_empty() { "daemon" } else { &path }, text);
        }
        let nested = Subject::parse("train/1/fit/files.a/b").unwrap();
        assert!(matches!(nested, Subject::Item { item, .. } if item == "files.a/b"));
        for text in
            ["", "/", "Train", "train/", "train//fit", "train/1/", "train/1/fit/", "t/1/f/\n"]
        {
            assert_eq!(Subject::parse(text), None, "{text}");
        }
    }

    /// The shipped schema says the same.
    #[test]
    fn what_is_asked_of_what_is_what_the_schema_says() {
        let schema = Schema::from_str(crate::access::SCHEMA).unwrap();
        let vocabulary = VOCABULARY.as_ref().unwrap();
        let principal = Principal::unix_user(1);
        for action in ACTIONS.into_iter().chain([Action::RevealSealed]) {
            for text in TEXTS {
                let subject = Subject::parse(text).unwrap();
                let request =
                    Request::new(&principal, action, subject.resource(), Timestamp::UNIX_EPOCH);
                let built = crate::access::entities::build(
                    vocabulary,
                    &principal,
                    &Default::default(),
                    &request.resource,
                );
                let context: Context = context::of(&request, true).unwrap();
                let asked = Asked::new(
                    vocabulary.principal("uid:1"),
                    vocabulary.action(action),
                    built.unwrap().0,
                    context,
                    Some(&schema),
                );
                assert_eq!(asked.is_ok(), action.is_asked_of(&subject), "{action:?} of {text}");
            }
        }
    }
}
