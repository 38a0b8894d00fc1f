//! A schema as our own checks walk along it, made from its JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use super::{ObjectType, Type};
use crate::value::MAX_LEVELS;

/// A schema, or a part of one.
#[derive(Debug)]
pub(super) struct Shape {
    /// What a value has to be.
    pub(super) kind: Kind,
    /// Whether null will do as well.
    pub(super) nullable: bool,
    /// Whether `enum` or `const` lists the values.
    pub(super) listed: bool,
}

/// What a value has to be.
#[derive(Debug)]
pub(super) enum Kind {
    /// Anything but bytes.
    Unknown,
    /// True or false.
    Boolean,
    /// A 64-bit integer.
    Integer,
    /// A finite number.
    Number,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// An array of such items.
    Array(Box<Shape>),
    /// An object.
    Object(ObjectShape),
}

/// What is declared of an object's properties.
#[derive(Debug)]
pub(super) struct ObjectShape {
    /// The declared properties.
    pub(super) properties: BTreeMap<String, Shape>,
    /// Those that must be there.
    pub(super) required: BTreeSet<String>,
    /// What undeclared properties have to be; none: there can't be any.
    pub(super) additional: Option<Box<Shape>>,
}

impl Shape {
    /// What expressions need to know of it.
    pub(super) fn declared(&self) -> Type {
        let plain = match &self.kind {
            Kind::Unknown => return Type::Unknown,
            Kind::Boolean => Type::Boolean,
            Kind::Integer => Type::Integer,
            Kind::Number => Type::Number,
            Kind::String => Type::String,
            Kind::Bytes => Type::Bytes,
            Kind::Array(item) => Type::Array(Box::new(item.declared())),
            Kind::Object(object) => Type::Object(Arc::new(object.declared())),
        };
        if self.nullable { plain.nullable() } else { plain }
    }

    /// Whether a value can hold text of its author's own choice.
    pub(super) fn bears_free_text(&self) -> bool {
        if self.listed {
            return false;
        }
        match &self.kind {
            Kind::Unknown | Kind::String | Kind::Bytes => true,
            Kind::Boolean | Kind::Integer | Kind::Number => false,
            Kind::Array(item) => item.bears_free_text(),
            Kind::Object(object) => {
                object.additional.is_some() || object.properties.values().any(Self::bears_free_text)
            }
        }
    }
}

impl ObjectShape {
    fn declared(&self) -> ObjectType {
        ObjectType {
            properties: self
                .properties
                .iter()
                .map(|(name, shape)| {
                    (name.clone(), (shape.declared(), self.required.contains(name)))
                })
                .collect(),
            additional: self.additional.as_ref().map(|shape| shape.declared()),
        }
    }
}

/// The shape of a schema in JSON; none where it isn't one of ours.
pub(super) fn of(json: &Json, level: usize) -> Option<Shape> {
    let schema = json.as_object()?;
    if level > MAX_LEVELS || schema.keys().any(|key| !super::KEYWORDS.contains(&key.as_str())) {
        return None;
    }
    let (word, nullable) = type_of(schema.get("type"))?;
    let kind = match word {
        None => Kind::Unknown,
        Some("boolean") => Kind::Boolean,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("string") if schema.contains_key("contentEncoding") => Kind::Bytes,
        Some("string") => Kind::String,
        Some("array") => Kind::Array(Box::new(match schema.get("items") {
            Some(items) => of(items, level + 1)?,
            None => anything(),
        })),
        Some("object") => Kind::Object(object(schema, level)?),
        Some(_) => return None,
    };
    let listed = schema.contains_key("enum") || schema.contains_key("const");
    Some(Shape { kind, nullable, listed })
}

fn anything() -> Shape {
    Shape { kind: Kind::Unknown, nullable: true, listed: false }
}

fn type_of(json: Option<&Json>) -> Option<(Option<&str>, bool)> {
    match json {
        None => Some((None, true)),
        Some(Json::String(word)) => Some((Some(word), false)),
        Some(Json::Array(words)) => {
            let words = words.iter().map(Json::as_str).collect::<Option<Vec<_>>>()?;
            match words.as_slice() {
                [word, "null"] | ["null", word] => Some((Some(word), true)),
                _ => None,
            }
        }
        Some(_) => None,
    }
}

fn object(schema: &serde_json::Map<String, Json>, level: usize) -> Option<ObjectShape> {
    let mut properties = BTreeMap::new();
    if let Some(declared) = schema.get("properties") {
        for (name, property) in declared.as_object()? {
            properties.insert(name.clone(), of(property, level + 1)?);
        }
    }
    let mut required = BTreeSet::new();
    if let Some(names) = schema.get("required") {
        for name in names.as_array()? {
            required.insert(name.as_str()?.to_owned());
        }
    }
    let additional = match schema.get("additionalProperties") {
        None | Some(Json::Bool(false)) => None,
        Some(Json::Bool(true)) => Some(Box::new(anything())),
        Some(schema) => Some(Box::new(of(schema, level + 1)?)),
    };
    Some(ObjectShape { properties, required, additional })
}
