//! Equality and order by meaning: an integer and a number compare by value, and
//! exactly.

use std::cmp::Ordering;

use super::Value;

impl Value {
    /// Whether the two mean the same: 1 is 1.0, and nothing else is alike
    /// across kinds.
    pub fn means(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.means(b))
            }
            (Self::Map(a), Self::Map(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|((ka, a), (kb, b))| ka == kb && a.means(b))
            }
            (Self::Null, Self::Null) => true,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// The order of two scalars of one kind, where there is one.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Number(a), Self::Number(b)) => a.partial_cmp(b),
            (Self::Integer(a), Self::Number(b)) => order_mixed(*a, *b),
            (Self::Number(a), Self::Integer(b)) => order_mixed(*b, *a).map(Ordering::reverse),
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Compares without turning the integer into a double, which would round it.
fn order_mixed(integer: i64, number: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() {
        return None;
    }
    if number >= TWO_63 {
        return Some(Ordering::Less);
    }
    if number < -TWO_63 {
        return Some(Ordering::Greater);
    }
    let whole = number.trunc();
    #[allow(clippy::cast_possible_truncation, reason = "`whole` is an integer within i64")]
    let order = integer.cmp(&(whole as i64));
    Some(order.then_with(|| 0.0_f64.total_cmp(&(number - whole + 0.0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_numbers_compare_exactly() {
        assert!(Value::Integer(1).means(&Value::Number(1.0)));
        assert!(Value::Integer(0).means(&Value::Number(-0.0)));
        assert!(
            !Value::Integer(9_007_199_254_740_993).means(&Value::Number(9_007_199_254_740_992.0))
        );
        assert_eq!(Value::Integer(1).order(&Value::Number(1.5)), Some(Ordering::Less));
        assert_eq!(Value::Integer(-1).order(&Value::Number(-1.5)), Some(Ordering::Greater));
        assert_eq!(Value::Integer(i64::MAX).order(&Value::Number(1e300)), Some(Ordering::Less));
        assert!(!Value::Integer(1).means(&Value::Bool(true)));
        assert!(!Value::String("1".into()).means(&Value::Integer(1)));
    }
}
