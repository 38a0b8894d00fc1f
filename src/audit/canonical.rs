//! The canonical form of an event, format 1, and the hash that chains it.
//!
//! `docs/audit.md` describes the form byte by byte. It never changes: a new
//! field makes a new format.

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;

use super::{Action, Event, EventDraft, Outcome, ParameterAccess, Principal, PrincipalKind};
use crate::audit::event::ItemName;
use crate::name::RunId;
use crate::provenance::SourceKind;
use crate::schema::KEYWORDS;
use crate::value::binary::wire::{Malformed, Reader, put_bytes, put_count, put_u32, put_u64};

/// The format that new events get.
pub const FORMAT: u32 = 1;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What comes before the first event of a chain.
pub const NO_HASH: Hash = [0; 32];

/// Stands for a keyword that isn't among the schema's.
const OTHER_KEYWORD: &str = "other";

const NANOS: i128 = 1_000_000_000;

/// Bytes that aren't a canonical form that this release knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the canonical form of an event")]
pub struct CanonicalError;

impl From<Malformed> for CanonicalError {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// What a canonical form says.
#[derive(Debug, Clone, PartialEq)]
pub struct Canonical {
    /// The chain.
    pub chain: String,
    /// The place in it.
    pub sequence: u64,
    /// The event.
    pub draft: EventDraft,
}

impl Canonical {
    /// The event with its hashes, as they are stored beside it.
    pub fn into_event(self, previous_hash: Hash, hash: Hash) -> Event {
        let Self { chain, sequence, draft } = self;
        Event { chain, sequence, draft, format: FORMAT, previous_hash, hash }
    }
}

/// The hash of an event: over the hash before it and its canonical form.
pub fn hash(previous: &Hash, canonical: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(previous);
    context.update(canonical);
    let mut hash = NO_HASH;
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    hash
}

/// The canonical form of an event at its place.
pub fn encode(chain: &str, sequence: u64, draft: &EventDraft) -> Vec<u8> {
    let mut out = Vec::with_capacity(4_096);
    let to = &mut out;
    put_u32(to, FORMAT);
    put_text(to, chain);
    put_u64(to, sequence);
    put_time(to, draft.time);
    put_number(to, draft.action.number());
    put_number(to, draft.outcome.number());
    put_text(to, &draft.reason);
    put_number(to, draft.principal.kind.number());
    put_text(to, &draft.principal.name);
    put_text(to, draft.pipeline.as_ref().map_or("", |name| name.as_str()));
    let run = draft.run.as_ref();
    put_text(to, run.map_or("", |(run_id, _)| run_id.as_str()));
    put_u32(to, run.map_or(0, |(_, attempt)| *attempt));
    put_text(to, &draft.bundle);
    put_text(to, draft.environment.as_ref().map_or("", |name| name.as_str()));
    put_text(to, draft.step.as_ref().map_or("", |name| name.as_str()));
    put_flag(to, draft.instance.is_some());
    put_u32(to, draft.instance.unwrap_or(0));
    put_count(to, draft.parameters.len());
    to.extend_from_slice(draft.parameters.canonical(accesses));
    put_u32(to, draft.unknown_names);
    put_flag(to, draft.sealed);
    put_count(to, draft.policy_ids.len());
    draft.policy_ids.iter().for_each(|id| put_text(to, id));
    put_text(to, &draft.trace_id);
    put_text(to, &draft.fingerprint_key);
    out
}

fn accesses(list: &[ParameterAccess]) -> Vec<u8> {
    let mut form = Vec::with_capacity(80 * list.len());
    list.iter().for_each(|access| put_access(&mut form, access));
    form
}

fn put_access(to: &mut Vec<u8>, access: &ParameterAccess) {
    put_text(to, access.name.as_str());
    put_u32(to, access.source.map_or(0, |kind| kind as u32));
    put_text(to, access.source_name.as_ref().map_or("", |name| name.as_str()));
    put_text(to, &access.location);
    put_flag(to, access.version.is_some());
    put_text(to, access.version.as_deref().unwrap_or(""));
    put_bytes(to, access.fingerprint.as_ref().map_or(&[], |bytes| bytes.as_slice()));
    put_text(to, keyword(access.violated_keyword).unwrap_or(OTHER_KEYWORD));
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    put_bytes(to, text.as_bytes());
}

fn put_flag(to: &mut Vec<u8>, flag: bool) {
    to.push(u8::from(flag));
}

fn put_number(to: &mut Vec<u8>, number: i64) {
    // The contract's numbers are small; one that isn't couldn't be read back.
    put_u32(to, u32::try_from(number).unwrap_or(u32::MAX));
}

fn put_time(to: &mut Vec<u8>, time: Timestamp) {
    let nanos = time.as_nanosecond();
    // A Timestamp's seconds fit 64 bits, and the rest is below 10^9.
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(i64::MAX);
    to.extend_from_slice(&seconds.to_be_bytes());
    put_u32(to, u32::try_from(nanos.rem_euclid(NANOS)).unwrap_or(u32::MAX));
}

/// Takes back what [`encode`] gave.
///
/// # Errors
/// It isn't such a form, to the last byte.
pub fn decode(bytes: &[u8]) -> Result<Canonical, CanonicalError> {
    let mut reader = Reader::new(bytes);
    let from = &mut reader;
    if from.u32()? != FORMAT {
        return Err(CanonicalError);
    }
    let chain = from.text()?.to_owned();
    let sequence = from.u64()?;
    let draft = read_draft(from)?;
    reader.end()?;
    Ok(Canonical { chain, sequence, draft })
}

fn read_draft(from: &mut Reader<'_>) -> Result<EventDraft, CanonicalError> {
    Ok(EventDraft {
        time: read_time(from)?,
        action: Action::from_number(from.u32()?.into()).ok_or(CanonicalError)?,
        outcome: Outcome::from_number(from.u32()?.into()).ok_or(CanonicalError)?,
        reason: from.text()?.to_owned(),
        principal: read_principal(from)?,
        pipeline: read_name(from)?,
        run: read_run(from)?,
        bundle: from.text()?.to_owned(),
        environment: read_name(from)?,
        step: read_name(from)?,
        instance: read_instance(from)?,
        parameters: read_list(from, read_access)?.into(),
        unknown_names: from.u32()?,
        sealed: from.flag()?,
        policy_ids: read_list(from, |from| Ok(from.text()?.to_owned()))?,
        trace_id: from.text()?.to_owned(),
        fingerprint_key: from.text()?.to_owned(),
    })
}

fn read_time(from: &mut Reader<'_>) -> Result<Timestamp, CanonicalError> {
    let seconds = i64::from_be_bytes(from.array()?);
    let nanos = i128::from(from.u32()?);
    if nanos >= NANOS {
        return Err(CanonicalError);
    }
    Timestamp::from_nanosecond(i128::from(seconds) * NANOS + nanos).map_err(|_| CanonicalError)
}

fn read_principal(from: &mut Reader<'_>) -> Result<Principal, CanonicalError> {
    let kind = PrincipalKind::from_number(from.u32()?.into()).ok_or(CanonicalError)?;
    Ok(Principal { kind, name: from.text()?.to_owned() })
}

fn read_name<T: std::str::FromStr>(from: &mut Reader<'_>) -> Result<Option<T>, CanonicalError> {
    match from.text()? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| CanonicalError),
    }
}

