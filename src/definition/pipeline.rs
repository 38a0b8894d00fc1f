//! Reader of `pipelines/<name>.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use super::{PipelineDefinition, Preset, Rule, parameter, step};
use crate::name::{EnvironmentName, PipelineName, PresetName, nearest};
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{FileId, Node, NodeKind, Spanned};

/// The most presets, and rules, of a pipeline.
const MAX_SETS: usize = 200;
/// The most environments.
const MAX_ENVIRONMENTS: usize = 1_000;

/// Reads a pipeline from its file's tree. All problems are told; what could be
/// read is given even so, and whoever asked looks whether there were errors.
pub(super) fn read(
    file: FileId,
    expected: &PipelineName,
    environments: &BTreeSet<EnvironmentName>,
    node: &Node,
    problems: &mut Problems,
) -> Option<PipelineDefinition> {
    let mut keys = Fields::of(node, "a pipeline", problems)?;
    let name = keys.required("name");
    let description = keys.optional("description");
    let allowed = keys.optional("environments");
    let lifetime = keys.optional("lifetime");
    let parameters = keys.optional("parameters");
    let presets = keys.optional("presets");
    let rules = keys.optional("rules");
    let steps = keys.optional("steps");
    keys.finish(problems);

    if let Some(node) = name {
        check_name(node, expected, problems);
    }
    // The file's name is the pipeline's, whatever is written.
    let place = name.map_or(&node.place, |name| &name.place).clone();
    let name = Spanned { value: expected.clone(), place };
    let description = description.and_then(|node| fields::prose(node, "description", problems));
    let allowed = allowed.map(|node| read_environments(node, environments, problems));
    let lifetime = lifetime.and_then(|node| fields::duration(node, "lifetime", problems));
    let (parameters, broken) =
        parameters.map(|node| parameter::read_all(node, problems)).unwrap_or_default();
    let presets = presets.map(|node| read_presets(node, problems)).unwrap_or_default();
    let rules = rules.map(|node| read_rules(node, problems)).unwrap_or_default();
    let steps = step::read_all(steps, &node.place, &parameters, &broken, problems);
    Some(PipelineDefinition {
        name,
        description: description.map(|text| text.value).unwrap_or_default(),
        environments: allowed,
        lifetime,
        parameters,
        presets,
        rules,
        steps,
        broken,
        file,
    })
}

fn check_name(node: &Node, expected: &PipelineName, problems: &mut Problems) {
    let name = fields::text(node, "name", problems)
        .and_then(|text| fields::name::<PipelineName>(&text, problems));
    if let Some(name) = name.filter(|name| name.value != *expected) {
        problems
            .error("wrong_name", &name.place, "the pipeline's name isn't that of its file")
            .help(format!("write `name: {expected}`, or rename the file"));
    }
}

fn read_environments(
    node: &Node,
    existing: &BTreeSet<EnvironmentName>,
    problems: &mut Problems,
) -> Vec<Spanned<EnvironmentName>> {
    let found = fields::names(node, "environments", MAX_ENVIRONMENTS, problems);
    if matches!(&node.kind, NodeKind::Sequence(items) if items.is_empty()) {
        problems
            .error("no_environment", &node.place, "the pipeline may run nowhere")
            .help("leave `environments` out for all that exist");
    }
    check_environments(&found, existing, problems);
    found
}

/// Refuses environments that have no file.
pub(super) fn check_environments(
    found: &[Spanned<EnvironmentName>],
    existing: &BTreeSet<EnvironmentName>,
    problems: &mut Problems,
) {
    for name in found.iter().filter(|name| !existing.contains(&name.value)) {
        let message = format!("there is no environment `{}`", name.value);
        let problem = problems.error("unknown_environment", &name.place, message);
        let names = existing.iter().map(EnvironmentName::as_str);
        match nearest(name.value.as_str(), names) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("it would be `environments/{}.yaml`", name.value)),
        };
    }
}

fn read_presets(node: &Node, problems: &mut Problems) -> BTreeMap<PresetName, Preset> {
    let entries = fields::mapping(node, "presets", MAX_SETS, problems).unwrap_or_default();
    let mut presets = BTreeMap::new();
    for entry in entries {
        let name = fields::name::<PresetName>(&entry.key, problems);
        let values = super::layer::read_values(&entry.value, &entry.key.value, problems);
        if let Some(name) = name {
            presets.insert(name.value.clone(), Preset { name, values });
        }
    }
    presets
}

fn read_rules(node: &Node, problems: &mut Problems) -> Vec<Rule> {
    fields::list(node, "rules", MAX_SETS, problems)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| read_rule(item, problems))
        .collect()
}

fn read_rule(node: &Node, problems: &mut Problems) -> Option<Rule> {
    let mut keys = Fields::of(node, "a rule", problems)?;
    let assert = keys.required("assert");
    let message = keys.required("message");
    keys.finish(problems);
    let assert = assert.and_then(|node| fields::template(node, "assert", problems));
    let message = message.and_then(|node| fields::prose(node, "message", problems));
    Some(Rule { assert: assert?, message: message?.value })
}

#[cfg(test)]
mod tests;
