//! What can be known of a run without asking a source: for rules at submission
//! and for explanations.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::held::Held;
use super::render::{combinations, public};
use super::submission::Submission;
use crate::expression::{References, RunScope, Scope};
use crate::name::{MatrixName, ParameterName};
use crate::plan::{Plan, PlannedBinding, PlannedStep};
use crate::refusal::{Violation, ViolationReason};
use crate::snapshot::{self, DecisionReason, StepAction};
use crate::value::Value;

/// Values that need no source.
pub struct Offline<'a> {
    plan: &'a Plan,
    submission: &'a Submission,
    run: Option<&'a RunScope>,
    known: RefCell<BTreeMap<ParameterName, Known>>,
}

/// What is known of a value.
#[derive(Clone)]
pub enum Known {
    /// The value.
    Value(Held),
    /// It hangs on a source, or on the run's own name or time.
    Hangs,
    /// It can't be had; the text says why, in our own words.
    Failed(ViolationReason, String),
}

impl<'a> Offline<'a> {
    /// For a plan and what a run binds over it; `run` where there is one.
    pub fn new(plan: &'a Plan, submission: &'a Submission, run: Option<&'a RunScope>) -> Self {
        Self { plan, submission, run, known: RefCell::new(BTreeMap::new()) }
    }

    /// What is known of a parameter.
    pub fn value(&self, name: &ParameterName) -> Known {
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone();
        }
        let known = self.compute(name);
        self.known.borrow_mut().insert(name.clone(), known.clone());
        known
    }

    fn compute(&self, name: &ParameterName) -> Known {
        let secret = self.plan.common.interface.parameters.get(name).is_none_or(|one| one.secret);
        if let Some((_, value)) = self.submission.values.get(name) {
            return Known::Value(Held::new(value.clone(), secret));
        }
        let winner = self.plan.parameters.get(name).and_then(|one| one.bindings.last());
        match winner.map(|winner| winner.binding.as_ref()) {
            None | Some(PlannedBinding::Source(_)) => Known::Hangs,
            Some(PlannedBinding::Literal(value)) => Known::Value(Held::new(value.clone(), secret)),
            Some(PlannedBinding::Template { template, .. }) => {
                let values = match self.values(template.references()) {
                    Ok(values) => values,
                    Err(known) => return known,
                };
                match template.evaluate(&self.scope(&values)) {
                    Ok(value) => self.checked(name, value, secret),
                    Err(error) => Known::Failed(
                        ViolationReason::TemplateFailed,
                        format!("its template can't be evaluated: {error}"),
                    ),
                }
            }
        }
    }

    fn checked(&self, name: &ParameterName, value: Value, secret: bool) -> Known {
        let schema = self.plan.common.interface.parameters.get(name).map(|one| &one.schema);
        let violation = schema.and_then(|schema| schema.check(&value).err()?.into_iter().next());
        match violation {
            None => Known::Value(Held::new(value, secret)),
            Some(_) if secret => Known::Failed(
                ViolationReason::InvalidValue,
                "isn't of the declared type, or breaks its schema".into(),
            ),
            Some(violation) => Known::Failed(
                ViolationReason::InvalidValue,
                format!("expected {}", violation.expected),
            ),
        }
    }

    /// All that an expression reads, or why that isn't known.
    ///
    /// # Errors
    /// [`Known::Hangs`] or [`Known::Failed`].
    pub fn values(&self, read: &References) -> Result<BTreeMap<ParameterName, Held>, Known> {
        let reads_run =
            read.run_id || read.run_attempt || read.run_started_at || read.run_logical_date;
        if reads_run && self.run.is_none() {
            return Err(Known::Hangs);
        }
        let mut values = BTreeMap::new();
        let mut failed = None;
        for name in &read.parameters {
            match self.value(name) {
                Known::Value(held) => {
                    values.insert(name.clone(), held);
                }
                Known::Hangs => return Err(Known::Hangs),
                other => failed = Some(other),
            }
        }
        match failed {
            None => Ok(values),
            Some(failed) => Err(failed),
        }
    }

    /// A scope over known values.
    pub fn scope<'s>(&'s self, values: &'s BTreeMap<ParameterName, Held>) -> OfflineScope<'s> {
        OfflineScope { plan: self.plan, run: self.run, values }
    }
}

/// Names of expressions over known values.
pub struct OfflineScope<'a> {
    plan: &'a Plan,
    run: Option<&'a RunScope>,
    values: &'a BTreeMap<ParameterName, Held>,
}

