//! The kinds of sources that there are.

use super::{Kind, env, file, sql, vault};

/// All kinds, by their word in YAML.
pub fn kinds() -> &'static [&'static dyn Kind] {
    &[&env::Env, &file::File, &sql::Sql, &vault::Vault]
}

/// The kind of this word.
pub fn by_word(word: &str) -> Option<&'static dyn Kind> {
    kinds().iter().copied().find(|kind| kind.kind().word() == word)
}

/// The kind of this kind.
pub fn by_kind(kind: crate::provenance::SourceKind) -> Option<&'static dyn Kind> {
    kinds().iter().copied().find(|candidate| candidate.kind() == kind)
}
