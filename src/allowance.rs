//! How much a principal may ask for, and all together: one who asks without end
//! leaves room for the others, and all together leave the daemon its memory.
//!
//! Rates bound what the log and the disk have to take; what is under way at once
//! bounds memory, and the share that one has of the queues.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::audit::Principal;
use crate::definition::settings::{Bounds, Limits};

/// The most principals that are told apart; those beyond share one account.
const MAX_ACCOUNTS: usize = 4_096;
/// How long a principal has to be quiet to be forgotten. All rates have
/// recovered by then.
const QUIET: Duration = Duration::from_mins(1);
/// How long one word of a limit stands for all that go over it.
const TELLING: Duration = Duration::from_mins(1);
/// When to ask again for what is limited by what is under way.
const AT_ONCE_WAIT: Duration = Duration::from_secs(1);

/// The limits; each word is the key of `paramd.yaml` and what a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests a second.
    Requests,
    /// Requests that wait for their answers.
    RequestsAtOnce,
    /// Requests a second for secrets.
    Reveals,
    /// Runs made a second.
    NewRuns,
    /// Runs that are being made.
    NewRunsAtOnce,
    /// Open streams of events.
    Streams,
}

const LIMITS: usize = 6;

impl Limit {
    /// As it is written and told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::RequestsAtOnce => "requests_at_once",
            Self::Reveals => "reveals",
            Self::NewRuns => "new_runs",
            Self::NewRunsAtOnce => "new_runs_at_once",
            Self::Streams => "streams",
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// An answer.
    Request,
    /// An answer with secrets.
    Reveal,
    /// A run that isn't there yet.
    NewRun,
    /// A stream of events.
    Stream,
}

impl Ask {
    /// What it is one more of while it lasts.
    fn at_once(self) -> Limit {
        match self {
            Self::Request | Self::Reveal => Limit::RequestsAtOnce,
            Self::NewRun => Limit::NewRunsAtOnce,
            Self::Stream => Limit::Streams,
        }
    }

    /// The rates that it counts for.
    fn rates(self) -> &'static [Limit] {
        match self {
            Self::Request | Self::Stream => &[Limit::Requests],
            Self::Reveal => &[Limit::Requests, Limit::Reveals],
            Self::NewRun => &[Limit::NewRuns],
        }
    }
}

/// A limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub limit: Limit,
    /// Whose: `principal` or `all`.
    pub of: &'static str,
    /// When to ask again.
    pub wait: Duration,
    /// Whether it is time to record that it is reached.
    pub tell: bool,
}

/// What somebody was let have; it counts until this goes.
#[derive(Debug)]
pub struct Admitted {
    counts: [Arc<Counts>; 2],
    what: Limit,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        for counts in &self.counts {
            counts.of(self.what).fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What is under way. It outlives a change of the limits.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU32,
    new_runs: AtomicU32,
    streams: AtomicU32,
}

impl Counts {
    fn of(&self, what: Limit) -> &AtomicU32 {
        match what {
            Limit::Requests | Limit::Reveals | Limit::RequestsAtOnce => &self.requests,
            Limit::NewRuns | Limit::NewRunsAtOnce => &self.new_runs,
            Limit::Streams => &self.streams,
        }
    }

    fn is_idle(&self) -> bool {
        let none = |count: &AtomicU32| count.load(Ordering::Relaxed) == 0;
        none(&self.requests) && none(&self.new_runs) && none(&self.streams)
    }
}

/// What one principal has had, or all together.
struct Account {
    of: &'static str,
    bounds: Bounds,
    counts: Arc<Counts>,
    requests: DefaultDirectRateLimiter,
    reveals: DefaultDirectRateLimiter,
    new_runs: DefaultDirectRateLimiter,
    /// When it was told last that a limit is reached.
    told: Mutex<[Option<Instant>; LIMITS]>,
    /// Somebody has asked since the last time that accounts were forgotten.
    seen: AtomicBool,
}

impl Account {
    fn new(of: &'static str, bounds: Bounds, counts: Arc<Counts>) -> Self {
        Self {
            of,
            bounds,
            counts,
            requests: limiter(bounds.requests, 2),
            reveals: limiter(bounds.reveals, 2),
            new_runs: limiter(bounds.new_runs, 10),
            told: Mutex::default(),
            seen: AtomicBool::new(true),
        }
    }

    /// The same with other limits.
    fn renewed(&self, bounds: Bounds) -> Self {
        Self::new(self.of, bounds, Arc::clone(&self.counts))
    }

    fn over(&self, limit: Limit, wait: Duration) -> Over {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.get_mut(limit as usize);
        let tell = last.is_some_and(|last| {
            let now = Instant::now();
            let due = last.is_none_or(|last| now.duration_since(last) >= TELLING);
            if due {
                *last = Some(now);
            }
            due
        });
        Over { limit, of: self.of, wait, tell }
    }

