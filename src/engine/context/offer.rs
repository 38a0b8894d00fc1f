//! What a step may ask for.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::ParameterAccess;
use crate::audit::event::ItemName;
use crate::engine::open::LoadedRun;
use crate::engine::record::access_of;
use crate::name::ParameterName;
use crate::provenance::SourceKind;
use crate::reveal::{self, Item};
use crate::snapshot::{
    FrozenContent, FrozenEntry, FrozenInstance, FrozenStep, SecretEntry, StepAction,
};

/// Something that a step may ask for.
pub(super) struct Offered<'a> {
    pub(super) item: Item<'a>,
    pub(super) access: ParameterAccess,
    pub(super) origins: BTreeSet<ParameterName>,
}

/// What a step may ask for: its secret parameters, and the secret entries of an
/// instance (the only one, where there is no matrix).
pub(super) fn offered<'a>(
    run: &'a LoadedRun,
    step: &'a FrozenStep,
    instance: Option<u32>,
) -> BTreeMap<String, Offered<'a>> {
    let mut offered = BTreeMap::new();
    if step.decision.action == StepAction::Skip {
        return offered;
    }
    for name in &step.sees {
        let Some(parameter) = run.snapshot.parameters.get(name) else { continue };
        let FrozenContent::Secret(_) = &parameter.content else { continue };
        let Some(access) = access_of(&run.snapshot, name) else { continue };
        let version = access.version.clone();
        let item = Item {
            name: ItemName::parameter(name),
            place: reveal::Place::Parameter(name),
            version,
        };
        let origins = run.snapshot.secret_origins.get(name).cloned().unwrap_or_default();
        offered.insert(name.to_string(), Offered { item, access, origins });
    }
    let has_matrix = step.instances.iter().any(|instance| !instance.matrix.is_empty());
    let index = match (instance, has_matrix) {
        (Some(index), _) => index,
        (None, false) => 0,
        (None, true) => return offered,
    };
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(found) = step.instances.get(at) else { return offered };
    for entry in secret_entries(found) {
        let place =
            reveal::Place::Entry { step: &step.name, instance: index, encoding: entry.encoding };
        let item = Item { name: entry.item.clone(), place, version: None };
        let access = ParameterAccess {
            name: entry.item.clone(),
            source: Some(SourceKind::Template),
            source_name: None,
            location: String::new(),
            version: None,
            fingerprint: Some(entry.mark.fingerprint),
            violated_keyword: "",
        };
        let origins = entry.computed_from.clone();
        offered.insert(entry.item.as_str().to_owned(), Offered { item, access, origins });
    }
    offered
}

pub(super) fn secret_entries(instance: &FrozenInstance) -> impl Iterator<Item = &SecretEntry> {
    let files = instance.files.values().map(|(entry, _)| entry);
    instance.env.values().chain(files).filter_map(|entry| match entry {
        FrozenEntry::Secret(secret) => Some(secret),
        FrozenEntry::Text(_) | FrozenEntry::Binary(_) => None,
    })
}
