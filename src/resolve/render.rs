//! Which steps run, and what they are handed.

use std::collections::{BTreeMap, BTreeSet};

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
            return Err(step_failed(evaluator, &step.name, "matrix", "not a list"));
        };
        lists.push((name.clone(), items));
    }
    combinations(&lists)
        .ok_or_else(|| step_failed(evaluator, &step.name, "matrix", "more than 256 combinations"))
}

/// The combinations of several lists, the last one turning fastest; none where
/// they are too many.
pub(super) fn combinations(
    lists: &[(MatrixName, Vec<Value>)],
) -> Option<Vec<BTreeMap<MatrixName, Value>>> {
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

/// All that a caller learns of an entry that can't be made of its secrets.
const UNFIT_SECRET: &str = "can't be made of its secrets";

/// A rendered step with the bytes of its secret entries, by item and instance.
pub struct Rendered {
    /// The step.
    pub step: FrozenStep,
    /// The secret entries' bytes.
    pub secrets: Vec<(u32, ItemName, SecretBytes)>,
}

/// Renders a step that was decided, from values that were had.
///
/// # Errors
/// The failures are the evaluator's.
pub fn render(
    evaluator: &Evaluator<'_>,
    values: &Values,
    fingerprints: &Fingerprints,
    decided: Decided<'_>,
) -> Result<Rendered, Failed> {
    let mut rendering =
        Rendering { evaluator, fingerprints, decided: &decided, secrets: Vec::new() };
    let scope = evaluator.scope(values);
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
        let mut run = Vec::with_capacity(step.run.len());
        for (at, template) in step.run.iter().enumerate() {
            let value = self.evaluate(template, scope, || format!("run/{at}"))?;
            self.splice(&mut run, value, at)?;
        }
        let mut env = BTreeMap::new();
        for entry in &step.env {
            let item = ItemName::env(&entry.name);
            if let Some(frozen) = self.entry(scope, index, entry, item)? {
                env.insert(entry.name.clone(), frozen);
            }
        }
        let mut files = BTreeMap::new();
        for (entry, mode) in &step.files {
            let item = ItemName::file(&entry.name);
            if let Some(frozen) = self.entry(scope, index, entry, item)? {
                files.insert(entry.name.clone(), (frozen, *mode));
            }
        }
        // A matrix can't read a secret: its items are public by the plan's word.
        let matrix = combination
            .iter()
            .map(|(name, item)| (name.clone(), PublicValue::declared_public(item.clone())))
            .collect();
        Ok(FrozenInstance { matrix, run, env, files })
    }

    fn evaluate(
        &self,
        template: &Template,
        scope: &dyn Scope,
        part: impl Fn() -> String,
    ) -> Result<Value, Failed> {
        let name = &self.decided.step.name;
        let value = template
            .evaluate(scope)
            .map_err(|error| step_failed(self.evaluator, name, &part(), &error.to_string()))?;
        value
            .check_limits()
            .map_err(|limit| step_failed(self.evaluator, name, &part(), &limit.to_string()))?;
        Ok(value)
    }

    /// A list is spliced in, null is left out.
    fn splice(&self, run: &mut Vec<String>, value: Value, at: usize) -> Result<(), Failed> {
        let items = match value {
            Value::Null => return Ok(()),
            Value::List(items) => items,
            other => vec![other],
        };
        for item in items {
            let text = item.text().filter(|text| !text.contains('\0')).ok_or_else(|| {
                let part = format!("run/{at}");
                step_failed(
                    self.evaluator,
                    &self.decided.step.name,
                    &part,
                    "an argument isn't text",
                )
            })?;
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
        // Why a text with a secret can't be made depends on the secret.
        let failed = |error: &str| {
            let told = if entry.secrets.is_empty() { error } else { UNFIT_SECRET };
            step_failed(self.evaluator, &self.decided.step.name, item.as_str(), told)
        };
        let value = entry.template.evaluate(scope).map_err(|error| failed(&error.to_string()))?;
        value.check_limits().map_err(|limit| failed(&limit.to_string()))?;
        let value = match value {
            Value::Null => return Ok(None),
            Value::Bytes(bytes) => Value::Bytes(bytes),
            other => Value::String(other.text().ok_or_else(|| failed("not text"))?),
        };
        let is_variable = item.as_str().starts_with("env.");
        let unfit = matches!(&value, Value::String(text) if is_variable && text.contains('\0'))
            || (is_variable && matches!(value, Value::Bytes(_)));
        if unfit {
            return Err(failed("a variable can't hold NUL bytes"));
        }
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
