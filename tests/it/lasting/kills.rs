//! `kill -9` inside commits and between them: what was answered is there, the
//! same, with its one event; the chain is whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paramd::proto::v1::{
    Action, CompleteRunRequest, Event, EventOutcome, GetRunRequest, PlainSecret, ResolveResult,
    ResolveRunRequest, RevealSecretsRequest, RunOutcome, Snapshot, VerifyLogRequest,
    reveal_secrets_response,
};
use tonic::{Request, Status};

use super::{count, random};
use crate::support::client::{Client, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::disk::{Disk, Fate, SYNC, TRUNCATE, WRITE};

const CLIENTS: usize = 4;

/// The secret of [`config`].
pub(super) const TOKEN: &str = "tok-5b3f0a7719c24d0e-of-a-file";

const PIPELINE: &str = "name: small
parameters:
  n: { type: integer, default: 1 }
  token: { type: string, secret: true, override: run, from: { file: { path: token } } }
steps:
  - { name: go, params: [n], run: [echo, \"{{ run.id }}\"], env: { TOKEN: \"{{ params.token }}\" } }
";

/// What the clients saw: their own log, which the daemon's is compared with.
#[derive(Default)]
struct Seen {
    /// Each request by its trace: what it was, and whether it was answered.
    requests: BTreeMap<String, (Action, bool)>,
    /// What was frozen, by run.
    frozen: BTreeMap<String, Snapshot>,
    /// What was revealed, by run.
    revealed: BTreeMap<String, Vec<PlainSecret>>,
    /// Runs whose end was answered.
    ended: Vec<String>,
}

/// A client that writes down what it asks, before, and what it got, after.
#[derive(Clone)]
struct Witness {
    client: Client,
    seen: Arc<Mutex<Seen>>,
}

impl Witness {
    fn traced<T>(&self, action: Action, message: T) -> (String, Request<T>) {
        let trace = format!("{:016x}{:016x}", random(), random() | 1);
        let mut request = Request::new(message);
        let parent = format!("00-{trace}-00000000000000ff-01");
        request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        self.seen.lock().unwrap().requests.insert(trace.clone(), (action, false));
        (trace, request)
    }

    /// Writes an answer down in one go: it can't be half known.
    fn answered(&self, trace: &str, write: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().unwrap();
        seen.requests.get_mut(trace).unwrap().1 = true;
        write(&mut seen);
    }

    async fn resolve(&self, id: &str) -> Result<ResolveResult, Status> {
        let message: ResolveRunRequest = resolve("small", id).into();
        let (trace, request) = self.traced(Action::Resolve, message);
        let answer = self.client.runs.clone().resolve_run(request).await?.into_inner();
        let (result, snapshot) = (answer.result(), answer.snapshot.unwrap());
        self.answered(&trace, |seen| {
            let frozen = seen.frozen.entry(id.into()).or_insert_with(|| snapshot.clone());
            assert_eq!(*frozen, snapshot, "{id} changed");
        });
        Ok(result)
    }

    async fn reveal(&self, id: &str) -> Result<(), Status> {
        let message = RevealSecretsRequest {
            run: Some(run("small", id)),
            step: "go".into(),
            all: true,
            ..RevealSecretsRequest::default()
        };
        let (trace, request) = self.traced(Action::Reveal, message);
        let answer = self.client.context.clone().reveal_secrets(request).await?.into_inner();
        let Some(reveal_secrets_response::Secrets::Plain(plain)) = answer.secrets else {
            panic!("no plain answer")
        };
        self.answered(&trace, |seen| {
            let revealed = seen.revealed.entry(id.into()).or_insert_with(|| plain.secrets.clone());
            assert_eq!(*revealed, plain.secrets, "{id} changed");
        });
        Ok(())
    }

    async fn complete(&self, id: &str) -> Result<(), Status> {
        let message = CompleteRunRequest {
            run: Some(run("small", id)),
            outcome: RunOutcome::Succeeded.into(),
        };
        let (trace, request) = self.traced(Action::Complete, message);
        self.client.runs.clone().complete_run(request).await?;
        self.answered(&trace, |seen| seen.ended.push(id.into()));
        Ok(())
    }

    /// Resolves, reveals and ends runs until the daemon is gone.
    async fn work(self, name: String) {
        for number in 0.. {
            let id = format!("{name}-{number}");
            let lived = async {
                self.resolve(&id).await?;
                self.reveal(&id).await?;
                self.reveal(&id).await?;
                if number % 3 == 0 {
                    self.complete(&id).await?;
                }
                Ok::<_, Status>(())
            };
            if lived.await.is_err() {
                return;
            }
        }
    }

    /// Whether a run is as it was seen: frozen, revealed, ended.
    async fn check(&self, id: &str) {
        let (ended, revealed) = {
            let seen = self.seen.lock().unwrap();
            (seen.ended.iter().any(|ended| ended == id), seen.revealed.contains_key(id))
        };
        let request = GetRunRequest { run: Some(run("small", id)) };
        let answer = self.client.runs.clone().get_run(request).await.unwrap().into_inner();
        let stored = answer.run.unwrap();
        if ended {
            assert_eq!(stored.outcome(), RunOutcome::Succeeded, "{id}: its end is lost");
        } else if stored.outcome() == RunOutcome::Unspecified {
            assert_eq!(self.resolve(id).await.unwrap(), ResolveResult::Replayed, "{id} is lost");
            if revealed {
                self.reveal(id).await.unwrap();
            }
        }
    }
}

pub(super) fn config() -> Config {
    let source = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"] }] }\n";
    let config = Config::new(source, "small", PIPELINE);
    config.write_secret("files/token", TOKEN);
    config
}

/// Lets the daemon die while clients work, and says how it died.
async fn death(mut daemon: Daemon, disk: &Disk, seen: &Arc<Mutex<Seen>>, round: usize) -> String {
    let clients: Vec<_> = {
        let client = daemon.client().await;
        (0..CLIENTS)
            .map(|number| {
                let witness = Witness { client: client.clone(), seen: Arc::clone(seen) };
                tokio::spawn(witness.work(format!("k{round}-{number}")))
            })
            .collect()
    };
    let fates = [Fate::KillBefore, Fate::KillHalfway, Fate::KillAfter];
    let (chosen, pass) = (random(), (random() % 60) as i64);
    let fate = fates[(chosen % 3) as usize];
    let how = match chosen / 3 % 8 {
        0 | 1 => {
            let moment = Duration::from_micros(random() % 150_000);
            tokio::time::sleep(moment).await;
            daemon.kill();
            format!("after {moment:?}")
        }
        kind => {
            let (operation, pass) = match kind {
                2 => (TRUNCATE, pass % 2),
                3 | 4 => (SYNC, pass / 4),
                _ => (WRITE, pass),
            };
            disk.falls_ill(operation, pass, fate);
            daemon.wait();
            assert!(disk.happened() > 0, "the daemon died of something else");
            disk.heals();
            format!("{fate:?} of operation {operation}, {pass} passed")
        }
    };
    for client in clients {
        client.await.unwrap();
    }
    how
}

fn brief(events: &[&Event]) -> Vec<String> {
    let one = |e: &&Event| format!("{} {:?} {:?} {}", e.sequence, e.action(), e.time, e.reason);
    events.iter().map(one).collect()
}

/// Compares the daemon's log with the clients'.
fn compare(events: &[Event], seen: &Seen) {
    let mut recorded: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    // That fingerprints were shown is an event beside the access.
    let accesses = events.iter().filter(|event| event.action() != Action::Fingerprints);
    for event in accesses.filter(|event| !event.trace_id.is_empty()) {
        recorded.entry(&event.trace_id).or_default().push(event);
    }
    for (trace, (action, answered)) in &seen.requests {
        let of = recorded.remove(trace.as_str()).unwrap_or_default();
        assert!(of.len() <= 1, "{action:?} {trace} has more than one event: {:?}", brief(&of));
        assert!(!answered || of.len() == 1, "{action:?} {trace} was answered and has no event");
        for event in of {
            assert_eq!(event.action(), *action);
            assert!(!answered || event.outcome() == EventOutcome::Succeeded, "{event:?}");
        }
    }
    assert!(recorded.is_empty(), "events of nobody: {recorded:?}");
}

pub(super) async fn verify(client: &Client) {
    let mut audit = client.audit.clone();
    let report = audit.verify_log(VerifyLogRequest::default()).await.unwrap().into_inner();
    assert!(report.chains.iter().all(|chain| chain.defect == 0), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_kill_9_inside_and_between_commits() {
    let kills = count(50);
    let config = config();
    let (disk, launch) = Disk::below(Launch::plain(&config.path, config.around()));
    let seen = Arc::new(Mutex::new(Seen::default()));
    let begun = Instant::now();
    let mut last = String::new();
    let mut checked = 0;
    let mut daemon = launch.start().await;
    for round in 0..kills {
        last = death(daemon, &disk, &seen, round).await;
        daemon = launch.start().await;
        let witness = Witness { client: daemon.client().await, seen: Arc::clone(&seen) };
        let prefix = format!("k{round}-");
        let mine: Vec<_> = {
            let seen = seen.lock().unwrap();
            seen.frozen.keys().filter(|id| id.starts_with(&prefix)).cloned().collect()
        };
        for id in &mine {
            witness.check(id).await;
        }
        checked += mine.len();
        if round % 10 == 0 {
            verify(&witness.client).await;
        }
    }
    let witness = Witness { client: daemon.client().await, seen: Arc::clone(&seen) };
    let runs: Vec<_> = seen.lock().unwrap().frozen.keys().cloned().collect();
    for id in &runs {
        witness.check(id).await;
    }
    verify(&witness.client).await;
    let events = witness.client.events().await;
    let seen = seen.lock().unwrap();
    compare(&events, &seen);
    assert!(checked > kills, "{checked} runs in {kills} lives: hardly anything was asked");
    let answered = seen.requests.values().filter(|(_, answered)| *answered).count();
    println!(
        "{kills} kills in {:?}: {} runs, {answered} answers of {} requests, {} events; the last died {last}",
        begun.elapsed(),
        runs.len(),
        seen.requests.len(),
        events.len(),
    );
    daemon.stop();
}
