//! The form in which a resolved run is kept: the redacted record, authenticated,
//! and the secrets, sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::request::FrozenRequest;
use crate::name::{AliasName, ParameterName};
use crate::plan::{Interface, InterfaceParameter};
use crate::schema::Schema;
use crate::snapshot::{FORMAT, Snapshot};
use crate::store::NewRun;
use crate::store::sealing::Sealer;
use crate::value::binary::wire::{put_bytes, put_count, put_u64};

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
}

/// The record was changed, or is of a format that this release doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record was changed or can't be read")]
pub struct Unreadable;

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    snapshot: Snapshot,
    request: FrozenRequest,
    parameters: BTreeMap<ParameterName, WrittenParameter>,
    aliases: BTreeMap<AliasName, ParameterName>,
}

#[derive(Serialize, Deserialize)]
struct WrittenParameter {
    schema: serde_json::Value,
    secret: bool,
}

/// The length of the code that authenticates a record, in bytes.
const CODE: usize = 32;

impl Record {
    /// The record's bytes: an authentication code and JSON. The code also covers
    /// what the store keeps of `run` beside the record.
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
            snapshot: self.snapshot.clone(),
            request: self.request.clone(),
            parameters,
            aliases: self.interface.aliases.clone(),
        };
        let json = serde_json::to_vec(&written).map_err(|_| Unreadable)?;
        let mut bytes = sealer.authenticate(&run.key, &covered(run, &json)).to_vec();
        bytes.extend(json);
        Ok(bytes)
    }

    /// Reads the record of a run back.
    ///
    /// # Errors
    /// It or what is kept beside it was changed, or can't be read.
    pub fn from_bytes(run: &NewRun, sealer: &Sealer) -> Result<Self, Unreadable> {
        let (code, json) = run.record.split_first_chunk::<CODE>().ok_or(Unreadable)?;
        if !sealer.verify(&run.key, &covered(run, json), code) {
            return Err(Unreadable);
        }
        let written: Written = serde_json::from_slice(json).map_err(|_| Unreadable)?;
        if written.format != FORMAT {
            return Err(Unreadable);
        }
        let mut parameters = BTreeMap::new();
        for (name, one) in written.parameters {
            let schema = Schema::from_json(&one.schema).map_err(|_| Unreadable)?;
            let parameter = InterfaceParameter { schema: Arc::new(schema), secret: one.secret };
            parameters.insert(name, parameter);
        }
        let interface = Arc::new(Interface { parameters, aliases: written.aliases });
        Ok(Self { snapshot: written.snapshot, request: written.request, interface })
    }
}

/// What the code covers, joined without doubt: permission is decided by the
/// environment, the preset and the owner that the store gives back.
fn covered(run: &NewRun, json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + 512);
    let preset = run.preset.as_ref().map(|preset| preset.as_str()).unwrap_or_default();
    for text in [run.environment.as_str(), preset, &run.owner.name, &run.revision, &run.bundle] {
        put_bytes(&mut out, text.as_bytes());
    }
    out.extend_from_slice(&(run.owner.kind as i32).to_be_bytes());
    for time in [run.created, run.expires] {
        // To the second: a store may keep less of a time than it was given.
        put_u64(&mut out, time.as_second().cast_unsigned());
    }
    put_count(&mut out, run.labels.len());
    for (key, value) in &run.labels {
        put_bytes(&mut out, key.as_bytes());
        put_bytes(&mut out, value.as_bytes());
    }
    out.extend_from_slice(json);
    out
}

/// The name under which a parameter's value is sealed.
pub fn parameter_item(name: &ParameterName) -> String {
    format!("params.{name}")
}

/// The name under which a step's own item is sealed.
pub fn entry_item(step: &str, instance: u32, item: &str) -> String {
    format!("steps.{step}.{instance}.{item}")
}
