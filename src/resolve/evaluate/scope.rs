//! Values that were had, as the names of expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Evaluated;
use crate::expression::{RunScope, Scope};
use crate::name::{MatrixName, ParameterName};
use crate::plan::Plan;
use crate::value::Value;

/// Values by name.
#[derive(Debug, Default, Clone)]
pub struct Values(pub BTreeMap<ParameterName, Arc<Evaluated>>);

/// Names of expressions over values that were had.
pub struct ValueScope<'a> {
    pub(super) plan: &'a Plan,
    pub(super) run: Option<&'a RunScope>,
    pub(super) values: &'a Values,
    pub(super) matrix: Option<&'a BTreeMap<MatrixName, Value>>,
}

impl<'a> ValueScope<'a> {
    /// The same with another attempt's own name and time.
    pub fn of_run(self, run: &'a RunScope) -> Self {
        Self { run: Some(run), ..self }
    }

    /// The same with a combination of a matrix.
    pub fn with_matrix(&self, matrix: &'a BTreeMap<MatrixName, Value>) -> Self {
        Self { matrix: Some(matrix), plan: self.plan, run: self.run, values: self.values }
    }
}

impl Scope for ValueScope<'_> {
    fn parameter(&self, name: &ParameterName) -> Option<&Value> {
        self.values.0.get(name).map(|evaluated| evaluated.held.value())
    }

    fn matrix(&self, name: &MatrixName) -> Option<&Value> {
        self.matrix.and_then(|matrix| matrix.get(name))
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
