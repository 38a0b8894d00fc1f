//! Runs a check over many cases and makes the first that fails smaller.
//!
//! `PARAMD_CASES` says how many, `PARAMD_SEED` where to begin: the cases of one
//! seed are always the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What a check tells of a case: how many cases there were in it, or what is
/// wrong.
pub(crate) type Outcome = Result<u64, String>;

/// How often a failing case is tried smaller.
const SHRINKS: usize = 4_000;

/// Goes through as many cases as the environment says, or `usual`, each of at
/// most `size` bytes.
pub(crate) fn run(name: &str, usual: u64, size: usize, check: fn(&[u8]) -> Outcome) {
    let wanted = number("PARAMD_CASES").unwrap_or(usual);
    let seed = number("PARAMD_SEED").unwrap_or(1);
    let begun = Instant::now();
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = || {
        while done.load(Ordering::Relaxed) < wanted {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let bytes = Random::new(seed, index).bytes(size);
            match guarded(check, &bytes) {
                Ok(count) => done.fetch_add(count, Ordering::Relaxed),
                Err(_) => panic!("{}", report(name, seed, index, check, bytes)),
            };
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for one in all {
            if let Err(panic) = one.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    println!("{name}: {} cases in {seconds:.1} s (seed {seed})", done.into_inner());
}

/// A number that the environment says.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} isn't a number")))
}

fn guarded(check: fn(&[u8]) -> Outcome, bytes: &[u8]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| check(bytes))).unwrap_or_else(|_| Err("a panic".to_owned()))
}

fn report(
    name: &str,
    seed: u64,
    index: u64,
    check: fn(&[u8]) -> Outcome,
    mut bytes: Vec<u8>,
) -> String {
    let mut left = SHRINKS;
    while left > 0 && smaller(check, &mut bytes, &mut left) {}
    let why = guarded(check, &bytes).err().unwrap_or_else(|| "not again".to_owned());
    format!("{name}: case {index} of seed {seed}, {} bytes when made smaller:\n{why}", bytes.len())
}

/// Leaves out runs of bytes, then makes bytes zero, as long as it fails.
fn smaller(check: fn(&[u8]) -> Outcome, bytes: &mut Vec<u8>, left: &mut usize) -> bool {
    let before = bytes.clone();
    let mut length = bytes.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < bytes.len() && *left > 0 {
            *left -= 1;
            let end = (at + length).min(bytes.len());
            let fewer = [&bytes[..at], &bytes[end..]].concat();
            if guarded(check, &fewer).is_err() {
                *bytes = fewer;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
    for at in 0..bytes.len() {
        if bytes[at] != 0 && *left > 0 {
            *left -= 1;
            let kept = std::mem::replace(&mut bytes[at], 0);
            if guarded(check, bytes).is_ok() {
                bytes[at] = kept;
            }
        }
    }
    *bytes != before
}

/// A folder for files that are read right away: in memory where there is such a
/// place, as the disk would take most of the time.
pub(crate) fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).unwrap()
}

/// SplitMix64: enough for cases.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ index);
        random.0 = random.next();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    /// Up to `most` bytes, often far fewer: small cases are among them.
    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = match self.below(4) {
            0 => self.below(most.div_ceil(8)),
            1 => self.below(most.div_ceil(2)),
            _ => most,
        };
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}
