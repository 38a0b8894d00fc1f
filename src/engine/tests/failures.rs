//! What went wrong, for those who may read it where it went wrong.

use super::*;
use crate::engine::{FailureView, RunSelector};
use crate::source::Cause;
use crate::store::AttemptMode;

/// All to the first one, and to the second one what is in `dev`.
const TWO: &str = r#"
permit (principal == Paramd::Principal::"uid:1", action, resource);
permit (principal == Paramd::Principal::"uid:2",
    action in [Paramd::Action::"resolve", Paramd::Action::"read"], resource)
    when { context has environment && context.environment == "dev" };
"#;

async fn failures(
    bench: &Bench,
    uid: u32,
    run_id: &str,
    attempt: u32,
) -> Result<Vec<FailureView>, Refusal> {
    let selector = RunSelector { attempt, ..run(run_id) };
    bench.engine.list_failures(&caller(uid), selector).await
}

/// Resolves `run_id` for `uid` in an environment, and gives the answer's reason.
async fn resolves(bench: &Bench, uid: u32, run_id: &str, environment: &str) -> &'static str {
    let mut asked = request(&[]);
    (asked.run.run_id, asked.environment) = (run_id.into(), environment.into());
    bench.resolve(uid, asked).await.err().map_or("", |refusal| refusal.reason())
}

#[tokio::test]
async fn a_failure_is_for_those_who_may_read_where_it_was() {
    let first = Fake::new(|_| Err(Cause::Refused.into()));
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::under(TWO, sources(&[("first", &first), ("second", &second)]));
    assert_eq!(resolves(&bench, 1, "r", "prod").await, "SOURCE_DENIED");
    assert_eq!(reason(failures(&bench, 2, "r", 0).await), "ACCESS_DENIED");
    assert_eq!(resolves(&bench, 2, "r", "dev").await, "SOURCE_DENIED");
    first.answers(variables(&[("A", "north")]));
    for made in [false, true] {
        if made {
            assert_eq!(resolves(&bench, 2, "r", "dev").await, "");
        }
        for attempt in [0, 1] {
            assert_eq!(failures(&bench, 1, "r", attempt).await.unwrap().len(), 2, "{made}");
            let own = failures(&bench, 2, "r", attempt).await.unwrap();
            assert_eq!(own.len(), 1, "{made}: prod's is not for who may read dev alone");
            assert_eq!(own[0].subjects[0].subject, "remote");
        }
        assert_eq!(reason(failures(&bench, 3, "r", 0).await), "ACCESS_DENIED");
    }
    assert_eq!(reason(failures(&bench, 2, "absent", 0).await), "ACCESS_DENIED");
    assert_eq!(reason(failures(&bench, 3, "absent", 0).await), "ACCESS_DENIED");
}

#[tokio::test]
async fn an_attempt_that_only_failed_is_told_by_its_number_too() {
    let first = Fake::variables(&[("A", "north")]);
    let second = Fake::variables(&[("B", TOKEN)]);
    let policies = TWO.replace("\"read\"]", "\"read\", Paramd::Action::\"complete\"]");
    let bench = Bench::under(&policies, sources(&[("first", &first), ("second", &second)]));
    assert_eq!(resolves(&bench, 2, "r", "dev").await, "");
    bench.engine.complete(&caller(2), run("r"), Ok(RunEnd::Failed)).await.unwrap();
    first.answers(|_| Err(Cause::Refused.into()));
    let mut next = request(&[]);
    (next.run.attempt, next.mode) = (2, Some(AttemptMode::Refresh));
    assert_eq!(reason(bench.resolve(2, next).await), "SOURCE_DENIED");
    for attempt in [0, 2] {
        assert_eq!(failures(&bench, 2, "r", attempt).await.unwrap().len(), 1, "{attempt}");
    }
    assert!(failures(&bench, 2, "r", 1).await.unwrap().is_empty());
    let event = bench.events().pop().unwrap();
    assert!(!event.draft.policy_ids.is_empty());
}

#[tokio::test]
async fn what_an_earlier_release_kept_is_for_those_who_may_read_everywhere() {
    let bench = Bench::under(TWO, good());
    let old = br#"{"format":1,"failures":[{"subject":"n","reason":"SOURCE_FAILED","source":"env",
        "source_name":"first","location":"A","cause":"refused","attempts":1}]}"#;
    let key = crate::resolve::testing::key();
    bench.store.record_failure(key, old.to_vec(), Vec::new()).await.unwrap();
    assert_eq!(failures(&bench, 1, "r", 0).await.unwrap()[0].reason, "RESOLUTION_FAILED");
    assert_eq!(reason(failures(&bench, 2, "r", 0).await), "ACCESS_DENIED");
    assert_eq!(resolves(&bench, 2, "r", "dev").await, "");
    assert!(failures(&bench, 2, "r", 0).await.unwrap().is_empty());
}

#[tokio::test]
async fn items_that_break_the_same_declaration_are_one_problem() {
    let plan = r#"name: p
parameters:
  remote: { type: string, from: { env: { from: first, name: A } } }
  list: { type: array, items: { type: string, maxLength: 1 }, from: { template: "{{ params.remote | split(',') }}" } }
steps: [{ name: main, params: [list] }]
"#;
    let many = vec!["long"; 99].join(",");
    let first = Fake::variables(&[("A", &many)]);
    let second = Fake::variables(&[("B", TOKEN)]);
    let files = [("pipelines/p.yaml", plan), ("policies/own.cedar", super::super::testing::ALL)];
    let bench = Bench::over(&files, sources(&[("first", &first), ("second", &second)]));
    assert_eq!(reason(bench.resolve(1, request(&[])).await), "RESOLUTION_FAILED");
    let told = failures(&bench, 1, "r", 0).await.unwrap();
    let subjects: Vec<_> = told[0].subjects.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(subjects, ["list"]);
}