    /// Counts one more that is under way.
    fn begin(&self, what: Limit) -> Result<(), Over> {
        let most = match what {
            Limit::Requests | Limit::Reveals | Limit::RequestsAtOnce => {
                self.bounds.requests_at_once
            }
            Limit::NewRuns | Limit::NewRunsAtOnce => self.bounds.new_runs_at_once,
            Limit::Streams => self.bounds.streams,
        };
        let count = self.counts.of(what);
        if count.fetch_add(1, Ordering::Relaxed) < most {
            return Ok(());
        }
        count.fetch_sub(1, Ordering::Relaxed);
        Err(self.over(what, AT_ONCE_WAIT))
    }

    /// Counts one more of these rates.
    fn spend(&self, rates: &[Limit]) -> Result<(), Over> {
        for rate in rates {
            let limiter = match rate {
                Limit::Reveals => &self.reveals,
                Limit::NewRuns | Limit::NewRunsAtOnce => &self.new_runs,
                Limit::Requests | Limit::RequestsAtOnce | Limit::Streams => &self.requests,
            };
            if let Err(until) = limiter.check() {
                return Err(self.over(*rate, until.wait_time_from(DefaultClock::default().now())));
            }
        }
        Ok(())
    }
}

fn limiter(a_second: u32, seconds: u32) -> DefaultDirectRateLimiter {
    let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let at_once = number(a_second.saturating_mul(seconds));
    RateLimiter::direct(Quota::per_second(number(a_second)).allow_burst(at_once))
}

/// What everybody may have, and has had of late.
pub struct Allowance(RwLock<Accounts>);

struct Accounts {
    limits: Limits,
    all: Arc<Account>,
    known: HashMap<Principal, Arc<Account>>,
    /// For principals beyond those that are told apart.
    others: Arc<Account>,
    forgotten: Instant,
}

impl Accounts {
    fn of(&self, principal: &Principal) -> Option<[Arc<Account>; 2]> {
        let known = self.known.get(principal)?;
        if !known.seen.load(Ordering::Relaxed) {
            known.seen.store(true, Ordering::Relaxed);
        }
        Some([Arc::clone(known), Arc::clone(&self.all)])
    }

    fn made(&mut self, principal: &Principal) -> [Arc<Account>; 2] {
        if self.known.len() >= MAX_ACCOUNTS && self.forgotten.elapsed() >= QUIET {
            self.forgotten = Instant::now();
            self.known.retain(|_, account| {
                account.seen.swap(false, Ordering::Relaxed) || !account.counts.is_idle()
            });
        }
        let account = if self.known.len() < MAX_ACCOUNTS || self.known.contains_key(principal) {
            let of = || Arc::new(Account::new("principal", self.limits.principal, Arc::default()));
            self.known.entry(principal.clone()).or_insert_with(of)
        } else {
            &self.others
        };
        [Arc::clone(account), Arc::clone(&self.all)]
    }
}

impl Allowance {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        let account = |of, bounds| Arc::new(Account::new(of, bounds, Arc::default()));
        Self(RwLock::new(Accounts {
            limits,
            all: account("all", limits.all),
            known: HashMap::new(),
            others: account("principal", limits.principal),
            forgotten: Instant::now(),
        }))
    }

    /// Puts other limits in force. What is under way goes on, and counts.
    pub fn put_in_force(&self, limits: Limits) {
        let mut accounts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if accounts.limits == limits {
            return;
        }
        accounts.limits = limits;
        accounts.all = Arc::new(accounts.all.renewed(limits.all));
        accounts.others = Arc::new(accounts.others.renewed(limits.principal));
        for account in accounts.known.values_mut() {
            *account = Arc::new(account.renewed(limits.principal));
        }
    }

    /// Counts what a principal asks for.
    ///
    /// # Errors
    /// It is too much: of the principal's own first, so that what one is refused
    /// counts for nobody else.
    pub fn admit(&self, principal: &Principal, ask: Ask) -> Result<Admitted, Over> {
        let [own, all] = self.accounts(principal);
        let what = ask.at_once();
        own.begin(what)?;
        if let Err(over) = all.begin(what) {
            own.counts.of(what).fetch_sub(1, Ordering::Relaxed);
            return Err(over);
        }
        let counts = [Arc::clone(&own.counts), Arc::clone(&all.counts)];
        let admitted = Admitted { counts, what };
        own.spend(ask.rates())?;
        all.spend(ask.rates())?;
        Ok(admitted)
    }

    fn accounts(&self, principal: &Principal) -> [Arc<Account>; 2] {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).of(principal);
        known.unwrap_or_else(|| {
            self.0.write().unwrap_or_else(PoisonError::into_inner).made(principal)
        })
    }
}

#[cfg(test)]
mod tests;
