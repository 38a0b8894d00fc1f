use super::*;
use crate::audit::event::ItemName;
use crate::name::{ParameterName, StepName};
use crate::proto::v1::SecretRef;
use crate::server::convert::record::tests::{frozen, stored};
use crate::snapshot::{Decision, DecisionReason, FrozenStep, SecretEncoding, SecretMark, Snapshot};
use crate::value::PublicValue;

fn secret_entry(item: ItemName, fingerprint: u8, maskable: bool) -> FrozenEntry {
    FrozenEntry::Secret(SecretEntry {
        item,
        mark: SecretMark { fingerprint: [fingerprint; 16], maskable },
        encoding: SecretEncoding::Text,
        computed_from: Default::default(),
    })
}

fn frozen_instance(fingerprint: u8, maskable: bool) -> FrozenInstance {
    let key = PublicValue::declared_public(Value::Bytes(vec![0, 1]));
    FrozenInstance {
        matrix: Default::default(),
        run: vec!["python".into()],
        env: [
            ("URL".to_owned(), secret_entry(ItemName::env("URL"), fingerprint, maskable)),
            ("MODE".to_owned(), FrozenEntry::Text("fast".into())),
        ]
        .into(),
        files: [
            ("key.pem".to_owned(), (secret_entry(ItemName::file("key.pem"), 3, true), 0o400)),
            ("raw".to_owned(), (FrozenEntry::Binary(key), 0o644)),
        ]
        .into(),
    }
}

fn step(action: StepAction) -> FrozenStep {
    FrozenStep {
        name: StepName::parse("train").unwrap(),
        needs: Vec::new(),
        decision: Decision {
            action,
            reason: DecisionReason::Unconditional,
            condition: None,
            deciding: Default::default(),
        },
        sees: ["public", "secret", "unneeded"]
            .map(|name| ParameterName::parse(name).unwrap())
            .into(),
        instances: vec![frozen_instance(1, true), frozen_instance(2, false)],
    }
}

fn with_view<T>(
    action: StepAction,
    instance: Option<u32>,
    fingerprints: bool,
    look: impl FnOnce(&ContextView<'_>) -> T,
) -> T {
    let (run, snapshot, step): (_, Snapshot, _) = (stored(None), frozen(), step(action));
    look(&ContextView { run: &run, snapshot: &snapshot, step: &step, instance, fingerprints })
}

fn seen_with(instance: Option<u32>, fingerprints: bool) -> v1::Context {
    with_view(StepAction::Run, instance, fingerprints, |view| context(view).unwrap())
}

#[test]
fn public_values_are_told_and_secrets_referred_to() {
    let context = seen_with(None, false);
    assert_eq!(context.values.keys().collect::<Vec<_>>(), ["public"]);
    assert_eq!(context.secrets.keys().collect::<Vec<_>>(), ["env.URL", "files.key.pem", "secret"]);
    let secret = &context.secrets["secret"];
    assert_eq!((secret.source(), secret.version()), (v1::SourceKind::Vault, "7"));
    assert_eq!(context.secrets["env.URL"].source(), v1::SourceKind::Template);
    assert!(context.secrets.values().all(|secret| secret.fingerprint.is_empty()));
}

#[test]
fn entries_say_where_their_content_is() {
    let context = seen_with(Some(1), false);
    assert_eq!(context.instances.len(), 1);
    let instance = &context.instances[0];
    assert_eq!(instance.index, 1);
    assert_eq!(instance.env["URL"].place, Some(Place::Secret("env.URL".into())));
    assert_eq!(instance.env["MODE"].place, Some(Place::Text("fast".into())));
    let file = &instance.files["raw"];
    assert_eq!(file.mode, 0o644);
    assert_eq!(file.content.clone().unwrap().place, Some(Place::Binary(vec![0, 1])));
}

#[test]
fn what_differs_between_instances_is_told_for_one_alone() {
    let of = |instance| -> SecretRef { seen_with(instance, true).secrets["env.URL"].clone() };
    assert_eq!((of(Some(0)).fingerprint, of(Some(0)).maskable), (vec![1; 16], true));
    assert_eq!((of(Some(1)).fingerprint, of(Some(1)).maskable), (vec![2; 16], false));
    assert_eq!((of(None).fingerprint, of(None).maskable), (Vec::new(), false));
    assert_eq!(seen_with(None, true).secrets["files.key.pem"].fingerprint, vec![3; 16]);
}

#[test]
fn a_step_that_is_skipped_is_given_no_secret() {
    let secrets = with_view(StepAction::Skip, None, true, |view| context(view).unwrap().secrets);
    assert!(secrets.is_empty());
}

#[test]
fn the_etag_names_the_view_as_the_caller_sees_it() {
    let etag = |instance, fingerprints| {
        let encoded =
            with_view(StepAction::Run, instance, fingerprints, |view| encode(view).unwrap());
        let told = v1::GetContextResponse::decode(encoded.answer).unwrap().etag;
        assert_eq!(told, *encoded.etag);
        told
    };
    assert_eq!(etag(None, false).len(), 16);
    assert_eq!(etag(None, false), etag(None, false));
    assert_ne!(etag(None, false), etag(Some(0), false));
    assert_ne!(etag(None, false), etag(None, true));
    let (mut extended, snapshot) = (stored(None), frozen());
    let step = step(StepAction::Run);
    let of = |run: &crate::store::StoredRun| {
        let (instance, fingerprints) = (None, false);
        let view = ContextView { run, snapshot: &snapshot, step: &step, instance, fingerprints };
        encode(&view).unwrap().etag
    };
    let before = of(&extended);
    extended.frozen.expires += std::time::Duration::from_nanos(1);
    assert_ne!(of(&extended), before);
}

#[test]
fn not_modified_has_twenty_bytes() {
    let etag = with_view(StepAction::Run, None, false, |view| encode(view).unwrap().etag);
    let bytes = answer(ContextAnswer::NotModified { etag: etag.clone() });
    assert_eq!(bytes.len(), 20);
    let told = v1::GetContextResponse::decode(bytes).unwrap();
    assert!(told.not_modified && told.context.is_none() && told.etag == *etag);
}

#[test]
fn a_context_over_the_limit_is_refused() {
    let run = stored(None);
    let snapshot = frozen();
    let mut step = step(StepAction::Run);
    step.instances[0].run = vec!["x".repeat(1 << 20); 3];
    let view = ContextView {
        run: &run,
        snapshot: &snapshot,
        step: &step,
        instance: None,
        fingerprints: false,
    };
    assert!(matches!(encode(&view), Err(Refusal::AnswerTooLarge { .. })));
    assert!(encode(&ContextView { instance: Some(1), ..view }).is_ok());
}
