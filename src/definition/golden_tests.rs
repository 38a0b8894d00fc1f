//! Golden cases of reading: each folder `tests/definitions/err_*` is a small
//! configuration directory, with the diagnostics that it must give in
//! `expected.txt`. `UPDATE_GOLDEN=1` writes them anew: look at the difference.
//! A value with `canary` in it stands for a misplaced secret: no output has it.

use std::path::{Path, PathBuf};

use super::read_bundle;
use crate::yaml::diagnostic::{Files, Problems, json, render};

/// The folders whose names begin with one of these, in order.
pub(crate) fn folders(prefixes: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
    let mut found: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            prefixes.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    found.sort();
    found
}

/// Compares the diagnostics that `check` gives for each folder with what is
/// expected of it.
pub(crate) fn compare(prefixes: &[&str], check: impl Fn(&Path, &mut Files, &mut Problems)) {
    let folders = folders(prefixes);
    assert!(!folders.is_empty(), "no folder begins with {prefixes:?}");
    let update = update();
    let mut different = Vec::new();
    for folder in folders {
        let (mut files, mut problems) = (Files::default(), Problems::default());
        check(&folder, &mut files, &mut problems);
        assert!(problems.has_errors(), "{} has no errors", folder.display());
        let shown = render(&problems, &files, false, 80);
        for output in [&shown, &json(&problems, &files).to_string()] {
            assert!(!output.contains("canary"), "{} shows a value:\n{output}", folder.display());
        }
        let expected = folder.join("expected.txt");
        if update {
            std::fs::write(&expected, &shown).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != shown {
            different.push(format!("{}:\n{shown}", folder.display()));
        }
    }
    assert!(different.is_empty(), "not as expected:\n{}", different.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "how a developer asks for new golden files")]
fn update() -> bool {
    std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1")
}

/// Who runs a folder, by the beginning of its name.
const RUN: [&str; 8] = [
    "err_yaml_",
    "err_pipeline_",
    "err_layer_",
    "err_settings_",
    "err_plan_",
    "err_policy_",
    "err_check_",
    "ok_",
];

#[test]
fn every_folder_is_run() {
    for folder in folders(&[""]) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(RUN.iter().any(|begin| name.starts_with(begin)), "nobody runs {name}");
    }
}

#[test]
fn reading_gives_the_expected_diagnostics() {
    compare(
        &["err_yaml_", "err_pipeline_", "err_layer_", "err_settings_"],
        |folder, files, problems| {
            read_bundle(folder, files, problems);
        },
    );
}
