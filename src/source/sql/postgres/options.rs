//! How to log in to a server, and what its sessions are bound by.

use std::io::Read as _;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::credential::{Credential, regular_file};
use crate::source::sql::settings::{ServerSettings, Tls};
use crate::source::sql::url::Host;
use crate::source::{Cause, ConnectError, Environment};

/// The most bytes of a CA file.
const MAX_CA_BYTES: u64 = 4 << 20;
const PORT: u16 = 5432;
/// Variables that the driver reads and that can't be overruled.
const MEDDLING: [&str; 4] = ["PGOPTIONS", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"];

/// How to log in. The password is read anew for each connection, so that a new
/// one needs no restart; nothing here prints it.
pub(super) struct Login {
    options: PgConnectOptions,
    password: Option<Credential>,
    environment: Environment,
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
        let environment = environment.clone();
        Ok(Self { options, password: settings.password.clone(), environment })
    }

    /// With the password as it is now.
    #[expect(clippy::disallowed_methods, reason = "the driver takes the daemon's own password")]
    pub(super) fn options(&self) -> Result<PgConnectOptions, Cause> {
        // Never one of the environment that isn't the settings'.
        let none = || Ok(self.options.clone().password(""));
        let Some(password) = &self.password else { return none() };
        let password = password.load(&self.environment).map_err(|_| Cause::LoginFailed)?;
        let text = std::str::from_utf8(password.expose()).map_err(|_| Cause::LoginFailed)?;
        Ok(self.options.clone().password(text))
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
        // One statement at a time; the session forgets it when it is returned.
        .statement_cache_capacity(1)
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

fn read_ca(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let failed =
        |why: &str| ConnectError(format!("the CA file `{}` can't be read: {why}", path.display()));
    let unreadable = |error: std::io::Error| failed(&error.kind().to_string());
    let file = regular_file(path).map_err(unreadable)?.ok_or_else(|| failed("not a file"))?;
    let mut bytes = Vec::new();
    file.take(MAX_CA_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        certificate.map_err(|_| failed("it isn't PEM"))?;
        count += 1;
    }
    if count == 0 { Err(failed("it has no certificate")) } else { Ok(bytes) }
}
