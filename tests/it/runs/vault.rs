//! Runs over a real OpenBao: read once, logged in once, drained on SIGTERM.

use std::collections::BTreeMap;
use std::time::Duration;

use paramd::proto::v1::ResolveResult;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::bao::Bao;
use crate::support::client::{channel, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::wait_until;

const PIPELINE: &str = r#"name: vaulted
parameters:
  user: { type: string, secret: false, override: none, from: { vault: { mount: secret, path: "ml/{{ environment }}/db", field: user } } }
  password: { type: string, from: { vault: { mount: secret, path: "ml/{{ environment }}/db", field: password } } }
  key: { type: string, from: { vault: { mount: secret, path: ml/key, field: key } } }
  url: { type: string, from: { template: "db://{{ params.user }}:{{ params.password | urlencode }}@host" } }
steps:
  - name: go
    params: [user]
    run: [echo]
    env: { URL: "{{ params.url }}", KEY: "{{ params.key }}" }
"#;

pub(super) const PASSWORD: &str = "p@ss word/with:signs-8842";

/// An OpenBao with what the pipeline reads, and a configuration at `address`.
pub(crate) async fn vaulted(bao: &Bao, address: &str) -> Config {
    let sources = format!(
        r#"  main:
    vault: {{ address: "{address}", ca: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: [vaulted], paths: ["secret/ml/*"], declassify: [user] }}]
"#,
        bao.ca().display()
    );
    let config = Config::new(&sources, "vaulted", PIPELINE);
    let (role, secret) = bao.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", secret + "\n");
    config
}

pub(crate) async fn filled() -> Bao {
    let bao = Bao::start().await;
    bao.write("secret", "ml/dev/db", json!({ "user": "u", "password": PASSWORD }), true).await;
    bao.write("secret", "ml/key", json!({ "key": "other-key-0b5a66d1" }), true).await;
    bao
}

pub(super) fn mounts() -> [String; 1] {
    ["secret".to_owned()]
}

