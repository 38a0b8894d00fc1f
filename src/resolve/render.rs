//! Which steps run, and what they are handed.

use std::collections::{BTreeMap, BTreeSet};

use super::Resolution;
use super::evaluate::{Evaluator, Failed, Values};
use super::failure::Failure;
use super::held::{is_maskable, revealed_form};
use crate::audit::event::ItemName;
use crate::expression::{Scope, Template};
use crate::name::{MatrixName, ParameterName, StepName};
use crate::plan::{PlannedEntry, PlannedStep};
use crate::refusal::ViolationReason;
use crate::secret::{SecretBytes, SecretValue};
use crate::snapshot::{
    Decision, DecisionReason, FrozenEntry, FrozenInstance, FrozenStep, SecretEntry, SecretMark,
    StepAction,
};
use crate::store::fingerprint::Fingerprints;
use crate::value::{PublicValue, Value};

/// The most executions of one step.
pub const MAX_INSTANCES: usize = 256;

pub(super) const NOT_A_LIST: &str = "not a list";
pub(super) const TOO_MANY: &str = "more than 256 combinations";

/// The most bytes of all that the steps of a run are handed: public values are
/// limited, but each of 256 instances may repeat them.
pub const MAX_RENDERED_BYTES: usize = 16 << 20;

/// A step that was decided, with the combinations of its matrix.
pub struct Decided<'a> {
    /// The step.
    pub step: &'a PlannedStep,
    /// Whether it runs, and why.
    pub decision: Decision,
    /// Its combinations: one without a matrix, none where it is skipped.
    pub combinations: Vec<BTreeMap<MatrixName, Value>>,
}

/// Decides a step: its condition first, and its matrix only if it runs.
///
/// # Errors
/// The failure is the evaluator's.
pub async fn decide<'a>(
    evaluator: &Evaluator<'_>,
    step: &'a PlannedStep,
) -> Result<Decided<'a>, Failed> {
    let mut decision = Decision {
        action: StepAction::Run,
        reason: DecisionReason::Unconditional,
        condition: None,
        deciding: BTreeMap::new(),
    };
    if let Some((condition, text)) = &step.when {
        let values = evaluator.values(&condition.references().parameters).await?;
        let (holds, deciding) = condition
            .evaluate(&evaluator.scope(&values))
            .map_err(|error| step_failed(evaluator, &step.name, "when", &error.to_string()))?;
        decision.condition = Some(text.clone());
        decision.deciding = public(deciding);
        decision.reason =
            if holds { DecisionReason::ConditionTrue } else { DecisionReason::ConditionFalse };
        if !holds {
            decision.action = StepAction::Skip;
            return Ok(Decided { step, decision, combinations: Vec::new() });
        }
    }
    let combinations = combine(evaluator, step).await?;
    if combinations.is_empty() {
        decision.action = StepAction::Skip;
        decision.reason = DecisionReason::MatrixEmpty;
    }
    Ok(Decided { step, decision, combinations })
}

/// A condition can't read a secret: what it read is public by the plan's word.
pub(super) fn public(values: BTreeMap<String, Value>) -> BTreeMap<String, PublicValue> {
    values.into_iter().map(|(name, value)| (name, PublicValue::declared_public(value))).collect()
}

async fn combine(
    evaluator: &Evaluator<'_>,
    step: &PlannedStep,
) -> Result<Vec<BTreeMap<MatrixName, Value>>, Failed> {
    let names: BTreeSet<ParameterName> =
        step.matrix.iter().flat_map(|(_, list)| list.references().parameters.clone()).collect();
    let values = evaluator.values(&names).await?;
    let scope = evaluator.scope(&values);
    let mut lists = Vec::with_capacity(step.matrix.len());
    for (name, list) in &step.matrix {
        let value = list
            .evaluate(&scope)
            .map_err(|error| step_failed(evaluator, &step.name, "matrix", &error.to_string()))?;
        let Value::List(items) = value else {
            return Err(step_failed(evaluator, &step.name, "matrix", NOT_A_LIST));
        };
        lists.push((name.clone(), items));
    }
    combinations(&lists).ok_or_else(|| step_failed(evaluator, &step.name, "matrix", TOO_MANY))
}

