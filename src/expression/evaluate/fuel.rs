//! What an evaluation may cost, and how large what it builds may be.

use super::{Evaluation, fail};
use crate::expression::EvaluationError;
use crate::value::{MAX_VALUE_BYTES, Value};

impl Evaluation<'_> {
    /// Takes fuel.
    pub(in crate::expression) fn spend(
        &mut self,
        cost: usize,
        at: usize,
    ) -> Result<(), EvaluationError> {
        self.fuel = self
            .fuel
            .checked_sub(cost)
            .ok_or_else(|| fail(at, "the evaluation takes too much work"))?;
        Ok(())
    }

    /// Takes the fuel that it costs to look at all of a value or to copy it.
    pub(in crate::expression) fn spend_value(
        &mut self,
        value: &Value,
        at: usize,
    ) -> Result<(), EvaluationError> {
        const CELL: usize = size_of::<Value>();
        match value {
            Value::String(text) => self.spend(CELL + text.len(), at),
            Value::Bytes(bytes) => self.spend(CELL + bytes.len(), at),
            Value::List(items) => {
                self.spend(CELL, at)?;
                items.iter().try_for_each(|item| self.spend_value(item, at))
            }
            Value::Map(fields) => {
                self.spend(CELL, at)?;
                fields.iter().try_for_each(|(name, item)| {
                    self.spend(2 * CELL + name.len(), at)?;
                    self.spend_value(item, at)
                })
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Number(_) => {
                self.spend(CELL, at)
            }
        }
    }

    /// Makes sure that a text of so many bytes may be built.
    pub(in crate::expression) fn room(
        &mut self,
        bytes: usize,
        at: usize,
    ) -> Result<(), EvaluationError> {
        if bytes > MAX_VALUE_BYTES {
            return Err(fail(at, "a value would have more than 1 MiB"));
        }
        self.spend(bytes, at)
    }

    /// A text that was built from a value within the limits.
    pub(in crate::expression) fn built(
        &mut self,
        text: String,
        at: usize,
    ) -> Result<Value, EvaluationError> {
        self.room(text.len(), at)?;
        Ok(Value::String(text))
    }

    /// A value that keeps to the limits.
    pub(in crate::expression) fn limited(
        &mut self,
        value: Value,
        at: usize,
    ) -> Result<Value, EvaluationError> {
        match value.check_limits() {
            Ok(()) => Ok(value),
            Err(limit) => Err(fail(at, format!("the value {limit}"))),
        }
    }

    /// Adds a text to a text.
    pub(in crate::expression) fn push(
        &mut self,
        out: &mut String,
        text: &str,
        at: usize,
    ) -> Result<(), EvaluationError> {
        if out.len() + text.len() > MAX_VALUE_BYTES {
            return Err(fail(at, "a value would have more than 1 MiB"));
        }
        self.spend(text.len(), at)?;
        out.push_str(text);
        Ok(())
    }

    /// Adds the text form of a value to a text.
    pub(in crate::expression) fn push_text(
        &mut self,
        out: &mut String,
        value: &Value,
        at: usize,
    ) -> Result<(), EvaluationError> {
        match value {
            Value::String(text) => self.push(out, text, at),
            Value::Null => Err(fail(at, "null has no text form here")),
            other => match other.text() {
                Some(text) => self.push(out, &text, at),
                None => Err(fail(at, "the value has no text form")),
            },
        }
    }
}
