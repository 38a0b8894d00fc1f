//! Memory that is kept out of swap.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// All memory, that of later too.
    All,
    /// Nothing yet: the process may lock so many bytes, and would fail to
    /// allocate beyond them.
    Limited(u64),
    /// Nothing: the kernel refuses.
    Refused(std::io::ErrorKind),
}

/// Locks all memory as it comes into use, where there is no limit on it. With a
/// limit nothing is locked: an allocation beyond it would fail.
pub fn lock_all() -> Locked {
    let limit = getrlimit(Resource::Memlock);
    if limit.maximum.is_none() {
        // Up to what is allowed anyway; where it fails the old limit is told.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    }
    if let Some(limit) = getrlimit(Resource::Memlock).current
        && !is_above_limits()
    {
        return Locked::Limited(limit);
    }
    // Only pages that are in use: thread stacks and the like reserve far more.
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    match mlockall(flags) {
        Ok(()) => Locked::All,
        Err(error) => Locked::Refused(std::io::Error::from(error).kind()),
    }
}

/// Whether the limit counts for nothing. The capability of a container with users
/// of its own changes nothing.
fn is_above_limits() -> bool {
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let has_all_users = users.split_whitespace().eq(["0", "0", "4294967295"]);
    let may_lock = |own: CapabilitySet| own.contains(CapabilitySet::IPC_LOCK);
    has_all_users && capabilities(None).is_ok_and(|own| may_lock(own.effective))
}

/// Pages that stay locked as long as this is there.
#[must_use]
pub struct Pages {
    _guard: region::LockGuard,
}

/// Locks the pages that these bytes are in. What else is on them is locked along.
pub fn lock_pages(bytes: &[u8]) -> Option<Pages> {
    region::lock(bytes.as_ptr(), bytes.len()).ok().map(|guard| Pages { _guard: guard })
}
