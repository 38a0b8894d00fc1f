//! What is refused because something is secret, or because a run can choose it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::address::{covers_path, grants_for};
use super::super::compile::{Input, bindable};
use super::super::constant::addresses;
use super::super::graph::closure;
use super::super::layers::Bound;
use super::super::tally::Told;
use super::super::winners::Winners;
use super::super::{PlannedBind, PlannedBinding, PlannedSource};
use super::Secrecy;
use crate::definition::Bindable;
use crate::expression::References;
use crate::name::{EnvironmentName, ParameterName};
use crate::provenance::Layer;
use crate::source::Ask;
use crate::value::Value;
use crate::yaml::Place;
use crate::yaml::diagnostic::Problems;

/// Refuses what contradicts the secrecy that was inferred.
pub(in crate::plan) fn refuse_contradictions(
    input: &mut Input<'_>,
    bounds: &[Bound],
    winners: &Winners<'_>,
    secrecy: &Secrecy,
) {
    for bound in bounds {
        refuse_undeclassified(input, bound, winners, secrecy);
    }
    refuse_public_claims(input, secrecy);
    refuse_literals(input, bounds, secrecy);
}

/// `secret: false` needs a grant that names the field, wherever the binding is
/// used.
fn refuse_undeclassified(
    input: &mut Input<'_>,
    bound: &Bound,
    winners: &Winners<'_>,
    secrecy: &Secrecy,
) {
    let PlannedBinding::Source(source) = bound.binding.as_ref() else { return };
    let name = &bound.parameter;
    let unread = input.bundle.unread.settings;
    if unread || !source.kind.always_secret() || !input.says_public(name) {
        return;
    }
    for environment in winners.where_wins(input, bound) {
        if !declassified(input, secrecy, winners, source, &environment) {
            let told = Told {
                code: "not_declassified",
                place: bound.written.clone(),
                before: format!("`{name}` says `secret: false`, and no grant of `{}` declassifies what it reads", source.source),
                after: String::new(),
                help: "let the operator name the field under `declassify` of the grant, or drop `secret: false`".to_owned(),
            };
            input.tally.add(&environment, told);
        }
    }
}

fn declassified(
    input: &Input<'_>,
    secrecy: &Secrecy,
    winners: &Winners<'_>,
    source: &PlannedSource,
    environment: &EnvironmentName,
) -> bool {
    let Some(entry) = input.bundle.settings.sources.get(&source.source) else { return true };
    let grants = grants_for(&entry.grants, &input.definition.name.value, environment);
    let possible = addresses(input, secrecy, winners, source, environment);
    possible.into_iter().map(|one| one.address).all(|address| {
        // An address that can't be one is told with the grants.
        let Some(Ok(address)) = address else { return address.is_some() };
        let ask = Ask { address, texts: source.texts.clone(), binds: Vec::new() };
        let Ok(located) = source.kind.locate(&ask) else { return true };
        let path = located.grant_path;
        source.kind.declassified_name(&ask.address).is_some_and(|field| {
            grants.iter().any(|grant| {
                covers_path(grant, path.as_deref())
                    && grant.declassify.iter().any(|name| name == field)
            })
        })
    })
}

fn refuse_public_claims(input: &mut Input<'_>, secrecy: &Secrecy) {
    for declaration in input.definition.parameters.values() {
        let name = &declaration.name.value;
        let Some(said) = declaration.secret.as_ref().filter(|said| !said.value) else { continue };
        let Some(from) = secrecy.reasons.get(name).and_then(|reason| reason.next.as_ref()) else {
            continue;
        };
        input
            .problems
            .error(
                "computed_from_secret",
                &said.place,
                format!("`{name}` says `secret: false` and is computed from the secret `{from}`"),
            )
            .help("drop `secret: false`: what is computed from a secret is one");
    }
}

