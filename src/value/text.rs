//! The one text form of a value, for templates, arguments, `env` and `files`.

use super::{Value, json};

impl Value {
    /// The value inside a text: a string is itself, booleans and numbers are
    /// their JSON text. Null, bytes, arrays and objects have none: a template
    /// says `| join`, `| json` or `| b64` for them.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Bool(_) | Self::Integer(_) | Self::Number(_) => Some(json::to_json(self)),
            Self::Null | Self::Bytes(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_have_json_text_and_strings_no_quotes() {
        let text = |value: Value| value.text();
        assert_eq!(text(Value::String("a\"b".into())).as_deref(), Some("a\"b"));
        assert_eq!(text(Value::Bool(true)).as_deref(), Some("true"));
        assert_eq!(text(Value::Number(3.0)).as_deref(), Some("3.0"));
        assert_eq!(text(Value::Number(1e22)).as_deref(), Some("1e+22"));
        assert_eq!(text(Value::Number(0.001)).as_deref(), Some("0.001"));
        assert_eq!(text(Value::Null), None);
        assert_eq!(text(Value::List(vec![])), None);
    }
}
