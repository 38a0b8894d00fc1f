//! Runs in lists, and what went wrong with them.

use std::collections::BTreeMap;
use std::time::Duration;

use paramd::proto::v1::{
    Action, EventFilter, ListEventsRequest, ListFailuresRequest, ListRunsRequest, ListRunsResponse,
    Run, RunOutcome, RunState, SourceKind,
};

use super::small;
use crate::support::client::{Client, resolve, run};
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::wait_until;

async fn page(client: &Client, request: ListRunsRequest) -> ListRunsResponse {
    client.runs.clone().list_runs(request).await.unwrap().into_inner()
}

fn ids(runs: &[Run]) -> Vec<&str> {
    runs.iter().map(|run| run.name.as_ref().unwrap().run_id.as_str()).collect()
}

fn all() -> ListRunsRequest {
    ListRunsRequest::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_come_first_and_pages_do_not_shift() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    assert_eq!(page(&client, all()).await, ListRunsResponse::default());
    let mut made = Vec::new();
    for id in ["a", "b", "c"] {
        made.insert(0, client.resolve(resolve("small", id)).await.unwrap().run.unwrap());
    }
    assert_eq!(page(&client, all()).await.runs, made);
    let by_two = ListRunsRequest { page_size: 2, ..all() };
    let first = page(&client, by_two.clone()).await;
    assert_eq!(ids(&first.runs), ["c", "b"]);
    client.resolve(resolve("small", "d")).await.unwrap();
    let next = ListRunsRequest { page_token: first.next_page_token.clone(), ..by_two.clone() };
    let second = page(&client, next.clone()).await;
    assert_eq!((ids(&second.runs), second.next_page_token.as_str()), (vec!["a"], ""));
    // A token belongs to its filter; only the size may change.
    assert_eq!(page(&client, ListRunsRequest { page_size: 9, ..next.clone() }).await, second);
    for wrong in [
        ListRunsRequest { pipeline: "small".into(), ..next.clone() },
        ListRunsRequest { states: vec![1], ..next },
        ListRunsRequest { page_token: "AAAA".into(), ..by_two },
    ] {
        let status = client.runs.clone().list_runs(wrong).await.unwrap_err();
        let problem = check_reason(&status, "INVALID_REQUEST");
        assert_eq!(problem.violations[0].field, "page_token");
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_listed_if_it_fits_every_field() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let labelled = resolve("small", "a")
        .with(|request| request.labels = labels(&[("team", "ml"), ("a.b/c", "1")]));
    let first = client.resolve(labelled).await.unwrap().run.unwrap();
    let other = resolve("small", "b").with(|request| request.labels = labels(&[("team", "web")]));
    let second = client.resolve(other).await.unwrap().run.unwrap();
    client.complete(&run("small", "b"), RunOutcome::Failed).await.unwrap();
    let found = async |request: ListRunsRequest| ids(&page(&client, request).await.runs).join(" ");
    assert_eq!(found(ListRunsRequest { pipeline: "small".into(), ..all() }).await, "b a");
    assert_eq!(found(ListRunsRequest { pipeline: "none".into(), ..all() }).await, "");
    assert_eq!(found(ListRunsRequest { run_id: "a".into(), ..all() }).await, "a");
    assert_eq!(found(ListRunsRequest { environment: "dev".into(), ..all() }).await, "b a");
    assert_eq!(found(ListRunsRequest { environment: "moon".into(), ..all() }).await, "");
    let states = |states: &[RunState]| ListRunsRequest {
        states: states.iter().map(|state| i32::from(*state)).collect(),
        ..all()
    };
    assert_eq!(found(states(&[RunState::Open])).await, "a");
    assert_eq!(found(states(&[RunState::Completed])).await, "b");
    assert_eq!(found(states(&[RunState::Expired])).await, "");
    assert_eq!(found(states(&[RunState::Open, RunState::Completed])).await, "b a");
    let with = |pairs| ListRunsRequest { labels: labels(pairs), ..all() };
    assert_eq!(found(with(&[("team", "ml")])).await, "a");
    assert_eq!(found(with(&[("team", "ml"), ("a.b/c", "1")])).await, "a");
    assert_eq!(found(with(&[("team", "web"), ("a.b/c", "1")])).await, "");
    let made = (first.create_time, second.create_time);
    assert_eq!(found(ListRunsRequest { start_time: made.1, ..all() }).await, "b");
    assert_eq!(found(ListRunsRequest { end_time: made.1, ..all() }).await, "a");
    assert_eq!(found(ListRunsRequest { start_time: made.0, ..all() }).await, "b a");
    for (field, wrong) in [
        ("pipeline", ListRunsRequest { pipeline: "NO NAME".into(), ..all() }),
        ("states[0]", ListRunsRequest { states: vec![77], ..all() }),
        ("labels", with(&[("NO KEY", "1")])),
        ("page_size", ListRunsRequest { page_size: -1, ..all() }),
    ] {
        let status = client.runs.clone().list_runs(wrong).await.unwrap_err();
        let problem = check_reason(&status, "INVALID_REQUEST");
        assert_eq!(problem.violations[0].field, field);
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_may_not_see_is_left_out() {
    let config = small();
    std::fs::remove_file(config.path.join("policies/all.cedar")).unwrap();
    config.write(
        "policies/own.cedar",
        "permit (principal, action in [Paramd::Action::\"resolve\", Paramd::Action::\"read\"], \
         resource);\n\
         forbid (principal, action == Paramd::Action::\"read\", resource) \
         when { context has environment && context.environment == \"prod\" };\n",
    );
    config.write("environments/prod.yaml", "{}\n");
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    for (id, environment) in [("a", "dev"), ("b", "prod"), ("c", "dev"), ("d", "prod")] {
        let made = resolve("small", id).with(|request| request.environment = environment.into());
        client.resolve(made).await.unwrap();
    }
    assert_eq!(ids(&page(&client, all()).await.runs), ["c", "a"]);
    let one = ListRunsRequest { page_size: 1, ..all() };
    let first = page(&client, one.clone()).await;
    assert_eq!(ids(&first.runs), ["c"]);
    let next = ListRunsRequest { page_token: first.next_page_token, ..one };
    assert_eq!(ids(&page(&client, next).await.runs), ["a"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_told_also_of_a_run_that_was_resolved_later() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let failures = async |id: &str| {
        let request = ListFailuresRequest { run: Some(run("small", id)) };
        client.runs.clone().list_failures(request).await.unwrap().into_inner().failures
    };
    assert_eq!(failures("a").await, []);
    let wide = || resolve("small", "a").text("wide", "true");
    for _ in 0..21 {
        check_reason(&client.resolve(wide()).await.unwrap_err(), "RESOLUTION_FAILED");
    }
    failures("a").await;
    let filter = EventFilter { pipeline: "small".into(), run_id: "a".into(), ..Default::default() };
    let listing = ListEventsRequest { filter: Some(filter), page_size: 50, ..Default::default() };
    let named =
        wait_until("the events of a run that isn't there", Duration::from_secs(10), async || {
            let answer = client.audit.clone().list_events(listing.clone()).await.unwrap();
            let events = answer.into_inner().events;
            (events.len() == 22).then_some(events)
        })
        .await;
    assert!(named.iter().all(|event| event.run.as_ref().unwrap().attempt == 1));
    assert!(named.iter().all(|event| event.unknown_names == 0));
    assert!(named[..21].iter().all(|event| event.action() == Action::Resolve));
    config.write_secret("files/absent", "it-is-there-by-now");
    client.resolve(wide()).await.unwrap();
    let told = failures("a").await;
    assert_eq!(told.len(), 20);
    assert!(told.windows(2).all(|pair| {
        let at = |index: usize| pair[index].time.map(|time| (time.seconds, time.nanos));
        at(0) >= at(1)
    }));
    assert_eq!((told[0].reason.as_str(), told[0].parameters.len()), ("RESOLUTION_FAILED", 1));
    let one = &told[0].parameters[0];
    assert_eq!((one.parameter.as_str(), one.reason.as_str()), ("other", "NO_SUCH_VALUE"));
    assert_eq!((one.source(), one.source_name.as_str()), (SourceKind::File, "local"));
    assert_eq!((one.location.as_str(), one.cause.as_str()), ("absent", ""));
    assert_eq!(failures("b").await, []);
    daemon.stop();
}
