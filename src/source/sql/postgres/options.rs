//! How to log in to a server, and what its sessions are bound by.

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::source::sql::login::{Password, read_ca};
use crate::source::sql::settings::{ServerSettings, Tls};
use crate::source::sql::url::Host;
use crate::source::{Cause, ConnectError, Environment};

const PORT: u16 = 5432;
/// Variables that the driver reads and that can't be overruled.
const MEDDLING: [&str; 4] = ["PGOPTIONS", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"];

/// How to log in. Nothing here prints the password.
pub(super) struct Login {
    options: PgConnectOptions,
    password: Password,
}

impl Login {
    /// Makes it ready; nobody is asked yet.
    pub(super) fn new(
        settings: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, ConnectError> {
        if let Some(name) = MEDDLING.iter().find(|name| environment.contains_key(**name)) {
            return Err(ConnectError(format!(
                "the variable `{name}` in the daemon's environment would change how PostgreSQL \
                 is asked: take it out"
            )));
        }
        let options = options(settings)?;
        Ok(Self { options, password: Password::of(settings, environment) })
    }

    /// With the password as it is now; never with one of the environment that
    /// isn't the settings'.
    pub(super) fn options(&self) -> Result<PgConnectOptions, Cause> {
        self.password.give(|password| self.options.clone().password(password.unwrap_or_default()))
    }
}

fn options(settings: &ServerSettings) -> Result<PgConnectOptions, ConnectError> {
    let server = &settings.server;
    let limit = format!("{}ms", settings.limits.time.as_millis().min(i32::MAX as u128));
    let options = PgConnectOptions::new_without_pgpass()
        .username(&server.user)
        .database(&server.database)
        .port(server.port.unwrap_or(PORT))
        .application_name("paramd")
        // The session forgets its statements when it is returned: none is kept here, so
        // that nobody has to tell the server of it, which takes a round trip.
        .statement_cache_capacity(0)
        .disable_statement_logging()
        // What a session begins with is also what `discard all` returns it to.
        .options([
            ("default_transaction_read_only", "on"),
            ("statement_timeout", &limit),
            ("lock_timeout", &limit),
            ("idle_in_transaction_session_timeout", &limit),
            ("client_min_messages", "error"),
        ]);
    let options = match &server.host {
        Host::Network(host) => options.host(host),
        Host::Socket(folder) => options.socket(folder),
    };
    Ok(match &settings.tls {
        Tls::Off => options.ssl_mode(PgSslMode::Disable),
        Tls::On(None) => options.ssl_mode(PgSslMode::VerifyFull),
        Tls::On(Some(ca)) => {
            options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert_from_pem(read_ca(ca)?)
        }
    })
}
