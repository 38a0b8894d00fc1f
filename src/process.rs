//! What the process takes from itself before it holds a secret: core files, being
//! read and traced, new privileges, its own variables, memory that is swapped,
//! and paths and ports that it has no use for.
//!
//! All of it is done before there is a second thread, and all but the part of
//! `sqlite` through safe calls.

pub mod environ;
pub mod memory;
pub mod sandbox;
pub mod sqlite;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;

/// What a process does, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conduct {
    /// Secret bytes can be in its memory.
    pub holds_secrets: bool,
    /// It starts programs of others, such as the commands of steps.
    pub starts_programs: bool,
}

/// Switches core files off, for child processes too. A process that holds secrets
/// also can't be read or traced by others of its user, and one that starts no
/// programs can't gain privileges: steps may have a use for `sudo`. What SQLite
/// frees is wiped.
///
/// # Errors
/// The kernel refuses.
pub fn harden(conduct: Conduct) -> std::io::Result<()> {
    // One byte and not none: with 0 the kernel still pipes a core to a handler
    // such as systemd-coredump, with 1 it never does.
    setrlimit(Resource::Core, Rlimit { current: Some(1), maximum: Some(1) })?;
    if conduct.holds_secrets {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    if !conduct.starts_programs {
        set_no_new_privs(true)?;
    }
    sqlite::use_our_allocator()
}
