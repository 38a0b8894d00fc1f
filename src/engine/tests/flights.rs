//! One resolution for all who ask at the same time.

use super::*;
use crate::source::Cause;

/// Whoever may make runs may not thereby join others'.
const RESOLVE: &str = r#"permit (principal, action == Paramd::Action::"resolve", resource);"#;

#[tokio::test]
async fn all_who_ask_at_once_share_one_resolution() {
    let held = Fake::held(variables(&[("A", "north")]));
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::new(sources(&[("first", &held), ("second", &second)]));
    let calls = (0..200).map(|_| bench.resolve(1, request(&[])));
    let let_go = async {
        held.has_waiting(1).await;
        held.let_through(1);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(calls), let_go);
    assert_eq!((held.reads(), second.reads()), (1, 1));
    let created = answers.iter().filter(|answer| answer.as_ref().unwrap().created).count();
    assert_eq!(created, 1);
}

#[tokio::test]
async fn the_end_of_him_who_began_ends_nothing() {
    let held = Fake::held(variables(&[("A", "north")]));
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::new(sources(&[("first", &held), ("second", &second)]));
    {
        let leader = bench.resolve(1, request(&[]));
        tokio::pin!(leader);
        tokio::select! {
            _ = &mut leader => panic!("the source has not answered"),
            () = held.has_waiting(1) => {}
        }
    }
    let waiter = bench.resolve(1, request(&[]));
    let (answer, ()) = tokio::join!(waiter, async { held.let_through(1) });
    assert!(!answer.unwrap().created);
    assert_eq!(held.reads(), 1);
}

#[tokio::test]
async fn a_failure_is_shared_among_those_who_are_alike_and_not_kept() {
    let held = Fake::held(|_| Err(Cause::Refused.into()));
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::new(sources(&[("first", &held), ("second", &second)]));
    // Another request and another principal wait too, and then try for
    // themselves.
    let calls = async {
        tokio::join!(
            bench.resolve(1, request(&[])),
            bench.resolve(1, request(&[])),
            bench.resolve(1, request(&[("n", "5")])),
            bench.resolve(2, request(&[])),
        )
    };
    let let_go = async {
        for _ in 0..3 {
            held.let_through(1);
            tokio::task::yield_now().await;
        }
    };
    let ((a, b, c, d), ()) = tokio::join!(calls, let_go);
    for answer in [a, b, c, d] {
        assert_eq!(reason(answer), "SOURCE_DENIED");
    }
    assert_eq!(held.reads(), 3);
    held.answers(variables(&[("A", "north")]));
    held.let_through(1);
    assert!(bench.resolve(1, request(&[])).await.unwrap().created);
}

#[tokio::test]
async fn who_waits_for_anothers_run_is_denied_and_for_another_request_refused() {
    let held = Fake::held(variables(&[("A", "north")]));
    let second = Fake::variables(&[("B", TOKEN)]);
    let bench = Bench::under(RESOLVE, sources(&[("first", &held), ("second", &second)]));
    let calls = async {
        tokio::join!(
            bench.resolve(1, request(&[])),
            bench.resolve(1, request(&[("n", "5")])),
            bench.resolve(2, request(&[])),
        )
    };
    let let_go = async {
        held.has_waiting(1).await;
        held.let_through(1);
    };
    let ((first, other, stranger), ()) = tokio::join!(calls, let_go);
    assert!(first.unwrap().created);
    assert_eq!(reason(other), "RUN_CONFLICT");
    assert_eq!(reason(stranger), "ACCESS_DENIED");
    assert_eq!(held.reads(), 1);
}

/// Whoever finds on taking the lead that the run is there by now is answered as
/// all who come later: a stranger is denied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_leader_never_gets_anothers_run() {
    let bench = std::sync::Arc::new(Bench::under(RESOLVE, good()));
    for round in 0..200 {
        let ask = |uid: u32| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let mut asked = request(&[]);
                asked.run.run_id = format!("r{round}");
                bench.resolve(uid, asked).await
            })
        };
        let calls = futures_util::future::join_all([1, 2, 3, 4].map(ask)).await;
        let answers: Vec<_> = calls.into_iter().map(Result::unwrap).collect();
        let made = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(made, 1, "round {round}");
        for answer in answers {
            match answer {
                Ok(resolved) => assert!(resolved.created),
                Err(refusal) => assert_eq!(refusal.reason(), "ACCESS_DENIED"),
            }
        }
    }
}
