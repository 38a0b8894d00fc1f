//! Who calls: a bearer token where one is sent, else the client's certificate,
//! else the kernel's word on the peer of the Unix socket.

use std::fmt;
use std::sync::Arc;

use tonic::metadata::MetadataMap;

use super::accept::Peer;
use super::trust::Bad;
use crate::audit::{Principal, PrincipalKind};
use crate::jwt::{self, Issuers};
use crate::token::{Refused, Tokens};

/// What tells whose a bearer credential is.
#[derive(Debug, Clone)]
pub struct Bearers {
    /// The daemon's own tokens.
    pub tokens: Arc<Tokens>,
    /// Those who sign tokens that are good here.
    pub issuers: Arc<Issuers>,
}

/// Who calls, by what he shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) principal: Principal,
    /// What the credential vouches for beside the name.
    pub(super) groups: Arc<[String]>,
}

impl Told {
    fn named(name: String, kind: PrincipalKind) -> Self {
        Self { principal: Principal { name, kind }, groups: Arc::default() }
    }
}

/// Why a caller isn't told. It goes to the log alone: the caller learns only
/// that the credential isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Neither token nor certificate, and no socket that tells.
    NoCredential,
    /// Not one `Bearer TOKEN`.
    Malformed,
    /// The token isn't good.
    Token(Refused),
    /// The JWT isn't good.
    Jwt(jwt::Refused),
    /// A step token that isn't good: never made, over, or of a run that has ended.
    StepToken,
    /// A step token without proof that its holder sends it.
    NotItsHolder,
    /// Nobody can tell whether a step token is good.
    StoreUnavailable,
    /// The certificate isn't good.
    Certificate(Bad),
    /// What is shown names somebody else than it did.
    Changed,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCredential => "no credential",
            Self::Malformed => "malformed authorization",
            Self::Token(refused) => refused.word(),
            Self::Jwt(refused) => refused.word(),
            Self::StepToken => "unknown, expired or ended step token",
            Self::NotItsHolder => "step token without its holder's proof",
            Self::StoreUnavailable => "the store doesn't tell step tokens",
            Self::Certificate(Bad::NamesNobody) => "certificate without a usable name",
            Self::Certificate(Bad::Expired) => "expired certificate",
            Self::Certificate(Bad::Untrusted) => "certificate that no authority vouches for",
            Self::Changed => "a credential that names another principal than before",
        })
    }
}

/// The caller who shows this. Who sends a token wants to be taken for its owner:
/// one that isn't good is never passed over for the certificate or the uid.
pub(super) async fn shown(
    metadata: &MetadataMap,
    peer: Option<&Peer>,
    bearers: &Bearers,
) -> Result<Told, Unknown> {
    if metadata.contains_key("authorization") {
        return owner(bearer(metadata).ok_or(Unknown::Malformed)?, bearers).await;
    }
    let peer = peer.ok_or(Unknown::NoCredential)?;
    let Some(certificate) = &peer.certificate else {
        let principal = peer.uid.map(Principal::unix_user).ok_or(Unknown::NoCredential)?;
        return Ok(Told { principal, groups: Arc::default() });
    };
    let name = certificate.name().map_err(Unknown::Certificate)?;
    Ok(Told::named(name.to_owned(), PrincipalKind::Certificate))
}

/// Whose a token is.
async fn owner(token: &[u8], Bearers { tokens, issuers }: &Bearers) -> Result<Told, Unknown> {
    if jwt::is_jwt(token) {
        let jwt::Known { name, groups } = issuers.known(token).await.map_err(Unknown::Jwt)?;
        let principal = Principal { name, kind: PrincipalKind::Jwt };
        return Ok(Told { principal, groups: groups.into() });
    }
    let name = tokens.owner(token).map_err(Unknown::Token)?;
    Ok(Told::named(format!("token:{name}"), PrincipalKind::Token))
}

/// The one token of the metadata.
pub(super) fn bearer(metadata: &MetadataMap) -> Option<&[u8]> {
    let mut all = metadata.get_all("authorization").iter();
    let (Some(one), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = one.as_encoded_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// The trace id of a W3C `traceparent`; empty where there is none or it isn't
/// well formed.
pub(super) fn trace_id(metadata: &MetadataMap) -> String {
    traceparent(metadata).map(trace_of).unwrap_or_default().to_owned()
}

/// The W3C `traceparent`, where there is one and it is well formed.
pub(super) fn traceparent(metadata: &MetadataMap) -> Option<&str> {
    let text = metadata.get("traceparent")?.to_str().ok()?;
    well_formed(text).map(|_| text)
}

/// The trace id of a well formed `traceparent`.
pub(super) fn trace_of(traceparent: &str) -> &str {
    well_formed(traceparent).unwrap_or_default()
}

fn well_formed(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    let known = version != "00" || parts.next().is_none();
    let shaped = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    (known && shaped && version != "ff" && !zero(trace) && !zero(span)).then_some(trace)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn found(traceparent: &str) -> String {
        let mut metadata = MetadataMap::new();
        metadata.insert("traceparent", traceparent.parse().unwrap());
        trace_id(&metadata)
    }

    #[test]
    fn a_well_formed_traceparent_gives_its_trace() {
        assert_eq!(found(&format!("00-{TRACE}-00f067aa0ba902b7-01")), TRACE);
        assert_eq!(found(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")), TRACE);
    }

    #[test]
    fn anything_else_gives_none() {
        for text in [
            String::new(),
            "hunter2".to_owned(),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
        ] {
            assert_eq!(found(&text), "", "{text}");
        }
        assert_eq!(trace_id(&MetadataMap::new()), "");
    }

    fn asked(values: &[&'static str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().unwrap());
        }
        metadata
    }

    fn bearers() -> Bearers {
        let tokens = Tokens::new("/nowhere".into(), std::path::PathBuf::from("/nowhere"));
        Bearers { tokens: Arc::new(tokens), issuers: Arc::default() }
    }

    #[tokio::test]
    async fn without_a_socket_nobody_calls() {
        let told = shown(&MetadataMap::new(), None, &bearers()).await;
        assert_eq!(told, Err(Unknown::NoCredential));
    }

    #[tokio::test]
    async fn a_token_that_is_sent_is_never_passed_over() {
        let peer = Peer { uid: Some(1), certificate: None, address: None, pulse: <_>::default() };
        for (sent, why) in [
            (&["Bearer paramd_token_x"][..], Unknown::Token(Refused::Unknown)),
            (&["bearer paramd_token_x"], Unknown::Token(Refused::Unknown)),
            (&["Bearer"], Unknown::Malformed),
            (&["Basic paramd_x"], Unknown::Malformed),
            (&[""], Unknown::Malformed),
            (&["Bearer paramd_token_x", "Bearer paramd_y"], Unknown::Malformed),
            (&["Bearer a.b.c"], Unknown::Jwt(jwt::Refused::Malformed)),
            (&["Bearer paramd_token_x.y"], Unknown::Jwt(jwt::Refused::Malformed)),
        ] {
            let told = shown(&asked(sent), Some(&peer), &bearers()).await;
            assert_eq!(told, Err(why), "{sent:?}");
        }
        let told = shown(&asked(&[]), Some(&peer), &bearers()).await;
        assert_eq!(told.unwrap().principal.name, "uid:1");
    }
}
