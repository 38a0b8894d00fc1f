//! Configurations with secrets where none may be written.

use serde_json::json;

use super::plant::Planted;
use crate::support::config::Config;

/// What may not be written, each with a secret in it: a problem each, and none
/// may be quoted. Conditions, queries and policies are code: their lines are shown
/// as they stand, with a mark under what is wrong.
pub(super) fn refused(config: &Config, planted: &Planted) {
    let secrets: Vec<_> =
        planted.of("literal").iter().map(|secret| json!(secret.text()).to_string()).collect();
    let [a, b, c, d, e, f, g, h, i, j, k, ..] = secrets.as_slice() else { panic!() };
    config.write(
        "pipelines/literal.yaml",
        format!(
            r#"name: literal
parameters:
  p0: {{ type: string, secret: true, default: {a} }}
  p1: {{ type: string, secret: true, {e}: x }}
  p2: {{ type: string, secret: true, format: {f} }}
  n: {{ type: integer, default: {a} }}
  t: {{ type: string, from: {{ template: {b} }} }}
  q: {{ type: string, from: {{ vault: {{ mount: {c}, path: {d}, field: x }} }} }}
  r: {{ type: string, from: {{ file: {{ path: {e} }} }} }}
  s: {{ type: string, secret: true, enum: [{i}] }}
presets: {{ one: {{ p0: {g} }}, {h}: {{}} }}
steps: [{{ name: {j}, run: [echo] }}, {{ name: go, {k}: x }}]
"#
        ),
    );
    let torn = format!("name: torn\nparameters: {{ p: {{ default: {a}\n  x {b}: ]\n");
    config.write("pipelines/torn.yaml", torn);
    let layer = format!(
        "values: {{ p0: {a}, n: {b} }}\npipelines: {{ literal: {{ values: {{ p1: {c} }} }}, {d}: {{}} }}\n"
    );
    config.write("global.yaml", &layer);
    config.write("environments/dev.yaml", &layer);
    let settings = format!(
        r#"  bad: {{ vault: {{ address: {a}, mounts: {{ secret: {b} }}, auth: {{ token: {c} }} }}, grants: [{{ pipelines: [{d}] }}] }}
  worse: {{ sql: {{ url: {e} }}, grants: [] }}
  worst: {{ vault: {{ address: "https://user:{f}@host", mounts: {{ x: kv-v2 }}, auth: {{ token: {{ file: [{g}] }} }} }}, grants: [{{ pipelines: ["*"] }}] }}
  {h}: x
"#,
        f = planted.of("literal")[0].text(),
    );
    let path = config.path.join("paramd.yaml");
    let whole = std::fs::read_to_string(&path).unwrap() + &settings;
    std::fs::write(path, whole).unwrap();
}

/// Literals of secrets in what is sound otherwise: these problems are found only
/// where there is no other.
pub(super) fn literal(config: &Config, planted: &Planted) {
    let secrets: Vec<_> =
        planted.of("literal").iter().map(|secret| json!(secret.text()).to_string()).collect();
    let [a, b, c, d, e, f, g, h, i, j, k, ..] = secrets.as_slice() else { panic!() };
    config.write(
        "pipelines/literal.yaml",
        format!(
            r#"name: literal
parameters:
  p0: {{ type: string, secret: true, default: {a} }}
  p1: {{ type: string, secret: true, enum: [{b}, {c}] }}
  p2: {{ type: string, secret: true, const: {d} }}
  p3: {{ type: string, secret: true, examples: [{e}, {f}] }}
  p4: {{ type: [string, "null"], secret: true, default: null }}
  n: {{ type: integer, default: 1 }}
  w: {{ type: string, default: x, pattern: "^x$" }}
presets: {{ one: {{ p4: {g}, n: {k} }} }}
steps: [{{ name: go, params: [n], run: [echo] }}]
"#
        ),
    );
    let layer = |secret: &str| {
        format!(
            "values: {{ p4: {secret}, w: {j} }}\npipelines: {{ literal: {{ values: {{ p3: {i} }} }} }}\n"
        )
    };
    config.write("global.yaml", layer(h));
    config.write("environments/dev.yaml", layer(k));
}
