//! Which parameters are secret, and what is refused because of it.
//!
//! A parameter is secret where it says so, where one of its bindings in any
//! layer or environment is a source that always is, or where anything that it is
//! computed from is secret: secret through one binding, secret in all.

use std::collections::{BTreeMap, BTreeSet};

use super::address::{covers_path, grants_for};
use super::compile::{Input, bindable};
use super::environment::located;
use super::graph::closure;
use super::layers::Bound;
use super::text::shown;
use super::{PlannedBinding, PlannedSource, SecrecyLink, SecrecyReason};
use crate::definition::Bindable;
use crate::expression::References;
use crate::name::ParameterName;
use crate::value::Value;
use crate::yaml::Place;
use crate::yaml::diagnostic::Problems;

/// What was inferred.
pub(super) struct Secrecy {
    /// Why each secret parameter is one: the first reason that was found.
    reasons: BTreeMap<ParameterName, Reason>,
    /// What each parameter is computed from, over all bindings.
    pub(super) computed_from: BTreeMap<ParameterName, BTreeSet<ParameterName>>,
    /// Those through which whoever triggers a run can send a text of his own.
    run_texts: BTreeSet<ParameterName>,
}

struct Reason {
    reason: SecrecyReason,
    place: String,
    next: Option<ParameterName>,
}

/// Infers secrecy and refuses what contradicts it.
pub(super) fn infer(input: &mut Input<'_>, bounds: &[Bound]) -> Secrecy {
    let mut secrecy = Secrecy {
        reasons: BTreeMap::new(),
        computed_from: computed_from(bounds),
        run_texts: BTreeSet::new(),
    };
    declared_or_sourced(input, bounds, &mut secrecy);
    spread(input, bounds, &mut secrecy);
    secrecy.run_texts = run_texts(input, bounds, &secrecy);
    refuse_public_claims(input, &secrecy);
    refuse_literals(input, bounds, &secrecy);
    secrecy
}

fn computed_from(bounds: &[Bound]) -> BTreeMap<ParameterName, BTreeSet<ParameterName>> {
    let mut edges: BTreeMap<ParameterName, BTreeSet<ParameterName>> = BTreeMap::new();
    for bound in bounds {
        edges.entry(bound.parameter.clone()).or_default().extend(bound.binding.computed_from());
    }
    edges
}

fn declared_or_sourced(input: &mut Input<'_>, bounds: &[Bound], secrecy: &mut Secrecy) {
    for declaration in input.definition.parameters.values() {
        if let Some(said) = declaration.secret.as_ref().filter(|said| said.value) {
            let place = shown(&said.place, input.files);
            let reason = Reason { reason: SecrecyReason::Declared, place, next: None };
            secrecy.reasons.insert(declaration.name.value.clone(), reason);
        }
    }
    for bound in bounds {
        let PlannedBinding::Source(source) = bound.binding.as_ref() else { continue };
        let says_public = input
            .definition
            .parameters
            .get(&bound.parameter)
            .and_then(|declared| declared.secret.as_ref())
            .is_some_and(|said| !said.value);
        if !source.kind.always_secret() {
            continue;
        }
        if says_public {
            refuse_undeclassified(input, bound, source);
        } else {
            let place = shown(&bound.place, input.files);
            let reason = Reason { reason: SecrecyReason::Source, place, next: None };
            secrecy.reasons.entry(bound.parameter.clone()).or_insert(reason);
        }
    }
}

/// `secret: false` needs a grant that names the field, wherever the binding is
/// used.
fn refuse_undeclassified(input: &mut Input<'_>, bound: &Bound, source: &PlannedSource) {
    let Some(entry) = input.bundle.settings.sources.get(&source.source) else { return };
    let pipeline = &input.definition.name.value;
    let used_in: Vec<_> = input
        .environments()
        .into_iter()
        .filter(|environment| bound.environment.as_ref().is_none_or(|only| only == environment))
        .collect();
    for environment in used_in {
        let (address, path) = located(input, source, &environment);
        let field = address.as_ref().and_then(|address| source.kind.declassified_name(address));
        let declassified = field.is_some_and(|field| {
            grants_for(&entry.grants, pipeline, &environment).iter().any(|grant| {
                covers_path(grant, path.as_deref())
                    && grant.declassify.iter().any(|name| name == field)
            })
        });
        if !declassified {
            let name = &bound.parameter;
            input
                .problems
                .error("not_declassified", &bound.place, format!("`{name}` says `secret: false`, and no grant of `{}` declassifies what it reads in `{environment}`", source.source))
                .help("let the operator name the field under `declassify` of the grant, or drop `secret: false`");
            return;
        }
    }
}

