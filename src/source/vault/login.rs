//! Logging in, one at a time, and reading with what the login gave.

mod renewal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore};
use vaultrs::client::VaultClient;
use zeroize::Zeroizing;

use self::renewal::Plan;
use super::answer::{self, Outcome};
use super::client::{Api, Call, Reply, send};
use super::{Engine, MOUNT, PATH, VERSION};
use crate::credential::Credential;
use crate::secret::SecretBytes;
use crate::source::{Answer, Cause, Environment, Pending, Probe, Read, Source, SourceError};
use crate::value::{Value, json};

/// The most reads of one Vault at the same time.
const MAX_READS: usize = 16;

/// How the daemon logs in.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// With a token that was made elsewhere; it is read anew when it changes.
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
pub(super) struct Store(Arc<Inner>);

struct Inner {
    api: Api,
    login: Login,
    mounts: BTreeMap<String, Engine>,
    environment: Environment,
    /// The mounts that are known to be what `mounts` says.
    checked: Mutex<BTreeSet<String>>,
    reads: Semaphore,
    /// Held by whoever logs in. Nobody whose token lives waits for it.
    logins: Mutex<()>,
    /// Held for a look, never while Vault is asked.
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
    /// When the token wants care. Held by the one task that takes it.
    plan: Arc<Mutex<Plan>>,
}

impl Store {
    /// Makes a Vault ready to be read; nobody is asked yet.
    pub(super) fn new(
        api: Api,
        login: Login,
        mounts: BTreeMap<String, Engine>,
        environment: Environment,
    ) -> Self {
        Self(Arc::new(Inner {
            api,
            login,
            mounts,
            environment,
            checked: Mutex::default(),
            reads: Semaphore::new(MAX_READS),
            logins: Mutex::default(),
            state: Mutex::default(),
            ended: AtomicU64::new(0),
        }))
    }
}

impl Inner {
    async fn answer(self: &Arc<Self>, read: &Read) -> Result<Answer, SourceError> {
        let part = |field| read.address.get(field).map(String::as_str);
        let mount = part(MOUNT).and_then(|mount| Some((mount, *self.mounts.get(mount)?)));
        let (Some((mount, engine)), Some(path)) = (mount, part(PATH)) else {
            return Err(Cause::NotGranted.into());
        };
        let place = Place { mount, engine, path, version: part(VERSION) };
        if engine == Engine::Kv1 && place.version.is_some() {
            return Err(Cause::NotGranted.into());
        }
        let session = self.session(0).await?;
        let _turn = self.reads.acquire().await.map_err(|_| Cause::ServerError)?;
        match session.read(&place).await? {
            Outcome::Answered(answer) => {
                self.tend(&session);
                return self.settle(answer, &session, &place).await;
            }
            // 403 is both "dead token" and "not yours": only the first asks for a login.
            Outcome::Forbidden if session.is_alive().await? => return Err(Cause::Refused.into()),
            Outcome::Forbidden => {}
        }
        let renewed = self.session(session.number).await?;
        if renewed.has_token_of(&session) {
            return Err(Cause::LoginFailed.into());
        }
        match renewed.read(&place).await? {
            Outcome::Answered(answer) => {
                self.tend(&renewed);
                self.settle(answer, &renewed, &place).await
            }
            Outcome::Forbidden => Err(self.refused(&renewed).await?.into()),
        }
    }

    /// Takes "there is no such value" only from a mount of the version that
    /// `mounts` says: a `default` would stand in for a mistake of configuration.
    /// What version 2 answers to a read of version 1 isn't a secret's own fields,
    /// so there every answer waits for this. Each mount is asked once.
    async fn settle(
        &self,
        answer: Answer,
        session: &Session,
        place: &Place<'_>,
    ) -> Result<Answer, SourceError> {
        let mount = place.mount;
        let doubtful = matches!(answer, Answer::Missing) || place.engine == Engine::Kv1;
        let known = |checked: &BTreeSet<String>| checked.contains(mount);
        if !doubtful || known(&*self.checked.lock().await) {
            return Ok(answer);
        }
        match session.is_of(place.engine, mount).await? {
            Some(false) => Err(Cause::BadAnswer.into()),
            // A policy may forbid the question; then the read's own answer stands.
            None => Ok(answer),
            Some(true) => {
                self.checked.lock().await.insert(mount.to_owned());
                Ok(answer)
            }
        }
    }

