//! What the tests stand on: the daemon, OpenBao, clients, folders.

pub(crate) mod bao;
mod basics;
pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod disk;
pub(crate) mod frames;
pub(crate) mod jwks;
pub(crate) mod jwt;
pub(crate) mod mariadb;
pub(crate) mod otlp;
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod raft;
pub(crate) mod status;
pub(crate) mod step_token;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod yaml;

pub(crate) use basics::{free_port, python, root, wait_for, wait_until};
