//! Keeps memory that may hold secrets from leaving the process by itself.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::error::CliError;
use super::exit::Exit;

/// Switches core files off, for child processes too; a process that holds
/// secrets also can't be read or traced by others of its user.
pub(crate) fn apply(holds_secrets: bool) -> Result<(), CliError> {
    // One byte and not none: with 0 the kernel still pipes a core to a handler
    // such as systemd-coredump, with 1 it never does.
    let none = Rlimit { current: Some(1), maximum: Some(1) };
    let mut done = setrlimit(Resource::Core, none);
    if holds_secrets {
        done = done.and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    }
    done.map_err(|error| {
        let kind = std::io::Error::from(error).kind();
        CliError::new(Exit::Failed, format!("core files can't be switched off: {kind}"))
    })
}
