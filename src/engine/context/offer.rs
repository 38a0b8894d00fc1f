//! What a step may ask for.

use std::collections::BTreeMap;

use crate::audit::{Accesses, ParameterAccess};
use crate::engine::open::LoadedRun;
use crate::engine::record::access_of;
use crate::name::ParameterName;
use crate::provenance::SourceKind;
use crate::reveal::{self, Item};
use crate::snapshot::{
    FrozenContent, FrozenEntry, FrozenInstance, FrozenStep, SecretEncoding, SecretEntry, StepAction,
};

/// All that a step may ask for, by its names.
pub(in crate::engine) struct Offers {
    by_name: BTreeMap<String, Offered>,
    accesses: Accesses,
}

/// Something that a step may ask for.
pub(super) struct Offered {
    place: Place,
    pub(super) access: ParameterAccess,
    /// The secret parameters that it is computed from.
    pub(super) origins: Vec<ParameterName>,
}

/// Where its bytes are sealed.
enum Place {
    Parameter(ParameterName),
    Entry { instance: u32, encoding: SecretEncoding },
}

impl Offers {
    /// Its secret parameters, and the secret entries of an instance (the only one,
    /// where there is no matrix).
    pub(super) fn of(run: &LoadedRun, step: &FrozenStep, instance: Option<u32>) -> Self {
        let by_name = match step.decision.action {
            StepAction::Skip => BTreeMap::new(),
            StepAction::Run | StepAction::Unknown => {
                parameters(run, step).chain(entries(step, instance)).collect()
            }
        };
        // An entry's name sorts as text, a parameter's too: the order is the names'.
        let accesses = by_name.values().map(|one: &Offered| one.access.clone()).collect();
        Self { by_name, accesses }
    }

    /// What an event says of them all.
    pub(in crate::engine) fn accesses(&self) -> &Accesses {
        &self.accesses
    }

    pub(super) fn get(&self, name: &str) -> Option<&Offered> {
        self.by_name.get(name)
    }

    /// What an event says of those that are wanted, which may be all.
    pub(super) fn named(&self, all: bool, wanted: &[&str]) -> Accesses {
        if all {
            return self.accesses.clone();
        }
        let found = wanted.iter().filter_map(|name| self.get(name));
        let mut accesses: Vec<_> = found.map(|one| one.access.clone()).collect();
        accesses.sort_by(|a, b| a.name.cmp(&b.name));
        accesses.into()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

impl Offered {
    /// What is to be revealed, in this step.
    pub(super) fn item<'a>(&'a self, step: &'a FrozenStep) -> Item<'a> {
        let place = match &self.place {
            Place::Parameter(name) => reveal::Place::Parameter(name),
            Place::Entry { instance, encoding } => {
                let (instance, encoding) = (*instance, *encoding);
                reveal::Place::Entry { step: &step.name, instance, encoding }
            }
        };
        let version = match self.place {
            Place::Parameter(_) => self.access.version.clone(),
            Place::Entry { .. } => None,
        };
        Item { name: self.access.name.clone(), place, version }
    }
}

fn parameters(run: &LoadedRun, step: &FrozenStep) -> impl Iterator<Item = (String, Offered)> {
    step.sees.iter().filter_map(|name| {
        let parameter = run.snapshot.parameters.get(name)?;
        let FrozenContent::Secret(_) = &parameter.content else { return None };
        let access = access_of(&run.snapshot, name)?;
        let origins = run.snapshot.secret_origins.get(name).into_iter().flatten().cloned();
        let place = Place::Parameter(name.clone());
        Some((name.to_string(), Offered { place, access, origins: origins.collect() }))
    })
}

fn entries(step: &FrozenStep, instance: Option<u32>) -> impl Iterator<Item = (String, Offered)> {
    let has_matrix = step.instances.iter().any(|instance| !instance.matrix.is_empty());
    let index = match (instance, has_matrix) {
        (Some(index), _) => Some(index),
        (None, false) => Some(0),
        (None, true) => None,
    };
    let found = index.and_then(|index| {
        Some((index, step.instances.get(usize::try_from(index).unwrap_or(usize::MAX))?))
    });
    found.into_iter().flat_map(|(index, found)| {
        secret_entries(found)
            .map(move |entry| (entry.item.as_str().to_owned(), offer(entry, index)))
    })
}

fn offer(entry: &SecretEntry, instance: u32) -> Offered {
    let access = ParameterAccess {
        name: entry.item.clone(),
        source: Some(SourceKind::Template),
        source_name: None,
        location: String::new(),
        version: None,
        fingerprint: Some(entry.mark.fingerprint),
        violated_keyword: "",
    };
    let place = Place::Entry { instance, encoding: entry.encoding };
    Offered { place, access, origins: entry.computed_from.iter().cloned().collect() }
}

pub(super) fn secret_entries(instance: &FrozenInstance) -> impl Iterator<Item = &SecretEntry> {
    let files = instance.files.values().map(|(entry, _)| entry);
    instance.env.values().chain(files).filter_map(|entry| match entry {
        FrozenEntry::Secret(secret) => Some(secret),
        FrozenEntry::Text(_) | FrozenEntry::Binary(_) => None,
    })
}
