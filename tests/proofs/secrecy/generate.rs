//! Makes pipelines up. Most are sound; a few read a secret where none may be.

use std::collections::BTreeMap;

use super::expressions::{literal, of_type, template};
use super::model::{
    Ask, Binding, E, Kind, Override, Parameter, Part, Pipeline, Place, Step, T, TYPES, Template, V,
    named, named_in,
};
use super::written::ENVIRONMENTS;
use crate::draw::Draw;

/// What can be told of parameters without running anything.
pub(super) struct Known {
    /// Secret through one binding of any layer, or of what it is computed from.
    pub(super) secret: Vec<bool>,
    /// A run can bind it, or what it is computed from; or it reads `run.id`.
    from_run: Vec<bool>,
}

pub(super) fn pipeline(draw: &mut Draw<'_>) -> (Pipeline, Known) {
    let all = draw.within(1, 3);
    let may = if draw.chance(30) { draw.within(1, all) } else { all };
    let mut made = Pipeline {
        all: ENVIRONMENTS[..all].to_vec(),
        environments: ENVIRONMENTS[..may].to_vec(),
        parameters: Vec::new(),
        presets: Vec::new(),
        rules: Vec::new(),
        steps: Vec::new(),
        contradicts: false,
    };
    let mut known = Known { secret: Vec::new(), from_run: Vec::new() };
    for _ in 0..draw.within(2, 9) {
        let mut one = parameter(draw, &made);
        settle(draw, &mut one, &mut made.contradicts, &mut known);
        made.parameters.push(one);
    }
    for _ in 0..draw.below(3) {
        made.presets.push(preset(draw, &made, &known));
    }
    if draw.chance(25) {
        let rule = condition(draw, &mut made, &known);
        // Most hold, and what they read is evaluated all the same.
        made.rules.push(E::Both("or", Box::new(rule), Box::new(E::Lit(V::Bool(true)))));
    }
    for _ in 0..draw.below(3) {
        let step = step(draw, &mut made, &known);
        made.steps.push(step);
    }
    (made, known)
}

fn parameter(draw: &mut Draw<'_>, made: &Pipeline) -> Parameter {
    let before = made.parameters.as_slice();
    let of = *draw.pick(&TYPES);
    let secret = match draw.below(10) {
        8 => Some(true),
        9 => Some(false),
        _ => None,
    };
    let bindable =
        *draw.pick(&[Override::Unsaid, Override::Environment, Override::None, Override::Run]);
    let mut one = Parameter {
        of,
        secret,
        bindable,
        beside_secrets: !draw.chance(15),
        choices: Vec::new(),
        default: None,
        from: None,
        layers: BTreeMap::new(),
    };
    if draw.chance(75) {
        one.from =
            Some(binding(draw, of, before)).filter(|one| !matches!(one, Binding::Literal(_)));
    }
    if bindable != Override::None {
        let files = std::iter::once(None).chain(made.all.iter().copied().map(Some));
        for environment in files {
            for own in [false, true] {
                if draw.chance(9) {
                    one.layers.insert(Place { environment, own }, binding(draw, of, before));
                }
            }
        }
    }
    if one.from.is_none() || one.bindings().any(is_gone) || draw.chance(20) {
        one.default = Some(literal(draw, of));
    }
    if of == T::Str && one.from.is_none() && one.layers.is_empty() && draw.chance(20) {
        one.choices = [literal(draw, of), literal(draw, of)].into();
        one.choices.extend(one.default.clone());
        one.choices.dedup();
        one.choices.sort_by_key(super::interpret::json);
        one.choices.dedup();
    }
    one
}

fn is_gone(binding: &Binding) -> bool {
    matches!(binding, Binding::Ask(Ask { gone: true, .. }))
}

fn binding(draw: &mut Draw<'_>, of: T, before: &[Parameter]) -> Binding {
    // An object can't be written out in a template.
    let made_of = |one: &Parameter| one.of == of;
    match draw.below(8) {
        0 | 1 => Binding::Literal(literal(draw, of)),
        2..=5 if of == T::Obj && !before.iter().any(made_of) => Binding::Literal(literal(draw, of)),
        2..=5 => Binding::Template(template(draw, of, before, false)),
        _ => Binding::Ask(ask(draw, of, before)),
    }
}

