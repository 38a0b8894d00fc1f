//! Reader of parameters' declarations: our own keys, and the schema's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Bindable, Broken, Declaration, binding};
use crate::name::{AliasName, ParameterName};
use crate::schema::{Schema, Violation};
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Entry, Literal, Node, NodeKind, Place, Spanned};

/// The most parameters of a pipeline.
const MAX_PARAMETERS: usize = 1_000;
/// The most aliases of a parameter.
const MAX_ALIASES: usize = 32;

/// Reads what stands under `parameters`, with the names of what can't be read.
pub(super) fn read_all(
    node: &Node,
    problems: &mut Problems,
) -> (BTreeMap<ParameterName, Declaration>, Broken) {
    let mut broken = Broken::default();
    let mut parameters = BTreeMap::new();
    let Some(entries) = fields::mapping(node, "parameters", MAX_PARAMETERS, problems) else {
        broken.all = true;
        return (parameters, broken);
    };
    for entry in entries {
        let name = fields::name::<ParameterName>(&entry.key, problems);
        // Its declaration is read even so: all problems are told at once.
        let placeholder = name.clone().or_else(|| stand_in(&entry.key.place));
        let declared = placeholder.and_then(|name| read(name, &entry.value, problems));
        match (name, declared) {
            (Some(name), Some(declaration)) => {
                parameters.insert(name.value, declaration);
            }
            _ => broken.names.extend(names_of(entry)),
        }
    }
    check_aliases(&parameters, problems);
    (parameters, broken)
}

/// The name and the aliases of a declaration, whatever else is wrong with it.
fn names_of(entry: &Entry) -> Vec<String> {
    let mut names = vec![entry.key.value.clone()];
    let NodeKind::Mapping(keys) = &entry.value.kind else { return names };
    let aliases = keys.iter().find(|key| key.key.value == "aliases");
    if let Some(Value::List(aliases)) = aliases.map(|aliases| aliases.value.value()) {
        names.extend(aliases.iter().filter_map(Value::text));
    }
    names
}

fn stand_in(place: &Place) -> Option<Spanned<ParameterName>> {
    let value = ParameterName::parse("x").ok()?;
    Some(Spanned { value, place: place.clone() })
}

fn read(name: Spanned<ParameterName>, node: &Node, problems: &mut Problems) -> Option<Declaration> {
    let before = problems.errors();
    let mut keys = Fields::of(node, "a parameter's declaration", problems)?;
    let default = keys.optional("default");
    let from = keys.optional("from");
    let secret = keys.optional("secret");
    let bindable = keys.optional("override");
    let group = keys.optional("group");
    let aliases = keys.optional("aliases");
    let deprecated = keys.optional("deprecated");
    let beside_secrets = keys.optional("beside_secrets");
    let rest = keys.rest();
    let told = problems.list.len();
    let schema = Schema::read(&rest, &name.place, problems);
    // A misspelt `default` on the same line may be a misplaced secret.
    problems.blank_from(told);
    let mut text = |node: Option<&Node>, key| {
        node.and_then(|node| fields::prose(node, key, problems)).map(|text| text.value)
    };
    let (group, deprecated) = (text(group, "group"), text(deprecated, "deprecated"));
    let from = from.map(|node| binding::read(node, problems));
    let secret = secret.and_then(|node| fields::flag(node, "secret", problems));
    let bindable = bindable.and_then(|node| read_bindable(node, problems));
    let aliases = aliases
        .map(|node| fields::names::<AliasName>(node, "aliases", MAX_ALIASES, problems))
        .unwrap_or_default();
    let beside_secrets = beside_secrets
        .and_then(|node| fields::flag(node, "beside_secrets", problems))
        .is_some_and(|flag| flag.value);
    let schema = schema?;
    let default = default.and_then(|node| read_default(node, &schema, problems));
    Some(Declaration {
        name,
        schema: Arc::new(schema),
        default,
        // A broken binding has been told; the parameter itself is there.
        from: from.flatten(),
        secret,
        bindable,
        group,
        aliases,
        deprecated,
        beside_secrets,
        literals: literals(&rest),
        sound: problems.errors() == before,
    })
}

