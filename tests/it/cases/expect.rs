//! The format of `expect.yaml`. A field that is not here fails the test.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) pipeline: String,
    pub(super) runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) request: Request,
    ok: Option<Answer>,
    error: Option<Problem>,
}

/// What must come out.
pub(super) enum Outcome<'a> {
    Ok(&'a Answer),
    Error(&'a Problem),
}

impl Run {
    pub(super) fn expected(&self) -> Outcome<'_> {
        match (&self.ok, &self.error) {
            (Some(ok), None) => Outcome::Ok(ok),
            (None, Some(error)) => Outcome::Error(error),
            _ => panic!("`{}` needs one of ok and error", self.name),
        }
    }

    pub(super) fn reads(&self) -> Option<&BTreeMap<String, u64>> {
        match self.expected() {
            Outcome::Ok(ok) => ok.reads.as_ref(),
            Outcome::Error(error) => error.reads.as_ref(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) environment: String,
    pub(super) preset: Option<String>,
    #[serde(default)]
    pub(super) overrides: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) text_overrides: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) secret_overrides: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) result: Option<String>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    pub(super) steps: BTreeMap<String, Step>,
    pub(super) warnings: Option<Vec<Warning>>,
    reads: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    #[serde(default, deserialize_with = "present")]
    pub(super) value: Option<Value>,
    #[serde(default)]
    pub(super) secret: bool,
    #[serde(default)]
    pub(super) not_needed: bool,
    pub(super) layer: Option<String>,
    pub(super) source: Option<String>,
    pub(super) source_name: Option<String>,
    pub(super) location: Option<String>,
    pub(super) version: Option<String>,
    pub(super) computed_from: Option<Vec<String>>,
    pub(super) default_used: Option<bool>,
}

/// Tells a null that is written from nothing.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Warning {
    pub(super) parameter: String,
    pub(super) kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) action: String,
    pub(super) reason: Option<String>,
    pub(super) needs: Option<Vec<String>>,
    pub(super) deciding: Option<BTreeMap<String, Value>>,
    pub(super) values: Option<Value>,
    pub(super) instances: Option<Vec<Instance>>,
    pub(super) secrets: Option<BTreeMap<String, Secret>>,
    pub(super) reveals: Option<BTreeMap<String, Secret>>,
    #[serde(default)]
    pub(super) env_has: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) env_lacks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Instance {
    pub(super) matrix: Option<Value>,
    pub(super) run: Option<Vec<String>>,
    pub(super) env: Option<BTreeMap<String, Value>>,
    pub(super) files: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secret {
    pub(super) reveals: Option<String>,
    pub(super) encoding: Option<String>,
    pub(super) maskable: Option<bool>,
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) retry: bool,
    pub(super) violations: Option<Vec<Violation>>,
    #[serde(default)]
    pub(super) differs: Vec<String>,
    #[serde(default)]
    pub(super) never: Vec<String>,
    reads: Option<BTreeMap<String, u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Violation {
    pub(super) field: Option<OneOf>,
    pub(super) parameter: Option<OneOf>,
    pub(super) reason: Option<OneOf>,
    #[serde(default)]
    pub(super) says: Vec<String>,
    #[serde(default)]
    pub(super) optional: bool,
}

/// A text, or any of several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOf {
    Text(String),
    Any(Vec<String>),
}

impl OneOf {
    pub(super) fn fits(&self, actual: &str) -> bool {
        match self {
            Self::Text(text) => text == actual,
            Self::Any(texts) => texts.iter().any(|text| text == actual),
        }
    }
}
