//! Names, then permission, then the rest; two principals.

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::engine::testing::PIPELINE;
use crate::engine::{
    Begin, Caller, ExplainRequest, Overrides, ResolveRequest, RunSelector, WatchRequest,
};
use crate::store::{AttemptMode, EventQuery};

/// What a refusal says, to the last detail.
fn whole<T>(answer: Result<T, Refusal>) -> String {
    format!("{:?}", answer.err().expect("a refusal"))
}

const OWNER: &str = r#"permit (principal == Paramd::Principal::"uid:1", action, resource);"#;

fn actions(uid: u32, names: &[&str]) -> String {
    let list: Vec<_> = names.iter().map(|name| format!("Paramd::Action::\"{name}\"")).collect();
    let list = list.join(", ");
    format!("permit (principal == {}, action in [{list}], resource);\n", user(uid))
}

fn user(uid: u32) -> String {
    format!("Paramd::Principal::\"uid:{uid}\"")
}

#[tokio::test]
async fn another_principal_does_not_join() {
    let bench = Bench::under(&(OWNER.to_owned() + &actions(2, &["resolve"])), good());
    bench.resolve(1, request(&[])).await.unwrap();
    assert_eq!(reason(bench.resolve(2, request(&[])).await), "ACCESS_DENIED");
    // Before anything is compared or looked at.
    assert_eq!(reason(bench.resolve(2, request(&[("n", "x")])).await), "ACCESS_DENIED");
    let events = bench.events();
    let joins: Vec<_> = events.iter().filter(|event| event.draft.action == Action::Join).collect();
    assert_eq!(joins.len(), 2);
    for event in joins {
        assert_eq!(line(event), "Join Denied ACCESS_DENIED");
        assert_eq!(event.draft.principal.name, "uid:2");
        assert_eq!(event.draft.run.as_ref().unwrap().0.as_str(), "r");
        assert!(event.draft.policy_ids.is_empty());
    }
}

#[tokio::test]
async fn anothers_run_that_cannot_be_read_looks_like_any_other() {
    let bench = Bench::under(OWNER, good());
    bench.resolve(1, request(&[])).await.unwrap();
    bench.store.close().await.unwrap();
    let Bench { engine, store, folder } = bench;
    drop((engine, store));
    let database = rusqlite::Connection::open(folder.path().join("paramd.db")).unwrap();
    database.execute_batch("update runs set revision = '0'").unwrap();
    drop(database);
    let policies = OWNER.to_owned() + &actions(2, &["resolve"]);
    let files = [("pipelines/p.yaml", PIPELINE), ("policies/own.cedar", policies.as_str())];
    let bench = Bench::open(folder, &files, good());
    for number in [1, 2] {
        let mut asked = request(&[]);
        (asked.run.attempt, asked.mode) = (number, (number > 1).then_some(AttemptMode::Refresh));
        let answer = bench.resolve(2, asked.clone()).await;
        assert_eq!(whole(answer.map(|_| ())), "AccessDenied { fields: [] }", "{number}");
        let event = bench.events().pop().unwrap();
        assert_eq!(line(&event), "Join Denied ACCESS_DENIED");
        assert_eq!(reason(bench.resolve(1, asked).await), "SNAPSHOT_UNREADABLE");
    }
}

