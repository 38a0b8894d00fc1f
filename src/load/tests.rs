//! Golden cases of what needs several files, and what must not be refused.

use super::*;
use crate::definition::golden_tests::{compare, folders};
use crate::yaml::diagnostic::lines;

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
