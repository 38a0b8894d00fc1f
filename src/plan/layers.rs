//! What each layer binds a pipeline's parameters to: names resolved, values
//! checked, templates compiled, once for all environments.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PlannedBinding;
use super::address::compile_source;
use super::compile::Input;
use super::text::{compiled, shown};
use crate::definition::{Bindable, Binding, Declaration, LayerBlock};
use crate::expression::Template;
use crate::name::{EnvironmentName, ParameterName};
use crate::provenance::Layer;
use crate::schema::{ViolationKind, fits};
use crate::source::TemplateText;
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::among;
use crate::yaml::{Literal, Place, Spanned};

/// A binding of one layer, for one environment or all.
pub(super) struct Bound {
    pub(super) layer: Layer,
    /// The environment whose file it stands in; none: any.
    pub(super) environment: Option<EnvironmentName>,
    pub(super) parameter: ParameterName,
    pub(super) binding: Arc<PlannedBinding>,
    /// `file:line` of its lock; none: its layer doesn't lock it.
    pub(super) locked: Option<String>,
    /// Where the binding begins: in a layer, its name.
    pub(super) place: Place,
    /// Where its value, template or source is written.
    pub(super) written: Place,
    /// `file:line` of `place`.
    pub(super) shown: String,
}

impl Bound {
    /// Whether it can hold in an environment.
    pub(super) fn is_in(&self, environment: &EnvironmentName) -> bool {
        self.environment.as_ref().is_none_or(|only| only == environment)
    }
}

/// All bindings of a pipeline's parameters, lowest layer first.
pub(super) fn collect(input: &mut Input<'_>) -> Vec<Bound> {
    let mut bounds = definitions(input);
    let bundle = input.bundle;
    let name = &input.definition.name.value;
    let global = bundle.global.iter().map(|file| (file, Layer::Global, Layer::GlobalPipeline));
    let environments = bundle
        .environments
        .values()
        .map(|file| (file, Layer::Environment, Layer::EnvironmentPipeline));
    for (file, for_all, for_one) in global.chain(environments) {
        let environment = file.environment.as_ref();
        take(input, &mut bounds, environment, for_all, &file.all);
        if let Some((_, block)) = file.pipelines.get(name) {
            take(input, &mut bounds, environment, for_one, block);
        }
    }
    bounds
}

fn definitions(input: &mut Input<'_>) -> Vec<Bound> {
    let definition = input.definition;
    let mut bounds = Vec::new();
    for declaration in definition.parameters.values() {
        let (binding, place) = match (&declaration.from, &declaration.default) {
            (Some(from), _) => (compile_binding(input, declaration, from), place_of(from)),
            (None, Some(default)) => {
                (Some(PlannedBinding::Literal(default.value.clone())), default.place.clone())
            }
            (None, None) => continue,
        };
        let Some(binding) = binding else {
            input.fail(&declaration.name.value, None);
            continue;
        };
        bounds.push(Bound {
            layer: Layer::Definition,
            environment: None,
            parameter: declaration.name.value.clone(),
            binding: Arc::new(binding),
            locked: None,
            written: place.clone(),
            shown: shown(&place, input.files),
            place,
        });
    }
    bounds
}

fn place_of(binding: &Binding) -> Place {
    match binding {
        Binding::Template(text) => text.place.clone(),
        Binding::Source(_, place) => place.clone(),
    }
}

fn take(
    input: &mut Input<'_>,
    bounds: &mut Vec<Bound>,
    environment: Option<&EnvironmentName>,
    layer: Layer,
    block: &LayerBlock,
) {
    let mut seen: BTreeMap<ParameterName, &str> = BTreeMap::new();
    let values = block.values.iter().map(|(name, value)| (name, Written::Value(value)));
    let from = block.from.iter().map(|(name, from)| (name, Written::Binding(from)));
    for (name, written) in values.chain(from) {
        let Some(declaration) = declared(input, layer, name) else { continue };
        let known = &declaration.name.value;
        if let Some(first) = seen.insert(known.clone(), &name.value) {
            // The same name in `values` and `from` was told when it was read.
            if first != name.value {
                input
                    .problems
                    .error(
                        "bound_twice",
                        &name.place,
                        format!("one layer binds `{known}` by its name and by an alias"),
                    )
                    .sensitive()
                    .help("keep one of the two");
            }
            continue;
        }
        refuse_where_not_bindable(input, declaration, &name.place);
        let (binding, place) = match written {
            Written::Value(value) => {
                let pipeline = &input.definition.name.value;
                let whose = format!("`{known}` of `{pipeline}`");
                let checked = checked_literal(declaration, value, &whose, &mut input.problems);
                (checked.map(PlannedBinding::Literal), value.place.clone())
            }
            Written::Binding(from) => (compile_binding(input, declaration, from), place_of(from)),
        };
        let Some(binding) = binding else {
            input.fail(known, environment);
            continue;
        };
        bounds.push(Bound {
            layer,
            environment: environment.cloned(),
            parameter: declaration.name.value.clone(),
            binding: Arc::new(binding),
            locked: block
                .locked
                .iter()
                .find(|locked| input.resolve(&locked.value) == Some(&declaration.name.value))
                .map(|locked| shown(&locked.place, input.files)),
            place: name.place.clone(),
            written: place,
            shown: shown(&name.place, input.files),
        });
    }
}

