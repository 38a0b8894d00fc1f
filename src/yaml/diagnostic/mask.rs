//! What of a file may be shown where a line may hold a secret.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle};

use crate::yaml::tree::options;

/// Which bytes of a file may be shown beside a sensitive problem.
#[derive(Debug, Default)]
pub(super) struct Mask {
    /// Keys of mappings, where the parser is sure of them.
    keys: Vec<Range<usize>>,
    /// All other scalars, and comments.
    scalars: Vec<Range<usize>>,
    /// Where the parser gave up, it can't say where scalars are: then nothing
    /// but keys and these, the indentation of each line, may be shown.
    indents: Option<Vec<Range<usize>>>,
}

/// A collection that is open, and whether a mapping waits for a key.
enum Open {
    Sequence,
    Key,
    Value,
}

impl Mask {
    /// Finds out what is a key by the parser itself: no guess at the text could
    /// tell a key from a line of a password in quotes.
    pub(super) fn of(text: &str) -> Self {
        let mut mask = Self::default();
        let mut open: Vec<Open> = Vec::new();
        let mut options = options();
        options.emit_comments = true;
        options.max_buffered_comment_events = text.len();
        for next in Parser::new_from_str_with_options(text, options) {
            let Ok((event, span)) = next else {
                mask.indents = Some(indents(text));
                break;
            };
            let start = span.start.byte_offset().unwrap_or(0);
            let range = start..span.end.byte_offset().unwrap_or(text.len());
            match &event {
                Event::Scalar(scalar, style, ..) => {
                    let maybe = matches!(open.last(), Some(Open::Key))
                        && matches!(style, ScalarStyle::Plain);
                    let key = text.get(start..).filter(|_| maybe);
                    match key.and_then(|rest| key_length(rest, scalar)) {
                        Some(length) => mask.keys.push(start..start + length),
                        None => mask.scalars.push(range),
                    }
                    next_of(&mut open);
                }
                Event::Alias(_) | Event::UnresolvedAlias(_) => next_of(&mut open),
                Event::Comment(..) => mask.scalars.push(range),
                Event::SequenceStart(..) => open.push(Open::Sequence),
                Event::MappingStart(..) => open.push(Open::Key),
                Event::SequenceEnd | Event::MappingEnd => {
                    open.pop();
                    next_of(&mut open);
                }
                _ => {}
            }
        }
        // Comments may be told after what follows them.
        mask.scalars.sort_by_key(|range| range.start);
        mask
    }

    /// Whether the character at this byte may be shown.
    pub(super) fn shows(&self, at: usize, character: char) -> bool {
        if inside(&self.keys, at) {
            return true;
        }
        if let Some(indents) = &self.indents {
            return inside(indents, at);
        }
        let structure = matches!(character, ':' | '-' | ',' | '{' | '}' | '[' | ']' | '"' | '\'');
        (structure || character.is_whitespace()) && !inside(&self.scalars, at)
    }
}

/// The spaces that each line starts with.
fn indents(text: &str) -> Vec<Range<usize>> {
    let mut first = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let spaces = line.len() - line.trim_start_matches([' ', '\t']).len();
        found.push(first..first + spaces);
        first += line.len();
    }
    found
}

/// How many bytes a plain key takes that stands here, with the colon that makes
/// it one and the space after it.
fn key_length(rest: &str, scalar: &str) -> Option<usize> {
    let after = rest.strip_prefix(scalar)?.trim_start_matches(' ').strip_prefix(':')?;
    let after = after.strip_prefix(' ').unwrap_or(after);
    Some(rest.len() - after.len())
}

fn next_of(open: &mut [Open]) {
    if let Some(last) = open.last_mut() {
        match last {
            Open::Sequence => {}
            Open::Key => *last = Open::Value,
            Open::Value => *last = Open::Key,
        }
    }
}

/// Whether one of the ranges, which are in order, has this byte.
fn inside(ranges: &[Range<usize>], at: usize) -> bool {
    let after = ranges.partition_point(|range| range.start <= at);
    after.checked_sub(1).and_then(|last| ranges.get(last)).is_some_and(|range| range.contains(&at))
}
