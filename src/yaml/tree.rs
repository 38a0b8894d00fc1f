//! Events to nodes.

use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span};

use super::diagnostic::Problems;
use super::scalar::{Refused, resolve};
use super::{Entry, FileId, Node, NodeKind, Origin, Place, Scalar, Spanned};
use crate::value::Value;

/// The most bytes of a file.
pub const MAX_BYTES: usize = 1 << 20;
/// The most levels of sequences and mappings.
pub const MAX_DEPTH: usize = 32;
/// The most nodes in a file, keys included.
pub const MAX_NODES: usize = 100_000;

/// The most problems that are told of one file before reading stops.
const MAX_PROBLEMS: usize = 100;

/// Reads one document. Problems go to `problems`; `None` where the text is no
/// YAML at all, or over a limit. An empty text is null.
pub fn parse(file: FileId, text: &str, problems: &mut Problems) -> Option<Node> {
    let start = Place { file, span: 0..0 };
    if text.len() > MAX_BYTES {
        problems.error("yaml_too_large", &start, "the file has more than 1 MiB");
        return None;
    }
    if let Some(at) = text.find('\0') {
        let place = Place { file, span: at..at + 1 };
        problems.error("yaml_nul", &place, "a NUL byte isn't text").sensitive();
        return None;
    }
    let before = problems.list.len();
    let mut builder =
        Builder { file, text, problems, open: Vec::new(), root: None, documents: 0, nodes: 0 };
    for next in Parser::new_from_str_with_options(text, options()) {
        let step = match next {
            Ok((event, span)) => builder.take(&event, &span),
            Err(error) => {
                builder.syntax(&error);
                Err(Stop)
            }
        };
        if step.is_err() || builder.problems.list.len() > before + MAX_PROBLEMS {
            return builder.root;
        }
    }
    Some(builder.root.unwrap_or(null(start)))
}

/// How the parser is asked to read: shared with whoever looks at events again.
pub(super) fn options() -> granit_parser::Options {
    granit_parser::options! {
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        emit_comments: false,
        disallow_directives: true,
    }
}

fn null(place: Place) -> Node {
    Node { kind: NodeKind::Scalar(Scalar { value: Value::Null, origin: Origin::Inexact }), place }
}

/// Nothing more can be read.
struct Stop;

/// A collection that isn't closed yet.
enum Open {
    Sequence { start: usize, items: Vec<Node> },
    Mapping { start: usize, entries: Vec<Entry>, key: Key, seen: BTreeMap<String, usize> },
}

/// What a mapping waits for.
enum Key {
    /// A key.
    None,
    /// The value of this key.
    Taken(Spanned<String>),
    /// The value of a key that was refused.
    Refused,
}

