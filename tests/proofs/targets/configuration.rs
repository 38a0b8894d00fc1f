//! Files of a configuration: any bytes are read or refused with their place.

use std::path::Path;

use paramd::definition::read_bundle;
use paramd::plan::{self, KeptPlan, Plans};
use paramd::value::{Value, json};
use paramd::yaml::diagnostic::{Files, Problems, json as as_json, lines, render};
use paramd::yaml::{Node, NodeKind, parse};

use super::{MARK, Target, holds, untold};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "type: string",
    "type: integer",
    "type: [string, \"null\"]",
    "default:",
    "from:",
    "secret: true",
    "override: none",
    "template:",
    "vault:",
    "sql:",
    "env:",
    "file:",
    "{{ params.",
    " }}",
    "values:",
    "locked:",
    "pipelines:",
    "enum:",
    "items:",
    "properties:",
    "steps:",
    "matrix:",
    "when:",
    "needs:",
    "rules:",
    "presets:",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "---\n",
    "? ",
    "| \n ",
    "\t",
    "\0",
    "0x10",
    ".inf",
    "1e400",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "#",
    "\"",
    "'",
    "\u{feff}",
];

pub(super) const YAML: Target = Target { name: "yaml", seeds: pipelines, words: WORDS, run: yaml };
pub(super) const DEFINITIONS: Target =
    Target { name: "definitions", seeds: pipelines, words: WORDS, run: definitions };
pub(super) const LAYERS: Target =
    Target { name: "layers", seeds: layers_seeds, words: WORDS, run: layers };
pub(super) const SETTINGS: Target =
    Target { name: "settings", seeds: settings_seeds, words: WORDS, run: settings };
pub(super) const ROLES: Target =
    Target { name: "roles", seeds: roles_seeds, words: WORDS, run: roles };

/// What the others stand beside.
const BASE: [(&str, &str); 4] = [
    ("paramd.yaml", include_str!("seeds/paramd.yaml")),
    ("pipelines/train.yaml", include_str!("seeds/train.yaml")),
    ("global.yaml", include_str!("seeds/global.yaml")),
    ("environments/dev.yaml", include_str!("seeds/dev.yaml")),
];

/// A pipeline that takes no time to compile.
const SMALL: &str = include_str!("seeds/small.yaml");

/// The files of this path in the folders of golden definitions, and the base's.
fn files(path: &str) -> Vec<Vec<u8>> {
    let base =
        BASE.iter().find(|(name, _)| *name == path).map(|(_, text)| text.as_bytes().to_vec());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions");
    let golden = if golden.exists() {
        golden
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/definitions")
    };
    let mut folders: Vec<_> =
        std::fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let found = folders.iter().filter_map(|folder| std::fs::read(folder.join(path)).ok());
    base.into_iter().chain(found.filter(|text| !text.is_empty())).collect()
}

fn pipelines() -> Vec<Vec<u8>> {
    files("pipelines/train.yaml")
}

fn settings_seeds() -> Vec<Vec<u8>> {
    files("paramd.yaml")
}

fn roles_seeds() -> Vec<Vec<u8>> {
    files("policies/roles.yaml")
}

/// The two files that a layer's input has.
const BETWEEN: &str = "\n=====\n";

fn layers_seeds() -> Vec<Vec<u8>> {
    let (global, dev) = (files("global.yaml"), files("environments/dev.yaml"));
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (index, global) in global.iter().enumerate() {
        let dev = &dev[index % dev.len()];
        seeds.push([global, BETWEEN.as_bytes(), dev].concat());
    }
    seeds.extend(dev.iter().map(|dev| [BETWEEN.as_bytes(), dev].concat()));
    seeds
}

thread_local! {
    /// A folder for each target; what it changes is written anew each time.
    static FOLDERS: [tempfile::TempDir; 4] = [
        base(&BASE),
        base(&[("paramd.yaml", BASE[0].1), ("pipelines/train.yaml", SMALL)]),
        base(&[("pipelines/train.yaml", SMALL), ("environments/dev.yaml", "{}\n")]),
        base(&[
            ("paramd.yaml", "{}\n"),
            ("pipelines/train.yaml", SMALL),
            ("environments/dev.yaml", "{}\n"),
        ]),
    ];
}

