//! A run's life, through the daemon's own binary.

mod access;
mod attempts;
mod bad_input;
mod compared;
mod crash;
mod errors;
mod exact;
mod extended;
mod full;
mod largest;
mod life;
mod limits;
mod listed;
mod log;
mod mariadb;
mod places;
mod polls;
mod postgres;
mod process;
mod reasons;
mod sealed;
pub(crate) mod vault;
mod vaults;
mod watch;

use crate::support::config::Config;

/// Sources of [`small`].
const SOURCES: &str = r#"  local: { file: { root: files }, grants: [{ pipelines: ["*"], paths: ["*"] }] }
  tables: { sql: { url: "sqlite:tables.db" }, grants: [{ pipelines: ["*"] }] }
  settings: { env: { names: [REGION] }, grants: [{ pipelines: ["*"] }] }
"#;

const PIPELINE: &str = r#"name: small
description: What the tests of runs need
parameters:
  epochs: { type: integer, default: 10, minimum: 1, maximum: 500 }
  rate: { type: number, default: 0.5 }
  wide: { type: boolean, default: false }
  note: { type: [string, "null"], default: null, aliases: [remark] }
  layers: { type: array, items: { type: integer }, default: [64, 32] }
  region: { type: string, default: nowhere, from: { env: { name: REGION } } }
  names: { type: array, items: { type: string }, from: { sql: { query: "select name from names order by name", shape: column } } }
  token: { type: string, secret: true, override: run, from: { file: { path: token } } }
  header: { type: string, from: { template: "Bearer {{ params.token }}" } }
  other: { type: string, secret: true, from: { file: { path: absent } } }
  label: { type: string, override: none, from: { template: "e{{ params.epochs }}-{{ params.region }}" } }
presets:
  quick: { epochs: 1 }
rules:
  - { assert: params.epochs != 13, message: thirteen epochs bring bad luck }
steps:
  - name: go
    params: [epochs, note, layers, rate, names]
    run: [echo, "{{ params.label }}"]
    env: { HEADER: "{{ params.header }}" }
  - name: wide
    needs: [go]
    when: params.wide
    run: [echo, wide]
    env: { OTHER: "{{ params.other }}" }
"#;

const TOKEN: &str = "tok-4f1c77d2a9be4a30b1-of-a-file";

/// A pipeline over file, environment and SQLite; `other` can't be had.
fn small() -> Config {
    let config = Config::new(SOURCES, "small", PIPELINE);
    config.write_secret("files/token", TOKEN);
    crate::support::config::database(
        &config.path.join("tables.db"),
        "create table names (name text); insert into names values ('b'), ('a');",
    );
    config
}
