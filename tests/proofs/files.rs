//! Every key of every file at, below and over its limit. The keys are those that
//! the readers know: one that has no row here fails the test.

mod jwt;
mod pipeline;
mod roles;
mod settings;
mod tokens;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use paramd::load::{Loaded, load};
use paramd::yaml::diagnostic::{Problem, Severity, lines};

use crate::targets::MARK;

/// A mapping of a file, with all that it can't be without.
struct Mapping {
    /// What it is called in the rows.
    label: &'static str,
    /// The file that it is in.
    file: &'static str,
    /// What stands before its first key, and behind its last.
    around: (&'static str, &'static str),
    /// Keys that it needs beside the one that is tried.
    beside: &'static [(&'static str, &'static str)],
}

/// A key with what it may hold and what not, both as JSON, which is YAML.
struct Row {
    /// Of which mapping.
    label: &'static str,
    key: &'static str,
    values: Values,
}

/// Values that fit, and values that don't.
struct Values {
    fit: Vec<String>,
    dont: Vec<String>,
    /// The code of what is told where one doesn't, for lists whose items are
    /// told for other reasons; none: what fits has no error at all.
    code: Option<&'static str>,
}

fn row(label: &'static str, key: &'static str, values: Values) -> Row {
    Row { label, key, values }
}

/// What stands beside the file that is tried.
static BASE: LazyLock<[(&str, String); 6]> = LazyLock::new(|| {
    let [below, at] = [127, 128].map(|length| "a".repeat(length));
    let sources = format!(
        "sources:
  e: {{ env: {{ names: [TOKEN, {below}, {at}] }}, grants: [{{ pipelines: [p] }}] }}
  f: {{ file: {{ root: r }}, grants: [{{ pipelines: [p], paths: ['*'] }}] }}
  s: {{ sql: {{ url: 'sqlite:d' }}, grants: [{{ pipelines: [p] }}] }}
  v:
    vault: {{ address: 'https://v', mounts: {{ m: kv-v2 }}, auth: {{ token: {{ env: T }} }} }}
    grants: [{{ pipelines: [p], paths: ['*'] }}]
"
    );
    [
        ("paramd.yaml", sources),
        ("pipelines/p.yaml", PIPELINE.to_owned()),
        ("global.yaml", "{}\n".to_owned()),
        ("environments/dev.yaml", "{}\n".to_owned()),
        ("policies/roles.yaml", "[]\n".to_owned()),
        ("policies/all.cedar", "permit (principal, action, resource);\n".to_owned()),
    ]
});

const PIPELINE: &str = "name: p
parameters:
  n: { type: integer, default: 1 }
  t: { type: string, default: x }
  any: { type: object, additionalProperties: true, default: {} }
  list: { type: array, items: { type: integer }, default: [1] }
";

fn folder() -> tempfile::TempDir {
    let folder = crate::cases::folder();
    for below in ["pipelines", "environments", "policies"] {
        std::fs::create_dir(folder.path().join(below)).unwrap();
    }
    for (path, text) in &*BASE {
        std::fs::write(folder.path().join(path), text).unwrap();
    }
    folder
}

/// What a folder is with this file, which is as it was afterwards.
fn loaded(folder: &Path, file: &str, text: &str) -> Loaded {
    std::fs::write(folder.join(file), text).unwrap();
    let loaded = load(folder);
    let (_, base) = BASE.iter().find(|(path, _)| *path == file).expect("a file of the base");
    std::fs::write(folder.join(file), base).unwrap();
    loaded
}

/// The text of a file with one key more, and where that stands.
fn text(mapping: &Mapping, key: &str, value: &str) -> (String, std::ops::Range<usize>) {
    let (before, behind) = mapping.around;
    let beside: String = mapping
        .beside
        .iter()
        // A value may bring another key with it.
        .filter(|(other, _)| *other != key && !value.contains(&format!("\"{other}\":")))
        .map(|(other, value)| format!("\"{other}\": {value}, "))
        .collect();
    let start = before.len() + beside.len();
    let tried = format!("\"{key}\": {value}");
    let end = start + tried.len();
    (format!("{before}{beside}{tried}{behind}\n"), start..end)
}

