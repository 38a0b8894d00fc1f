//! Templates and conditions: text to a typed tree, checked at load, evaluated
//! without surprises.

mod check;
mod date;
mod evaluate;
mod filter;
mod number;
mod parse;
mod split;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::name::{MatrixName, ParameterName};
use crate::schema::Type;
use crate::value::Value;

use check::Checker;
use evaluate::Evaluation;
use split::Piece;
use tree::Node;

/// The most characters of one expression.
pub const MAX_EXPRESSION: usize = 4096;

/// What names mean at a place where an expression stands.
pub trait Names {
    /// The type of a parameter; none: there is no such parameter.
    fn parameter(&self, name: &str) -> Option<&Type>;
    /// The names of all parameters, for suggestions.
    fn parameters(&self) -> Vec<&str>;
    /// The type of an item of a matrix list; none where there is no such list
    /// here.
    fn matrix(&self, name: &str) -> Option<&Type>;
    /// Whether a parameter may be there whose declaration can't be read: an
    /// expression over it can't be compiled, and there is no more to tell.
    fn parameter_is_broken(&self, _name: &str) -> bool {
        false
    }
    /// The same for a matrix list.
    fn matrix_is_broken(&self, _name: &str) -> bool {
        false
    }
}

/// What an expression reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Parameters, wherever in it they stand.
    pub parameters: BTreeSet<ParameterName>,
    /// Matrix lists.
    pub matrix: BTreeSet<MatrixName>,
    /// `environment`.
    pub environment: bool,
    /// `pipeline`.
    pub pipeline: bool,
    /// `run.id`.
    pub run_id: bool,
    /// `run.attempt`.
    pub run_attempt: bool,
    /// `run.started_at`.
    pub run_started_at: bool,
    /// `run.logical_date`.
    pub run_logical_date: bool,
}

impl References {
    /// Whether it reads anything of `run`.
    pub fn reads_run(&self) -> bool {
        self.run_id || self.run_attempt || self.run_started_at || self.run_logical_date
    }

    /// Adds what another expression reads.
    pub fn merge(&mut self, other: &Self) {
        self.parameters.extend(other.parameters.iter().cloned());
        self.matrix.extend(other.matrix.iter().cloned());
        self.environment |= other.environment;
        self.pipeline |= other.pipeline;
        self.run_id |= other.run_id;
        self.run_attempt |= other.run_attempt;
        self.run_started_at |= other.run_started_at;
        self.run_logical_date |= other.run_logical_date;
    }
}

/// What the names stand for when an expression is evaluated.
pub trait Scope {
    /// A parameter's value; none where it has none yet.
    fn parameter(&self, name: &ParameterName) -> Option<&Value>;
    /// The item of a matrix list.
    fn matrix(&self, name: &MatrixName) -> Option<&Value>;
    /// `environment`.
    fn environment(&self) -> &str;
    /// `pipeline`.
    fn pipeline(&self) -> &str;
    /// The run; none where there is none (an explanation).
    fn run(&self) -> Option<&RunScope>;
}

/// `run` in expressions.
#[derive(Debug, Clone)]
pub struct RunScope {
    /// `run.id`.
    pub id: String,
    /// `run.attempt`.
    pub attempt: u32,
    /// `run.started_at`: RFC 3339 in UTC with `Z`.
    pub started_at: String,
    /// `run.logical_date`, the same.
    pub logical_date: Option<String>,
}

/// Why a text isn't a template or condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileError {
    /// Bytes of the text that it concerns.
    pub span: std::ops::Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Why an evaluation gave nothing. It quotes no operand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at character {position} of the text)")]
pub struct EvaluationError {
    /// What went wrong, in our own words.
    pub message: String,
    /// Where in the text, in bytes from 0.
    pub position: usize,
}

/// A compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    body: Body,
    result: Type,
    references: References,
}

#[derive(Debug, Clone)]
enum Body {
    /// Text alone.
    Constant(String),
    /// One `{{ }}` and nothing else.
    Expression(Node),
    /// Text with expressions in it.
    Text(Vec<Part>),
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Expression(Node),
}

