//! Where a source's binding holds, without a preset and under each that bears on
//! its address, as far as that is known at load: what `check --live` asks about.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PlannedBind, PlannedBinding};
use crate::name::{EnvironmentName, ParameterName, PipelineName, PresetName, SourceName};
use crate::schema::Schema;
use crate::source::{Address, Ask, Probe, Read};
use crate::value::Value;
use crate::yaml::Place;

/// A binding to a source in one environment of a pipeline.
#[derive(Debug)]
pub struct Site {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The environment.
    pub environment: EnvironmentName,
    /// The preset under which it reads there; none: without one.
    pub preset: Option<PresetName>,
    /// The parameter.
    pub parameter: ParameterName,
    /// Where the binding is written.
    pub place: Place,
    /// Whether a default stands in where the source has no such value.
    pub has_default: bool,
    pub(super) schema: Arc<Schema>,
    pub(super) binding: Arc<PlannedBinding>,
    /// None: what another source answers decides it.
    pub(super) address: Option<Address>,
}

/// A binding with what would be read for it.
pub struct Asked<'a> {
    site: &'a Site,
    ask: Ask,
    read: Read,
}

impl Site {
    /// The source that it is read from.
    pub fn source(&self) -> Option<&SourceName> {
        match self.binding.as_ref() {
            PlannedBinding::Source(source) => Some(&source.source),
            _ => None,
        }
    }

    /// What would be read, where that is known. Its binds have no values.
    pub fn asked(&self) -> Option<Asked<'_>> {
        let PlannedBinding::Source(source) = self.binding.as_ref() else { return None };
        let ask = Ask {
            address: self.address.clone()?,
            texts: source.texts.clone(),
            binds: source.binds.iter().map(|(name, _)| (name.clone(), Value::Null)).collect(),
        };
        let read = source.kind.locate(&ask).ok()?.read;
        Some(Asked { site: self, ask, read })
    }
}

impl<'a> Asked<'a> {
    /// The binding.
    pub fn site(&self) -> &'a Site {
        self.site
    }

    /// The question to its source.
    pub fn probe(&self) -> Probe<'_> {
        let mut binds = BTreeMap::new();
        if let PlannedBinding::Source(source) = self.site.binding.as_ref() {
            for (name, bind) in &source.binds {
                if let PlannedBind::Template(template) = bind {
                    binds.insert(name.clone(), template.result().clone());
                }
            }
        }
        Probe { ask: &self.ask, read: &self.read, schema: &self.site.schema, binds }
    }
}
