//! What SQLite says, in words that can be shown: its result code by name and
//! never its message, which may quote a value.

use std::path::Path;

use rusqlite::{Error, ffi};

use super::{OpenError, StoreError};

/// Why SQLite didn't do what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A result code, extended.
    Code(i32),
    /// The stored bytes aren't what we wrote.
    Corrupt,
    /// There is no such run.
    NoSuchRun,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.sqlite_error() {
            Some(code) => Self::Code(code.extended_code),
            // A column of another type, or a row too few.
            None => Self::Corrupt,
        }
    }
}

impl Failure {
    /// Whether nobody knows any more what is on disk: what the kernel could not
    /// write is lost, and a second fsync would say that all is well.
    pub(super) fn is_fatal(self) -> bool {
        matches!(self, Self::Code(ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC))
    }

    /// For whoever asked the store for something.
    pub(super) fn store_error(self, doing: &'static str) -> StoreError {
        match self {
            Self::NoSuchRun => StoreError::NoSuchRun,
            Self::Corrupt => StoreError::Corrupt,
            Self::Code(code) if is_damage(code) => StoreError::Corrupt,
            Self::Code(code) => StoreError::Unavailable { doing, why: name(code) },
        }
    }

    /// For whoever opens the store.
    pub(super) fn opening(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Code(code) if !is_damage(code) => {
                OpenError::Failed { path, doing: "opened", why: name(code) }
            }
            Self::Code(code) => OpenError::Damaged { path, why: name(code) },
            Self::Corrupt | Self::NoSuchRun => {
                OpenError::Damaged { path, why: "its tables aren't as they should be".into() }
            }
        }
    }
}

/// A failure of a reader.
pub(super) fn read_failure(failure: impl Into<Failure>) -> StoreError {
    failure.into().store_error("read")
}

fn is_damage(code: i32) -> bool {
    matches!(code & 0xff, ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB)
}

fn name(code: i32) -> String {
    let known = match code {
        ffi::SQLITE_IOERR_FSYNC => "SQLITE_IOERR_FSYNC",
        ffi::SQLITE_IOERR_DIR_FSYNC => "SQLITE_IOERR_DIR_FSYNC",
        ffi::SQLITE_IOERR_WRITE => "SQLITE_IOERR_WRITE",
        ffi::SQLITE_IOERR_READ => "SQLITE_IOERR_READ",
        ffi::SQLITE_IOERR_SHORT_READ => "SQLITE_IOERR_SHORT_READ",
        ffi::SQLITE_IOERR_TRUNCATE => "SQLITE_IOERR_TRUNCATE",
        _ => match code & 0xff {
            ffi::SQLITE_ERROR => "SQLITE_ERROR",
            ffi::SQLITE_INTERNAL => "SQLITE_INTERNAL",
            ffi::SQLITE_PERM => "SQLITE_PERM",
            ffi::SQLITE_ABORT => "SQLITE_ABORT",
            ffi::SQLITE_BUSY => "SQLITE_BUSY",
            ffi::SQLITE_LOCKED => "SQLITE_LOCKED",
            ffi::SQLITE_NOMEM => "SQLITE_NOMEM",
            ffi::SQLITE_READONLY => "SQLITE_READONLY",
            ffi::SQLITE_INTERRUPT => "SQLITE_INTERRUPT",
            ffi::SQLITE_IOERR => "SQLITE_IOERR",
            ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
            ffi::SQLITE_FULL => "SQLITE_FULL",
            ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
            ffi::SQLITE_PROTOCOL => "SQLITE_PROTOCOL",
            ffi::SQLITE_SCHEMA => "SQLITE_SCHEMA",
            ffi::SQLITE_TOOBIG => "SQLITE_TOOBIG",
            ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
            ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
            _ => "SQLite's result code",
        },
    };
    format!("{known} ({code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_fsync_is_fatal_and_a_full_disk_is_not() {
        assert!(Failure::Code(ffi::SQLITE_IOERR_FSYNC).is_fatal());
        assert!(Failure::Code(ffi::SQLITE_IOERR_DIR_FSYNC).is_fatal());
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_BUSY] {
            assert!(!Failure::Code(code).is_fatal());
        }
    }

    #[test]
    fn sqlite_is_not_quoted() {
        let code = ffi::Error::new(ffi::SQLITE_CONSTRAINT);
        let error = Error::SqliteFailure(code, Some("UNIQUE: hunter2".into()));
        let told = Failure::from(error).store_error("write").to_string();
        assert_eq!(told, "the store can't write: SQLITE_CONSTRAINT (19)");
        let wrong = Error::InvalidColumnName("hunter2".into());
        assert_eq!(Failure::from(wrong).store_error("read"), StoreError::Corrupt);
    }
}
