//! Reader of steps.

use std::collections::BTreeMap;

use super::{Broken, Declaration, FileEntry, StepDefinition};
use crate::name::{MatrixName, ParameterName, StepName};
use crate::source::TemplateText;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Entry, Node, NodeKind, Place, Spanned};

/// The most steps of a pipeline.
const MAX_STEPS: usize = 200;
/// The most items of `run`, and entries of `env` and `files`.
const MAX_ITEMS: usize = 1_000;
/// The most lists of a matrix.
const MAX_LISTS: usize = 8;

/// Reads what stands under `steps`. A pipeline without any has one, `main`,
/// that sees every parameter.
pub(super) fn read_all(
    node: Option<&Node>,
    whole: &Place,
    parameters: &BTreeMap<ParameterName, Declaration>,
    broken: &Broken,
    problems: &mut Problems,
) -> Vec<StepDefinition> {
    let items =
        node.and_then(|node| fields::list(node, "steps", MAX_STEPS, problems)).unwrap_or_default();
    let mut steps: Vec<StepDefinition> = Vec::new();
    let mut unnamed = false;
    for item in items {
        let Some(step) = read(item, problems) else {
            unnamed = true;
            continue;
        };
        if steps.iter().any(|other| other.name.value == step.name.value) {
            let message = format!("the step `{}` stands twice", step.name.value);
            problems.error("duplicate_step", &step.name.place, message);
            continue;
        }
        check_params(&step, parameters, broken, problems);
        steps.push(step);
    }
    super::graph::check(&steps, unnamed, problems);
    if node.is_none()
        || matches!(node, Some(Node { kind: NodeKind::Sequence(items), .. }) if items.is_empty())
    {
        steps.extend(main(whole));
    }
    steps
}

fn main(place: &Place) -> Option<StepDefinition> {
    let value = StepName::parse("main").ok()?;
    let name = Spanned { value, place: place.clone() };
    Some(StepDefinition { sees_all: true, ..empty(name) })
}

fn empty(name: Spanned<StepName>) -> StepDefinition {
    StepDefinition {
        name,
        needs: Vec::new(),
        when: None,
        matrix: Vec::new(),
        params: Vec::new(),
        sees_all: false,
        run: Vec::new(),
        env: Vec::new(),
        files: Vec::new(),
        sound: true,
    }
}

fn read(node: &Node, problems: &mut Problems) -> Option<StepDefinition> {
    let before = problems.errors();
    let mut keys = Fields::of(node, "a step", problems)?;
    let name = keys.required("name");
    let needs = keys.optional("needs");
    let when = keys.optional("when");
    let matrix = keys.optional("matrix");
    let params = keys.optional("params");
    let run = keys.optional("run");
    let env = keys.optional("env");
    let files = keys.optional("files");
    keys.finish(problems);
    let name = name
        .and_then(|node| fields::text(node, "name", problems))
        .and_then(|text| fields::name::<StepName>(&text, problems));
    let unnamed = || {
        let value = StepName::parse("x").ok()?;
        Some(Spanned { value, place: node.place.clone() })
    };
    let mut step = empty(name.clone().or_else(unnamed)?);
    if let Some(node) = needs {
        step.needs = fields::names(node, "needs", MAX_STEPS, problems);
    }
    step.when = when.and_then(|node| fields::template(node, "when", problems));
    if let Some(node) = matrix {
        step.matrix = read_matrix(node, problems);
    }
    if let Some(node) = params {
        step.params = fields::names(node, "params", MAX_ITEMS, problems);
    }
    if let Some(node) = run {
        step.run = fields::list(node, "run", MAX_ITEMS, problems)
            .unwrap_or_default()
            .iter()
            .filter_map(|item| fields::template(item, "run", problems))
            .collect();
    }
    if let Some(node) = env {
        step.env = read_env(node, problems);
    }
    if let Some(node) = files {
        step.files = read_files(node, problems);
    }
    step.sound = problems.errors() == before;
    name.map(|_| step)
}

