//! The entities that one question needs: who asks, and what is asked about with
//! all that it is in.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};

use super::Resource;
use super::vocabulary::Vocabulary;
use crate::audit::{Principal, PrincipalKind};
use crate::name::ParameterName;

/// The resource's uid, and all entities. `None` only if Cedar refuses to hold
/// them, which denies.
pub(super) fn build(
    vocabulary: &Vocabulary,
    principal: &Principal,
    groups: &BTreeSet<&str>,
    resource: &Resource<'_>,
) -> Option<(EntityUid, Entities)> {
    let mut builder = Builder { vocabulary, entities: Vec::with_capacity(6) };
    let kind = kind_name(principal.kind);
    // Groups have neither attributes nor parents, so they need no entity of their own;
    // nor do the daemon, a step in whatever run and a secret below.
    let groups = groups.iter().map(|group| vocabulary.group(group)).collect();
    builder.add(vocabulary.principal(&principal.name), &[("kind", kind)], groups)?;
    let uid = builder.resource(resource)?;
    let entities = Entities::from_entities(builder.entities, None).ok()?;
    Some((uid, entities))
}

/// The word that policies use for a kind of principal.
pub(super) fn kind_name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::Anonymous => "anonymous",
        PrincipalKind::Daemon => "daemon",
        PrincipalKind::UnixUser => "unix_user",
        PrincipalKind::Certificate => "certificate",
        PrincipalKind::Token => "token",
        PrincipalKind::Jwt => "jwt",
        PrincipalKind::StepToken => "step_token",
    }
}

struct Builder<'v> {
    vocabulary: &'v Vocabulary,
    entities: Vec<Entity>,
}

impl Builder<'_> {
    fn add(
        &mut self,
        uid: EntityUid,
        attributes: &[(&str, &str)],
        parents: HashSet<EntityUid>,
    ) -> Option<EntityUid> {
        let attributes: HashMap<String, RestrictedExpression> = attributes
            .iter()
            .map(|(key, text)| {
                ((*key).to_owned(), RestrictedExpression::new_string((*text).to_owned()))
            })
            .collect();
        self.entities.push(Entity::new(uid.clone(), attributes, parents).ok()?);
        Some(uid)
    }

    fn resource(&mut self, resource: &Resource<'_>) -> Option<EntityUid> {
        match *resource {
            Resource::Daemon => self.add(self.vocabulary.daemon.clone(), &[], HashSet::new()),
            Resource::Pipeline(pipeline) => self.pipeline(pipeline.as_str()),
            Resource::Run { pipeline, run_id } => self.run(pipeline.as_str(), run_id),
            Resource::Step { pipeline, run_id, step } => self.step(pipeline.as_str(), run_id, step),
            Resource::Parameter { pipeline, run_id, step, item, secrets } => {
                self.item(pipeline.as_str(), run_id, step, item, secrets)
            }
        }
    }

    fn pipeline(&mut self, pipeline: &str) -> Option<EntityUid> {
        let uid = self.vocabulary.pipeline(pipeline);
        let daemon = self.vocabulary.daemon.clone();
        self.add(uid, &[("pipeline", pipeline)], HashSet::from([daemon]))
    }

    fn run(&mut self, pipeline: &str, run_id: &str) -> Option<EntityUid> {
        let parent = self.pipeline(pipeline)?;
        let uid = self.vocabulary.run(pipeline, run_id);
        self.add(uid, &[("pipeline", pipeline), ("run_id", run_id)], HashSet::from([parent]))
    }

    fn step(&mut self, pipeline: &str, run_id: &str, step: &str) -> Option<EntityUid> {
        let parent = self.run(pipeline, run_id)?;
        let uid = self.vocabulary.step(pipeline, run_id, step);
        let attributes = [("pipeline", pipeline), ("run_id", run_id), ("step", step)];
        let in_any_run = self.vocabulary.step_in_any_run(pipeline, step);
        self.add(uid, &attributes, HashSet::from([parent, in_any_run]))
    }

    fn item(
        &mut self,
        pipeline: &str,
        run_id: &str,
        step: &str,
        item: &str,
        secrets: &[ParameterName],
    ) -> Option<EntityUid> {
        let mut parents = HashSet::from([self.step(pipeline, run_id, step)?]);
        for secret in secrets {
            parents.insert(self.vocabulary.secret(pipeline, secret.as_str()));
        }
        let uid = self.vocabulary.item(pipeline, run_id, step, item);
        let attributes =
            [("pipeline", pipeline), ("run_id", run_id), ("step", step), ("name", item)];
        self.add(uid, &attributes, parents)
    }
}
