//! How often callers who can't be told get an answer of their own. Each such
//! answer is on disk before it leaves, and that is dear: who sends one bad
//! credential after the other must not keep the disk busy or fill the log.
//! Whoever shows a good credential is not held up, wherever he calls from.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::accept::Peer;

/// Failed logins a second from one place, and how many at once.
const EACH: (u32, u32) = (10, 30);
/// Failed logins a second from everywhere, and how many at once.
const ALL: (u32, u32) = (100, 200);
/// Places that are remembered before those that are quiet are forgotten.
const PLACES: usize = 4_096;

/// Where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// An address; of IPv6 the network, since a host has all addresses of one.
    Address(IpAddr),
    /// A Unix socket, with the kernel's word on the uid.
    Socket(Option<u32>),
}

impl Place {
    pub(super) fn of(peer: Option<&Peer>) -> Self {
        let Some(peer) = peer else { return Self::Socket(None) };
        match peer.address.map(|address| address.to_canonical()) {
            None => Self::Socket(peer.uid),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() >> 64 << 64;
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            Some(address) => Self::Address(address),
        }
    }
}

/// What is to be done about a failed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Record it and say that the credential isn't good.
    Answer,
    /// There were too many.
    Over {
        /// Whose limit it is: of the `place`, or of `all`.
        of: &'static str,
        /// When one more would be answered.
        wait: Duration,
        /// Whether it is time to record that there are too many.
        tell: bool,
    },
}

/// The failed logins of late.
pub(super) struct Strangers {
    each: DefaultKeyedRateLimiter<Place>,
    all: DefaultDirectRateLimiter,
    told: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Strangers {
    pub(super) fn new() -> Self {
        Self {
            each: RateLimiter::keyed(quota(EACH)),
            all: RateLimiter::direct(quota(ALL)),
            told: RateLimiter::direct(Quota::per_minute(NonZeroU32::MIN)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a failed login.
    pub(super) fn turn(&self, peer: Option<&Peer>) -> Turn {
        if self.each.len() > PLACES {
            self.each.retain_recent();
        }
        let place = Place::of(peer);
        let over = match self.each.check_key(&place) {
            Err(until) => Some(("place", until)),
            Ok(()) => self.all.check().err().map(|until| ("all", until)),
        };
        match over {
            None => Turn::Answer,
            Some((of, until)) => Turn::Over {
                of,
                wait: until.wait_time_from(self.clock.now()),
                tell: self.told.check().is_ok(),
            },
        }
    }
}

fn quota((a_second, at_once): (u32, u32)) -> Quota {
    let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(number(a_second)).allow_burst(number(at_once))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn at(address: &str) -> Peer {
        Peer {
            uid: None,
            certificate: None,
            address: Some(address.parse().unwrap()),
            pulse: Arc::default(),
        }
    }

    fn answered(strangers: &Strangers, peer: &Peer, times: u32) -> u32 {
        (0..times).map(|_| u32::from(strangers.turn(Some(peer)) == Turn::Answer)).sum()
    }

    #[test]
    fn one_place_does_not_use_up_what_others_have() {
        let strangers = Strangers::new();
        let first = answered(&strangers, &at("192.0.2.1"), 1_000);
        assert!((EACH.1..EACH.1 + EACH.0).contains(&first), "{first}");
        assert_eq!(answered(&strangers, &at("::ffff:192.0.2.1"), 1), 0, "the same place");
        assert_eq!(answered(&strangers, &at("192.0.2.2"), 1), 1);
        let network = answered(&strangers, &at("2001:db8::1"), 1_000);
        assert!(network >= EACH.1);
        assert_eq!(answered(&strangers, &at("2001:db8::ffff:2"), 1), 0, "the same network");
        assert_eq!(answered(&strangers, &at("2001:db8:0:1::1"), 1), 1);
    }

    #[test]
    fn many_places_share_what_all_have_and_are_forgotten() {
        let strangers = Strangers::new();
        let places = (0..20_000_u32).map(|one| {
            let address = IpAddr::V4((0x0a00_0000 + one).into());
            Peer { uid: None, certificate: None, address: Some(address), pulse: Arc::default() }
        });
        let answered: u32 = places.map(|peer| answered(&strangers, &peer, 1)).sum();
        assert!((ALL.1..10 * ALL.1).contains(&answered), "{answered}");
        let told = (0..100).filter(|_| {
            matches!(strangers.turn(Some(&at("192.0.2.1"))), Turn::Over { tell: true, .. })
        });
        assert_eq!(told.count(), 0, "it was told a moment ago");
    }
}
