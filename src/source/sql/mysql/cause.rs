//! Why MySQL or MariaDB gave no answer, by the number of its error. Its words may
//! quote a value, so they are never read.

use std::io::ErrorKind;

use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use crate::source::Cause;

/// Why a connection wasn't made.
pub(super) fn connecting(error: &Error) -> Cause {
    match error {
        Error::Database(error) => match number(error.as_ref()) {
            // At the login, no right to the database is no login.
            1044 => Cause::LoginFailed,
            number => of_number(number),
        },
        Error::Tls(_) => Cause::Tls,
        Error::Io(error) => match error.kind() {
            // A certificate that isn't trusted comes as such data.
            ErrorKind::InvalidData | ErrorKind::InvalidInput => Cause::Tls,
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Cause::Interrupted
            }
            _ => Cause::Unreachable,
        },
        // A login that would send the password in plain.
        Error::Configuration(_) => Cause::LoginFailed,
        _ => Cause::BadAnswer,
    }
}

/// Why a query gave no answer.
pub(super) fn asking(error: &Error) -> Cause {
    match error {
        Error::Database(error) => of_number(number(error.as_ref())),
        Error::Io(_) => Cause::Interrupted,
        _ => Cause::BadAnswer,
    }
}

fn number(error: &dyn sqlx::error::DatabaseError) -> u16 {
    error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number)
}

/// By the numbers that both servers share, and those that one of them has.
fn of_number(number: u16) -> Cause {
    match number {
        // Over its time (MariaDB, MySQL), or waiting too long for a lock.
        1969 | 3024 | 1205 => Cause::Timeout,
        // No right to a database, table, column, routine; not reading.
        1044 | 1142 | 1143 | 1227 | 1290 | 1370 | 1792 => Cause::Refused,
        // A password that is wrong, missing, expired; an account that is locked,
        // or not for this host; a way to log in that the driver hasn't.
        1045 | 1129 | 1130 | 1251 | 1698 | 1820 | 1862 | 3118 | 4151 => Cause::LoginFailed,
        3159 => Cause::Tls,
        // Too many connections, of all or of this account; of statements.
        1040 | 1203 | 1461 => Cause::NotReady,
        1226 => Cause::RateLimited,
        // Shutting down, killed, a deadlock, a row that another changed.
        1053 | 1317 | 1927 | 1213 | 1020 | 1158..=1161 => Cause::Interrupted,
        1153 | 1301 => Cause::TooLarge,
        // Disk, memory, an engine's fault, and what has no name.
        1021 | 1030 | 1037 | 1038 | 1041 | 1105 | 1114 | 1206 => Cause::ServerError,
        _ => Cause::BadAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_cause() {
        for (number, cause) in [
            (1969, Cause::Timeout),
            (3024, Cause::Timeout),
            (1142, Cause::Refused),
            (1792, Cause::Refused),
            (1045, Cause::LoginFailed),
            (1040, Cause::NotReady),
            (1226, Cause::RateLimited),
            (1213, Cause::Interrupted),
            (1053, Cause::Interrupted),
            (1160, Cause::Interrupted),
            (1153, Cause::TooLarge),
            (1114, Cause::ServerError),
            (1064, Cause::BadAnswer),
            (0, Cause::BadAnswer),
        ] {
            assert_eq!(of_number(number), cause, "{number}");
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