fn base(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = crate::cases::folder();
    for below in ["pipelines", "environments", "policies"] {
        std::fs::create_dir(folder.path().join(below)).unwrap();
    }
    for (path, text) in files {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    folder
}

fn definitions(bytes: &[u8]) -> Outcome {
    FOLDERS.with(|[folder, ..]| with(folder.path(), &[("pipelines/train.yaml", bytes)]))
}

fn layers(bytes: &[u8]) -> Outcome {
    let between = BETWEEN.as_bytes();
    let at = bytes.windows(between.len()).position(|window| window == between);
    let (global, dev) = match at {
        Some(at) => (&bytes[..at], &bytes[at + between.len()..]),
        None => (bytes, &b""[..]),
    };
    let files = [("global.yaml", global), ("environments/dev.yaml", dev)];
    FOLDERS.with(|[_, folder, ..]| with(folder.path(), &files))
}

fn settings(bytes: &[u8]) -> Outcome {
    FOLDERS.with(|[_, _, folder, _]| with(folder.path(), &[("paramd.yaml", bytes)]))
}

fn roles(bytes: &[u8]) -> Outcome {
    FOLDERS.with(|[_, _, _, folder]| with(folder.path(), &[("policies/roles.yaml", bytes)]))
}

/// Loads a folder that has these files.
fn with(folder: &Path, files: &[(&str, &[u8])]) -> Outcome {
    for (path, bytes) in files {
        std::fs::write(folder.join(path), bytes).unwrap();
    }
    let (plans, problems, files) = compiled(folder);
    let told = lines(&problems, &files);
    untold("a problem", &told.join("\n"))?;
    // The rest takes longer, and is for some.
    let some = plans.bundle.starts_with(['0', '7']);
    if some {
        untold("a problem as JSON", &as_json(&problems, &files).to_string())?;
        let _ = render(&problems, &files, true, 80);
        let (again, problems, files) = compiled(folder);
        holds(told == lines(&problems, &files), "the second time other problems")?;
        holds(again.bundle == plans.bundle, "the second time another bundle")?;
        let revisions = |plans: &Plans| -> Vec<String> {
            let all = plans.pipelines.values().flat_map(|one| one.plans.values());
            all.map(|plan| plan.revision.clone()).collect()
        };
        holds(revisions(&again) == revisions(&plans), "the second time other revisions")?;
    }
    if !problems.has_errors() {
        let mut all = plans.pipelines.values().flat_map(|one| one.plans.values());
        all.try_for_each(|plan| kept(&KeptPlan::of(plan)))?;
    }
    Ok(1)
}

fn compiled(folder: &Path) -> (Plans, Problems, Files) {
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let bundle = read_bundle(folder, &mut files, &mut problems).expect("there is a folder");
    let plans = plan::compile(&bundle, &files, &mut problems);
    (plans, problems, files)
}

/// What is kept of a plan can be read back.
fn kept(plan: &KeptPlan) -> Result<(), String> {
    let written = serde_json::to_string(plan).map_err(|_| "a plan can't be kept")?;
    let read: KeptPlan = serde_json::from_str(&written).map_err(|_| "a kept plan can't be read")?;
    holds(serde_json::to_string(&read).ok() == Some(written), "a kept plan changes")
}

/// Any text is read or refused; what was read is read again from its JSON, which
/// is YAML.
fn yaml(bytes: &[u8]) -> Outcome {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(1) };
    let (node, told) = parsed(text);
    untold("a problem", &told.join("\n"))?;
    if let Some(node) = node.filter(|_| told.is_empty()) {
        inside(&node, text.len())?;
        let value = node.value();
        let written = json::to_json(&value);
        // A key over the limit of a scalar in JSON isn't one that it was before.
        let (again, problems) = parsed(&written);
        let again = again.filter(|_| problems.is_empty()).map(|node| node.value());
        let same = again.is_some_and(|again| again == value);
        holds(
            same || too_long(&value) || written.contains("\\u0000"),
            "its JSON is another value",
        )?;
    }
    Ok(1)
}

fn parsed(text: &str) -> (Option<Node>, Vec<String>) {
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add("f.yaml".to_owned(), text.into());
    let node = parse(file, text, &mut problems);
    (node, lines(&problems, &files))
}

/// A key of YAML in one line has at most 1,024 characters.
fn too_long(value: &Value) -> bool {
    match value {
        Value::Map(fields) => fields.iter().any(|(key, one)| key.len() > 500 || too_long(one)),
        Value::List(items) => items.iter().any(too_long),
        _ => false,
    }
}

/// Places are inside the text.
fn inside(node: &Node, length: usize) -> Result<(), String> {
    let span = &node.place.span;
    holds(span.start <= span.end && span.end <= length, "a place is outside of the text")?;
    match &node.kind {
        NodeKind::Scalar(_) => Ok(()),
        NodeKind::Sequence(items) => items.iter().try_for_each(|item| inside(item, length)),
        NodeKind::Mapping(entries) => {
            entries.iter().try_for_each(|entry| inside(&entry.value, length))
        }
    }
}

/// The seeds are worth something: the base is sound, and has the mark in it.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_sound() {
        for files in
            [BASE.as_slice(), &[BASE[0], ("pipelines/train.yaml", SMALL), BASE[2], BASE[3]]]
        {
            let (_, problems, files) = compiled(base(files).path());
            let told = lines(&problems, &files);
            assert!(!problems.has_errors(), "{told:#?}");
        }
        assert!(BASE.iter().any(|(_, text)| text.contains(MARK)));
        assert!(pipelines().len() > 50 && layers_seeds().len() > 20);
    }
}
