//! Distinct secrets in every source, and the pipelines that read them.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::bao::Bao;
use crate::support::config::{Config, database};
use crate::support::postgres::Postgres;

/// A secret that was planted somewhere.
pub(super) struct Secret {
    /// Where it was planted, such as `vault 3`.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

impl Secret {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}

/// All planted secrets.
pub(super) struct Planted {
    pub(super) secrets: Vec<Secret>,
}

/// The kinds of sources, what a caller passes, and what stands where none may:
/// in definitions and in the metadata of a request.
const KINDS: [&str; 10] = [
    "env",
    "file",
    "sql",
    "postgres",
    "vault",
    "binary",
    "override",
    "misplaced",
    "literal",
    "metadata",
];

/// Secrets of each kind; their shapes differ.
pub(super) const EACH: usize = 11;

impl Planted {
    pub(super) fn of(&self, kind: &str) -> &[Secret] {
        let place = KINDS.iter().position(|known| *known == kind).unwrap();
        &self.secrets[place * EACH..(place + 1) * EACH]
    }

    /// Adds one that no pipeline reads.
    pub(super) fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.secrets.push(Secret { name: name.to_owned(), bytes });
    }

    /// The daemon's environment.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let pair = |(index, secret): (usize, &Secret)| (format!("CANARY_{index}"), secret.text());
        self.of("env").iter().enumerate().map(pair).collect()
    }
}

/// Makes the secrets and writes those of Vault.
pub(super) async fn plant(bao: &Bao) -> Planted {
    let mut secrets = Vec::new();
    for kind in KINDS {
        for index in 0..EACH {
            let bytes = if kind == "binary" { random(40) } else { shaped(index) };
            secrets.push(Secret { name: format!("{kind} {index}"), bytes });
        }
    }
    let planted = Planted { secrets };
    for (index, secret) in planted.of("vault").iter().enumerate() {
        let data = json!({ "value": secret.text() });
        bao.write("secret", &format!("canary/{index}"), data, true).await;
    }
    planted
}

fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

/// A random secret; each index has a shape of its own. None could be a name,
/// which errors may quote.
fn shaped(index: usize) -> Vec<u8> {
    let random = random(24);
    let word = hex::encode(&random);
    let digits: String = random.iter().map(|byte| format!("{byte:03}")).collect();
    match index {
        0 => format!("K{word}"),
        1 => format!("{}'; rm -rf \"$HOME\" & `{}`", &word[..20], &word[20..]),
        2 => format!("-----BEGIN KEY-----\n{}\n{}\n-----END KEY-----\n", &word[..24], &word[24..]),
        3 => format!("9{}.{}", &digits[..17], &digits[17..30]),
        4 => format!("{{\"user\": \"{}\", \"password\": \"{}\"}}", &word[..20], &word[20..]),
        7 => digits,
        8 => format!("%{}%2F%00%{}%", &word[..20], &word[20..]),
        9 => word.repeat(20 * 1024 / word.len()),
        10 => format!("<a b='{}'>&\"{}\"</a>", &word[..20], &word[20..]),
        5 => format!("p@ss/{}?x=1&y={}#z%20", &word[..20], &word[20..]),
        6 => format!("grüße-{}-äöü-{}", &word[..20], &word[20..]),
        _ => format!("back\\slash\t{}\\n{}", &word[..20], &word[20..]),
    }
    .into_bytes()
}