impl Template {
    /// Compiles a text with `{{ expression }}` in it.
    ///
    /// # Errors
    /// All that is wrong with it; nothing where it only reads what is broken.
    pub fn compile(text: &str, names: &dyn Names) -> Result<Self, Vec<CompileError>> {
        let pieces = split::split(text)?;
        let mut checker = Checker::new(names, true);
        let body = match pieces.as_slice() {
            [] => Some(Body::Constant(String::new())),
            [Piece::Text(text)] => Some(Body::Constant((*text).to_owned())),
            [Piece::Expression(source, at)] => {
                checker.expression(source, *at).map(Body::Expression)
            }
            pieces => {
                let parts: Vec<_> = pieces.iter().map(|piece| part(&mut checker, piece)).collect();
                parts.into_iter().collect::<Option<Vec<_>>>().map(Body::Text)
            }
        };
        let (body, references) = checker.finish(body)?;
        let result = match &body {
            Body::Expression(node) => node.of.clone(),
            Body::Constant(_) | Body::Text(_) => Type::String,
        };
        Ok(Self { text: text.to_owned(), body, result, references })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it reads.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// The type of its result: text unless it is one expression alone.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// Whether it is a single `{{ }}` and nothing else.
    pub fn is_expression(&self) -> bool {
        matches!(self.body, Body::Expression(_))
    }

    /// The text, where nothing in it is an expression.
    pub fn constant(&self) -> Option<&str> {
        match &self.body {
            Body::Constant(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is a value written out, other than null: it reads nothing.
    pub fn is_literal(&self) -> bool {
        self.references == References::default() && self.result != Type::Null
    }

    /// Evaluates it. A single expression keeps its value's type.
    ///
    /// # Errors
    /// Undefined, overflow, division by zero, over the limits, not text.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        let mut evaluation = Evaluation::new(scope);
        match &self.body {
            Body::Constant(text) => Ok(Value::String(text.clone())),
            Body::Expression(node) => evaluation.result(node),
            Body::Text(parts) => {
                let mut out = String::new();
                for part in parts {
                    match part {
                        Part::Text(text) => evaluation.push(&mut out, text, 0)?,
                        Part::Expression(node) => {
                            let value = evaluation.value(node)?;
                            evaluation.push_text(&mut out, &value, node.at)?;
                        }
                    }
                }
                Ok(Value::String(out))
            }
        }
    }

    /// Evaluates it to text in which each value passes `fits`: for addresses,
    /// where no value may lead to another place.
    ///
    /// # Errors
    /// As [`Template::evaluate`], and where a value doesn't fit.
    pub fn evaluate_text(
        &self,
        scope: &dyn Scope,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<String, EvaluationError> {
        let mut evaluation = Evaluation::new(scope);
        let mut out = String::new();
        let parts = match &self.body {
            Body::Constant(text) => return Ok(text.clone()),
            Body::Expression(node) => vec![(None, Some(node))],
            Body::Text(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => (Some(text.as_str()), None),
                    Part::Expression(node) => (None, Some(node)),
                })
                .collect(),
        };
        for (text, node) in parts {
            out.push_str(text.unwrap_or_default());
            let Some(node) = node else { continue };
            let value = evaluation.value(node)?;
            if !fits(&value) {
                let message = "a value in an address isn't one segment of `A-Z a-z 0-9 _ . -`";
                return Err(EvaluationError { message: message.into(), position: node.at });
            }
            evaluation.push_text(&mut out, &value, node.at)?;
        }
        Ok(out)
    }
}

fn part(checker: &mut Checker<'_>, piece: &Piece<'_>) -> Option<Part> {
    match piece {
        Piece::Text(text) => Some(Part::Text((*text).to_owned())),
        Piece::Expression(source, at) => checker.text_expression(source, *at).map(Part::Expression),
    }
}

/// A compiled condition: an expression that gives a boolean.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    node: Node,
    references: References,
}

impl Condition {
    /// Compiles the text of a `when` or `assert`.
    ///
    /// # Errors
    /// As [`Template::compile`].
    pub fn compile(text: &str, names: &dyn Names) -> Result<Self, Vec<CompileError>> {
        let mut checker = Checker::new(names, false);
        let node = checker.condition(text);
        let (node, references) = checker.finish(node)?;
        Ok(Self { text: text.to_owned(), node, references })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it reads.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Evaluates it, and tells the values that it read on its way (what `and`,
    /// `or` and `if` passed over isn't among them), by the name it used for
    /// them, such as `params.train_model` or `params.hyper.lr`.
    ///
    /// # Errors
    /// As [`Template::evaluate`].
    pub fn evaluate(
        &self,
        scope: &dyn Scope,
    ) -> Result<(bool, BTreeMap<String, Value>), EvaluationError> {
        let mut evaluation = Evaluation::noting(scope);
        let holds = evaluation.boolean(&self.node)?;
        Ok((holds, evaluation.into_notes()))
    }
}

/// A compiled expression without braces, such as the `params.list` of a matrix.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    node: Node,
    references: References,
}

impl Expression {
    /// Compiles an expression of any type. It can't read a matrix.
    ///
    /// # Errors
    /// As [`Template::compile`].
    pub fn compile(text: &str, names: &dyn Names) -> Result<Self, Vec<CompileError>> {
        let mut checker = Checker::new(names, false);
        let node = checker.expression(text, 0);
        let (node, references) = checker.finish(node)?;
        Ok(Self { text: text.to_owned(), node, references })
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it reads.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// The type of its result.
    pub fn result(&self) -> &Type {
        &self.node.of
    }

    /// Whether it is a name with `.property` and `[index]` and nothing else,
    /// such as `params.list` or `params.object.items`.
    pub fn is_reference(&self) -> bool {
        self.node.path.is_some()
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// As [`Template::evaluate`].
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        Evaluation::new(scope).result(&self.node)
    }
}
