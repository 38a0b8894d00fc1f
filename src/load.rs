//! A configuration directory to all that can be put in force, or all its
//! problems. Reads files and nothing else.

use std::path::Path;

use crate::access::Policies;
use crate::definition::{Bundle, read_bundle};
use crate::plan::{self, Plans};
use crate::yaml::diagnostic::{Files, Problems};

/// What was read, and what is wrong with it.
#[derive(Default)]
pub struct Loaded {
    /// The files, for showing where a problem is.
    pub files: Files,
    /// All problems of all files.
    pub problems: Problems,
    /// What could be compiled; not fit for use where there are errors.
    pub compiled: Option<Compiled>,
}

/// A bundle, compiled.
pub struct Compiled {
    /// What is written.
    pub bundle: Bundle,
    /// The pipelines' plans.
    pub plans: Plans,
    /// Who may do what.
    pub policies: Policies,
}

/// Reads and compiles a configuration directory.
pub fn load(directory: &Path) -> Loaded {
    let mut loaded = Loaded::default();
    let bundle = read_bundle(directory, &mut loaded.files, &mut loaded.problems);
    loaded.compiled = bundle.map(|bundle| {
        let plans = plan::compile(&bundle, &loaded.files, &mut loaded.problems);
        let policies = Policies::of(&bundle, &mut loaded.problems);
        Compiled { bundle, plans, policies }
    });
    loaded.problems = loaded.problems.in_order(&loaded.files);
    loaded
}

#[cfg(test)]
mod tests;
