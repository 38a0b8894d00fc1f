//! The `paramd` binary: everything is in the library.

use std::process::ExitCode;

use paramd::cli::{self, Environment};

/// Wipes memory when it is freed: libraries copy what passes through them.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

#[expect(clippy::disallowed_methods, reason = "the environment is read here, once")]
fn main() -> ExitCode {
    cli::hide_panic_payloads();
    cli::main(std::env::args_os().collect(), Environment::new(std::env::vars_os()))
}