fn errors(loaded: &Loaded) -> Vec<&Problem> {
    loaded.problems.list.iter().filter(|problem| problem.severity == Severity::Error).collect()
}

#[test]
fn every_key_of_every_mapping_has_a_row() {
    let folder = folder();
    let rows = rows();
    for mapping in mappings() {
        let (text, _) = text(mapping, "zzzzzz", "1");
        let loaded = loaded(folder.path(), mapping.file, &text);
        let told = errors(&loaded);
        let told = told.iter().find(|problem| problem.code == "unknown_key");
        let help = told.and_then(|problem| problem.help.as_deref());
        let known = help.unwrap_or_else(|| panic!("{}: {text}", mapping.label));
        let known: BTreeSet<&str> = known.split('`').skip(1).step_by(2).collect();
        assert_eq!(keys(&rows, mapping.label), known, "{}", mapping.label);
    }
    let declared: BTreeSet<&str> =
        paramd::schema::KEYWORDS.into_iter().chain(pipeline::OWN_KEYS).collect();
    let found = rows.iter().filter(|row| row.label.starts_with("a declaration"));
    assert_eq!(found.map(|row| row.key).collect::<BTreeSet<_>>(), declared);
}

fn keys(rows: &[Row], label: &str) -> BTreeSet<&'static str> {
    rows.iter().filter(|row| row.label == label).map(|row| row.key).collect()
}

/// The mappings of fixed keys.
fn mappings() -> impl Iterator<Item = &'static Mapping> {
    let files = [&settings::MAPPINGS[..], &jwt::MAPPINGS, &pipeline::MAPPINGS, &roles::MAPPINGS];
    files.into_iter().flatten()
}

fn rows() -> Vec<Row> {
    [settings::rows(), jwt::rows(), pipeline::rows(), roles::rows()].into_iter().flatten().collect()
}

