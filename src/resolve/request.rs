//! What a run was asked with: what makes another call the same call.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{EnvironmentName, ParameterName};
use crate::plan::Interface;
use crate::secret::SecretValue;
use crate::store::fingerprint::Fingerprints;
use crate::value::{PublicValue, Value};

/// A request as it is kept and compared: secrets by keyed fingerprint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FrozenRequest {
    /// The environment.
    pub environment: EnvironmentName,
    /// The preset; empty: none.
    pub preset: String,
    /// The caller's own date for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_date: Option<Timestamp>,
    /// The overrides by declared name.
    pub overrides: BTreeMap<ParameterName, FrozenOverride>,
    /// The key of the fingerprints among them.
    pub fingerprint_key: String,
}

/// How much of two requests is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// All: they are one principal's.
    Whole,
    /// Whoever joins another's run brings none of its secrets.
    Joining,
    /// Nor does who repeats it, and so one with secrets can't be repeated.
    Repeating,
}

/// An override as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum FrozenOverride {
    /// Of a public parameter: the value.
    Public(PublicValue),
    /// Of a secret: its fingerprint.
    Secret([u8; 16]),
}

impl FrozenRequest {
    /// Freezes what a caller passed.
    pub fn new(
        environment: EnvironmentName,
        preset: &str,
        logical_date: Option<Timestamp>,
        values: &BTreeMap<ParameterName, Value>,
        interface: &Interface,
        fingerprints: &Fingerprints,
    ) -> Self {
        let overrides = values
            .iter()
            .map(|(name, value)| {
                let frozen = if interface.is_secret(name) {
                    FrozenOverride::Secret(fingerprints.of(&SecretValue::new(value.clone())))
                } else {
                    FrozenOverride::Public(PublicValue::declared_public(value.clone()))
                };
                (name.clone(), frozen)
            })
            .collect();
        let fingerprint_key = fingerprints.id().to_owned();
        let preset = preset.to_owned();
        Self { environment, preset, logical_date, overrides, fingerprint_key }
    }

    /// Whether the secrets of two requests can be compared: fingerprints under
    /// different keys always differ.
    pub fn is_comparable(&self, other: &Self) -> bool {
        let secret = |request: &Self| {
            request.overrides.values().any(|one| matches!(one, FrozenOverride::Secret(_)))
        };
        self.fingerprint_key == other.fingerprint_key || !(secret(self) && secret(other))
    }

    /// The fields in which two requests differ, never how. Of another principal's
    /// request (`self`) only what is public is compared.
    pub fn differs(&self, other: &Self, compared: Compared) -> Vec<String> {
        let mut fields = Vec::new();
        if self.environment != other.environment {
            fields.push("environment".to_owned());
        }
        if self.preset != other.preset {
            fields.push("preset".to_owned());
        }
        if self.logical_date != other.logical_date {
            fields.push("logical_date".to_owned());
        }
        let names: BTreeSet<_> = self.overrides.keys().chain(other.overrides.keys()).collect();
        for name in names {
            let (mine, theirs) = (self.overrides.get(name), other.overrides.get(name));
            let same = match (mine, theirs) {
                (Some(FrozenOverride::Public(a)), Some(FrozenOverride::Public(b))) => {
                    a.get().means(b.get())
                }
                (Some(FrozenOverride::Secret(a)), Some(FrozenOverride::Secret(b))) => {
                    a == b && compared == Compared::Whole
                }
                (Some(FrozenOverride::Secret(_)), None) => compared == Compared::Joining,
                _ => false,
            };
            if !same {
                let secret =
                    [mine, theirs].iter().any(|one| matches!(one, Some(FrozenOverride::Secret(_))));
                let group = if secret { "secret_overrides" } else { "overrides" };
                fields.push(format!("{group}.{name}"));
            }
        }
        fields
    }
}