fn spread(input: &Input<'_>, bounds: &[Bound], secrecy: &mut Secrecy) {
    loop {
        let mut grown = false;
        for bound in bounds {
            if secrecy.is_secret(&bound.parameter) {
                continue;
            }
            let from =
                bound.binding.computed_from().into_iter().find(|from| secrecy.is_secret(from));
            if let Some(from) = from {
                let place = shown(&bound.place, input.files);
                let reason = Reason { reason: SecrecyReason::Computed, place, next: Some(from) };
                secrecy.reasons.insert(bound.parameter.clone(), reason);
                grown = true;
            }
        }
        if !grown {
            return;
        }
    }
}

/// Parameters through which a run can send a text of its own: bindable by a run
/// and not limited to an `enum`, or computed from such by template or bind.
fn run_texts(input: &Input<'_>, bounds: &[Bound], secrecy: &Secrecy) -> BTreeSet<ParameterName> {
    let free = |name: &ParameterName| {
        input.definition.parameters.get(name).is_some_and(|one| one.schema.bears_free_text())
    };
    let mut texts: BTreeSet<ParameterName> = input
        .definition
        .parameters
        .values()
        .filter(|one| bindable(one, secrecy.is_secret(&one.name.value)) == Bindable::Run)
        .map(|one| one.name.value.clone())
        .filter(free)
        .collect();
    loop {
        let more: Vec<ParameterName> = bounds
            .iter()
            .filter(|bound| !texts.contains(&bound.parameter) && free(&bound.parameter))
            .filter(|bound| {
                bound.binding.references().is_some_and(|read| {
                    read.run_id || read.parameters.iter().any(|from| texts.contains(from))
                })
            })
            .map(|bound| bound.parameter.clone())
            .collect();
        if more.is_empty() {
            return texts;
        }
        texts.extend(more);
    }
}

fn refuse_public_claims(input: &mut Input<'_>, secrecy: &Secrecy) {
    for declaration in input.definition.parameters.values() {
        let name = &declaration.name.value;
        let Some(said) = declaration.secret.as_ref().filter(|said| !said.value) else { continue };
        if let Some(Reason { next: Some(from), .. }) = secrecy.reasons.get(name) {
            input
                .problems
                .error(
                    "computed_from_secret",
                    &said.place,
                    format!(
                        "`{name}` says `secret: false` and is computed from the secret `{from}`"
                    ),
                )
                .help("drop `secret: false`: what is computed from a secret is one");
        }
    }
}

fn refuse_literals(input: &mut Input<'_>, bounds: &[Bound], secrecy: &Secrecy) {
    for declaration in input.definition.parameters.values() {
        let name = &declaration.name.value;
        if !secrecy.is_secret(name) {
            continue;
        }
        if let Some(default) =
            declaration.default.as_ref().filter(|default| default.value != Value::Null)
        {
            refuse_literal(&mut input.problems, name, &default.place, "`default`");
        }
        for literal in &declaration.literals {
            let keyword = format!("`{}`", literal.value);
            refuse_literal(&mut input.problems, name, &literal.place, &keyword);
        }
    }
    let in_layers =
        bounds.iter().filter(|bound| bound.layer != crate::provenance::Layer::Definition);
    for bound in in_layers.filter(|bound| secrecy.is_secret(&bound.parameter)) {
        if matches!(bound.binding.as_ref(), PlannedBinding::Literal(value) if *value != Value::Null)
        {
            refuse_literal(&mut input.problems, &bound.parameter, &bound.place, "a layer");
        }
    }
}

pub(super) fn refuse_literal(
    problems: &mut Problems,
    name: &ParameterName,
    place: &Place,
    whose: &str,
) {
    problems
        .error("secret_literal", place, format!("{whose} holds a value for the secret `{name}`"))
        .sensitive()
        .help("bind it to a `file` or `env` source for that environment instead");
}

/// Refuses bindings in which a run's own text stands beside a secret.
pub(super) fn refuse_mixed_bindings(input: &mut Input<'_>, bounds: &[Bound], secrecy: &Secrecy) {
    for bound in bounds {
        if let PlannedBinding::Template { template, .. } = bound.binding.as_ref() {
            secrecy.refuse_mixed(input, template.references(), &bound.place);
        }
        if let PlannedBinding::Source(source) = bound.binding.as_ref() {
            for (_, bind) in &source.binds {
                if let super::PlannedBind::Template(template) = bind {
                    secrecy.refuse_mixed(input, template.references(), &bound.place);
                }
            }
            refuse_address(input, bound, source, secrecy);
        }
    }
}

