//! Runs that are resolved for the first time, over OpenBao and PostgreSQL.

use std::time::Duration;

use futures_util::future::join_all;
use paramd::proto::v1::run_service_client::RunServiceClient;
use serde_json::json;
use tempfile::TempDir;

use super::timed;
use crate::Options;
use crate::baseline::Baseline;
use crate::baseline::bare::Work;
use crate::delay::delayed;
use crate::load::channels;
use crate::report::{Goal, Sample, Table, Unit};
use crate::stage::{LIMITS, POLICIES};
use crate::support::bao::{Bao, ROOT};
use crate::support::client::{Client, resolve};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::postgres::{PASSWORD, Postgres};

/// How long a delayed upstream takes.
const DELAY: Duration = Duration::from_millis(10);
/// Calls of one side of a round.
const CALLS: usize = 60;
/// Fields of the three paths.
const FIELDS: [(&str, &[&str]); 3] = [
    ("a", &["v01", "v02", "v03", "v04"]),
    ("b", &["v05", "v06", "v07"]),
    ("c", &["v08", "v09", "v10"]),
];

const DELAYED: &str = "cold ResolveRun, each upstream delayed to 10 ms";
const LOCAL: &str = "cold ResolveRun, OpenBao and PostgreSQL at hand";
const PYTHON: &str = "cold ResolveRun, as fast as Python";
const TEN_WARM: &str = "10 independent sources that answer after 10 ms: warm";
const TEN_FIRST: &str = "10 independent sources that answer after 10 ms: first time";
const READS: &str = "cold ResolveRun: reads at Vault";
const ONCE: &str = "10,000 identical calls: reads at Vault of one path";

pub(crate) async fn rows(options: &Options, table: &mut Table) {
    let names = [DELAYED, LOCAL, PYTHON, TEN_WARM, TEN_FIRST, READS, ONCE];
    if !names.iter().any(|name| options.wants(name)) {
        return;
    }
    let servers = Servers::start().await;
    if options.wants(DELAYED) {
        slow(options, table, &servers).await;
    }
    if options.wants(LOCAL) {
        local(options, table, &servers).await;
    }
    if options.wants(PYTHON) {
        python(options, table, &servers).await;
    }
    if options.wants(TEN_WARM) || options.wants(TEN_FIRST) {
        ten(options, table, &servers).await;
    }
    if options.wants(READS) || options.wants(ONCE) {
        reads(table, &servers).await;
    }
}

/// The upstreams, with what is read of them.
struct Servers {
    bao: Bao,
    postgres: Postgres,
}

impl Servers {
    async fn start() -> Self {
        let (bao, postgres) = (Bao::start().await, Postgres::start().await);
        for (path, fields) in FIELDS {
            let data = fields.iter().map(|name| (*name, format!("field {name} of vault")));
            let data: std::collections::BTreeMap<_, _> = data.collect();
            bao.write("secret", &format!("bench/{path}"), json!(data), true).await;
        }
        let sql = "create table settings (name text primary key, value text not null);
             insert into settings select 'q' || n, 'value ' || n from generate_series(1, 8) n;
             grant select on settings to reader";
        postgres.execute(sql).await;
        Self { bao, postgres }
    }

    /// A daemon that reads them; Vault at this port.
    async fn daemon(&self, vault: u16, delay: Option<Duration>) -> Staged {
        let sources = format!(
            "{}  db: {{ sql: {{ url: \"{}\", password: {{ file: password }} }}, grants: [{{ pipelines: [\"*\"] }}] }}\n{LIMITS}",
            vault_source("main", vault),
            self.postgres.url("reader"),
        );
        let config = Config::new(&sources, "cold", &cold(delay));
        Staged::start(config).await
    }

    /// What `bare` has to do.
    fn work(&self) -> Work {
        let url = |path: &str| format!("{}/v1/secret/data/bench/{path}", self.bao.plain_address());
        let password =
            percent_encoding::utf8_percent_encode(PASSWORD, percent_encoding::NON_ALPHANUMERIC);
        let login = self.postgres.url(&format!("reader:{password}"));
        Work {
            urls: FIELDS.iter().map(|(path, _)| url(path)).collect(),
            token: ROOT.to_owned(),
            database: format!("{login}?sslmode=disable"),
            queries: (1..=8).map(|number| query(number, None)).collect(),
            templates: (1..=8)
                .map(|number| {
                    template(number).replace(&format!("q{number}"), &format!("sql{}", number - 1))
                })
                .collect(),
        }
    }
}

