//! A revision names what a run would do, and nothing else.

use std::collections::BTreeSet;

use super::{compiled, folder};

const SETTINGS: &str = r#"
sources:
  db: { sql: { url: "sqlite:x.db" }, grants: [{ pipelines: ["*"] }] }
  db2: { sql: { url: "sqlite:x.db" }, grants: [{ pipelines: ["*"] }] }
  files: { file: { root: x }, grants: [{ pipelines: [train], paths: ["*"] }] }
"#;

const TRAIN: &str = r#"
name: train
lifetime: 2h
parameters:
  epochs: { type: integer, default: 10, minimum: 1, aliases: [rounds] }
  conf: { type: object, properties: { title: { type: string }, rate: { type: number } }, default: {} }
  url: { type: string, override: none, from: { template: "x{{ params.epochs }}" } }
  row: { type: string, from: { sql: { from: db, query: "select :a", bind: { a: 1 } } }, default: none }
  file: { type: string, from: { file: { path: a } } }
presets:
  smoke: { epochs: 1 }
rules:
  - { assert: params.epochs > 0, message: at least one }
steps:
  - name: a
    params: [epochs]
    run: [ls, -l]
    env: { A: "1", B: "2" }
    files: { f: { template: x }, g: { template: y } }
  - { name: b, run: [ls] }
  - { name: c, needs: [a, b], when: params.epochs > 2, matrix: { m: "[1, 2]" }, run: [ls] }
"#;

const GLOBAL: &str = "values: { epochs: 20 }\n";
const DEV: &str = "values: { epochs: 30, row: x }\nlocked: [epochs]\n";

fn revision_of(settings: &str, train: &str, global: &str, dev: &str, more: (&str, &str)) -> String {
    let folder = folder(&[
        ("paramd.yaml", settings),
        ("pipelines/train.yaml", train),
        ("global.yaml", global),
        ("environments/dev.yaml", dev),
        more,
    ]);
    let (plans, told) = compiled(folder.path());
    assert_eq!(told, [""; 0], "{train}\n{global}\n{dev}");
    plans.plan("train", "dev").unwrap().revision.clone()
}

fn revision(train: &str, global: &str, dev: &str) -> String {
    revision_of(SETTINGS, train, global, dev, ("notes.txt", ""))
}

/// The text with one part replaced, which has to be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn what_a_run_does_not_feel_keeps_the_revision() {
    let first = revision(TRAIN, GLOBAL, DEV);
    for (from, to) in [
        ("lifetime: 2h", "description: trains # a comment\nlifetime: 120m"),
        ("type: integer, default: 10", "default: 10, type: integer"),
        ("default: 10,", "default: 0xa, group: G, description: D, title: T, examples: [3],"),
        (
            "title: { type: string }, rate: { type: number }",
            "rate: { type: number, description: x }, title: { type: string }",
        ),
        ("  url: {", "\n\n  'url': {"),
        (r#"env: { A: "1", B: "2" }"#, r#"env: { B: "2", "A": '1' }"#),
        (
            "f: { template: x }, g: { template: y }",
            "g: { template: y }, f: { template: x, mode: '0400' }",
        ),
        ("needs: [a, b]", "needs: [b, a]"),
        ("params: [epochs]", "params:\n      - epochs"),
    ] {
        assert_eq!(revision(&with(TRAIN, from, to), GLOBAL, DEV), first, "{to}");
    }
    for (settings, more) in [
        (SETTINGS.to_owned(), ("pipelines/other.yaml", "name: other\n")),
        (SETTINGS.to_owned(), ("environments/prod.yaml", "values: { epochs: 7 }\n")),
        (with(SETTINGS, "paths: [\"*\"]", "paths: [a]"), ("notes.txt", "")),
        (with(SETTINGS, "root: x", "root: y"), ("notes.txt", "")),
    ] {
        assert_eq!(revision_of(&settings, TRAIN, GLOBAL, DEV, more), first, "{more:?}");
    }
}

#[test]
fn what_a_run_could_feel_changes_the_revision() {
    let mut seen = BTreeSet::from([revision(TRAIN, GLOBAL, DEV)]);
    for (from, to) in [
        ("lifetime: 2h", "lifetime: 3h"),
        ("type: integer, default: 10", "type: number, default: 10"),
        ("default: 10,", "default: 11,"),
        ("minimum: 1", "minimum: 0"),
        ("minimum: 1", "maximum: 100"),
        ("aliases: [rounds]", "aliases: [turns]"),
        ("aliases: [rounds]", "deprecated: ''"),
        ("aliases: [rounds]", "override: environment"),
        ("title: { type: string }", "titel: { type: string }"),
        ("rate: { type: number }", "rate: { type: integer }"),
        ("x{{ params.epochs }}", "x{{ params.epochs}}"),
        ("type: string, override: none", "type: string, secret: true, override: none"),
        ("from: db,", "from: db2,"),
        ("select :a", "select  :a"),
        ("bind: { a: 1 }", "bind: { a: '1' }"),
        ("bind: { a: 1 }", "bind: { a: 2 }"),
        ("query: \"select :a\", bind: { a: 1 }", "query: \"select :b\", bind: { b: 1 }"),
        ("}, default: none }", "}, default: nothing }"),
        ("path: a", "path: b"),
        ("smoke: { epochs: 1 }", "smoke: { epochs: 2 }"),
        ("smoke:", "smoky:"),
        ("smoke: { epochs: 1 }", "smoke: { epochs: 1, row: y }"),
        ("params.epochs > 0", "params.epochs > 1"),
        ("at least one", "one at least"),
        ("name: b", "name: b2"),
        ("params: [epochs]", "params: [epochs, conf]"),
        ("run: [ls, -l]", "run: [ls, -a]"),
        ("run: [ls, -l]", "run: [ls -l]"),
        ("A: \"1\"", "A: \"2\""),
        ("A: \"1\"", "C: \"1\""),
        ("f: { template: x }", "f: { template: x, mode: '0600' }"),
        ("f: { template: x }", "h: { template: x }"),
        ("needs: [a, b]", "needs: [a]"),
        ("when: params.epochs > 2, ", ""),
        ("m: \"[1, 2]\"", "m: \"[2, 1]\""),
        ("m: \"[1, 2]\"", "n: \"[1, 2]\""),
    ] {
        let to_b2 =
            |text: String| if to == "name: b2" { text.replace("[a, b]", "[a, b2]") } else { text };
        assert!(seen.insert(revision(&to_b2(with(TRAIN, from, to)), GLOBAL, DEV)), "{to}");
    }
    for (global, dev) in [
        ("values: { epochs: 21 }\n", DEV),
        ("pipelines: { train: { values: { epochs: 20 } } }\n", DEV),
        ("from: { epochs: { template: '{{ 20 }}' } }\n", DEV),
        ("{}\n", DEV),
        (GLOBAL, "values: { epochs: 30, row: x }\n"),
        (GLOBAL, "values: { epochs: 30, row: y }\nlocked: [epochs]\n"),
        (GLOBAL, "values: { epochs: 30 }\nlocked: [epochs]\n"),
    ] {
        assert!(seen.insert(revision(TRAIN, global, dev)), "{global}{dev}");
    }
}
