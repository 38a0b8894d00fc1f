//! YAML text to a tree of nodes that know their places.
//!
//! YAML 1.2 core schema to the letter, with anchors, aliases, merge keys, tags,
//! directives, duplicate and non-scalar keys and a second document refused.

pub mod diagnostic;
pub mod fields;
mod scalar;
mod tree;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::value::Value;

pub use tree::{MAX_BYTES, MAX_DEPTH, MAX_NODES, parse};

/// A file of a [`diagnostic::Files`] set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// Where something is written: bytes of one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// From and up to which byte of its text.
    pub span: Range<usize>,
}

/// Something with the place where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// What is written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Spanned<T> {
    /// The same place with what `f` makes of the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), place: self.place }
    }
}

/// A node of the tree. Its `Debug` shows no scalar: it may be a secret.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it is written, quotes included.
    pub place: Place,
}

impl Node {
    /// What it holds as a value: mappings as objects, keys as their text.
    pub fn value(&self) -> Value {
        match &self.kind {
            NodeKind::Scalar(scalar) => scalar.value.clone(),
            NodeKind::Sequence(items) => Value::List(items.iter().map(Self::value).collect()),
            NodeKind::Mapping(entries) => {
                let fields: BTreeMap<_, _> = entries
                    .iter()
                    .map(|entry| (entry.key.value.clone(), entry.value.value()))
                    .collect();
                Value::Map(fields)
            }
        }
    }

    /// The node that a JSON Pointer leads to, or the last one on the way there.
    pub fn at(&self, pointer: &str) -> &Self {
        let mut node = self;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.kind {
                NodeKind::Scalar(_) => None,
                NodeKind::Sequence(items) => {
                    step.parse::<usize>().ok().and_then(|index| items.get(index))
                }
                NodeKind::Mapping(entries) => {
                    entries.iter().find(|entry| entry.key.value == step).map(|entry| &entry.value)
                }
            };
            let Some(next) = next else { return node };
            node = next;
        }
        node
    }

    /// What it is, for messages.
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            NodeKind::Sequence(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
            NodeKind::Scalar(scalar) => match scalar.value {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Integer(_) => "an integer",
                Value::Number(_) => "a number",
                _ => "text",
            },
        }
    }
}

/// A literal of a file, with what is written: so that a problem inside it has a
/// place.
#[derive(Debug, Clone)]
pub struct Literal {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub place: Place,
    /// As it is written.
    pub node: Node,
}

/// What a node can be.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// A scalar, resolved by the core schema: null, boolean, integer, number or
    /// string (quoted and block scalars are always strings).
    Scalar(Scalar),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the file.
    Mapping(Vec<Entry>),
}

/// A scalar and how it stood in the file.
#[derive(Debug, Clone)]
pub struct Scalar {
    /// What the core schema makes of it.
    pub value: Value,
    /// For each byte of a string value, where it is in the file: what maps a
    /// position inside a template to its place. Plain and simple quoted scalars
    /// map one to one.
    pub origin: Origin,
}

/// Maps a byte of a scalar's text to a byte of its file.
#[derive(Debug, Clone)]
pub enum Origin {
    /// The text stands in the file as it is, from this byte.
    Verbatim(usize),
    /// The text was folded, escaped or indented: only the scalar's own place is
    /// known.
    Inexact,
}

impl Origin {
    /// The place of some bytes of a scalar's text; the whole scalar, where that
    /// is all that is known.
    pub fn place(&self, whole: &Place, range: Range<usize>) -> Place {
        match self {
            Self::Verbatim(first) => {
                let at = |offset: usize| (first + offset).min(whole.span.end);
                Place { file: whole.file, span: at(range.start)..at(range.end) }
            }
            Self::Inexact => whole.clone(),
        }
    }
}

/// A text that is a template, or fixed, with what maps a byte of it to a place.
#[derive(Debug, Clone)]
pub struct TemplateText {
    /// The text.
    pub text: String,
    /// Where the scalar stands.
    pub place: Place,
    /// How positions in the text map to the file.
    pub origin: Origin,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: Spanned<String>,
    /// The value.
    pub value: Node,
}
