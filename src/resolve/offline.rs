//! What can be known of a run without asking a source: for rules at submission
//! and for explanations.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::evaluate::{MAX_RUN_BYTES, TOO_MUCH, UNFIT_SECRET, template_words};
use super::held::Held;
use super::render::{NOT_A_LIST, TOO_MANY, combinations, public};
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
    run: OfflineRun<'a>,
    known: RefCell<BTreeMap<ParameterName, Known>>,
    /// The bytes of all values so far.
    spent: Cell<usize>,
}

/// What is known of the run itself.
#[derive(Clone, Copy)]
pub enum OfflineRun<'a> {
    /// Its name and its times.
    Named(&'a RunScope),
    /// The caller's own date alone: there is no run yet.
    Dated(&'a RunScope),
}

impl<'a> OfflineRun<'a> {
    fn is_named(self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Whether the caller gave a date.
    pub fn has_date(self) -> bool {
        self.scope().logical_date.is_some()
    }

    fn scope(self) -> &'a RunScope {
        match self {
            Self::Named(scope) | Self::Dated(scope) => scope,
        }
    }
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
    /// For a plan and what a run binds over it.
    pub fn new(plan: &'a Plan, submission: &'a Submission, run: OfflineRun<'a>) -> Self {
        Self { plan, submission, run, known: RefCell::default(), spent: Cell::new(0) }
    }

    /// The plan.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// The binding that wins below preset and run; none where one of these binds
    /// the parameter, or nothing does.
    pub fn binding(&self, name: &ParameterName) -> Option<&'a PlannedBinding> {
        if self.submission.values.contains_key(name) {
            return None;
        }
        let winner = self.plan.parameters.get(name)?.bindings.last()?;
        Some(winner.binding.as_ref())
    }

    /// What is known of a parameter. What it is computed from comes first, and not
    /// inside it: a long chain costs no stack.
    pub fn value(&self, name: &ParameterName) -> Known {
        let mut waiting = vec![name.clone()];
        while let Some(name) = waiting.last() {
            if self.known.borrow().contains_key(name) {
                waiting.pop();
                continue;
            }
            let unknown = self.unknown(name);
            if unknown.is_empty() {
                let known = self.bounded(self.compute(name));
                self.known.borrow_mut().insert(name.clone(), known);
            }
            waiting.extend(unknown);
        }
        self.known.borrow().get(name).cloned().unwrap_or(Known::Hangs)
    }

    /// What a template reads and isn't known yet. No parameter reads itself: the
    /// plan has no cycles.
    fn unknown(&self, name: &ParameterName) -> Vec<ParameterName> {
        let Some(PlannedBinding::Template { template, .. }) = self.binding(name) else {
            return Vec::new();
        };
        let known = self.known.borrow();
        let read = template.references().parameters.iter();
        read.filter(|name| !known.contains_key(*name)).cloned().collect()
    }

    /// Counts a value: together they are bounded as those of a run are.
    fn bounded(&self, known: Known) -> Known {
        let Known::Value(held) = &known else { return known };
        self.spent.set(self.spent.get().saturating_add(held.value().bytes()));
        if self.spent.get() <= MAX_RUN_BYTES {
            return known;
        }
        Known::Failed(ViolationReason::InvalidValue, TOO_MUCH.to_owned())
    }

    fn compute(&self, name: &ParameterName) -> Known {
        let secret = self.plan.common.interface.is_secret(name);
        // Its own problem is told, and nothing that follows from it.
        if self.submission.unsound.contains(name) {
            return Known::Hangs;
        }
        if let Some((_, value)) = self.submission.values.get(name) {
            return Known::Value(Held::new(value.clone(), secret));
        }
        match self.binding(name) {
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
                        template_words(secret, error),
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
            Some(_) if secret => {
                Known::Failed(ViolationReason::InvalidValue, UNFIT_SECRET.to_owned())
            }
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
        let reads_name = read.run_id || read.run_attempt || read.run_started_at;
        if reads_name && !self.run.is_named() || read.run_logical_date && !self.run.has_date() {
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
        OfflineScope { plan: self.plan, run: self.run.scope(), values }
    }
}

/// Names of expressions over known values.
pub struct OfflineScope<'a> {
    plan: &'a Plan,
    run: &'a RunScope,
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
        Some(self.run)
    }
}

/// Checks the rules that read no source in this run. Those over a parameter with
/// a problem of its own are passed over.
pub fn check_rules(offline: &Offline<'_>, violations: &mut Vec<Violation>) {
    for (index, rule) in offline.plan.common.rules.iter().enumerate() {
        // What fails of its own is told as such, under the parameter.
        let Ok(values) = offline.values(rule.condition.references()) else { continue };
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
    /// Why the run will fail at this step: the part of it, and what is wrong.
    pub fault: Option<(&'static str, String)>,
}

/// Decides a step as far as that is known.
pub fn decide(offline: &Offline<'_>, step: &PlannedStep) -> Decision {
    let mut decision = snapshot::Decision {
        action: StepAction::Unknown,
        reason: DecisionReason::Unspecified,
        condition: step.when.as_ref().map(|(_, text)| text.clone()),
        deciding: BTreeMap::new(),
    };
    let unknown = |decision| Decision { decision, instance_count: 0, fault: None };
    let faulty = |decision, part, why| {
        let fault = Some((part, why));
        Decision { decision, instance_count: 0, fault }
    };
    match &step.when {
        None => decision.reason = DecisionReason::Unconditional,
        Some((condition, _)) => {
            let Ok(values) = offline.values(condition.references()) else {
                return unknown(decision);
            };
            let (holds, deciding) = match condition.evaluate(&offline.scope(&values)) {
                Ok(decided) => decided,
                Err(error) => return faulty(decision, "when", error.to_string()),
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
        Instances::Unknown => {
            // It runs unless a list turns out to be empty.
            decision.reason = DecisionReason::Unspecified;
            unknown(decision)
        }
        Instances::Fault(why) => {
            decision.reason = DecisionReason::Unspecified;
            faulty(decision, "matrix", why)
        }
        Instances::Count(0) => {
            decision.action = StepAction::Skip;
            decision.reason = DecisionReason::MatrixEmpty;
            unknown(decision)
        }
        Instances::Count(instance_count) => {
            decision.action = StepAction::Run;
            Decision { decision, instance_count, fault: None }
        }
    }
}

enum Instances {
    Unknown,
    Fault(String),
    Count(u32),
}

fn instances(offline: &Offline<'_>, step: &PlannedStep) -> Instances {
    let mut lists = Vec::with_capacity(step.matrix.len());
    let mut hangs = false;
    for (name, list) in &step.matrix {
        let Ok(values) = offline.values(list.references()) else {
            hangs = true;
            continue;
        };
        match list.evaluate(&offline.scope(&values)) {
            // Nothing times anything is nothing.
            Ok(Value::List(items)) if items.is_empty() => return Instances::Count(0),
            Ok(Value::List(items)) => lists.push((name.clone(), items)),
            Ok(_) => return Instances::Fault(NOT_A_LIST.to_owned()),
            Err(error) => return Instances::Fault(error.to_string()),
        }
    }
    if hangs {
        return Instances::Unknown;
    }
    match combinations(&lists) {
        Some(combined) => Instances::Count(u32::try_from(combined.len()).unwrap_or(u32::MAX)),
        None => Instances::Fault(TOO_MANY.to_owned()),
    }
}
