//! Names of questions against the definitions: a decision on something that isn't there
//! would tell nothing.

use std::collections::BTreeSet;

use crate::access::question::{Question, Subject};
use crate::name::{ParameterName, PipelineName};
use crate::plan::{PlannedEntry, PlannedPipeline, PlannedStep, Plans};
use crate::yaml::fields::among;

/// What isn't there, and what is.
pub(super) struct Unknown {
    pub(super) what: What,
    pub(super) message: String,
    pub(super) help: String,
}

/// The part of a question that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Subject,
    Environment,
    Preset,
    /// One of the overridden names.
    Overridden,
}

fn unknown<'a>(
    what: What,
    message: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Unknown {
    Unknown { what, message: message.to_owned(), help: among(name, known) }
}

/// Looks all names up, and fills in what an item is computed from.
///
/// # Errors
/// The first name that the definitions don't have.
pub(super) fn complete(question: &mut Question, plans: &Plans) -> Result<(), Unknown> {
    if let Some(name) = &question.environment
        && !plans.environments.contains(name)
    {
        let known = plans.environments.iter().map(|one| one.as_str());
        return Err(unknown(
            What::Environment,
            "there is no such environment",
            name.as_str(),
            known,
        ));
    }
    let Some(name) = question.subject.pipeline() else { return Ok(()) };
    let Some(pipeline) = plans.pipelines.get(name) else {
        let known = plans.pipelines.keys().map(PipelineName::as_str);
        return Err(unknown(What::Subject, "there is no such pipeline", name.as_str(), known));
    };
    let common = &pipeline.common;
    if let Some(preset) = question.preset.as_ref().filter(|one| !common.presets.contains_key(*one))
    {
        let known = common.presets.keys().map(|one| one.as_str());
        let message = "the pipeline has no such preset";
        return Err(unknown(What::Preset, message, preset.as_str(), known));
    }
    for name in &mut question.overridden {
        match common.interface.resolve(name.as_str()) {
            Some(declared) => *name = declared.clone(),
            None => {
                let known = common.interface.parameters.keys().map(ParameterName::as_str);
                let message = "the pipeline has no such parameter";
                return Err(unknown(What::Overridden, message, name.as_str(), known));
            }
        }
    }
    question.overridden.sort();
    question.overridden.dedup();
    subject(&mut question.subject, pipeline)
}

fn subject(subject: &mut Subject, pipeline: &PlannedPipeline) -> Result<(), Unknown> {
    let (Subject::Step(_, _, name) | Subject::Item { step: name, .. }) = &*subject else {
        return Ok(());
    };
    let steps = &pipeline.common.steps;
    let Some(step) = steps.iter().find(|step| step.name == *name) else {
        let known = steps.iter().map(|step| step.name.as_str());
        return Err(unknown(What::Subject, "the pipeline has no such step", name.as_str(), known));
    };
    if let Subject::Item { item, secrets, .. } = subject {
        let offered = offered(step, pipeline);
        let Some((_, origins)) = offered.iter().find(|(name, _)| name == item) else {
            let known = offered.iter().map(|(name, _)| name.as_str());
            let message = "the step is given no such secret";
            return Err(unknown(What::Subject, message, item, known));
        };
        *secrets = origins.iter().cloned().collect();
    }
    Ok(())
}

/// What of a step is revealed, with what it is computed from.
fn offered(
    step: &PlannedStep,
    pipeline: &PlannedPipeline,
) -> Vec<(String, BTreeSet<ParameterName>)> {
    let origins = &pipeline.common.secret_origins;
    let parameters =
        step.sees.iter().filter_map(|name| Some((name.to_string(), origins.get(name)?.clone())));
    let entry = |kind: &str, one: &PlannedEntry| {
        (!one.secrets.is_empty()).then(|| (format!("{kind}.{}", one.name), one.secrets.clone()))
    };
    let env = step.env.iter().filter_map(|one| entry("env", one));
    let files = step.files.iter().filter_map(|(one, _)| entry("files", one));
    parameters.chain(env).chain(files).collect()
}
