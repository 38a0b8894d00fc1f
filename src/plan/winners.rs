//! Which binding holds in which environment, before preset and run.

use std::collections::BTreeMap;

use super::compile::Input;
use super::layers::Bound;
use crate::name::{EnvironmentName, ParameterName};

/// The bindings of each parameter, lowest layer first.
pub(super) struct Winners<'a> {
    bounds: BTreeMap<&'a ParameterName, Vec<&'a Bound>>,
}

impl<'a> Winners<'a> {
    /// Sorts bindings by their parameter.
    pub(super) fn new(all: &'a [Bound]) -> Self {
        let mut bounds: BTreeMap<&ParameterName, Vec<&Bound>> = BTreeMap::new();
        for bound in all {
            bounds.entry(&bound.parameter).or_default().push(bound);
        }
        Self { bounds }
    }

    /// The bindings of a parameter in an environment, lowest layer first.
    pub(super) fn here(
        &self,
        name: &ParameterName,
        environment: &EnvironmentName,
    ) -> Vec<&'a Bound> {
        self.bounds
            .get(name)
            .into_iter()
            .flatten()
            .copied()
            .filter(|bound| bound.is_in(environment))
            .collect()
    }

    /// The binding that holds.
    pub(super) fn of(
        &self,
        name: &ParameterName,
        environment: &EnvironmentName,
    ) -> Option<&'a Bound> {
        self.bounds.get(name)?.iter().rev().copied().find(|bound| bound.is_in(environment))
    }

    /// The environments that the pipeline may run in where this binding holds.
    pub(super) fn where_wins(&self, input: &Input<'_>, bound: &Bound) -> Vec<EnvironmentName> {
        input
            .environments()
            .into_iter()
            .filter(|environment| {
                self.of(&bound.parameter, environment)
                    .is_some_and(|winner| std::ptr::eq(winner, bound))
                    && !input.failed_in(&bound.parameter, environment)
            })
            .collect()
    }
}
