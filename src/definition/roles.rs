//! Reader of `policies/roles.yaml`: who has which role, for what.

use std::collections::BTreeSet;

use super::groups;
use crate::name::{PipelineName, StepName, nearest};
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Node, NodeKind, Place, Scalar, Spanned};

/// The most roles that are given.
const MAX_ROLES: usize = 1_000;

/// A role that somebody is given.
#[derive(Debug, Clone)]
pub struct RoleLink {
    /// The role's name: the `@id` of a template.
    pub role: Spanned<String>,
    /// Who has it.
    pub to: Grantee,
    /// For what.
    pub on: RoleScope,
    /// The id in the audit log, where it is given.
    pub id: Option<Spanned<String>>,
    /// Where it is written.
    pub place: Place,
}

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// The principal of this name.
    Principal(String),
    /// All who are in this group.
    Group(String),
}

/// What somebody has a role for.
#[derive(Debug, Clone)]
pub enum RoleScope {
    /// All pipelines, and the daemon.
    All,
    /// One pipeline.
    Pipeline(Spanned<PipelineName>),
    /// One step of a pipeline, in whatever run.
    Step(Spanned<PipelineName>, Spanned<StepName>),
}

impl Grantee {
    /// The name, of whatever it is.
    pub fn name(&self) -> &str {
        match self {
            Self::Principal(name) | Self::Group(name) => name,
        }
    }
}

/// Reads the file's tree; an empty file gives nobody a role.
pub(super) fn read(
    pipelines: &BTreeSet<PipelineName>,
    node: &Node,
    problems: &mut Problems,
) -> Vec<RoleLink> {
    if matches!(&node.kind, NodeKind::Scalar(Scalar { value: Value::Null, .. })) {
        return Vec::new();
    }
    let items = fields::list(node, "`policies/roles.yaml`", MAX_ROLES, problems);
    let items = items.unwrap_or_default().iter();
    items.filter_map(|item| read_link(pipelines, item, problems)).collect()
}

fn read_link(
    pipelines: &BTreeSet<PipelineName>,
    node: &Node,
    problems: &mut Problems,
) -> Option<RoleLink> {
    let mut keys = Fields::of(node, "a role that is given", problems)?;
    let role = keys.required("role");
    let to = keys.required("to");
    let on = keys.optional("for");
    let id = keys.optional("id");
    keys.finish(problems);
    let role = role.and_then(|node| fields::text(node, "role", problems));
    let to = to.and_then(|node| grantee(node, problems));
    let on = match on {
        Some(node) => scope(pipelines, node, problems),
        None => Some(RoleScope::All),
    };
    let id = match id {
        Some(node) => Some(fields::text(node, "id", problems)?),
        None => None,
    };
    Some(RoleLink { role: role?, to: to?, on: on?, id, place: node.place.clone() })
}

fn grantee(node: &Node, problems: &mut Problems) -> Option<Grantee> {
    let mut keys = Fields::of(node, "`to`", problems)?;
    let (group, principal) = (keys.optional("group"), keys.optional("principal"));
    keys.finish(problems);
    match (group, principal) {
        (Some(node), None) => {
            let name = fields::text(node, "group", problems)?;
            groups::check_name(&name, problems).then_some(Grantee::Group(name.value))
        }
        (None, Some(node)) => {
            let name = fields::text(node, "principal", problems)?;
            if !groups::is_principal(&name.value) {
                problems
                    .error("invalid_member", &name.place, "this names no principal")
                    .sensitive()
                    .help("a principal's name has 1 to 512 characters, none a control one");
                return None;
            }
            Some(Grantee::Principal(name.value))
        }
        _ => {
            problems
                .error("invalid_grantee", &node.place, "a role is given to one principal or group")
                .sensitive()
                .help("write `to: { group: NAME }` or `to: { principal: NAME }`");
            None
        }
    }
}

fn scope(
    pipelines: &BTreeSet<PipelineName>,
    node: &Node,
    problems: &mut Problems,
) -> Option<RoleScope> {
    let mut keys = Fields::of(node, "`for`", problems)?;
    let (pipeline, step) = (keys.required("pipeline"), keys.optional("step"));
    keys.finish(problems);
    let pipeline = pipeline.and_then(|node| fields::text(node, "pipeline", problems));
    let step = match step {
        Some(node) => {
            let text = fields::text(node, "step", problems)?;
            Some(fields::name::<StepName>(&text, problems)?)
        }
        None => None,
    };
    let pipeline = fields::name::<PipelineName>(&pipeline?, problems)?;
    if !pipelines.contains(&pipeline.value) {
        let message = format!("there is no pipeline `{}`", pipeline.value);
        let problem = problems.error("unknown_pipeline", &pipeline.place, message);
        problem.sensitive();
        let names = pipelines.iter().map(PipelineName::as_str);
        if let Some(near) = nearest(pipeline.value.as_str(), names) {
            problem.help(format!("did you mean `{near}`?"));
        }
        return None;
    }
    Some(match step {
        Some(step) => RoleScope::Step(pipeline, step),
        None => RoleScope::Pipeline(pipeline),
    })
}
