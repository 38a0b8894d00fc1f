//! Steps that get a secret and a text that whoever triggers the run can choose.

use std::collections::BTreeSet;

use super::Plans;
use crate::name::{ParameterName, PipelineName, StepName};

/// A step that gets both.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Risk {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The step.
    pub step: StepName,
    /// The secrets that it gets.
    pub secrets: BTreeSet<ParameterName>,
    /// The texts that a run can bind and that it gets too.
    pub texts: BTreeSet<ParameterName>,
}

/// Lists, for each step that gets a secret, the run-bindable texts that it also
/// gets.
pub fn risks(plans: &Plans) -> Vec<Risk> {
    let mut found = Vec::new();
    for pipeline in plans.pipelines.values() {
        for step in &pipeline.common.steps {
            let secrets: BTreeSet<_> = step
                .sees
                .iter()
                .filter(|name| pipeline.common.interface.is_secret(name))
                .cloned()
                .collect();
            let lists = step.matrix.iter().flat_map(|(_, list)| &list.references().parameters);
            let texts: BTreeSet<_> = step
                .sees
                .iter()
                .chain(lists)
                .filter(|name| pipeline.common.run_texts.contains(*name))
                .filter(|name| !pipeline.common.interface.is_secret(name))
                .cloned()
                .collect();
            if !secrets.is_empty() && !texts.is_empty() {
                let (pipeline, step) = (pipeline.name.clone(), step.name.clone());
                found.push(Risk { pipeline, step, secrets, texts });
            }
        }
    }
    found
}