/// A configuration whose pipelines read all of them.
pub(super) async fn configure(bao: &Bao, server: &Postgres, planted: &mut Planted) -> Config {
    let variables: Vec<_> = (0..EACH).map(|index| format!("CANARY_{index}")).collect();
    let sources = format!(
        r#"  variables: {{ env: {{ names: [{variables}] }}, grants: [{{ pipelines: ["*"] }}] }}
  local: {{ file: {{ root: files }}, grants: [{{ pipelines: ["*"], paths: ["*"] }}] }}
  tables: {{ sql: {{ url: "sqlite:tables.db" }}, grants: [{{ pipelines: ["*"] }}] }}
  features: {{ sql: {{ url: "{url}", password: {{ file: password }} }}, grants: [{{ pipelines: ["*"] }}] }}
  main:
    vault: {{ address: "{0}", ca: "{1}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/canary/*"] }}]
  other:
    vault: {{ address: "{0}", ca: "{1}", mounts: {{ secret: kv-v2 }}, auth: {{ token: {{ file: token }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/canary/*"] }}]
"#,
        bao.address(),
        bao.ca().display(),
        variables = variables.join(", "),
        url = server.url("reader"),
    );
    let config = Config::new(&sources, "canary", &good());
    config.write("pipelines/broken.yaml", broken());
    config.write("pipelines/quoting.yaml", QUOTING);
    let (role, secret) = bao.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", format!("{secret}\n"));
    let token = bao.post("auth/token/create", json!({ "policies": ["paramd"] })).await;
    let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
    config.write_secret("token", format!("{token}\n"));
    for (index, secret) in planted.of("binary").iter().enumerate() {
        config.write_secret(&format!("files/binary/{index}"), &secret.bytes);
    }
    config.write("files/latin", b"\xe4\xf6\xfc is no UTF-8");
    for (index, secret) in planted.of("file").iter().enumerate() {
        config.write_secret(&format!("files/{index}"), &secret.bytes);
    }
    database(&config.path.join("tables.db"), "create table secrets (place integer, value text)");
    let connection = rusqlite::Connection::open(config.path.join("tables.db")).unwrap();
    for (index, secret) in planted.of("sql").iter().enumerate() {
        connection
            .execute(
                "insert into secrets values (?1, ?2)",
                (i64::try_from(index).unwrap(), secret.text()),
            )
            .unwrap();
    }
    let password = shaped(1);
    fill(server, planted.of("postgres"), &String::from_utf8_lossy(&password)).await;
    config.write_secret("password", &password);
    planted.add("database password", password);
    planted.add("secret id", secret.into_bytes());
    planted.add("token", token.into_bytes());
    config
}

/// Fills PostgreSQL. Its function tells what it is given in a warning.
async fn fill(server: &Postgres, secrets: &[Secret], password: &str) {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    server.execute(TABLES).await;
    server.execute(&format!("alter role reader password {}", quoted(password))).await;
    for (index, secret) in secrets.iter().enumerate() {
        let row = format!("insert into secrets values ({index}, {})", quoted(&secret.text()));
        server.execute(&row).await;
    }
}

const TABLES: &str = "
    create table secrets (place integer, value text);
    grant select on secrets to reader;
    create function told(value text) returns text language plpgsql as
        $$ begin raise warning 'told: %', value; return value; end $$;
";

/// The server's own words about it quote the value.
const QUOTING: &str = "name: quoting
parameters:
  a: { type: integer, secret: true, from: { sql: { from: features, query: 'select cast(value as integer) from secrets where place = 7' } } }
";

/// Where the parameters come from: name, and the binding's text.
fn bindings() -> Vec<(String, String)> {
    let mut bindings = Vec::new();
    for index in 0..EACH {
        bindings.push((format!("env_{index}"), format!("env: {{ name: CANARY_{index} }}")));
        bindings.push((format!("file_{index}"), format!("file: {{ path: \"{index}\" }}")));
        let query = format!(
            "sql: {{ from: tables, query: \"select value from secrets where place = {index}\", shape: value }}"
        );
        bindings.push((format!("sql_{index}"), query));
        // What is bound is a secret too, and comes back in what the server logs.
        let query = format!(
            "sql: {{ from: features, query: \"select told(value) from secrets where place = {index} and told(:other) is not null\", bind: {{ other: \"{{{{ params.env_{index} }}}}\" }} }}"
        );
        bindings.push((format!("postgres_{index}"), query));
        let from = if index % 2 == 0 { "main" } else { "other" };
        let vault =
            format!("vault: {{ from: {from}, mount: secret, path: canary/{index}, field: value }}");
        bindings.push((format!("vault_{index}"), vault));
    }
    bindings
}

/// A pipeline that resolves.
fn good() -> String {
    let mut text = "name: canary\nparameters:\n  n: { type: integer, default: 1 }\n  note: { type: string, default: none }\n  o: { type: object, properties: { a: { type: integer } }, default: {} }\n".to_owned();
    let mut names = Vec::new();
    for (name, from) in bindings() {
        writeln!(text, "  {name}: {{ type: string, secret: true, from: {{ {from} }} }}").unwrap();
        names.push(name);
    }
    for index in 0..EACH {
        let name = format!("override_{index}");
        writeln!(
            text,
            "  {name}: {{ type: string, secret: true, override: run, beside_secrets: true }}"
        )
        .unwrap();
        names.push(name);
    }
    let texts = names.clone();
    for index in 0..EACH {
        let name = format!("binary_{index}");
        writeln!(text, "  {name}: {{ type: string, contentEncoding: base64, secret: true, from: {{ file: {{ path: \"binary/{index}\" }} }} }}").unwrap();
        names.push(name);
    }
    let all: Vec<_> = texts.iter().map(|name| format!("{{{{ params.{name} }}}}")).collect();
    writeln!(text, "  all: {{ type: string, from: {{ template: {} }} }}", json!(all.join("|")))
        .unwrap();
    text += "  escaped: { type: string, from: { template: \"{{ params.all | urlencode }}\" } }\n";
    writeln!(text, "steps:\n  - name: go\n    params: [n, note, o, {}]", names.join(", ")).unwrap();
    text += "    run: [sh, ./leak.sh]\n    env: { ALL: \"{{ params.all }}\", ESCAPED: \"{{ params.escaped }}\" }\n";
    text += "    files: { binary: { template: \"{{ params.binary_0 }}\" }, all.txt: { template: \"{{ params.all }}\" }, all.json: { template: \"{{ params.all | json }}\" } }\n";
    text
}

/// What may not be written, each with a secret in it: a problem each, and none
/// may be quoted. Conditions, queries and policies are code: their lines are shown
/// as they stand, with a mark under what is wrong.
pub(super) fn refused(config: &Config, planted: &Planted) {
    let secrets: Vec<_> =
        planted.of("literal").iter().map(|secret| json!(secret.text()).to_string()).collect();
    let [a, b, c, d, e, f, g, h, i, j, k] = secrets.as_slice() else { panic!() };
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
    let [a, b, c, d, e, f, g, h, i, j, k] = secrets.as_slice() else { panic!() };
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

/// A pipeline that none of the secrets fits: wrong types, broken patterns.
fn broken() -> String {
    let mut text = "name: broken\nparameters:\n".to_owned();
    for (index, (name, from)) in bindings().into_iter().enumerate() {
        let kind = match (index + index / 5) % 4 {
            0 => "integer, maximum: 5",
            1 => "array, items: { type: integer }",
            2 => "string, pattern: \"^x$\"",
            _ => "object, properties: { a: { type: integer } }",
        };
        writeln!(text, "  {name}: {{ type: {kind}, secret: true, from: {{ {from} }} }}").unwrap();
    }
    text += "  latin: { type: string, secret: true, from: { file: { path: latin } } }\n";
    text
}
