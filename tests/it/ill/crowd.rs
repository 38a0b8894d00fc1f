//! Sources that are dead, and everybody else.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{add_well, pipeline};
use crate::support::client::resolve;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::disk::{Disk, Fate, READ};
use crate::support::proxy::{Fault, Proxy};
use crate::support::status::check_reason;
use crate::support::wait_until;

/// How many runs wait for each of the dead.
const WAITING: usize = 60;
/// How many runs want something else meanwhile.
const OTHERS: usize = 60;
/// How many connections to databases and reads of Vault there are at a time.
const AT_A_TIME: usize = 8 + 8 + 16;
/// How long it may take until there are.
const FULL: Duration = Duration::from_secs(4);
/// Longer than one try may take, in milliseconds.
const HANGS: i64 = 6_000;
/// Less than one try of a source without a `timeout`, which is what it would wait.
const BESIDE: Duration = Duration::from_secs(4);
/// Three tries of a source without a `timeout`, their pauses, and a busy machine.
const ALL: Duration = Duration::from_secs(25);

/// What a server that says nothing, a network that swallows all and a disk that
/// hangs keep waiting. No run on something else waits with them.
#[tokio::test(flavor = "multi_thread")]
async fn dead_sources_keep_no_other_run_waiting() {
    let (mut silent, mut lost) = (Proxy::bytes(1).await, Proxy::bytes(1).await);
    silent.set(Fault::Silent).await;
    lost.set(Fault::Unreachable).await;
    let mut dead = Vec::new();
    for (name, port) in [("silent", silent.port()), ("lost", lost.port())] {
        for kind in ["postgres", "mysql", "vault"] {
            dead.push((format!("{name}-{kind}"), kind, port));
        }
    }
    let config = configuration(&dead);
    let (disk, launch) = Disk::below(Launch::dev(&config.path, config.around()));
    let daemon = launch.start().await;
    disk.falls_ill(READ, 0, Fate::Wait(HANGS));
    let begun = Instant::now();
    let mut waiting = Vec::new();
    for (name, ..) in &dead {
        waiting.extend(begin(&daemon, name).await);
    }
    waiting.extend(begin(&daemon, "hung").await);
    wait_until("all that can ask at a time do", FULL, async || {
        (silent.asked() >= AT_A_TIME).then_some(())
    })
    .await;
    let slowest = beside(&daemon).await;
    let left = waiting.iter().filter(|one| !one.is_finished()).count();
    assert_eq!(left, waiting.len(), "some had ended before the others had been asked");
    assert!(slowest < BESIDE, "{slowest:?}");
    let asked = waiting.len();
    for one in waiting {
        one.await.unwrap();
    }
    let all = begun.elapsed();
    println!(
        "{OTHERS} runs beside {asked} that wait for {} dead sources: the slowest took {} ms; \
         all had their answer after {} s",
        dead.len() + 1,
        slowest.as_millis(),
        all.as_secs()
    );
    assert!(disk.happened() > 0, "the disk was ill");
    assert!(all < ALL, "{all:?}");
    daemon.stop();
}

fn configuration(dead: &[(String, &str, u16)]) -> Config {
    let grants = "grants: [{ pipelines: [\"*\"] }]";
    let mut sources = format!("  hung: {{ file: {{ root: files }}, {grants} }}\n");
    for (name, kind, port) in dead {
        let source = match *kind {
            "vault" => format!(
                "vault: {{ address: \"http://127.0.0.1:{port}\", mounts: {{ secret: kv-v2 }}, \
                 auth: {{ token: {{ file: token }} }} }}"
            ),
            kind => format!("sql: {{ url: \"{kind}://u@127.0.0.1:{port}/x\" }}"),
        };
        sources += &format!("  {name}: {{ {source}, {grants} }}\n");
    }
    let from = "{ file: { path: good } }";
    let config = Config::new(&sources, "hung", &pipeline("hung", "string", from));
    config.write("files/good", "x");
    for (name, kind, _) in dead {
        let from = match *kind {
            "vault" => format!("{{ vault: {{ from: {name}, mount: secret, path: a, field: b }} }}"),
            _ => format!("{{ sql: {{ from: {name}, query: select 1 }} }}"),
        };
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, "string", &from));
    }
    config.write_secret("token", "s.token");
    add_well(&config);
    config
}

/// Begins the runs of a dead source, on a connection of their own.
async fn begin(daemon: &Daemon, name: &str) -> Vec<JoinHandle<()>> {
    let client = daemon.client().await;
    let one = |index: usize| {
        let (client, request) = (client.clone(), resolve(name, &index.to_string()));
        tokio::spawn(async move {
            let status = client.resolve(request).await.unwrap_err();
            check_reason(&status, "SOURCE_UNAVAILABLE");
        })
    };
    (0..WAITING).map(one).collect()
}

/// Goes through the other runs, one after the other: the slowest.
async fn beside(daemon: &Daemon) -> Duration {
    let client = daemon.client().await;
    let mut slowest = Duration::ZERO;
    for index in 0..OTHERS {
        let asked = Instant::now();
        client.resolve(resolve("well", &index.to_string())).await.unwrap();
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}
