use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::v1;

const CANARY: &str = "hunter2";

fn pool() -> DescriptorPool {
    DescriptorPool::decode(super::DESCRIPTORS).unwrap()
}

fn inner(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

fn reaches(message: &MessageDescriptor, wanted: &dyn Fn(&MessageDescriptor) -> bool) -> bool {
    fn walk(
        message: &MessageDescriptor,
        wanted: &dyn Fn(&MessageDescriptor) -> bool,
        seen: &mut BTreeSet<String>,
    ) -> bool {
        wanted(message)
            || seen.insert(message.full_name().to_owned())
                && message.fields().filter_map(|f| inner(&f)).any(|m| walk(&m, wanted, seen))
    }
    walk(message, wanted, &mut BTreeSet::new())
}

fn is_marked(field: &FieldDescriptor) -> bool {
    let options = field.options();
    options.get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

fn carries_bytes(message: &MessageDescriptor) -> bool {
    message.full_name() == "paramd.v1.SecretPayload"
        || message.full_name() == "paramd.v1.SealedSecret"
}

fn messages() -> Vec<MessageDescriptor> {
    let pool = pool();
    pool.all_messages().filter(|m| m.package_name().starts_with("paramd.")).collect()
}

#[test]
fn every_field_that_reaches_secret_bytes_is_marked() {
    let messages = messages();
    let fields = messages.iter().filter(|m| !m.is_map_entry()).flat_map(MessageDescriptor::fields);
    let mut marked = 0;
    for field in fields {
        if inner(&field).is_some_and(|message| reaches(&message, &carries_bytes)) {
            assert!(is_marked(&field), "{} is not marked", field.full_name());
            marked += 1;
        }
    }
    assert!(marked > 5, "{marked}");
}

#[test]
fn secret_bytes_leave_by_one_answer_alone() {
    let pool = pool();
    let answers = pool.services().flat_map(|s| s.methods().collect::<Vec<_>>());
    let leaving: Vec<_> = answers
        .filter(|method| reaches(&method.output(), &carries_bytes))
        .map(|method| method.full_name().to_owned())
        .collect();
    assert_eq!(leaving, ["paramd.v1.ContextService.RevealSecrets"]);
}

fn value() -> v1::Value {
    v1::Value { kind: Some(v1::value::Kind::StringValue(CANARY.to_owned())) }
}

fn payload() -> v1::SecretPayload {
    v1::SecretPayload { data: CANARY.into(), encoding: 1 }
}

/// The `Debug` text of each message that a marked field can be reached from.
fn printed() -> Vec<(&'static str, String)> {
    let plain = v1::PlainSecret { name: "a".into(), version: None, payload: Some(payload()) };
    let plains = v1::PlainSecrets { secrets: vec![plain.clone()] };
    let sealed = v1::SealedSecret { ciphertext: CANARY.into(), ..Default::default() };
    let sealeds = v1::SealedSecrets { secrets: vec![sealed.clone()], ..Default::default() };
    let secrets = v1::reveal_secrets_response::Secrets::Plain(plains.clone());
    let resolve = v1::ResolveRunRequest {
        overrides: [("a".to_owned(), value())].into(),
        text_overrides: [("b".to_owned(), CANARY.to_owned())].into(),
        secret_overrides: [("c".to_owned(), payload())].into(),
        ..Default::default()
    };
    let explain = v1::ExplainRunRequest {
        overrides: resolve.overrides.clone(),
        text_overrides: resolve.text_overrides.clone(),
        secret_overrides: resolve.secret_overrides.clone(),
        ..Default::default()
    };
    let reveal = v1::RevealSecretsResponse { secrets: Some(secrets) };
    let minted = v1::MintStepTokenResponse { token: CANARY.to_owned(), ..Default::default() };
    vec![
        ("ExplainRunRequest", format!("{explain:?} {explain:#?}")),
        ("MintStepTokenResponse", format!("{minted:?} {minted:#?}")),
        ("PlainSecret", format!("{plain:?}")),
        ("PlainSecrets", format!("{plains:?}")),
        ("ResolveRunRequest", format!("{:?} {resolve:#?}", tonic::Request::new(resolve.clone()))),
        ("RevealSecretsResponse", format!("{reveal:?} {:?}", reveal.secrets)),
        ("SealedSecret", format!("{sealed:?}")),
        ("SealedSecrets", format!("{sealeds:?}")),
        ("SecretPayload", format!("{:?}", payload())),
    ]
}

#[test]
fn debug_prints_no_value_of_a_marked_message() {
    let spelt = format!("{:?}", CANARY.as_bytes());
    for (name, text) in printed() {
        assert!(!text.contains(CANARY), "{name} prints its text");
        assert!(!text.contains(spelt.trim_matches(['[', ']'])), "{name} prints its bytes");
        assert!(text.contains("[REDACTED]"), "{name} doesn't say that it is redacted");
    }
    assert!(format!("{:?}", value()).contains(CANARY), "the check finds nothing");
}

#[test]
fn no_marked_message_is_left_untried() {
    let marked: Vec<_> = messages()
        .iter()
        .filter(|m| !m.is_map_entry())
        .filter(|m| reaches(m, &|m| m.fields().any(|f| is_marked(&f))))
        .map(|m| m.name().to_owned())
        .collect();
    let tried: BTreeSet<_> = printed().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(marked.into_iter().collect::<BTreeSet<_>>(), tried);
}
