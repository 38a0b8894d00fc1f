//! What Vault's answers mean. It says 404 to four different things.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use zeroize::Zeroize as _;

use super::Engine;
use super::client::Reply;
use crate::source::{Answer, Cause, Raw, SourceError};
use crate::value::{Value, json};

/// What a read of a KV secret came to.
pub(super) enum Outcome {
    /// An answer about the secret.
    Answered(Answer),
    /// 403: the token is dead, or the policy says no.
    Forbidden,
}

/// Reads the reply to a read of a KV secret.
pub(super) fn kv(engine: Engine, reply: &Reply) -> Result<Outcome, SourceError> {
    match reply.status {
        200 => match engine {
            Engine::Kv1 => found_unversioned(fields(reply)?).map(Outcome::Answered),
            Engine::Kv2 => found(fields(reply)?).map(Outcome::Answered),
        },
        403 => Ok(Outcome::Forbidden),
        404 => absent(fields(reply)?).map(Outcome::Answered),
        _ => Err(failure(reply)),
    }
}

/// Whether a mount is what `mounts` says, where the reply to a question about it
/// tells: each version also answers 404 to a read of the other.
pub(super) fn is_of(engine: Engine, reply: &Reply) -> Option<bool> {
    if reply.status != 200 {
        return None;
    }
    let Some(Value::Map(mut data)) = fields(reply).ok()?.remove("data") else { return None };
    let kind = data.remove("type")?;
    let version = match data.remove("options") {
        Some(Value::Map(mut options)) => options.remove("version"),
        _ => None,
    };
    let text = |text: &str| Value::String(text.to_owned());
    let fits = match engine {
        // A mount of version 1 may say so, or say nothing.
        Engine::Kv1 => version.is_none_or(|version| version == text("1")),
        Engine::Kv2 => version == Some(text("2")),
    };
    Some(kind == text("kv") && fits)
}

/// How long a token lives, counted from the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// None at all: the token has no end.
    pub(super) ttl: Duration,
    /// Whether it can be made longer.
    pub(super) renewable: bool,
}

/// Takes the token and its lease out of the reply to a login.
pub(super) fn token(reply: &Reply) -> Result<(String, Lease), SourceError> {
    match reply.status {
        200 => {}
        400 | 401 | 403 | 404 => return Err(Cause::LoginFailed.into()),
        _ => return Err(failure(reply)),
    }
    let mut auth = within(reply, "auth")?;
    let lease = lease(&mut auth, "lease_duration");
    match auth.remove("client_token") {
        Some(Value::String(token)) => Ok((token, lease)),
        _ => Err(Cause::BadAnswer.into()),
    }
}

/// The paths that may be read, of the reply to a question about capabilities.
pub(super) fn readable(reply: &Reply) -> Result<BTreeSet<String>, SourceError> {
    if reply.status != 200 {
        return Err(failure(reply));
    }
    let Some(Value::Map(paths)) = fields(reply)?.remove("data") else {
        return Err(Cause::BadAnswer.into());
    };
    let reads = |may: &Value| matches!(may, Value::String(may) if may == "read" || may == "root");
    let readable = paths.into_iter().filter(
        |(_, may)| matches!(may, Value::List(capabilities) if capabilities.iter().any(reads)),
    );
    Ok(readable.map(|(path, _)| path).collect())
}

/// The lease after a renewal; none: Vault won't renew this token.
pub(super) fn renewed(reply: &Reply) -> Result<Option<Lease>, SourceError> {
    lease_of(reply, "auth", "lease_duration")
}

/// The lease of a token that was looked up; none: Vault doesn't say.
pub(super) fn looked_up(reply: &Reply) -> Result<Option<Lease>, SourceError> {
    lease_of(reply, "data", "ttl")
}

fn lease_of(reply: &Reply, part: &str, ttl: &str) -> Result<Option<Lease>, SourceError> {
    match reply.status {
        200 => Ok(Some(lease(&mut within(reply, part)?, ttl))),
        400 | 401 | 403 | 404 => Ok(None),
        _ => Err(failure(reply)),
    }
}

