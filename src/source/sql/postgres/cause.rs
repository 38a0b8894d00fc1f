//! Why PostgreSQL gave no answer, by the code of its error. Its words may quote
//! a value, so they are never read.

use std::io::ErrorKind;

use sqlx::Error;
use sqlx::postgres::PgDatabaseError;

use crate::source::Cause;

/// Why a connection wasn't made.
pub(super) fn connecting(error: &Error) -> Cause {
    match error {
        Error::Database(error) => of_code(&code(error.as_ref())),
        Error::Tls(_) => Cause::Tls,
        Error::Io(error) => match error.kind() {
            // A certificate that isn't trusted comes as such data.
            ErrorKind::InvalidData | ErrorKind::InvalidInput => Cause::Tls,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Cause::Interrupted
            }
            _ => Cause::Unreachable,
        },
        // What the password can't be made into for its login.
        Error::Configuration(_) => Cause::LoginFailed,
        _ => Cause::BadAnswer,
    }
}

/// Why a query gave no answer.
pub(super) fn asking(error: &Error) -> Cause {
    match error {
        Error::Database(error) => of_code(&code(error.as_ref())),
        Error::Io(_) => Cause::Interrupted,
        _ => Cause::BadAnswer,
    }
}

/// Why a query that was prepared gave no rows.
pub(super) fn fetching(error: &Error) -> Cause {
    match error {
        // Inside of another, a query that would write is no feature.
        Error::Database(error) if code(error.as_ref()) == "0A000" => Cause::Refused,
        error => asking(error),
    }
}

fn code(error: &dyn sqlx::error::DatabaseError) -> String {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.map(|error| error.code().to_owned()).unwrap_or_default()
}

/// By PostgreSQL's table of codes: the first two characters are the class.
fn of_code(code: &str) -> Cause {
    let class = code.get(..2).unwrap_or_default();
    match (code, class) {
        // Cancelled for its time, or waiting too long for a lock.
        ("57014" | "55P03" | "25P03" | "25P04", _) => Cause::Timeout,
        // No right to it, or not reading.
        ("42501" | "25006", _) => Cause::Refused,
        ("57P03" | "53300", _) => Cause::NotReady,
        // The server ends the connection, or asks to be asked again.
        ("57P01" | "57P02" | "57P05", _) | (_, "08" | "40") => Cause::Interrupted,
        (_, "28") => Cause::LoginFailed,
        (_, "53" | "58" | "XX" | "F0") => Cause::ServerError,
        (_, "54") => Cause::TooLarge,
        _ => Cause::BadAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_a_cause() {
        for (code, cause) in [
            ("57014", Cause::Timeout),
            ("42501", Cause::Refused),
            ("25006", Cause::Refused),
            ("28P01", Cause::LoginFailed),
            ("28000", Cause::LoginFailed),
            ("57P03", Cause::NotReady),
            ("53300", Cause::NotReady),
            ("57P01", Cause::Interrupted),
            ("40001", Cause::Interrupted),
            ("40P01", Cause::Interrupted),
            ("XX000", Cause::ServerError),
            ("53200", Cause::ServerError),
            ("42P01", Cause::BadAnswer),
            ("22012", Cause::BadAnswer),
            ("", Cause::BadAnswer),
            ("é", Cause::BadAnswer),
        ] {
            assert_eq!(of_code(code), cause, "{code}");
        }
    }

    #[test]
    fn io_is_told_by_its_kind() {
        let io = |kind| Error::Io(std::io::Error::from(kind));
        assert_eq!(connecting(&io(ErrorKind::ConnectionRefused)), Cause::Unreachable);
        assert_eq!(connecting(&io(ErrorKind::InvalidData)), Cause::Tls);
        assert_eq!(connecting(&io(ErrorKind::UnexpectedEof)), Cause::Interrupted);
        assert_eq!(asking(&io(ErrorKind::ConnectionReset)), Cause::Interrupted);
    }
}
