//! Logging in, one at a time, and reading with what the login gave.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, Semaphore};
use vaultrs::client::VaultClient;
use zeroize::Zeroizing;

use super::answer::{self, Outcome};
use super::client::{Api, Call, send};
use super::{MOUNT, PATH, VERSION};
use crate::credential::Credential;
use crate::secret::SecretBytes;
use crate::source::{Answer, Cause, Environment, Pending, Read, Source, SourceError};
use crate::value::{Value, json};

/// The most reads of one Vault at the same time.
const MAX_READS: usize = 16;

/// How the daemon logs in.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// With a token that someone else keeps fresh; it is read anew when it dies.
    Token(Credential),
    /// As an AppRole.
    AppRole {
        /// Which role.
        role_id: Credential,
        /// The proof that it may be taken.
        secret_id: Credential,
    },
}

/// A Vault that can be read.
pub(super) struct Store {
    api: Api,
    login: Login,
    mounts: BTreeSet<String>,
    environment: Environment,
    /// The mounts that are known to be of KV version 2.
    checked: Mutex<BTreeSet<String>>,
    reads: Semaphore,
    state: Mutex<State>,
    /// How many logins have ended, well or not: whoever waited for one shares
    /// its outcome.
    ended: AtomicU64,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    failure: Option<SourceError>,
}

/// What one login gave.
struct Session {
    client: VaultClient,
    /// Which login, from 1.
    number: u64,
}

impl Store {
    /// Makes a Vault ready to be read; nobody is asked yet.
    pub(super) fn new(
        api: Api,
        login: Login,
        mounts: BTreeSet<String>,
        environment: Environment,
    ) -> Self {
        Self {
            api,
            login,
            mounts,
            environment,
            checked: Mutex::default(),
            reads: Semaphore::new(MAX_READS),
            state: Mutex::default(),
            ended: AtomicU64::new(0),
        }
    }

    async fn answer(&self, read: &Read) -> Result<Answer, SourceError> {
        let part = |field| read.address.get(field).map(String::as_str);
        let mount = part(MOUNT).filter(|mount| self.mounts.contains(*mount));
        let (Some(mount), Some(path)) = (mount, part(PATH)) else {
            return Err(Cause::NotGranted.into());
        };
        let place = Place { mount, path, version: part(VERSION) };
        let session = self.session(0).await?;
        let _turn = self.reads.acquire().await.map_err(|_| Cause::ServerError)?;
        match session.read(&place).await? {
            Outcome::Answered(answer) => return self.settle(answer, &session, mount).await,
            // 403 is both "dead token" and "not yours": only the first asks for a login.
            Outcome::Forbidden if session.is_alive().await? => return Err(Cause::Refused.into()),
            Outcome::Forbidden => {}
        }
        let renewed = self.session(session.number).await?;
        if renewed.has_token_of(&session) {
            return Err(Cause::LoginFailed.into());
        }
        match renewed.read(&place).await? {
            Outcome::Answered(answer) => self.settle(answer, &renewed, mount).await,
            Outcome::Forbidden => Err(self.refused(&renewed).await?.into()),
        }
    }

    /// Takes "there is no such value" from a mount of version 2 only: a `default`
    /// would stand in for a mistake of configuration. Each mount is asked once.
    async fn settle(
        &self,
        answer: Answer,
        session: &Session,
        mount: &str,
    ) -> Result<Answer, SourceError> {
        let known = |checked: &BTreeSet<String>| checked.contains(mount);
        if !matches!(answer, Answer::Missing) || known(&*self.checked.lock().await) {
            return Ok(answer);
        }
        match session.is_kv2(mount).await? {
            Some(false) => Err(Cause::BadAnswer.into()),
            // A policy may forbid the question; then the read's own answer stands.
            None => Ok(answer),
            Some(true) => {
                self.checked.lock().await.insert(mount.to_owned());
                Ok(answer)
            }
        }
    }

    /// Why a read with a session that was just made is forbidden.
    async fn refused(&self, session: &Session) -> Result<Cause, SourceError> {
        match self.login {
            Login::Token(_) if !session.is_alive().await? => Ok(Cause::LoginFailed),
            _ => Ok(Cause::Refused),
        }
    }

