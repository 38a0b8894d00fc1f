//! Decisions that were made already. Policies are pure: the same question to the
//! same policies has the same answer, so asking Cedar again would tell nothing new.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Request, Resource};
use crate::name::ParameterName;

/// The most decisions that are remembered; at so many, all are forgotten.
const MAX_DECISIONS: usize = 8_192;
/// The most bytes of a question whose decision is remembered.
const MAX_QUESTION: usize = 4_096;

/// What the policies said.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    /// Whether they permit it.
    pub(super) permitted: bool,
    /// The policies that decided.
    pub(super) policy_ids: Arc<[String]>,
    /// Whether one of them failed.
    pub(super) errors: bool,
}

/// The decisions of one set of policies.
#[derive(Debug, Default)]
pub(super) struct Decisions(RwLock<HashMap<Vec<u8>, Decided>>);

impl Decisions {
    /// The decision on this question, made by `decide` where it is a new one.
    pub(super) fn of(&self, request: &Request<'_>, decide: impl FnOnce() -> Decided) -> Decided {
        let question = question(request);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&question).cloned();
        if let Some(known) = known {
            return known;
        }
        let decided = decide();
        if question.len() <= MAX_QUESTION {
            let mut decisions = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if decisions.len() >= MAX_DECISIONS {
                decisions.clear();
            }
            decisions.insert(question, decided.clone());
        }
        decided
    }
}

/// All that the policies are told, in a form that no other question has: each
/// text comes after its length.
fn question(request: &Request<'_>) -> Vec<u8> {
    // Whose step token is good for what is asked was decided before, and what depends
    // on the time isn't remembered.
    let Request { principal, groups, step: _, action, resource, time: _, .. } = request;
    let Request { environment, preset, overridden, .. } = request;
    let mut to = Vec::with_capacity(160);
    to.extend_from_slice(&[*action as u8, principal.kind as u8]);
    put(&mut to, &principal.name);
    to.extend_from_slice(&groups.len().to_le_bytes());
    groups.iter().for_each(|group| put(&mut to, group));
    put_resource(&mut to, resource);
    for name in [environment.map(|name| name.as_str()), preset.map(|name| name.as_str())] {
        to.push(u8::from(name.is_some()));
        put(&mut to, name.unwrap_or_default());
    }
    to.extend_from_slice(&overridden.len().to_le_bytes());
    overridden.iter().for_each(|name| put(&mut to, name.as_str()));
    to
}

fn put_resource(to: &mut Vec<u8>, resource: &Resource<'_>) {
    let none: &[ParameterName] = &[];
    let (kind, texts, secrets) = match *resource {
        Resource::Daemon => (0, [""; 4], none),
        Resource::Pipeline(pipeline) => (1, [pipeline.as_str(), "", "", ""], none),
        Resource::Run { pipeline, run_id } => (2, [pipeline.as_str(), run_id, "", ""], none),
        Resource::Step { pipeline, run_id, step } => {
            (3, [pipeline.as_str(), run_id, step, ""], none)
        }
        Resource::Parameter { pipeline, run_id, step, item, secrets } => {
            (4, [pipeline.as_str(), run_id, step, item], secrets)
        }
    };
    to.push(kind);
    texts.iter().for_each(|text| put(to, text));
    to.extend_from_slice(&secrets.len().to_le_bytes());
    secrets.iter().for_each(|secret| put(to, secret.as_str()));
}

fn put(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(&text.len().to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::access::Action;
    use crate::audit::{Principal, PrincipalKind};
    use crate::name::{EnvironmentName, PipelineName, PresetName};

    fn decided(permitted: bool) -> Decided {
        Decided { permitted, policy_ids: Arc::default(), errors: false }
    }

    /// Every question that differs from the first in one thing, and the first.
    fn with_questions(check: impl FnOnce(&[Request<'_>])) {
        let (one, two) = (Principal::unix_user(1), Principal::unix_user(2));
        let other_kind = Principal { kind: PrincipalKind::Token, ..one.clone() };
        let (a, b): (PipelineName, PipelineName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let environment: EnvironmentName = "dev".parse().unwrap();
        let preset: PresetName = "dev".parse().unwrap();
        let secrets = ["x".parse().unwrap(), "y".parse().unwrap()];
        let groups = ["g".to_owned(), "h".to_owned()];
        let item = |pipeline, run_id, step, item, secrets| Resource::Parameter {
            pipeline,
            run_id,
            step,
            item,
            secrets,
        };
        let first = Request {
            principal: &one,
            groups: &[],
            step: None,
            action: Action::Read,
            resource: item(&a, "r", "s", "i", &secrets[..1]),
            environment: Some(&environment),
            preset: None,
            overridden: &[],
            time: Timestamp::UNIX_EPOCH,
        };
        let with = |resource| Request { resource, ..first };
        check(&[
            first,
            Request { principal: &two, ..first },
            Request { principal: &other_kind, ..first },
            Request { groups: &groups[..1], ..first },
            Request { groups: &groups, ..first },
            Request { action: Action::Reveal, ..first },
            Request { environment: None, ..first },
            Request { environment: None, preset: Some(&preset), ..first },
            Request { preset: Some(&preset), ..first },
            Request { overridden: &secrets[..1], ..first },
            Request { overridden: &secrets, ..first },
            with(item(&b, "r", "s", "i", &secrets[..1])),
            with(item(&a, "rs", "", "i", &secrets[..1])),
            with(item(&a, "r", "si", "", &secrets[..1])),
            with(item(&a, "r", "s", "i", &secrets)),
            with(item(&a, "r", "s", "i", &secrets[1..])),
            with(item(&a, "r", "s", "i", &[])),
            with(Resource::Step { pipeline: &a, run_id: "r", step: "s" }),
            with(Resource::Run { pipeline: &a, run_id: "r" }),
            with(Resource::Pipeline(&a)),
            with(Resource::Daemon),
        ]);
    }

    #[test]
    fn each_question_is_decided_once_and_by_itself() {
        with_questions(|questions| {
            let decisions = Decisions::default();
            for (index, question) in questions.iter().enumerate() {
                let permitted = index.is_multiple_of(2);
                assert_eq!(decisions.of(question, || decided(permitted)).permitted, permitted);
            }
            for (index, question) in questions.iter().enumerate() {
                let again = decisions.of(question, || panic!("question {index} is asked again"));
                assert_eq!(again.permitted, index.is_multiple_of(2), "question {index}");
            }
        });
    }

    #[test]
    fn so_many_are_remembered_and_no_more() {
        let principal = Principal::unix_user(1);
        let pipeline: PipelineName = "a".parse().unwrap();
        let decisions = Decisions::default();
        let ask = |run_id: &str| {
            let resource = Resource::Run { pipeline: &pipeline, run_id };
            let request = Request::new(&principal, Action::Read, resource, Timestamp::UNIX_EPOCH);
            decisions.of(&request, || decided(true));
        };
        (0..=MAX_DECISIONS).for_each(|run| ask(&run.to_string()));
        assert_eq!(decisions.0.read().unwrap().len(), 1);
        ask(&"r".repeat(MAX_QUESTION));
        assert_eq!(decisions.0.read().unwrap().len(), 1);
    }
}
