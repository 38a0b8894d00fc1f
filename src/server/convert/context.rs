//! A step's context: what an executor is handed.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use bytes::Bytes;
use prost::Message as _;

use super::{record, time, value};
use crate::engine::{ContextAnswer, ContextView, EncodedAnswer, Refusal};
use crate::proto::v1;
use crate::proto::v1::content::Place;
use crate::provenance::SourceKind;
use crate::server::status;
use crate::snapshot::{
    FrozenContent, FrozenEntry, FrozenInstance, FrozenParameter, SecretEntry, StepAction,
};
use crate::value::Value;

/// Encodes `GetContextResponse` once; the etag is a digest of the context.
pub(in crate::server) fn encode(view: &ContextView<'_>) -> Result<EncodedAnswer, Refusal> {
    let context = context(view)?;
    let digest = digest::digest(&digest::SHA256, &context.encode_to_vec());
    let etag: String = hex::encode(digest.as_ref()).chars().take(16).collect();
    let answer =
        v1::GetContextResponse { etag: etag.clone(), not_modified: false, context: Some(context) };
    status::fits(&answer)?;
    Ok(EncodedAnswer { etag: etag.into(), answer: answer.encode_to_vec().into() })
}

/// An answer as it goes out.
pub(in crate::server) fn answer(answer: ContextAnswer) -> Bytes {
    match answer {
        ContextAnswer::Whole(bytes) => bytes,
        ContextAnswer::NotModified { etag } => {
            let etag = etag.to_string();
            let answer = v1::GetContextResponse { etag, not_modified: true, context: None };
            answer.encode_to_vec().into()
        }
    }
}

fn context(view: &ContextView<'_>) -> Result<v1::Context, Refusal> {
    let frozen = &view.run.frozen;
    let instances: Vec<_> = view
        .step
        .instances
        .iter()
        .zip(0_u32..)
        .filter(|(_, index)| view.instance.is_none_or(|wanted| wanted == *index))
        .collect();
    Ok(v1::Context {
        run: Some(record::run_name(&frozen.key)),
        step: view.step.name.to_string(),
        environment: frozen.environment.to_string(),
        decision: Some(record::decision(&view.step.decision)),
        values: values(view),
        secrets: secrets(view, &instances),
        instances: instances
            .iter()
            .map(|(frozen, index)| instance(frozen, *index))
            .collect::<Result<_, _>>()?,
        expire_time: Some(time::write(frozen.expires)),
    })
}

fn values(view: &ContextView<'_>) -> BTreeMap<String, v1::Value> {
    seen(view)
        .filter_map(|(name, frozen)| match &frozen.content {
            FrozenContent::Public(public) => Some((name, value::write(public))),
            FrozenContent::Secret(_) | FrozenContent::NotNeeded => None,
        })
        .collect()
}

/// The parameters that the step may see.
fn seen<'a>(view: &ContextView<'a>) -> impl Iterator<Item = (String, &'a FrozenParameter)> {
    let parameters = &view.snapshot.parameters;
    view.step.sees.iter().filter_map(move |name| Some((name.to_string(), parameters.get(name)?)))
}

/// What a reveal gives to the step: nothing to one that doesn't run.
fn secrets(
    view: &ContextView<'_>,
    instances: &[(&FrozenInstance, u32)],
) -> BTreeMap<String, v1::SecretRef> {
    if view.step.decision.action != StepAction::Run {
        return BTreeMap::new();
    }
    let mut secrets: BTreeMap<_, _> = seen(view)
        .filter_map(|(name, frozen)| Some((name, parameter_ref(frozen, view.fingerprints)?)))
        .collect();
    for entry in instances.iter().flat_map(|(instance, _)| entries(instance)) {
        let item = entry_ref(entry, view.fingerprints);
        secrets
            .entry(entry.item.as_str().to_owned())
            .and_modify(|other| unite(other, &item))
            .or_insert(item);
    }
    secrets
}

fn entries(instance: &FrozenInstance) -> impl Iterator<Item = &SecretEntry> {
    let files = instance.files.values().map(|(entry, _)| entry);
    instance.env.values().chain(files).filter_map(|entry| match entry {
        FrozenEntry::Secret(secret) => Some(secret),
        FrozenEntry::Text(_) | FrozenEntry::Binary(_) => None,
    })
}

fn parameter_ref(frozen: &FrozenParameter, fingerprints: bool) -> Option<v1::SecretRef> {
    let FrozenContent::Secret(mark) = &frozen.content else { return None };
    let provenance = frozen.provenance.as_ref();
    Some(v1::SecretRef {
        source: provenance.map_or(0, |provenance| provenance.source as i32),
        version: provenance.and_then(|provenance| provenance.version.clone()),
        fingerprint: record::fingerprint(mark, fingerprints),
        maskable: mark.maskable,
    })
}

fn entry_ref(entry: &SecretEntry, fingerprints: bool) -> v1::SecretRef {
    v1::SecretRef {
        source: SourceKind::Template as i32,
        version: None,
        fingerprint: record::fingerprint(&entry.mark, fingerprints),
        maskable: entry.mark.maskable,
    }
}

/// The same entry in two instances may have two values: then no fingerprint is
/// that of both, and what can't be masked in one can't be masked.
fn unite(one: &mut v1::SecretRef, other: &v1::SecretRef) {
    if one.fingerprint != other.fingerprint {
        one.fingerprint.clear();
    }
    one.maskable &= other.maskable;
}

fn instance(frozen: &FrozenInstance, index: u32) -> Result<v1::StepInstance, Refusal> {
    Ok(v1::StepInstance {
        index,
        matrix: frozen
            .matrix
            .iter()
            .map(|(name, item)| (name.to_string(), value::write(item)))
            .collect(),
        run: frozen.run.clone(),
        env: frozen
            .env
            .iter()
            .map(|(name, entry)| Ok((name.clone(), content(entry)?)))
            .collect::<Result<_, Refusal>>()?,
        files: frozen
            .files
            .iter()
            .map(|(name, (entry, mode))| {
                let file = v1::StepFile { content: Some(content(entry)?), mode: *mode };
                Ok((name.clone(), file))
            })
            .collect::<Result<_, Refusal>>()?,
    })
}

fn content(entry: &FrozenEntry) -> Result<v1::Content, Refusal> {
    let place = match entry {
        FrozenEntry::Text(text) => Place::Text(text.clone()),
        FrozenEntry::Secret(secret) => Place::Secret(secret.item.as_str().to_owned()),
        FrozenEntry::Binary(public) => match public.get() {
            Value::Bytes(bytes) => Place::Binary(bytes.clone()),
            _ => return Err(status::fault("a binary entry of a step holds no bytes")),
        },
    };
    Ok(v1::Content { place: Some(place) })
}

#[cfg(test)]
mod tests;