/// The combinations of several lists, the last one turning fastest; none where
/// they are too many.
pub(super) fn combinations(
    lists: &[(MatrixName, Vec<Value>)],
) -> Option<Vec<BTreeMap<MatrixName, Value>>> {
    // Many times nothing is nothing, not too many.
    if lists.iter().any(|(_, items)| items.is_empty()) {
        return Some(Vec::new());
    }
    let count = lists.iter().try_fold(1_usize, |count, (_, items)| {
        count.checked_mul(items.len()).filter(|count| *count <= MAX_INSTANCES)
    })?;
    let mut combined = vec![BTreeMap::new()];
    for (name, items) in lists {
        let mut next = Vec::with_capacity(count);
        for base in &combined {
            for item in items {
                let mut one = base.clone();
                one.insert(name.clone(), item.clone());
                next.push(one);
            }
        }
        combined = next;
    }
    Some(combined)
}

fn step_failed(evaluator: &Evaluator<'_>, step: &StepName, part: &str, error: &str) -> Failed {
    let subject = format!("steps.{step}.{part}");
    evaluator.fail(Failure::own(subject, ViolationReason::TemplateFailed, error.to_owned()))
}

/// A rendered step with the bytes of its secret entries, by item and instance.
pub struct Rendered {
    /// The step.
    pub step: FrozenStep,
    /// The secret entries' bytes.
    pub secrets: Vec<(u32, ItemName, SecretBytes)>,
}

/// Renders a step that was decided, from values that were had. `room` is what is
/// left of [`MAX_RENDERED_BYTES`].
///
/// # Errors
/// The failures are the evaluator's.
pub fn render(
    evaluator: &Evaluator<'_>,
    values: &Values,
    resolution: &Resolution<'_>,
    room: &mut usize,
    decided: Decided<'_>,
) -> Result<Rendered, Failed> {
    let fingerprints = resolution.fingerprints;
    let mut rendering =
        Rendering { evaluator, fingerprints, decided: &decided, room, secrets: Vec::new() };
    let scope = evaluator.scope(values).of_run(resolution.run);
    let mut instances = Vec::with_capacity(decided.combinations.len());
    for (index, combination) in decided.combinations.iter().enumerate() {
        let scope = scope.with_matrix(combination);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        instances.push(rendering.instance(&scope, index, combination)?);
    }
    let secrets = rendering.secrets;
    let step = FrozenStep {
        name: decided.step.name.clone(),
        needs: decided.step.needs.clone(),
        sees: decided.step.sees.clone(),
        decision: decided.decision,
        instances,
    };
    Ok(Rendered { step, secrets })
}

struct Rendering<'a> {
    evaluator: &'a Evaluator<'a>,
    fingerprints: &'a Fingerprints,
    decided: &'a Decided<'a>,
    room: &'a mut usize,
    secrets: Vec<(u32, ItemName, SecretBytes)>,
}

