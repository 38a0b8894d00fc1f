//! Reader of `global.yaml` and `environments/<env>.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Binding, LayerBlock, LayerFile, binding, parameter};
use crate::name::{AliasName, EnvironmentName, PipelineName, nearest};
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Entry, FileId, Literal, Node, NodeKind, Scalar, Spanned};

/// The most names in one block.
const MAX_NAMES: usize = 1_000;
/// The most pipelines that a layer names.
const MAX_PIPELINES: usize = 10_000;

/// Reads a layer from its file's tree; an empty file binds nothing.
pub(super) fn read(
    file: FileId,
    environment: Option<EnvironmentName>,
    pipelines: &BTreeSet<PipelineName>,
    node: &Node,
    problems: &mut Problems,
) -> Option<LayerFile> {
    let before = problems.errors();
    let mut layer = LayerFile {
        environment,
        all: LayerBlock::default(),
        pipelines: BTreeMap::new(),
        file,
        sound: true,
    };
    if matches!(&node.kind, NodeKind::Scalar(Scalar { value: Value::Null, .. })) {
        return Some(layer);
    }
    let mut keys = Fields::of(node, "a layer", problems)?;
    layer.all = read_block(&mut keys, problems);
    let named = keys.optional("pipelines");
    keys.finish(problems);
    let named = named.and_then(|node| fields::mapping(node, "pipelines", MAX_PIPELINES, problems));
    for entry in named.unwrap_or_default() {
        read_pipeline(entry, pipelines, &mut layer, problems);
    }
    layer.sound = problems.errors() == before;
    Some(layer)
}

fn read_pipeline(
    entry: &Entry,
    existing: &BTreeSet<PipelineName>,
    layer: &mut LayerFile,
    problems: &mut Problems,
) {
    let name = fields::name::<PipelineName>(&entry.key, problems);
    if let Some(name) = name.as_ref().filter(|name| !existing.contains(&name.value)) {
        let message = format!("there is no pipeline `{}`", name.value);
        let problem = problems.error("unknown_pipeline", &name.place, message);
        problem.sensitive();
        let names = existing.iter().map(PipelineName::as_str);
        if let Some(near) = nearest(name.value.as_str(), names) {
            problem.help(format!("did you mean `{near}`?"));
        }
    }
    let Some(mut keys) = Fields::of(&entry.value, "a layer's part for one pipeline", problems)
    else {
        return;
    };
    let block = read_block(&mut keys, problems);
    keys.finish(problems);
    if let Some(name) = name {
        layer.pipelines.insert(name.value, (name.place, block));
    }
}

fn read_block(keys: &mut Fields<'_>, problems: &mut Problems) -> LayerBlock {
    let values = keys.optional("values");
    let from = keys.optional("from");
    let locked = keys.optional("locked");
    let block = LayerBlock {
        values: values.map(|node| read_values(node, "values", problems)).unwrap_or_default(),
        from: from.map(|node| read_bindings(node, problems)).unwrap_or_default(),
        locked: locked
            .map(|node| fields::texts(node, "locked", MAX_NAMES, problems))
            .unwrap_or_default(),
    };
    check_block(&block, problems);
    block
}

/// Names with their literals, as in `values` and presets.
pub(super) fn read_values(
    node: &Node,
    key: &str,
    problems: &mut Problems,
) -> Vec<(Spanned<String>, Literal)> {
    let entries = fields::mapping(node, key, MAX_NAMES, problems).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let named = check_name(&entry.key, problems);
            let value = parameter::literal(&entry.value, &entry.key.value, problems)?;
            named.then(|| (entry.key.clone(), value))
        })
        .collect()
}

fn read_bindings(node: &Node, problems: &mut Problems) -> Vec<(Spanned<String>, Binding)> {
    let entries = fields::mapping(node, "from", MAX_NAMES, problems).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let named = check_name(&entry.key, problems);
            let binding = binding::read(&entry.value, problems)?;
            named.then(|| (entry.key.clone(), binding))
        })
        .collect()
}

/// A parameter's name or alias; it may be a misplaced value, so it isn't shown.
fn check_name(key: &Spanned<String>, problems: &mut Problems) -> bool {
    let fits = AliasName::parse(&key.value);
    if let Err(error) = &fits {
        let message = format!("not the name of a parameter: {}", error.expected);
        problems.error("invalid_name", &key.place, message).sensitive();
    }
    fits.is_ok()
}

fn check_block(block: &LayerBlock, problems: &mut Problems) {
    let values: BTreeSet<&str> = block.values.iter().map(|(key, _)| key.value.as_str()).collect();
    for (key, _) in block.from.iter().filter(|(key, _)| values.contains(key.value.as_str())) {
        let message = format!("`{}` is bound twice: in `values` and in `from`", key.value);
        let problem = problems.error("bound_twice", &key.place, message);
        problem.sensitive().help("take one of the two out");
    }
    let mut seen = BTreeSet::new();
    for name in &block.locked {
        if !seen.insert(name.value.as_str()) {
            problems.error("duplicate_name", &name.place, "`locked` has this name twice");
        } else if !values.contains(name.value.as_str()) {
            let problem = problems.error(
                "locked_without_value",
                &name.place,
                "a locked name must be among the `values` beside it",
            );
            problem.sensitive();
            if let Some(near) = nearest(&name.value, values.iter().copied()) {
                problem.help(format!("did you mean `{near}`?"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::diagnostic::{Files, lines};

    fn read_text(text: &str) -> (LayerFile, Vec<String>) {
        let (mut files, mut problems) = (Files::default(), Problems::default());
        let file = files.add("global.yaml".to_owned(), text.into());
        let pipelines = ["train"].map(|name| PipelineName::parse(name).unwrap()).into();
        let node = crate::yaml::parse(file, text, &mut problems).unwrap();
        let layer = read(file, None, &pipelines, &node, &mut problems).unwrap();
        (layer, lines(&problems, &files))
    }

    #[test]
    fn a_layer_binds_for_all_and_for_one_pipeline() {
        let (layer, problems) = read_text(
            "values: { epochs: 20, my-alias: [1] }\n\
             from: { url: { template: x } }\n\
             locked: [epochs]\n\
             pipelines:\n  train: { values: { epochs: null } }\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(layer.all.values.len(), 2);
        assert_eq!(layer.all.locked[0].value, "epochs");
        assert!(matches!(layer.all.from[0].1, Binding::Template(_)));
        assert_eq!(layer.pipelines["train"].1.values[0].1.value, Value::Null);
    }

    #[test]
    fn an_empty_layer_binds_nothing() {
        for text in ["", "# nothing yet\n", "{}"] {
            let (layer, problems) = read_text(text);
            assert!(problems.is_empty() && layer.all.values.is_empty());
        }
    }
}