fn read_run(from: &mut Reader<'_>) -> Result<Option<(RunId, u32)>, CanonicalError> {
    match (read_name(from)?, from.u32()?) {
        (Some(run_id), attempt) => Ok(Some((run_id, attempt))),
        (None, 0) => Ok(None),
        (None, _) => Err(CanonicalError),
    }
}

fn read_instance(from: &mut Reader<'_>) -> Result<Option<u32>, CanonicalError> {
    match (from.flag()?, from.u32()?) {
        (true, instance) => Ok(Some(instance)),
        (false, 0) => Ok(None),
        (false, _) => Err(CanonicalError),
    }
}

fn read_list<T>(
    from: &mut Reader<'_>,
    item: fn(&mut Reader<'_>) -> Result<T, CanonicalError>,
) -> Result<Vec<T>, CanonicalError> {
    (0..from.count()?).map(|_| item(from)).collect()
}

fn read_access(from: &mut Reader<'_>) -> Result<ParameterAccess, CanonicalError> {
    Ok(ParameterAccess {
        name: ItemName::from_record(from.text()?.to_owned()),
        source: read_source(from)?,
        source_name: read_name(from)?,
        location: from.text()?.to_owned(),
        version: match (from.flag()?, from.text()?) {
            (true, text) => Some(text.to_owned()),
            (false, "") => None,
            (false, _) => return Err(CanonicalError),
        },
        fingerprint: match from.bytes()? {
            [] => None,
            bytes => Some(bytes.try_into().map_err(|_| CanonicalError)?),
        },
        violated_keyword: keyword(from.text()?).ok_or(CanonicalError)?,
    })
}

fn read_source(from: &mut Reader<'_>) -> Result<Option<SourceKind>, CanonicalError> {
    use SourceKind::{Env, File, Literal, Plugin, Sql, Template, Vault};
    let number = from.u32()?;
    if number == 0 {
        return Ok(None);
    }
    [Literal, Template, Env, File, Sql, Vault, Plugin]
        .into_iter()
        .find(|kind| *kind as u32 == number)
        .map(Some)
        .ok_or(CanonicalError)
}

/// The text as one that lives as long as the program, where it is a keyword.
fn keyword(text: &str) -> Option<&'static str> {
    ["", OTHER_KEYWORD].into_iter().chain(KEYWORDS).find(|known| *known == text)
}

#[cfg(test)]
mod tests;
