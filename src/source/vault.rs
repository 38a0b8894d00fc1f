//! Vault, or a server that speaks its API: the KV engine, versions 1 and 2.

mod answer;
mod client;
mod login;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use unicode_normalization::is_nfc;

use super::{
    Address, AddressError, Ask, Cause, Field, Kind, Located, PickError, Raw, Read, Role, Settings,
    SourceBinding, typed,
};
use crate::provenance::SourceKind;
use crate::schema::{Schema, Type};
use crate::source::BindingProblem;
use crate::value::Value;
use crate::yaml::Node;
use crate::yaml::diagnostic::Problems;

const MOUNT: &str = "mount";
const PATH: &str = "path";
const FIELD: &str = "field";
const VERSION: &str = "version";
const FIELDS: [Field; 4] = [
    Field { name: MOUNT, role: Role::Address, required: true },
    Field { name: PATH, role: Role::Address, required: true },
    Field { name: FIELD, role: Role::Address, required: false },
    Field { name: VERSION, role: Role::Address, required: false },
];
/// The most bytes of a mount and a path together, and of a field.
const MAX_PATH: usize = 700;
const MAX_FIELD: usize = 256;

/// The engine of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// KV without versions.
    Kv1,
    /// KV with versions.
    Kv2,
}

/// The kind `vault`.
pub(super) struct Vault;

impl Kind for Vault {
    fn kind(&self) -> SourceKind {
        SourceKind::Vault
    }

    fn always_secret(&self) -> bool {
        true
    }

    fn fields(&self) -> &'static [Field] {
        &FIELDS
    }

    fn check(&self, binding: &SourceBinding, schema: &Schema) -> Vec<BindingProblem> {
        let whole = matches!(typed::base(schema.declared()), Type::Object(_));
        match binding.address.get(PATH) {
            Some(path) if !whole && !binding.address.contains_key(FIELD) => vec![BindingProblem {
                place: path.place.clone(),
                message: "the binding names no `field`".to_owned(),
                help: Some("only an object takes all fields of a secret".to_owned()),
            }],
            _ => Vec::new(),
        }
    }

    fn declassified_name<'a>(&self, address: &'a Address) -> Option<&'a str> {
        address.get(FIELD).map(String::as_str)
    }

    fn version_field(&self) -> Option<&'static str> {
        Some(VERSION)
    }

    fn locate(&self, ask: &Ask) -> Result<Located, AddressError> {
        let text = |field| ask.address.get(field).map_or("", String::as_str);
        let (mount, path) = (text(MOUNT), text(PATH));
        check_path(mount).map_err(AddressError)?;
        check_path(path).map_err(AddressError)?;
        let whole = format!("{mount}/{path}");
        if whole.len() > MAX_PATH {
            return Err(AddressError("a mount and a path have more than 700 bytes together"));
        }
        let mut location = whole.clone();
        if let Some(field) = ask.address.get(FIELD) {
            check_field(field).map_err(AddressError)?;
            location = format!("{location}#{field}");
        }
        let mut address = Address::from([(MOUNT, mount.to_owned()), (PATH, path.to_owned())]);
        if let Some(version) = ask.address.get(VERSION) {
            check_version(version).map_err(AddressError)?;
            address.insert(VERSION, version.clone());
        }
        let read = Read { address, query: None, binds: Vec::new() };
        Ok(Located { location, grant_path: Some(whole), read })
    }

    fn pick(&self, raw: &Raw, ask: &Ask, schema: &Schema) -> Result<Value, PickError> {
        let Raw::Value(Value::Map(fields)) = raw else {
            return Err(PickError::Failed(Cause::BadAnswer));
        };
        let value = picked(fields, ask.address.get(FIELD), schema)?;
        // An answer may be longer than a value.
        match value.check_limits() {
            Ok(()) => Ok(value),
            Err(_) => Err(PickError::Failed(Cause::TooLarge)),
        }
    }

    fn read_settings(
        &self,
        node: &Node,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<Arc<dyn Settings>> {
        settings::read(node, base, problems).map(|settings| Arc::new(settings) as Arc<dyn Settings>)
    }
}

/// A field of a secret, or the whole.
fn picked(
    fields: &BTreeMap<String, Value>,
    field: Option<&String>,
    schema: &Schema,
) -> Result<Value, PickError> {
    let Some(field) = field else { return typed::typed(Value::Map(fields.clone()), schema) };
    match (fields.get(field), typed::base(schema.declared())) {
        (None, _) => Err(PickError::Missing),
        (Some(Value::String(text)), Type::String) => {
            typed::typed(Value::String(text.clone()), schema)
        }
        (Some(Value::String(text)), _) => typed::text(text, schema),
        (Some(value), _) => typed::typed(value.clone(), schema),
    }
}

/// Why a text isn't a mount or a path in one canonical spelling. Clients and
/// servers rewrite all that is refused here, each in its own way, after the
/// grant was decided.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        Err("a mount or a path is empty")
    } else if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        Err("a mount or a path has an empty segment, `.` or `..`, or a slash at an end")
    } else if path.contains(['%', '?', '#', '\\']) {
        Err("a mount or a path has one of `% ? # \\`")
    } else if path.contains(char::is_control) {
        Err("a mount or a path has a control character")
    } else if !is_nfc(path) {
        Err("a mount or a path isn't in Unicode's form NFC")
    } else {
        Ok(())
    }
}

fn check_field(field: &str) -> Result<(), &'static str> {
    if field.is_empty() || field.len() > MAX_FIELD || field.contains(char::is_control) {
        Err("a field is 1 to 256 bytes without control characters")
    } else {
        Ok(())
    }
}

fn check_version(version: &str) -> Result<(), &'static str> {
    let plain = version.bytes().all(|digit| digit.is_ascii_digit()) && !version.starts_with('0');
    if plain && (1..=9).contains(&version.len()) {
        Ok(())
    } else {
        Err("a version is a whole number from 1")
    }
}

#[cfg(test)]
mod tests;
