//! `docs/ill-sources.md`: its tables are what the tests go through.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::support::root;

const PAGE: &str = "docs/ill-sources.md";

/// What a caller gets.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// The value.
    Value,
    /// The default, for there is no such value.
    Default,
    /// The source's answer isn't fit: the reason of the problem.
    Unfit(String),
    /// The source gave none.
    Source {
        /// The reason.
        reason: String,
        /// The cause.
        cause: String,
        /// When it may be asked again, where the source says so.
        again: Option<Duration>,
    },
}

/// A row of the page.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Its group in the first table.
    pub(super) illness: String,
    /// How the source is made ill.
    pub(super) how: String,
    /// What the caller gets.
    pub(super) told: Told,
    /// How often the source is tried.
    pub(super) tries: Option<u32>,
    /// How often a proxy sees it.
    pub(super) seen: Option<usize>,
    /// The least that it takes.
    pub(super) takes: Duration,
}

/// The rows under a heading.
pub(super) fn rows(heading: &str) -> VecDeque<Row> {
    let page = text();
    let (_, below) = page.split_once(&format!("\n### {heading}\n")).expect(heading);
    let rows: VecDeque<_> = cells(below).map(|cells| row(&cells)).collect();
    assert!(!rows.is_empty(), "{heading}");
    rows
}

fn text() -> String {
    std::fs::read_to_string(root().join(PAGE)).unwrap()
}

/// The cells of the first table of a text, without its head.
fn cells(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn row(cells: &[&str]) -> Row {
    let [illness, how, told, tries, seen, takes] = cells else { panic!("{cells:?}") };
    Row {
        illness: (*illness).into(),
        how: (*how).into(),
        told: told_of(told),
        tries: number(tries),
        seen: number(seen),
        takes: if *takes == "at once" { Duration::ZERO } else { seconds(takes) },
    }
}

/// `–` is none.
fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(cell: &str) -> Option<T> {
    (cell != "–").then(|| cell.parse().unwrap())
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.strip_suffix(" s").expect(text).parse().unwrap())
}

fn told_of(cell: &str) -> Told {
    match cell {
        "the value" => return Told::Value,
        "the default" => return Told::Default,
        _ => {}
    }
    let quoted = |text: &str| text.trim_matches('`').to_owned();
    let Some((reason, cause)) = cell.split_once(": ") else { return Told::Unfit(quoted(cell)) };
    let (cause, again) = match cause.split_once(", again in ") {
        Some((cause, again)) => (cause, Some(seconds(again))),
        None => (cause, None),
    };
    Told::Source { reason: quoted(reason), cause: quoted(cause), again }
}

/// The headings of each source, in the order of the first table.
const SOURCES: [(&str, &[&str]); 6] = [
    (
        "OpenBao",
        &[
            "OpenBao: the way to it",
            "OpenBao: what it answers",
            "OpenBao: asked too often",
            "OpenBao: refusing and sealed",
        ],
    ),
    ("PostgreSQL", &["PostgreSQL: the way to it", "PostgreSQL: what it answers"]),
    ("MariaDB", &["MariaDB: the way to it", "MariaDB: what it answers"]),
    ("SQLite", &["SQLite"]),
    ("files", &["Files"]),
    ("variables", &["Variables"]),
];

#[test]
fn each_illness_of_each_source_has_rows_or_a_reason() {
    let page = text();
    let (_, below) = page.split_once("\n## Which illnesses are tried\n").unwrap();
    let mut notes: Vec<&str> = Vec::new();
    for line in below.lines().take_while(|line| !line.starts_with("## ")) {
        notes
            .extend(line.strip_prefix("- ").and_then(|note| note.split_once(": ")).map(|(n, _)| n));
    }
    let mut told = BTreeMap::new();
    let mut noted = Vec::new();
    for cells in cells(below) {
        for ((source, _), cell) in SOURCES.iter().zip(&cells[1..]) {
            match cell.parse::<usize>() {
                Ok(count) => _ = told.insert((*source, cells[0].to_owned()), count),
                Err(_) => noted.push(*cell),
            }
        }
    }
    let mut there = BTreeMap::new();
    for (source, headings) in SOURCES {
        for row in headings.iter().flat_map(|heading| rows(heading)) {
            *there.entry((source, row.illness)).or_insert(0) += 1;
        }
    }
    assert_eq!(told, there);
    assert!(noted.iter().all(|note| notes.contains(note)), "{noted:?}");
    assert!(notes.iter().all(|note| noted.contains(note)), "{notes:?}");
    let all: usize = there.values().sum();
    println!("{all} rows; {} combinations have a reason to have none", noted.len());
}

#[test]
fn each_heading_of_the_page_is_gone_through() {
    let page = text();
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let known: Vec<_> = SOURCES.iter().flat_map(|(_, headings)| *headings).copied().collect();
    assert_eq!(headings, known);
}
