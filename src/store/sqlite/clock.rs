//! The store's clock.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// The system's clock, kept from going backwards.
#[derive(Debug, Default)]
pub(super) struct Clock {
    latest: Mutex<Option<Timestamp>>,
}

impl Clock {
    /// Now, and never before an earlier answer.
    pub(super) fn now(&self) -> Timestamp {
        self.at(Timestamp::now())
    }

    fn at(&self, system: Timestamp) -> Timestamp {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let now = latest.map_or(system, |latest| latest.max(system));
        *latest = Some(now);
        now
    }
}

/// A time as a column holds it: nanoseconds, cut to what 64 bits reach (the
/// years 1677 to 2262).
pub(super) fn to_column(time: Timestamp) -> i64 {
    let nanos = time.as_nanosecond();
    i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

/// The time of a column.
pub(super) fn from_column(nanos: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanos.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_backwards() {
        let clock = Clock::default();
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        assert_eq!(clock.at(early), early);
        assert_eq!(clock.at(late), late);
        assert_eq!(clock.at(early), late);
        assert_eq!(clock.now(), late);
    }
}