fn refuse_literals(input: &mut Input<'_>, bounds: &[Bound], secrecy: &Secrecy) {
    let declared = input.definition.parameters.values();
    for declaration in declared.filter(|one| secrecy.is_secret(&one.name.value)) {
        let name = &declaration.name.value;
        let default = declaration.default.as_ref().filter(|one| one.value != Value::Null);
        if let Some(default) = default {
            refuse_literal(&mut input.problems, name, &default.place, "`default`");
        }
        for literal in &declaration.literals {
            let keyword = format!("`{}`", literal.value);
            refuse_literal(&mut input.problems, name, &literal.place, &keyword);
        }
    }
    for bound in bounds.iter().filter(|bound| secrecy.is_secret(&bound.parameter)) {
        let whose = match bound.binding.as_ref() {
            // That of the definition is the default.
            PlannedBinding::Literal(value)
                if *value != Value::Null && bound.layer != Layer::Definition =>
            {
                "a layer"
            }
            PlannedBinding::Template { template, .. } if template.is_literal() => {
                "a template that reads nothing"
            }
            _ => continue,
        };
        refuse_literal(&mut input.problems, &bound.parameter, &bound.written, whose);
    }
}

pub(in crate::plan) fn refuse_literal(
    problems: &mut Problems,
    name: &ParameterName,
    place: &Place,
    whose: &str,
) {
    let help = match whose {
        "`enum`" | "`const`" | "`examples`" => "take it out: what a secret can be is a secret too",
        _ => "bind it to a `file` or `env` source for that environment instead",
    };
    problems
        .error("secret_literal", place, format!("{whose} holds a value for the secret `{name}`"))
        .sensitive()
        .help(help);
}

/// Refuses bindings in which a run's own text stands beside a secret, and
/// addresses that a run could choose.
pub(in crate::plan) fn refuse_mixed_bindings(
    input: &mut Input<'_>,
    bounds: &[Bound],
    secrecy: &Secrecy,
) {
    let none = BTreeMap::new();
    for bound in bounds {
        match bound.binding.as_ref() {
            PlannedBinding::Literal(_) => {}
            PlannedBinding::Template { template, .. } => {
                refuse_mixed(input, secrecy, template.references(), &none, &bound.written);
            }
            PlannedBinding::Source(source) => {
                for (name, bind) in &source.binds {
                    let PlannedBind::Template(template) = bind else { continue };
                    let place = source.places.get(name.as_str()).unwrap_or(&bound.written);
                    refuse_mixed(input, secrecy, template.references(), &none, place);
                }
                refuse_address(input, secrecy, bound, source);
            }
        }
    }
}

/// An address may read only what no run can bind, and no secret: it is shown.
fn refuse_address(input: &mut Input<'_>, secrecy: &Secrecy, bound: &Bound, source: &PlannedSource) {
    const MAY: &str =
        "an address may read `environment`, `pipeline` and parameters that no run can bind";
    for (field, template) in &source.address {
        let read = template.references();
        let place = source.places.get(*field).unwrap_or(&bound.written);
        if read.reads_run() {
            let message = format!("the address of `{}` reads `run`", bound.parameter);
            input.problems.error("address_reads_run", place, message).help(MAY);
        }
        for name in &read.parameters {
            refuse_in_address(input, secrecy, &bound.parameter, name, place);
        }
    }
}

fn refuse_in_address(
    input: &mut Input<'_>,
    secrecy: &Secrecy,
    bound: &ParameterName,
    name: &ParameterName,
    place: &Place,
) {
    let reads = |what: &str| format!("the address of `{bound}` reads {what}`{name}`");
    if secrecy.is_secret(name) {
        input
            .problems
            .error("address_reads_secret", place, reads("the secret "))
            .help("addresses stand in logs; bind a secret in a query's `bind` instead");
        return;
    }
    if !secrecy.is_sound(name) {
        return;
    }
    if let Some(culprit) = secrecy.run_bindable_origin(input, name) {
        input
            .problems
            .error(
                "address_reads_bindable",
                place,
                format!("{}, and a run can bind `{culprit}`", reads("")),
            )
            .help(format!(
                "say `override: environment` or `override: none` in the declaration of `{culprit}`"
            ));
    } else if closure(name, &secrecy.computed_from)
        .iter()
        .any(|origin| secrecy.from_run.contains(origin))
    {
        input
            .problems
            .error(
                "address_reads_run",
                place,
                format!("{}, which is computed from `run`", reads("")),
            )
            .help("whoever triggers a run chooses `run.id` and `run.logical_date`");
    }
}