    /// The session after the one with the number `dead`, made by one login
    /// however many wait for it. Those who waited share its failure.
    async fn session(&self, dead: u64) -> Result<Arc<Session>, SourceError> {
        let seen = self.ended.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(session) = state.session.as_ref().filter(|session| session.number > dead) {
            return Ok(Arc::clone(session));
        }
        let ended = self.ended.load(Ordering::Acquire);
        if ended > seen
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        let outcome = self.log_in().await;
        self.ended.store(ended + 1, Ordering::Release);
        match outcome {
            Ok(token) => {
                let client = self.api.client(&token);
                let session = Arc::new(Session { client, number: ended + 1 });
                *state = State { session: Some(Arc::clone(&session)), failure: None };
                Ok(session)
            }
            Err(failure) => {
                state.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    async fn log_in(&self) -> Result<Zeroizing<String>, SourceError> {
        let token = match &self.login {
            Login::Token(credential) => self.load(credential).await?,
            Login::AppRole { role_id, secret_id } => {
                let role_id = self.load(role_id).await?;
                let secret_id = self.load(secret_id).await?;
                let call = Call {
                    path: "auth/approle/login".to_owned(),
                    query: None,
                    body: Some(body(&role_id, &secret_id)),
                };
                let reply = send(&self.api.client(""), call).await?;
                Zeroizing::new(answer::token(&reply)?)
            }
        };
        // vaultrs panics on a token that can't stand in a header.
        let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(token) } else { Err(Cause::LoginFailed.into()) }
    }

    async fn load(&self, credential: &Credential) -> Result<Zeroizing<String>, SourceError> {
        let (credential, environment) = (credential.clone(), self.environment.clone());
        let loading = tokio::task::spawn_blocking(move || credential.load(&environment));
        let loaded = loading.await.map_err(|_| Cause::ServerError)?;
        text(&loaded.map_err(|_| Cause::LoginFailed)?).ok_or(Cause::LoginFailed.into())
    }
}

#[expect(clippy::disallowed_methods, reason = "the daemon's own credential goes to its Vault")]
fn text(credential: &SecretBytes) -> Option<Zeroizing<String>> {
    let text = std::str::from_utf8(credential.expose()).ok()?;
    Some(Zeroizing::new(text.trim().to_owned()))
}

fn body(role_id: &str, secret_id: &str) -> Zeroizing<Vec<u8>> {
    let fields = [("role_id", role_id), ("secret_id", secret_id)];
    let fields = fields.map(|(key, text)| (key.to_owned(), Value::String(text.to_owned())));
    Zeroizing::new(json::to_json(&Value::Map(fields.into())).into_bytes())
}

impl Source for Store {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        Box::pin(self.answer(read))
    }
}

/// A secret of KV version 2.
struct Place<'a> {
    mount: &'a str,
    path: &'a str,
    version: Option<&'a str>,
}

impl Session {
    async fn read(&self, place: &Place<'_>) -> Result<Outcome, SourceError> {
        let call = Call {
            path: format!("{}/data/{}", place.mount, place.path),
            query: place.version.map(|version| format!("version={version}")),
            body: None,
        };
        answer::kv2(&send(&self.client, call).await?)
    }

    async fn is_kv2(&self, mount: &str) -> Result<Option<bool>, SourceError> {
        let path = format!("sys/internal/ui/mounts/{mount}");
        Ok(answer::is_kv2(&send(&self.client, Call { path, query: None, body: None }).await?))
    }

    /// Whether Vault still knows the token.
    async fn is_alive(&self) -> Result<bool, SourceError> {
        let call = Call { path: "auth/token/lookup-self".to_owned(), query: None, body: None };
        let reply = send(&self.client, call).await?;
        match reply.status {
            200 => Ok(true),
            401 | 403 => Ok(false),
            _ => Err(answer::failure(&reply)),
        }
    }

    fn has_token_of(&self, other: &Self) -> bool {
        self.client.middle.token == other.client.middle.token
    }
}