fn ask(draw: &mut Draw<'_>, of: T, before: &[Parameter]) -> Ask {
    let kinds: &[Kind] = match of {
        T::Str | T::Int => &[Kind::Env, Kind::File, Kind::Sql, Kind::Vault],
        T::Bool | T::Num => &[Kind::Env, Kind::Sql, Kind::Vault],
        T::May => &[Kind::Sql, Kind::Vault],
        _ => &[Kind::Env, Kind::Vault],
    };
    let kind = *draw.pick(kinds);
    let gone = draw.chance(10);
    let at = match (kind, draw.below(4)) {
        (Kind::Env, _) if gone => plain("GONE"),
        (_, 0) | (Kind::Sql, _) => plain("A"),
        (Kind::Env, _) | (_, 1) => vec![Part::Expression(E::Environment)],
        _ => address(draw, before),
    };
    let mut binds = Vec::new();
    if kind == Kind::Sql {
        for _ in 0..draw.below(3) {
            let of = *draw.pick(&[T::Str, T::Int, T::Bool, T::May]);
            binds.push(template(draw, of, before, false));
        }
    }
    Ask { kind, of, gone, at, binds, public: draw.chance(20) }
}

fn plain(text: &str) -> Template {
    vec![Part::Text(text.to_owned())]
}

fn address(draw: &mut Draw<'_>, before: &[Parameter]) -> Template {
    let fit: Vec<usize> =
        (0..before.len()).filter(|at| matches!(before[*at].of, T::Str | T::Int)).collect();
    if fit.is_empty() {
        return plain("A");
    }
    let mut at = plain("x-");
    at.push(Part::Expression(E::Param(*draw.pick(&fit))));
    at
}

/// Works out what is known of a parameter, and takes out of it what is refused.
fn settle(draw: &mut Draw<'_>, one: &mut Parameter, contradicts: &mut bool, known: &mut Known) {
    let computed =
        |one: &Parameter, of: &[bool]| one.bindings().flat_map(Binding::named).any(|from| of[from]);
    for binding in one.from.iter_mut().chain(one.layers.values_mut()) {
        if let Binding::Ask(ask) = binding {
            ask.public |= one.secret == Some(false);
            let bad = |at: &usize| known.secret[*at] || known.from_run[*at];
            if named_in(&ask.at).iter().any(bad) {
                ask.at = plain("A");
            }
        }
    }
    if one.secret == Some(false) && computed(one, &known.secret) {
        one.secret = None;
    }
    let of_vault =
        |binding: &Binding| matches!(binding, Binding::Ask(Ask { kind: Kind::Vault, .. }));
    let own = one.secret == Some(true) || (one.secret.is_none() && one.bindings().any(of_vault));
    let secret = own || computed(one, &known.secret);
    if secret {
        if draw.chance(3) && written_out(one) {
            *contradicts = true;
        } else {
            take_out_literals(one);
        }
    }
    let runs = match one.bindable {
        Override::Unsaid => !secret,
        other => other == Override::Run,
    };
    let reads_id = one.bindings().any(reads_run_id);
    known.from_run.push(runs || reads_id || computed(one, &known.from_run));
    known.secret.push(secret);
}

/// Whether a secret stands in the files.
fn written_out(one: &Parameter) -> bool {
    let value = |value: &V| *value != V::Null;
    let literal = |binding: &Binding| match binding {
        Binding::Literal(found) => value(found),
        _ => false,
    };
    one.default.as_ref().is_some_and(value)
        || !one.choices.is_empty()
        || one.layers.values().any(literal)
}