fn read_bindable(node: &Node, problems: &mut Problems) -> Option<Spanned<Bindable>> {
    let text = fields::text(node, "override", problems)?;
    let value = match text.value.as_str() {
        "none" => Bindable::Definition,
        "environment" => Bindable::Environment,
        "run" => Bindable::Run,
        _ => {
            let message = "`override` must be one of `none`, `environment`, `run`";
            problems.error("invalid_choice", &text.place, message).sensitive();
            return None;
        }
    };
    Some(Spanned { value, place: text.place })
}

fn read_default(node: &Node, schema: &Schema, problems: &mut Problems) -> Option<Spanned<Value>> {
    let before = problems.errors();
    let value = literal(node, "default", problems)?;
    let adopted = match schema.adopt(value.value) {
        Ok(adopted) => adopted,
        Err(violation) => {
            violated(&[violation], node, problems);
            return None;
        }
    };
    if let Err(violations) = schema.check(&adopted) {
        violated(&violations, node, problems);
    }
    (problems.errors() == before).then_some(Spanned { value: adopted, place: value.place })
}

/// A literal within the limits of a value; `key` is what it stands under.
pub(super) fn literal(node: &Node, key: &str, problems: &mut Problems) -> Option<Literal> {
    let value = node.value();
    if let Err(error) = value.check_limits() {
        let what = fields::shown(key).map_or("the value".to_owned(), |key| format!("`{key}`"));
        problems.error("value_too_large", &node.place, format!("{what} {error}")).sensitive();
        return None;
    }
    Some(Literal { value, place: node.place.clone(), node: node.clone() })
}

fn violated(violations: &[Violation], node: &Node, problems: &mut Problems) {
    for violation in violations {
        let at = match violation.pointer.as_str() {
            "" => String::new(),
            pointer => format!(" at `{pointer}`"),
        };
        let message = format!("the default doesn't fit{at}: expected {}", violation.expected);
        problems.error("invalid_default", &node.at(&violation.pointer).place, message).sensitive();
    }
}

/// The literals other than null in a schema, inside its parts too.
fn literals(entries: &[&Entry]) -> Vec<Spanned<&'static str>> {
    let mut found = Vec::new();
    for entry in entries {
        let node = &entry.value;
        match (entry.key.value.as_str(), &node.kind) {
            ("enum", _) => found.extend(literal_of("enum", node)),
            ("const", _) => found.extend(literal_of("const", node)),
            ("examples", _) => found.extend(literal_of("examples", node)),
            ("items" | "additionalProperties", NodeKind::Mapping(part)) => {
                found.extend(literals(&part.iter().collect::<Vec<_>>()));
            }
            ("properties", NodeKind::Mapping(properties)) => {
                for property in properties {
                    if let NodeKind::Mapping(part) = &property.value.kind {
                        found.extend(literals(&part.iter().collect::<Vec<_>>()));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

fn literal_of(keyword: &'static str, node: &Node) -> Option<Spanned<&'static str>> {
    let null = match node.value() {
        Value::Null => true,
        Value::List(items) => keyword != "const" && items.iter().all(|one| *one == Value::Null),
        _ => false,
    };
    (!null).then(|| Spanned { value: keyword, place: node.place.clone() })
}

/// `-` and `_` are the same on the command line, so names and aliases of two
/// parameters have to differ in more than that.
fn check_aliases(parameters: &BTreeMap<ParameterName, Declaration>, problems: &mut Problems) {
    let plain = |name: &str| name.replace('-', "_");
    let mut taken: BTreeMap<String, &ParameterName> =
        parameters.keys().map(|name| (name.as_str().to_owned(), name)).collect();
    for declaration in parameters.values() {
        let name = &declaration.name.value;
        for alias in &declaration.aliases {
            let text = alias.value.as_str();
            let other = *taken.entry(plain(text)).or_insert(name);
            if other == name && text != name.as_str() {
                continue;
            }
            let message = format!("this alias of `{name}` is taken by the parameter `{other}`");
            let problem = problems.error("duplicate_alias", &alias.place, message);
            if other != name {
                problem.help("`-` and `_` count as the same");
            }
        }
    }
}
