//! Hours in small: mixed load while the bundle is taken in anew, sources restart
//! and runs end. Memory and descriptors stay where they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paramd::proto::v1::{ListRunsRequest, RunOutcome};
use rustix::process::Signal;
use serde_json::json;
use tonic::Status;

use super::count;
use crate::support::client::{Client, channel, resolve, run};
use crate::support::config::{Config, database};
use crate::support::daemon::{Daemon, Launch};
use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::raft::Raft;
use crate::support::status::problem;

const WORKERS: usize = 64;
const CONNECTIONS: usize = 8;
const TOKEN: &str = "tok-77ab3e2f90c14d6b-of-a-file";

const PIPELINE: &str = r#"name: mixed
parameters:
  n: { type: integer, default: 1 }
  token: { type: string, secret: true, from: { file: { path: token } } }
  password: { type: string, from: { vault: { mount: secret, path: db, field: password } } }
  columns: { type: array, items: { type: string }, from: { sql: { from: db, query: "select name from columns_of_load order by name", shape: column } } }
  names: { type: array, items: { type: string }, from: { sql: { from: tables, query: "select name from names", shape: column } } }
  label: { type: string, override: none, from: { template: "run-{{ run.id }}-{{ params.n }}" } }
steps:
  - name: go
    params: [n, columns, names]
    run: [echo, "{{ params.label }}"]
    env: { URL: "db://{{ params.password }}", TOKEN: "{{ params.token }}" }
"#;

struct Sources {
    vault: Raft,
    server: Postgres,
}

impl Sources {
    async fn start() -> Self {
        let (vault, server) = tokio::join!(Raft::start(), Postgres::start());
        let data = json!({ "data": { "password": "pw-5e0b1f7c22a4" } });
        vault.put("secret/data/db", data).await;
        let sql = "create table columns_of_load (name text);
            insert into columns_of_load values ('b'), ('a');
            grant select on columns_of_load to reader";
        server.execute(sql).await;
        Self { vault, server }
    }

    async fn config(&self) -> Config {
        let sources = format!(
            r#"  main:
    vault: {{ address: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: [mixed], paths: ["secret/*"] }}]
  db: {{ sql: {{ url: "{}", password: {{ file: password }} }}, grants: [{{ pipelines: [mixed] }}] }}
  tables: {{ sql: {{ url: "sqlite:tables.db" }}, grants: [{{ pipelines: [mixed] }}] }}
  local: {{ file: {{ root: files }}, grants: [{{ pipelines: [mixed], paths: ["*"] }}] }}
"#,
            self.vault.address(),
            self.server.url("reader"),
        );
        let config = Config::new(&sources, "mixed", PIPELINE);
        let (role, secret) = self.vault.role().await;
        config.write_secret("role", role);
        config.write_secret("secret", secret);
        config.write_secret("password", PASSWORD);
        config.write_secret("files/token", TOKEN);
        let names = "create table names (name text); insert into names values ('x');";
        database(&config.path.join("tables.db"), names);
        config
    }
}

/// What the workers share.
#[derive(Default)]
struct Work {
    over: AtomicBool,
    /// Runs from their beginning to their end.
    done: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
}

impl Work {
    /// What a refusal may be; anything else fails the test.
    fn refused(&self, doing: &str, status: &Status) {
        let reason = problem(status).reason;
        let expected = doing == "resolve" && reason == "SOURCE_UNAVAILABLE";
        assert!(expected, "{doing}: {status:?}");
        *self.refused.lock().unwrap().entry(reason).or_default() += 1;
    }

    async fn one(&self, client: &Client, id: &str, number: u64) {
        let request = || resolve("mixed", id).text("n", &number.to_string());
        let first = match client.resolve(request()).await {
            Ok(first) => first,
            Err(status) => return self.refused("resolve", &status),
        };
        let name = run("mixed", id);
        let again = client.resolve(request()).await.unwrap();
        assert_eq!(again.snapshot, first.snapshot);
        for _ in 0..4 {
            let context = client.context(&name, "go").await.unwrap().context.unwrap();
            assert_eq!(context.instances[0].run[1], format!("run-{id}-{number}"));
        }
        let secrets = client.reveal_all(&name, "go", None).await.unwrap();
        assert_eq!(secrets.len(), 4);
        if number.is_multiple_of(16) {
            let request = ListRunsRequest { page_size: 10, ..ListRunsRequest::default() };
            client.runs.clone().list_runs(request).await.unwrap();
        }
        client.complete(&name, RunOutcome::Succeeded).await.unwrap();
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn go_on(self: Arc<Self>, client: Client, worker: usize) {
        for number in 0.. {
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            self.one(&client, &format!("w{worker}-{number}"), number).await;
        }
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Held {
    kibibytes: u64,
    descriptors: u64,
}

fn held(daemon: &Daemon) -> Held {
    let proc = format!("/proc/{}", daemon.pid());
    let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kibibytes = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let descriptors = std::fs::read_dir(format!("{proc}/fd")).unwrap().count() as u64;
    Held { kibibytes, descriptors }
}

fn median(samples: &[Held], of: impl Fn(&Held) -> u64) -> u64 {
    let mut numbers: Vec<_> = samples.iter().map(of).collect();
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

/// What goes on around the daemon: each third a disturbance of another kind.
async fn disturb(sources: &mut Sources, config: &Config, daemon: &Daemon, round: u64) {
    match round % 3 {
        0 => {
            let text = PIPELINE.replace("default: 1 ", &format!("default: {} ", round + 2));
            config.write("pipelines/mixed.yaml", text);
            daemon.signal(Signal::HUP);
        }
        1 => {
            sources.server.stop();
            sources.server.go().await;
        }
        _ => {
            sources.vault.crash().await;
            sources.vault.unseal().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_descriptors_stay_flat_under_mixed_load() {
    let length = Duration::from_secs(count(120) as u64);
    let mut sources = Sources::start().await;
    let config = sources.config().await;
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let work = Arc::new(Work::default());
    let mut workers = Vec::new();
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS {
        channels.push(channel(daemon.socket()).await.unwrap());
    }
    for worker in 0..WORKERS {
        let client = Client::new(channels[worker % CONNECTIONS].clone());
        workers.push(tokio::spawn(Arc::clone(&work).go_on(client, worker)));
    }
    let begun = Instant::now();
    let (mut samples, mut round) = (Vec::new(), 0);
    while begun.elapsed() < length {
        // A sample a second is what the proof consists of.
        tokio::time::sleep(Duration::from_secs(1)).await;
        samples.push(held(&daemon));
        if samples.len().is_multiple_of(5) {
            disturb(&mut sources, &config, &daemon, round).await;
            round += 1;
        }
    }
    work.over.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let quarter = samples.len() / 4;
    let (early, late) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
    let memory = [early, late].map(|samples| median(samples, |held| held.kibibytes));
    let descriptors = [early, late].map(|samples| median(samples, |held| held.descriptors));
    println!(
        "{length:?}, {round} disturbances, {} runs, refused {:?}: {} KiB then {} KiB, {} descriptors then {}",
        work.done.load(Ordering::Relaxed),
        work.refused.lock().unwrap(),
        memory[0],
        memory[1],
        descriptors[0],
        descriptors[1],
    );
    assert!(memory[1] <= memory[0] * 11 / 10 + 4096, "memory grows: {samples:?}");
    assert!(descriptors[1] <= descriptors[0] + 8, "descriptors grow: {samples:?}");
    daemon.stop();
}
