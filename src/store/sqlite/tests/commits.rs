use std::sync::atomic::AtomicUsize;
use std::sync::mpsc as channel;
use std::task::Poll;

use futures_util::future::join_all;

use super::*;

/// A store whose first commit waits until it is let go; and its commits' count.
fn held(home: &Home) -> (SqliteStore, channel::Sender<()>, Arc<AtomicUsize>) {
    let (go, wait_for) = channel::channel::<()>();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let store = home.open_with(|connection| {
        let hook = move || {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                wait_for.recv().unwrap();
            }
            false
        };
        connection.commit_hook(Some(hook)).unwrap();
    });
    (store, go, commits)
}

/// Whether a future has no answer yet; it is begun if it wasn't.
async fn still_waits<T>(future: &mut Pending<'_, T>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[test]
fn what_waits_shares_a_commit() {
    let home = Home::new();
    let (store, go, commits) = held(&home);
    let records = wait(async {
        let records = join_all((0..60).map(|_| store.record(drafts(1))));
        let (records, ()) = tokio::join!(records, async { go.send(()).unwrap() });
        records
    });
    let mut places: Vec<_> = records.iter().map(|r| r.as_ref().unwrap().sequence()).collect();
    places.sort_unstable();
    assert_eq!(places, (1..=60).collect::<Vec<_>>());
    assert!(commits.load(Ordering::SeqCst) <= 2);
    assert_eq!(check(&store).last_good_sequence, 60);
}

#[test]
fn an_answer_comes_after_the_commit() {
    let home = Home::new();
    let (store, go, _) = held(&home);
    wait(async {
        let mut record = store.record(drafts(1));
        // As long as the commit is held, nothing answers.
        for _ in 0..50 {
            assert!(still_waits(&mut record).await);
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        record.await.unwrap();
    });
}

#[test]
fn the_error_of_one_job_loses_no_other() {
    let home = Home::new();
    let store = home.open();
    let (first, ended, second) = wait(async {
        let nothing: EventsFor = Box::new(|_, _| drafts(3));
        tokio::join!(
            store.record(drafts(2)),
            store.end_run(run_key("none", 1), RunEnd::Failed, nothing),
            store.record(drafts(1)),
        )
    });
    assert_eq!(first.unwrap().sequence(), 2);
    assert_eq!(ended.unwrap_err(), StoreError::NoSuchRun);
    assert_eq!(second.unwrap().sequence(), 3);
    assert_eq!(check(&store).last_good_sequence, 3);
}

#[test]
fn a_job_that_fails_half_way_leaves_no_gap_in_the_chain() {
    let home = Home::new();
    let store = home.open();
    wait(store.record(drafts(1))).unwrap();
    // The place of the second event of the next job is taken.
    home.tamper(
        "insert into events select 3, canonical, previous, hash, time, action, outcome, principal, \
         pipeline, run_id, environment, step from events where sequence = 1",
    );
    let (half, whole) =
        wait(async { tokio::join!(store.record(drafts(2)), store.record(vec![draft("whole")])) });
    assert!(matches!(half.unwrap_err(), StoreError::Unavailable { doing: "write", .. }));
    assert_eq!(whole.unwrap().sequence(), 2);
    home.tamper("delete from events where sequence = 3");
    assert_eq!(reasons(&all_events(&store)), ["R0", "whole"]);
    let report = check(&store);
    assert_eq!((report.last_good_sequence, report.defect), (2, None));
}

#[test]
fn a_failed_commit_is_told_to_all_and_leaves_nothing() {
    let home = Home::new();
    let failing = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&failing);
    let store = home.open_with(|connection| {
        connection.commit_hook(Some(move || flag.load(Ordering::SeqCst))).unwrap();
    });
    store.record_soon(draft("soon")).unwrap();
    let (created, recorded) = wait(async {
        tokio::join!(store.create_run(new_run("r"), drafts(1)), store.record(drafts(1)))
    });
    for error in [created.unwrap_err(), recorded.unwrap_err()] {
        assert!(matches!(error, StoreError::Unavailable { doing: "commit", .. }), "{error}");
    }
    assert!(store.run(&run_key("r", 1)).unwrap().is_none());
    assert!(all_events(&store).is_empty());

    failing.store(false, Ordering::SeqCst);
    wait(store.record(vec![draft("later")])).unwrap();
    assert_eq!(reasons(&all_events(&store)), ["soon", "later"]);
    assert_eq!(check(&store).defect, None);
    assert!(!home.is_fatal());
}

#[test]
fn on_a_full_disk_what_was_answered_is_there_and_the_rest_is_told() {
    let home = Home::new();
    let store = home.open_with(|connection| {
        connection.execute_batch("pragma max_page_count = 40").unwrap();
    });
    let answers = wait(join_all((0..40).map(|index| {
        let large = NewRun { record: vec![7; 20_000], ..new_run(&format!("r{index}")) };
        store.create_run(large, drafts(1))
    })));
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(kept < 40);
    for error in answers.into_iter().filter_map(Result::err) {
        let StoreError::Unavailable { why, .. } = error else { panic!("{error}") };
        assert_eq!(why, "SQLITE_FULL (13)");
    }
    assert_eq!(all_events(&store).len(), kept);
    assert_eq!(check(&store).defect, None);
}

#[test]
fn events_that_may_wait_come_with_the_next_commit_or_by_themselves() {
    let home = Home::new();
    let store = home.open();
    store.record_soon(draft("a")).unwrap();
    until("the queue is flushed", || all_events(&store).len() == 1);
    store.record_soon(draft("b")).unwrap();
    wait(store.record(vec![draft("c")])).unwrap();
    assert_eq!(reasons(&all_events(&store)), ["a", "b", "c"]);
}

#[test]
fn a_full_queue_refuses_and_closing_keeps_all_that_was_taken() {
    let home = Home::new();
    let (store, go, _) = held(&home);
    wait(async {
        let mut record = store.record(vec![draft("first")]);
        assert!(still_waits(&mut record).await);
        for _ in 0..soon::CAPACITY {
            store.record_soon(draft("soon")).unwrap();
        }
        assert_eq!(store.record_soon(draft("over")), Err(StoreError::QueueFull));
        go.send(()).unwrap();
        record.await.unwrap();
        store.close().await.unwrap();
        assert_eq!(store.record_soon(draft("late")), Err(StoreError::Closed));
        assert_eq!(store.record(drafts(1)).await.unwrap_err(), StoreError::Closed);
    });
    drop(store);
    let report = check(&home.open());
    assert_eq!((report.last_good_sequence, report.defect), (1 + soon::CAPACITY as u64, None));
}

#[test]
fn a_writer_that_panics_is_fatal() {
    let home = Home::new();
    let store = home.open();
    create(&store, new_run("r"));
    let ended = wait(store.end_run(run_key("r", 1), RunEnd::Failed, Box::new(|_, _| panic!())));
    assert_eq!(ended.unwrap_err(), StoreError::Closed);
    until("the queue is closed", || store.record_soon(draft("x")) == Err(StoreError::Closed));
    drop(store);
    assert!(home.is_fatal());
    let run = home.open().run(&run_key("r", 1)).unwrap().unwrap();
    assert!(run.end.is_none());
}

#[test]
fn after_a_failed_fsync_no_commit_says_that_it_is_on_disk() {
    let home = Home::new();
    drop(home.open());
    let connection = schema::open(&home.path).unwrap();
    let (chain, head) = schema::chain(&connection).unwrap();
    let shared = writer::Shared {
        path: home.path.clone(),
        chain,
        clock: Arc::default(),
        soon: Arc::default(),
        newest: watch::Sender::new(0),
        _lock: Arc::new(Lock::take(&home.path).unwrap()),
    };
    let (_jobs, queue) = mpsc::channel(1);
    let mut writer = Writer::new(connection, shared, head, queue, home.on_fatal());
    writer.undo(failure::Failure::Code(rusqlite::ffi::SQLITE_FULL));
    assert!(!home.is_fatal());
    writer.commit(record_job().0).unwrap();
    writer.undo(failure::Failure::Code(rusqlite::ffi::SQLITE_IOERR_FSYNC));
    assert!(home.is_fatal());
    let (jobs, mut answered) = record_job();
    let error = writer.commit(jobs).unwrap_err();
    assert_eq!(error.to_string(), "the store can't commit: SQLITE_IOERR_FSYNC (1034)");
    assert_eq!(answered.try_recv().unwrap().unwrap_err(), error);
    drop(writer);
    assert_eq!(check(&home.open()).last_good_sequence, 1);
}

fn record_job() -> (Vec<Job>, oneshot::Receiver<Result<Recorded, StoreError>>) {
    let (answer, answered) = oneshot::channel();
    (vec![Job::Record { events: drafts(1), answer }], answered)
}
