//! Why a decision is what it is, and who else would be permitted: what the policies
//! say one by one.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    Effect, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use super::entities::kind_name;
use super::question::{Question, kind_of};
use super::timed::applies_to;
use super::vocabulary::{VOCABULARY, Vocabulary};
use super::{Policies, Request};
use crate::audit::{Principal, PrincipalKind};
use crate::yaml::Place;

/// A decision with all that the policies say of it.
#[derive(Debug)]
pub struct Why {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The policies that decided.
    pub policy_ids: Vec<String>,
    /// Whether one of them failed.
    pub errors: bool,
    /// Every policy that is about the action, by its id.
    pub policies: Vec<Considered>,
}

/// A policy that is about the action.
#[derive(Debug)]
pub struct Considered {
    /// Its id.
    pub id: String,
    /// Whether it forbids.
    pub forbids: bool,
    /// Where it is written.
    pub place: Option<Place>,
    /// Its annotations but for `@id`, as they are written.
    pub annotations: BTreeMap<String, String>,
    /// What becomes of it.
    pub verdict: Verdict,
}

/// What becomes of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It applies.
    Applies,
    /// It fails, and so denies.
    Fails,
    /// It doesn't apply, because of these parts of it.
    Differs(Vec<Part>),
}

/// A part of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Who it is about.
    Principal,
    /// What it is about.
    Resource,
    /// Its `when` and `unless`.
    Condition,
}

/// Who could do something.
#[derive(Debug, Default)]
pub struct Who {
    /// Who would be permitted, in order.
    pub permitted: Vec<Could>,
    /// The policies that permit by a condition that nobody named here meets.
    pub by_condition: Vec<String>,
}

/// Somebody who would be permitted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Could {
    /// Who.
    pub who: Somebody,
    /// Proved how; none: whichever way.
    pub kinds: Vec<&'static str>,
    /// By which policies.
    pub policy_ids: Vec<String>,
}

/// Somebody whom policies, groups, roles or tokens name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Somebody {
    /// Whoever it is.
    Anyone,
    /// Whoever is in this group.
    Group(String),
    /// The principal of this name; one that ends with `*` stands for all of that
    /// beginning.
    Principal(String),
}

/// A name that nobody has.
const NOBODY: &str = "\u{1}";

/// The kinds that somebody of an unknown kind may be of.
const ANY_KIND: [PrincipalKind; 4] =
    [PrincipalKind::UnixUser, PrincipalKind::Certificate, PrincipalKind::Token, PrincipalKind::Jwt];

impl Policies {
    /// Decides a question, and tells what each policy says of it.
    pub fn why(&self, question: &Question) -> Why {
        let request = question.request();
        let decided = self.decided(&request);
        let considered = |policy: &Policy| Considered {
            id: policy.id().to_string(),
            forbids: policy.effect() == Effect::Forbid,
            place: self.place(policy.id().as_ref()).cloned(),
            annotations: annotations(policy),
            verdict: self.verdict(policy, &request),
        };
        let about = self.set.policies().filter(|policy| applies_to(policy, request.action));
        let mut policies: Vec<Considered> = about.map(considered).collect();
        policies.sort_by(|a, b| a.id.cmp(&b.id));
        Why {
            permitted: decided.permitted,
            policy_ids: decided.policy_ids.to_vec(),
            errors: decided.errors,
            policies,
        }
    }

    /// Who could do what a question asks for, of all whom the policies, the groups and
    /// `others` name.
    pub fn who(&self, question: &Question, others: &[String]) -> Who {
        let mut who = Who::default();
        for somebody in self.named(others) {
            let Some(could) = self.permits(question, somebody) else { continue };
            // Who may because anyone may is told with anyone, who comes first.
            let is_told = who.permitted.first().is_some_and(|first| {
                first.who == Somebody::Anyone && first.policy_ids == could.policy_ids
            });
            who.permitted.extend((!is_told).then_some(could));
        }
        let request = question.request();
        let telling: BTreeSet<&String> =
            who.permitted.iter().flat_map(|could| &could.policy_ids).collect();
        let by_condition = self.set.policies().filter(|policy| {
            let open = matches!(
                policy.principal_constraint(),
                PrincipalConstraint::Any | PrincipalConstraint::Is(_)
            );
            let fits = policy.effect() == Effect::Permit && applies_to(policy, request.action);
            open && fits && !self.differs(policy, &request).contains(&Part::Resource)
        });
        who.by_condition = by_condition
            .map(|policy| policy.id().to_string())
            .filter(|id| !telling.contains(id))
            .collect();
        who.by_condition.sort_unstable();
        who
    }

    /// All whom policies, groups and `others` name.
    fn named(&self, others: &[String]) -> BTreeSet<Somebody> {
        let mut named = BTreeSet::from([Somebody::Anyone]);
        let (principals, groups) = self.members.all();
        named.extend(principals.chain(others.iter().cloned()).map(Somebody::Principal));
        named.extend(groups.map(Somebody::Group));
        for policy in self.set.policies() {
            let links = policy.template_links().unwrap_or_default();
            for uid in policy.entity_literals().into_iter().chain(links.into_values()) {
                let name = uid.id().unescaped().to_owned();
                match uid.type_name().basename() {
                    "Principal" => named.insert(Somebody::Principal(name)),
                    "Group" => named.insert(Somebody::Group(name)),
                    _ => false,
                };
            }
        }
        named
    }

