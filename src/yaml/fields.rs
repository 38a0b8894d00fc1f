//! Reading helpers for nodes: the known keys of a mapping, and typed scalars.
//!
//! ```text
//! let mut fields = Fields::of(node, "a vault source", problems)?;
//! let address = fields.required("address");
//! let ca = fields.optional("ca");
//! fields.finish(problems);                    // tells missing and unknown keys
//! let address = text(address?, "address", problems)?;
//! ```

use std::str::FromStr;
use std::time::Duration;

use super::diagnostic::Problems;
use super::{Entry, Node, NodeKind, Place, Scalar, Spanned};
use crate::name::{NameError, nearest};
use crate::value::Value;
use crate::yaml::TemplateText;

/// The most unknown keys of one mapping that are told.
const MAX_UNKNOWN: usize = 50;

/// The keys of one mapping, taken one by one.
pub struct Fields<'n> {
    what: String,
    place: &'n Place,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Takes a mapping; `what` it describes, with its article, such as
    /// `a vault source`. `None` where it is no mapping, which is told.
    pub fn of(node: &'n Node, what: impl Into<String>, problems: &mut Problems) -> Option<Self> {
        let what = what.into();
        let NodeKind::Mapping(entries) = &node.kind else {
            problems
                .error(
                    "wrong_type",
                    &node.place,
                    format!("{what} must be a mapping, not {}", node.describe()),
                )
                .sensitive();
            return None;
        };
        Some(Self { what, place: &node.place, entries, known: Vec::new(), missing: Vec::new() })
    }

    /// The entry of this key, where it stands there.
    pub fn entry(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key.value == key)
    }

    /// The value of a key that may be left out.
    pub fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value of a key that must be there; [`Self::finish`] tells of it.
    pub fn required(&mut self, key: &'static str) -> Option<&'n Node> {
        let found = self.optional(key);
        if found.is_none() {
            self.missing.push(key);
        }
        found
    }

    /// The entries whose keys nobody asked for: what [`Self::finish`] would
    /// refuse.
    pub fn rest(&self) -> Vec<&'n Entry> {
        self.entries
            .iter()
            .filter(|entry| !self.known.contains(&entry.key.value.as_str()))
            .collect()
    }

    /// Tells which keys are missing and which aren't known, with the nearest
    /// known one.
    pub fn finish(self, problems: &mut Problems) {
        let unknown = self.rest();
        self.finish_open(problems);
        for entry in unknown.into_iter().take(MAX_UNKNOWN) {
            unknown_key(entry, &self.what, &self.known, problems);
        }
    }

    /// Tells which keys are missing; what else stands there is someone else's.
    pub fn finish_open(&self, problems: &mut Problems) {
        for key in &self.missing {
            let message = format!("{} needs `{key}`", self.what);
            // What stands there instead may be anything.
            problems.error("missing_key", self.place, message).sensitive();
        }
    }
}

/// Refuses a key, with the nearest known one and the list of all.
pub fn unknown_key(entry: &Entry, what: &str, known: &[&str], problems: &mut Problems) {
    let key = &entry.key;
    // In `{ x }`, which is a key to YAML, someone may have meant a value.
    let has_value = entry.value.place.span.end > key.place.span.end;
    let message = match shown(&key.value).filter(|_| has_value) {
        Some(name) => format!("`{name}` isn't a key of {what}"),
        None => format!("this isn't a key of {what}"),
    };
    let problem = problems.error("unknown_key", &key.place, message);
    problem.sensitive();
    match nearest(&key.value, known.iter().copied()).filter(|_| has_value) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => problem,
        None => problem.help(format!("its keys are {}", listed(known))),
    };
}

/// A name from a file, where it could be one: letters, digits, `_`, `-` and `.`.
pub fn shown(name: &str) -> Option<&str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    ((1..=63).contains(&name.len()) && name.bytes().all(fits)).then_some(name)
}

/// The most names that a help line lists.
const MAX_LISTED: usize = 20;

/// For a name that isn't among the known ones: the nearest, and all of them.
pub fn among<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: std::collections::BTreeSet<&str> =
        known.into_iter().filter(|known| shown(known).is_some()).collect();
    let meant = nearest(name, known.iter().copied());
    let meant = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
    if known.is_empty() {
        return "none is declared".to_owned();
    }
    let more = known.len().saturating_sub(MAX_LISTED);
    let names: Vec<&str> = known.into_iter().take(MAX_LISTED).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{meant}declared are {}{more}", listed(&names))
}

