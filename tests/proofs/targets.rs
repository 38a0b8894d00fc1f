//! What hostile input is thrown at: one function a target, which says what is
//! wrong with how it was taken. The default tests call them with changed seeds,
//! and the fuzzer of `fuzz/` with whatever finds new ways through the code.

mod audit;
mod configuration;
mod expressions;
mod jwt;
mod names;
mod overrides;
mod policies;
mod records;
mod services;
mod world;

pub(crate) use services::{is_late, send};

use crate::cases::Outcome;

/// Stands in seeds where a value stands. It can't be a name of anything, so
/// nothing that is told has a reason to repeat it.
pub(crate) const MARK: &str = "Zq!hunter2";

/// A place where input comes in.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// What the language has, for changed seeds that mean something.
    pub(crate) words: &'static [&'static str],
    pub(crate) run: fn(&[u8]) -> Outcome,
}

pub(crate) const TARGETS: [Target; 22] = [
    configuration::YAML,
    configuration::DEFINITIONS,
    configuration::LAYERS,
    configuration::SETTINGS,
    configuration::ROLES,
    expressions::TEMPLATES,
    expressions::CONDITIONS,
    overrides::TYPED,
    overrides::TEXT,
    names::NAMES,
    policies::POLICIES,
    jwt::TOKENS,
    policies::EXPECTATIONS,
    services::PIPELINE,
    services::RUN,
    services::CONTEXT,
    services::AUDIT,
    audit::EVENTS,
    audit::CHAIN,
    records::RECORDS,
    Target { name: "masker", seeds: random, words: &[], run: crate::masker::check },
    Target { name: "secrecy", seeds: random, words: &[], run: crate::secrecy::check },
];

/// The target of this name.
pub(crate) fn named(name: &str) -> &'static Target {
    TARGETS.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("no target `{name}`"))
}

/// Choices of any kind.
fn random() -> Vec<Vec<u8>> {
    (0..8).map(|index| crate::cases::Random::new(7, index).bytes(1_500)).collect()
}

/// What is told must not repeat a value.
fn untold(what: &str, told: &str) -> Result<(), String> {
    if told.contains(MARK) { Err(format!("{what} repeats a value: {told}")) } else { Ok(()) }
}

/// Whether a part of what must hold does.
fn holds(condition: bool, why: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(why.into()) }
}