fn each_once() -> BTreeMap<String, u64> {
    BTreeMap::from([("secret/data/ml/key".to_owned(), 1), ("secret/data/ml/dev/db".to_owned(), 1)])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_first_calls_read_each_path_once() {
    let bao = filled().await;
    let config = vaulted(&bao, &bao.address()).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mark = bao.mark();
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let socket = daemon.socket().to_owned();
            tokio::spawn(async move {
                let client = crate::support::client::Client::new(channel(&socket).await.unwrap());
                client.resolve(resolve("vaulted", "a")).await.unwrap()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    let created = answers.iter().filter(|answer| answer.result() == ResolveResult::Created).count();
    assert_eq!(created, 1);
    assert!(answers.iter().all(|answer| answer.snapshot == answers[0].snapshot));
    assert_eq!(bao.reads_since(mark, &mounts()), each_once());
    assert_eq!(bao.logins_since(mark), 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_and_a_restart_read_nothing() {
    let bao = filled().await;
    let config = vaulted(&bao, &bao.address()).await;
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let first = daemon.client().await.resolve(resolve("vaulted", "a")).await.unwrap();
    daemon.kill();
    let mark = bao.mark();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let second = client.resolve(resolve("vaulted", "a")).await.unwrap();
    assert_eq!(second.snapshot, first.snapshot);
    let secrets = client.reveal_all(&run("vaulted", "a"), "go", None).await.unwrap();
    let url = secrets.iter().find(|secret| secret.name == "env.URL").unwrap();
    let expected = b"db://u:p%40ss%20word%2Fwith%3Asigns-8842@host";
    assert_eq!(url.payload.as_ref().unwrap().data, expected);
    assert_eq!(bao.reads_since(mark, &mounts()), BTreeMap::new());
    assert_eq!(bao.logins_since(mark), 0);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_token_is_replaced_by_one_login_however_many_wait() {
    let bao = filled().await;
    let config = vaulted(&bao, &bao.address()).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("vaulted", "before")).await.unwrap();
    bao.revoke_tokens().await;
    let mark = bao.mark();
    let calls: Vec<_> = (0..50)
        .map(|index| {
            let client = client.clone();
            tokio::spawn(async move {
                client.resolve(resolve("vaulted", &format!("after-{index}"))).await
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(bao.logins_since(mark), 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_keeps_nothing_from_starting() {
    let bao = filled().await;
    let config = vaulted(&bao, "https://127.0.0.1:1").await;
    config.write("paramd.yaml", {
        let text = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
        format!("{text}resolve_timeout: 3s\n")
    });
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let status = daemon.client().await.resolve(resolve("vaulted", "a")).await.unwrap_err();
    let problem = check_reason(&status, "SOURCE_UNAVAILABLE");
    assert_eq!(problem.metadata["cause"], "unreachable");
    assert!(problem.retry);
    daemon.stop();
}

/// Passes connections on to OpenBao, but not before it is told to.
struct Gate {
    address: String,
    asked: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

async fn gate(bao: &Bao) -> Gate {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let server = bao.address().replace("https://", "");
    let (tell, asked) = oneshot::channel();
    let (open, opened) = oneshot::channel();
    tokio::spawn(async move {
        let first = listener.accept().await.unwrap().0;
        tell.send(()).unwrap();
        opened.await.unwrap();
        let mut next = first;
        loop {
            let server = server.clone();
            tokio::spawn(async move {
                let mut onward = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut next, &mut onward).await;
            });
            next = listener.accept().await.unwrap().0;
        }
    });
    Gate { address, asked, open }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_it_answers_what_it_began_and_takes_no_new() {
    let bao = filled().await;
    let gate = gate(&bao).await;
    let config = vaulted(&bao, &gate.address).await;
    let mut daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let begun = tokio::spawn(async move { client.resolve(resolve("vaulted", "a")).await });
    gate.asked.await.unwrap();
    daemon.signal(Signal::TERM);
    let socket = daemon.socket().to_owned();
    wait_until("no new call is taken", Duration::from_secs(10), async || {
        let Ok(channel) = channel(&socket).await else { return Some(()) };
        let client = crate::support::client::Client::new(channel);
        client
            .context(&run("vaulted", "none"), "go")
            .await
            .is_err_and(|status| status.code() == tonic::Code::Unavailable)
            .then_some(())
    })
    .await;
    assert!(daemon.is_running());
    gate.open.send(()).unwrap();
    begun.await.unwrap().unwrap();
    assert!(daemon.wait().success(), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_values_are_asked_for_at_the_same_time() {
    let bao = filled().await;
    let (first, second) = (gate(&bao).await, gate(&bao).await);
    let (role, secret) = bao.role().await;
    let source = |name: &str, gate: &Gate| {
        format!(
            r#"  {name}:
    vault: {{ address: "{}", ca: "{}", mounts: {{ secret: kv-v2 }}, auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}
    grants: [{{ pipelines: ["*"], paths: ["secret/ml/*"] }}]
"#,
            gate.address,
            bao.ca().display()
        )
    };
    let sources = source("first", &first) + &source("second", &second);
    let pipeline = r#"name: both
parameters:
  a: { type: string, from: { vault: { from: first, mount: secret, path: ml/key, field: key } } }
  b: { type: string, from: { vault: { from: second, mount: secret, path: ml/key, field: key } } }
"#;
    let config = Config::new(&sources, "both", pipeline);
    config.write_secret("role", role);
    config.write_secret("secret", secret);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let begun = tokio::spawn(async move { client.resolve(resolve("both", "a")).await });
    // Neither is answered before both were asked.
    first.asked.await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), second.asked).await.unwrap().unwrap();
    first.open.send(()).unwrap();
    second.open.send(()).unwrap();
    begun.await.unwrap().unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_outlives_the_caller_that_began_it() {
    let bao = filled().await;
    let gate = gate(&bao).await;
    let config = vaulted(&bao, &gate.address).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mark = bao.mark();
    let client = daemon.client().await;
    let first = client.clone();
    let begun = tokio::spawn(async move { first.resolve(resolve("vaulted", "a")).await });
    gate.asked.await.unwrap();
    begun.abort();
    assert!(begun.await.unwrap_err().is_cancelled());
    gate.open.send(()).unwrap();
    let answer = client.resolve(resolve("vaulted", "a")).await.unwrap();
    assert_eq!(answer.result(), ResolveResult::Replayed);
    assert_eq!(bao.reads_since(mark, &mounts()), each_once());
    daemon.stop();
}
