//! Arithmetic: integers are checked, nothing leaves 64 bits silently.

use super::tree::Arithmetic;
use crate::value::Value;

const OVERFLOW: &str = "the result is beyond a 64-bit integer";
const ZERO: &str = "division by zero";
const INFINITE: &str = "the result is beyond the range of numbers";
const NO_NUMBER: &str = "not a number";

/// Does it with two numbers. Two integers give an integer, except for `/`.
pub(super) fn arithmetic(
    how: Arithmetic,
    left: &Value,
    right: &Value,
) -> Result<Value, &'static str> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) if how != Arithmetic::Divide => {
            integers(how, *left, *right).map(Value::Integer)
        }
        _ => numbers(how, number(left)?, number(right)?).map(Value::Number),
    }
}

/// `-x`.
pub(super) fn negate(value: &Value) -> Result<Value, &'static str> {
    match value {
        Value::Integer(number) => number.checked_neg().map(Value::Integer).ok_or(OVERFLOW),
        other => number(other).map(|number| Value::Number(-number)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "as documented: a number beside an integer rounds")]
fn number(value: &Value) -> Result<f64, &'static str> {
    match value {
        Value::Integer(number) => Ok(*number as f64),
        Value::Number(number) => Ok(*number),
        _ => Err(NO_NUMBER),
    }
}

fn integers(how: Arithmetic, left: i64, right: i64) -> Result<i64, &'static str> {
    let result = match how {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide | Arithmetic::FloorDivide | Arithmetic::Remainder if right == 0 => {
            return Err(ZERO);
        }
        Arithmetic::Divide | Arithmetic::FloorDivide => floor_divide(left, right),
        Arithmetic::Remainder => floor_remainder(left, right),
    };
    result.ok_or(OVERFLOW)
}

fn floor_divide(left: i64, right: i64) -> Option<i64> {
    let quotient = left.checked_div(right)?;
    let uneven = left.checked_rem(right)? != 0;
    if uneven && (left < 0) != (right < 0) { quotient.checked_sub(1) } else { Some(quotient) }
}

fn floor_remainder(left: i64, right: i64) -> Option<i64> {
    if right == -1 {
        return Some(0);
    }
    let rest = left.checked_rem(right)?;
    if rest != 0 && (rest < 0) != (right < 0) { rest.checked_add(right) } else { Some(rest) }
}

fn numbers(how: Arithmetic, left: f64, right: f64) -> Result<f64, &'static str> {
    let result = match how {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide | Arithmetic::FloorDivide | Arithmetic::Remainder if right == 0.0 => {
            return Err(ZERO);
        }
        Arithmetic::Divide => left / right,
        Arithmetic::FloorDivide => (left / right).floor(),
        Arithmetic::Remainder => {
            let rest = left % right;
            if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }
        }
    };
    if result.is_finite() { Ok(result) } else { Err(INFINITE) }
}