struct Builder<'a> {
    file: FileId,
    text: &'a str,
    problems: &'a mut Problems,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: &Event<'_>, span: &Span) -> Result<(), Stop> {
        if event.tag().is_some() {
            self.tag(span);
        }
        match event {
            Event::DocumentStart(..) => self.document(span),
            Event::Scalar(text, style, ..) => {
                let node = self.scalar(text, *style, span);
                self.add(node, matches!(style, ScalarStyle::Plain).then_some(text))
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let place = self.place(span);
                self.problems
                    .error("yaml_alias", &place, "aliases aren't taken")
                    .sensitive()
                    .help("write the value out, or put `*…` in quotes if it is text");
                self.add(null(place), None)
            }
            Event::Anchor(..) => {
                let place = self.place(span);
                self.problems
                    .error("yaml_anchor", &place, "anchors aren't taken")
                    .sensitive()
                    .help("leave it out, or put `&…` in quotes if it is text");
                Ok(())
            }
            Event::SequenceStart(..) => {
                let start = self.place(span).span.start;
                self.enter(Open::Sequence { start, items: Vec::new() })
            }
            Event::MappingStart(..) => {
                let start = self.place(span).span.start;
                let (entries, seen) = (Vec::new(), BTreeMap::new());
                self.enter(Open::Mapping { start, entries, key: Key::None, seen })
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(span),
            _ => Ok(()),
        }
    }

    fn document(&mut self, span: &Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        let place = self.place(span);
        self.problems
            .error("yaml_second_document", &place, "a second document starts here")
            .sensitive()
            .help("a file holds one: make it a file of its own");
        Err(Stop)
    }

    fn tag(&mut self, span: &Span) {
        let place = span.tag_span().map_or_else(|| self.place(span), |tag| self.place(&tag));
        self.problems
            .error("yaml_tag", &place, "tags aren't taken")
            .sensitive()
            .help("leave it out, or put `!…` in quotes if it is text");
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: &Span) -> Node {
        let mut place = self.place(span);
        if !matches!(style, ScalarStyle::Plain) {
            let origin = self.origin(&place, text, style);
            let value = Value::String(text.to_owned());
            return Node { kind: NodeKind::Scalar(Scalar { value, origin }), place };
        }
        let origin = self.origin(&place, text, style);
        if matches!(origin, Origin::Verbatim(_)) {
            place.span.end = place.span.start + text.len();
        }
        let value = resolve(text).unwrap_or_else(|refused| {
            let (code, message) = match refused {
                Refused::Integer => ("yaml_integer", "an integer beyond 64 bits"),
                Refused::NotFinite => ("yaml_number", "a number must be finite"),
            };
            self.problems
                .error(code, &place, message)
                .sensitive()
                .help("put it in quotes if it is text");
            Value::Null
        });
        Node { kind: NodeKind::Scalar(Scalar { value, origin }), place }
    }

    fn origin(&self, place: &Place, text: &str, style: ScalarStyle) -> Origin {
        let quote = match style {
            ScalarStyle::Plain => 0,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
            _ => return Origin::Inexact,
        };
        let first = place.span.start + quote;
        let last = place.span.end.saturating_sub(quote);
        match self.text.get(first..last) {
            Some(written) if written == text => Origin::Verbatim(first),
            Some(written) if quote == 0 && written.trim_end() == text => Origin::Verbatim(first),
            _ => Origin::Inexact,
        }
    }

    /// Adds a finished node to what is open; `plain` is its text where it was a
    /// plain scalar.
    fn add(&mut self, mut node: Node, plain: Option<&str>) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.problems
                .error("yaml_too_large", &node.place, "the file has more than 100,000 nodes")
                .sensitive();
            return Err(Stop);
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match open {
            Open::Sequence { items, .. } => items.push(node),
            Open::Mapping { entries, key, seen, .. } => match std::mem::replace(key, Key::None) {
                Key::None => *key = read_key(&node, plain, seen, self.text, self.problems),
                Key::Taken(key) => {
                    if plain.is_some() && node.place.span.is_empty() {
                        node.place = after_colon(self.text, &key.place);
                    }
                    entries.push(Entry { key, value: node });
                }
                Key::Refused => {}
            },
        }
        Ok(())
    }

    fn enter(&mut self, open: Open) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            let (Open::Sequence { start, .. } | Open::Mapping { start, .. }) = open;
            let place = Place { file: self.file, span: start..start };
            self.problems
                .error("yaml_too_deep", &place, "the file has more than 32 levels")
                .sensitive();
            return Err(Stop);
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self, span: &Span) -> Result<(), Stop> {
        let written_to = self.place(span).span.end;
        let node = match self.open.pop() {
            Some(Open::Sequence { start, items }) => {
                let end = end_of(self.text, written_to, items.last(), start);
                self.node(NodeKind::Sequence(items), start..end)
            }
            Some(Open::Mapping { start, entries, .. }) => {
                let last = entries.last().map(|entry| &entry.value);
                let end = end_of(self.text, written_to, last, start);
                self.node(NodeKind::Mapping(entries), start..end)
            }
            None => return Ok(()),
        };
        self.add(node, None)
    }

    fn node(&self, kind: NodeKind, span: std::ops::Range<usize>) -> Node {
        Node { kind, place: Place { file: self.file, span } }
    }

    fn place(&self, span: &Span) -> Place {
        let within = |offset: Option<usize>| offset.unwrap_or(0).min(self.text.len());
        let start = within(span.start.byte_offset());
        let end = within(span.end.byte_offset()).max(start);
        Place { file: self.file, span: start..end }
    }

    fn syntax(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(0).min(self.text.len());
        let next = self.text.get(at..).and_then(|rest| rest.chars().next());
        let place = Place { file: self.file, span: at..at + next.map_or(0, char::len_utf8) };
        let (message, help) = explain(error.kind());
        let problem = self.problems.error("yaml_syntax", &place, message);
        problem.sensitive();
        if let Some(help) = help {
            problem.help(help);
        }
    }
}

