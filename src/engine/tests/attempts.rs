//! Attempts of a run, and what a request says beside its values.

use super::*;
use crate::engine::testing::ALL;
use crate::engine::{ResolveRequest, SecretOverride};
use crate::secret::SecretBytes;
use crate::store::AttemptMode;

fn attempt(number: u32, texts: &[(&str, &str)]) -> ResolveRequest {
    let mut request = request(texts);
    request.run.attempt = number;
    request.mode = (number > 1).then_some(AttemptMode::Refresh);
    request
}

/// The same with a secret of the caller's own.
fn secretly(mut request: ResolveRequest, text: &str) -> ResolveRequest {
    let bytes = SecretBytes::new(text.as_bytes().to_vec());
    let token = SecretOverride { bytes, encoding: None, unknown_encoding: false };
    request.overrides.secret.insert("token".into(), token);
    request
}

#[track_caller]
fn differing<T>(answer: Result<T, Refusal>) -> (u32, Vec<String>) {
    match answer.err().expect("a refusal") {
        Refusal::RunConflict { run, differs } => (run.attempt, differs),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn fields<T>(answer: Result<T, Refusal>) -> Vec<String> {
    match answer.err().expect("a refusal") {
        Refusal::Invalid(violations) => crate::resolve::testing::lines(&violations),
        other => panic!("{other:?}"),
    }
}

async fn end(bench: &Bench) {
    bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Failed)).await.unwrap();
}

#[tokio::test]
async fn an_attempt_comes_after_the_end_of_the_one_before() {
    let first = Fake::variables(&[("A", "north")]);
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::new(sources(&[("first", &first), ("second", &second)]));
    let out_of_order = async |number| match bench.resolve(1, attempt(number, &[])).await.err() {
        Some(Refusal::AttemptOutOfOrder { newest, end }) => (newest, end),
        other => panic!("{other:?}"),
    };
    assert_eq!(out_of_order(2).await, (0, None));
    bench.resolve(1, attempt(1, &[])).await.unwrap();
    assert_eq!(out_of_order(2).await, (1, None));
    end(&bench).await;
    assert_eq!(out_of_order(3).await, (1, Some(RunEnd::Failed)));
    first.answers(variables(&[("A", "south")]));
    let made = bench.resolve(1, attempt(2, &[])).await.unwrap();
    assert!(made.created && first.reads() == 2 && second.reads() == 2);
    assert_eq!(made.view.run.frozen.key.attempt, 2);
    assert_eq!(made.view.run.frozen.mode, Some(AttemptMode::Refresh));
    let again = bench.resolve(1, attempt(2, &[])).await.unwrap();
    assert!(!again.created && first.reads() == 2);
    // The first one is as it was, and 0 is the first here and the newest elsewhere.
    let ended = bench.resolve(1, attempt(0, &[])).await.unwrap();
    assert_eq!((ended.view.run.frozen.key.attempt, ended.created), (1, false));
    let newest = bench.engine.get_run(&caller(1), run("r")).await.unwrap();
    assert_eq!(newest.run.frozen.key.attempt, 2);
    assert!(bench.context(1, "main", None).await.is_ok());
}

#[tokio::test]
async fn an_attempt_brings_the_request_of_the_one_before_and_a_mode() {
    let bench = Bench::new(good());
    let given = |number| secretly(attempt(number, &[("n", "2")]), "a-secret-of-the-caller");
    bench.resolve(1, given(1)).await.unwrap();
    end(&bench).await;
    let mut without = given(2);
    without.mode = None;
    assert_eq!(fields(bench.resolve(1, without).await), ["mode MISSING_FIELD"]);
    let mut first = given(1);
    first.mode = Some(AttemptMode::Refresh);
    assert_eq!(fields(bench.resolve(1, first).await), ["mode INVALID_FIELD"]);
    let other = bench.resolve(1, attempt(2, &[("n", "3")])).await;
    let expected = ["overrides.n", "secret_overrides.token"];
    assert_eq!(differing(other), (1, expected.map(str::to_owned).to_vec()));
    let other = bench.resolve(1, secretly(given(2), "another-one")).await;
    assert_eq!(differing(other), (1, vec!["secret_overrides.token".to_owned()]));
    assert!(bench.resolve(1, given(2)).await.unwrap().created);
    // An alias and another spelling are the same request.
    let mut spelt = secretly(attempt(2, &[("count", "2")]), "a-secret-of-the-caller");
    assert!(!bench.resolve(1, spelt.clone()).await.unwrap().created);
    spelt.labels.insert("team".into(), "x".into());
    assert!(bench.resolve(1, spelt).await.unwrap().view.run.frozen.labels.is_empty());
}

