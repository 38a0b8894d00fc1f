//! What a file's bytes are, by the declared type.

use std::ffi::OsStr;
use std::path::Path;

use crate::schema::{Schema, Type};
use crate::source::{PickError, typed};
use crate::value::{Value, json};
use crate::yaml::FileId;
use crate::yaml::diagnostic::{Problems, Severity};

/// Bytes as they are, text to the byte, JSON or YAML for arrays and objects, and
/// every other type without the white space around it.
pub(super) fn pick(bytes: &[u8], path: &str, schema: &Schema) -> Result<Value, PickError> {
    match typed::base(schema.declared()) {
        Type::Bytes => Ok(Value::Bytes(bytes.to_vec())),
        Type::String => typed::text(typed::utf8(bytes)?, schema),
        Type::Array(_) | Type::Object(_) => typed::typed(structured(bytes, path)?, schema),
        _ => typed::text(typed::utf8(bytes)?.trim(), schema),
    }
}

/// By the file's ending; where it has none that tells, JSON or else YAML.
fn structured(bytes: &[u8], path: &str) -> Result<Value, PickError> {
    let text = typed::utf8(bytes)?;
    match Path::new(path).extension().and_then(OsStr::to_str) {
        Some("json") => {
            json::from_json(bytes).map_err(|error| typed::expected(format!("JSON; it {error}")))
        }
        Some("yaml" | "yml") => yaml(text).ok_or_else(|| typed::expected(YAML)),
        _ => match json::from_json(bytes) {
            Ok(value) => Ok(value),
            Err(_) => yaml(text).ok_or_else(|| typed::expected(EITHER)),
        },
    }
}

const YAML: &str = "one document of YAML 1.2 without anchors, tags or keys given twice";
const EITHER: &str = "JSON or YAML, no key given twice";

fn yaml(text: &str) -> Option<Value> {
    let mut problems = Problems::default();
    let node = crate::yaml::parse(FileId(0), text, &mut problems)?;
    let refused = problems.list.iter().any(|problem| problem.severity == Severity::Error);
    let value = node.value();
    (!refused && value.check_limits().is_ok()).then_some(value)
}