impl Rendering<'_> {
    fn instance(
        &mut self,
        scope: &dyn Scope,
        index: u32,
        combination: &BTreeMap<MatrixName, Value>,
    ) -> Result<FrozenInstance, Failed> {
        let step = self.decided.step;
        // All that is wrong with one instance is told, and then no more.
        let mut failed = None;
        let mut run = Vec::with_capacity(step.run.len());
        for (at, template) in step.run.iter().enumerate() {
            if let Err(failure) = self.argument(scope, template, at, &mut run) {
                failed = Some(failure);
            }
        }
        let mut env = BTreeMap::new();
        for entry in &step.env {
            match self.entry(scope, index, entry, ItemName::env(&entry.name)) {
                Ok(Some(frozen)) => drop(env.insert(entry.name.clone(), frozen)),
                Ok(None) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        let mut files = BTreeMap::new();
        for (entry, mode) in &step.files {
            match self.entry(scope, index, entry, ItemName::file(&entry.name)) {
                Ok(Some(frozen)) => drop(files.insert(entry.name.clone(), (frozen, *mode))),
                Ok(None) => {}
                Err(failure) => failed = Some(failure),
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        // A matrix can't read a secret: its items are public by the plan's word.
        let matrix = combination
            .iter()
            .map(|(name, item)| (name.clone(), PublicValue::declared_public(item.clone())))
            .collect();
        Ok(FrozenInstance { matrix, run, env, files })
    }

    fn failed(&self, part: &str, error: &str) -> Failed {
        step_failed(self.evaluator, &self.decided.step.name, part, error)
    }

    /// Of what is made of secrets, nothing is told but that it failed.
    fn evaluate(
        &self,
        template: &Template,
        scope: &dyn Scope,
        part: &str,
        secret: bool,
    ) -> Result<Value, Failed> {
        let value = template.evaluate(scope).map_err(|error| match secret {
            true => self.failed(part, "can't be evaluated"),
            false => self.failed(part, &error.to_string()),
        })?;
        value.check_limits().map_err(|limit| self.failed(part, &limit.to_string()))?;
        Ok(value)
    }

    /// Takes so many bytes of the room that all steps have together.
    fn take(&mut self, bytes: usize, part: &str) -> Result<(), Failed> {
        match self.room.checked_sub(bytes) {
            Some(left) => {
                *self.room = left;
                Ok(())
            }
            None => {
                Err(self.failed(part, "what the steps are handed has more than 16 MiB together"))
            }
        }
    }

    /// A list is spliced in, null is left out.
    fn argument(
        &mut self,
        scope: &dyn Scope,
        template: &Template,
        at: usize,
        run: &mut Vec<String>,
    ) -> Result<(), Failed> {
        let part = format!("run/{at}");
        let items = match self.evaluate(template, scope, &part, false)? {
            Value::Null => return Ok(()),
            Value::List(items) => items,
            other => vec![other],
        };
        for item in items {
            let text = item.text().ok_or_else(|| self.failed(&part, "an argument isn't text"))?;
            if text.contains('\0') {
                return Err(self.failed(&part, "an argument can't hold NUL bytes"));
            }
            self.take(text.len(), &part)?;
            run.push(text);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        scope: &dyn Scope,
        index: u32,
        entry: &PlannedEntry,
        item: ItemName,
    ) -> Result<Option<FrozenEntry>, Failed> {
        let part = item.as_str();
        let is_variable = part.starts_with("env.");
        // Why a text with a secret can't be made depends on the secret.
        let failed = |error: &str| {
            let secret = !entry.secrets.is_empty();
            self.failed(part, if secret { "a text with a secret can't be made" } else { error })
        };
        let value = match self.evaluate(&entry.template, scope, part, !entry.secrets.is_empty())? {
            Value::Null => return Ok(None),
            Value::Bytes(_) if is_variable => {
                return Err(failed("a variable can't hold bytes; `| b64` makes text"));
            }
            Value::Bytes(bytes) => Value::Bytes(bytes),
            other => Value::String(other.text().ok_or_else(|| failed("not text"))?),
        };
        let length = match &value {
            Value::String(text) if is_variable && text.contains('\0') => {
                return Err(failed("a variable can't hold NUL bytes"));
            }
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        self.take(length, part)?;
        if entry.secrets.is_empty() {
            return Ok(Some(match value {
                Value::String(text) => FrozenEntry::Text(text),
                other => FrozenEntry::Binary(PublicValue::declared_public(other)),
            }));
        }
        let mark = SecretMark {
            fingerprint: self.fingerprints.of(&SecretValue::new(value.clone())),
            maskable: is_maskable(&value),
        };
        let (encoding, bytes) = revealed_form(&value);
        self.secrets.push((index, item.clone(), SecretBytes::new(bytes)));
        let computed_from = entry.secrets.clone();
        Ok(Some(FrozenEntry::Secret(SecretEntry { item, mark, encoding, computed_from })))
    }
}
