//! The process environment, read once in `main` and passed on.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The variables that the process was started with.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Takes the variables.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// A variable's value.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// All variables.
    pub fn all(&self) -> &BTreeMap<OsString, OsString> {
        &self.0
    }

    /// A folder that a variable names by an absolute path.
    pub(crate) fn folder(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// What a child process inherits: all but paramd's own variables.
    pub(crate) fn inherited(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"PARAMD_"))
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Environment({} variables)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        let pairs = [("PARAMD_ENDPOINT", "unix:x"), ("HOME", "/h"), ("TMPDIR", "relative")];
        Environment::new(pairs.map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn children_do_not_inherit_our_own_variables() {
        let inherited: Vec<_> =
            environment().inherited().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(inherited, ["HOME", "TMPDIR"]);
    }

    #[test]
    fn a_folder_is_an_absolute_path() {
        assert_eq!(environment().folder("HOME"), Some("/h".into()));
        assert_eq!(environment().folder("TMPDIR"), None);
    }

    #[test]
    fn debug_shows_no_variable() {
        assert_eq!(format!("{:?}", environment()), "Environment(3 variables)");
    }
}
