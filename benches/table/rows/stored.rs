//! A store as it is after years: a thousand runs beside a million.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::timed;
use crate::Options;
use crate::report::{Goal, Sample, Table, Unit};
use crate::stage::{self, Running, Stage};
use crate::support::client;
use crate::support::config::Config;

/// Runs that the daemon resolved.
const RUNS: usize = 1_000;
/// Further ones of each, which have ended.
const COPIES: u16 = 999;
/// Calls of one side of a round.
const CALLS: usize = 150;

const MEMORY: &str = "1,000,000 stored runs: a context from memory";
const STORE: &str = "1,000,000 stored runs: a context from the store";
const WRITE: &str = "1,000,000 stored runs: a ResolveRun";

pub(crate) async fn rows(options: &Options, table: &mut Table) {
    if ![MEMORY, STORE, WRITE].iter().any(|name| options.wants(name)) {
        return;
    }
    let (small, large) = (prepared().await, prepared().await);
    fill(&large.store());
    let (mut memory, mut store, mut write) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        // What is kept of runs begins anew.
        let sides = (large.start().await, small.start().await);
        // No run twice: each comes from the store.
        let first = CALLS * round % (RUNS - CALLS);
        let both = (from_store(&sides.0, first).await, from_store(&sides.1, first).await);
        store.push(both);
        memory.push((from_memory(&sides.0).await, from_memory(&sides.1).await));
        write.push((writes(&sides.0, round).await, writes(&sides.1, round).await));
        sides.0.daemon.stop();
        sides.1.daemon.stop();
    }
    let rows = [(MEMORY, 1.05, memory), (STORE, 1.1, store), (WRITE, 1.5, write)];
    for (name, goal, rounds) in rows.into_iter().filter(|(name, ..)| options.wants(name)) {
        let goal = Goal::AtMost(goal);
        table.compare(name, "the same at 1,000", Unit::Milliseconds, goal, &rounds);
    }
}

/// A configuration with its store, on which daemons are started.
struct Prepared(Config);

async fn prepared() -> Prepared {
    let stage = Stage::start().await;
    for run in 0..RUNS {
        stage.client.resolve(client::resolve("thirty", &name(run))).await.unwrap();
    }
    Prepared(stage.stop())
}

impl Prepared {
    fn store(&self) -> PathBuf {
        self.0.path.join("state/paramd.db")
    }

    async fn start(&self) -> Running {
        stage::start(&self.0).await
    }
}

/// Spread over the names that the copies have.
fn name(run: usize) -> String {
    format!("run-{run:04}")
}

/// Gives each run as many copies. They have ended, as most have after years, and
/// nobody reads them: their records are that of a smaller run, which keeps the file
/// at some 4 GB.
fn fill(store: &Path) {
    let connection = Connection::open(store).unwrap();
    connection.pragma_update(None, "synchronous", "off").unwrap();
    // Without a WAL that would be as large once more.
    connection.query_row("pragma journal_mode = delete", [], |_| Ok(())).unwrap();
    let sql = "with recursive copies (n) as (select 1 union all select n + 1 from copies where n < ?1) \
         insert into runs (pipeline, run_id, attempt, environment, preset, owner, owner_kind, \
         revision, bundle, labels, created, expires, ended, outcome, record, sealed, \
         logical_date, mode) \
         select pipeline, run_id || '-' || n, 1, environment, preset, owner, owner_kind, \
         revision, bundle, labels, created, expires, created, 1, \
         (select record from runs where pipeline = 'five'), x'', logical_date, mode \
         from (select * from runs where pipeline = 'thirty' and run_id like 'run-____'), copies";
    let made = connection.execute(sql, params![COPIES]).unwrap();
    assert_eq!(made, RUNS * usize::from(COPIES));
    connection.query_row("pragma journal_mode = wal", [], |_| Ok(())).unwrap();
}

async fn context(running: &Running, run: &str) {
    let run = client::run("thirty", run);
    running.client.context(&run, "main").await.unwrap();
}

async fn from_store(running: &Running, first: usize) -> Sample {
    // The connection and the code are warm, the runs are not.
    context(running, "run-1").await;
    let pid = Some(running.daemon.pid());
    timed(pid, CALLS, async |index| context(running, &name(first + index)).await).await
}

async fn from_memory(running: &Running) -> Sample {
    let pid = Some(running.daemon.pid());
    timed(pid, 10 * CALLS, async |_| context(running, "run-1").await).await
}

async fn writes(running: &Running, round: usize) -> Sample {
    let pid = Some(running.daemon.pid());
    timed(pid, CALLS, async |index| {
        // Anywhere among the names that are there.
        let run = format!("run-{:04}-new-{round}", index * 6);
        running.client.resolve(client::resolve("thirty", &run)).await.unwrap();
    })
    .await
}
