//! The form in which a resolved run is kept: the redacted record, authenticated
//! together with what the store says of the run, and the secrets, sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::request::FrozenRequest;
use crate::audit::Principal;
use crate::name::{AliasName, EnvironmentName, ParameterName, PresetName};
use crate::plan::{Interface, InterfaceParameter, KeptPlan};
use crate::schema::Schema;
use crate::snapshot::Snapshot;
use crate::store::sealing::Sealer;
use crate::store::{AttemptMode, NewRun};

/// What is kept of a run in the open.
#[derive(Clone)]
pub struct Record {
    /// What was frozen.
    pub snapshot: Snapshot,
    /// What it was asked with.
    pub request: FrozenRequest,
    /// What could be passed to its pipeline: a later call is read by it, whatever
    /// the definition has become.
    pub interface: Arc<Interface>,
    /// What an exact repetition needs of its plan; none: an earlier release made
    /// the run.
    pub plan: Option<KeptPlan>,
    /// The attempt whose name and time its parameters know.
    pub origin: Origin,
}

/// The attempt that asked the sources for the public values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which.
    pub attempt: u32,
    /// When it was made.
    pub started: Timestamp,
}

/// The format that a record is written in. Format 1 has neither plan nor origin.
const FORMAT: u32 = 2;

/// The record was changed, or is of a format that this release doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record was changed or can't be read")]
pub struct Unreadable;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    run: WrittenRun,
    snapshot: Snapshot,
    request: FrozenRequest,
    parameters: BTreeMap<ParameterName, WrittenParameter>,
    aliases: BTreeMap<AliasName, ParameterName>,
    #[serde(default)]
    plan: Option<KeptPlan>,
    #[serde(default)]
    origin: Option<Origin>,
}

/// What the store keeps beside the record, so that a row that was changed is
/// noticed: whose run it is decides who may have its secrets.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct WrittenRun {
    environment: EnvironmentName,
    preset: Option<PresetName>,
    owner: Principal,
    revision: String,
    bundle: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logical_date: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<AttemptMode>,
    labels: BTreeMap<String, String>,
    created: Timestamp,
    expires: Timestamp,
}

impl WrittenRun {
    fn of(run: &NewRun) -> Self {
        Self {
            environment: run.environment.clone(),
            preset: run.preset.clone(),
            owner: run.owner.clone(),
            revision: run.revision.clone(),
            bundle: run.bundle.clone(),
            logical_date: run.logical_date,
            mode: run.mode,
            labels: run.labels.clone(),
            created: run.created,
            expires: run.expires,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct WrittenParameter {
    schema: serde_json::Value,
    secret: bool,
}

/// The length of the code that authenticates a record, in bytes.
const CODE: usize = 32;

impl Record {
    /// The record's bytes, for this run: an authentication code and JSON.
    ///
    /// # Errors
    /// A library failed, which no record is known to cause.
    pub fn to_bytes(&self, run: &NewRun, sealer: &Sealer) -> Result<Vec<u8>, Unreadable> {
        let parameters = self
            .interface
            .parameters
            .iter()
            .map(|(name, one)| {
                let written =
                    WrittenParameter { schema: one.schema.json().clone(), secret: one.secret };
                (name.clone(), written)
            })
            .collect();
        let written = Written {
            format: FORMAT,
            run: WrittenRun::of(run),
            snapshot: self.snapshot.clone(),
            request: self.request.clone(),
            parameters,
            aliases: self.interface.aliases.clone(),
            plan: self.plan.clone(),
            origin: Some(self.origin),
        };
        let json = serde_json::to_vec(&written).map_err(|_| Unreadable)?;
        let mut bytes = sealer.authenticate(&run.key, &json).to_vec();
        bytes.extend(json);
        Ok(bytes)
    }

    /// Reads the record of a run back.
    ///
    /// # Errors
    /// It or the run beside it was changed, or it can't be read.
    pub fn of_run(run: &NewRun, sealer: &Sealer) -> Result<Self, Unreadable> {
        let (code, json) = run.record.split_first_chunk::<CODE>().ok_or(Unreadable)?;
        if !sealer.verify(&run.key, json, code) {
            return Err(Unreadable);
        }
        let mut written: Written = serde_json::from_slice(json).map_err(|_| Unreadable)?;
        if !(1..=FORMAT).contains(&written.format) || written.run != WrittenRun::of(run) {
            return Err(Unreadable);
        }
        let mut parameters = BTreeMap::new();
        for (name, one) in std::mem::take(&mut written.parameters) {
            let schema = Schema::from_json(&one.schema).map_err(|_| Unreadable)?;
            let parameter = InterfaceParameter { schema: Arc::new(schema), secret: one.secret };
            parameters.insert(name, parameter);
        }
        let aliases = std::mem::take(&mut written.aliases);
        let interface = Arc::new(Interface { parameters, aliases });
        let own = Origin { attempt: run.key.attempt, started: run.created };
        let origin = written.origin.unwrap_or(own);
        let Written { snapshot, request, plan, .. } = written;
        Ok(Self { snapshot, request, interface, plan, origin })
    }
}

/// The name under which a parameter's value is sealed.
pub fn parameter_item(name: &ParameterName) -> String {
    format!("params.{name}")
}

/// The name under which a step's own item is sealed.
pub fn entry_item(step: &str, instance: u32, item: &str) -> String {
    format!("steps.{step}.{instance}.{item}")
}