impl Scope for OfflineScope<'_> {
    fn parameter(&self, name: &ParameterName) -> Option<&Value> {
        self.values.get(name).map(Held::value)
    }

    fn matrix(&self, _name: &MatrixName) -> Option<&Value> {
        None
    }

    fn environment(&self) -> &str {
        self.plan.environment.as_str()
    }

    fn pipeline(&self) -> &str {
        self.plan.pipeline.as_str()
    }

    fn run(&self) -> Option<&RunScope> {
        self.run
    }
}

/// Checks the rules that read no source in this run. `unsound` are parameters
/// that already have a problem of their own: rules over them are passed over.
pub fn check_rules(
    offline: &Offline<'_>,
    unsound: &BTreeSet<ParameterName>,
    violations: &mut Vec<Violation>,
) {
    for (index, rule) in offline.plan.common.rules.iter().enumerate() {
        let read = rule.condition.references();
        if read.parameters.iter().any(|name| unsound.contains(name)) {
            continue;
        }
        let values = match offline.values(read) {
            Ok(values) => values,
            Err(Known::Failed(reason, description)) => {
                let field = read
                    .parameters
                    .iter()
                    .find(|name| matches!(offline.value(name), Known::Failed(..)))
                    .map_or_else(|| format!("rules[{index}]"), |name| format!("parameters.{name}"));
                if !violations.iter().any(|other| other.field == field) {
                    violations.push(Violation { field, reason, description });
                }
                continue;
            }
            Err(_) => continue,
        };
        let (reason, description) = match rule.condition.evaluate(&offline.scope(&values)) {
            Ok((true, _)) => continue,
            Ok((false, _)) => (ViolationReason::RuleViolated, rule.message.clone()),
            Err(error) => (ViolationReason::TemplateFailed, error.to_string()),
        };
        violations.push(Violation { field: format!("rules[{index}]"), reason, description });
    }
}

/// A step as far as it can be decided without a source.
pub struct Decision {
    /// The decision; the action is unknown where it hangs on a source.
    pub decision: snapshot::Decision,
    /// How many executions; 0 where it is skipped or not known.
    pub instance_count: u32,
}

/// Decides a step as far as that is known.
pub fn decide(offline: &Offline<'_>, step: &PlannedStep) -> Decision {
    let mut decision = snapshot::Decision {
        action: StepAction::Unknown,
        reason: DecisionReason::Unspecified,
        condition: step.when.as_ref().map(|(_, text)| text.clone()),
        deciding: BTreeMap::new(),
    };
    let unknown = |decision| Decision { decision, instance_count: 0 };
    match &step.when {
        None => decision.reason = DecisionReason::Unconditional,
        Some((condition, _)) => {
            let Ok(values) = offline.values(condition.references()) else {
                return unknown(decision);
            };
            let Ok((holds, deciding)) = condition.evaluate(&offline.scope(&values)) else {
                return unknown(decision);
            };
            decision.deciding = public(deciding);
            if !holds {
                decision.action = StepAction::Skip;
                decision.reason = DecisionReason::ConditionFalse;
                return unknown(decision);
            }
            decision.reason = DecisionReason::ConditionTrue;
        }
    }
    match instances(offline, step) {
        Instances::Unknown if step.matrix.is_empty() => unknown(decision),
        Instances::Unknown => {
            // It runs unless a list turns out to be empty.
            decision.reason = DecisionReason::Unspecified;
            unknown(decision)
        }
        Instances::Count(0) => {
            decision.action = StepAction::Skip;
            decision.reason = DecisionReason::MatrixEmpty;
            unknown(decision)
        }
        Instances::Count(instance_count) => {
            decision.action = StepAction::Run;
            Decision { decision, instance_count }
        }
    }
}

enum Instances {
    Unknown,
    Count(u32),
}

fn instances(offline: &Offline<'_>, step: &PlannedStep) -> Instances {
    let mut lists = Vec::with_capacity(step.matrix.len());
    for (name, list) in &step.matrix {
        let Ok(values) = offline.values(list.references()) else { return Instances::Unknown };
        match list.evaluate(&offline.scope(&values)) {
            Ok(Value::List(items)) => lists.push((name.clone(), items)),
            _ => return Instances::Unknown,
        }
    }
    match combinations(&lists) {
        Some(combined) => Instances::Count(u32::try_from(combined.len()).unwrap_or(u32::MAX)),
        None => Instances::Unknown,
    }
}
