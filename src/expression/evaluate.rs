//! Evaluation: lazy where `and`, `or` and `if` are, and on fuel.
//!
//! Every step costs, and everything that is built costs its size, before it is
//! built: a hostile text can take neither the time nor the memory of the daemon.

mod fuel;

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::filter::{Filter, apply};
use super::tree::{Arithmetic, Comparison, Name, Node, Op};
use super::{EvaluationError, Scope, number};
use crate::value::Value;

/// What one evaluation may cost, in bytes built or looked at.
const FUEL: usize = 24 << 20;
/// What each step costs besides.
const STEP: usize = 64;

/// One evaluation of a template or condition.
pub(super) struct Evaluation<'a> {
    scope: &'a dyn Scope,
    fuel: usize,
    /// What was read, where somebody wants to know.
    notes: Option<BTreeMap<String, Value>>,
}

type Outcome<'a> = Result<Cow<'a, Value>, EvaluationError>;

/// An error at a place of the text.
pub(super) fn fail(at: usize, message: impl Into<String>) -> EvaluationError {
    EvaluationError { message: message.into(), position: at }
}

impl<'a> Evaluation<'a> {
    /// An evaluation.
    pub(super) fn new(scope: &'a dyn Scope) -> Self {
        Self { scope, fuel: FUEL, notes: None }
    }

    /// An evaluation that notes what it reads.
    pub(super) fn noting(scope: &'a dyn Scope) -> Self {
        Self { notes: Some(BTreeMap::new()), ..Self::new(scope) }
    }

    /// What was read.
    pub(super) fn into_notes(self) -> BTreeMap<String, Value> {
        self.notes.unwrap_or_default()
    }

    /// The value of a whole expression.
    pub(super) fn result(&mut self, node: &'a Node) -> Result<Value, EvaluationError> {
        let value = self.value(node)?;
        self.spend_value(&value, node.at)?;
        Ok(value.into_owned())
    }