/// Where a collection ends: at its bracket, or with its last item.
fn end_of(text: &str, written_to: usize, last: Option<&Node>, start: usize) -> usize {
    let flow = text.as_bytes().get(start).is_some_and(|b| matches!(b, b'[' | b'{'));
    match last {
        _ if flow => written_to.max(start),
        Some(last) => last.place.span.end.max(start),
        None => start,
    }
}

/// Where a value would stand that isn't there: behind the key's colon, or
/// behind the key where it has none, as in `{ a }`.
fn after_colon(text: &str, key: &Place) -> Place {
    let end = key.span.end;
    let rest = text.get(end..).unwrap_or_default();
    let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    let colon = rest.get(spaces..).is_some_and(|after| after.starts_with(':'));
    let at = if colon { end + spaces + 1 } else { end };
    Place { file: key.file, span: at..at }
}

fn read_key(
    node: &Node,
    plain: Option<&str>,
    seen: &mut BTreeMap<String, usize>,
    text: &str,
    problems: &mut Problems,
) -> Key {
    let NodeKind::Scalar(scalar) = &node.kind else {
        // `{{ x }}: y` is a key in a key: one word on the whole is enough.
        let within = |place: &Place| {
            node.place.span.start <= place.span.start && place.span.end <= node.place.span.end
        };
        problems
            .list
            .pop_if(|last| last.code == "yaml_key" && last.place.as_ref().is_some_and(within));
        problems
            .error("yaml_key", &node.place, "a key must be a scalar")
            .sensitive()
            .help("put a template in quotes: `\"{{ … }}\"`");
        return Key::Refused;
    };
    let key = match (&scalar.value, plain) {
        (_, Some(plain)) => plain.to_owned(),
        (Value::String(text), None) => text.clone(),
        _ => return Key::Refused,
    };
    if plain == Some("<<") {
        problems
            .error("yaml_merge", &node.place, "merge keys aren't taken")
            .sensitive()
            .help("write the keys out");
        return Key::Refused;
    }
    if let Some(first) = seen.get(&key) {
        let before = text.get(..*first).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        problems
            .error("yaml_duplicate_key", &node.place, "this key stands twice in one mapping")
            .sensitive()
            .help(format!("the first is on line {line}"));
        return Key::Refused;
    }
    seen.insert(key.clone(), node.place.span.start);
    Key::Taken(Spanned { value: key, place: node.place.clone() })
}

/// A syntax error in our own words.
fn explain(kind: &ErrorKind) -> (&'static str, Option<&'static str>) {
    use ErrorKind as K;
    match kind {
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabAtBlockScalarStart
        | K::TabInPlainScalar => ("a tab can't indent", Some("use spaces")),
        K::UnclosedQuotedScalar => ("the quotes aren't closed", None),
        K::UnclosedFlowCollection { .. }
        | K::UnexpectedEofFlowSequence
        | K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping => ("the bracket isn't closed", None),
        K::MismatchedFlowCollectionEnd { .. } | K::MisplacedFlowCollectionEnd => {
            ("this bracket closes none that is open", None)
        }
        K::ExpectedFlowMappingSeparator | K::ExpectedFlowSequenceSeparator => {
            ("a comma or the closing bracket is missing before this", None)
        }
        K::MappingValueNotAllowed | K::InvalidColonPlacement | K::MappingKeyNotAllowed => {
            ("a mapping can't start here", Some("put text with `: ` in it in quotes"))
        }
        K::InvalidIndentation | K::ExpectedBlockMappingKey | K::ExpectedBlockSequenceEntry => {
            ("the indentation doesn't fit", Some("keys of one mapping stand in one column"))
        }
        K::UnexpectedCharacter { .. } => {
            ("text can't start with this character", Some("put it in quotes"))
        }
        K::UnknownQuotedScalarEscape
        | K::InvalidQuotedScalarHexEscape
        | K::InvalidUnicodeEscape
        | K::InvalidLowSurrogateHexEscape
        | K::InvalidLowSurrogate
        | K::MissingLowSurrogate
        | K::UnpairedLowSurrogate => {
            ("not an escape of YAML", Some("single quotes take a `\\` as it is"))
        }
        K::DirectiveDisallowed => ("directives aren't taken", Some("leave it out")),
        K::UndeclaredTagHandle => ("tags aren't taken", Some("leave it out")),
        K::RecursionLimitExceeded => ("the file has too many levels", None),
        _ => ("not well-formed YAML", None),
    }
}

#[cfg(test)]
mod tests;
