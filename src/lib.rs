//! `paramd` resolves the parameters of pipeline runs and keeps their secrets
//! secret.
//!
//! request → principal → permission → plan → bind → evaluate → validate →
//! seal + store + audit → context → reveal → complete

pub mod access;
pub mod allowance;
pub mod audit;
pub mod cli;
pub mod credential;
pub mod daemon;
pub mod definition;
pub mod engine;
pub mod envelope;
pub mod expression;
pub mod init;
pub mod jwt;
pub mod load;
pub mod mask;
pub mod name;
pub mod plan;
pub mod process;
pub mod proto;
pub mod provenance;
pub mod refusal;
pub mod resolve;
pub mod reveal;
pub mod schema;
pub mod secret;
pub mod server;
pub mod snapshot;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod value;
pub mod yaml;
