//! MiniJinja as a parser, kept within bounds.
//!
//! Its parser and the walk over its tree recurse, so what could nest too deep is
//! counted in the tokens first.

use std::ops::Range;

use minijinja::machinery::ast::Expr;
use minijinja::machinery::{Token, parse_expr, tokenize};

use super::{CompileError, MAX_EXPRESSION};

/// The most brackets inside each other.
const MAX_BRACKETS: usize = 32;
/// The most operators, filters, properties and brackets of one expression.
const MAX_OPERATORS: usize = 128;

/// Parses one expression that begins at byte `at` of its text.
pub(super) fn parse(source: &str, at: usize) -> Result<Expr<'_>, CompileError> {
    let whole = at..at + source.len();
    let refused = |message: String| CompileError { span: whole.clone(), message, help: None };
    if source.chars().count() > MAX_EXPRESSION {
        return Err(refused("an expression has at most 4,096 characters".to_owned()));
    }
    if source.trim().is_empty() {
        return Err(refused("there is no expression".to_owned()));
    }
    let tokens = bounded(source, at)?;
    parse_expr(source).map_err(|error| {
        // The detail names kinds of tokens and never their text.
        let detail = error.detail().unwrap_or("unexpected text").to_owned();
        let token = culprit(source, &tokens);
        CompileError {
            span: at + token.start..at + token.end,
            message: format!("the expression can't be read: {detail}"),
            help: source
                .contains("{{")
                .then(|| "inside an expression there are no braces".to_owned()),
        }
    })
}

/// The token that the parser stumbles over, which it tells by its line alone:
/// the first one that makes more of an error than an early end.
fn culprit(source: &str, tokens: &[Range<usize>]) -> Range<usize> {
    let stumbles = |token: &Range<usize>| {
        let begin = source.get(..token.end).unwrap_or_default();
        parse_expr(begin)
            .is_err_and(|error| !error.detail().unwrap_or_default().contains("end of input"))
    };
    let first = tokens.partition_point(|token| !stumbles(token));
    tokens.get(first).or(tokens.last()).cloned().unwrap_or(0..source.len())
}

/// The places of the tokens, where there aren't too many.
fn bounded(source: &str, at: usize) -> Result<Vec<Range<usize>>, CompileError> {
    let (mut brackets, mut operators) = (0_usize, 0_usize);
    let mut end = 0;
    let mut tokens = Vec::new();
    for token in tokenize(source, true, Default::default()) {
        let Ok((token, span)) = token else {
            let next = source.get(end..).unwrap_or_default();
            let rest = next.trim_start();
            let start = at + end + next.len() - rest.len();
            let first = rest.chars().next().map_or(0, char::len_utf8);
            return Err(CompileError {
                span: start..start + first,
                message: "the expression can't be read from here on".to_owned(),
                help: None,
            });
        };
        end = span.end_offset as usize;
        tokens.push(span.start_offset as usize..end);
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                brackets += 1;
                operators += 1;
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                brackets = brackets.saturating_sub(1);
            }
            Token::Ident("and" | "or" | "not" | "in" | "is" | "if") => operators += 1,
            Token::Ident(_)
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_)
            | Token::Comma => {}
            _ => operators += 1,
        }
        let message = if brackets > MAX_BRACKETS {
            "an expression has at most 32 brackets inside each other"
        } else if operators > MAX_OPERATORS {
            "an expression has at most 128 operators, filters, properties and brackets"
        } else {
            continue;
        };
        return Err(CompileError {
            span: at + span.start_offset as usize..at + end,
            message: message.to_owned(),
            help: Some("compute a part of it in a parameter of its own".to_owned()),
        });
    }
    Ok(tokens)
}