fn check_params(
    step: &StepDefinition,
    parameters: &BTreeMap<ParameterName, Declaration>,
    broken: &Broken,
    problems: &mut Problems,
) {
    for name in &step.params {
        let text = name.value.as_str();
        // A parameter whose declaration is broken is no second problem.
        if parameters.contains_key(text) || broken.has(text) {
            continue;
        }
        let known = parameters.keys().map(ParameterName::as_str);
        problems
            .error("unknown_parameter", &name.place, format!("there is no parameter `{text}`"))
            .help(fields::among(text, known.chain(broken.names.iter().map(String::as_str))));
    }
}

fn read_matrix(node: &Node, problems: &mut Problems) -> Vec<(Spanned<MatrixName>, TemplateText)> {
    fields::mapping(node, "matrix", MAX_LISTS, problems)
        .unwrap_or_default()
        .iter()
        .filter_map(|entry| {
            let name = fields::name::<MatrixName>(&entry.key, problems);
            let list = fields::template(&entry.value, "matrix", problems);
            Some((name?, list?))
        })
        .collect()
}

fn read_env(node: &Node, problems: &mut Problems) -> Vec<(Spanned<String>, TemplateText)> {
    let entries = fields::mapping(node, "env", MAX_ITEMS, problems).unwrap_or_default();
    let mut found = Vec::new();
    for entry in entries {
        let fits = check_variable(entry, problems);
        let template = fields::template(&entry.value, "env", problems);
        if let (true, Some(template)) = (fits, template) {
            found.push((entry.key.clone(), template));
        }
    }
    found
}

fn check_variable(entry: &Entry, problems: &mut Problems) -> bool {
    let name = &entry.key.value;
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !(first && rest && name.len() <= 255) {
        problems
            .error("invalid_name", &entry.key.place, "not the name of a variable")
            .sensitive()
            .help("`[A-Za-z_][A-Za-z0-9_]*`, at most 255 characters");
        return false;
    }
    if name.starts_with("PARAMD_") {
        problems
            .error("reserved_name", &entry.key.place, "`PARAMD_…` is kept for paramd itself")
            .help("give the variable another name");
        return false;
    }
    true
}

fn read_files(node: &Node, problems: &mut Problems) -> Vec<(Spanned<String>, FileEntry)> {
    let entries = fields::mapping(node, "files", MAX_ITEMS, problems).unwrap_or_default();
    let mut found = Vec::new();
    for entry in entries {
        let fits = check_file_name(&entry.key, problems);
        let file = read_file(&entry.value, problems);
        if let (true, Some(file)) = (fits, file) {
            found.push((entry.key.clone(), file));
        }
    }
    found
}

fn check_file_name(name: &Spanned<String>, problems: &mut Problems) -> bool {
    let text = &name.value;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let good = (1..=64).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('.');
    if !good {
        problems
            .error("invalid_name", &name.place, "not the name of a file for a step")
            .sensitive()
            .help("1 to 64 of `A-Z a-z 0-9 . _ -`, no dot first; it has no folders");
    }
    good
}

fn read_file(node: &Node, problems: &mut Problems) -> Option<FileEntry> {
    let mut keys = Fields::of(node, "an entry of `files`", problems)?;
    let template = keys.required("template");
    let mode = keys.optional("mode");
    keys.finish(problems);
    let template = template.and_then(|node| fields::template(node, "template", problems));
    let mode = match mode {
        None => Some(0o400),
        Some(node) => read_mode(node, problems),
    };
    Some(FileEntry { template: template?, mode: mode? })
}

fn read_mode(node: &Node, problems: &mut Problems) -> Option<u32> {
    let text = fields::text(node, "mode", problems)?;
    let octal = (3..=4).contains(&text.value.len())
        && text.value.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(&text.value, 8).ok().filter(|mode| octal && *mode <= 0o777);
    if mode.is_none() {
        problems
            .error("invalid_mode", &text.place, "`mode` isn't a file's mode")
            .sensitive()
            .help("octal text between \"0000\" and \"0777\", such as \"0400\"");
    }
    mode
}
