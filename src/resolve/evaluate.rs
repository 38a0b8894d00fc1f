//! The values of a run: what is needed, each once, independent ones at the same
//! time.

mod scope;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use tokio::sync::SetOnce;

use super::failure::{Asked, Failure};
use super::fetch::Fetcher;
use super::held::Held;
use super::submission::Submission;
use crate::expression::RunScope;
use crate::name::ParameterName;
use crate::plan::{LayerBinding, Plan, PlannedBinding};
use crate::provenance::{Layer, Provenance, SourceKind};
use crate::refusal::ViolationReason;
use crate::value::Value;

pub use scope::{ValueScope, Values};

/// A parameter's value and where it came from.
#[derive(Debug)]
pub struct Evaluated {
    /// The value.
    pub held: Held,
    /// Where it came from.
    pub provenance: Provenance,
}

/// The value can't be had; the failure is among [`Evaluator::failures`], under
/// this parameter or one that it is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Failed;

/// All that a caller learns of a secret that doesn't fit.
pub(super) const UNFIT_SECRET: &str = "isn't of the declared type, or breaks its schema";

/// What became of a parameter.
pub type Outcome = Result<Arc<Evaluated>, Failed>;

/// A parameter on its way. What it is computed from is waited for and never
/// computed inside it: a long chain costs no stack.
#[derive(Default)]
struct Cell {
    claimed: AtomicBool,
    outcome: SetOnce<Outcome>,
}

/// Evaluates the parameters of one run on demand.
pub struct Evaluator<'a> {
    plan: &'a Plan,
    submission: &'a Submission,
    run: &'a RunScope,
    fetcher: Fetcher<'a>,
    cells: BTreeMap<&'a ParameterName, Cell>,
    /// What is known before anything is computed, such as of an earlier attempt.
    given: BTreeMap<ParameterName, Outcome>,
    failures: Mutex<Vec<Failure>>,
    /// The bytes of all values so far.
    spent: AtomicUsize,
}

/// The most bytes of all values of a run, secret ones too.
pub(super) const MAX_RUN_BYTES: usize = 32 << 20;
/// Told where they have more.
pub(super) const TOO_MUCH: &str = "the run's values have more than 32 MiB together";

impl<'a> Evaluator<'a> {
    /// For one run of a plan.
    pub fn new(
        plan: &'a Plan,
        submission: &'a Submission,
        run: &'a RunScope,
        fetcher: Fetcher<'a>,
    ) -> Self {
        let cells = plan.parameters.keys().map(|name| (name, Cell::default())).collect();
        let (failures, spent) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let given = BTreeMap::new();
        Self { plan, submission, run, fetcher, cells, given, failures, spent }
    }

    /// The same with outcomes that are known; the failures among them are told by
    /// whoever knows them.
    pub fn with(self, given: BTreeMap<ParameterName, Outcome>) -> Self {
        Self { given, ..self }
    }

    /// The values of all these, or that some can't be had.
    ///
    /// # Errors
    /// [`Failed`], once all that could be had was had.
    pub async fn values(&self, names: &BTreeSet<ParameterName>) -> Result<Values, Failed> {
        let values = self.available(names).await;
        if values.0.len() == names.len() { Ok(values) } else { Err(Failed) }
    }

    /// Those of these values that can be had.
    pub async fn available(&self, names: &BTreeSet<ParameterName>) -> Values {
        join_all(self.claim(names).into_iter().map(|(name, cell)| self.settle(name, cell))).await;
        self.wait_for(names).await
    }

    /// All that nobody computes yet of these and of what they are computed from.
    fn claim(&self, names: &BTreeSet<ParameterName>) -> Vec<(&'a ParameterName, &Cell)> {
        let mut claimed = Vec::new();
        let mut waiting: Vec<ParameterName> = names.iter().cloned().collect();
        while let Some(name) = waiting.pop() {
            let Some((name, cell)) = self.cells.get_key_value(&name) else { continue };
            if !cell.claimed.swap(true, Ordering::Relaxed) {
                claimed.push((*name, cell));
                waiting.extend(self.reads(name));
            }
        }
        claimed
    }

    /// What a parameter is computed from in this run.
    fn reads(&self, name: &ParameterName) -> BTreeSet<ParameterName> {
        if self.submission.values.contains_key(name) || self.given.contains_key(name) {
            return BTreeSet::new();
        }
        self.winner(name).map(|winner| winner.binding.computed_from()).unwrap_or_default()
    }

    async fn settle(&self, name: &ParameterName, cell: &Cell) {
        let outcome = match self.spend(0) {
            // What would come over the limit isn't even asked for.
            Err(failed) => Err(failed),
            Ok(()) => self.compute(name).await,
        };
        let outcome = outcome
            .and_then(|evaluated| self.spend(evaluated.held.value().bytes()).map(|()| evaluated));
        // Whoever has claimed it is the only one to set it.
        let _ = cell.outcome.set(outcome);
    }

    /// Those of these that can be had, once somebody has computed them all.
    async fn wait_for(&self, names: &BTreeSet<ParameterName>) -> Values {
        let mut values = BTreeMap::new();
        for name in names {
            let Some(cell) = self.cells.get(name) else { continue };
            if let Ok(evaluated) = cell.outcome.wait().await {
                values.insert(name.clone(), evaluated.clone());
            }
        }
        Values(values)
    }

