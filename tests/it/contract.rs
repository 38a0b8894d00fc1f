//! The two rules of `proto/README.md` about secrets, from the descriptors, and
//! that no generated `Debug` prints a value.

use std::collections::{BTreeMap, BTreeSet};

use paramd::proto::v1::{
    ExplainRunRequest, PlainSecret, PlainSecrets, ResolveRunRequest, RevealSecretsResponse,
    SealedSecret, SealedSecrets, SecretPayload, Value, reveal_secrets_response::Secrets,
    value::Kind,
};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind as FieldKind, MessageDescriptor};

fn pool() -> DescriptorPool {
    DescriptorPool::decode(paramd::proto::DESCRIPTORS).unwrap()
}

fn is_marked(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

/// All messages that can be inside `message`, itself included.
fn inside(message: &MessageDescriptor, found: &mut BTreeMap<String, MessageDescriptor>) {
    if found.insert(message.full_name().to_owned(), message.clone()).is_none() {
        for field in message.fields() {
            if let FieldKind::Message(inner) = field.kind() {
                inside(&inner, found);
            }
        }
    }
}

fn messages_inside(message: &MessageDescriptor) -> BTreeMap<String, MessageDescriptor> {
    let mut found = BTreeMap::new();
    inside(message, &mut found);
    found
}

/// Whether the message's type is one that holds secret bytes itself.
fn carries(message: &MessageDescriptor) -> bool {
    ["paramd.v1.SecretPayload", "paramd.v1.SealedSecret"].contains(&message.full_name())
}

#[test]
fn only_a_reveal_answers_with_a_type_of_secret_proto() {
    let mut with_secrets = BTreeSet::new();
    for service in pool().services().filter(|service| service.package_name() == "paramd.v1") {
        for method in service.methods() {
            let found = messages_inside(&method.output());
            let mut files = found.values().map(|message| message.parent_file().name().to_owned());
            if files.any(|file| file == "paramd/v1/secret.proto") {
                with_secrets.insert(method.output().full_name().to_owned());
            }
        }
    }
    assert_eq!(with_secrets, BTreeSet::from(["paramd.v1.RevealSecretsResponse".to_owned()]));
}

#[test]
fn every_field_that_reaches_secret_bytes_is_marked() {
    let mut checked = 0;
    for message in pool().all_messages().filter(|message| !message.is_map_entry()) {
        for field in message.fields() {
            let bytes = carries(&message) && matches!(field.kind(), FieldKind::Bytes);
            let reaches = match field.kind() {
                FieldKind::Message(inner) => messages_inside(&inner).values().any(carries),
                _ => false,
            };
            if bytes || reaches {
                checked += 1;
                assert!(is_marked(&field), "`{}` isn't marked", field.full_name());
            }
        }
    }
    assert!(checked >= 9, "only {checked} fields reach secret bytes");
}

#[test]
fn public_overrides_of_a_request_are_marked_too() {
    for name in ["ResolveRunRequest", "ExplainRunRequest"] {
        let message = pool().get_message_by_name(&format!("paramd.v1.{name}")).unwrap();
        for field in ["overrides", "text_overrides", "secret_overrides"] {
            assert!(is_marked(&message.get_field_by_name(field).unwrap()), "{name}.{field}");
        }
    }
}

const CANARY: &str = "canary-in-a-message-1b7e";

fn check_hidden(text: &str) {
    assert!(!text.contains(CANARY), "{text}");
    assert!(!text.contains(&format!("{:?}", CANARY.as_bytes())[1..20]), "{text}");
}

#[test]
fn debug_of_requests_prints_no_value() {
    let payload = || SecretPayload { data: CANARY.into(), encoding: 1 };
    let value = Value { kind: Some(Kind::StringValue(CANARY.into())) };
    let name = || "a".to_owned();
    let resolve = ResolveRunRequest {
        overrides: BTreeMap::from([(name(), value.clone())]),
        text_overrides: BTreeMap::from([(name(), CANARY.to_owned())]),
        secret_overrides: BTreeMap::from([(name(), payload())]),
        ..ResolveRunRequest::default()
    };
    check_hidden(&format!("{resolve:?} {resolve:#?}"));
    let explain = ExplainRunRequest {
        overrides: BTreeMap::from([(name(), value)]),
        text_overrides: BTreeMap::from([(name(), CANARY.to_owned())]),
        secret_overrides: BTreeMap::from([(name(), payload())]),
        ..ExplainRunRequest::default()
    };
    check_hidden(&format!("{explain:?} {explain:#?}"));
}

#[test]
fn debug_of_secrets_prints_no_value() {
    let payload = SecretPayload { data: CANARY.into(), encoding: 1 };
    check_hidden(&format!("{payload:?}"));
    let plain = PlainSecret { name: "a".into(), version: None, payload: Some(payload) };
    check_hidden(&format!("{plain:?}"));
    let plain = PlainSecrets { secrets: vec![plain] };
    check_hidden(&format!("{plain:?}"));
    let answer = RevealSecretsResponse { secrets: Some(Secrets::Plain(plain)) };
    check_hidden(&format!("{answer:?} {:?}", answer.secrets));
    let sealed = SealedSecret { name: "a".into(), version: None, ciphertext: CANARY.into() };
    check_hidden(&format!("{sealed:?}"));
    let sealed = SealedSecrets { secrets: vec![sealed], ..SealedSecrets::default() };
    let answer = RevealSecretsResponse { secrets: Some(Secrets::Sealed(sealed)) };
    check_hidden(&format!("{answer:?} {:?}", answer.secrets));
}