    /// Whether it is permitted to somebody, of whichever kind he may be.
    fn permits(&self, question: &Question, who: Somebody) -> Option<Could> {
        let (name, groups) = match &who {
            Somebody::Anyone => (NOBODY, Vec::new()),
            Somebody::Group(group) => (NOBODY, vec![group.clone()]),
            Somebody::Principal(name) => (name.as_str(), Vec::new()),
        };
        let known = kind_of(name);
        let kinds = known.as_ref().map_or(&ANY_KIND[..], std::slice::from_ref);
        let permits = kinds.iter().filter_map(|kind| {
            let principal = Principal { name: name.to_owned(), kind: *kind };
            let asked = Question { principal, groups: groups.clone(), ..question.clone() };
            let decided = self.decided(&asked.request());
            decided.permitted.then(|| (kind_name(*kind), decided.policy_ids.to_vec()))
        });
        let (words, ids): (Vec<_>, Vec<_>) = permits.unzip();
        let policy_ids: BTreeSet<String> = ids.into_iter().flatten().collect();
        let all = words.len() == kinds.len();
        (!words.is_empty()).then(|| Could {
            who,
            kinds: if all { Vec::new() } else { words },
            policy_ids: policy_ids.into_iter().collect(),
        })
    }

    /// What becomes of one policy, whatever the others say.
    fn verdict(&self, policy: &Policy, request: &Request<'_>) -> Verdict {
        let alone = Self {
            set: self.alone(policy),
            members: self.members.clone(),
            timed: self.timed.clone(),
            ..Self::default()
        };
        let decided = alone.decided(request);
        if decided.errors {
            return Verdict::Fails;
        }
        if !decided.policy_ids.is_empty() {
            return Verdict::Applies;
        }
        match self.differs(policy, request) {
            parts if parts.is_empty() => Verdict::Differs(vec![Part::Condition]),
            parts => Verdict::Differs(parts),
        }
    }

    /// A set of this policy alone.
    fn alone(&self, policy: &Policy) -> PolicySet {
        let mut set = PolicySet::new();
        let template = policy.template_id().and_then(|id| self.set.template(id));
        // None of these can fail in an empty set; where one did, nothing applies.
        match (template, policy.template_links()) {
            (Some(template), Some(links)) => {
                let _ = set.add_template(template.clone());
                let _ = set.link(template.id().clone(), policy.id().clone(), links);
            }
            _ => {
                let _ = set.add(policy.clone());
            }
        }
        set
    }

    /// The parts of a policy's scope that are about someone or something else.
    fn differs(&self, policy: &Policy, request: &Request<'_>) -> Vec<Part> {
        let Some(vocabulary) = VOCABULARY.as_ref() else { return Vec::new() };
        let Some((principal, resource, entities)) = self.entities(vocabulary, request) else {
            return Vec::new();
        };
        let principal = Uid { entities: &entities, uid: &principal };
        let resource = Uid { entities: &entities, uid: &resource };
        let whom = match policy.principal_constraint() {
            PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
            PrincipalConstraint::Eq(uid) => *principal.uid == uid,
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
                principal.is_in(&uid)
            }
        };
        let what = match policy.resource_constraint() {
            ResourceConstraint::Any => true,
            ResourceConstraint::Eq(uid) => *resource.uid == uid,
            ResourceConstraint::In(uid) => resource.is_in(&uid),
            ResourceConstraint::Is(kind) => *resource.uid.type_name() == kind,
            ResourceConstraint::IsIn(kind, uid) => {
                *resource.uid.type_name() == kind && resource.is_in(&uid)
            }
        };
        let parts = [(whom, Part::Principal), (what, Part::Resource)];
        parts.into_iter().filter_map(|(same, part)| (!same).then_some(part)).collect()
    }

    fn entities(
        &self,
        vocabulary: &Vocabulary,
        request: &Request<'_>,
    ) -> Option<(EntityUid, EntityUid, Entities)> {
        let groups = self.members.groups(&request.principal.name, request.groups);
        let (resource, entities) =
            super::entities::build(vocabulary, request.principal, &groups, &request.resource)?;
        Some((vocabulary.principal(&request.principal.name), resource, entities))
    }
}

/// One of some entities.
struct Uid<'a> {
    entities: &'a Entities,
    uid: &'a EntityUid,
}

impl Uid<'_> {
    fn is_in(&self, other: &EntityUid) -> bool {
        self.uid == other || self.entities.is_ancestor_of(other, self.uid)
    }
}

fn annotations(policy: &Policy) -> BTreeMap<String, String> {
    let written = policy.annotations().filter(|(key, _)| *key != "id");
    written.map(|(key, text)| (key.to_owned(), text.to_owned())).collect()
}

#[cfg(test)]
mod tests;