    /// The value of a node.
    pub(super) fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        let value = self.produce(node)?;
        if let Some(path) = node.path.as_ref().filter(|_| self.notes.is_some()) {
            self.spend_value(&value, node.at)?;
            if let Some(notes) = &mut self.notes {
                notes.insert(path.clone(), value.as_ref().clone());
            }
        }
        Ok(value)
    }

    /// A value that must not be null.
    fn present(&mut self, node: &'a Node) -> Outcome<'a> {
        match self.value(node)? {
            value if *value == Value::Null => Err(null(node)),
            value => Ok(value),
        }
    }

    /// The value of a node that has to be a boolean.
    pub(super) fn boolean(&mut self, node: &'a Node) -> Result<bool, EvaluationError> {
        match self.present(node)?.as_ref() {
            Value::Bool(flag) => Ok(*flag),
            _ => Err(fail(node.at, "the value isn't a boolean")),
        }
    }

    fn produce(&mut self, node: &'a Node) -> Outcome<'a> {
        self.spend(STEP, node.at)?;
        match &node.op {
            Op::Literal(value) => Ok(Cow::Borrowed(value)),
            Op::List(items) => self.list(items, node.at),
            Op::Name(name) => self.name(name, node),
            Op::Property(base, name) => self.property(base, name, node.at),
            Op::Index(base, index) => self.index(base, index, node.at),
            Op::Not(inner) => self.boolean(inner).map(|flag| owned(Value::Bool(!flag))),
            Op::Negate(inner) => {
                let value = self.present(inner)?;
                number::negate(&value).map(Cow::Owned).map_err(|message| fail(node.at, message))
            }
            Op::And(left, right) => {
                let holds = self.boolean(left)? && self.boolean(right)?;
                Ok(owned(Value::Bool(holds)))
            }
            Op::Or(left, right) => {
                let holds = self.boolean(left)? || self.boolean(right)?;
                Ok(owned(Value::Bool(holds)))
            }
            Op::If { test, value, other } => {
                let chosen = if self.boolean(test)? { value } else { other };
                self.value(chosen)
            }
            Op::Compare(first, rest) => self.compare(first, rest),
            Op::In(item, whole) => self.contains(item, whole),
            Op::Arithmetic(how, left, right) => self.arithmetic(*how, left, right, node.at),
            Op::Concatenate(left, right) => self.concatenate(left, right),
            Op::IsNone(inner) => {
                let none = *self.value(inner)? == Value::Null;
                Ok(owned(Value::Bool(none)))
            }
            Op::Filter(filter, input, arguments) => self.filter(*filter, input, arguments, node.at),
        }
    }

    fn list(&mut self, items: &'a [Node], at: usize) -> Outcome<'a> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let value = self.value(item)?;
            self.spend_value(&value, item.at)?;
            out.push(value.into_owned());
        }
        self.limited(Value::List(out), at).map(Cow::Owned)
    }

    fn name(&mut self, name: &'a Name, node: &'a Node) -> Outcome<'a> {
        let missing = |what: &str| {
            fail(node.at, format!("`{}` {what}", node.path.as_deref().unwrap_or("it")))
        };
        let text = |text: &str| Ok(owned(Value::String(text.to_owned())));
        let run = || self.scope.run().ok_or_else(|| missing("isn't known without a run"));
        match name {
            Name::Parameter(name) => match self.scope.parameter(name) {
                Some(value) => Ok(Cow::Borrowed(value)),
                None => Err(missing("has no value here")),
            },
            Name::Matrix(name) => match self.scope.matrix(name) {
                Some(value) => Ok(Cow::Borrowed(value)),
                None => Err(missing("has no value here")),
            },
            Name::Environment => text(self.scope.environment()),
            Name::Pipeline => text(self.scope.pipeline()),
            Name::RunId => text(&run()?.id),
            Name::RunAttempt => Ok(owned(Value::Integer(run()?.attempt.into()))),
            Name::RunStartedAt => text(&run()?.started_at),
            Name::RunLogicalDate => match &run()?.logical_date {
                Some(date) => text(date),
                None => Err(missing("wasn't given for this run")),
            },
        }
    }

    /// The base of a reference: of `params.a.b` only the whole is noted.
    fn base(&mut self, base: &'a Node) -> Outcome<'a> {
        match self.produce(base)? {
            value if *value == Value::Null => Err(null(base)),
            value => Ok(value),
        }
    }

    fn property(&mut self, base: &'a Node, name: &str, at: usize) -> Outcome<'a> {
        let value = match self.base(base)? {
            Cow::Borrowed(Value::Map(fields)) => fields.get(name).map(Cow::Borrowed),
            Cow::Owned(Value::Map(mut fields)) => fields.remove(name).map(Cow::Owned),
            _ => None,
        };
        value.ok_or_else(|| fail(at, "there is no such property in the value"))
    }

    fn index(&mut self, base: &'a Node, index: &'a Node, at: usize) -> Outcome<'a> {
        let step = self.present(index)?;
        let position = match step.as_ref() {
            Value::Integer(position) => *position,
            Value::String(name) => return self.property(base, name, at),
            _ => return Err(fail(index.at, "the index is neither an integer nor text")),
        };
        let value = match self.base(base)? {
            Cow::Borrowed(Value::List(items)) => {
                place(position, items.len()).and_then(|place| items.get(place)).map(Cow::Borrowed)
            }
            Cow::Owned(Value::List(mut items)) => place(position, items.len())
                .filter(|place| *place < items.len())
                .map(|place| Cow::Owned(items.swap_remove(place))),
            _ => None,
        };
        value.ok_or_else(|| fail(at, "the array has no item at this index"))
    }

    fn compare(&mut self, first: &'a Node, rest: &'a [(Comparison, Node)]) -> Outcome<'a> {
        let mut left = (first, self.value(first)?);
        for (how, node) in rest {
            let right = self.value(node)?;
            self.spend_value(&left.1, node.at)?;
            self.spend_value(&right, node.at)?;
            if !how.is_equality() {
                for (node, value) in [(left.0, &left.1), (node, &right)] {
                    if **value == Value::Null {
                        return Err(null(node));
                    }
                }
            }
            if !how.holds(&left.1, &right) {
                return Ok(owned(Value::Bool(false)));
            }
            left = (node, right);
        }
        Ok(owned(Value::Bool(true)))
    }

    fn contains(&mut self, item: &'a Node, whole: &'a Node) -> Outcome<'a> {
        let value = self.value(item)?;
        let found = match self.present(whole)?.as_ref() {
            Value::String(text) => {
                self.spend(text.len(), whole.at)?;
                match value.as_ref() {
                    Value::String(part) => text.contains(part.as_str()),
                    _ => return Err(null(item)),
                }
            }
            Value::List(items) => {
                let mut found = false;
                for one in items {
                    self.spend_value(one, whole.at)?;
                    if one.means(&value) {
                        found = true;
                        break;
                    }
                }
                found
            }
            _ => return Err(fail(whole.at, "the value is neither an array nor text")),
        };
        Ok(owned(Value::Bool(found)))
    }

    fn arithmetic(
        &mut self,
        how: Arithmetic,
        left: &'a Node,
        right: &'a Node,
        at: usize,
    ) -> Outcome<'a> {
        let left = self.present(left)?;
        let right = self.present(right)?;
        match (left.as_ref(), right.as_ref()) {
            (Value::List(a), Value::List(b)) => {
                self.spend_value(&left, at)?;
                self.spend_value(&right, at)?;
                self.limited(Value::List(a.iter().chain(b).cloned().collect()), at)
            }
            (left, right) => {
                number::arithmetic(how, left, right).map_err(|message| fail(at, message))
            }
        }
        .map(Cow::Owned)
    }

    fn concatenate(&mut self, left: &'a Node, right: &'a Node) -> Outcome<'a> {
        // What is built already grows in place: a chain of `~` doesn't copy.
        let mut out = match self.present(left)? {
            Cow::Owned(Value::String(text)) => text,
            value => {
                let mut out = String::new();
                self.push_text(&mut out, &value, left.at)?;
                out
            }
        };
        let value = self.present(right)?;
        self.push_text(&mut out, &value, right.at)?;
        Ok(owned(Value::String(out)))
    }

    fn filter(
        &mut self,
        filter: Filter,
        input: &'a Node,
        arguments: &'a [Node],
        at: usize,
    ) -> Outcome<'a> {
        let value = self.value(input)?;
        match (filter, arguments) {
            (Filter::Default, [stand_in]) => {
                return if *value == Value::Null { self.value(stand_in) } else { Ok(value) };
            }
            (Filter::Json, _) => {}
            _ if *value == Value::Null => return Err(null(input)),
            _ => {}
        }
        let arguments =
            arguments.iter().map(|argument| self.present(argument)).collect::<Result<_, _>>()?;
        apply::apply(self, apply::Call { filter, input: value, arguments, at })
    }
}

fn owned<'a>(value: Value) -> Cow<'a, Value> {
    Cow::Owned(value)
}

fn null(node: &Node) -> EvaluationError {
    fail(node.at, "the value is null, where a value is needed")
}

/// The place of an index; a negative one counts from the end.
fn place(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(place) => Some(place),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = || left.order(right);
        match self {
            Self::Equal => left.means(right),
            Self::Unequal => !left.means(right),
            Self::Less => order().is_some_and(std::cmp::Ordering::is_lt),
            Self::LessOrEqual => order().is_some_and(std::cmp::Ordering::is_le),
            Self::Greater => order().is_some_and(std::cmp::Ordering::is_gt),
            Self::GreaterOrEqual => order().is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}
