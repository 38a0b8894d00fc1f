//! Bindings to sources: which source, with which grants, at which address.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::Input;
use super::text::compiled;
use super::{PlannedBind, PlannedSource};
use crate::definition::{Declaration, Grant, glob};
use crate::expression::{EvaluationError, References, Scope, Template};
use crate::name::{EnvironmentName, PipelineName, SourceName};
use crate::provenance::cut_location;
use crate::source::{Bind, SourceBinding, TemplateText, registry};
use crate::value::Value;
use crate::yaml::Place;
use crate::yaml::fields::among;

/// Compiles a binding to a source of `paramd.yaml`.
pub(super) fn compile_source(
    input: &mut Input<'_>,
    declaration: &Declaration,
    binding: &SourceBinding,
    place: &Place,
) -> Option<PlannedSource> {
    let kind = registry::by_kind(binding.kind)?;
    let source = source_name(input, binding, place);
    let mut sound = source.is_some();
    for problem in kind.check(binding, &declaration.schema) {
        let told = input.problems.error("binding", &problem.place, problem.message);
        if let Some(help) = problem.help {
            told.help(help);
        }
        sound = false;
    }
    let mut references = References::default();
    let mut places = BTreeMap::new();
    let mut address = BTreeMap::new();
    for (field, text) in &binding.address {
        match compile_address(input, text) {
            Some(template) => {
                references.merge(template.references());
                places.insert((*field).to_owned(), text.place.clone());
                address.insert(*field, template);
            }
            None => sound = false,
        }
    }
    let mut binds = Vec::new();
    for (name, bind) in &binding.binds {
        if let Bind::Template(text) = bind {
            places.insert(name.clone(), text.place.clone());
        }
        match compile_bind(input, bind) {
            Some(bind) => {
                if let PlannedBind::Template(template) = &bind {
                    references.merge(template.references());
                }
                binds.push((name.clone(), bind));
            }
            None => sound = false,
        }
    }
    let texts = binding.texts.iter().map(|(field, text)| (*field, text.text.clone())).collect();
    let source = source.filter(|_| sound)?;
    let location = written_location(binding);
    Some(PlannedSource {
        kind,
        source,
        address,
        texts: Arc::new(texts),
        binds,
        references,
        location,
        places,
    })
}

fn compile_address(input: &mut Input<'_>, text: &TemplateText) -> Option<Template> {
    let outcome = Template::compile(&text.text, &input.types);
    let template = compiled(text, outcome, &mut input.problems)?;
    if template.result().has_text() {
        return Some(template);
    }
    let words = template.result().words();
    input
        .problems
        .error("wrong_type", &text.place, format!("an address is text, and this is: {words}"))
        .help("use a string, a number or a boolean");
    None
}

fn compile_bind(input: &mut Input<'_>, bind: &Bind) -> Option<PlannedBind> {
    match bind {
        Bind::Literal(value) => Some(PlannedBind::Literal(value.value.clone())),
        Bind::Template(text) => {
            let outcome = Template::compile(&text.text, &input.types);
            compiled(text, outcome, &mut input.problems).map(PlannedBind::Template)
        }
    }
}

/// The address as the definition writes it, templates not rendered.
fn written_location(binding: &SourceBinding) -> String {
    let field = |name: &str| binding.address.get(name).map(|text| text.text.as_str());
    let mut parts = Vec::new();
    for name in ["mount", "path", "name"] {
        parts.extend(field(name));
    }
    let mut location = parts.join("/");
    if let Some(field) = field("field") {
        location = format!("{location}#{field}");
    }
    if let Some(version) = field("version") {
        location = format!("{location}@{version}");
    }
    if location.is_empty() {
        location = binding.texts.get("query").map(|text| text.text.clone()).unwrap_or_default();
    }
    cut_location(&location)
}

/// The source that is meant; where none is named, the only one of its kind.
fn source_name(
    input: &mut Input<'_>,
    binding: &SourceBinding,
    place: &Place,
) -> Option<SourceName> {
    let sources = &input.bundle.settings.sources;
    let word = binding.kind.word();
    let of_kind: Vec<&SourceName> = sources
        .values()
        .filter(|source| source.kind == binding.kind)
        .map(|source| &source.name)
        .collect();
    let unread = input.bundle.unread.settings;
    let Some(named) = &binding.from else {
        return match of_kind.as_slice() {
            // It may be there; what it gives is the same of every source.
            _ if unread => SourceName::parse(word).ok(),
            [only] => Some((*only).clone()),
            [] => {
                input
                    .problems
                    .error(
                        "no_source",
                        place,
                        format!("paramd.yaml has no source of the kind `{word}`"),
                    )
                    .help("add one under `sources`");
                None
            }
            _ => {
                input
                    .problems
                    .error(
                        "ambiguous_source",
                        place,
                        format!("paramd.yaml has several sources of the kind `{word}`"),
                    )
                    .help("name one with `from`");
                None
            }
        };
    };
    match sources.get(&named.value) {
        None if unread => Some(named.value.clone()),
        Some(source) if source.kind == binding.kind => Some(named.value.clone()),
        Some(source) => {
            let is = source.kind.word();
            input
                .problems
                .error(
                    "wrong_source",
                    &named.place,
                    format!("the source `{}` is of the kind `{is}`, not `{word}`", named.value),
                )
                .help("name a source of this kind");
            None
        }
        None => {
            let help = among(named.value.as_str(), of_kind.iter().map(|name| name.as_str()));
            input
                .problems
                .error(
                    "unknown_source",
                    &named.place,
                    format!("paramd.yaml has no source `{}`", named.value),
                )
                .help(help);
            None
        }
    }
}

/// The grants of a source that cover a pipeline in an environment.
pub(super) fn grants_for(
    grants: &[Grant],
    pipeline: &PipelineName,
    environment: &EnvironmentName,
) -> Vec<Grant> {
    grants
        .iter()
        .filter(|grant| grant.pipelines.iter().any(|glob| glob::matches(glob, pipeline.as_str())))
        .filter(|grant| {
            grant.environments.as_ref().is_none_or(|listed| listed.contains(environment))
        })
        .cloned()
        .collect()
}

/// Whether one of the grants covers a canonical path.
pub fn covers(grants: &[Grant], path: Option<&str>) -> bool {
    grants.iter().any(|grant| covers_path(grant, path))
}

pub(super) fn covers_path(grant: &Grant, path: Option<&str>) -> bool {
    match (&grant.paths, path) {
        (Some(globs), Some(path)) => globs.iter().any(|glob| glob::matches(glob, path)),
        _ => true,
    }
}

/// Renders an address: each value in it is one segment `[A-Za-z0-9_.-]+`, never
/// `.` or `..`, so that no value can lead to another place.
///
/// # Errors
/// What failed; it quotes no value.
pub fn render_address(
    templates: &BTreeMap<&'static str, Template>,
    scope: &dyn Scope,
) -> Result<BTreeMap<&'static str, String>, EvaluationError> {
    templates
        .iter()
        .map(|(field, template)| Ok((*field, template.evaluate_text(scope, is_segment)?)))
        .collect()
}

fn is_segment(value: &Value) -> bool {
    value.text().is_some_and(|text| {
        !text.is_empty()
            && text != "."
            && text != ".."
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    })
}
