//! However many ask for a run, and whoever of them goes away: its sources are
//! read once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paramd::proto::v1::{ResolveResult, ResolveRunResponse};
use regex::Regex;
use serde_json::json;
use tokio::sync::Semaphore;
use tonic::Status;

use super::{count, random};
use crate::support::bao::Bao;
use crate::support::client::{Client, channel, resolve};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::postgres::{PASSWORD, Postgres};

/// How many calls are under way at once.
const AT_ONCE: usize = 256;
/// Enough that what is cancelled on each stays below the limit of a connection.
const CONNECTIONS: usize = 64;

const PIPELINE: &str = r#"name: once
parameters:
  user: { type: string, secret: false, override: none, from: { vault: { mount: secret, path: db, field: user } } }
  password: { type: string, from: { vault: { mount: secret, path: db, field: password } } }
  key: { type: string, from: { vault: { mount: secret, path: key, field: key } } }
  columns: { type: array, items: { type: string }, from: { sql: { query: "select name from columns_of_once order by name", shape: column } } }
steps:
  - { name: go, params: [user, columns], run: [echo], env: { PASSWORD: "{{ params.password }}", KEY: "{{ params.key }}" } }
"#;

async fn bao() -> Bao {
    let bao = Bao::start().await;
    let secret = json!({ "user": "u", "password": "pw-5e0b1f7c22a4" });
    bao.write("secret", "db", secret, true).await;
    bao.write("secret", "key", json!({ "key": "key-0b5a66d1" }), true).await;
    bao
}

async fn postgres() -> Postgres {
    let server = Postgres::start().await;
    let sql = "create table columns_of_once (name text);
        insert into columns_of_once values ('b'), ('a');
        grant select on columns_of_once to reader;
        alter role reader set log_statement = 'all'";
    server.execute(sql).await;
    server
}

async fn configured(bao: &Bao, server: &Postgres) -> Config {
    let sources = format!(
        r#"  main:
    vault: {{ address: "{}", ca: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: [once], paths: ["secret/*"], declassify: [user] }}]
  db:
    sql: {{ url: "{}", password: {{ file: password }} }}
    grants: [{{ pipelines: [once] }}]
"#,
        bao.address(),
        bao.ca().display(),
        server.url("reader"),
    );
    let config = Config::new(&sources, "once", PIPELINE);
    let (role, secret) = bao.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", secret);
    config.write_secret("password", PASSWORD);
    config
}

/// What came of all calls.
#[derive(Default)]
struct Answers {
    created: usize,
    replayed: Vec<ResolveRunResponse>,
    gone: usize,
}

/// Asks until the daemon answers: one that is starved of its processor may take
/// callers that go away for an attack, and close their connection.
async fn asked(client: &Client) -> Result<ResolveRunResponse, Status> {
    loop {
        let answer = client.resolve(resolve("once", "a")).await;
        match answer {
            Err(status) if status.message().contains("h2 protocol error") => {}
            answer => return answer,
        }
    }
}

/// Asks for one run `calls` times. Every other caller, and the first, goes away
/// when it doesn't like to wait any longer.
async fn ask(daemon: &Daemon, calls: usize) -> Answers {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(Client::new(channel(daemon.socket()).await.unwrap()));
    }
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for number in 0..calls {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let client = clients[number % CONNECTIONS].clone();
        let patience = number.is_multiple_of(2).then(|| Duration::from_micros(random() % 20_000));
        tasks.push(tokio::spawn(async move {
            let _place = place;
            let asked = asked(&client);
            match patience {
                None => Some(asked.await),
                Some(patience) => tokio::time::timeout(patience, asked).await.ok(),
            }
        }));
    }
    let mut answers = Answers::default();
    for task in tasks {
        let answer: Option<Result<_, Status>> = task.await.unwrap();
        match answer.map(Result::unwrap) {
            None => answers.gone += 1,
            Some(answer) if answer.result() == ResolveResult::Created => answers.created += 1,
            Some(answer) => answers.replayed.push(answer),
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_calls_half_of_them_cancelled_read_each_source_once() {
    let calls = count(10_000);
    let (bao, server) = tokio::join!(bao(), postgres());
    let config = configured(&bao, &server).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mark = bao.mark();
    let begun = Instant::now();
    let answers = ask(&daemon, calls).await;
    let took = begun.elapsed();
    let [first, others @ ..] = &answers.replayed[..] else { panic!("nobody was answered") };
    assert!(others.iter().all(|other| other.snapshot == first.snapshot));
    assert!(answers.created <= 1, "{} calls made the run", answers.created);
    assert!(answers.gone > 0, "nobody went away");
    let reads = bao.reads_since(mark, &["secret".to_owned()]);
    let expected = [("secret/data/db".to_owned(), 1), ("secret/data/key".to_owned(), 1)];
    assert_eq!(reads, expected.into_iter().collect());
    assert_eq!(bao.logins_since(mark), 1);
    let log = server.log();
    let query = Regex::new(r"execute [^\n]*\n\s*select name from columns_of_once").unwrap();
    assert_eq!(query.find_iter(&log).count(), 1, "{log}");
    println!(
        "{calls} calls in {took:?}: {} made the run, {} found it, {} went away; 1 read each of 3",
        answers.created,
        answers.replayed.len(),
        answers.gone
    );
    daemon.stop();
}
