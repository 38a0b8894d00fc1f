//! The parameters of an event. Events about the same share one list, and what
//! it is in the canonical form.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::ParameterAccess;

/// A list of parameters, ordered by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Accesses(Option<Arc<Shared>>);

struct Shared {
    list: Vec<ParameterAccess>,
    /// Made with the first event that has this list.
    canonical: OnceLock<Vec<u8>>,
}

impl Accesses {
    /// The canonical form of the list, made by `encode` where nobody has asked
    /// for it yet.
    pub(super) fn canonical(&self, encode: impl FnOnce(&[ParameterAccess]) -> Vec<u8>) -> &[u8] {
        match &self.0 {
            Some(shared) => shared.canonical.get_or_init(|| encode(&shared.list)),
            None => &[],
        }
    }
}

impl Deref for Accesses {
    type Target = [ParameterAccess];

    fn deref(&self) -> &[ParameterAccess] {
        self.0.as_ref().map_or(&[], |shared| &shared.list)
    }
}

impl From<Vec<ParameterAccess>> for Accesses {
    fn from(list: Vec<ParameterAccess>) -> Self {
        if list.is_empty() {
            return Self(None);
        }
        Self(Some(Arc::new(Shared { list, canonical: OnceLock::new() })))
    }
}

impl FromIterator<ParameterAccess> for Accesses {
    fn from_iter<I: IntoIterator<Item = ParameterAccess>>(accesses: I) -> Self {
        accesses.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for Accesses {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Accesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
