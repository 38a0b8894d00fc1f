//! Reader of expected decisions: what `paramd access test` runs.

use jiff::Timestamp;

use super::question::{self, Question, SUBJECT, Subject};
use super::{Action, Decided, Policies};
use crate::audit::Principal;
use crate::definition::groups::{is_group, is_principal};
use crate::name::{EnvironmentName, ParameterName, PresetName};
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields, among, listed};
use crate::yaml::{Node, Place, Spanned};

/// The most decisions of a file.
const MAX_DECISIONS: usize = 10_000;
/// The most names in a list of one.
const MAX_NAMES: usize = 1_000;

/// A decision as somebody expects it.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// What is asked.
    pub question: Question,
    /// Whether it says the time.
    pub timed: bool,
    /// Whether it is to be permitted.
    pub permitted: bool,
    /// By which policies; none: by whichever.
    pub by: Option<Vec<String>>,
    /// Where `expect` is written.
    pub place: Place,
    /// Where the subject is written.
    pub subject_place: Place,
}

/// How a decision differs from what is expected.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The policies that decided.
    pub policy_ids: Vec<String>,
}

impl Policies {
    /// Decides what is expected.
    ///
    /// # Errors
    /// It is decided otherwise, or by other policies.
    pub fn meet(&self, expected: &Expectation) -> Result<(), Mismatch> {
        let Decided { permitted, policy_ids, .. } = self.decided(&expected.question.request());
        let policy_ids = policy_ids.to_vec();
        let same = expected.by.as_ref().is_none_or(|by| *by == policy_ids);
        match permitted == expected.permitted && same {
            true => Ok(()),
            false => Err(Mismatch { permitted, policy_ids }),
        }
    }
}

/// Reads a file's tree. What can't be read is told and left out.
pub fn read(node: &Node, problems: &mut Problems) -> Vec<Expectation> {
    let Some(mut keys) = Fields::of(node, "a file of expected decisions", problems) else {
        return Vec::new();
    };
    let decisions = keys.required("decisions");
    keys.finish(problems);
    let items = decisions.and_then(|node| fields::list(node, "decisions", MAX_DECISIONS, problems));
    let items = items.unwrap_or_default().iter();
    items.filter_map(|item| one(item, problems)).collect()
}

