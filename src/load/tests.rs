//! Golden cases of what needs several files, and what must not be refused.

use proptest::prelude::*;

use super::*;
use crate::definition::golden_tests::{compare, folders};
use crate::yaml::diagnostic::{lines, render};

#[test]
fn loading_gives_the_expected_diagnostics() {
    compare(&["err_plan_", "err_policy_", "err_check_"], |folder, files, problems| {
        let loaded = load(folder);
        (*files, *problems) = (loaded.files, loaded.problems);
    });
}

#[test]
fn what_is_legal_has_no_problems() {
    let folders = folders(&["ok_"]);
    assert!(folders.len() >= 5);
    for folder in folders {
        let loaded = load(&folder);
        assert_eq!(lines(&loaded.problems, &loaded.files), [""; 0], "{}", folder.display());
        assert!(!loaded.compiled.unwrap().plans.pipelines.is_empty(), "{}", folder.display());
    }
}

/// The whole example with a piece of one file replaced.
fn mutated(file: &str, at: usize, length: usize, by: &str) -> tempfile::TempDir {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions/ok_whole_example");
    let folder = tempfile::tempdir().unwrap();
    for path in ["paramd.yaml", "pipelines/train.yaml", "environments/dev.yaml", "global.yaml"] {
        let mut text = std::fs::read_to_string(example.join(path)).unwrap_or_default();
        if path == file {
            let start = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, by);
        }
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_mistake_ends_the_check(
        file in prop_oneof![
            5 => Just("pipelines/train.yaml"),
            1 => Just("paramd.yaml"),
            1 => Just("global.yaml"),
        ],
        at in 0_usize..5_000,
        length in 0_usize..60,
        by in prop_oneof![
            Just(""), Just("\n"), Just(" {"), Just("}}"), Just("{{ params.epochs }}"),
            Just("values: { epochs: 3 }\nfrom: { db_url: { template: x } }\nlocked: [epochs]\n"),
            Just("secret: true, "), Just("override: none, "), Just("x: "), Just("- "), Just("'"),
        ],
    ) {
        let folder = mutated(file, at, length, by);
        let loaded = load(folder.path());
        let shown = render(&loaded.problems, &loaded.files, false, 80);
        prop_assert_eq!(loaded.problems.list.is_empty(), shown.is_empty());
        prop_assert!(loaded.problems.has_errors() || loaded.compiled.is_some());
    }
}
