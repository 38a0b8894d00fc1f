//! The core schema: what a plain scalar means (YAML 1.2.2, chapter 10.3).

use crate::value::Value;

/// A plain scalar that the core schema gives a meaning that we don't take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// An integer beyond 64 bits.
    Integer,
    /// An infinity, no number, or beyond a double.
    NotFinite,
}

/// What a plain scalar means.
pub(super) fn resolve(text: &str) -> Result<Value, Refused> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Err(Refused::NotFinite),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Err(Refused::NotFinite);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| all(digits, is_octal)) {
        return integer(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| all(digits, is_hex)) {
        return integer(digits, 16);
    }
    if all(unsigned, is_digit) {
        return integer(text, 10);
    }
    if is_float(unsigned) {
        let number = text.parse::<f64>().map_err(|_| Refused::NotFinite)?;
        return if number.is_finite() {
            Ok(Value::Number(number))
        } else {
            Err(Refused::NotFinite)
        };
    }
    Ok(Value::String(text.to_owned()))
}

fn integer(digits: &str, radix: u32) -> Result<Value, Refused> {
    i64::from_str_radix(digits, radix).map(Value::Integer).map_err(|_| Refused::Integer)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => all(fraction, is_digit),
        Some((whole, fraction)) => all(whole, is_digit) && fraction.bytes().all(is_digit),
        None => all(mantissa, is_digit),
    };
    let exponent_fits =
        exponent.is_none_or(|text| all(text.strip_prefix(['-', '+']).unwrap_or(text), is_digit));
    mantissa_fits && exponent_fits
}

fn all(text: &str, fits: fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(fits)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_octal(byte: u8) -> bool {
    (b'0'..=b'7').contains(&byte)
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_core_schema_is_kept_to_the_letter() {
        let text = |text: &str| Ok(Value::String(text.to_owned()));
        for word in ["no", "yes", "on", "off", "y", "tRUE", "nULL", "1_000", "0b1", "0o8", "0O7"] {
            assert_eq!(resolve(word), text(word));
        }
        for word in ["1:30", "-0x1", "+0o7", "0x", "1e", "e1", ".", "-", "+", "1.2.3", "inf", "NaN"]
        {
            assert_eq!(resolve(word), text(word));
        }
        for (word, number) in [("01", 1), ("0x10", 16), ("0o17", 15), ("-0", 0), ("+7", 7)] {
            assert_eq!(resolve(word), Ok(Value::Integer(number)));
        }
        for (word, number) in [("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-1.5E-1", -0.15)] {
            assert_eq!(resolve(word), Ok(Value::Number(number)));
        }
        for word in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(word), Ok(Value::Null));
        }
        assert_eq!(resolve("TRUE"), Ok(Value::Bool(true)));
        assert_eq!(resolve("False"), Ok(Value::Bool(false)));
    }

    #[test]
    fn what_no_value_can_hold_is_refused() {
        assert_eq!(resolve("9223372036854775807"), Ok(Value::Integer(i64::MAX)));
        assert_eq!(resolve("-9223372036854775808"), Ok(Value::Integer(i64::MIN)));
        for word in ["9223372036854775808", "0x8000000000000000", "99999999999999999999999"] {
            assert_eq!(resolve(word), Err(Refused::Integer));
        }
        for word in [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e999"] {
            assert_eq!(resolve(word), Err(Refused::NotFinite));
        }
    }

    /// The schema's table of regular expressions, in its order.
    fn oracle(text: &str) -> &'static str {
        let table = [
            (r"^(null|Null|NULL|~|)$", "null"),
            (r"^(true|True|TRUE|false|False|FALSE)$", "boolean"),
            (r"^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "integer"),
            (r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", "number"),
            (r"^([-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN)$", "number"),
        ];
        let found =
            table.iter().find(|(pattern, _)| regex::Regex::new(pattern).unwrap().is_match(text));
        found.map_or("string", |(_, kind)| kind)
    }

    proptest! {
        #[test]
        fn scalars_agree_with_the_schemas_table(
            text in "[-+]?(0[xo])?[0-9a-fA-F]{0,3}[.e_:]?[-+]?[0-9]{0,3}|[-+]?\\.?(nan|inf|NaN|Inf)|[~a-zA-Z]{0,5}"
        ) {
            let expected = oracle(&text);
            match resolve(&text) {
                Ok(value) => prop_assert_eq!(value.kind(), expected),
                Err(Refused::Integer) => prop_assert_eq!("integer", expected),
                Err(Refused::NotFinite) => prop_assert_eq!("number", expected),
            }
        }
    }
}
