//! Keeps memory that may hold secrets from leaving the process by itself.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::error::CliError;
use super::exit::Exit;

/// Switches core files off, for child processes too; a process that holds
/// secrets also can't be read or traced by others of its user.
pub(crate) fn apply(holds_secrets: bool) -> Result<(), CliError> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let mut done = setrlimit(Resource::Core, none);
    if holds_secrets {
        done = done.and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    }
    done.map_err(|error| {
        let kind = std::io::Error::from(error).kind();
        CliError::new(Exit::Failed, format!("core files can't be switched off: {kind}"))
    })
}
