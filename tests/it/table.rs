//! What each source answers in each condition, with a default and without: one
//! test a cell, against the real servers.
//!
//! Cells that can't be:
//! - `env`: a variable is there or not; `paramd.yaml` names those that may be
//!   asked for, and what it doesn't name is refused at load. Nothing is sealed,
//!   deleted, mounted, slow or made of rows.
//! - `file`: the same, but for files that lead out of their root (`denied`).
//! - SQL: nothing is sealed, has versions or mounts; SQLite has no rights.
//! - Vault: nothing is made of rows; KV 1 has no versions.

mod stage;

use stage::stage;

use crate::support::client::resolve;
use crate::support::status::{everything, problem};

/// A source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Env,
    File,
    Sqlite,
    Postgres,
    MariaDb,
    Kv1,
    Kv2,
}

/// How it stands with what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    There,
    Absent,
    Denied,
    Sealed,
    DeletedVersion,
    MissingMount,
    TimedOut,
    WrongType,
    TooManyRows,
}

/// What the source has, and no error may say.
const VALUE: &str = "value-of-a-cell-61c0";

/// What a caller is told.
enum Told {
    /// The value, or the default.
    Value { default: bool },
    /// That the sources' answers aren't fit: the reason of the problem.
    Unfit(&'static str),
    /// That a source gave none: reason and cause.
    Source(&'static str, &'static str),
}

/// Only what was never there is stood in for by a default.
fn told(condition: Condition, default: bool) -> Told {
    match condition {
        Condition::There => Told::Value { default: false },
        Condition::Absent if default => Told::Value { default: true },
        Condition::Absent => Told::Unfit("NO_SUCH_VALUE"),
        Condition::Denied => Told::Source("SOURCE_DENIED", "refused"),
        Condition::Sealed => Told::Source("SOURCE_UNAVAILABLE", "not_ready"),
        Condition::DeletedVersion => Told::Unfit("VALUE_GONE"),
        Condition::MissingMount => Told::Source("SOURCE_FAILED", "no_such_mount"),
        Condition::TimedOut => Told::Source("SOURCE_UNAVAILABLE", "timeout"),
        Condition::WrongType => Told::Unfit("INVALID_VALUE"),
        Condition::TooManyRows => Told::Source("SOURCE_FAILED", "too_large"),
    }
}

async fn check(source: Source, condition: Condition, default: bool) {
    let stage = stage(source, condition, default).await;
    let client = stage.daemon.client().await;
    let answer = client.resolve(resolve("cell", "a")).await;
    match (told(condition, default), answer) {
        (Told::Value { default }, Ok(resolved)) => {
            let snapshot = resolved.snapshot.unwrap();
            let value = snapshot.parameters.iter().find(|one| one.name == "value").unwrap();
            assert_eq!(value.provenance.as_ref().unwrap().default_used, default);
        }
        (Told::Unfit(reason), Err(status)) => {
            let problem = problem(&status);
            assert_eq!(problem.reason, "RESOLUTION_FAILED", "{problem:#?}");
            let [violation] = problem.violations.as_slice() else { panic!("{problem:#?}") };
            assert_eq!((violation.field.as_str(), violation.reason.as_str()), ("value", reason));
            hides(&everything(&status));
        }
        (Told::Source(reason, cause), Err(status)) => {
            let problem = problem(&status);
            assert_eq!(problem.reason, reason, "{problem:#?}");
            assert_eq!(problem.metadata["cause"], cause, "{problem:#?}");
            assert_eq!(problem.metadata["parameters"], "value");
            assert_eq!(problem.retry, reason == "SOURCE_UNAVAILABLE");
            hides(&everything(&status));
        }
        (_, answer) => panic!("{source:?} {condition:?} {default}: {answer:#?}"),
    }
    hides(stage.daemon.log().as_bytes());
    stage.daemon.stop();
}

fn hides(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(!text.contains(VALUE), "{text}");
}

macro_rules! cells {
    ($($row:ident $source:ident: $($cell:ident $condition:ident),*;)*) => { $(
        mod $row { $(
            mod $cell {
                use super::super::{Condition, Source, check};

                #[tokio::test(flavor = "multi_thread")]
                async fn with_default() {
                    check(Source::$source, Condition::$condition, true).await;
                }

                #[tokio::test(flavor = "multi_thread")]
                async fn without() {
                    check(Source::$source, Condition::$condition, false).await;
                }
            }
        )* }
    )* };
}

cells! {
    env Env: there There, absent Absent, wrong_type WrongType;
    file File: there There, absent Absent, denied Denied, wrong_type WrongType;
    sqlite Sqlite: there There, absent Absent, timed_out TimedOut, wrong_type WrongType,
        too_many_rows TooManyRows;
    postgres Postgres: there There, absent Absent, denied Denied, timed_out TimedOut,
        wrong_type WrongType, too_many_rows TooManyRows;
    mariadb MariaDb: there There, absent Absent, denied Denied, timed_out TimedOut,
        wrong_type WrongType, too_many_rows TooManyRows;
    vault_kv1 Kv1: there There, absent Absent, denied Denied, sealed Sealed,
        missing_mount MissingMount, timed_out TimedOut, wrong_type WrongType;
    vault_kv2 Kv2: there There, absent Absent, denied Denied, sealed Sealed,
        deleted_version DeletedVersion, missing_mount MissingMount, timed_out TimedOut,
        wrong_type WrongType;
}
