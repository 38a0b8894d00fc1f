//! Callers who show a step token: each request has to come from its holder.

use jiff::Timestamp;
use tonic::metadata::MetadataMap;

use super::accept::Peer;
use super::authentication::{Unknown, bearer};
use crate::engine::Engine;
use crate::token::proof::{self, Asked, PROOF};
use crate::token::{Grant, Holder, STEP_PREFIX};

/// What the step token of a request is good for; none: it shows none.
///
/// # Errors
/// It isn't good, or its holder doesn't send it.
pub(super) fn grant(
    engine: &Engine,
    metadata: &MetadataMap,
    peer: Option<&Peer>,
    about: Asked<'_>,
) -> Result<Option<Grant>, Unknown> {
    let Some(token) = bearer(metadata).filter(|token| token.starts_with(STEP_PREFIX.as_bytes()))
    else {
        return Ok(None);
    };
    let found = engine.step_grant(token).map_err(|error| {
        tracing::error!(%error, "the store can't tell whether a step token is good");
        Unknown::StoreUnavailable
    })?;
    let grant = found.ok_or(Unknown::StepToken)?;
    let is_his = match &grant.holder {
        Holder::Certificate(print) => shows(peer, print),
        Holder::Key(key) => proves(metadata, key, token, about),
    };
    if is_his { Ok(Some(grant)) } else { Err(Unknown::NotItsHolder) }
}

/// Whether the connection shows a certificate that is still good.
fn shows(peer: Option<&Peer>, print: &[u8; 32]) -> bool {
    let shown = peer.and_then(|peer| peer.certificate.as_deref());
    shown.is_some_and(|shown| shown.is(print))
}

/// Whether the metadata have the one proof of this request.
fn proves(metadata: &MetadataMap, key: &[u8; 32], token: &[u8], about: Asked<'_>) -> bool {
    let mut all = metadata.get_all(PROOF).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return false };
    let now = u64::try_from(now()).unwrap_or_default();
    proof::is_good(one.as_encoded_bytes(), key, token, about, now)
}

fn now() -> i64 {
    Timestamp::now().as_second()
}
