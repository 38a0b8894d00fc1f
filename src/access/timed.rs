//! Which decisions depend on the time, so that none of them is remembered.

use std::collections::BTreeSet;

use cedar_policy::{ActionConstraint, EntityUid, Policy};

use super::Action;
use super::vocabulary::ACTIONS;

/// The actions whose decisions depend on the time, by their names.
#[derive(Debug, Clone, Default)]
pub(super) struct Timed(BTreeSet<&'static str>);

impl Timed {
    /// Takes a policy with its text.
    pub(super) fn add(&mut self, policy: &Policy, text: &str) {
        if asks_for_time(text) {
            let concerned = ACTIONS.iter().filter(|action| applies_to(policy, **action));
            self.0.extend(concerned.map(|action| action.name()));
        }
    }

    /// Whether a decision on this action depends on the time.
    pub(super) fn concerns(&self, action: Action) -> bool {
        self.0.contains(action.name())
    }
}

/// Whether a policy is about an action at all.
pub(super) fn applies_to(policy: &Policy, action: Action) -> bool {
    let is = |uid: &EntityUid| uid.id().unescaped() == action.name();
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => is(&uid),
        ActionConstraint::In(uids) => uids.iter().any(is),
    }
}

/// Whether a policy's text asks for the time. In doubt it does: then nothing is
/// remembered that could be out of date. Looks at words and not at Cedar's tree, whose
/// depth only the length of the text bounds.
fn asks_for_time(text: &str) -> bool {
    let mut words = Words { rest: text }.peekable();
    let mut before = "";
    while let Some(word) = words.next() {
        let next = words.peek().copied().unwrap_or_default();
        let asks = match word {
            "time" => true,
            // The context as a whole: whatever becomes of it.
            "context" => !matches!(next, "." | "[" | "has"),
            // `context["time"]`, and what an escape may hide.
            _ if word.starts_with('"') && matches!(before, "[" | "has") => {
                word == "\"time\"" || word.contains('\\')
            }
            _ => false,
        };
        if asks {
            return true;
        }
        before = word;
    }
    false
}

/// The words of a policy: names, texts with their quotes, and single signs; without
/// blanks and comments.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.strip_prefix("//") {
                Some(comment) => {
                    self.rest = comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest);
                }
                None => break,
            }
        }
        let first = self.rest.chars().next()?;
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = match first {
            '"' => text_end(self.rest),
            _ if is_name(first) => self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len()),
            _ => first.len_utf8(),
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// Where a text in quotes ends.
fn text_end(text: &str) -> usize {
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        match (escaped, c) {
            (false, '"') => return at + 1,
            (false, '\\') => escaped = true,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::policies;

    fn timed(condition: &str, action: &str) -> Vec<&'static str> {
        let text = format!("permit (principal, {action}, resource) when {{ {condition} }};");
        policies(&text).timed.0.into_iter().collect()
    }

    #[test]
    fn every_way_to_ask_for_the_time_is_seen() {
        let noon = r#"datetime("2026-01-01T12:00:00Z")"#;
        let reveal = r#"action == Paramd::Action::"reveal""#;
        for condition in [
            format!("context.time < {noon}"),
            format!("{noon} < context.time"),
            format!(r#"context["time"] < {noon}"#),
            format!(r#"context["\u{{74}}ime"] < {noon}"#),
            format!("!(true && (context has time) && (context).time < {noon})"),
            format!("(if true then context else context).time < {noon}"),
            format!("[1].contains(2) || context.time.toDate() == {noon}"),
            "context == context".to_owned(),
            "[context].contains(context)".to_owned(),
            format!("context // environment\n . // x\r time < {noon}"),
            format!(r#"context has "time" && context.time < {noon}"#),
        ] {
            assert_eq!(timed(&condition, reveal), ["reveal"], "{condition}");
        }
    }

    #[test]
    fn what_does_not_ask_for_the_time_is_remembered() {
        for condition in [
            r#"context has environment && context.environment == "time""#,
            r#"principal == Paramd::Principal::"time""#,
            r#"datetime("2026-01-01") < datetime("2026-01-02")"#,
            "true // context.time\n && context // context\n has environment",
            r#"context has environment && context["environment"] == "a\"context.time""#,
            r#"resource has pipeline && resource.pipeline like "*time*""#,
        ] {
            assert_eq!(timed(condition, "action"), [""; 0], "{condition}");
        }
    }

    #[test]
    fn only_the_actions_of_such_a_policy_depend_on_the_time() {
        let both = r#"action in [Paramd::Action::"read", Paramd::Action::"audit"]"#;
        let late = r#"context.time > datetime("2026-01-01")"#;
        assert_eq!(timed(late, both), ["audit", "read"]);
        assert_eq!(timed(late, "action").len(), ACTIONS.len());
    }
}