/// Names in backticks, joined by commas.
pub fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn wrong(node: &Node, key: &str, expected: &str, problems: &mut Problems) {
    // A key that the file made up is shown only where it could be a name.
    let key = shown(key).map_or("this".to_owned(), |key| format!("`{key}`"));
    let message = format!("{key} must be {expected}, not {}", node.describe());
    let problem = problems.error("wrong_type", &node.place, message);
    problem.sensitive();
    let scalar = matches!(
        &node.kind,
        NodeKind::Scalar(scalar) if !matches!(scalar.value, Value::Null | Value::String(_))
    );
    if expected == "text" && scalar {
        problem.help("put it in quotes");
    }
}

/// A text. Numbers and booleans aren't: they want quotes.
pub fn text(node: &Node, key: &str, problems: &mut Problems) -> Option<Spanned<String>> {
    template(node, key, problems).map(|found| Spanned { value: found.text, place: found.place })
}

/// A text with what maps its bytes to the file.
pub fn template(node: &Node, key: &str, problems: &mut Problems) -> Option<TemplateText> {
    if let NodeKind::Scalar(scalar) = &node.kind
        && let Value::String(text) = &scalar.value
    {
        return Some(TemplateText {
            text: text.clone(),
            place: node.place.clone(),
            origin: scalar.origin.clone(),
        });
    }
    wrong(node, key, "text", problems);
    None
}

/// The most characters of a text for people.
pub const MAX_PROSE: usize = 4_096;

/// A text for people.
pub fn prose(node: &Node, key: &str, problems: &mut Problems) -> Option<Spanned<String>> {
    let found = text(node, key, problems)?;
    if found.value.chars().count() > MAX_PROSE {
        let message = format!("`{key}` has more than {MAX_PROSE} characters");
        problems.error("text_too_long", &found.place, message).sensitive();
        return None;
    }
    Some(found)
}

/// The most bytes of a path: what the system takes.
const MAX_PATH: usize = 4_096;

/// A path as it is written.
pub fn path(node: &Node, key: &str, problems: &mut Problems) -> Option<Spanned<String>> {
    let found = text(node, key, problems)?;
    if !is_path(&found.value) {
        let message = format!("`{key}` must be a path");
        problems.error("invalid_path", &found.place, message).sensitive();
        return None;
    }
    Some(found)
}

/// Whether a text can be a path: 1 to 4,096 bytes, none of them NUL.
pub fn is_path(text: &str) -> bool {
    (1..=MAX_PATH).contains(&text.len()) && !text.contains('\0')
}

/// A boolean.
pub fn flag(node: &Node, key: &str, problems: &mut Problems) -> Option<Spanned<bool>> {
    if let NodeKind::Scalar(scalar) = &node.kind
        && let Value::Bool(flag) = scalar.value
    {
        return Some(Spanned { value: flag, place: node.place.clone() });
    }
    wrong(node, key, "`true` or `false`", problems);
    None
}

/// An integer.
pub fn integer(node: &Node, key: &str, problems: &mut Problems) -> Option<Spanned<i64>> {
    if let NodeKind::Scalar(scalar) = &node.kind
        && let Value::Integer(number) = scalar.value
    {
        return Some(Spanned { value: number, place: node.place.clone() });
    }
    wrong(node, key, "an integer", problems);
    None
}

/// A list of at most `limit` items.
pub fn list<'n>(
    node: &'n Node,
    key: &str,
    limit: usize,
    problems: &mut Problems,
) -> Option<&'n [Node]> {
    let NodeKind::Sequence(items) = &node.kind else {
        wrong(node, key, "a list", problems);
        return None;
    };
    within(items.len(), limit, key, &node.place, problems).then_some(items)
}

/// A mapping of at most `limit` names.
pub fn mapping<'n>(
    node: &'n Node,
    key: &str,
    limit: usize,
    problems: &mut Problems,
) -> Option<&'n [Entry]> {
    let NodeKind::Mapping(entries) = &node.kind else {
        wrong(node, key, "a mapping", problems);
        return None;
    };
    within(entries.len(), limit, key, &node.place, problems).then_some(entries)
}

