//! Declared types: a closed part of JSON Schema (draft 2020-12).

mod check;
mod formats;
mod keywords;
mod read;
mod shape;
mod text;
mod types;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::{Entry, Place};

use shape::Shape;

pub use types::{fits, unify};

/// A checked schema: the declaration of a parameter, or a part of one.
#[derive(Clone)]
pub struct Schema {
    /// For clients and for the record; what the two below are made of.
    json: Arc<serde_json::Value>,
    /// What our own checks walk along.
    shape: Arc<Shape>,
    /// What expressions need to know of it.
    declared: Type,
    /// Checks what the shape doesn't tell: ranges, patterns, formats.
    validator: Arc<jsonschema::Validator>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.type_words())
    }
}

/// The type of a place, as far as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// The type isn't declared: usable whole only.
    Unknown,
    /// Null alone (the literal `none`).
    Null,
    /// True or false.
    Boolean,
    /// A 64-bit integer.
    Integer,
    /// A finite number; integers fit.
    Number,
    /// Text.
    String,
    /// A string with `contentEncoding: base64`.
    Bytes,
    /// An array; of items of this type.
    Array(Box<Type>),
    /// An object, with what is declared of its properties.
    Object(Arc<ObjectType>),
    /// One of the above, or null.
    Nullable(Box<Type>),
}

/// What is declared of an object's properties.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectType {
    /// The declared properties: the type, and whether it is required.
    pub properties: std::collections::BTreeMap<String, (Type, bool)>,
    /// The type of undeclared properties; none: there can't be any.
    pub additional: Option<Type>,
}

/// Why a value doesn't fit its schema. It never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// A JSON Pointer into the value; empty for the whole.
    pub pointer: String,
    /// Whether it is an undeclared property.
    pub kind: ViolationKind,
    /// What was expected, in our own words, such as "an integer" or "at most 500".
    pub expected: String,
    /// The keyword that it breaks, such as `pattern`; `type` for a wrong type.
    pub keyword: &'static str,
}

/// What kind of problem a violation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    /// A nested property that isn't declared.
    UnknownProperty,
    /// Not of the declared type.
    Type,
    /// Of the type, but against the schema.
    Schema,
}

/// Why a stored schema can't be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored schema can't be read")]
pub struct SchemaError;

/// The keywords of JSON Schema that a declaration may have.
pub const KEYWORDS: [&str; 23] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "contentEncoding",
    "items",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "additionalProperties",
    "title",
    "description",
    "examples",
];

/// The formats that `format` may name. All are asserted.
pub const FORMATS: [&str; 10] = formats::NAMES;

impl Schema {
    /// Reads the schema's keywords from a declaration's entries (the
    /// declaration's own keys are already taken out; others are refused here).
    pub fn read(entries: &[&Entry], place: &Place, problems: &mut Problems) -> Option<Self> {
        read::read(entries, place, problems)
    }

    /// The schema in JSON, for clients and for the record.
    pub fn json(&self) -> &serde_json::Value {
        &self.json
    }

    /// Takes back what [`Schema::json`] gave.
    ///
    /// # Errors
    /// It isn't one.
    pub fn from_json(json: &serde_json::Value) -> Result<Self, SchemaError> {
        let shape = shape::of(json, 0).ok_or(SchemaError)?;
        let validator = formats::options().build(json).map_err(|_| SchemaError)?;
        Ok(Self {
            json: Arc::new(json.clone()),
            declared: shape.declared(),
            shape: Arc::new(shape),
            validator: Arc::new(validator),
        })
    }

    /// The declared type.
    pub fn declared(&self) -> &Type {
        &self.declared
    }

    /// Checks a value: type first, then schema. All violations are told.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Violation>> {
        check::check(&self.shape, &self.validator, value)
    }

    /// Turns the base64 strings of a literal or of JSON into bytes where the
    /// schema declares bytes.
    ///
    /// # Errors
    /// A text there isn't base64.
    pub fn adopt(&self, value: Value) -> Result<Value, Violation> {
        text::adopt(&self.shape, value, "", 0)
    }

    /// Reads a text by the declared type alone. The value isn't checked against
    /// the schema yet.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse_text(&self, text: &str) -> Result<Value, Violation> {
        text::parse(&self.shape, text)
    }

    /// Reads a text of a source, such as a file: as [`Schema::parse_text`], but
    /// for any type except text, white space around it is passed over.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn parse_source_text(&self, text: &str) -> Result<Value, Violation> {
        match self.shape.kind {
            shape::Kind::String => self.parse_text(text),
            _ => self.parse_text(text.trim_matches([' ', '\t', '\r', '\n'])),
        }
    }

    /// The type for people, such as `integer`, `string or null`,
    /// `array of integer`.
    pub fn type_words(&self) -> String {
        self.declared.words()
    }

    /// What values it takes, for people, such as `1 to 500` or
    /// `one of adam, sgd`; none where the type alone says it.
    pub fn range_words(&self) -> Option<String> {
        words::range(&self.json)
    }

    /// Whether only listed values fit: `enum` or `const`.
    pub fn has_enum(&self) -> bool {
        self.shape.listed
    }

    /// Whether a value that fits can hold text of the caller's own choice
    /// anywhere: a string or bytes without `enum` or `const`, a place of unknown
    /// type, or the name of an undeclared property.
    pub fn bears_free_text(&self) -> bool {
        self.shape.bears_free_text()
    }
}
