//! A template's text into pieces: text to the byte, and expressions.

use super::CompileError;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text as it stands.
    Text(&'a str),
    /// What stands between `{{` and `}}`, and where it begins.
    Expression(&'a str, usize),
}

/// What would be a statement, a comment or a control of white space in Jinja.
const REFUSED: [(&str, &str); 6] = [
    ("{%", "a template has no statements, only `{{ }}`"),
    ("{#", "a template has no comments; YAML's begin with `#`"),
    ("{{-", "text is kept as it is; a negative number needs a space, as in `{{ -1 }}`"),
    ("-}}", "text is kept as it is"),
    ("{{+", "text is kept as it is"),
    ("+}}", "text is kept as it is"),
];

/// Splits a template.
pub(super) fn split(text: &str) -> Result<Vec<Piece<'_>>, Vec<CompileError>> {
    let mut errors: Vec<CompileError> = REFUSED
        .iter()
        .filter_map(|(sign, help)| {
            let at = text.find(sign)?;
            Some(CompileError {
                span: at..at + sign.len(),
                message: format!("`{sign}` can't stand in a template"),
                help: Some((*help).to_owned()),
            })
        })
        .collect();
    if !errors.is_empty() {
        errors.sort_by_key(|error| error.span.start);
        return Err(errors);
    }
    pieces(text).map_err(|error| vec![error])
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, CompileError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some((before, rest)) = text.get(at..).and_then(|rest| rest.split_once("{{")) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let start = at + before.len() + 2;
        let Some(length) = expression_length(rest) else {
            return Err(CompileError {
                span: start - 2..start,
                message: "`{{` has no `}}`".to_owned(),
                help: Some("for the two braces themselves write `{{ '{{' }}`".to_owned()),
            });
        };
        pieces.push(Piece::Expression(rest.get(..length).unwrap_or_default(), start));
        at = start + length + 2;
    }
    match text.get(at..) {
        Some(rest) if !rest.is_empty() => pieces.push(Piece::Text(rest)),
        _ => {}
    }
    Ok(pieces)
}

/// The bytes up to the first `}}` that isn't inside a string.
fn expression_length(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((index, byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => {
                bytes.next();
            }
            (Some(open), byte) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'}') if bytes.peek().is_some_and(|(_, next)| *next == b'}') => {
                return Some(index);
            }
            (None, _) => {}
        }
    }
    None
}
