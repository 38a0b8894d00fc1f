//! Reader of bindings: `template: TEXT`, or a kind of source with its fields.

use std::collections::BTreeMap;

use super::Binding;
use crate::source::{Bind, Field, Kind, Role, SourceBinding, TemplateText, registry};
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields, listed};
use crate::yaml::{Entry, Node, NodeKind, Origin, Place, Scalar, Spanned};

/// The most binds of one query.
const MAX_BINDS: usize = 100;

/// Reads what stands under a `from`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Option<Binding> {
    let NodeKind::Mapping(entries) = &node.kind else {
        let message = format!("a binding must be a mapping, not {}", node.describe());
        problems
            .error("wrong_type", &node.place, message)
            .sensitive()
            .help(format!("one of {}", listed(&words())));
        return None;
    };
    let [entry] = entries.as_slice() else {
        problems
            .error("invalid_binding", &node.place, "a binding has exactly one kind")
            .sensitive()
            .help(format!("one of {}", listed(&words())));
        return None;
    };
    if entry.key.value == "template" {
        return fields::template(&entry.value, "template", problems).map(Binding::Template);
    }
    match registry::by_word(&entry.key.value) {
        Some(kind) => source(kind, entry, problems),
        None => {
            fields::unknown_key(entry, "a binding", &words(), problems);
            None
        }
    }
}

fn words() -> Vec<&'static str> {
    let mut words = vec!["template"];
    let kinds = registry::kinds().iter().map(|kind| kind.kind().word());
    words.extend(kinds.filter(|word| *word != "template"));
    words
}

fn source(kind: &dyn Kind, entry: &Entry, problems: &mut Problems) -> Option<Binding> {
    let before = problems.errors();
    let what = format!("`{}`", kind.kind().word());
    let mut keys = Fields::of(&entry.value, what, problems)?;
    let from = keys.optional("from");
    let mut binding = SourceBinding {
        kind: kind.kind(),
        from: from
            .and_then(|node| fields::text(node, "from", problems))
            .and_then(|text| fields::name(&text, problems)),
        address: BTreeMap::new(),
        texts: BTreeMap::new(),
        binds: BTreeMap::new(),
    };
    for field in kind.fields() {
        let node =
            if field.required { keys.required(field.name) } else { keys.optional(field.name) };
        read_field(field, node, &entry.key.place, &mut binding, problems);
    }
    keys.finish(problems);
    (problems.errors() == before).then(|| Binding::Source(binding, entry.value.place.clone()))
}

fn read_field(
    field: &Field,
    node: Option<&Node>,
    whole: &Place,
    binding: &mut SourceBinding,
    problems: &mut Problems,
) {
    match (field.role, node) {
        (Role::Address, Some(node)) => {
            if let Some(text) = address(node, field.name, problems) {
                binding.address.insert(field.name, text);
            }
        }
        (Role::Text, Some(node)) => {
            if let Some(text) = fields::template(node, field.name, problems) {
                binding.texts.insert(field.name, text);
            }
        }
        (Role::Choice(words), Some(node)) => {
            if let Some(text) = fields::template(node, field.name, problems)
                && choice(field.name, words, &text, problems)
            {
                binding.texts.insert(field.name, text);
            }
        }
        (Role::Choice(words), None) => {
            if let Some(first) = words.first() {
                let text = (*first).to_owned();
                let place = whole.clone();
                let chosen = TemplateText { text, place, origin: Origin::Inexact };
                binding.texts.insert(field.name, chosen);
            }
        }
        (Role::Binds, Some(node)) => binding.binds = binds(node, field.name, problems),
        (_, None) => {}
    }
}

/// A template; a plain integer, such as a version, stands for its text.
fn address(node: &Node, key: &str, problems: &mut Problems) -> Option<TemplateText> {
    if let NodeKind::Scalar(Scalar { value: Value::Integer(number), .. }) = &node.kind {
        let (text, place) = (number.to_string(), node.place.clone());
        return Some(TemplateText { text, place, origin: Origin::Inexact });
    }
    fields::template(node, key, problems)
}

fn choice(key: &str, words: &[&str], text: &TemplateText, problems: &mut Problems) -> bool {
    let fits = words.contains(&text.text.as_str());
    if !fits {
        let message = format!("`{key}` must be one of {}", listed(words));
        problems.error("invalid_choice", &text.place, message).sensitive();
    }
    fits
}

fn binds(node: &Node, key: &str, problems: &mut Problems) -> BTreeMap<String, Bind> {
    let mut binds = BTreeMap::new();
    for entry in fields::mapping(node, key, MAX_BINDS, problems).unwrap_or_default() {
        let name = &entry.key;
        if !is_bind(&name.value) {
            problems
                .error("invalid_name", &name.place, "not the name of a bind")
                .sensitive()
                .help("1 to 63 of `A-Z a-z 0-9 _`, no digit first; the query says `:name`");
            continue;
        }
        let bind = match &entry.value.kind {
            NodeKind::Scalar(Scalar { value: Value::String(_), .. }) => {
                fields::template(&entry.value, key, problems).map(Bind::Template)
            }
            NodeKind::Scalar(scalar) => Some(Bind::Literal(Spanned {
                value: scalar.value.clone(),
                place: entry.value.place.clone(),
            })),
            _ => {
                let message = format!("a bind must be a scalar, not {}", entry.value.describe());
                problems.error("wrong_type", &entry.value.place, message).sensitive();
                None
            }
        };
        if let Some(bind) = bind {
            binds.insert(name.value.clone(), bind);
        }
    }
    binds
}

fn is_bind(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
