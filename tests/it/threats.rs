//! The threat model names tests that are there.

use std::path::Path;

use regex::Regex;

use crate::support::root;

/// Whether a test of this path is in the sources.
fn is_there(path: &str) -> bool {
    let (module, name) = path.rsplit_once("::").unwrap();
    let file = format!("{}.rs", module.replace("::", "/"));
    let inside = module.strip_suffix("::tests").map(|of| format!("{}.rs", of.replace("::", "/")));
    let test = Regex::new(&format!(
        r"#\[(?:tokio::)?test[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn {name}\("
    ))
    .unwrap();
    let folders = ["tests/it", "tests/proofs", "src"].map(|folder| root().join(folder));
    let files = |folder: &Path| [Some(&file), inside.as_ref()].map(|file| Some(folder.join(file?)));
    let mut candidates = folders.iter().flat_map(|folder| files(folder)).flatten();
    candidates.any(|path| std::fs::read_to_string(path).is_ok_and(|text| test.is_match(&text)))
}

#[test]
fn every_threat_names_tests_that_are_there() {
    let page = std::fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() >= 20, "the table is read");
    let mut wrong = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [attacker, wants, control, tests] = cells[..] else { panic!("not four cells: {row}") };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        let told = [attacker, wants, control].iter().all(|cell| cell.trim().len() > 5);
        if names.is_empty() || !told {
            wrong.push(format!("no test, or a cell without words: {row}"));
        }
        wrong.extend(
            names.iter().filter(|name| !is_there(name)).map(|name| format!("{name} isn't there")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!is_there("doors::matrix::every_rpc"), "half a name is none");
}
