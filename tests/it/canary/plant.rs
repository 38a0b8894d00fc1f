//! Distinct secrets in every source, and the pipelines that read them.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::bao::Bao;
use crate::support::config::{Config, database};

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

/// The kinds of sources, and what a caller passes.
const KINDS: [&str; 6] = ["env", "file", "sql", "vault", "override", "misplaced"];

/// Secrets of each kind; their shapes differ.
pub(super) const EACH: usize = 8;

impl Planted {
    pub(super) fn of(&self, kind: &str) -> &[Secret] {
        let place = KINDS.iter().position(|known| *known == kind).unwrap();
        &self.secrets[place * EACH..(place + 1) * EACH]
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
            secrets.push(Secret { name: format!("{kind} {index}"), bytes: shaped(index) });
        }
    }
    let planted = Planted { secrets };
    for (index, secret) in planted.of("vault").iter().enumerate() {
        let data = json!({ "value": secret.text() });
        bao.write("secret", &format!("canary/{index}"), data, true).await;
    }
    planted
}

/// A random secret; each index has a shape of its own. None could be a name,
/// which errors may quote.
fn shaped(index: usize) -> Vec<u8> {
    let mut random = [0; 24];
    aws_lc_rs::rand::fill(&mut random).unwrap();
    let word = hex::encode(random);
    let digits: String = random.iter().map(|byte| format!("{byte:03}")).collect();
    match index {
        0 => format!("K{word}"),
        1 => format!("{}'; rm -rf \"$HOME\" & `{}`", &word[..20], &word[20..]),
        2 => format!("-----BEGIN KEY-----\n{}\n{}\n-----END KEY-----\n", &word[..24], &word[24..]),
        3 => format!("9{}.{}", &digits[..17], &digits[17..30]),
        4 => format!("{{\"user\": \"{}\", \"password\": \"{}\"}}", &word[..20], &word[20..]),
        5 => format!("p@ss/{}?x=1&y={}#z%20", &word[..20], &word[20..]),
        6 => format!("grüße-{}-äöü-{}", &word[..20], &word[20..]),
        _ => format!("back\\slash\t{}\\n{}", &word[..20], &word[20..]),
    }
    .into_bytes()
}

/// A configuration whose pipelines read all of them.
pub(super) async fn configure(bao: &Bao, planted: &Planted) -> Config {
    let variables: Vec<_> = (0..EACH).map(|index| format!("CANARY_{index}")).collect();
    let sources = format!(
        r#"  variables: {{ env: {{ names: [{}] }}, grants: [{{ pipelines: ["*"] }}] }}
  local: {{ file: {{ root: files }}, grants: [{{ pipelines: ["*"], paths: ["*"] }}] }}
  tables: {{ sql: {{ url: "sqlite:tables.db" }}, grants: [{{ pipelines: ["*"] }}] }}
  main:
    vault: {{ address: "{}", ca: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/canary/*"] }}]
"#,
        variables.join(", "),
        bao.address(),
        bao.ca().display()
    );
    let config = Config::new(&sources, "canary", &good());
    config.write("pipelines/broken.yaml", broken());
    let (role, secret) = bao.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", secret);
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
    config
}

/// Where the parameters come from: name, and the binding's text.
fn bindings() -> Vec<(String, String)> {
    let mut bindings = Vec::new();
    for index in 0..EACH {
        bindings.push((format!("env_{index}"), format!("env: {{ name: CANARY_{index} }}")));
        bindings.push((format!("file_{index}"), format!("file: {{ path: \"{index}\" }}")));
        let query = format!(
            "sql: {{ query: \"select value from secrets where place = {index}\", shape: value }}"
        );
        bindings.push((format!("sql_{index}"), query));
        let vault = format!("vault: {{ mount: secret, path: canary/{index}, field: value }}");
        bindings.push((format!("vault_{index}"), vault));
    }
    bindings
}

/// A pipeline that resolves.
fn good() -> String {
    let mut text = "name: canary\nparameters:\n  n: { type: integer, default: 1 }\n  note: { type: string, default: none }\n".to_owned();
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
    let all: Vec<_> = names.iter().map(|name| format!("{{{{ params.{name} }}}}")).collect();
    writeln!(text, "  all: {{ type: string, from: {{ template: {} }} }}", json!(all.join("|")))
        .unwrap();
    text += "  escaped: { type: string, from: { template: \"{{ params.all | urlencode }}\" } }\n";
    writeln!(text, "steps:\n  - name: go\n    params: [n, note, {}]", names.join(", ")).unwrap();
    text += "    run: [sh, ./leak.sh]\n    env: { ALL: \"{{ params.all }}\", ESCAPED: \"{{ params.escaped }}\" }\n";
    text += "    files: { all.txt: { template: \"{{ params.all }}\" }, all.json: { template: \"{{ params.all | json }}\" } }\n";
    text
}

/// A pipeline that none of the secrets fits: wrong types, broken patterns.
fn broken() -> String {
    let mut text = "name: broken\nparameters:\n".to_owned();
    for (index, (name, from)) in bindings().into_iter().enumerate() {
        let kind = match (index + index / 4) % 4 {
            0 => "integer, maximum: 5",
            1 => "array, items: { type: integer }",
            2 => "string, pattern: \"^x$\"",
            _ => "object, properties: { a: { type: integer } }",
        };
        writeln!(text, "  {name}: {{ type: {kind}, secret: true, from: {{ {from} }} }}").unwrap();
    }
    text
}
