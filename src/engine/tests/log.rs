//! What the audit log says of each call.

use super::*;
use crate::engine::{ContextAnswer, EventsRequest};
use crate::store::EventQuery;

#[tokio::test]
async fn each_call_has_its_event_with_all_that_is_known() {
    let bench = Bench::new(good());
    let mut asker = caller(1);
    asker.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736".into();
    bench.engine.resolve(&asker, request(&[("count", "4")])).await.unwrap();
    bench.reveal(1, "each", Some(1), &["env.H"]).await.unwrap();
    bench.settle().await;
    let events = bench.events();
    let of = |action: Action| {
        &events.iter().find(|event| event.draft.action == action).expect("an event").draft
    };
    let resolve = of(Action::Resolve);
    assert_eq!(resolve.outcome, Outcome::Succeeded);
    assert_eq!(resolve.principal.name, "uid:1");
    assert_eq!(resolve.trace_id, asker.trace_id);
    assert_eq!(resolve.environment.as_ref().unwrap().as_str(), "dev");
    assert_eq!(resolve.bundle.len(), 64);
    assert!(!resolve.policy_ids.is_empty());
    assert!(!resolve.fingerprint_key.is_empty());
    let names: Vec<_> = resolve.parameters.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["go", "header", "list", "n", "remote", "token"]);
    let token = resolve.parameters.iter().find(|one| one.name.as_str() == "token").unwrap();
    assert_eq!(token.source_name.as_ref().unwrap().as_str(), "second");
    assert_eq!((token.location.as_str(), token.version.as_deref()), ("B", Some("v1")));
    assert!(token.fingerprint.is_some());
    let remote = resolve.parameters.iter().find(|one| one.name.as_str() == "remote").unwrap();
    assert!(remote.fingerprint.is_none());

    let reveal = of(Action::Reveal);
    assert_eq!(reveal.step.as_ref().unwrap().as_str(), "each");
    assert_eq!(reveal.instance, Some(1));
    assert_eq!(reveal.run.as_ref().unwrap().0.as_str(), "r");
    assert_eq!(reveal.parameters.len(), 1);
    assert!(reveal.parameters[0].fingerprint.is_some());
    assert!(!format!("{events:?}").contains(TOKEN));
}

#[tokio::test]
async fn fingerprints_are_recorded_only_where_there_are_some() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    let count = async |bench: &Bench| {
        let told = bench.told().await;
        told.iter().filter(|line| line.starts_with("Fingerprints")).count()
    };
    assert_eq!(count(&bench).await, 1);
    bench.context(1, "open", None).await.unwrap();
    assert_eq!(count(&bench).await, 1, "a context without secrets has none");
    assert_eq!(bench.context(1, "main", None).await.unwrap()[1], 1);
    assert_eq!(count(&bench).await, 2);
    bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Succeeded)).await.unwrap();
    assert_eq!(count(&bench).await, 2, "the end of a run shows none");
}

#[tokio::test]
async fn a_failure_names_what_was_asked_and_the_keyword() {
    let plan = super::super::testing::PIPELINE
        .replace("token: { type: string,", "token: { type: string, maxLength: 3,");
    let bench = Bench::over(
        &[("pipelines/p.yaml", plan.as_str()), ("policies/own.cedar", super::super::testing::ALL)],
        good(),
    );
    assert_eq!(reason(bench.resolve(1, request(&[])).await), "RESOLUTION_FAILED");
    let event = bench.events().pop().unwrap();
    assert_eq!(line(&event), "Resolve Failed RESOLUTION_FAILED");
    let told = &event.draft.parameters[0];
    assert_eq!((told.name.as_str(), told.violated_keyword), ("token", "maxLength"));
    assert_eq!(told.location, "B");
}

#[tokio::test]
async fn who_proves_nothing_is_recorded() {
    let bench = Bench::new(good());
    let refusal = bench.engine.unauthenticated(String::new(), Refusal::Unauthenticated).await;
    assert_eq!(refusal.reason(), "UNAUTHENTICATED");
    let event = bench.events().pop().unwrap();
    assert_eq!(line(&event), "Authenticate Denied UNAUTHENTICATED");
    assert_eq!(event.draft.principal.kind, crate::audit::PrincipalKind::Anonymous);
}

#[tokio::test]
async fn pages_hold_their_place_while_events_arrive() {
    let bench = Bench::new(good());
    for _ in 0..5 {
        reason(bench.engine.get_run(&caller(1), run("absent")).await);
    }
    let mut asked = page(2);
    asked.query.newest_first = true;
    let mut seen = Vec::new();
    loop {
        let answer = bench.engine.list_events(&caller(1), asked.clone(), |_| 0).await.unwrap();
        seen.extend(answer.events.iter().map(|event| event.sequence));
        if answer.next_token.is_empty() {
            break;
        }
        asked.page.token = answer.next_token;
        bench.settle().await;
        reason(bench.engine.get_run(&caller(1), run("absent")).await);
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    // A token is good for its own request and caller alone.
    let first = bench.engine.list_events(&caller(1), page(1), |_| 0).await.unwrap();
    let mut other = page(1);
    other.page.token = first.next_token;
    assert!(bench.engine.list_events(&caller(1), other.clone(), |_| 0).await.is_ok());
    assert_eq!(
        reason(bench.engine.list_events(&caller(2), other.clone(), |_| 0).await),
        "INVALID_REQUEST"
    );
    other.query.newest_first = true;
    assert_eq!(reason(bench.engine.list_events(&caller(1), other, |_| 0).await), "INVALID_REQUEST");
}

#[tokio::test]
async fn the_names_of_a_filter_must_be_names() {
    let bench = Bench::new(good());
    let text = |text: &str| Some(text.to_owned());
    let query = EventQuery {
        pipeline: text("P"),
        run_id: text("\n"),
        environment: text("../dev"),
        step: text("--step"),
        principal: text(&"x".repeat(513)),
        ..EventQuery::default()
    };
    let asked = EventsRequest { query, ..EventsRequest::default() };
    let Err(Refusal::Invalid(violations)) =
        bench.engine.list_events(&caller(1), asked, |_| 0).await
    else {
        panic!("they are refused")
    };
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(
        fields,
        [
            "filter.pipeline",
            "filter.run_id",
            "filter.environment",
            "filter.step",
            "filter.principal"
        ]
    );
}

#[tokio::test]
async fn polls_without_news_are_recorded_once_for_a_principal_and_step() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    let poll = async |uid, step: &str, etag: &str| match bench
        .poll(uid, step, None, etag)
        .await
        .unwrap()
    {
        ContextAnswer::Whole(_) => "whole",
        ContextAnswer::NotModified { .. } => "not modified",
    };
    // As many events of reads as answers in full, and one of each poll.
    for _ in 0..2 {
        assert_eq!(poll(1, "open", "").await, "whole");
        assert_eq!(poll(1, "open", "main true").await, "whole");
    }
    for _ in 0..5 {
        assert_eq!(poll(1, "open", "open false").await, "not modified");
        assert_eq!(poll(1, "main", "main true").await, "not modified");
        assert_eq!(poll(2, "main", "main true").await, "not modified");
    }
    let told = bench.told().await;
    let reads = told.iter().filter(|line| *line == "Read Succeeded").count();
    assert_eq!(reads, 4 + 3, "{told:#?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("Fingerprints")).count(), 1);
    // What is refused is recorded each time.
    bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Failed)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(reason(bench.poll(1, "open", None, "open false").await), "RUN_ENDED");
    }
    let told = bench.told().await;
    assert_eq!(told.iter().filter(|line| *line == "Read Failed RUN_ENDED").count(), 2);
}
