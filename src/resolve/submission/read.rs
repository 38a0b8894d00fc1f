//! Overrides to values of the declared types, by declared name.

use super::{Overrides, ReadOverrides, SecretOverride, known_names};
use crate::name::{AliasName, ParameterName, nearest};
use crate::plan::{Interface, InterfaceParameter};
use crate::refusal::{Violation, ViolationReason};
use crate::schema::{Schema, Type, ViolationKind};
use crate::snapshot::SecretEncoding;
use crate::value::{Value, json};

/// The most names in the three fields together.
const MAX_NAMES: usize = 1_000;

/// Reads the overrides of a request. All problems are told; of one name the
/// first of duplicate, unknown, secrecy, type, schema.
pub fn read_overrides(
    interface: &Interface,
    overrides: Overrides,
    violations: &mut Vec<Violation>,
) -> ReadOverrides {
    let mut reader = Reader { interface, read: ReadOverrides::default(), violations };
    let names = overrides.typed.len() + overrides.text.len() + overrides.secret.len();
    if names > MAX_NAMES {
        reader.violations.push(Violation {
            field: "overrides".into(),
            reason: ViolationReason::InvalidField,
            description: "more than 1,000 names in the override fields together".into(),
        });
        return reader.read;
    }
    for (name, value) in in_order(interface, overrides.secret) {
        reader.take("secret_overrides", &name, Passed::Secret(value));
    }
    for (name, text) in in_order(interface, overrides.text) {
        reader.take("text_overrides", &name, Passed::Text(text));
    }
    for (name, value) in in_order(interface, overrides.typed) {
        match value {
            Ok(value) => reader.take("overrides", &name, Passed::Typed(value)),
            Err(malformed) => {
                reader.take("overrides", &name, Passed::Malformed(malformed));
            }
        }
    }
    reader.read
}

/// Aliases before names: which of two is "the second" is part of the contract.
fn in_order<T>(
    interface: &Interface,
    fields: std::collections::BTreeMap<String, T>,
) -> impl Iterator<Item = (String, T)> {
    let is_name = |name: &str| interface.parameters.contains_key(name);
    let (names, others): (Vec<_>, Vec<_>) = fields.into_iter().partition(|(name, _)| is_name(name));
    others.into_iter().chain(names)
}

enum Passed {
    Typed(Value),
    Malformed(super::MalformedValue),
    Text(String),
    Secret(SecretOverride),
}

struct Reader<'a> {
    interface: &'a Interface,
    read: ReadOverrides,
    violations: &'a mut Vec<Violation>,
}

