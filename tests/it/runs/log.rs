//! What the audit log holds of a daemon's life.

use paramd::proto::v1::{Action, Event, EventFilter, EventOutcome, ListEventsRequest};

use super::small;
use crate::support::client::{Client, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::wait_until;

fn told(events: &[Event], action: Action) -> Vec<(EventOutcome, String)> {
    let of = events.iter().filter(|event| event.action() == action);
    of.map(|event| (event.outcome(), event.reason.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_in_the_log_after_kill_9() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    daemon.kill();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    assert_eq!(told(&client.events().await, Action::Resolve).len(), 1);
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    daemon.kill();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    assert_eq!(
        told(&client.events().await, Action::Reveal),
        [(EventOutcome::Succeeded, String::new())]
    );
    let unknown = resolve("small", "b").text("epochs", "none").text("no-such", "1");
    check_reason(&client.resolve(unknown).await.unwrap_err(), "INVALID_REQUEST");
    daemon.kill();
    let daemon = launch.start().await;
    let events = daemon.client().await.events().await;
    let last = events.iter().rfind(|event| event.action() == Action::Resolve).unwrap();
    assert_eq!((last.outcome(), last.reason.as_str()), (EventOutcome::Failed, "INVALID_REQUEST"));
    assert_eq!(last.unknown_names, 1);
    assert_eq!(told(&events, Action::Start).len(), 4);
    daemon.stop();
    let daemon = launch.start().await;
    assert_eq!(told(&daemon.client().await.events().await, Action::Stop).len(), 1);
    daemon.stop();
}

async fn found(client: &Client, filter: EventFilter) -> Vec<Event> {
    let request = ListEventsRequest { filter: Some(filter), ..ListEventsRequest::default() };
    client.audit.clone().list_events(request).await.unwrap().into_inner().events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_finds_what_fits_all_its_fields() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    client.resolve(resolve("small", "b")).await.unwrap();
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    let _ = client.reveal_all(&run("small", "b"), "wide", None).await.unwrap_err();
    let filter = EventFilter::default;
    let count = async |filter: EventFilter| found(&client, filter).await.len();
    let reveal = vec![i32::from(Action::Reveal)];
    assert_eq!(count(EventFilter { actions: reveal.clone(), ..filter() }).await, 2);
    let failed = vec![i32::from(EventOutcome::Failed)];
    let both = EventFilter { actions: reveal.clone(), outcomes: failed, ..filter() };
    assert_eq!(count(both).await, 1);
    let of_run = EventFilter { pipeline: "small".into(), run_id: "a".into(), ..filter() };
    let of_run = found(&client, of_run).await;
    assert!(of_run.iter().all(|event| event.run.as_ref().unwrap().run_id == "a"));
    assert!(of_run.len() >= 2);
    let token = EventFilter { parameter: "env.HEADER".into(), ..filter() };
    let token = found(&client, token).await;
    assert_eq!(token.len(), 1);
    assert_eq!(token[0].action(), Action::Reveal);
    assert_eq!(count(EventFilter { step: "wide".into(), ..filter() }).await, 1);
    assert_eq!(count(EventFilter { environment: "prod".into(), ..filter() }).await, 0);
    assert_eq!(count(EventFilter { principal: "uid:999999".into(), ..filter() }).await, 0);
    let unknown = EventFilter { actions: vec![99], ..filter() };
    let request = ListEventsRequest { filter: Some(unknown), ..ListEventsRequest::default() };
    let status = client.audit.clone().list_events(request).await.unwrap_err();
    let problem = check_reason(&status, "INVALID_REQUEST");
    assert_eq!(problem.violations[0].field, "filter.actions[0]");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_is_the_daemons_own_and_erases_the_secrets() {
    let config = small();
    config.replace("pipelines/small.yaml", &[("name: small\n", "name: small\nlifetime: 1s\n")]);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    wait_until("the run expires", std::time::Duration::from_secs(30), async || {
        let events = client.events().await;
        let event = events.iter().find(|event| event.action() == Action::Expire)?.clone();
        assert_eq!(event.principal.as_ref().unwrap().name, "daemon");
        assert_eq!(event.run.as_ref().unwrap().run_id, "a");
        assert_eq!(event.environment, "dev");
        Some(())
    })
    .await;
    let sealed = sealed_bytes(&config);
    assert_eq!(sealed, 0);
    daemon.stop();
}

/// How many bytes of sealed secrets the store has.
fn sealed_bytes(config: &Config) -> i64 {
    let store = rusqlite::Connection::open(config.path.join("state/paramd.db")).unwrap();
    store.query_row("select sum(length(sealed)) from runs", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_from_the_bundle_is_replayed_all_the_same() {
    let config = small();
    config.write("environments/prod.yaml", "{}\n");
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let asked = || resolve("small", "a").with(|request| request.environment = "prod".into());
    let first = daemon.client().await.resolve(asked()).await.unwrap();
    daemon.stop();
    std::fs::remove_file(config.path.join("environments/prod.yaml")).unwrap();
    std::fs::remove_file(config.path.join("pipelines/small.yaml")).unwrap();
    config.write("pipelines/other.yaml", "name: other\n");
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let second = client.resolve(asked()).await.unwrap();
    assert_eq!(second.snapshot, first.snapshot);
    assert!(second.revision_changed);
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    let other = asked().text("epochs", "3");
    let problem = check_reason(&client.resolve(other).await.unwrap_err(), "RUN_CONFLICT");
    assert_eq!(problem.metadata["differs"], "overrides.epochs");
    daemon.stop();
}
