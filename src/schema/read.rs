//! A declaration's keywords, checked one by one and against each other.

use serde_json::{Map, Value as Json};

use super::keywords::{self, OWN_KEYS, Refused, TYPES};
use super::{KEYWORDS, Schema, ViolationKind, formats};
use crate::name::nearest;
use crate::value::{MAX_LEVELS, json};
use crate::yaml::diagnostic::{Problem, Problems, Severity};
use crate::yaml::{Entry, Node, NodeKind, Place};

/// The most values of `enum` and `examples`, and names of `properties` and
/// `required`.
const MAX_LISTED: usize = 1_000;

/// Reads a declaration. None where there was an error.
pub(super) fn read(entries: &[&Entry], place: &Place, problems: &mut Problems) -> Option<Schema> {
    let mut reader = Reader { problems, level: 0, failed: false };
    let json = reader.schema(entries, place);
    if reader.failed {
        return None;
    }
    match Schema::from_json(&json) {
        Ok(schema) => Some(schema),
        Err(_) => {
            problems.error("invalid_schema", place, "the declaration can't be used as a schema");
            None
        }
    }
}

struct Reader<'a> {
    problems: &'a mut Problems,
    level: usize,
    failed: bool,
}

impl Reader<'_> {
    fn error(&mut self, code: &'static str, place: &Place, message: String) -> &mut Problem {
        self.failed = true;
        self.problems.error(code, place, message)
    }

    fn refuse(&mut self, place: &Place, refused: Refused) {
        let problem = self.error(refused.code, place, refused.message);
        problem.help = refused.help;
    }

    fn schema(&mut self, entries: &[&Entry], place: &Place) -> Json {
        let mut schema = Map::new();
        let known: Vec<&Entry> =
            entries.iter().copied().filter(|entry| self.is_keyword(entry)).collect();
        let word = self.read_type(&known, place, &mut schema);
        let word = word.as_deref();
        for entry in &known {
            if self.goes_with(entry, word) {
                self.keyword(entry, &mut schema);
            }
        }
        if word == Some("object") {
            schema.entry("additionalProperties").or_insert(Json::Bool(false));
        }
        self.agree(&known, &schema);
        self.bytes(&known, &schema);
        // Each has to fit those before it.
        for keyword in ["enum", "const", "examples"] {
            if let Some(entry) = known.iter().find(|entry| entry.key.value == keyword) {
                self.literals(entry, &mut schema);
            }
        }
        Json::Object(schema)
    }

    fn is_keyword(&mut self, entry: &Entry) -> bool {
        let key = entry.key.value.as_str();
        if KEYWORDS.contains(&key) {
            return true;
        }
        let place = &entry.key.place;
        let top = self.level == 0;
        if key == "$ref" || key == "$dynamicRef" {
            self.error("reference", place, "a declaration can't refer to another".to_owned())
                .help("write out the schema here");
        } else if OWN_KEYS.contains(&key) {
            self.error("unknown_keyword", place, format!("`{key}` can't stand here"))
                .help("it belongs to the parameter itself, not to a part of its type");
        } else {
            let ours = OWN_KEYS.into_iter().filter(|_| top);
            let meant = nearest(key, KEYWORDS.into_iter().chain(ours));
            let problem =
                self.error("unknown_keyword", place, "not a keyword of a declaration".to_owned());
            problem.help = meant.map(|meant| format!("did you mean `{meant}`?"));
        }
        false
    }

    fn read_type(
        &mut self,
        entries: &[&Entry],
        place: &Place,
        schema: &mut Map<String, Json>,
    ) -> Option<String> {
        let Some(entry) = entries.iter().find(|entry| entry.key.value == "type") else {
            if self.level == 0 {
                self.error("missing_type", place, "the declaration has no type".to_owned())
                    .help("add `type`: string, integer, number, boolean, array or object");
            }
            return None;
        };
        let (word, nullable) = match &entry.value.kind {
            NodeKind::Sequence(items) => match items.as_slice() {
                [a, b] => match (keywords::text(a), keywords::text(b)) {
                    (Some(word), Some("null")) | (Some("null"), Some(word)) => (Some(word), true),
                    _ => (None, true),
                },
                _ => (None, true),
            },
            _ => (keywords::text(&entry.value), false),
        };
        if let Some(word) = word.filter(|word| TYPES.contains(word)) {
            let json = if nullable { serde_json::json!([word, "null"]) } else { word.into() };
            schema.insert("type".to_owned(), json);
            return Some(word.to_owned());
        }
        let known = "string, integer, number, boolean, array or object";
        let meant = word.and_then(|word| nearest(word, TYPES));
        self.error("invalid_type", &entry.value.place, "there is no such type".to_owned()).help(
            match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("{known}; or one of them with null, as `[string, \"null\"]`"),
            },
        );
        None
    }

    /// Whether a keyword goes with the type.
    fn goes_with(&mut self, entry: &Entry, word: Option<&str>) -> bool {
        let keyword = entry.key.value.as_str();
        let Some(types) = keywords::types_of(keyword) else { return true };
        match word {
            Some(word) if types.contains(&word) => true,
            Some(word) => {
                let message = format!("`{keyword}` doesn't go with the type {word}");
                self.error("keyword_type", &entry.key.place, message)
                    .help(format!("it is for {}", types.join(" and ")));
                false
            }
            // Without a type, at the top, the missing type is the problem.
            None if self.level == 0 => false,
            None => {
                let message = format!("`{keyword}` needs a type beside it");
                self.error("keyword_type", &entry.key.place, message)
                    .help(format!("add `type: {}`", types.first().copied().unwrap_or_default()));
                false
            }
        }
    }

    fn keyword(&mut self, entry: &Entry, schema: &mut Map<String, Json>) {
        let keyword = entry.key.value.as_str();
        let json = match keyword {
            "type" | "enum" | "const" | "examples" => None,
            "items" => self.part(&entry.value),
            "additionalProperties" => match keywords::scalar(&entry.value) {
                Some(crate::value::Value::Bool(flag)) => Some(Json::Bool(*flag)),
                _ => self.part(&entry.value),
            },
            "properties" => self.properties(&entry.value),
            "required" => self.required(&entry.value),
            _ => match keywords::simple(keyword, &entry.value) {
                Ok(json) => Some(json),
                Err(refused) => {
                    self.refuse(&entry.value.place, refused);
                    None
                }
            },
        };
        if keyword == "pattern" && json.is_some() {
            self.warn_unanchored(&entry.value);
        }
        schema.extend(json.map(|json| (keyword.to_owned(), json)));
    }

    fn warn_unanchored(&mut self, node: &Node) {
        if keywords::text(node).is_none_or(formats::is_anchored) {
            return;
        }
        self.problems.list.push(Problem {
            severity: Severity::Warning,
            code: "unanchored_pattern",
            message: "the pattern fits any text that has such a part".to_owned(),
            place: Some(node.place.clone()),
            help: Some("anchor it at both ends: `^…$`, alternatives in brackets".to_owned()),
            sensitive: false,
        });
    }

    /// A schema inside the schema.
    fn part(&mut self, node: &Node) -> Option<Json> {
        let NodeKind::Mapping(entries) = &node.kind else {
            self.error("invalid_keyword", &node.place, "not a schema".to_owned())
                .help("a schema is a mapping, such as `{ type: string }`");
            return None;
        };
        if self.level + 1 >= MAX_LEVELS {
            let message = format!("more than {MAX_LEVELS} levels of schemas");
            self.error("too_deep", &node.place, message);
            return None;
        }
        self.level += 1;
        let json = self.schema(&entries.iter().collect::<Vec<_>>(), &node.place);
        self.level -= 1;
        Some(json)
    }

    /// Whether a list or a mapping of a keyword isn't too long; told if it is.
    fn few(&mut self, keyword: &str, count: usize, place: &Place) -> bool {
        if count > MAX_LISTED {
            let message = format!("`{keyword}` has more than {MAX_LISTED} entries");
            self.error("too_many", place, message);
        }
        count <= MAX_LISTED
    }

    fn properties(&mut self, node: &Node) -> Option<Json> {
        let NodeKind::Mapping(entries) = &node.kind else {
            self.error("invalid_keyword", &node.place, "not a mapping of names to schemas".into());
            return None;
        };
        if !self.few("properties", entries.len(), &node.place) {
            return None;
        }
        let mut properties = Map::new();
        for entry in entries {
            if let Some(json) = self.part(&entry.value) {
                properties.insert(entry.key.value.clone(), json);
            }
        }
        Some(Json::Object(properties))
    }

    fn required(&mut self, node: &Node) -> Option<Json> {
        let items = match &node.kind {
            NodeKind::Sequence(items) => items.as_slice(),
            _ => &[],
        };
        if !self.few("required", items.len(), &node.place) {
            return None;
        }
        let names: Option<Vec<&str>> = items.iter().map(keywords::text).collect();
        match names {
            Some(names) if matches!(node.kind, NodeKind::Sequence(_)) => {
                let mut seen = std::collections::BTreeSet::new();
                if let Some(index) = names.iter().position(|name| !seen.insert(*name)) {
                    let place = items.get(index).map_or(&node.place, |item| &item.place);
                    self.error("invalid_keyword", place, "the name stands here twice".to_owned());
                }
                Some(names.into())
            }
            _ => {
                self.error("invalid_keyword", &node.place, "not a list of names".to_owned());
                None
            }
        }
    }

    /// What keywords have to do with each other.
    fn agree(&mut self, entries: &[&Entry], schema: &Map<String, Json>) {
        for (least, most) in [
            ("minimum", "maximum"),
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
            ("exclusiveMinimum", "exclusiveMaximum"),
        ] {
            let limit = |keyword| schema.get(keyword).and_then(Json::as_f64);
            if let (Some(from), Some(to)) = (limit(least), limit(most))
                && from > to
                && let Some(entry) = entries.iter().find(|entry| entry.key.value == most)
            {
                let message = format!("`{most}` is below `{least}`: nothing fits");
                self.error("contradiction", &entry.value.place, message);
            }
        }
        let declared = schema.get("properties").and_then(Json::as_object);
        let Some(entry) = entries.iter().find(|entry| entry.key.value == "required") else {
            return;
        };
        let NodeKind::Sequence(items) = &entry.value.kind else { return };
        for item in items {
            let Some(name) = keywords::text(item) else { continue };
            if declared.is_some_and(|declared| declared.contains_key(name)) {
                continue;
            }
            let names = declared.into_iter().flat_map(|map| map.keys().map(String::as_str));
            let help = nearest(name, names).map(|meant| format!("did you mean `{meant}`?"));
            let message = "a required property isn't declared under `properties`".to_owned();
            self.error("unknown_property", &item.place, message).help = help;
        }
    }

    /// What bytes leave no room for.
    fn bytes(&mut self, entries: &[&Entry], schema: &Map<String, Json>) {
        if !schema.contains_key("contentEncoding") {
            return;
        }
        for entry in entries {
            let keyword = entry.key.value.as_str();
            if matches!(keyword, "minLength" | "maxLength" | "pattern" | "format") {
                let message = format!("`{keyword}` doesn't go with `contentEncoding`");
                self.error("keyword_type", &entry.key.place, message)
                    .help("the value is bytes, not text");
            }
        }
    }

    /// `enum`, `const` and `examples`: values that fit what was read so far.
    fn literals(&mut self, entry: &Entry, schema: &mut Map<String, Json>) {
        let keyword = entry.key.value.as_str();
        let node = &entry.value;
        // What isn't a schema was told already.
        let rest = Schema::from_json(&Json::Object(schema.clone())).ok();
        match &node.kind {
            _ if keyword == "const" => self.literal(node, rest.as_ref()),
            NodeKind::Sequence(items) if !items.is_empty() => {
                if !self.few(keyword, items.len(), &node.place) {
                    return;
                }
                items.iter().for_each(|item| self.literal(item, rest.as_ref()));
                if keyword == "enum" {
                    self.no_twice(items);
                }
            }
            _ => {
                let message = format!("`{keyword}` is a list of at least one value");
                self.error("invalid_keyword", &node.place, message);
                return;
            }
        }
        schema.insert(keyword.to_owned(), json::to_serde(&keywords::value(node)));
    }

    fn literal(&mut self, node: &Node, schema: Option<&Schema>) {
        let Some(schema) = schema else { return };
        let checked = schema
            .adopt(keywords::value(node))
            .map_err(|violation| vec![violation])
            .and_then(|value| schema.check(&value));
        for violation in checked.err().into_iter().flatten().take(1) {
            let at = match violation.pointer.as_str() {
                "" => String::new(),
                pointer => format!(" at `{pointer}`"),
            };
            let (code, what) = match violation.kind {
                ViolationKind::Type => ("literal_type", "isn't of the declared type"),
                ViolationKind::UnknownProperty => {
                    ("literal_value", "has a property that isn't declared")
                }
                ViolationKind::Schema => ("literal_value", "doesn't fit its own declaration"),
            };
            let place = &node.at(&violation.pointer).place;
            self.error(code, place, format!("the value {what}{at}"))
                .help(format!("expected is {}", violation.expected));
        }
    }

    fn no_twice(&mut self, items: &[Node]) {
        let values: Vec<_> = items.iter().map(keywords::value).collect();
        for (index, item) in items.iter().enumerate() {
            let earlier = values.iter().take(index);
            if values.get(index).is_some_and(|value| earlier.clone().any(|one| one.means(value))) {
                self.error("invalid_keyword", &item.place, "the value stands here twice".into());
            }
        }
    }
}
