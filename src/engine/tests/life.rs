//! The ends of runs: whose caller has gone, at the same time as a reveal, after
//! their lifetime.

use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::*;
use crate::engine::testing::{ALL, PIPELINE, loaded};
use crate::name::RunKey;
use crate::store::{AttemptMode, NewRun};

const WHILE: Duration = Duration::from_secs(20);

/// The commits of a store: counted, and held back while it is told so.
#[derive(Clone, Default)]
struct Commits(Arc<(Mutex<Held>, Condvar)>);

#[derive(Default)]
struct Held {
    hold: bool,
    waiting: bool,
    count: usize,
}

impl Commits {
    fn come(&self) {
        let (held, changed) = &*self.0;
        let mut held = held.lock().unwrap();
        held.count += 1;
        held.waiting = true;
        let (mut held, _) = changed.wait_timeout_while(held, WHILE, |held| held.hold).unwrap();
        held.waiting = false;
    }

    fn hold(&self, hold: bool) {
        self.0.0.lock().unwrap().hold = hold;
        self.0.1.notify_all();
    }

    fn is_waiting(&self) -> bool {
        self.0.0.lock().unwrap().waiting
    }

    fn count(&self) -> usize {
        self.0.0.lock().unwrap().count
    }
}

/// A bench whose commits are the test's.
fn gated() -> (Bench, Commits) {
    let commits = Commits::default();
    let hook = commits.clone();
    let folder = tempfile::TempDir::new().unwrap();
    let files = [("pipelines/p.yaml", PIPELINE), ("policies/own.cedar", ALL)];
    let bench = Bench::open_with(folder, &files, good(), move |connection| {
        let come = move || {
            hook.come();
            false
        };
        connection.commit_hook(Some(come)).unwrap();
    });
    (bench, commits)
}

/// A bench whose runs stay open for so long.
fn lasting(lifetime: &str) -> Bench {
    let body = PIPELINE.replace("name: p\n", &format!("name: p\nlifetime: {lifetime}\n"));
    Bench::over(&[("pipelines/p.yaml", body.as_str()), ("policies/own.cedar", ALL)], good())
}

fn key() -> RunKey {
    crate::resolve::testing::key()
}

/// Begins a call and drops it, as when its caller goes.
async fn begun<T>(call: impl Future<Output = T>) {
    let mut call = pin!(call);
    let waits =
        std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending()));
    assert!(waits.await, "it was answered at once");
}

/// Waits until something holds that has to come by itself.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WHILE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn outlive(bench: &Bench, expires: jiff::Timestamp) {
    until("the lifetime is over", || bench.store.now() >= expires).await;
}

#[tokio::test]
async fn an_end_whose_caller_has_gone_leaves_nothing_ready() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    begun(bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Succeeded))).await;
    until("the end is on disk", || bench.store.run(&key()).unwrap().unwrap().end.is_some()).await;
    until("it isn't ready any more", || bench.engine.open.find(&key()).is_none()).await;
    assert_eq!(reason(bench.context(1, "main", None).await), "RUN_ENDED");
    assert_eq!(reason(bench.reveal(1, "main", None, &["token"]).await), "RUN_ENDED");
    let mut next = request(&[]);
    (next.run.attempt, next.mode) = (2, Some(AttemptMode::Refresh));
    assert!(bench.resolve(1, next).await.unwrap().created);
}

#[tokio::test]
async fn an_extension_whose_caller_has_gone_holds() {
    let bench = lasting("10m");
    let made = bench.resolve(1, request(&[])).await.unwrap().view.run;
    let lifetime = Duration::from_mins(30);
    begun(bench.engine.extend(&caller(1), run("r"), Ok(lifetime))).await;
    let stored = || bench.store.run(&key()).unwrap().unwrap().frozen.expires;
    until("the extension is on disk", || stored() > made.frozen.expires).await;
    until("the run isn't ready as it was", || bench.engine.open.find(&key()).is_none()).await;
    let told = bench.engine.get_run(&caller(1), run("r")).await.unwrap().run;
    assert_eq!(told.frozen.expires, made.frozen.created + lifetime);
}

#[tokio::test]
async fn a_copy_from_before_an_extension_ends_nothing() {
    for by_attempt in [true, false] {
        let bench = lasting("1s");
        bench.resolve(1, request(&[])).await.unwrap();
        let before = bench.engine.open.find(&key()).unwrap();
        let lifetime = Duration::from_mins(30);
        bench.engine.extend(&caller(1), run("r"), Ok(lifetime)).await.unwrap();
        let expired = before.run.frozen.expires;
        bench.engine.open.keep(before, bench.engine.open.epoch());
        outlive(&bench, expired).await;
        if by_attempt {
            let mut next = request(&[]);
            (next.run.attempt, next.mode) = (2, Some(AttemptMode::Refresh));
            let Err(Refusal::AttemptOutOfOrder { newest, end }) = bench.resolve(1, next).await
            else {
                panic!("the first one is open")
            };
            assert_eq!((newest, end), (1, None));
            assert!(bench.store.run(&key()).unwrap().unwrap().end.is_none());
            assert!(bench.reveal(1, "main", None, &["token"]).await.is_ok());
        } else {
            let end = Ok(RunEnd::Succeeded);
            let ended = bench.engine.complete(&caller(1), run("r"), end).await.unwrap();
            assert_eq!(ended.end.unwrap().0, RunEnd::Succeeded);
        }
        let told = bench.told().await;
        assert!(!told.contains(&"Expire Succeeded".to_owned()), "{told:?}");
    }
}

#[tokio::test]
async fn nothing_is_revealed_after_an_end_on_record() {
    let (bench, commits) = gated();
    bench.resolve(1, request(&[])).await.unwrap();
    bench.settle().await;
    commits.hold(true);
    let engine = bench.engine.clone();
    let ends =
        tokio::spawn(
            async move { engine.complete(&caller(1), run("r"), Ok(RunEnd::Succeeded)).await },
        );
    until("the end is about to be on disk", || commits.is_waiting()).await;
    let reveals = bench.reveal(1, "main", None, &["token"]);
    let let_go = async { commits.hold(false) };
    let (revealed, ()) = tokio::join!(reveals, let_go);
    assert_eq!(reason(revealed), "RUN_ENDED");
    ends.await.unwrap().unwrap();
    let told = bench.told().await;
    let reveals: Vec<_> = told.iter().filter(|line| line.starts_with("Reveal")).collect();
    assert_eq!(reveals, ["Reveal Failed RUN_ENDED"]);
}

#[tokio::test]
async fn lifetimes_that_are_over_together_share_commits() {
    let (bench, commits) = gated();
    let runs = (0..400).map(|number| {
        let frozen = loaded(&format!("r{number}"), 0).run.frozen.clone();
        bench.store.create_run(NewRun { sealed: vec![1], ..frozen }, Vec::new())
    });
    for created in futures_util::future::join_all(runs).await {
        created.unwrap();
    }
    let before = commits.count();
    let sweeps = tokio::spawn(bench.engine.clone().expire_overdue());
    until("all are ended", || bench.store.open_runs().unwrap() == 0).await;
    sweeps.abort();
    let shared = commits.count() - before;
    assert!(shared < 40, "{shared} commits for 400 runs");
}
