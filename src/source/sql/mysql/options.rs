//! How to log in to a server, and what its sessions are bound by.

use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use super::MAX_ROW;
use crate::source::sql::login::{Password, read_ca};
use crate::source::sql::settings::{Limits, ServerSettings, Tls};
use crate::source::sql::url::Host;
use crate::source::{Cause, ConnectError, Environment};

const PORT: u16 = 3306;

/// How to log in, and how to begin. Nothing here prints the password.
pub(super) struct Login {
    options: MySqlConnectOptions,
    password: Password,
    /// What a session does first.
    pub(super) begin: String,
}

impl Login {
    /// Makes it ready; nobody is asked yet.
    pub(super) fn new(
        settings: &ServerSettings,
        environment: &Environment,
    ) -> Result<Self, ConnectError> {
        let options = options(settings)?;
        let password = Password::of(settings, environment);
        Ok(Self { options, password, begin: begin(settings.limits) })
    }

    /// With the password as it is now.
    pub(super) fn options(&self) -> Result<MySqlConnectOptions, Cause> {
        self.password.give(|password| {
            let options = self.options.clone();
            match password {
                Some(password) => options.password(password),
                None => options,
            }
        })
    }
}

fn options(settings: &ServerSettings) -> Result<MySqlConnectOptions, ConnectError> {
    let server = &settings.server;
    let options = MySqlConnectOptions::new()
        .username(&server.user)
        .database(&server.database)
        .port(server.port.unwrap_or(PORT))
        .statement_cache_capacity(0)
        .disable_statement_logging()
        // The session's settings are ours, in one statement.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone(None)
        .set_names(false);
    let options = match &server.host {
        Host::Network(host) => options.host(host),
        Host::Socket(path) => options.socket(path),
    };
    Ok(match &settings.tls {
        Tls::Off => options.ssl_mode(MySqlSslMode::Disabled),
        Tls::On(None) => options.ssl_mode(MySqlSslMode::VerifyIdentity),
        Tls::On(Some(ca)) => {
            options.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca_from_pem(read_ca(ca)?)
        }
    })
}

/// Settings of a session, and a transaction that only reads what was there when
/// it began. Texts in quotes mean what they mean in SQL, so that a query is read
/// by the server as it is by us; `group_concat` cuts nothing off that could be
/// taken. The first comment is for MariaDB, the second
/// for MySQL: the other one passes over it.
fn begin(limits: Limits) -> String {
    let Limits { time, rows } = limits;
    // They have no fractions.
    let seconds = time.as_millis().div_ceil(1_000);
    format!(
        "set names utf8mb4, sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT', \
         time_zone = '+00:00', sql_select_limit = {}, group_concat_max_len = {MAX_ROW}, lock_wait_timeout = {seconds}, \
         innodb_lock_wait_timeout = {seconds}, wait_timeout = {seconds}, \
         net_read_timeout = {seconds}, net_write_timeout = {seconds} \
         /*M!100100 , max_statement_time = {:.3} */ /*!50708 , max_execution_time = {} */; \
         set session transaction isolation level repeatable read; \
         start transaction with consistent snapshot, read only",
        rows + 1,
        time.as_secs_f64(),
        time.as_millis(),
    )
}