fn within(len: usize, limit: usize, key: &str, place: &Place, problems: &mut Problems) -> bool {
    if len > limit {
        let key = shown(key).map_or("this".to_owned(), |key| format!("`{key}`"));
        problems
            .error("too_many", place, format!("{key} has more than {limit} entries"))
            .sensitive();
    }
    len <= limit
}

/// A list of texts, of which those that are none are told and left out.
pub fn texts(
    node: &Node,
    key: &str,
    limit: usize,
    problems: &mut Problems,
) -> Vec<Spanned<String>> {
    let items = list(node, key, limit, problems).unwrap_or_default();
    items.iter().filter_map(|item| text(item, key, problems)).collect()
}

/// A list of names, each once.
pub fn names<T: FromStr<Err = NameError> + PartialEq>(
    node: &Node,
    key: &str,
    limit: usize,
    problems: &mut Problems,
) -> Vec<Spanned<T>> {
    let mut found: Vec<Spanned<T>> = Vec::new();
    for text in texts(node, key, limit, problems) {
        let Some(name) = name::<T>(&text, problems) else { continue };
        if found.iter().any(|other| other.value == name.value) {
            problems.error("duplicate_name", &name.place, format!("`{key}` has this name twice"));
        } else {
            found.push(name);
        }
    }
    found
}

/// A name of its kind.
pub fn name<T: FromStr<Err = NameError>>(
    text: &Spanned<String>,
    problems: &mut Problems,
) -> Option<Spanned<T>> {
    match text.value.parse::<T>() {
        Ok(name) => Some(Spanned { value: name, place: text.place.clone() }),
        Err(error) => {
            let message = not_a_name(&error);
            problems.error("invalid_name", &text.place, message).sensitive();
            None
        }
    }
}

/// What a name of its kind looks like.
pub fn not_a_name(error: &NameError) -> String {
    let article = if error.kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("not the name of {article} {}: {}", error.kind, error.expected)
}

/// A duration: a positive integer with `s`, `m`, `h` or `d`.
pub fn duration(node: &Node, key: &str, problems: &mut Problems) -> Option<Spanned<Duration>> {
    let found = match &node.kind {
        NodeKind::Scalar(Scalar { value: Value::String(text), .. }) => parse_duration(text),
        _ => None,
    };
    if found.is_none() {
        problems
            .error("invalid_duration", &node.place, format!("`{key}` isn't a duration"))
            .sensitive()
            .help("a positive integer with `s`, `m`, `h` or `d`, such as `24h`; at most 3650d");
    }
    found.map(|value| Spanned { value, place: node.place.clone() })
}

/// The span that a text says, as files and the command line write it.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=3_650 * 86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::FileId;

    #[test]
    fn durations_are_a_positive_integer_with_a_unit() {
        assert_eq!(parse_duration("24h"), Some(Duration::from_secs(86_400)));
        assert_eq!(parse_duration("7d"), Some(Duration::from_secs(604_800)));
        for bad in ["", "h", "0s", "-1h", "1.5h", "1 h", "24", "24H", "99999999999999999999d", "é"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    fn told(text: &str) -> String {
        let mut problems = Problems::default();
        let node = crate::yaml::parse(FileId(0), text, &mut problems).unwrap();
        let mut keys = Fields::of(&node, "a test", &mut problems).unwrap();
        keys.optional("known");
        keys.finish(&mut problems);
        problems.list.iter().map(|problem| problem.message.as_str()).collect()
    }

    #[test]
    fn an_unknown_key_is_named_unless_it_may_be_a_value() {
        assert_eq!(told("knwon: 1"), "`knwon` isn't a key of a test");
        assert_eq!(told("{ knwon: x, known: 1 }"), "`knwon` isn't a key of a test");
        assert_eq!(told("knwon:\nknown: 1"), "`knwon` isn't a key of a test");
        for text in
            ["{ hunter2 }", "{ known: 1, hunter2 }", "{hunter2}", "? hunter2", "'hunter 2': 1"]
        {
            assert_eq!(told(text), "this isn't a key of a test", "{text}");
        }
    }

    #[test]
    fn only_what_could_be_a_name_is_shown() {
        assert_eq!(shown("paramter1"), Some("paramter1"));
        assert_eq!(shown("a b"), None);
        assert_eq!(shown(""), None);
    }
}