    /// Whether anything failed so far.
    pub fn has_failed(&self) -> bool {
        !self.failures.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// What failed so far.
    pub fn failures(self) -> Vec<Failure> {
        self.failures.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a failure that was found with these values.
    pub fn fail(&self, failure: Failure) -> Failed {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        Failed
    }

    /// A scope over these values.
    pub fn scope<'s>(&'s self, values: &'s Values) -> ValueScope<'s> {
        ValueScope { plan: self.plan, run: Some(self.run), values, matrix: None }
    }

    /// All values that were needed so far.
    pub fn evaluated(&self) -> BTreeMap<ParameterName, Arc<Evaluated>> {
        self.cells
            .iter()
            .filter_map(|(name, cell)| Some(((*name).clone(), cell.outcome.get()?.clone().ok()?)))
            .collect()
    }

    fn winner(&self, name: &ParameterName) -> Option<&'a LayerBinding> {
        self.plan.parameters.get(name)?.bindings.last()
    }

    /// Counts what is to be kept of the run.
    ///
    /// # Errors
    /// It is too much; told once.
    fn spend(&self, bytes: usize) -> Result<(), Failed> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        if before > MAX_RUN_BYTES {
            return Err(Failed);
        }
        if before.saturating_add(bytes) <= MAX_RUN_BYTES {
            return Ok(());
        }
        let reason = ViolationReason::InvalidValue;
        Err(self.fail(Failure::own("parameters", reason, TOO_MUCH.to_owned())))
    }

    async fn compute(&self, name: &ParameterName) -> Outcome {
        if let Some(given) = self.given.get(name) {
            return given.clone();
        }
        if let Some((layer, value)) = self.submission.values.get(name) {
            return Ok(self.evaluated_as(name, value.clone(), literal(*layer)));
        }
        let Some(winner) = self.winner(name) else {
            let description = "required, and no layer binds it".to_owned();
            return Err(self.fail(Failure::own(
                name.as_str(),
                ViolationReason::MissingParameter,
                description,
            )));
        };
        let names = winner.binding.computed_from();
        let read = self.wait_for(&names).await;
        if read.0.len() < names.len() {
            return Err(Failed);
        }
        match winner.binding.as_ref() {
            PlannedBinding::Literal(value) => {
                Ok(self.evaluated_as(name, value.clone(), literal(winner.layer)))
            }
            PlannedBinding::Template { template, .. } => {
                let value = template
                    .evaluate(&self.scope(&read))
                    .map_err(|error| self.template_failed(name, error))?;
                let mut provenance = literal(winner.layer);
                provenance.source = SourceKind::Template;
                provenance.computed_from = names;
                self.checked(name, value, provenance, None)
            }
            PlannedBinding::Source(source) => self.fetch(name, winner, source, &read).await,
        }
    }

    /// Why a secret's template fails depends on the secret, so it isn't told.
    fn template_failed(&self, name: &ParameterName, error: impl Display) -> Failed {
        let description = template_words(self.is_secret(name), error);
        self.fail(Failure::own(name.as_str(), ViolationReason::TemplateFailed, description))
    }

    fn evaluated_as(
        &self,
        name: &ParameterName,
        value: Value,
        provenance: Provenance,
    ) -> Arc<Evaluated> {
        Arc::new(Evaluated { held: Held::new(value, self.is_secret(name)), provenance })
    }

    fn is_secret(&self, name: &ParameterName) -> bool {
        self.plan.common.interface.is_secret(name)
    }

    /// Checks what a template or source gave. Of a secret the caller learns no
    /// more than that it doesn't fit.
    fn checked(
        &self,
        name: &ParameterName,
        value: Value,
        provenance: Provenance,
        asked: Option<Asked>,
    ) -> Outcome {
        if let Err(limit) = value.check_limits() {
            let reason = ViolationReason::InvalidValue;
            let told = if self.is_secret(name) { UNFIT_SECRET.into() } else { limit.to_string() };
            let failure = Failure::own(name.as_str(), reason, told);
            return Err(self.fail(Failure { asked, ..failure }));
        }
        let Some(parameter) = self.plan.common.interface.parameters.get(name) else {
            return Err(Failed);
        };
        let Err(violations) = parameter.schema.check(&value) else {
            return Ok(self.evaluated_as(name, value, provenance));
        };
        let told = violations.iter().take(if parameter.secret { 1 } else { violations.len() });
        for violation in told {
            let description = misfit(parameter.secret, &violation.pointer, &violation.expected);
            let mut failure =
                Failure::own(name.as_str(), ViolationReason::InvalidValue, description);
            failure.keyword = violation.keyword;
            failure.asked.clone_from(&asked);
            self.fail(failure);
        }
        Err(Failed)
    }
}

/// What is told of a template that can't be evaluated; of a secret's, no more
/// than that.
pub(super) fn template_words(secret: bool, error: impl Display) -> String {
    if secret {
        "its template can't be evaluated".to_owned()
    } else {
        format!("its template can't be evaluated: {error}")
    }
}

/// What is told of a value that isn't as declared; of a secret, no more than that.
fn misfit(secret: bool, at: &str, expected: &str) -> String {
    match (secret, at) {
        (true, _) => UNFIT_SECRET.to_owned(),
        (false, "") => format!("expected {expected}"),
        (false, at) => format!("at `{at}`: expected {expected}"),
    }
}

fn literal(layer: Layer) -> Provenance {
    Provenance {
        layer,
        source: SourceKind::Literal,
        source_name: None,
        location: String::new(),
        version: None,
        fetched: None,
        computed_from: BTreeSet::new(),
        default_used: false,
    }
}
