//! Which parameters are secret, and through which a run can send text of its own.
//!
//! A parameter is secret where it says so, where one of its bindings in any
//! layer or environment is a source that always is, or where anything that it is
//! computed from is secret: secret through one binding, secret in all.

mod refuse;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::compile::{Input, bindable};
use super::graph::closure;
use super::layers::Bound;
use super::text::shown;
use super::{PlannedBinding, SecrecyLink, SecrecyReason};
use crate::definition::{Bindable, Binding};
use crate::name::ParameterName;
use crate::source::registry;

pub(super) use refuse::{
    refuse_contradictions, refuse_literal, refuse_mixed, refuse_mixed_bindings, refuse_readers,
};

/// What was inferred.
pub(super) struct Secrecy {
    /// Why each secret parameter is one: the shortest chain of reasons.
    reasons: BTreeMap<ParameterName, Reason>,
    /// What each parameter is computed from, over all bindings.
    pub(super) computed_from: BTreeMap<ParameterName, BTreeSet<ParameterName>>,
    /// Those through which whoever triggers a run can send a text of his own.
    run_texts: BTreeMap<ParameterName, RunText>,
    /// Those of them that `run.id` gets into.
    run_id_texts: BTreeMap<ParameterName, RunText>,
    /// Those with a binding that reads what whoever triggers a run says of it.
    from_run: BTreeSet<ParameterName>,
    /// Those of which not all could be read: what isn't known of them, isn't
    /// known of what is computed from them either.
    unsound: BTreeSet<ParameterName>,
}

struct Reason {
    reason: SecrecyReason,
    place: String,
    next: Option<ParameterName>,
}

/// How a run's text gets into a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunText {
    /// A run can bind it.
    Own,
    /// It is computed from this one.
    From(ParameterName),
    /// It is computed from `run.id`.
    RunId,
}

/// Infers secrecy over the bindings of all layers and environments.
pub(super) fn infer(input: &Input<'_>, bounds: &[Bound]) -> Secrecy {
    let mut secrecy = Secrecy {
        reasons: BTreeMap::new(),
        computed_from: computed_from(bounds),
        run_texts: BTreeMap::new(),
        run_id_texts: BTreeMap::new(),
        from_run: from_run(bounds),
        unsound: unsound(input, bounds),
    };
    declared_or_sourced(input, bounds, &mut secrecy);
    spread(bounds, &mut secrecy);
    secrecy.run_id_texts = spread_texts(input, bounds, run_id_texts(input, bounds));
    let own = own_texts(input, &secrecy).map(|name| (name, RunText::Own));
    let ids = secrecy.run_id_texts.iter().map(|(name, how)| (name.clone(), how.clone()));
    // What a run can bind itself comes last, and so stays.
    let texts = ids.chain(own).collect();
    secrecy.run_texts = spread_texts(input, bounds, texts);
    secrecy
}

fn computed_from(bounds: &[Bound]) -> BTreeMap<ParameterName, BTreeSet<ParameterName>> {
    let mut edges: BTreeMap<ParameterName, BTreeSet<ParameterName>> = BTreeMap::new();
    for bound in bounds {
        let read = bound.binding.references().into_iter().flat_map(|read| &read.parameters);
        edges.entry(bound.parameter.clone()).or_default().extend(read.cloned());
    }
    edges
}

fn from_run(bounds: &[Bound]) -> BTreeSet<ParameterName> {
    let callers = |bound: &&Bound| {
        bound.binding.references().is_some_and(|read| read.run_id || read.run_logical_date)
    };
    bounds.iter().filter(callers).map(|bound| bound.parameter.clone()).collect()
}

/// For each parameter the bindings that read it.
fn readers(bounds: &[Bound]) -> BTreeMap<&ParameterName, Vec<&Bound>> {
    let mut readers: BTreeMap<&ParameterName, Vec<&Bound>> = BTreeMap::new();
    for bound in bounds {
        for read in bound.binding.references().into_iter().flat_map(|read| &read.parameters) {
            readers.entry(read).or_default().push(bound);
        }
    }
    readers
}

fn unsound(input: &Input<'_>, bounds: &[Bound]) -> BTreeSet<ParameterName> {
    let declared = input.definition.parameters.values().filter(|one| !one.sound);
    let mut unsound: BTreeSet<ParameterName> =
        declared.map(|one| one.name.value.clone()).chain(input.failed().cloned()).collect();
    let readers = readers(bounds);
    let mut open: Vec<ParameterName> = unsound.iter().cloned().collect();
    while let Some(name) = open.pop() {
        for reader in readers.get(&name).into_iter().flatten() {
            if unsound.insert(reader.parameter.clone()) {
                open.push(reader.parameter.clone());
            }
        }
    }
    unsound
}

fn declared_or_sourced(input: &Input<'_>, bounds: &[Bound], secrecy: &mut Secrecy) {
    for declaration in input.definition.parameters.values() {
        if let Some(said) = declaration.secret.as_ref().filter(|said| said.value) {
            let place = shown(&said.place, input.files);
            let reason = Reason { reason: SecrecyReason::Declared, place, next: None };
            secrecy.reasons.insert(declaration.name.value.clone(), reason);
        }
    }
    for bound in bounds {
        let PlannedBinding::Source(source) = bound.binding.as_ref() else { continue };
        if source.kind.always_secret() && !input.says_public(&bound.parameter) {
            let place = bound.shown.clone();
            let reason = Reason { reason: SecrecyReason::Source, place, next: None };
            secrecy.reasons.entry(bound.parameter.clone()).or_insert(reason);
        }
    }
    sourced_by_kind(input, secrecy);
}