/// A daemon on a configuration of its own.
struct Staged {
    daemon: Daemon,
    client: Client,
    _config: Config,
}

impl Staged {
    async fn start(config: Config) -> Self {
        config.write("policies/all.cedar", POLICIES);
        config.write_secret("password", PASSWORD);
        config.write_secret("token", ROOT);
        let daemon = Launch::plain(&config.path, config.around()).start().await;
        let client = daemon.client().await;
        Self { daemon, client, _config: config }
    }
}

fn vault_source(name: &str, port: u16) -> String {
    format!(
        "  {name}: {{ vault: {{ address: \"http://127.0.0.1:{port}\", mounts: {{ secret: kv-v2 }}, auth: {{ token: {{ file: token }} }} }}, grants: [{{ pipelines: [\"*\"], paths: [\"secret/*\"] }}] }}\n"
    )
}

fn query(number: usize, delay: Option<Duration>) -> String {
    match delay {
        None => format!("select value from settings where name = 'q{number}'"),
        Some(delay) => format!(
            "select value from settings, pg_sleep({}) where name = 'q{number}'",
            delay.as_secs_f64()
        ),
    }
}

fn template(number: usize) -> String {
    format!("{{{{ params.v{number:02} }}}} and {{{{ params.q{number} }}}}")
}

/// 10 fields of 3 Vault paths, 8 of SQL, 8 templates and 4 values.
fn cold(delay: Option<Duration>) -> String {
    let mut text = "name: cold\nparameters:\n".to_owned();
    let mut names = Vec::new();
    let mut add = |name: String, declared: String| {
        text += &format!("  {name}: {{ type: string, {declared} }}\n");
        names.push(name);
    };
    for (path, fields) in FIELDS {
        for field in fields {
            let from = format!(
                "from: {{ vault: {{ mount: secret, path: bench/{path}, field: {field} }} }}"
            );
            add((*field).to_owned(), from);
        }
    }
    for number in 1..=8 {
        let query = json!(query(number, delay));
        add(format!("q{number}"), format!("override: none, from: {{ sql: {{ query: {query} }} }}"));
        let template = json!(template(number));
        add(format!("t{number}"), format!("from: {{ template: {template} }}"));
    }
    for number in 1..=4 {
        add(format!("l{number}"), format!("override: none, default: literal-{number}"));
    }
    text + &format!("steps: [{{ name: main, params: [{}] }}]\n", names.join(", "))
}

/// New runs of the pipeline, one after another.
async fn resolves(staged: &Staged, pipeline: &str, label: &str, calls: usize) -> Sample {
    timed(Some(staged.daemon.pid()), calls, async |index| {
        let run = format!("{label}-{index}");
        staged.client.resolve(resolve(pipeline, &run)).await.unwrap();
    })
    .await
}

async fn slow(options: &Options, table: &mut Table, servers: &Servers) {
    let port = delayed(servers.bao.plain_port(), DELAY);
    let staged = servers.daemon(port, Some(DELAY)).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/v1/secret/data/bench/a");
    resolves(&staged, "cold", "warm", 10).await;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let ours = resolves(&staged, "cold", &round.to_string(), CALLS).await;
        let base = timed(None, CALLS, async |_| {
            let answer = http.get(&url).header("X-Vault-Token", ROOT).send().await.unwrap();
            assert!(answer.status().is_success());
            answer.bytes().await.unwrap();
        })
        .await;
        rounds.push((ours, base));
    }
    table.compare(DELAYED, "one delayed read", Unit::Milliseconds, Goal::AtMost(1.15), &rounds);
    staged.daemon.stop();
}

