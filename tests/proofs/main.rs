//! Proofs: what the code does against a naive model of it, over many generated
//! cases. `docs/testing.md` has the commands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fall over on purpose, print their counts and look at the environment"
)]

mod cases;
mod draw;
mod files;
mod fuzz;
mod limits;
mod masker;
mod mutate;
mod secrecy;
mod targets;
