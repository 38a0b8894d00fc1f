//! What `paramd.yaml` says of a database, whichever it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::url::{self, Host, Server, Url};
use super::{mysql, postgres, query, sqlite};
use crate::credential::Credential;
use crate::process::sandbox::{Access, Needs};
use crate::source::{Cause, ConnectError, Environment, Read, Settings, Source, SourceError};
use crate::value::MAX_ITEMS;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{Fields, duration, integer, path, text};
use crate::yaml::{Node, Spanned};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_CONNECTIONS: usize = 8;

/// What one query may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long it may run.
    pub(super) time: Duration,
    /// How many rows it may give.
    pub(super) rows: usize,
}

impl Limits {
    /// Nothing takes longer than a query may, whoever is slow: the server, the
    /// way to it, or a login whose work the server decides.
    pub(super) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        tokio::time::timeout(self.time, work).await.map_err(|_| Cause::Timeout)?
    }
}

/// Whether and how a connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tls {
    /// Not at all.
    Off,
    /// With a certificate for the host of `url`; a CA to trust besides the
    /// public ones.
    On(Option<PathBuf>),
}

/// A server as `paramd.yaml` describes it. It knows where the password is, and
/// not what it is.
#[derive(Debug, Clone)]
pub(super) struct ServerSettings {
    /// The address.
    pub(super) server: Server,
    /// Where the password is; none: the server asks for none.
    pub(super) password: Option<Credential>,
    /// Whether it is encrypted.
    pub(super) tls: Tls,
    /// The most connections at the same time.
    pub(super) connections: usize,
    /// What a query may take.
    pub(super) limits: Limits,
}

/// The ports of servers whose address says none.
const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;

impl ServerSettings {
    fn needs(&self, usual_port: u16, needs: &mut Needs) {
        if let Host::Network(_) = self.server.host {
            needs.connect(self.server.port.unwrap_or(usual_port));
        }
        self.password.iter().for_each(|password| password.needs(needs));
        if let Tls::On(Some(ca)) = &self.tls {
            needs.file(ca, Access::Read);
        }
    }
}

/// A database and its limits.
#[derive(Debug)]
enum Database {
    Sqlite(sqlite::Sqlite),
    Postgres(ServerSettings),
    MySql(ServerSettings),
}

impl Settings for Database {
    fn files(&self) -> Vec<&Path> {
        match self {
            Self::Postgres(ServerSettings { tls: Tls::On(Some(ca)), .. })
            | Self::MySql(ServerSettings { tls: Tls::On(Some(ca)), .. }) => vec![ca],
            Self::Postgres(_) | Self::MySql(_) | Self::Sqlite(_) => Vec::new(),
        }
    }

    fn connect(&self, environment: &Environment) -> Result<Arc<dyn Source>, ConnectError> {
        match self {
            Self::Sqlite(file) => Ok(Arc::new(file.clone())),
            Self::Postgres(server) => {
                Ok(Arc::new(postgres::Postgres::new(server.clone(), environment)?))
            }
            Self::MySql(server) => Ok(Arc::new(mysql::MySql::new(server, environment)?)),
        }
    }

    fn needs(&self, needs: &mut Needs) {
        match self {
            // SQLite keeps files beside a database that others write.
            Self::Sqlite(database) => needs.file(database.file(), Access::Write),
            Self::Postgres(server) => server.needs(POSTGRES_PORT, needs),
            Self::MySql(server) => server.needs(MYSQL_PORT, needs),
        }
    }

    fn refuses(&self, read: &Read) -> Option<&'static str> {
        match self {
            Self::MySql(_) => read.query.as_deref().and_then(query::foreign_to_mysql),
            Self::Sqlite(_) | Self::Postgres(_) => None,
        }
    }
}