#[tokio::test]
async fn two_first_calls_of_an_attempt_share_one_resolution() {
    let held = Fake::held(variables(&[("A", "north")]));
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::new(sources(&[("first", &held), ("second", &second)]));
    let (first, ()) =
        tokio::join!(bench.resolve(1, attempt(1, &[])), async { held.let_through(1) });
    first.unwrap();
    end(&bench).await;
    let calls = (0..50).map(|_| bench.resolve(1, attempt(2, &[])));
    let let_go = async {
        held.has_waiting(2).await;
        held.let_through(1);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), let_go);
    assert_eq!((held.reads(), second.reads()), (2, 2));
    assert_eq!(answers.iter().filter(|answer| answer.as_ref().unwrap().created).count(), 1);
}

#[tokio::test]
async fn a_revision_that_is_expected_is_the_frozen_one_or_the_one_in_force() {
    let bench = Bench::new(good());
    let expecting = |revision: &str| {
        let mut request = request(&[]);
        revision.clone_into(&mut request.expected_revision);
        request
    };
    let mismatch = async |revision: &str| match bench.resolve(1, expecting(revision)).await.err() {
        Some(Refusal::RevisionMismatch { revision }) => revision,
        other => panic!("{other:?}"),
    };
    let in_force = mismatch("another").await;
    let made = bench.resolve(1, expecting(&in_force)).await.unwrap();
    assert!(made.created && made.view.run.frozen.revision == in_force);
    assert_eq!(mismatch(&"0".repeat(64)).await, in_force);
    assert!(!bench.resolve(1, expecting(&in_force)).await.unwrap().created);
}

#[tokio::test]
async fn labels_are_the_first_calls_and_the_date_is_compared() {
    let bench = Bench::new(good());
    let mut request = request(&[]);
    request.labels.insert("team".into(), "ml".into());
    request.logical_date = Some("2026-03-01T00:00:00Z".parse().unwrap());
    let made = bench.resolve(1, request.clone()).await.unwrap().view.run;
    assert_eq!(made.frozen.labels["team"], "ml");
    assert_eq!(made.frozen.logical_date, request.logical_date);
    request.labels.clear();
    let again = bench.resolve(1, request.clone()).await.unwrap().view.run;
    assert_eq!(again.frozen.labels, made.frozen.labels);
    for date in [None, Some("2026-03-02T00:00:00Z".parse().unwrap())] {
        request.logical_date = date;
        let differs = differing(bench.resolve(1, request.clone()).await).1;
        assert_eq!(differs, ["logical_date"]);
    }
    // As at the store, so after it was read anew.
    bench.store.close().await.unwrap();
    let again = bench.again();
    request.logical_date = made.frozen.logical_date;
    assert!(!again.resolve(1, request).await.unwrap().created);
}

const JOINS: &str = r#"
permit (principal, action, resource)
  when { principal == Paramd::Principal::"uid:1" };
permit (principal, action == Paramd::Action::"join", resource)
  when { principal == Paramd::Principal::"uid:2" };
permit (principal, action == Paramd::Action::"resolve", resource)
  when { principal == Paramd::Principal::"uid:3" };
permit (principal, action in [Paramd::Action::"join", Paramd::Action::"resolve"], resource)
  when { principal == Paramd::Principal::"uid:4" };
"#;

#[tokio::test]
async fn another_principals_run_is_joined_by_permission_and_without_its_secrets() {
    let bench = Bench::under(JOINS, good());
    // Who may only join makes no run.
    assert_eq!(reason(bench.resolve(2, request(&[])).await), "ACCESS_DENIED");
    let given = || secretly(request(&[("n", "2")]), "a-secret-of-the-caller");
    bench.resolve(1, given()).await.unwrap();
    for wrong in [given(), request(&[("n", "many")])] {
        assert_eq!(reason(bench.resolve(3, wrong).await), "ACCESS_DENIED");
    }
    for joiner in [2, 4] {
        let joined = bench.resolve(joiner, request(&[("n", "2")])).await.unwrap();
        assert!(!joined.created);
        assert_eq!(joined.view.run.frozen.owner, caller(1).principal);
        // No guess is told from another, the right one neither.
        for guess in ["a-secret-of-the-caller", "a-guess-of-somebody"] {
            let answer = bench.resolve(joiner, secretly(request(&[("n", "2")]), guess)).await;
            assert_eq!(differing(answer).1, ["secret_overrides.token"]);
        }
        let answer = bench.resolve(joiner, request(&[])).await;
        assert_eq!(differing(answer).1, ["overrides.n"]);
    }
    bench.settle().await;
    let joins: Vec<_> =
        bench.events().iter().filter(|one| one.draft.action == Action::Join).map(line).collect();
    let [refused, failed] = ["Join Denied ACCESS_DENIED", "Join Failed RUN_CONFLICT"];
    let by_one = ["Join Succeeded", failed, failed, failed];
    assert_eq!(joins, [vec![refused, refused], by_one.to_vec(), by_one.to_vec()].concat());
}

