//! The tables of `docs/architecture.md` hold in the code: who may use whom,
//! which crate is used where, and how many doors to secrets there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::support::root;

/// A file of `src/` without its tests and comments.
struct Source {
    path: PathBuf,
    whole: String,
    code: String,
}

impl Source {
    /// The module that it belongs to: the first part of its path.
    fn module(&self) -> String {
        let first = self.path.components().next().unwrap().as_os_str().to_str().unwrap();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is_test(&self) -> bool {
        let name = self.path.file_stem().unwrap().to_str().unwrap();
        let inside = self.path.iter().any(|part| part == "tests");
        name == "tests" || name == "testing" || name.ends_with("_tests") || inside
    }
}

/// All files of `src/`, tests left out.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let folder = root().join("src");
    collect(&folder, &folder, &mut sources);
    sources.retain(|source| !source.is_test());
    assert!(sources.len() > 10, "the sources are found");
    sources
}

/// The files of `src/` whose code has a text in it, tests left out.
pub(crate) fn files_with(text: &str) -> Vec<PathBuf> {
    let with = sources().into_iter().filter(|source| source.code.contains(text));
    with.map(|source| source.path).collect()
}

fn collect(folder: &Path, top: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, top, sources);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let whole = std::fs::read_to_string(&path).unwrap();
            let code = without_tests(&whole);
            sources.push(Source { path: path.strip_prefix(top).unwrap().into(), whole, code });
        }
    }
}

/// The lines before an inline module of tests, comments left out.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests =
            lines.peek().is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if line == "#[cfg(test)]" && tests {
            break;
        }
        if !line.trim_start().starts_with("//") {
            code += line;
            code.push('\n');
        }
    }
    code
}

/// The rows of the table of `docs/architecture.md` with these two columns: the
/// names in backticks of each.
fn table(first: &str, second: &str) -> BTreeMap<String, BTreeSet<String>> {
    let page = page();
    let header = format!("| {first} | {second} |");
    let mut lines = page.lines().skip_while(|line| !line.starts_with(&header));
    assert!(lines.next().is_some(), "docs/architecture.md has no table `{header}`");
    let names = Regex::new("`([^`]+)`").unwrap();
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').collect();
            let all = |cell: &str| -> BTreeSet<String> {
                names.captures_iter(cell).map(|found| found[1].to_owned()).collect()
            };
            let name = all(cells[0]).into_iter().next().expect("a row has a name in backticks");
            (name, all(cells[1]))
        })
        .collect()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/architecture.md")).unwrap()
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let allowed = table("module", "may use");
    let uses = Regex::new(r"\b(?:crate|paramd)::(?:\{([^;]*)\}|([a-z_]+))").unwrap();
    let inner = Regex::new(r"(?:^|,)\s*([a-z_]+)").unwrap();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in sources() {
        let module = source.module();
        if module == "lib" {
            continue;
        }
        seen.insert(module.clone());
        let Some(allowed) = allowed.get(&module) else {
            wrong.push(format!("`{module}` is not in the table"));
            continue;
        };
        for found in uses.captures_iter(&source.code) {
            let used: Vec<String> = match (found.get(1), found.get(2)) {
                (Some(list), _) => {
                    inner.captures_iter(list.as_str()).map(|name| name[1].to_owned()).collect()
                }
                (_, Some(name)) => vec![name.as_str().to_owned()],
                _ => continue,
            };
            for used in used.into_iter().filter(|used| *used != module && !allowed.contains(used)) {
                wrong.push(format!("`{module}` uses `{used}` in {}", source.path.display()));
            }
        }
    }
    let gone = allowed.keys().filter(|module| !seen.contains(*module));
    wrong.extend(gone.map(|module| format!("`{module}` is in the table and not in src")));
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_are_used_only_where_the_table_says() {
    let places = table("crate", "only in");
    for name in ["vaultrs", "rusqlite", "tonic", "prost"] {
        assert!(places.contains_key(name), "`{name}` is not in the table");
    }
    let mut wrong = Vec::new();
    for (name, places) in places {
        let used = Regex::new(&format!(r"\b{}(?:_\w+)?::", name.replace('-', "_"))).unwrap();
        for source in sources().iter().filter(|source| used.is_match(&source.code)) {
            let path = source.path.to_str().unwrap();
            let inside = |place: &String| {
                let place = place.trim_start_matches("src/").trim_end_matches('/');
                path == place
                    || path == format!("{place}.rs")
                    || path.starts_with(&format!("{place}/"))
            };
            if !places.iter().any(inside) {
                wrong.push(format!("`{name}` is used in {path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in sources() {
        assert!(source.whole.starts_with("//!"), "{}", source.path.display());
    }
}

#[test]
fn the_doors_to_secrets_are_counted() {
    let door = Regex::new(r"#\[expect\(\s*clippy::disallowed_methods").unwrap();
    let mut doors = Vec::new();
    for source in sources() {
        let count = door.find_iter(&source.code).count();
        doors.extend(std::iter::repeat_n(source.path.display().to_string(), count));
        assert!(
            !source.code.contains("allow(clippy::disallowed_methods"),
            "{}: a door says `expect`",
            source.path.display()
        );
    }
    let told = Regex::new(r"\b(\d+) doors\b").unwrap();
    let page = page();
    let told = told.captures(&page).expect("docs/architecture.md tells the number of doors");
    assert_eq!(told[1].parse::<usize>().unwrap(), doors.len(), "{doors:#?}");
}

#[test]
fn one_module_has_unsafe_code() {
    assert_eq!(files_with("unsafe_code"), [Path::new("process/sqlite.rs")]);
    let text = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(text.contains("\nunsafe_code = \"deny\"\n"), "all others have none");
}

#[test]
fn the_page_stays_short() {
    assert!(page().lines().count() < 300);
}
