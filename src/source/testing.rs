//! What the tests of all kinds need.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Answer, Ask, Environment, Kind, Located, PickError, Raw, Settings, Source};
use crate::schema::Schema;
use crate::secret::SecretBytes;
use crate::value::Value;
use crate::yaml::FileId;
use crate::yaml::diagnostic::Problems;

/// A schema, from JSON.
pub(super) fn schema(json: &str) -> Schema {
    Schema::from_json(&serde_json::from_str(json).unwrap()).unwrap()
}

/// A rendered binding.
pub(super) fn ask(address: &[(&'static str, &str)], texts: &[(&'static str, &str)]) -> Ask {
    let owned = |pairs: &[(&'static str, &str)]| {
        pairs.iter().map(|(key, text)| (*key, (*text).to_owned())).collect::<BTreeMap<_, _>>()
    };
    Ask { address: owned(address), texts: Arc::new(owned(texts)), binds: Vec::new() }
}

/// The settings of a YAML text, or the problems' messages.
pub(super) fn settings(
    kind: &dyn Kind,
    yaml: &str,
    base: &Path,
) -> Result<Arc<dyn Settings>, Vec<String>> {
    let mut problems = Problems::default();
    let node = crate::yaml::parse(FileId(0), yaml, &mut problems).unwrap();
    let settings = kind.read_settings(&node, base, &mut problems);
    let messages: Vec<_> = problems.list.into_iter().map(|problem| problem.message).collect();
    assert_eq!(settings.is_none(), !messages.is_empty(), "{messages:?}");
    settings.ok_or(messages)
}

/// The source of a YAML text.
pub(super) fn source(kind: &dyn Kind, yaml: &str, base: &Path) -> Arc<dyn Source> {
    settings(kind, yaml, base).unwrap().connect(&Environment::new()).unwrap()
}

/// An environment of these variables.
pub(super) fn environment(variables: &[(&str, &[u8])]) -> Environment {
    let secret = |bytes: &[u8]| SecretBytes::new(bytes.to_vec());
    variables.iter().map(|(name, bytes)| ((*name).to_owned(), secret(bytes))).collect()
}

/// Where an ask leads to, or why nowhere.
pub(super) fn locate(kind: &dyn Kind, ask: &Ask) -> Result<Located, &'static str> {
    kind.locate(ask).map_err(|error| error.0)
}

/// What was found.
pub(super) fn found(answer: Answer) -> (Raw, Option<String>) {
    match answer {
        Answer::Found { raw, version } => (raw, version),
        Answer::Missing => panic!("missing"),
        Answer::Gone => panic!("gone"),
    }
}

/// What was expected where the picked value is of the wrong type.
pub(super) fn wrong(picked: Result<Value, PickError>) -> (String, String) {
    match picked {
        Err(PickError::Invalid { pointer, expected }) => (pointer, expected),
        other => panic!("not an invalid value: {other:?}"),
    }
}
