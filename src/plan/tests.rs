//! Plans, as they come from files.

mod kept;
mod layers;
mod revision;
mod secrecy;

use std::path::Path;

use super::Plans;
use crate::load::load;
use crate::yaml::diagnostic::lines;

/// A configuration directory with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// What is compiled of a directory, and what is told of it.
fn compiled(directory: &Path) -> (Plans, Vec<String>) {
    let loaded = load(directory);
    let told = lines(&loaded.problems, &loaded.files);
    (loaded.compiled.unwrap().plans, told)
}
