mod commits;
mod listing;
mod log;
mod opening;
mod runs;

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::audit::event::ItemName;
use crate::audit::{Action, Event, Outcome, ParameterAccess, Principal};

/// A store in a folder of its own.
struct Home {
    path: PathBuf,
    fatal: Arc<AtomicBool>,
    _folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/paramd.db");
        Self { path, fatal: Arc::default(), _folder: folder }
    }

    fn on_fatal(&self) -> OnFatal {
        let fatal = Arc::clone(&self.fatal);
        Box::new(move || fatal.store(true, Ordering::SeqCst))
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path, self.on_fatal()).unwrap()
    }

    fn open_with(&self, prepare: impl FnOnce(&mut Connection)) -> SqliteStore {
        SqliteStore::open_with(&self.path, self.on_fatal(), prepare).unwrap()
    }

    /// Changes the file behind the store's back.
    fn tamper(&self, sql: &str) {
        let connection = Connection::open(&self.path).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn wal_bytes(&self) -> u64 {
        std::fs::metadata(file::beside(&self.path, "-wal")).map_or(0, |wal| wal.len())
    }

    fn is_fatal(&self) -> bool {
        self.fatal.load(Ordering::SeqCst)
    }
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Waits until something holds that has to come by itself.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn draft(reason: &str) -> EventDraft {
    let mut draft = EventDraft::new(
        Timestamp::now(),
        Principal::unix_user(1000),
        Action::Reveal,
        Outcome::Denied,
    );
    draft.reason = reason.into();
    draft
}

fn drafts(count: usize) -> Vec<EventDraft> {
    (0..count).map(|index| draft(&format!("R{index}"))).collect()
}

fn run_key(run_id: &str, attempt: u32) -> RunKey {
    RunKey {
        pipeline: PipelineName::parse("churn").unwrap(),
        run_id: RunId::parse(run_id).unwrap(),
        attempt,
    }
}

fn new_run(run_id: &str) -> NewRun {
    let now = Timestamp::now();
    NewRun {
        key: run_key(run_id, 1),
        environment: "prod".parse().unwrap(),
        preset: Some("smoke".parse().unwrap()),
        owner: Principal::unix_user(1000),
        revision: "r".repeat(64),
        bundle: "b".repeat(64),
        logical_date: Some("0987-06-05T04:03:02.000000001Z".parse().unwrap()),
        mode: Some(AttemptMode::Refresh),
        labels: [("team".to_owned(), "ml \"x\"".to_owned())].into(),
        created: now,
        expires: now + jiff::SignedDuration::from_hours(1),
        record: b"the record".to_vec(),
        sealed: b"SEALED-BYTES-SEALED-BYTES".repeat(400),
    }
}

fn create(store: &SqliteStore, run: NewRun) -> Created {
    wait(store.create_run(run, vec![draft("created")])).unwrap()
}

fn all_events(store: &SqliteStore) -> Vec<Event> {
    let mut query = EventQuery { limit: 1000, ..EventQuery::default() };
    let mut events = Vec::new();
    loop {
        let page = store.events(&query).unwrap();
        events.extend(page.events);
        match page.next {
            Some(next) => query.beyond = Some(next),
            None => return events,
        }
    }
}

fn reasons(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| &*event.draft.reason).collect()
}

fn check(store: &SqliteStore) -> crate::audit::verify::ChainReport {
    let deadline = Instant::now() + Duration::from_secs(60);
    let request = VerifyRequest { chain: None, after: None, deadline };
    let verified = store.verify(&request).unwrap();
    assert_eq!(verified.next, None);
    verified.chains.into_iter().next().unwrap()
}
