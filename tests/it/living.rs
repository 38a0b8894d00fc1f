//! Living with a daemon that serves: what changes on disk while it does.

mod log;
mod metrics;
mod reload;
mod service;
mod sources;
mod traces;
mod watch;

use std::time::Duration;

use paramd::proto::v1::{Action, Event, EventOutcome};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::client::channel;
use crate::support::config::Config;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

/// How long a change on disk may take to be seen: longer than the poll.
const SEEN: Duration = Duration::from_secs(20);

const PIPELINE: &str = "name: p
parameters:
  n: { type: integer, default: 1 }
steps:
  - { name: go, params: [n], run: [echo, \"{{ params.n }}\"] }
";

fn config() -> Config {
    Config::new("", "p", PIPELINE)
}

/// What the health service `paramd.bundle` says.
async fn bundle(daemon: &Daemon) -> ServingStatus {
    let channel = channel(daemon.socket()).await.unwrap();
    let request = HealthCheckRequest { service: "paramd.bundle".into() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
}

/// Waits until the daemon says so of what is on disk.
async fn wait_for_bundle(daemon: &Daemon, wanted: ServingStatus) {
    wait_until("the bundle's health", SEEN, async || {
        (bundle(daemon).await == wanted).then_some(())
    })
    .await;
}

/// The reloads that are on record, oldest first.
async fn reloads(daemon: &Daemon) -> Vec<Event> {
    let events = daemon.client().await.events().await;
    events.into_iter().filter(|event| event.action() == Action::Reload).collect()
}

/// Waits until so many reloads are on record, and gives the last.
async fn wait_for_reload(daemon: &Daemon, count: usize) -> Event {
    wait_until("a reload is on record", SEEN, async || {
        let reloads = reloads(daemon).await;
        (reloads.len() >= count).then(|| reloads.into_iter().next_back().unwrap())
    })
    .await
}

/// Whether the event says that a bundle was taken.
fn taken(event: &Event) -> bool {
    event.outcome() == EventOutcome::Succeeded
}
