//! The formats of strings, and how the validator is set up.

use std::sync::LazyLock;

use jsonschema::{Draft, PatternOptions, ValidationOptions};
use regex::Regex;

/// The formats that `format` may name.
pub(super) const NAMES: [&str; 10] = [
    "date",
    "date-time",
    "decimal",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uuid",
];

/// What a format asks for, in our own words.
pub(super) fn words(format: &str) -> &'static str {
    match format {
        "date" => "a date such as `2026-01-31`",
        "date-time" => "a date and time with an offset, such as `2026-01-31T12:00:00Z`",
        "decimal" => "a decimal number in digits, such as `12.50`",
        "duration" => "a duration such as `PT1H30M`",
        "email" => "an e-mail address",
        "hostname" => "a host name",
        "ipv4" => "an IPv4 address",
        "ipv6" => "an IPv6 address",
        "uri" => "a URI with its scheme, such as `https://example.org/`",
        "uuid" => "a UUID",
        _ => "text of its format",
    }
}

/// What one pattern may take once it is compiled, and again while it runs: a
/// pipeline may have a thousand, and counted repetition multiplies. It's also
/// what bounds the time, which is this times the length of the text.
const PATTERN_BYTES: usize = 256 << 10;

/// A validator that asserts formats and runs patterns in linear time.
pub(super) fn options() -> ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(
            PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES),
        )
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .with_format("decimal", is_decimal)
        .offline()
}

fn is_decimal(text: &str) -> bool {
    static DECIMAL: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\A-?[0-9]+(\.[0-9]+)?\z").ok());
    DECIMAL.as_ref().is_some_and(|decimal| decimal.is_match(text))
}

/// Whether a pattern can be used, on the linear-time engine.
pub(super) fn is_pattern(pattern: &str) -> bool {
    options().build(&serde_json::json!({ "pattern": pattern })).is_ok()
}

/// Whether a pattern has to fit the whole text and not a part of it.
pub(super) fn is_anchored(pattern: &str) -> bool {
    let end = pattern.strip_suffix('$').is_some_and(|rest| {
        rest.chars().rev().take_while(|character| *character == '\\').count() % 2 == 0
    });
    pattern.starts_with('^') && end && !has_alternatives(pattern)
}

/// Whether a `|` stands outside all brackets: `^a|b$` is anchored nowhere.
fn has_alternatives(pattern: &str) -> bool {
    let (mut depth, mut class, mut escaped) = (0_u32, false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            _ if class => {}
            '[' => class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '|' if depth == 0 => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_compiles_to_much_is_refused() {
        for pattern in [
            "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
            r"^\w+$",
            r"^\d{4}-\d{2}-\d{2}$",
            "^s3://[a-z0-9.-]{3,63}/.+$",
            "^[A-Za-z0-9+/]{0,1000}={0,2}$",
            "^(dev|staging|prod)$",
        ] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for pattern in ["^(a{900}){100}$", "^((a{0,99}){0,99}){0,99}$", r"^\pL{1000}$"] {
            assert!(!is_pattern(pattern), "{pattern}");
        }
    }
}
