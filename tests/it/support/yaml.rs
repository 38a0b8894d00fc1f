//! YAML by a parser that isn't ours.

use std::path::Path;
use std::process::Command;

/// Reads a YAML file through Python's parser.
pub(crate) fn read(path: &Path) -> serde_json::Value {
    let output = Command::new(super::python())
        .arg("-c")
        .arg("import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)")
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", path.display());
    serde_json::from_slice(&output.stdout).unwrap()
}