fn one(node: &Node, problems: &mut Problems) -> Option<Expectation> {
    let before = problems.errors();
    let mut keys = Fields::of(node, "an expected decision", problems)?;
    let (principal, kind) = (keys.required("principal"), keys.optional("kind"));
    let (groups, action) = (keys.optional("groups"), keys.required("action"));
    let (resource, sealed) = (keys.required("resource"), keys.optional("sealed"));
    let (environment, preset) = (keys.optional("environment"), keys.optional("preset"));
    let (time, overridden) = (keys.optional("time"), keys.optional("overridden"));
    let (expect, by) = (keys.required("expect"), keys.optional("by"));
    keys.finish(problems);

    let principal = principal.and_then(|node| principal_of(node, kind, problems));
    let groups = groups.map(|node| group_names(node, problems)).unwrap_or_default();
    let action = action.and_then(|node| action_of(node, sealed, problems));
    let subject = resource.and_then(|node| subject_of(node, action, problems));
    let environment =
        environment.and_then(|node| name::<EnvironmentName>(node, "environment", problems));
    let preset = preset.and_then(|node| name::<PresetName>(node, "preset", problems));
    let overridden: Vec<Spanned<ParameterName>> = overridden
        .map(|node| fields::names(node, "overridden", MAX_NAMES, problems))
        .unwrap_or_default();
    let told = time.and_then(|node| time_of(node, problems));
    let permitted = expect.and_then(|node| expected(node, problems));
    let place = expect.map_or_else(|| node.place.clone(), |node| node.place.clone());
    let by = by.map(|node| policy_ids(node, problems));
    let subject_place = resource.map_or_else(|| node.place.clone(), |node| node.place.clone());
    let mut overridden: Vec<ParameterName> =
        overridden.into_iter().map(|name| name.value).collect();
    overridden.sort();
    let question = Question {
        principal: principal?,
        groups,
        action: action?,
        subject: subject?,
        environment,
        preset,
        overridden,
        time: told.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    (problems.errors() == before).then_some(Expectation {
        question,
        timed: told.is_some(),
        permitted: permitted?,
        by,
        place,
        subject_place,
    })
}

fn name<T: std::str::FromStr<Err = crate::name::NameError>>(
    node: &Node,
    key: &str,
    problems: &mut Problems,
) -> Option<T> {
    let text = fields::text(node, key, problems)?;
    fields::name::<T>(&text, problems).map(|name| name.value)
}

fn principal_of(node: &Node, kind: Option<&Node>, problems: &mut Problems) -> Option<Principal> {
    let name = fields::text(node, "principal", problems)?;
    if !is_principal(&name.value) {
        refuse(&name.place, "this names no principal", "such as `uid:1000`", problems);
        return None;
    }
    let kind = match kind {
        Some(node) => {
            let word = fields::text(node, "kind", problems)?;
            let kind = question::kind(&word.value);
            if kind.is_none() {
                let help = among(&word.value, question::kinds());
                refuse(&word.place, "there is no such kind of principal", &help, problems);
            }
            kind?
        }
        None => {
            let kind = question::kind_of(&name.value);
            if kind.is_none() {
                let help = format!("say its `kind`: one of {}", listed(&question::kinds()));
                refuse(&name.place, "the name doesn't tell the kind of this", &help, problems);
            }
            kind?
        }
    };
    Some(Principal { name: name.value, kind })
}

fn group_names(node: &Node, problems: &mut Problems) -> Vec<String> {
    let mut groups = Vec::new();
    for text in fields::texts(node, "groups", MAX_NAMES, problems) {
        match is_group(&text.value) {
            true => groups.push(text.value),
            false => {
                let help = "1 to 128 printable ASCII characters";
                refuse(&text.place, "this isn't the name of a group", help, problems);
            }
        }
    }
    groups
}

fn action_of(node: &Node, sealed: Option<&Node>, problems: &mut Problems) -> Option<Action> {
    let text = fields::text(node, "action", problems)?;
    let Some(action) = Action::named(&text.value) else {
        refuse(
            &text.place,
            "there is no such action",
            &among(&text.value, Action::names()),
            problems,
        );
        return None;
    };
    let Some(node) = sealed else { return Some(action) };
    let sealed = fields::flag(node, "sealed", problems)?;
    if action != Action::Reveal {
        let help = "take it out: only answers of `reveal` are sealed";
        refuse(&sealed.place, "`sealed` is said of `reveal` alone", help, problems);
        return None;
    }
    Some(if sealed.value { Action::RevealSealed } else { action })
}

fn subject_of(node: &Node, action: Option<Action>, problems: &mut Problems) -> Option<Subject> {
    let text = fields::text(node, "resource", problems)?;
    let Some(subject) = Subject::parse(&text.value) else {
        refuse(&text.place, "this isn't a resource", SUBJECT, problems);
        return None;
    };
    if let Some(action) = action.filter(|action| !action.is_asked_of(&subject)) {
        let message = format!("`{}` isn't asked of such a resource", action.name());
        let help = format!("it is asked of {}", action.subjects());
        refuse(&text.place, &message, &help, problems);
        return None;
    }
    Some(subject)
}

fn time_of(node: &Node, problems: &mut Problems) -> Option<Timestamp> {
    let text = fields::text(node, "time", problems)?;
    let time = text.value.parse().ok();
    if time.is_none() {
        refuse(
            &text.place,
            "this isn't a time",
            "RFC 3339, such as `2026-03-01T12:00:00Z`",
            problems,
        );
    }
    time
}

fn expected(node: &Node, problems: &mut Problems) -> Option<bool> {
    let text = fields::text(node, "expect", problems)?;
    match text.value.as_str() {
        "allow" => Some(true),
        "deny" => Some(false),
        _ => {
            refuse(&text.place, "this isn't a decision", "`allow` or `deny`", problems);
            None
        }
    }
}

fn policy_ids(node: &Node, problems: &mut Problems) -> Vec<String> {
    let texts = fields::texts(node, "by", MAX_NAMES, problems);
    let mut ids: Vec<String> = texts.into_iter().map(|text| text.value).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn refuse(place: &Place, message: &str, help: &str, problems: &mut Problems) {
    problems.error("invalid_expectation", place, message).sensitive().help(help);
}

#[cfg(test)]
mod tests;
