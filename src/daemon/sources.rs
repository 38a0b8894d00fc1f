//! Sources made ready to be read, and kept from one bundle to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use super::DaemonError;
use crate::definition::ServerSettings;
use crate::definition::settings::SourceEntry;
use crate::name::SourceName;
use crate::resolve::fetch::Sources;
use crate::source::{Environment, Source};
use crate::value::Value;

/// The sources in force, with what each was made of.
#[derive(Clone, Default)]
pub(super) struct Connected(BTreeMap<SourceName, One>);

#[derive(Clone)]
struct One {
    made_of: MadeOf,
    source: Arc<dyn Source>,
}

/// Two of the same are one source: its section, and the files that are read when
/// it is made ready.
#[derive(Clone, PartialEq)]
struct MadeOf {
    kind: &'static str,
    written: Value,
    files: Vec<Option<Vec<u8>>>,
}

impl MadeOf {
    fn of(entry: &SourceEntry) -> Self {
        let content = |path| Some(digest(&SHA256, &std::fs::read(path).ok()?).as_ref().to_vec());
        Self {
            kind: entry.kind.word(),
            written: entry.written.clone(),
            files: entry.settings.files().into_iter().map(content).collect(),
        }
    }
}

impl Connected {
    /// The sources of these settings: those that are made of the same as here,
    /// with their connections and logins, and the others anew.
    pub(super) fn next(
        &self,
        settings: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, DaemonError> {
        let mut next = BTreeMap::new();
        for (name, entry) in &settings.sources {
            let made_of = MadeOf::of(entry);
            let source = match self.0.get(name) {
                Some(known) if known.made_of == made_of => known.source.clone(),
                _ => entry
                    .settings
                    .connect(environment)
                    .map_err(|error| DaemonError::Source { source_name: name.clone(), error })?,
            };
            next.insert(name.clone(), One { made_of, source });
        }
        Ok(Self(next))
    }

    /// Whether they were made of what these settings and the files that they name
    /// hold now.
    pub(super) fn are_of(&self, settings: &ServerSettings) -> bool {
        let is_of = |(name, entry): (&SourceName, &SourceEntry)| {
            self.0.get(name).is_some_and(|one| one.made_of == MadeOf::of(entry))
        };
        settings.sources.iter().all(is_of)
    }

    /// For those who read them.
    pub(super) fn sources(&self) -> Sources {
        self.0.iter().map(|(name, one)| (name.clone(), one.source.clone())).collect()
    }
}