/// An address may read only what no run can bind, and no secret: it is shown.
fn refuse_address(input: &mut Input<'_>, bound: &Bound, source: &PlannedSource, secrecy: &Secrecy) {
    let mut read = References::default();
    source.address.values().for_each(|template| read.merge(template.references()));
    let name = &bound.parameter;
    if read.run_id || read.run_attempt || read.run_started_at || read.run_logical_date {
        input
            .problems
            .error(
                "address_reads_run",
                &bound.place,
                format!("the address of `{name}` reads `run`"),
            )
            .help(
                "an address may read `environment`, `pipeline` and parameters that no run can bind",
            );
    }
    for parameter in &read.parameters {
        if secrecy.is_secret(parameter) {
            input
                .problems
                .error(
                    "address_reads_secret",
                    &bound.place,
                    format!("the address of `{name}` reads the secret `{parameter}`"),
                )
                .help("addresses stand in logs; bind a secret in a query's `bind` instead");
        } else if let Some(culprit) = secrecy.run_bindable_origin(input, parameter) {
            input
                .problems
                .error("address_reads_bindable", &bound.place, format!("the address of `{name}` reads `{parameter}`, and a run can bind `{culprit}`"))
                .help(format!("say `override: environment` or `override: none` in the declaration of `{culprit}`"));
        }
    }
}

impl Secrecy {
    pub(super) fn is_secret(&self, name: &ParameterName) -> bool {
        self.reasons.contains_key(name)
    }

    pub(super) fn is_run_text(&self, name: &ParameterName) -> bool {
        self.run_texts.contains(name)
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

    /// The parameter that a run can bind among what `name` is computed from.
    fn run_bindable_origin(
        &self,
        input: &Input<'_>,
        name: &ParameterName,
    ) -> Option<ParameterName> {
        closure(name, &self.computed_from).into_iter().find(|origin| {
            input
                .definition
                .parameters
                .get(origin)
                .is_some_and(|one| bindable(one, self.is_secret(origin)) == Bindable::Run)
        })
    }

    /// Refuses secrets where none may be read.
    pub(super) fn refuse_readers(
        &self,
        problems: &mut Problems,
        read: &BTreeSet<ParameterName>,
        place: &Place,
        reader: &str,
    ) {
        for name in read.iter().filter(|name| self.is_secret(name)) {
            problems
                .error("secret_read", place, format!("{reader} reads the secret `{name}`"))
                .help("its outcome would tell of the secret; decide on a public parameter");
        }
    }

    /// Refuses a run's own text beside a secret in one template: whoever triggers
    /// the run could send the secret to a place of his own.
    pub(super) fn refuse_mixed(&self, input: &mut Input<'_>, read: &References, place: &Place) {
        let secrets: Vec<&ParameterName> =
            read.parameters.iter().filter(|name| self.is_secret(name)).collect();
        let Some(secret) = secrets.first() else { return };
        if read.run_id {
            input
                .problems
                .error(
                    "run_text_beside_secret",
                    place,
                    format!("`run.id` stands in one template with the secret `{secret}`"),
                )
                .help("whoever triggers a run chooses its name: leave it out here");
        }
        for name in &read.parameters {
            let beside = secrets.iter().find(|secret| **secret != name);
            let allowed =
                input.definition.parameters.get(name).is_some_and(|one| one.beside_secrets);
            if let (Some(secret), true, false) = (beside, self.is_run_text(name), allowed) {
                input
                    .problems
                    .error("run_text_beside_secret", place, format!("`{name}`, a text that a run can bind, stands in one template with the secret `{secret}`"))
                    .help(format!("give `{name}` an `enum`, or `override: environment`, or say `beside_secrets: true` in its declaration"));
            }
        }
    }

    /// Refuses matrix items that a run can bind beside a secret.
    pub(super) fn refuse_mixed_matrix(
        &self,
        input: &mut Input<'_>,
        read: &References,
        lists: &BTreeMap<String, BTreeSet<ParameterName>>,
        place: &Place,
    ) {
        if !read.parameters.iter().any(|name| self.is_secret(name)) {
            return;
        }
        for list in &read.matrix {
            let origin = lists.get(list.as_str()).into_iter().flatten().find(|origin| {
                self.is_run_text(origin)
                    && !input
                        .definition
                        .parameters
                        .get(*origin)
                        .is_some_and(|one| one.beside_secrets)
            });
            if let Some(origin) = origin {
                input
                    .problems
                    .error("run_text_beside_secret", place, format!("`matrix.{list}`, an item of `{origin}` that a run can bind, stands in one template with a secret"))
                    .help(format!("give the items of `{origin}` an `enum`, or say `beside_secrets: true` in its declaration"));
            }
        }
    }
}
