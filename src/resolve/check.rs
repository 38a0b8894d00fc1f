//! Everything about a request that needs no source: one check for resolving and
//! for explaining.

use std::collections::BTreeSet;

use super::offline::{Decision, Known, Offline, OfflineRun, check_rules, decide};
use super::submission::{Overrides, Submission, read_overrides, submit};
use crate::expression::{References, Template};
use crate::name::ParameterName;
use crate::plan::{Plan, PlannedStep};
use crate::refusal::{Violation, ViolationReason};
use crate::snapshot::StepAction;

/// A request that was checked as far as no source is needed.
pub struct Checked {
    /// What it binds.
    pub submission: Submission,
    /// How many of its names are not declared.
    pub unknown_names: u32,
}

/// Checks a request, with what is known of the run itself.
pub fn check_request(
    plan: &Plan,
    preset: &str,
    overrides: Overrides,
    run: OfflineRun<'_>,
    violations: &mut Vec<Violation>,
) -> Checked {
    let read = read_overrides(&plan.common.interface, overrides, violations);
    let unknown_names = read.unknown_names;
    let submission = submit(plan, preset, read, violations);
    let offline = Offline::new(plan, &submission, run);
    check_rules(&offline, violations);
    let steps = certain(&offline, violations);
    let needed = needed(&offline, &steps);
    for name in &needed {
        let Known::Failed(reason, description) = offline.value(name) else { continue };
        let field = format!("parameters.{name}");
        if !violations.iter().any(|other| other.field == field) {
            violations.push(Violation { field, reason, description });
        }
    }
    if !run.has_date() && reads_date(&offline, &steps, &needed) {
        violations.push(Violation {
            field: "logical_date".into(),
            reason: ViolationReason::MissingField,
            description: "the pipeline reads `run.logical_date`".into(),
        });
    }
    Checked { submission, unknown_names }
}

/// The steps that run whatever a source says.
fn certain<'a>(offline: &Offline<'a>, violations: &mut Vec<Violation>) -> Vec<&'a PlannedStep> {
    let mut certain = Vec::new();
    for step in &offline.plan().common.steps {
        let Decision { decision, fault, .. } = decide(offline, step);
        if let Some((part, description)) = fault {
            let field = format!("steps.{}.{part}", step.name);
            let reason = ViolationReason::TemplateFailed;
            violations.push(Violation { field, reason, description });
        } else if decision.action == StepAction::Run {
            certain.push(step);
        }
    }
    certain
}

/// What is needed whatever a source says, with all that it is computed from.
fn needed(offline: &Offline<'_>, steps: &[&PlannedStep]) -> BTreeSet<ParameterName> {
    let common = &offline.plan().common;
    let rules = common.rules.iter().map(|rule| rule.condition.references());
    let conditions = common.steps.iter().filter_map(|step| step.when.as_ref());
    let conditions = conditions.map(|(condition, _)| condition.references());
    let mut waiting: Vec<ParameterName> = rules
        .chain(conditions)
        .flat_map(|read| &read.parameters)
        .chain(steps.iter().flat_map(|step| &step.sees))
        .chain(
            steps
                .iter()
                .flat_map(|step| &step.matrix)
                .flat_map(|(_, list)| &list.references().parameters),
        )
        .cloned()
        .collect();
    let mut needed = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if needed.insert(name.clone()) {
            let read = offline.binding(&name).and_then(|binding| binding.references());
            waiting.extend(read.into_iter().flat_map(|read| read.parameters.iter().cloned()));
        }
    }
    needed
}

/// Whether something that is needed reads the caller's own date for the run.
fn reads_date(
    offline: &Offline<'_>,
    steps: &[&PlannedStep],
    needed: &BTreeSet<ParameterName>,
) -> bool {
    let common = &offline.plan().common;
    let bindings = needed.iter().filter_map(|name| offline.binding(name)?.references());
    let rules = common.rules.iter().map(|rule| rule.condition.references());
    let conditions = common.steps.iter().filter_map(|step| step.when.as_ref());
    let conditions = conditions.map(|(condition, _)| condition.references());
    let handed = steps.iter().flat_map(|step| references_of(step));
    bindings.chain(rules).chain(conditions).chain(handed).any(|read| read.run_logical_date)
}

/// What a step's matrix and templates read.
fn references_of(step: &PlannedStep) -> impl Iterator<Item = &References> {
    let entries = step.env.iter().chain(step.files.iter().map(|(entry, _)| entry));
    let templates = step.run.iter().chain(entries.map(|entry| &entry.template));
    let lists = step.matrix.iter().map(|(_, list)| list.references());
    templates.map(Template::references).chain(lists)
}
