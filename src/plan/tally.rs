//! Problems of single environments, told once for all environments that have
//! them.

use std::collections::HashMap;

use crate::name::EnvironmentName;
use crate::yaml::Place;
use crate::yaml::diagnostic::Problems;

/// The most environments that one message names.
const MAX_NAMED: usize = 5;

/// What is wrong, but for where.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    /// The stable word.
    pub(super) code: &'static str,
    /// Where it is written.
    pub(super) place: Place,
    /// The message up to the environments.
    pub(super) before: String,
    /// The message after them.
    pub(super) after: String,
    /// What to do about it.
    pub(super) help: String,
}

/// What was found so far, in the order of the first environment that had it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    found: Vec<(Told, Vec<EnvironmentName>)>,
    index: HashMap<Told, usize>,
}

impl Tally {
    /// Takes a problem of one environment.
    pub(super) fn add(&mut self, environment: &EnvironmentName, told: Told) {
        let at = *self.index.entry(told.clone()).or_insert(self.found.len());
        match self.found.get_mut(at) {
            Some((_, environments)) => {
                if environments.last() != Some(environment) {
                    environments.push(environment.clone());
                }
            }
            None => self.found.push((told, vec![environment.clone()])),
        }
    }

    /// Tells all of them.
    pub(super) fn tell(&mut self, problems: &mut Problems) {
        self.index.clear();
        for (told, environments) in self.found.drain(..) {
            let message = format!("{} in {}{}", told.before, words(&environments), told.after);
            problems.error(told.code, &told.place, message).help(told.help);
        }
    }
}

fn words(environments: &[EnvironmentName]) -> String {
    let named: Vec<String> =
        environments.iter().take(MAX_NAMED).map(|name| format!("`{name}`")).collect();
    let more = environments.len().saturating_sub(MAX_NAMED);
    match (named.as_slice(), more) {
        ([only], 0) => format!("the environment {only}"),
        (_, 0) => format!("the environments {}", named.join(", ")),
        _ => format!("the environments {} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::FileId;

    #[test]
    fn one_problem_of_many_environments_is_told_once() {
        let told = Told {
            code: "cycle",
            place: Place { file: FileId(0), span: 0..1 },
            before: "it turns".to_owned(),
            after: ": `a`".to_owned(),
            help: "stop it".to_owned(),
        };
        let (mut tally, mut problems) = (Tally::default(), Problems::default());
        for name in ["a", "b", "b", "c", "d", "e", "f", "g"] {
            tally.add(&EnvironmentName::parse(name).unwrap(), told.clone());
        }
        tally.add(
            &EnvironmentName::parse("a").unwrap(),
            Told { after: String::new(), ..told.clone() },
        );
        tally.tell(&mut problems);
        let messages: Vec<&str> = problems.list.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "it turns in the environments `a`, `b`, `c`, `d`, `e` and 2 more: `a`",
                "it turns in the environment `a`",
            ]
        );
    }
}
