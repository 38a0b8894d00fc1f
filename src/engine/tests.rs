use crate::audit::{Action, Outcome};
use crate::refusal::Refusal;
use crate::resolve::fetch::Sources;
use crate::resolve::testing::{Fake, sources, variables};
use crate::store::RunEnd;

use super::testing::{Bench, caller, line, page, request, run};

mod access;
mod attempts;
mod decided;
mod exact;
mod failures;
mod flights;
mod keys;
mod life;
mod listed;
mod log;
mod ready;
mod reveals;

const TOKEN: &str = "tok-4f1c77d2a9be";

/// Sources that answer.
fn good() -> Sources {
    sources(&[
        ("first", &Fake::variables(&[("A", "north")])),
        ("second", &Fake::variables(&[("B", TOKEN)])),
    ])
}

#[track_caller]
fn reason<T>(answer: Result<T, Refusal>) -> &'static str {
    answer.err().expect("a refusal").reason()
}

#[tokio::test]
async fn a_changed_row_is_noticed() {
    for (column, value) in [
        ("owner", "'uid:2'"),
        ("environment", "'prod'"),
        ("preset", "'quick'"),
        ("revision", "'0'"),
        ("bundle", "'0'"),
        ("logical_date", "'2026-01-01T00:00:00Z'"),
        ("mode", "2"),
        ("created", "created + 1"),
        ("expires", "expires + 1000000000000"),
        ("labels", "'{\"a\":\"b\"}'"),
    ] {
        let bench = Bench::new(good());
        bench.resolve(1, request(&[])).await.unwrap();
        let path = bench.folder.path().join("paramd.db");
        bench.store.close().await.unwrap();
        let statement = format!("update runs set {column} = {value}");
        let database = rusqlite::Connection::open(&path).unwrap();
        database.execute_batch(&statement).unwrap();
        drop(database);
        let changed = bench.again();
        assert_eq!(
            reason(changed.context(1, "main", None).await),
            "SNAPSHOT_UNREADABLE",
            "{column}"
        );
        assert_eq!(
            reason(changed.resolve(1, request(&[])).await),
            "SNAPSHOT_UNREADABLE",
            "{column}"
        );
        // It can be ended all the same: its secrets are erased then.
        let ended = changed.engine.complete(&caller(1), run("r"), Ok(RunEnd::Failed)).await;
        assert!(ended.unwrap().frozen.sealed.is_empty());
    }
}

#[tokio::test]
async fn a_run_that_is_as_it_was_is_read_again() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    bench.store.close().await.unwrap();
    let again = bench.again();
    assert!(!again.resolve(1, request(&[])).await.unwrap().created);
    assert_eq!(again.reveal(1, "main", None, &["token"]).await.unwrap().secrets.len(), 1);
}

#[tokio::test]
async fn the_end_of_a_run_is_answered_again_and_no_other() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    let complete = async |end| bench.engine.complete(&caller(1), run("r"), Ok(end)).await;
    let first = complete(RunEnd::Cancelled).await.unwrap();
    let again = complete(RunEnd::Cancelled).await.unwrap();
    assert_eq!(first.end, again.end);
    assert!(first.frozen.sealed.is_empty());
    let Err(Refusal::RunEnded { end }) = complete(RunEnd::Succeeded).await else {
        panic!("another outcome is refused")
    };
    assert_eq!(end, RunEnd::Cancelled);
    assert_eq!(reason(bench.context(1, "main", None).await), "RUN_ENDED");
    let replayed = bench.resolve(1, request(&[])).await.unwrap();
    assert_eq!(replayed.view.run.end, first.end);
}

#[tokio::test]
async fn what_is_wrong_with_the_names_is_told_with_the_outcome() {
    let bench = Bench::new(good());
    let wrong = super::Violation {
        field: "outcome".into(),
        reason: super::ViolationReason::MissingField,
        description: String::new(),
    };
    let nameless = super::RunSelector { pipeline: "P".into(), run_id: String::new(), attempt: 0 };
    let answer = bench.engine.complete(&caller(1), nameless, Err(wrong)).await;
    let Err(Refusal::Invalid(violations)) = answer else { panic!("it is refused") };
    let told: Vec<_> =
        violations.iter().map(|one| format!("{} {}", one.field, one.reason.word())).collect();
    assert_eq!(
        told,
        ["run.pipeline INVALID_FIELD", "run.run_id MISSING_FIELD", "outcome MISSING_FIELD"]
    );
}
