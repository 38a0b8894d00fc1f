//! Dates and times as RFC 3339 text, which keep their form.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};

const NO_DATE: &str =
    "not a date such as 2026-01-31, nor a date and time with an offset in RFC 3339";
const BEYOND: &str = "the date is beyond the years 1 to 9999";
const DAYS_ONLY: &str = "a date without a time takes `days` alone";
const UNKNOWN: &str = "only %Y %m %d %H %M %S %j %% are known";

/// A text taken apart.
struct Moment<'a> {
    civil: DateTime,
    /// The fraction of a second, with its point, and the offset; none for a
    /// date alone.
    tail: Option<&'a str>,
}

/// What `date_add` adds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    /// Days of 24 hours.
    pub(super) days: i64,
    /// Hours.
    pub(super) hours: i64,
    /// Minutes.
    pub(super) minutes: i64,
    /// Seconds.
    pub(super) seconds: i64,
}

/// Adds to a date or a date and time.
pub(super) fn add(text: &str, amount: Amount) -> Result<String, &'static str> {
    let moment = parse(text).ok_or(NO_DATE)?;
    if moment.tail.is_none() && (amount.hours, amount.minutes, amount.seconds) != (0, 0, 0) {
        return Err(DAYS_ONLY);
    }
    let civil = duration(amount)
        .and_then(|duration| moment.civil.checked_add(duration).ok())
        .filter(|civil| civil.year() >= 1)
        .ok_or(BEYOND)?;
    Ok(match moment.tail {
        None => civil.strftime("%Y-%m-%d").to_string(),
        Some(tail) => format!("{}{tail}", civil.strftime("%Y-%m-%dT%H:%M:%S")),
    })
}

/// All of it in seconds: a `Span` of jiff's has one sign for all its units.
fn duration(amount: Amount) -> Option<SignedDuration> {
    let part = |count: i64, seconds: i64| count.checked_mul(seconds);
    let seconds = part(amount.days, 86_400)?
        .checked_add(part(amount.hours, 3_600)?)?
        .checked_add(part(amount.minutes, 60)?)?
        .checked_add(amount.seconds)?;
    Some(SignedDuration::from_secs(seconds))
}

/// Writes a date as a pattern says.
pub(super) fn format(text: &str, pattern: &str) -> Result<String, &'static str> {
    let moment = parse(text).ok_or(NO_DATE)?.civil;
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('Y') => out.push_str(&format!("{:04}", moment.year())),
            Some('m') => out.push_str(&format!("{:02}", moment.month())),
            Some('d') => out.push_str(&format!("{:02}", moment.day())),
            Some('H') => out.push_str(&format!("{:02}", moment.hour())),
            Some('M') => out.push_str(&format!("{:02}", moment.minute())),
            Some('S') => out.push_str(&format!("{:02}", moment.second())),
            Some('j') => out.push_str(&format!("{:03}", moment.day_of_year())),
            Some('%') => out.push('%'),
            _ => return Err(UNKNOWN),
        }
    }
    Ok(out)
}

/// Whether `date_format` knows all of a pattern.
pub(super) fn is_pattern(pattern: &str) -> bool {
    format("2026-01-31", pattern).is_ok()
}

/// Takes `YYYY-MM-DD` or `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)` apart.
fn parse(text: &str) -> Option<Moment<'_>> {
    let day = Date::new(
        field(text, 0, 4)?,
        i8::try_from(field(text, 5, 2)?).ok()?,
        i8::try_from(field(text, 8, 2)?).ok()?,
    )
    .ok()?;
    if day.year() < 1 || text.get(4..5)? != "-" || text.get(7..8)? != "-" {
        return None;
    }
    if text.len() == 10 {
        return Some(Moment { civil: day.at(0, 0, 0, 0), tail: None });
    }
    let separators = [text.get(10..11)?, text.get(13..14)?, text.get(16..17)?];
    if !matches!(separators, ["T" | "t", ":", ":"]) {
        return None;
    }
    let time = Time::new(
        i8::try_from(field(text, 11, 2)?).ok()?,
        i8::try_from(field(text, 14, 2)?).ok()?,
        i8::try_from(field(text, 17, 2)?).ok()?,
        0,
    )
    .ok()?;
    let tail = text.get(19..)?;
    is_tail(tail).then(|| Moment { civil: day.to_datetime(time), tail: Some(tail) })
}

fn field(text: &str, from: usize, length: usize) -> Option<i16> {
    let digits = text.get(from..from + length)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn is_tail(tail: &str) -> bool {
    let offset = match tail.strip_prefix('.') {
        Some(rest) => {
            let offset = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == rest.len() || rest.len() - offset.len() > 9 {
                return false;
            }
            offset
        }
        None => tail,
    };
    if matches!(offset, "Z" | "z") {
        return true;
    }
    let signed = offset.starts_with(['+', '-']) && offset.len() == 6;
    signed
        && offset.get(3..4) == Some(":")
        && field(offset, 1, 2).is_some_and(|hours| hours < 24)
        && field(offset, 4, 2).is_some_and(|minutes| minutes < 60)
}