#[tokio::test]
async fn denied_and_absent_look_alike() {
    let bench = Bench::under(OWNER, good());
    bench.resolve(1, request(&[])).await.unwrap();
    let engine = &bench.engine;
    let stranger = caller(2);
    let selectors = [
        run("r"),
        run("absent"),
        RunSelector { pipeline: "absent".into(), ..run("r") },
        RunSelector { attempt: 1, ..run("r") },
    ];
    let mut told = std::collections::BTreeSet::new();
    for selector in selectors {
        let mut asked = request(&[("unknown", "x"), ("n", "no number")]);
        asked.run = RunSelector { attempt: 0, ..selector.clone() };
        told.insert(whole(engine.resolve(&stranger, asked).await));
        told.insert(whole(engine.get_run(&stranger, selector.clone()).await));
        told.insert(whole(engine.complete(&stranger, selector.clone(), Ok(RunEnd::Failed)).await));
        told.insert(whole(engine.get_pipeline(&stranger, selector.pipeline.clone()).await));
    }
    for step in ["main", "absent"] {
        told.insert(whole(bench.context(2, step, None).await));
        told.insert(whole(bench.context(2, step, Some(99)).await));
    }
    // Of a reveal, the names that were asked for are told besides.
    for names in [&[][..], &["token", "absent"]] {
        let mut told = std::collections::BTreeSet::new();
        for step in ["main", "rest", "open", "absent"] {
            told.insert(whole(bench.reveal(2, step, None, names).await.map(|_| ())));
        }
        let asked = crate::engine::RevealRequest {
            run: run("absent"),
            step: "main".into(),
            instance: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            all: names.is_empty(),
            form: crate::envelope::Form::Plain,
            problems: Vec::new(),
        };
        told.insert(whole(engine.reveal(&stranger, asked).await.map(|_| ())));
        assert_eq!(told.len(), 1, "{told:#?}");
    }
    for environment in ["dev", "absent"] {
        let asked = ExplainRequest {
            logical_date: None,
            pipeline: "p".into(),
            environment: environment.into(),
            preset: "absent".into(),
            overrides: Overrides::default(),
            problems: Vec::new(),
        };
        told.insert(whole(engine.explain(&stranger, asked).await.map(|_| ())));
    }
    told.insert(whole(engine.list_events(&stranger, page(0), |_| 0).await.map(|_| ())));
    let verified =
        engine.verify_log(&stranger, String::new(), "bad".into(), std::time::Duration::ZERO);
    told.insert(whole(verified.await.map(|_| ())));
    assert_eq!(told, std::collections::BTreeSet::from(["AccessDenied { fields: [] }".to_owned()]));
    bench.settle().await;
    let events = bench.events();
    let denied = events.iter().filter(|event| event.draft.principal.name == "uid:2");
    assert!(denied.clone().all(|event| event.draft.outcome == Outcome::Denied));
    assert_eq!(denied.count(), 16 + 4 + 10 + 2 + 2);
    // Nothing that isn't known is named.
    assert!(!format!("{events:?}").contains("absent"));
}

#[tokio::test]
async fn who_is_permitted_in_one_environment_learns_of_no_absence() {
    let dev = r#"permit (principal, action, resource) when { context has environment && context.environment == "dev" };"#;
    let bench = Bench::under(dev, good());
    bench.resolve(1, request(&[])).await.unwrap();
    assert!(bench.context(1, "main", None).await.is_ok());
    let absent = bench.engine.get_run(&caller(1), run("absent")).await;
    assert_eq!(reason(absent), "ACCESS_DENIED");
    assert_eq!(reason(bench.context(1, "absent", None).await), "STEP_NOT_FOUND");
    let everywhere = Bench::new(good());
    assert_eq!(reason(everywhere.engine.get_run(&caller(1), run("absent")).await), "RUN_NOT_FOUND");
    let told = everywhere.events().pop().unwrap();
    assert!(!told.draft.policy_ids.is_empty(), "it says which policies decided");
}

/// By whatever name a parameter is passed, and with whatever field.
#[tokio::test]
async fn what_a_call_overrides_is_known_by_its_declared_name() {
    let policies = OWNER.to_owned()
        + r#"@id("no-n") forbid (
            principal,
            action in [Paramd::Action::"resolve", Paramd::Action::"explain"],
            resource
        ) when { context.overridden.contains("n") };"#;
    let bench = Bench::under(&policies, good());
    let explained = |name: &str| {
        let asked = request(&[(name, "1")]);
        let ResolveRequest { environment, overrides, .. } = asked;
        ExplainRequest {
            pipeline: "p".into(),
            environment,
            preset: String::new(),
            overrides,
            logical_date: None,
            problems: Vec::new(),
        }
    };
    for name in ["n", "count"] {
        let answer = bench.resolve(1, request(&[(name, "1")])).await;
        assert_eq!(reason(answer), "ACCESS_DENIED", "{name}");
        let answer = bench.engine.explain(&caller(1), explained(name)).await;
        assert_eq!(reason(answer), "ACCESS_DENIED", "{name}");
        let denied = bench.events().pop().unwrap();
        assert_eq!(denied.draft.policy_ids, ["no-n"]);
    }
    assert_eq!(reason(bench.resolve(1, request(&[("none", "1")])).await), "INVALID_REQUEST");
    bench.resolve(1, request(&[("go", "true")])).await.unwrap();
}

