//! The checked, typed tree that is evaluated.

use crate::name::{MatrixName, ParameterName};
use crate::schema::Type;
use crate::value::Value;

use super::filter::Filter;

/// One node of an expression.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// What it does.
    pub(super) op: Op,
    /// The type of its value.
    pub(super) of: Type,
    /// Where it begins in the text, in bytes.
    pub(super) at: usize,
    /// How a reference is written, such as `params.hyper.lr`; none for what
    /// isn't one.
    pub(super) path: Option<String>,
}

/// What a node does.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// A value that stands in the text.
    Literal(Value),
    /// A list of what its items give.
    List(Vec<Node>),
    /// What a name stands for.
    Name(Name),
    /// A property of an object.
    Property(Box<Node>, String),
    /// An item of an array, or a property whose name is computed.
    Index(Box<Node>, Box<Node>),
    /// `not`.
    Not(Box<Node>),
    /// `-x`.
    Negate(Box<Node>),
    /// `and`.
    And(Box<Node>, Box<Node>),
    /// `or`.
    Or(Box<Node>, Box<Node>),
    /// `value if test else other`.
    If {
        /// Which one.
        test: Box<Node>,
        /// Where it holds.
        value: Box<Node>,
        /// Where it doesn't.
        other: Box<Node>,
    },
    /// `a < b <= c`: each with its neighbour.
    Compare(Box<Node>, Vec<(Comparison, Node)>),
    /// `item in list` or `text in text`.
    In(Box<Node>, Box<Node>),
    /// Numbers, or `+` on lists.
    Arithmetic(Arithmetic, Box<Node>, Box<Node>),
    /// `a ~ b`.
    Concatenate(Box<Node>, Box<Node>),
    /// `x is none`.
    IsNone(Box<Node>),
    /// `x | filter(arguments)`.
    Filter(Filter, Box<Node>, Vec<Node>),
}

/// A name in scope.
#[derive(Debug, Clone)]
pub(super) enum Name {
    /// `params.NAME`.
    Parameter(ParameterName),
    /// `matrix.NAME`.
    Matrix(MatrixName),
    /// `environment`.
    Environment,
    /// `pipeline`.
    Pipeline,
    /// `run.id`.
    RunId,
    /// `run.attempt`.
    RunAttempt,
    /// `run.started_at`.
    RunStartedAt,
    /// `run.logical_date`.
    RunLogicalDate,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// `==`.
    Equal,
    /// `!=`.
    Unequal,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

impl Comparison {
    /// How it is written.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it asks for equality alone.
    pub(super) fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::Unequal)
    }
}

/// What is done with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// `+`, also on lists.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`: always a number.
    Divide,
    /// `//`: rounded down.
    FloorDivide,
    /// `%`: with the sign of the right side.
    Remainder,
}

impl Arithmetic {
    /// How it is written.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::FloorDivide => "//",
            Self::Remainder => "%",
        }
    }
}
