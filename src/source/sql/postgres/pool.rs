//! The connections to one server: a bounded number, each used by one query at a
//! time and clean when the next one has it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, raw_sql};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cause;
use super::options::Login;
use crate::source::{Cause, SourceError};

/// How long an unused connection is kept: the last rows stay in its buffer as long.
const IDLE: Duration = Duration::from_secs(10);
/// How long one may take to say that it still lives.
const ALIVE: Duration = Duration::from_secs(1);

/// The connections to one server.
pub(super) struct Pool {
    login: Login,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// Whether someone is there who closes what is idle for long.
    reaping: AtomicBool,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// A connection in use. Dropped, it is closed; the server then ends what it
/// still does for it.
pub(super) struct Lease {
    /// The connection.
    pub(super) connection: PgConnection,
    pool: Arc<Pool>,
    _turn: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool without a connection yet.
    pub(super) fn new(login: Login, connections: usize) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(connections));
        Arc::new(Self { login, turns, idle: Mutex::default(), reaping: AtomicBool::new(false) })
    }

    /// One that lives, in a transaction in which nothing can be written: one that is
    /// kept, or a new one.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease, SourceError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Cause::ServerError)?;
        while let Some(mut connection) = self.kept() {
            // That it can be begun also shows that it lives.
            let alive = tokio::time::timeout(ALIVE, begin(&mut connection)).await;
            if matches!(alive, Ok(Ok(()))) {
                return Ok(Lease { connection, pool: Arc::clone(self), _turn: turn });
            }
            // The server was restarted, or the way to it is gone: so are the others.
            self.idle().clear();
        }
        let options = self.login.options()?;
        let made = PgConnection::connect_with(&options).await;
        let mut connection = made.map_err(|error| cause::connecting(&error))?;
        begin(&mut connection).await?;
        Ok(Lease { connection, pool: Arc::clone(self), _turn: turn })
    }

    fn kept(&self) -> Option<PgConnection> {
        let mut idle = self.idle();
        idle.retain(|kept| kept.since.elapsed() < IDLE);
        idle.pop().map(|kept| kept.connection)
    }

    fn keep(self: &Arc<Self>, connection: PgConnection) {
        self.idle().push(Idle { connection, since: Instant::now() });
        if !self.reaping.swap(true, Ordering::AcqRel) {
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction that the server lets nothing be written in. It stops working
/// for a client that is gone, where it knows how.
async fn begin(connection: &mut PgConnection) -> Result<(), Cause> {
    const BEGIN: &str = "begin read only; \
        select set_config('client_connection_check_interval', '1s', true) \
        where current_setting('client_connection_check_interval', true) is not null";
    raw_sql(BEGIN).execute(connection).await.map_err(|error| cause::asking(&error))?;
    Ok(())
}

/// Closes connections that nobody uses, as long as there are any.
async fn reap(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle();
        idle.retain(|kept| kept.since.elapsed() < IDLE);
        if idle.is_empty() {
            // Still under the lock: who keeps the next one finds nobody here.
            pool.reaping.store(false, Ordering::Release);
            return;
        }
    }
}

impl Lease {
    /// Ends the transaction, leaves nothing of it in the session and gives the
    /// connection back, while whoever had it goes on. One that isn't clean is
    /// closed.
    pub(super) fn give_back(mut self) {
        tokio::spawn(async move {
            let clean = tokio::time::timeout(ALIVE, self.clean()).await;
            if matches!(clean, Ok(Ok(()))) {
                let Self { connection, pool, _turn: turn } = self;
                pool.keep(connection);
                // Whoever waits for the turn finds the connection.
                drop(turn);
            }
        });
    }

    async fn clean(&mut self) -> Result<(), sqlx::Error> {
        raw_sql("rollback").execute(&mut self.connection).await?;
        // What it knows of the server's types.
        self.connection.clear_cached_statements().await?;
        raw_sql("discard all").execute(&mut self.connection).await?;
        Ok(())
    }
}
