//! The pipelines that read what was planted.

use std::fmt::Write as _;

use serde_json::json;

use super::plant::{Planted, SOURCES};
use super::secret::{LARGE, SHAPES, Secret};
use crate::support::python;

/// The server's own words about it quote the value.
const QUOTING: &str = "name: quoting
parameters:
  a: { type: integer, secret: true, from: { sql: { from: features, query: 'select cast(value as integer) from secrets where place = 7' } } }
";

/// The same of MariaDB.
const FAILING: &str = "name: failing
parameters:
  a: { type: integer, secret: true, from: { sql: { from: ledger, query: select fails(value) from secrets where place = 7 } } }
";

/// A step over several MiB of secrets: one answer can't have them all.
const TOO_LARGE: &str = "name: too-large
parameters:
  a: { type: string, secret: true, from: { file: { path: \"13\" } } }
  b: { type: string, secret: true, from: { sql: { from: tables, query: select value from secrets where place = 13 } } }
  c: { type: string, from: { vault: { from: main, mount: secret, path: canary/13, field: value } } }
  d: { type: string, secret: true, from: { sql: { from: features, query: select value from secrets where place = 13 } } }
";

/// A step that waits, with secrets in its environment and its files.
const WAITING: &str = "name: waiting
parameters:
  a: { type: string, secret: true, from: { file: { path: \"0\" } } }
  b: { type: string, from: { vault: { from: main, mount: secret, path: canary/1, field: value } } }
steps:
  - name: wait
    run: [sh, ./wait.sh]
    env: { A: \"{{ params.a }}\", B: \"{{ params.b }}\" }
    files: { a: { template: \"{{ params.a }}\" }, b: { template: \"{{ params.b }}\" } }
";

/// Where a secret of a source is read.
fn from(kind: &str, index: usize, secret: &Secret) -> String {
    match kind {
        "env" => format!("env: {{ name: CANARY_{index} }}"),
        "file" => format!("file: {{ path: \"{index}\" }}"),
        "sqlite" => format!(
            "sql: {{ from: tables, query: select value from secrets where place = {index} }}"
        ),
        "postgres" if !secret.is_text() => format!(
            "sql: {{ from: features, query: select bytes from secrets where place = {index} }}"
        ),
        // What is bound is a secret too, and comes back in what the server logs.
        "postgres" => format!(
            "sql: {{ from: features, query: \"select told(value) from secrets where place = {index} and told(:other) is not null\", bind: {{ other: \"{{{{ params.env_{index} }}}}\" }} }}"
        ),
        "mysql" => {
            let column = if secret.is_text() { "value" } else { "bytes" };
            format!(
                "sql: {{ from: ledger, query: \"select {column} from secrets where place = {index} and :other is not null\", bind: {{ other: \"{{{{ params.env_{index} }}}}\" }} }}"
            )
        }
        _ => {
            let from = if index.is_multiple_of(2) { "main" } else { "other" };
            format!("vault: {{ from: {from}, mount: secret, path: canary/{index}, field: value }}")
        }
    }
}

fn name(kind: &str, index: usize) -> String {
    format!("{kind}_{index}")
}

/// Declares the parameter that reads a secret. What may be bound is the secret of
/// a variable, where that is declared.
fn declare(text: &mut String, kind: &str, index: usize, secret: &Secret, binds: bool) {
    let encoding = if secret.is_text() { "" } else { "contentEncoding: base64, " };
    let mut rest = match kind {
        "override" => "override: run, beside_secrets: true".to_owned(),
        _ => format!("from: {{ {} }}", from(kind, index, secret)),
    };
    if !binds {
        rest = rest.replace(&format!("params.env_{index}"), "pipeline");
    }
    let name = name(kind, index);
    writeln!(text, "  {name}: {{ type: string, {encoding}secret: true, {rest} }}").unwrap();
}

/// Declares the text that has them all, as they are and escaped.
fn declare_together(text: &mut String, suffix: &str, together: &[String]) {
    let all = json!(together.join("|"));
    writeln!(text, "  all{suffix}: {{ type: string, from: {{ template: {all} }} }}").unwrap();
    let escaped = format!("{{{{ params.all{suffix} | urlencode }}}}");
    writeln!(text, "  escaped{suffix}: {{ type: string, from: {{ template: \"{escaped}\" }} }}")
        .unwrap();
}

/// A pipeline that reads all of them; two steps for each source, of which one has
/// the large one.
pub(super) fn good(planted: &Planted) -> String {
    let mut text = "name: canary\nparameters:\n  n: { type: integer, default: 1 }\n  large: { type: boolean, default: false }\n  note: { type: string, default: none }\n  o: { type: object, properties: { a: { type: integer } }, default: {} }\n".to_owned();
    for kind in SOURCES {
        let mut together = Vec::new();
        for (index, secret) in planted.of(kind).iter().enumerate() {
            declare(&mut text, kind, index, secret, true);
            if secret.is_text() && index != LARGE {
                together.push(format!("{{{{ params.{} }}}}", name(kind, index)));
            }
        }
        declare_together(&mut text, &format!("_{kind}"), &together);
    }
    text += "steps:\n";
    for kind in SOURCES {
        let small: Vec<_> =
            (0..planted.each).filter(|at| *at != LARGE).map(|at| name(kind, at)).collect();
        step(&mut text, &format!("go-{kind}"), &format!("_{kind}"), &small);
        writeln!(text, "  - name: large-{kind}\n    when: params.large").unwrap();
        does(&mut text, &[name(kind, LARGE)]);
    }
    text
}

/// A step that has the parameters in its files, and all together in a variable.
fn step(text: &mut String, step: &str, suffix: &str, names: &[String]) {
    let all = |name: &str| format!("\"{{{{ params.{name}{suffix} }}}}\"");
    writeln!(text, "  - name: {step}\n    params: [n, note, o]").unwrap();
    writeln!(text, "    env: {{ ALL: {}, ESCAPED: {} }}", all("all"), all("escaped")).unwrap();
    does(text, names);
    writeln!(text, "      all.json: {{ template: \"{{{{ params.all{suffix} | json }}}}\" }}")
        .unwrap();
}

/// What a step does: it prints all that it is given.
fn does(text: &mut String, names: &[String]) {
    writeln!(text, "    run: [{:?}, ./leak.py]\n    files:", python()).unwrap();
    for name in names {
        writeln!(text, "      {name}: {{ template: \"{{{{ params.{name} }}}}\" }}").unwrap();
    }
}

/// A step with secrets of every shape but the large one, two of each, from all
/// sources: its masks are soon made.
fn leaking(planted: &Planted) -> String {
    let (mut declared, mut together, mut names) = (String::new(), Vec::new(), Vec::new());
    for index in (0..2 * SHAPES).filter(|index| index % SHAPES != LARGE) {
        let kind = SOURCES[index % SOURCES.len()];
        let secret = &planted.of(kind)[index];
        declare(&mut declared, kind, index, secret, false);
        let name = name(kind, index);
        if secret.is_text() {
            together.push(format!("{{{{ params.{name} }}}}"));
        }
        names.push(name);
    }
    let mut text = format!(
        "name: leaking\nparameters:\n  n: {{ type: integer, default: 1 }}\n  note: {{ type: string, default: none }}\n  o: {{ type: object, properties: {{}}, default: {{}} }}\n{declared}"
    );
    declare_together(&mut text, "", &together);
    text += "steps:\n";
    step(&mut text, "go", "", &names);
    text
}

/// Which of the overrides the pipeline takes that leaks.
pub(super) fn overrides_of_leaking() -> impl Iterator<Item = usize> {
    let all = (0..2 * SHAPES).filter(|index| index % SHAPES != LARGE);
    all.filter(|index| SOURCES[index % SOURCES.len()] == "override")
}

/// The others, by name: for each source, one that none of its secrets fits.
pub(super) fn others(planted: &Planted) -> Vec<(String, String)> {
    let mut all = vec![
        ("quoting".to_owned(), QUOTING.to_owned()),
        ("failing".to_owned(), FAILING.to_owned()),
        ("leaking".to_owned(), leaking(planted)),
        ("too-large".to_owned(), TOO_LARGE.to_owned()),
        ("waiting".to_owned(), WAITING.to_owned()),
    ];
    for kind in SOURCES.into_iter().filter(|kind| *kind != "override") {
        let mut text = format!("name: broken-{kind}\nparameters:\n");
        for (index, secret) in planted.of(kind).iter().enumerate() {
            // A text that would be bound is not needed where nothing fits.
            let from =
                from(kind, index, secret).replace(&format!("params.env_{index}"), "pipeline");
            let declared = match (index + index / 5) % 4 {
                0 => "integer, maximum: 5",
                1 => "array, items: { type: integer }",
                2 => "string, pattern: \"^x$\"",
                _ => "object, properties: { a: { type: integer } }",
            };
            let name = name(kind, index);
            writeln!(text, "  {name}: {{ type: {declared}, secret: true, from: {{ {from} }} }}")
                .unwrap();
        }
        if kind == "file" {
            text += "  latin: { type: string, secret: true, from: { file: { path: latin } } }\n";
        }
        all.push((format!("broken-{kind}"), text));
    }
    all
}