/// Refuses secrets where none may be read.
pub(in crate::plan) fn refuse_readers(
    secrecy: &Secrecy,
    problems: &mut Problems,
    read: &BTreeSet<ParameterName>,
    place: &Place,
    reader: &str,
) {
    for name in read.iter().filter(|name| secrecy.is_secret(name)) {
        problems
            .error("secret_read", place, format!("{reader} reads the secret `{name}`"))
            .help("its outcome would tell of the secret; decide on a public parameter");
    }
}

/// Refuses a run's own text beside a secret in one template: whoever triggers
/// the run could send the secret to a place of his own. `lists` is what the
/// lists of a matrix read.
pub(in crate::plan) fn refuse_mixed(
    input: &mut Input<'_>,
    secrecy: &Secrecy,
    read: &References,
    lists: &BTreeMap<String, References>,
    place: &Place,
) {
    let secrets: Vec<&ParameterName> =
        read.parameters.iter().filter(|name| secrecy.is_secret(name)).collect();
    let Some(secret) = secrets.first() else { return };
    let lists = read.matrix.iter().filter_map(|name| Some((name, lists.get(name.as_str())?)));
    if read.run_id {
        refuse_run_id(&mut input.problems, "`run.id`", secret, place);
    }
    for name in &read.parameters {
        let beside = secrets.iter().find(|secret| **secret != name);
        if let Some(secret) = beside.filter(|_| secrecy.may_send_text(input, name)) {
            refuse_text(input, secrecy, name, &format!("`{name}`"), secret, place);
        }
    }
    for (list, origins) in lists {
        if origins.run_id {
            refuse_run_id(&mut input.problems, &format!("`matrix.{list}`"), secret, place);
        }
        for name in &origins.parameters {
            if secrecy.may_send_text(input, name) {
                let what = format!("`matrix.{list}`, an item of `{name}`");
                refuse_text(input, secrecy, name, &what, secret, place);
            }
        }
    }
}

fn refuse_run_id(problems: &mut Problems, what: &str, secret: &ParameterName, place: &Place) {
    problems
        .error(
            "run_text_beside_secret",
            place,
            format!("{what} stands in one template with the secret `{secret}`"),
        )
        .help("whoever triggers a run chooses its id: leave it out here");
}

fn refuse_text(
    input: &mut Input<'_>,
    secrecy: &Secrecy,
    name: &ParameterName,
    what: &str,
    secret: &ParameterName,
    place: &Place,
) {
    let entrance =
        if secrecy.run_id_texts.contains_key(name) { None } else { secrecy.entrance(name) };
    let why = match entrance {
        Some(entrance) if entrance == name => "a text that a run can bind".to_owned(),
        Some(entrance) => format!("computed from `{entrance}`, a text that a run can bind"),
        None => "computed from `run.id`".to_owned(),
    };
    let help = match entrance {
        Some(entrance) => format!(
            "`enum` or `override: environment` in the declaration of `{entrance}` keeps runs from choosing it; `beside_secrets: true` in that of `{name}` says that it is meant so"
        ),
        None => "whoever triggers a run chooses its id: leave it out here".to_owned(),
    };
    input
        .problems
        .error(
            "run_text_beside_secret",
            place,
            format!("{what}, {why}, stands in one template with the secret `{secret}`"),
        )
        .help(help);
}

impl Secrecy {
    /// Whether a run can send a text through it, and its declaration doesn't
    /// take that on itself. For `run.id` none can.
    fn may_send_text(&self, input: &Input<'_>, name: &ParameterName) -> bool {
        let declaration = input.definition.parameters.get(name);
        let taken_on = declaration.is_none_or(|one| one.beside_secrets);
        let texts = if taken_on { &self.run_id_texts } else { &self.run_texts };
        texts.contains_key(name) && self.is_sound(name)
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
}