#[test]
fn every_key_keeps_to_its_limit() {
    let folder = folder();
    let all: Vec<&Mapping> = mappings().chain(&pipeline::DECLARATIONS).collect();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for Row { label, key, values } in &rows() {
        let mapping = all.iter().find(|one| one.label == *label).expect("a mapping");
        let fit = values.fit.iter().map(|value| (true, value));
        for (fits, value) in fit.chain(values.dont.iter().map(|value| (false, value))) {
            tried += 1;
            let (text, span) = text(mapping, key, value);
            let loaded = loaded(folder.path(), mapping.file, &text);
            let told = lines(&loaded.problems, &loaded.files);
            for line in &told {
                assert!(!line.contains(MARK), "{label}.{key} repeats a value: {line}");
                assert!(line.len() < 2_000, "{label}.{key} tells {} bytes", line.len());
            }
            let errors = errors(&loaded);
            let sound = match values.code {
                Some(code) => errors.iter().all(|problem| problem.code != code),
                None => errors.is_empty(),
            };
            let here = |problem: &&&Problem| {
                // Two kinds are told where the source begins.
                let whole = problem.code == "invalid_source";
                whole
                    || problem.place.as_ref().is_some_and(|place| {
                        place.span.start < span.end && place.span.end > span.start
                    })
            };
            let right = if fits { sound } else { errors.iter().any(|one| here(&one)) };
            if !right {
                let shown: String = value.chars().take(80).collect();
                wrong
                    .push(format!("{label}.{key}: {shown} fits: {fits}, told: {:?}", told.first()));
            }
        }
    }
    println!("limits of files: {} keys, {tried} files", rows().len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn all(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn values(fit: Vec<String>, dont: Vec<String>) -> Values {
    Values { fit, dont, code: None }
}

impl Values {
    /// With more that fits, and more that doesn't.
    fn and(mut self, fit: &[&str], dont: &[&str]) -> Self {
        self.fit.extend(all(fit));
        self.dont.extend(all(dont));
        self
    }

    /// Its items may be told for other reasons than that there are too many.
    fn by_count(self) -> Self {
        Self { code: Some("too_many"), ..self }
    }
}

/// What is no text.
const NO_TEXT: [&str; 5] = ["1", "true", "null", "[]", "{}"];

fn long(length: usize) -> String {
    quoted(&"a".repeat(length))
}

/// Text of up to so many characters.
fn texts(most: usize) -> Values {
    let wide = quoted(&"\u{e4}".repeat(most));
    values(vec![quoted(""), quoted("a"), long(most - 1), long(most), wide], vec![long(most + 1)])
        .and(&[], &NO_TEXT)
}

/// `[a-z0-9][a-z0-9-]{0,62}` and its like.
fn names(more: &[&str]) -> Values {
    values(vec![quoted("a"), long(62), long(63)], vec![quoted(""), long(64), long(100_000)])
        .and(more, &["\"-a\"", "\"A\"", "\"a/b\"", "\"\u{e4}\"", "\"a\\0b\"", "\"Zq!hunter2\""])
        .and(&[], &NO_TEXT)
}

/// A path of 1 to 4,096 bytes.
fn paths() -> Values {
    values(vec![quoted("a"), long(4_095), long(4_096)], vec![quoted(""), long(4_097)])
        .and(&[], &["\"a\\0b\""])
        .and(&[], &NO_TEXT)
}

/// From a second to so many.
fn spans(most: u64) -> Values {
    let (at, below, over) =
        (quoted(&format!("{most}s")), format!("{}s", most - 1), format!("{}s", most + 1));
    values(vec![at, below], vec![over])
        .and(&["1s", "1m"], &["0s", "-1s", "1", "\"1\"", "1.5h", "1w", "\"\"", "s", "Zq!hunter2"])
        .and(&[], &["99999999999999999999s", "true", "[]"])
}

/// Exactly these texts.
fn words(known: &[&str]) -> Values {
    let dont = ["\"\"", "\"Zq!hunter2\"", "1", "true", "[]", "{}"];
    values(all(known), all(&dont)).and(&[], &[long(100_000).as_str()])
}

fn flags() -> Values {
    values(all(&["true", "false"]), all(&["yes", "\"true\"", "1", "0", "null", "[]"]))
}

/// Whole numbers from the first to the last.
fn numbers(first: i64, last: i64) -> Values {
    let number = |number: i64| number.to_string();
    values(
        vec![number(first), number(first + 1), number(last - 1), number(last)],
        vec![number(first - 1), number(last + 1), number(i64::MIN), number(i64::MAX)],
    )
    .and(&[], &["1.5", "\"1\"", "true", "null", "99999999999999999999"])
}

/// Lists from `least` to `most` items of a kind.
fn lists(least: usize, most: usize, item: impl Fn(usize) -> String) -> Values {
    let many = |count: usize| {
        let items: Vec<String> = (0..count).map(&item).collect();
        format!("[{}]", items.join(", "))
    };
    let mut found = values(vec![many(least), many(most - 1), many(most)], vec![many(most + 1)]);
    found.dont.extend((least > 0).then(|| many(least - 1)));
    found.and(&[], &["1", "\"a\"", "{}", "true"])
}

/// Mappings from `least` to `most` entries of a kind.
fn maps(least: usize, most: usize, entry: impl Fn(usize) -> String) -> Values {
    let many = |count: usize| {
        let entries: Vec<String> = (0..count).map(&entry).collect();
        format!("{{{}}}", entries.join(", "))
    };
    let mut found = values(vec![many(least), many(most - 1), many(most)], vec![many(most + 1)]);
    found.dont.extend((least > 0).then(|| many(least - 1)));
    found.and(&[], &["1", "\"a\"", "[1]", "true"])
}
