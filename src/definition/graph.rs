//! The order among steps: `needs` must exist, and lead nowhere back.

use std::collections::BTreeMap;

use super::StepDefinition;
use crate::name::{StepName, nearest};
use crate::yaml::Spanned;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::shown;

/// Checks the `needs` of all steps. Where there are steps whose names can't be
/// read (`unnamed`), a need that isn't known may be one of those.
pub(super) fn check(steps: &[StepDefinition], unnamed: bool, problems: &mut Problems) {
    let names: BTreeMap<&str, usize> =
        steps.iter().enumerate().map(|(at, step)| (step.name.value.as_str(), at)).collect();
    for need in steps.iter().flat_map(|step| &step.needs) {
        if unnamed || names.contains_key(need.value.as_str()) {
            continue;
        }
        let message = match shown(need.value.as_str()) {
            Some(name) => format!("there is no step `{name}`"),
            None => "there is no such step".to_owned(),
        };
        let problem = problems.error("unknown_step", &need.place, message);
        if let Some(near) = nearest(need.value.as_str(), names.keys().copied()) {
            problem.help(format!("did you mean `{near}`?"));
        }
    }
    let mut walk =
        Walk { steps, names, marks: vec![Mark::New; steps.len()], path: Vec::new(), told: 0 };
    for at in 0..steps.len() {
        walk.visit(at, problems);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    OnPath,
    Done,
}

struct Walk<'a> {
    steps: &'a [StepDefinition],
    names: BTreeMap<&'a str, usize>,
    marks: Vec<Mark>,
    path: Vec<usize>,
    /// How many cycles were told.
    told: usize,
}

/// The most cycles that are told.
const MAX_TOLD: usize = 20;

impl<'a> Walk<'a> {
    /// Goes as deep as there are steps: at most 200.
    fn visit(&mut self, at: usize, problems: &mut Problems) {
        let steps = self.steps;
        let (Some(step), Some(Mark::New)) = (steps.get(at), self.marks.get(at).copied()) else {
            return;
        };
        self.mark(at, Mark::OnPath);
        self.path.push(at);
        for need in &step.needs {
            let Some(next) = self.names.get(need.value.as_str()).copied() else { continue };
            if self.marks.get(next) == Some(&Mark::OnPath) {
                self.tell(next, need, problems);
            } else {
                self.visit(next, problems);
            }
        }
        self.path.pop();
        self.mark(at, Mark::Done);
    }

    fn mark(&mut self, at: usize, mark: Mark) {
        if let Some(slot) = self.marks.get_mut(at) {
            *slot = mark;
        }
    }

    fn tell(&mut self, back_to: usize, need: &Spanned<StepName>, problems: &mut Problems) {
        self.told += 1;
        if self.told > MAX_TOLD {
            return;
        }
        let cycle = self.path.iter().skip_while(|at| **at != back_to);
        let mut names: Vec<String> = cycle
            .filter_map(|at| self.steps.get(*at))
            .map(|step| format!("`{}`", step.name.value))
            .collect();
        names.push(format!("`{}`", need.value));
        let message = format!("the steps need each other: {}", names.join(" → "));
        problems
            .error("step_cycle", &need.place, message)
            .help("a step can't wait for itself: take one of these `needs` out");
    }
}