enum Written<'a> {
    Value(&'a Literal),
    Binding(&'a Binding),
}

/// The declaration that a layer's name means. In a block for all pipelines a name
/// that this pipeline doesn't declare is another pipeline's.
fn declared<'a>(
    input: &mut Input<'a>,
    layer: Layer,
    name: &Spanned<String>,
) -> Option<&'a Declaration> {
    let definition = input.definition;
    let known = input.resolve(&name.value).and_then(|known| definition.parameters.get(known));
    let for_one = matches!(layer, Layer::GlobalPipeline | Layer::EnvironmentPipeline);
    if known.is_none() && for_one && !definition.broken.has(&name.value) {
        let pipeline = &definition.name.value;
        let names = definition.parameters.keys().map(ParameterName::as_str);
        input
            .problems
            .error(
                "unknown_parameter",
                &name.place,
                format!("the pipeline `{pipeline}` declares no parameter of this name"),
            )
            .sensitive()
            .help(among(&name.value, names));
    }
    known
}

fn refuse_where_not_bindable(input: &mut Input<'_>, declaration: &Declaration, place: &Place) {
    if declaration.bindable.as_ref().is_some_and(|said| said.value == Bindable::Definition) {
        let (name, pipeline) = (&declaration.name.value, &input.definition.name.value);
        input
            .problems
            .error(
                "not_bindable",
                place,
                format!("`{name}` of `{pipeline}` says `override: none`: no layer may bind it"),
            )
            .sensitive()
            .help("remove it here, or say `override: environment` in its declaration");
    }
}

/// A literal of a layer or preset, of the declared type.
pub(super) fn checked_literal(
    declaration: &Declaration,
    value: &Literal,
    whose: &str,
    problems: &mut Problems,
) -> Option<Value> {
    let schema = &declaration.schema;
    let adopted = schema.adopt(value.value.clone()).map_err(|violation| vec![violation]);
    let checked = adopted.and_then(|value| schema.check(&value).map(|()| value));
    match checked {
        Ok(value) => Some(value),
        Err(violations) => {
            for violation in violations {
                let what = match violation.kind {
                    ViolationKind::UnknownProperty => "has a property that isn't declared",
                    ViolationKind::Type => "isn't of the declared type",
                    ViolationKind::Schema => "breaks its schema",
                };
                let at = if violation.pointer.is_empty() {
                    String::new()
                } else {
                    format!(" at `{}`", violation.pointer)
                };
                problems
                    .error(
                        "invalid_value",
                        &value.node.at(&violation.pointer).place,
                        format!("the value of {whose} {what}{at}"),
                    )
                    .sensitive()
                    .help(format!("expected: {}", violation.expected));
            }
            None
        }
    }
}

pub(super) fn compile_binding(
    input: &mut Input<'_>,
    declaration: &Declaration,
    binding: &Binding,
) -> Option<PlannedBinding> {
    match binding {
        Binding::Template(text) => compile_template(input, declaration, text),
        Binding::Source(source, place) => {
            compile_source(input, declaration, source, place).map(PlannedBinding::Source)
        }
    }
}

fn compile_template(
    input: &mut Input<'_>,
    declaration: &Declaration,
    text: &TemplateText,
) -> Option<PlannedBinding> {
    let template =
        compiled(text, Template::compile(&text.text, &input.types), &mut input.problems)?;
    let declared = declaration.schema.declared();
    if !fits(template.result(), declared) {
        let name = &declaration.name.value;
        input
            .problems
            .error(
                "wrong_type",
                &text.place,
                format!(
                    "the template gives {}, and `{name}` is {}",
                    template.result().words(),
                    declared.words()
                ),
            )
            .help("change the declared type, or what the template computes");
        return None;
    }
    Some(PlannedBinding::Template { template, text: text.text.clone() })
}