/// The kind alone tells, where a binding is wrong otherwise: what is refused
/// because of a secret isn't told only once that is mended.
fn sourced_by_kind(input: &Input<'_>, secrecy: &mut Secrecy) {
    for declaration in input.definition.parameters.values() {
        let Some(Binding::Source(source, place)) = &declaration.from else { continue };
        let always = registry::by_kind(source.kind).is_some_and(|kind| kind.always_secret());
        let name = &declaration.name.value;
        if always && !input.says_public(name) {
            let place = shown(place, input.files);
            let reason = Reason { reason: SecrecyReason::Source, place, next: None };
            secrecy.reasons.entry(name.clone()).or_insert(reason);
        }
    }
}

/// What is computed from a secret is one: breadth first, for short chains.
fn spread(bounds: &[Bound], secrecy: &mut Secrecy) {
    let readers = readers(bounds);
    let mut open: VecDeque<ParameterName> = secrecy.reasons.keys().cloned().collect();
    while let Some(name) = open.pop_front() {
        for bound in readers.get(&name).into_iter().flatten() {
            if secrecy.is_secret(&bound.parameter) {
                continue;
            }
            let place = bound.shown.clone();
            let next = Some(name.clone());
            let reason = Reason { reason: SecrecyReason::Computed, place, next };
            secrecy.reasons.insert(bound.parameter.clone(), reason);
            open.push_back(bound.parameter.clone());
        }
    }
}

/// Whether a value of a parameter can hold a text of its author's choice: not
/// where it is limited to an `enum`.
fn is_free(input: &Input<'_>, name: &ParameterName) -> bool {
    input.definition.parameters.get(name).is_some_and(|one| one.schema.bears_free_text())
}

/// Parameters that a run can bind to a text of its own.
fn own_texts<'a>(
    input: &'a Input<'_>,
    secrecy: &'a Secrecy,
) -> impl Iterator<Item = ParameterName> + 'a {
    input
        .definition
        .parameters
        .values()
        .filter(|one| bindable(one, secrecy.is_secret(&one.name.value)) == Bindable::Run)
        .map(|one| one.name.value.clone())
        .filter(|name| is_free(input, name))
}

/// Parameters with a binding that reads `run.id`.
fn run_id_texts(input: &Input<'_>, bounds: &[Bound]) -> BTreeMap<ParameterName, RunText> {
    bounds
        .iter()
        .filter(|bound| bound.binding.references().is_some_and(|read| read.run_id))
        .filter(|bound| is_free(input, &bound.parameter))
        .map(|bound| (bound.parameter.clone(), RunText::RunId))
        .collect()
}

/// These and all texts that are computed from them, by template or bind.
fn spread_texts(
    input: &Input<'_>,
    bounds: &[Bound],
    mut texts: BTreeMap<ParameterName, RunText>,
) -> BTreeMap<ParameterName, RunText> {
    let readers = readers(bounds);
    let mut open: Vec<ParameterName> = texts.keys().cloned().collect();
    while let Some(name) = open.pop() {
        for bound in readers.get(&name).into_iter().flatten() {
            if !texts.contains_key(&bound.parameter) && is_free(input, &bound.parameter) {
                texts.insert(bound.parameter.clone(), RunText::From(name.clone()));
                open.push(bound.parameter.clone());
            }
        }
    }
    texts
}

impl Secrecy {
    pub(super) fn is_secret(&self, name: &ParameterName) -> bool {
        self.reasons.contains_key(name)
    }

    /// Those through which a run can send a text of its own.
    pub(super) fn run_texts(&self) -> BTreeSet<ParameterName> {
        self.run_texts.keys().cloned().collect()
    }

    /// Whether nothing about it is left unread.
    fn is_sound(&self, name: &ParameterName) -> bool {
        !self.unsound.contains(name)
    }

    /// The parameter itself first, then what it is computed from, down to one
    /// that is secret of its own.
    pub(super) fn chain(&self, name: &ParameterName) -> Vec<SecrecyLink> {
        let mut links: Vec<SecrecyLink> = Vec::new();
        let mut next = Some(name.clone());
        while let Some(parameter) = next.take() {
            let Some(reason) = self.reasons.get(&parameter) else { break };
            if links.iter().any(|link| link.parameter == parameter) {
                break;
            }
            next.clone_from(&reason.next);
            links.push(SecrecyLink {
                parameter,
                reason: reason.reason,
                place: reason.place.clone(),
            });
        }
        links
    }

    /// For each secret parameter the secret ones in what it is computed from.
    pub(super) fn origins(&self) -> BTreeMap<ParameterName, BTreeSet<ParameterName>> {
        self.reasons.keys().map(|name| (name.clone(), self.secret_origins([name]))).collect()
    }

    /// The secret parameters that these are computed from, themselves included.
    pub(super) fn secret_origins<'n>(
        &self,
        names: impl IntoIterator<Item = &'n ParameterName>,
    ) -> BTreeSet<ParameterName> {
        names
            .into_iter()
            .flat_map(|name| closure(name, &self.computed_from))
            .filter(|name| self.is_secret(name))
            .collect()
    }

    /// What lets a run's text into a parameter: the one that it can bind itself,
    /// or none, where that is `run.id`.
    fn entrance(&self, name: &ParameterName) -> Option<&ParameterName> {
        let mut at = self.run_texts.get_key_value(name);
        for _ in 0..=self.run_texts.len() {
            match at? {
                (name, RunText::Own) => return Some(name),
                (_, RunText::From(next)) => at = self.run_texts.get_key_value(next),
                (_, RunText::RunId) => return None,
            }
        }
        None
    }
}