fn within(reply: &Reply, part: &str) -> Result<Parts, SourceError> {
    match fields(reply)?.remove(part) {
        Some(Value::Map(parts)) => Ok(Parts(parts)),
        _ => Err(Cause::BadAnswer.into()),
    }
}

fn lease(parts: &mut Parts, ttl: &str) -> Lease {
    let seconds = match parts.remove(ttl) {
        Some(Value::Integer(seconds)) => u32::try_from(seconds).unwrap_or(0),
        _ => 0,
    };
    let renewable = parts.remove("renewable") == Some(Value::Bool(true));
    Lease { ttl: Duration::from_secs(seconds.into()), renewable }
}

/// What a status means that says nothing about the secret.
pub(super) fn failure(reply: &Reply) -> SourceError {
    let cause = match reply.status {
        // A standby's redirect names the active server; it isn't followed.
        307 | 472 | 473 | 503 => Cause::NotReady,
        401 | 403 => Cause::Refused,
        412 | 429 => Cause::RateLimited,
        500.. => Cause::ServerError,
        _ => Cause::BadAnswer,
    };
    SourceError { cause, retry_after: reply.retry_after }
}

/// The parts of an answer that matter, wiped when they go.
struct Parts(BTreeMap<String, Value>);

impl Parts {
    fn remove(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        Value::Map(std::mem::take(&mut self.0)).zeroize();
    }
}

/// The levels around a field's value: the answer, its `data`, and that one's.
const LEVELS: usize = 3;

fn fields(reply: &Reply) -> Result<Parts, SourceError> {
    match json::from_answer(&reply.body, LEVELS) {
        Ok(Value::Map(fields)) => Ok(Parts(fields)),
        _ => Err(Cause::BadAnswer.into()),
    }
}

/// `data` is the secret, and nothing says which one of many it is.
fn found_unversioned(mut parts: Parts) -> Result<Answer, SourceError> {
    match parts.remove("data") {
        Some(secret @ Value::Map(_)) => {
            Ok(Answer::Found { raw: Raw::Value(secret), version: None })
        }
        _ => Err(Cause::BadAnswer.into()),
    }
}

/// `data.data` is the secret, and `data.metadata.version` what was read.
fn found(mut parts: Parts) -> Result<Answer, SourceError> {
    let Some(Value::Map(mut data)) = parts.remove("data") else {
        return Err(Cause::BadAnswer.into());
    };
    let version = match data.get("metadata") {
        Some(Value::Map(metadata)) => match metadata.get("version") {
            Some(Value::Integer(version)) => version.to_string(),
            _ => return Err(Cause::BadAnswer.into()),
        },
        _ => return Err(Cause::BadAnswer.into()),
    };
    match data.remove("data") {
        Some(secret @ Value::Map(_)) => {
            Ok(Answer::Found { raw: Raw::Value(secret), version: Some(version) })
        }
        _ => Err(Cause::BadAnswer.into()),
    }
}

/// 404: never was, deleted or destroyed, or a mistake of configuration.
fn absent(mut parts: Parts) -> Result<Answer, SourceError> {
    if let Some(Value::Map(data)) = parts.remove("data") {
        return match data.get("metadata") {
            Some(Value::Map(metadata)) if is_gone(metadata) => Ok(Answer::Gone),
            _ => Err(Cause::BadAnswer.into()),
        };
    }
    match parts.remove("errors") {
        Some(Value::List(errors)) if errors.is_empty() => Ok(Answer::Missing),
        Some(Value::List(errors)) if errors.iter().any(is_no_mount) => {
            Err(Cause::NoSuchMount.into())
        }
        _ => Err(Cause::BadAnswer.into()),
    }
}

fn is_gone(metadata: &BTreeMap<String, Value>) -> bool {
    let deleted = matches!(
        metadata.get("deletion_time"), Some(Value::String(time)) if !time.is_empty()
    );
    deleted || metadata.get("destroyed") == Some(&Value::Bool(true))
}

fn is_no_mount(error: &Value) -> bool {
    matches!(error, Value::String(text) if text.starts_with("no handler for route"))
}