fn take_out_literals(one: &mut Parameter) {
    let of = one.of;
    let kind = if of == T::May { Kind::Sql } else { Kind::Env };
    let instead = Binding::Ask(Ask {
        kind,
        of,
        gone: false,
        at: plain("A"),
        binds: Vec::new(),
        public: false,
    });
    one.choices.clear();
    for binding in one.from.iter_mut().chain(one.layers.values_mut()) {
        let literal = match binding {
            Binding::Literal(value) => *value != V::Null,
            Binding::Template(parts) => reads_nothing(parts),
            Binding::Ask(ask) => {
                // There is no default that could stand in.
                ask.gone &= of == T::May;
                if !ask.gone && named_in(&ask.at).is_empty() && ask.kind == Kind::Env {
                    ask.at = plain("A");
                }
                false
            }
        };
        if literal {
            *binding = instead.clone();
        }
    }
    if one.default.is_some() && of == T::May {
        one.default = Some(V::Null);
    } else {
        one.default = None;
        one.from.get_or_insert(instead);
    }
}

fn reads_nothing(parts: &Template) -> bool {
    let fixed = ["environment", "pipeline", "run.", "params.", "matrix."];
    let written = super::written::template(parts);
    !fixed.iter().any(|name| written.contains(name))
}

fn reads_run_id(binding: &Binding) -> bool {
    let written = |parts: &Template| super::written::template(parts).contains("run.id");
    match binding {
        Binding::Literal(_) => false,
        Binding::Template(parts) => written(parts),
        Binding::Ask(ask) => ask.binds.iter().any(written),
    }
}

fn preset(draw: &mut Draw<'_>, made: &Pipeline, known: &Known) -> BTreeMap<usize, V> {
    let mut values = BTreeMap::new();
    for (index, one) in made.parameters.iter().enumerate() {
        if !known.secret[index] && draw.chance(25) {
            values.insert(index, value_for(draw, one));
        }
    }
    values
}

/// A value that may be bound to a parameter.
pub(super) fn value_for(draw: &mut Draw<'_>, one: &Parameter) -> V {
    if one.choices.is_empty() { literal(draw, one.of) } else { draw.pick(&one.choices).clone() }
}

/// A condition over public parameters; rarely over all.
fn condition(draw: &mut Draw<'_>, made: &mut Pipeline, known: &Known) -> E {
    let careless = draw.chance(4);
    let open = shown(made, known, careless);
    let condition = of_type(draw, T::Bool, 3, &open, false);
    let mut read = Vec::new();
    named(&condition, &mut read);
    made.contradicts |= read.iter().any(|at| known.secret[*at]);
    condition
}

/// The parameters with those left unusable that are secret.
fn shown(made: &Pipeline, known: &Known, all: bool) -> Vec<Option<T>> {
    let secret = known.secret.iter();
    made.parameters
        .iter()
        .zip(secret)
        .map(|(one, secret)| Some(one.of).filter(|_| all || !*secret))
        .collect()
}

fn step(draw: &mut Draw<'_>, made: &mut Pipeline, known: &Known) -> Step {
    let when = if draw.chance(50) { Some(condition(draw, made, known)) } else { None };
    let lists: Vec<usize> = (0..made.parameters.len())
        .filter(|at| matches!(made.parameters[*at].of, T::Strs | T::Ints))
        .filter(|at| !known.secret[*at])
        .collect();
    let matrix = if lists.is_empty() || draw.chance(60) { None } else { Some(*draw.pick(&lists)) };
    let params = (0..made.parameters.len()).filter(|_| draw.chance(30)).collect();
    let careless = draw.chance(4);
    let open = shown(made, known, careless);
    let all = shown(made, known, true);
    let with_matrix = matrix.is_some();
    let mut entries = |most: usize, types: &[Option<T>], of: &[T]| -> Vec<Template> {
        let count = draw.below(most + 1);
        (0..count)
            .map(|_| {
                let of = *draw.pick(of);
                super::expressions::template_of(draw, of, types, with_matrix)
            })
            .collect()
    };
    let run = entries(2, &open, &[T::Str, T::Int, T::Strs, T::May]);
    let env = entries(3, &all, &[T::Str, T::Int, T::Bool, T::Num, T::May]);
    let files = entries(2, &all, &[T::Str, T::May]);
    made.contradicts |= run.iter().flat_map(named_in).any(|at| known.secret[at]);
    Step { when, matrix, params, run, env, files }
}