/// Reads what is under `sql:`.
pub(super) fn read(node: &Node, base: &Path, problems: &mut Problems) -> Option<Arc<dyn Settings>> {
    let before = problems.list.len();
    let mut fields = Fields::of(node, "a `sql` source", problems)?;
    let url = fields.required("url");
    let timeout = fields.optional("timeout");
    let max_rows = fields.optional("max_rows");
    let server = OfServer {
        password: fields.optional("password"),
        ca: fields.optional("ca"),
        tls: fields.optional("tls"),
        connections: fields.optional("connections"),
    };
    fields.finish(problems);
    let timeout = timeout.and_then(|node| duration(node, "timeout", problems));
    let rows = max_rows.and_then(|node| number(node, "max_rows", MAX_ITEMS, problems));
    let limits = Limits {
        time: timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.value),
        rows: rows.unwrap_or(MAX_ITEMS),
    };
    let url = url.and_then(|node| text(node, "url", problems));
    let database = match read_url(&url?, problems)? {
        Url::Sqlite(file) => {
            server.refuse(problems);
            Database::Sqlite(sqlite::Sqlite::new(base.join(file), limits))
        }
        Url::Postgres(address) => Database::Postgres(server.read(address, limits, base, problems)?),
        Url::MySql(address) => Database::MySql(server.read(address, limits, base, problems)?),
    };
    (problems.list.len() == before).then(|| Arc::new(database) as Arc<dyn Settings>)
}

fn read_url(text: &Spanned<String>, problems: &mut Problems) -> Option<Url> {
    match url::read(&text.value) {
        Ok(url) => Some(url),
        Err((problem, help)) => {
            problems.error("invalid_url", &text.place, problem).sensitive().help(help);
            None
        }
    }
}

/// The keys that only a server has.
struct OfServer<'n> {
    password: Option<&'n Node>,
    ca: Option<&'n Node>,
    tls: Option<&'n Node>,
    connections: Option<&'n Node>,
}

impl OfServer<'_> {
    fn refuse(&self, problems: &mut Problems) {
        let all = [self.password, self.ca, self.tls, self.connections];
        for node in all.into_iter().flatten() {
            let told = "a file of SQLite has no password, no TLS and no connections";
            problems.error("not_of_a_file", &node.place, told).sensitive();
        }
    }

    fn read(
        &self,
        server: Server,
        limits: Limits,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<ServerSettings> {
        let password = match self.password {
            Some(node) => Some(Credential::read_node(node, base, problems)?),
            None => None,
        };
        let connections = match self.connections {
            Some(node) => number(node, "connections", 100, problems)?,
            None => DEFAULT_CONNECTIONS,
        };
        let tls = self.read_tls(&server, base, problems)?;
        Some(ServerSettings { server, password, tls, connections, limits })
    }

    /// Encrypted, but for this machine's own servers and where it is said.
    fn read_tls(&self, server: &Server, base: &Path, problems: &mut Problems) -> Option<Tls> {
        let ca = match self.ca {
            Some(node) => Some(base.join(path(node, "ca", problems)?.value)),
            None => None,
        };
        let word = match self.tls {
            Some(node) => Some(text(node, "tls", problems)?),
            None => None,
        };
        match word.as_ref().map(|word| word.value.as_str()) {
            None if server.host.is_local() && ca.is_none() => Some(Tls::Off),
            None | Some("on") => Some(Tls::On(ca)),
            Some("off") if ca.is_none() => Some(Tls::Off),
            Some(_) => {
                let place = &word?.place;
                problems
                    .error("invalid_tls", place, "`tls` is `on` or `off`, and `off` has no `ca`")
                    .sensitive();
                None
            }
        }
    }
}

/// A whole number from 1 to `most`.
fn number(node: &Node, key: &str, most: usize, problems: &mut Problems) -> Option<usize> {
    let found = integer(node, key, problems)?;
    let number = usize::try_from(found.value).ok().filter(|number| (1..=most).contains(number));
    if number.is_none() {
        let told = format!("`{key}` must be from 1 to {most}");
        problems.error("out_of_range", &found.place, told);
    }
    number
}