#[tokio::test]
async fn another_principals_run_is_repeated_by_who_may_join_it() {
    let bench = Bench::under(JOINS, good());
    bench.resolve(1, request(&[])).await.unwrap();
    // An open one and one that is missing are no different to who may not.
    for number in [2, 3] {
        assert_eq!(reason(bench.resolve(3, attempt(number, &[])).await), "ACCESS_DENIED");
    }
    end(&bench).await;
    assert_eq!(reason(bench.resolve(3, attempt(2, &[])).await), "ACCESS_DENIED");
    assert_eq!(reason(bench.resolve(2, attempt(2, &[])).await), "ACCESS_DENIED");
    let made = bench.resolve(4, attempt(2, &[])).await.unwrap();
    assert_eq!(made.view.run.frozen.owner, caller(4).principal);
    // What was the first one's is his still, and no secret goes along.
    bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Failed)).await.unwrap();
    let bench = Bench::under(JOINS, good());
    bench.resolve(1, secretly(request(&[]), "a-secret-of-the-caller")).await.unwrap();
    end(&bench).await;
    let answer = bench.resolve(4, attempt(2, &[])).await;
    assert_eq!(differing(answer).1, ["secret_overrides.token"]);
}

#[tokio::test]
async fn a_lifetime_that_is_over_is_an_end_swept_or_not() {
    let short = crate::engine::testing::PIPELINE.replace("name: p", "name: p\nlifetime: 1s");
    let files = [("pipelines/p.yaml", short.as_str()), ("policies/own.cedar", ALL)];
    let bench = Bench::over(&files, good());
    let made = bench.resolve(1, attempt(1, &[])).await.unwrap();
    let expires = made.view.run.frozen.expires;
    while bench.store.now() < expires {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(bench.resolve(1, attempt(2, &[])).await.unwrap().created);
    let first = bench.store.run(&made.view.run.frozen.key).unwrap().unwrap();
    assert_eq!(first.end.unwrap().0, RunEnd::Expired);
    assert!(first.frozen.sealed.is_empty());
    let out_of_order = bench.resolve(1, attempt(4, &[])).await;
    assert!(matches!(out_of_order, Err(Refusal::AttemptOutOfOrder { newest: 2, .. })));
}

#[tokio::test]
async fn a_run_whose_lifetime_is_over_is_not_extended_before_anyone_noticed() {
    let pipeline = crate::engine::testing::PIPELINE.replace("name: p", "name: p\nlifetime: 1s");
    let files = [("pipelines/p.yaml", pipeline.as_str()), ("policies/own.cedar", ALL)];
    let bench = Bench::over(&files, good());
    let made = bench.resolve(1, request(&[])).await.unwrap().view.run;
    let key = made.frozen.key.clone();
    while bench.store.now() < made.frozen.expires {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(bench.store.run(&key).unwrap().unwrap().end, None);
    // Not even by a life that would be shorter than it was.
    for lifetime in [std::time::Duration::from_millis(5), std::time::Duration::from_mins(5)] {
        let extended = bench.engine.extend(&caller(1), run("r"), Ok(lifetime)).await;
        assert_eq!(reason(extended), "RUN_ENDED");
    }
    let (how, _) = bench.store.run(&key).unwrap().unwrap().end.unwrap();
    assert_eq!(how, RunEnd::Expired);
    let told = bench.told().await;
    assert_eq!(told.iter().filter(|line| *line == "Complete Failed RUN_ENDED").count(), 2);
    assert_eq!(told.iter().filter(|line| *line == "Expire Succeeded").count(), 1);
}

#[tokio::test]
async fn of_two_longer_lives_at_once_the_longest_is_kept() {
    let bench = Bench::new(good());
    let mut short = request(&[]);
    short.lifetime = Some(std::time::Duration::from_mins(1));
    let made = bench.resolve(1, short).await.unwrap().view.run;
    let engine = &bench.engine;
    let lives = (2..20_u64).map(|minutes| async move {
        let lifetime = std::time::Duration::from_mins(minutes);
        engine.extend(&caller(1), run("r"), Ok(lifetime)).await.unwrap()
    });
    futures_util::future::join_all(lives).await;
    let longest = made.frozen.created + jiff::SignedDuration::from_mins(19);
    let stored = bench.store.run(&made.frozen.key).unwrap().unwrap();
    assert_eq!(stored.frozen.expires, longest);
    // Record and row belong together.
    assert_eq!(reason(bench.context(1, "none", None).await), "STEP_NOT_FOUND");
    bench.context(1, "main", None).await.unwrap();
}
