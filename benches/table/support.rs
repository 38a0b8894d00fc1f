//! The servers of the integration tests, and their ways to wait.
#![allow(dead_code, reason = "the tests use more of it than the table does")]

#[path = "../../tests/it/support/bao.rs"]
pub(crate) mod bao;
#[path = "../../tests/it/support/basics.rs"]
mod basics;
#[path = "../../tests/it/support/client.rs"]
pub(crate) mod client;
#[path = "../../tests/it/support/config.rs"]
pub(crate) mod config;
#[path = "../../tests/it/support/daemon.rs"]
pub(crate) mod daemon;
#[path = "../../tests/it/support/postgres.rs"]
pub(crate) mod postgres;

pub(crate) use basics::{free_port, python, root, wait_for, wait_until};
