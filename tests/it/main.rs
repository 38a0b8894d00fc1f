//! The daemon's own binary against the real things: OpenBao, SQLite, Python.
//!
//! Run by `scripts/test`, which installs what these tests need. A server that
//! is missing fails a test; nothing is skipped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests fall over on purpose, and look at the environment"
)]

mod architecture;
mod attack;
mod canary;
mod cases;
mod cli;
mod contract;
mod doors;
mod example;
mod ill;
mod lasting;
mod living;
mod pages;
mod python;
mod readme;
mod runs;
mod support;
mod table;
mod threats;