impl Reader<'_> {
    fn take(&mut self, group: &str, name: &str, passed: Passed) {
        let Some(declared) = self.interface.resolve(name).cloned() else {
            self.unknown(group, name);
            return;
        };
        let field = format!("{group}.{name}");
        if self.read.fields.contains_key(&declared) {
            // What is wrong with the one read first is told under its own path.
            let description =
                format!("`{declared}` is passed twice, by its name, an alias or in two fields");
            self.read.values.remove(&declared);
            self.read.unsound.insert(declared);
            self.tell(&field, ViolationReason::DuplicateParameter, description);
            return;
        }
        if !self.interface.parameters.contains_key(name) {
            self.read.by_alias.insert(declared.clone());
        }
        self.read.named.insert(declared.clone());
        self.read.fields.insert(declared.clone(), field.clone());
        let Some(parameter) = self.interface.parameters.get(&declared) else { return };
        match self.value(&field, parameter, passed) {
            Some(value) => self.read.values.insert(declared, value).map_or((), drop),
            None => drop(self.read.unsound.insert(declared)),
        }
    }

    /// An unknown name is repeated only where it could be one.
    fn unknown(&mut self, group: &str, name: &str) {
        self.read.unknown_names += 1;
        let known = known_names(self.interface);
        let field = match AliasName::parse(name) {
            Ok(_) => format!("{group}.{name}"),
            Err(_) => group.to_owned(),
        };
        let names = self.interface.parameters.keys().map(ParameterName::as_str);
        let near =
            nearest(name, names).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let description = format!("not a parameter of this pipeline; {near}declared are: {known}");
        self.tell(&field, ViolationReason::UnknownParameter, description);
    }

    fn value(
        &mut self,
        field: &str,
        parameter: &InterfaceParameter,
        passed: Passed,
    ) -> Option<Value> {
        let schema = &parameter.schema;
        match (passed, parameter.secret) {
            (Passed::Secret(secret), true) => {
                let value =
                    read_secret(schema, &secret).filter(|value| schema.check(value).is_ok());
                if value.is_none() {
                    let description = "isn't of the declared type, or breaks its schema".to_owned();
                    self.tell(field, ViolationReason::InvalidValue, description);
                }
                value
            }
            (Passed::Secret(_), false) => {
                let description = "a public parameter: pass it in `overrides` or `text_overrides`";
                self.tell(field, ViolationReason::SecrecyMismatch, description.to_owned());
                None
            }
            (_, true) => {
                let description =
                    "a secret: pass it in `secret_overrides`; what was passed was not read";
                self.tell(field, ViolationReason::SecrecyMismatch, description.to_owned());
                None
            }
            (Passed::Malformed(malformed), false) => {
                let at = format!("{field}{}", malformed.pointer);
                let description = format!("expected {}", malformed.expected);
                self.tell(&at, ViolationReason::InvalidValue, description);
                None
            }
            (Passed::Typed(value), false) => self.checked(field, schema, value),
            (Passed::Text(text), false) => match schema.parse_text(&text) {
                Ok(value) => self.checked(field, schema, value),
                Err(violation) => {
                    self.violation(field, &violation);
                    None
                }
            },
        }
    }

    fn checked(&mut self, field: &str, schema: &Schema, value: Value) -> Option<Value> {
        match schema.check(&value) {
            Ok(()) => Some(value),
            Err(violations) => {
                violations.iter().for_each(|violation| self.violation(field, violation));
                None
            }
        }
    }

    fn violation(&mut self, field: &str, violation: &crate::schema::Violation) {
        let reason = match violation.kind {
            ViolationKind::UnknownProperty => ViolationReason::UnknownParameter,
            ViolationKind::Type | ViolationKind::Schema => ViolationReason::InvalidValue,
        };
        let at = format!("{field}{}", violation.pointer);
        let description = match violation.kind {
            ViolationKind::UnknownProperty => violation.expected.clone(),
            ViolationKind::Type | ViolationKind::Schema => {
                format!("expected {}", violation.expected)
            }
        };
        self.tell(&at, reason, description);
    }

    fn tell(&mut self, field: &str, reason: ViolationReason, description: String) {
        let told = self
            .violations
            .iter()
            .any(|other| other.field == field && other.reason != ViolationReason::UnknownParameter);
        if !told {
            self.violations.push(Violation { field: field.to_owned(), reason, description });
        }
    }
}

/// A secret by the declared type alone; an encoding that is there must fit it.
fn read_secret(schema: &Schema, secret: &SecretOverride) -> Option<Value> {
    if secret.unknown_encoding {
        return None;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a caller's own secret becomes the parameter's value"
    )]
    let bytes = secret.bytes.expose();
    if bytes.len() > crate::value::MAX_VALUE_BYTES {
        return None;
    }
    let declared = match schema.declared() {
        Type::Nullable(inner) => inner.as_ref(),
        other => other,
    };
    let encoding = secret.encoding.unwrap_or(match declared {
        Type::String => SecretEncoding::Text,
        Type::Bytes => SecretEncoding::Binary,
        _ => SecretEncoding::Json,
    });
    match (encoding, declared) {
        (SecretEncoding::Text, Type::String) => {
            String::from_utf8(bytes.to_vec()).ok().map(Value::String)
        }
        (SecretEncoding::Binary, Type::Bytes) => Some(Value::Bytes(bytes.to_vec())),
        (SecretEncoding::Json, _) => {
            let value = json::from_json(bytes).ok()?;
            let fits = !matches!(declared, Type::String | Type::Bytes) || value == Value::Null;
            schema.adopt(value).ok().filter(|_| fits)
        }
        _ => None,
    }
}
