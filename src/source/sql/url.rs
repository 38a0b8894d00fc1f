//! The address of a database: `sqlite:FILE`, or `SCHEME://USER@HOST[:PORT]/NAME`.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::yaml::fields::is_path;

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Url {
    /// A file of SQLite.
    Sqlite(String),
    /// A server of PostgreSQL.
    Postgres(Server),
    /// A server of MySQL or MariaDB.
    MySql(Server),
}

/// A server and a database of it. It has no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its role.
    pub(super) user: String,
    /// How it is reached.
    pub(super) host: Host,
    /// The port; also a part of the name of its socket.
    pub(super) port: Option<u16>,
    /// The database.
    pub(super) database: String,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// A name or an address.
    Network(String),
    /// Its socket; for PostgreSQL the folder of it.
    Socket(PathBuf),
}

impl Host {
    /// Whether nothing leaves this machine, whatever a name server says.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Network(host) => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// Why a text isn't such an address, and what would be.
pub(super) type UrlError = (&'static str, &'static str);

const SQLITE: &str = "such as `sqlite:warehouse.db`, relative to `paramd.yaml`";
const SERVER: &str = "such as `postgres://reader@db.example:5432/features`";
const MYSQL_SERVER: &str = "such as `mysql://reader@db.example:3306/features`";
const POSTGRES: &str = "`url` must be `postgres://USER@HOST/DATABASE`";
const MYSQL: &str = "`url` must be `mysql://USER@HOST/DATABASE`";
const ANY: &str = "`url` must be `sqlite:FILE`, or `postgres://` or `mysql://` and then \
    `USER@HOST/DATABASE`";

/// Reads an address. Its text may hold a password, so it is never shown.
pub(super) fn read(text: &str) -> Result<Url, UrlError> {
    match text.split_once(':') {
        Some(("sqlite", path)) => match wrong_path(path) {
            None => Ok(Url::Sqlite(path.to_owned())),
            Some(problem) => Err((problem, SQLITE)),
        },
        Some(("postgres" | "postgresql", rest)) => match server(rest, POSTGRES) {
            Ok(server) => Ok(Url::Postgres(server)),
            Err(problem) => Err((problem, SERVER)),
        },
        Some(("mysql" | "mariadb", rest)) => match server(rest, MYSQL) {
            Ok(server) => Ok(Url::MySql(server)),
            Err(problem) => Err((problem, MYSQL_SERVER)),
        },
        _ => Err((ANY, SERVER)),
    }
}

fn wrong_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("`sqlite:` needs the path of a file")
    } else if path.starts_with("//") || path.contains(['?', '#']) {
        Some("`sqlite:` is followed by a plain path, without `//` and without options")
    } else if path.starts_with(':') {
        Some("a database in memory has nothing to read")
    } else if path.contains(char::is_control) {
        Some("the path has a control character")
    } else if !is_path(path) {
        Some("the path has more than 4,096 bytes")
    } else {
        None
    }
}

fn server(text: &str, shape: &'static str) -> Result<Server, &'static str> {
    if text.contains(['?', '#']) {
        return Err("`url` has no options: `ca`, `tls`, `timeout` are keys of their own");
    }
    let (authority, database) =
        text.strip_prefix("//").and_then(|rest| rest.split_once('/')).ok_or(shape)?;
    let (user, place) = authority.rsplit_once('@').ok_or("`url` names no user")?;
    if user.contains(':') {
        return Err("a password is never written here: say where it is under `password`");
    }
    let (host, port) = host_and_port(place).ok_or("the host or port of `url` isn't one")?;
    let (user, database) = (decoded(user).ok_or(shape)?, decoded(database).ok_or(shape)?);
    if database.contains('/') {
        return Err(shape);
    }
    Ok(Server { user, host, port, database })
}

fn host_and_port(place: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, port)
        }
        None => place.split_at_checked(place.find(':').unwrap_or(place.len()))?,
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None if port.is_empty() => None,
        None => return None,
    };
    let host = decoded(host)?;
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.starts_with('/') {
        return Some((Host::Socket(host.into()), port));
    }
    host.bytes().all(plain).then_some((Host::Network(host), port))
}

/// Text without control characters, of at least one and at most 255 bytes.
fn decoded(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    let fits = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
    fits.then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> Server {
        match read(text) {
            Ok(Url::Postgres(server)) => server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_read_in_its_parts() {
        let server = postgres("postgres://reader@db.example:5433/features");
        assert_eq!(server.user, "reader");
        assert_eq!(server.host, Host::Network("db.example".into()));
        assert_eq!((server.port, server.database.as_str()), (Some(5433), "features"));
        let server = postgres("postgresql://a%40b@[::1]/x%20y");
        assert_eq!((server.user.as_str(), server.database.as_str()), ("a@b", "x y"));
        assert!(server.host.is_local());
        let server = postgres("postgres://u@%2Frun%2Fpostgresql/x");
        assert_eq!(server.host, Host::Socket("/run/postgresql".into()));
        assert!(server.host.is_local());
        assert!(postgres("postgres://u@127.0.0.1/x").host.is_local());
        assert!(postgres("postgres://u@localhost/x").host.is_local());
        assert!(!postgres("postgres://u@localhost.example/x").host.is_local());
        assert!(!postgres("postgres://u@10.0.0.1/x").host.is_local());
    }

    #[test]
    fn mysql_has_two_names() {
        for text in ["mysql://u@db:3307/x", "mariadb://u@db:3307/x"] {
            let Ok(Url::MySql(server)) = read(text) else { panic!("{text}") };
            assert_eq!((server.port, server.database.as_str()), (Some(3307), "x"));
        }
    }

    #[test]
    fn what_isnt_an_address_is_refused_and_not_quoted() {
        for text in [
            "postgres://u:hunter2@db/x",
            "postgres://:hunter2@db/x",
            "postgres://u@db/x?password=hunter2",
            "postgres://u@db/x#hunter2",
            "postgres://db/hunter2",
            "postgres://u@db/",
            "postgres://u@db",
            "postgres://u@/hunter2",
            "postgres:u@db/hunter2",
            "postgres://u@db:0/hunter2",
            "postgres://u@db:port/hunter2",
            "postgres://u@[db]/hunter2",
            "postgres://u@d b/hunter2",
            "postgres://u@db/hunter2/y",
            "postgres://u@db/hun%00ter2",
            "mysql://u:hunter2@db/x",
            "mysql://u@db/",
            "mariadb://db/hunter2",
            "oracle://u@db/hunter2",
            "hunter2",
        ] {
            let (problem, help) = read(text).unwrap_err();
            assert!(!problem.contains("hunter2") && !help.contains("hunter2"), "{text}");
        }
        assert!(read("postgres://u:hunter2@db/x").unwrap_err().0.contains("`password`"));
    }
}