/// A run's own values are its own: who joins it or reads its secrets is decided on
/// by what it was made with.
#[tokio::test]
async fn a_run_knows_what_it_was_made_with() {
    let policies = OWNER.to_owned()
        + &actions(2, &["join", "reveal"])
        + r#"@id("no-n") forbid (
            principal,
            action in [Paramd::Action::"join", Paramd::Action::"reveal"],
            resource
        ) when { context.overridden.contains("n") };"#;
    let bench = Bench::under(&policies, good());
    bench.resolve(1, request(&[("count", "3")])).await.unwrap();
    assert_eq!(reason(bench.resolve(2, request(&[("count", "3")])).await), "ACCESS_DENIED");
    assert_eq!(reason(bench.reveal(1, "main", None, &["token"]).await), "ACCESS_DENIED");
    assert_eq!(bench.events().pop().unwrap().draft.policy_ids, ["no-n"]);
    let mut other = request(&[]);
    other.run = run("other");
    bench.resolve(1, other.clone()).await.unwrap();
    bench.resolve(2, other).await.unwrap();
}

#[tokio::test]
async fn a_call_is_decided_at_the_time_when_it_was_made() {
    let policies = r#"@id("early") permit (principal, action, resource)
        when { context.time < datetime("2026-03-01") };"#;
    let bench = Bench::under(policies, good());
    let at = |time: &str| Caller { time: time.parse().unwrap(), ..caller(1) };
    let (early, late) = (at("2026-02-28T23:59:59Z"), at("2026-03-01T00:00:00Z"));
    for _ in 0..2 {
        assert_eq!(reason(bench.engine.resolve(&late, request(&[])).await), "ACCESS_DENIED");
        bench.engine.resolve(&early, request(&[])).await.unwrap();
        assert_eq!(reason(bench.engine.get_run(&late, run("r")).await), "ACCESS_DENIED");
        bench.engine.get_run(&early, run("r")).await.unwrap();
    }
}

#[tokio::test]
async fn a_watch_ends_with_the_time_that_it_is_permitted_for() {
    let until = Timestamp::now().checked_add(Duration::from_secs(4)).unwrap();
    let until = Timestamp::from_second(until.as_second()).unwrap();
    let policies = OWNER.to_owned()
        + &format!(
            "@id(\"until\") forbid (principal, action == Paramd::Action::\"audit\", resource)
            unless {{ context.time < datetime(\"{until}\") }};"
        );
    let bench = Bench::under(&policies, good());
    let (query, begin) = (EventQuery::default(), Begin::Next);
    let asked = WatchRequest { query, begin, problems: Vec::new() };
    let mut watch = bench.engine.watch_events(caller(1), asked).await.unwrap();
    watch.next().await.unwrap();
    while Timestamp::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reason(watch.next().await), "ACCESS_DENIED");
    assert_eq!(bench.events().pop().unwrap().draft.policy_ids, ["until"]);
}

#[tokio::test]
async fn who_may_resolve_may_not_thereby_reveal() {
    let policies = actions(1, &["resolve", "read"]);
    let bench = Bench::under(&policies, good());
    bench.resolve(1, request(&[])).await.unwrap();
    let Err(Refusal::AccessDenied { fields }) =
        bench.reveal(1, "main", None, &["token", "no"]).await
    else {
        panic!("it is denied")
    };
    let told: Vec<_> = fields.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(told, ["names[0]", "names[1]"]);
    assert_eq!(bench.context(1, "main", None).await.unwrap()[1], 0, "no fingerprints");
}

#[tokio::test]
async fn names_come_before_permission() {
    let bench = Bench::under("", good());
    let mut asked = request(&[("n", "x")]);
    asked.run.run_id = "r".repeat(251);
    asked.environment = "--dev".into();
    asked.preset = "../quick".into();
    let Err(Refusal::Invalid(violations)) = bench.resolve(1, asked).await else {
        panic!("names are wrong")
    };
    let told: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(told, ["run.run_id", "environment", "preset"]);
    let mut asked = request(&[]);
    asked.run.run_id = "r".repeat(250);
    assert_eq!(reason(bench.resolve(1, asked).await), "ACCESS_DENIED");
}

#[tokio::test]
async fn what_is_asked_for_by_name_must_be_there() {
    let bench = Bench::new(good());
    let mut asked = request(&[]);
    asked.run.pipeline = "q".into();
    assert_eq!(reason(bench.resolve(1, asked).await), "PIPELINE_NOT_FOUND");
    let mut asked = request(&[]);
    asked.environment = "moon".into();
    assert_eq!(reason(bench.resolve(1, asked).await), "ENVIRONMENT_NOT_FOUND");
    let event = bench.events().pop().unwrap();
    assert_eq!(event.draft.unknown_names, 1);
    assert_eq!(event.draft.environment, None);
}