    /// Asks what the token may do at all these places, in one call that reads none
    /// of them.
    async fn may_read(&self, probes: &[Probe<'_>]) -> Result<Vec<Vec<String>>, SourceError> {
        let paths: Vec<Option<String>> =
            probes.iter().map(|probe| self.api_path(probe.read)).collect();
        let listed = paths.iter().flatten().cloned().map(Value::String).collect();
        let question = Value::Map([("paths".to_owned(), Value::List(listed))].into());
        let call = Call {
            path: "sys/capabilities-self".to_owned(),
            query: None,
            body: Some(Zeroizing::new(json::to_json(&question).into_bytes())),
        };
        let session = self.session(0).await?;
        let readable = answer::readable(&send(&session.client, call).await?)?;
        let told = |path: &Option<String>| match path {
            None => vec!["its mount isn't one of the source's".to_owned()],
            Some(path) if readable.contains(path) => Vec::new(),
            Some(_) => vec!["Vault's policies don't let the daemon read there".to_owned()],
        };
        Ok(paths.iter().map(told).collect())
    }

    fn api_path(&self, read: &Read) -> Option<String> {
        let mount = read.address.get(MOUNT)?;
        Some(api_path(*self.mounts.get(mount)?, mount, read.address.get(PATH)?))
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
        if let Some(session) = self.newer(dead).await {
            return Ok(session);
        }
        let _one = self.logins.lock().await;
        if let Some(session) = self.newer(dead).await {
            return Ok(session);
        }
        if self.ended.load(Ordering::Acquire) > seen
            && let Some(failure) = &self.state.lock().await.failure
        {
            return Err(failure.clone());
        }
        match self.log_in().await {
            Ok((token, plan)) => Ok(self.begin(&token, plan).await),
            Err(failure) => {
                self.state.lock().await.failure = Some(failure.clone());
                self.ended.fetch_add(1, Ordering::AcqRel);
                Err(failure)
            }
        }
    }

    async fn newer(&self, dead: u64) -> Option<Arc<Session>> {
        let state = self.state.lock().await;
        state.session.as_ref().filter(|session| session.number > dead).map(Arc::clone)
    }

    /// Makes this token the one that is used. The caller holds `logins`.
    async fn begin(&self, token: &str, plan: Plan) -> Arc<Session> {
        let number = self.ended.fetch_add(1, Ordering::AcqRel) + 1;
        let client = self.api.client(token);
        let session = Arc::new(Session { client, number, plan: Arc::new(Mutex::new(plan)) });
        let mut state = self.state.lock().await;
        *state = State { session: Some(Arc::clone(&session)), failure: None };
        session
    }

    async fn log_in(&self) -> Result<(Zeroizing<String>, Plan), SourceError> {
        match &self.login {
            Login::Token(credential) => {
                Ok((self.load_token(credential).await?, Plan::unknown(Instant::now())))
            }
            Login::AppRole { role_id, secret_id } => {
                let role_id = self.load(role_id).await?;
                let secret_id = self.load(secret_id).await?;
                let call = Call {
                    path: "auth/approle/login".to_owned(),
                    query: None,
                    body: Some(body(&role_id, &secret_id)),
                };
                let asked = Instant::now();
                let (token, lease) = answer::token(&send(&self.api.client(""), call).await?)?;
                Ok((usable(Zeroizing::new(token))?, Plan::leased(lease, asked)))
            }
        }
    }

    async fn load_token(&self, credential: &Credential) -> Result<Zeroizing<String>, SourceError> {
        usable(self.load(credential).await?)
    }

    async fn load(&self, credential: &Credential) -> Result<Zeroizing<String>, SourceError> {
        let (credential, environment) = (credential.clone(), self.environment.clone());
        let loading = tokio::task::spawn_blocking(move || credential.load(&environment));
        let loaded = loading.await.map_err(|_| Cause::ServerError)?;
        text(&loaded.map_err(|_| Cause::LoginFailed)?).ok_or(Cause::LoginFailed.into())
    }
}

/// vaultrs panics on a token that can't stand in a header.
fn usable(token: Zeroizing<String>) -> Result<Zeroizing<String>, SourceError> {
    let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(token) } else { Err(Cause::LoginFailed.into()) }
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
        Box::pin(self.0.answer(read))
    }

    fn check_all<'a>(
        &'a self,
        probes: &'a [Probe<'a>],
    ) -> Pending<'a, Result<Vec<Vec<String>>, SourceError>> {
        Box::pin(self.0.may_read(probes))
    }
}

/// A secret of a KV engine.
struct Place<'a> {
    mount: &'a str,
    engine: Engine,
    path: &'a str,
    version: Option<&'a str>,
}

/// Where the API has a secret.
fn api_path(engine: Engine, mount: &str, path: &str) -> String {
    match engine {
        Engine::Kv1 => format!("{mount}/{path}"),
        Engine::Kv2 => format!("{mount}/data/{path}"),
    }
}

impl Session {
    async fn read(&self, place: &Place<'_>) -> Result<Outcome, SourceError> {
        let call = Call {
            path: api_path(place.engine, place.mount, place.path),
            query: place.version.map(|version| format!("version={version}")),
            body: None,
        };
        answer::kv(place.engine, &send(&self.client, call).await?)
    }

    async fn is_of(&self, engine: Engine, mount: &str) -> Result<Option<bool>, SourceError> {
        let path = format!("sys/internal/ui/mounts/{mount}");
        let reply = send(&self.client, Call { path, query: None, body: None }).await?;
        Ok(answer::is_of(engine, &reply))
    }

    /// Whether Vault still knows the token.
    async fn is_alive(&self) -> Result<bool, SourceError> {
        let reply = look_up(&self.client).await?;
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

async fn look_up(client: &VaultClient) -> Result<Reply, SourceError> {
    let call = Call { path: "auth/token/lookup-self".to_owned(), query: None, body: None };
    send(client, call).await
}
