//! Times and spans of the contract.

use std::time::Duration;

use jiff::Timestamp;

/// The first second that the contract's time can tell: 0001-01-01.
const FIRST: i64 = -62_135_596_800;
/// The last one: 9999-12-31T23:59:59Z.
const LAST: i64 = 253_402_300_799;

/// A time of an answer.
pub(super) fn write(time: Timestamp) -> prost_types::Timestamp {
    // jiff counts the part of a second away from zero, the contract upwards.
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

/// A time of a request; none where it is out of the contract's range.
pub(super) fn read(time: prost_types::Timestamp) -> Option<Timestamp> {
    let in_range =
        (FIRST..=LAST).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    if in_range { Timestamp::new(time.seconds, time.nanos).ok() } else { None }
}

/// A bound of a request's own: beyond the calendar's last day, which is one short
/// of the contract's, there is nothing to find.
pub(super) fn read_bound(time: prost_types::Timestamp) -> Option<Timestamp> {
    let last = Timestamp::MAX.as_second();
    if (last..=LAST).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos) {
        return Some(Timestamp::MAX);
    }
    read(time)
}

/// A span of an answer.
pub(super) fn write_span(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

/// A span of a request; none where it is negative or out of range.
pub(super) fn read_span(span: prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(span.seconds).ok().filter(|s| *s <= 315_576_000_000)?;
    let nanos = u32::try_from(span.nanos).ok().filter(|n| *n < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_the_same() {
        for text in ["1969-12-31T23:59:59.25Z", "2026-01-02T03:04:05.000000006Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(read(write(time)), Some(time));
            assert!(write(time).nanos >= 0);
        }
    }

    #[test]
    fn what_is_out_of_range_is_no_time() {
        for (seconds, nanos) in
            [(FIRST - 1, 0), (LAST + 1, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)]
        {
            assert_eq!(read(prost_types::Timestamp { seconds, nanos }), None);
        }
    }

    #[test]
    fn a_bound_on_the_contracts_last_day_is_the_last_time() {
        let at = |seconds, nanos| prost_types::Timestamp { seconds, nanos };
        assert_eq!(read_bound(at(LAST, 999_999_999)), Some(Timestamp::MAX));
        assert_eq!(read_bound(at(LAST + 1, 0)), None);
        assert_eq!(read_bound(at(LAST, -1)), None);
        assert_eq!(read_bound(at(90, 5)), read(at(90, 5)));
    }

    #[test]
    fn what_is_out_of_range_is_no_span() {
        for (seconds, nanos) in [(-1, 0), (i64::MAX, 0), (0, -1), (1, 1_000_000_000), (1, -1)] {
            assert_eq!(read_span(prost_types::Duration { seconds, nanos }), None);
        }
        let span = Duration::new(90, 5);
        assert_eq!(read_span(write_span(span)), Some(span));
    }
}
