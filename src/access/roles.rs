//! Roles: policy templates, those that ship and those of policy files, and who has
//! which for what.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr as _;

use cedar_policy::{EntityUid, PolicyId, PolicySet, SlotId, Template};

use super::read::{Reader, is_id};
use super::vocabulary::{VOCABULARY, Vocabulary};
use crate::definition::{Grantee, PipelineDefinition, RoleLink, RoleScope};
use crate::name::PipelineName;
use crate::yaml::Place;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::among;

/// The roles that ship, as policy writers get them.
pub const ROLES: &str = include_str!("roles.cedar");

/// A role that may be given.
pub(super) struct Role<'a> {
    template: Template,
    text: &'a str,
    /// Where it is written; none: it ships.
    place: Option<Place>,
    /// Whether somebody has it.
    given: bool,
}

impl<'a> Role<'a> {
    pub(super) fn new(template: Template, text: &'a str, place: Option<Place>) -> Self {
        Self { template, text, place, given: false }
    }
}

/// The id of a role's template: no policy has one with such a sign in it.
pub(super) fn template_id(role: &str) -> PolicyId {
    PolicyId::new(format!("\u{1}{role}"))
}

/// The roles that ship, by their names.
pub(super) fn shipped() -> BTreeMap<String, Role<'static>> {
    let parsed = PolicySet::from_str(ROLES).unwrap_or_default();
    let named = |template: &Template| Some(template.annotation("id")?.to_owned());
    let roles = parsed.templates();
    roles.filter_map(|one| Some((named(one)?, Role::new(one.clone(), ROLES, None)))).collect()
}

impl Reader<'_> {
    /// Gives roles. What can't be given is told.
    pub(super) fn give(&mut self, links: &[RoleLink], problems: &mut Problems) {
        let Some(vocabulary) = VOCABULARY.as_ref() else { return };
        for link in links {
            self.link(vocabulary, link, problems);
        }
        for role in self.roles.values().filter(|role| !role.given) {
            if let Some(place) = &role.place {
                problems
                    .warning("policy_doubtful", place, "nobody has this role")
                    .help("`policies/roles.yaml` says who has a role, and for what");
            }
        }
    }

    fn link(&mut self, vocabulary: &Vocabulary, link: &RoleLink, problems: &mut Problems) {
        let name = &link.role.value;
        let Some(role) = self.roles.get_mut(name) else {
            let help = among(name, self.roles.keys().map(String::as_str));
            let problem = problems.error("unknown_role", &link.role.place, "there is no such role");
            problem.sensitive().help(help);
            return;
        };
        role.given = true;
        let is_about = role.template.slots().any(|slot| *slot == SlotId::resource());
        if !is_about && !matches!(link.on, RoleScope::All) {
            problems
                .error("unknown_role", &link.role.place, "this role isn't for one thing alone")
                .sensitive()
                .help("its template has no `?resource`: take `for` out");
            return;
        }
        let mut values = HashMap::from([(SlotId::principal(), grantee(vocabulary, &link.to))]);
        if is_about {
            values.insert(SlotId::resource(), scope(vocabulary, &link.on));
        }
        let (template, text) = (role.template.clone(), role.text);
        let Some(id) = self.link_id(link, problems) else { return };
        let (template_id, policy_id) = (template_id(name), PolicyId::new(&id));
        if self.set.template(&template_id).is_none() {
            // Fails only for an id that is taken, and no other is like this one.
            let _ = self.set.add_template(template.new_id(template_id.clone()));
        }
        if self.set.link(template_id, policy_id.clone(), values).is_err() {
            problems.error("policy_invalid", &link.place, "this role can't be given");
            return;
        }
        if let Some(policy) = self.set.policy(&policy_id) {
            self.timed.add(policy, text);
        }
        self.places.insert(id, link.place.clone());
    }

    /// The id that the audit log shows for a role that is given: its own, or made of
    /// all that it says.
    fn link_id(&self, link: &RoleLink, problems: &mut Problems) -> Option<String> {
        let (id, place) = match &link.id {
            Some(id) => (id.value.clone(), &id.place),
            None => (default_id(link), &link.place),
        };
        if !is_id(&id) {
            problems
                .error("policy_id", place, "this role that is given has no good id")
                .sensitive()
                .help("give it an `id` of 1 to 128 printable ASCII characters, and not `dev`");
            return None;
        }
        if self.places.contains_key(&id) {
            problems
                .error("policy_id", place, "another policy has the same id")
                .sensitive()
                .help("give each its own `id`: they tell policies apart in the audit log");
            return None;
        }
        Some(id)
    }
}

/// Such as `executor(trainers on churn-training/train)`.
fn default_id(link: &RoleLink) -> String {
    let (role, to) = (&link.role.value, link.to.name());
    match &link.on {
        RoleScope::All => format!("{role}({to})"),
        RoleScope::Pipeline(pipeline) => format!("{role}({to} on {})", pipeline.value),
        RoleScope::Step(pipeline, step) => {
            format!("{role}({to} on {}/{})", pipeline.value, step.value)
        }
    }
}

fn grantee(vocabulary: &Vocabulary, to: &Grantee) -> EntityUid {
    match to {
        Grantee::Principal(name) => vocabulary.principal(name),
        Grantee::Group(name) => vocabulary.group(name),
    }
}

fn scope(vocabulary: &Vocabulary, on: &RoleScope) -> EntityUid {
    match on {
        RoleScope::All => vocabulary.daemon.clone(),
        RoleScope::Pipeline(pipeline) => vocabulary.pipeline(pipeline.value.as_str()),
        RoleScope::Step(pipeline, step) => {
            vocabulary.step_in_any_run(pipeline.value.as_str(), step.value.as_str())
        }
    }
}

/// Tells of steps that no pipeline has.
pub(super) fn check_steps(
    links: &[RoleLink],
    pipelines: &BTreeMap<PipelineName, PipelineDefinition>,
    problems: &mut Problems,
) {
    for link in links {
        let RoleScope::Step(pipeline, step) = &link.on else { continue };
        let Some(definition) = pipelines.get(&pipeline.value) else { continue };
        let names = || definition.steps.iter().map(|one| one.name.value.as_str());
        if names().all(|name| name != step.value.as_str()) {
            let message = format!("the pipeline has no step `{}`", step.value);
            problems
                .error("unknown_step", &step.place, message)
                .sensitive()
                .help(among(step.value.as_str(), names()));
        }
    }
}