async fn local(options: &Options, table: &mut Table, servers: &Servers) {
    let staged = servers.daemon(servers.bao.plain_port(), None).await;
    let folder = TempDir::new().unwrap();
    let work = serde_json::to_vec(&servers.work()).unwrap();
    std::fs::write(folder.path().join("work.json"), work).unwrap();
    let answer = staged.client.resolve(resolve("cold", "answer")).await.unwrap();
    let bytes = prost::Message::encode_to_vec(&answer);
    std::fs::write(folder.path().join("resolved.bin"), bytes).unwrap();
    let bare = Baseline::start("bare", folder.path()).await;
    let client = RunServiceClient::new(channels(bare.socket(), 1).await.remove(0));
    let base = async |calls| {
        timed(Some(bare.pid()), calls, async |_| {
            client.clone().resolve_run(resolve_request()).await.unwrap();
        })
        .await
    };
    resolves(&staged, "cold", "warm", CALLS).await;
    base(CALLS).await;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let ours = resolves(&staged, "cold", &round.to_string(), 4 * CALLS).await;
        rounds.push((ours, base(4 * CALLS).await));
    }
    table.compare(LOCAL, "`bare`", Unit::Milliseconds, Goal::AtMost(1.25), &rounds);
    staged.daemon.stop();
}

fn resolve_request() -> paramd::proto::v1::ResolveRunRequest {
    resolve("cold", "bare").into()
}

async fn python(options: &Options, table: &mut Table, servers: &Servers) {
    let staged = servers.daemon(servers.bao.plain_port(), None).await;
    resolves(&staged, "cold", "warm", CALLS).await;
    let mut script = super::python::Script::start(&servers.work(), &FIELDS);
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let ours = resolves(&staged, "cold", &round.to_string(), 2 * CALLS).await;
        let base = Sample { value: script.round(2 * CALLS), cpu_us: None };
        // How many times as fast: theirs over ours.
        rounds.push((base, ours));
    }
    let rounds: Vec<_> =
        rounds.into_iter().map(|(base, ours)| (invert(ours), invert(base))).collect();
    let name = "cold ResolveRun, as fast as Python (calls a second, one after another)";
    let against = "hvac, psycopg, jinja2";
    table.compare(name, against, Unit::PerSecond, Goal::AtLeast(3.0), &rounds);
    staged.daemon.stop();
}

fn invert(sample: Sample) -> Sample {
    Sample { value: 1e3 / sample.value, ..sample }
}

/// Ten Vaults, each behind a delay of its own.
async fn ten(options: &Options, table: &mut Table, servers: &Servers) {
    let mut sources = String::new();
    let mut text = "name: ten\nparameters:\n".to_owned();
    let mut names = Vec::new();
    for number in 0..10 {
        let port = delayed(servers.bao.plain_port(), DELAY);
        sources += &vault_source(&format!("v{number}"), port);
        text += &format!(
            "  p{number}: {{ type: string, from: {{ vault: {{ from: v{number}, mount: secret, path: bench/a, field: v01 }} }} }}\n"
        );
        names.push(format!("p{number}"));
    }
    text += &format!("steps: [{{ name: main, params: [{}] }}]\n", names.join(", "));
    sources += LIMITS;
    let (mut first, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let staged = Staged::start(Config::new(&sources, "ten", &text)).await;
        first.push(resolves(&staged, "ten", "first", 1).await.value);
        warm.push(resolves(&staged, "ten", "warm", CALLS).await.value);
        staged.daemon.stop();
    }
    table.number(TEN_WARM, Unit::Milliseconds, Goal::AtMost(11.5), &warm);
    table.number(TEN_FIRST, Unit::Milliseconds, Goal::AtMost(12.5), &first);
}

async fn reads(table: &mut Table, servers: &Servers) {
    let staged = servers.daemon(servers.bao.plain_port(), None).await;
    let mounts = ["secret".to_owned()];
    let mark = servers.bao.mark();
    staged.client.resolve(resolve("cold", "counted")).await.unwrap();
    let counted: u64 = servers.bao.reads_since(mark, &mounts).values().sum();
    table.number(READS, Unit::Times, Goal::AtMost(3.0), &[counted as f64]);

    let mark = servers.bao.mark();
    let channels = channels(staged.daemon.socket(), 4).await;
    let worker = async |index: usize| {
        let mut client = RunServiceClient::new(channels[index % 4].clone());
        let mut calls = 0;
        while calls * 256 + index < 10_000 {
            client.resolve_run(resolve_identical()).await.unwrap();
            calls += 1;
        }
    };
    join_all((0..256).map(worker)).await;
    let most = servers.bao.reads_since(mark, &mounts).into_values().max().unwrap();
    table.number(ONCE, Unit::Times, Goal::AtMost(1.0), &[most as f64]);
    staged.daemon.stop();
}

fn resolve_identical() -> paramd::proto::v1::ResolveRunRequest {
    resolve("cold", "identical").into()
}
