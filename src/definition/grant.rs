//! Reader of grants: which pipelines may ask a source for what.

use std::collections::BTreeSet;

use super::pipeline::check_environments;
use super::{Grant, glob};
use crate::name::{EnvironmentName, PipelineName};
use crate::source::Kind;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Node, Spanned};

/// The most grants of a source, and entries in each of their lists.
const MAX_GRANTS: usize = 1_000;

/// What exists beside `paramd.yaml`, by the names of the files.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Those of `environments/`.
    pub(super) environments: BTreeSet<EnvironmentName>,
    /// Those of `pipelines/`.
    pub(super) pipelines: BTreeSet<PipelineName>,
}

/// Reads what stands under a source's `grants`.
pub(super) fn read_all(
    node: &Node,
    kind: &dyn Kind,
    known: &Known,
    problems: &mut Problems,
) -> Vec<Grant> {
    fields::list(node, "grants", MAX_GRANTS, problems)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| read(item, kind, known, problems))
        .collect()
}

fn read(node: &Node, kind: &dyn Kind, known: &Known, problems: &mut Problems) -> Option<Grant> {
    let mut keys = Fields::of(node, "a grant", problems)?;
    let pipelines = keys.required("pipelines");
    let environments = keys.optional("environments");
    let paths = keys.entry("paths");
    let declassify = keys.optional("declassify");
    keys.finish(problems);
    if let Some(paths) = paths.filter(|_| !kind.grants_have_paths()) {
        let message = format!("a `{}` source has no paths to grant", kind.kind().word());
        problems.error("no_paths", &paths.key.place, message).help("take `paths` out");
    }
    let mut globs = |node, key| texts(node, key, problems);
    let pipelines = globs(pipelines, "pipelines");
    let paths = paths.map(|entry| globs(Some(&entry.value), "paths"));
    let declassify = globs(declassify, "declassify");
    check_pipelines(&pipelines, known, problems);
    let environments = environments.map(|node| {
        let found = fields::names(node, "environments", MAX_GRANTS, problems);
        check_environments(&found, &known.environments, problems);
        found.into_iter().map(|name| name.value).collect()
    });
    let plain = |found: Vec<Spanned<String>>| found.into_iter().map(|text| text.value).collect();
    Some(Grant {
        pipelines: plain(pipelines),
        environments,
        paths: paths.map(plain),
        declassify: plain(declassify),
        place: node.place.clone(),
    })
}

fn texts(node: Option<&Node>, key: &str, problems: &mut Problems) -> Vec<Spanned<String>> {
    let found = node.map(|node| fields::texts(node, key, MAX_GRANTS, problems)).unwrap_or_default();
    for text in &found {
        if text.value.is_empty()
            || text.value.len() > 1_024
            || text.value.chars().any(char::is_control)
        {
            let message = format!("an entry of `{key}` has 1 to 1,024 characters, none of control");
            problems.error("invalid_grant", &text.place, message).sensitive();
        }
    }
    found
}

fn check_pipelines(globs: &[Spanned<String>], known: &Known, problems: &mut Problems) {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*');
    for glob in globs {
        if !glob.value.bytes().all(fits) {
            problems
                .error("invalid_glob", &glob.place, "no pipeline's name can fit this")
                .sensitive()
                .help("names have `a-z 0-9 -`; `*` is the only wildcard");
        } else if !known.pipelines.iter().any(|name| glob::matches(&glob.value, name.as_str())) {
            problems.warning("unused_glob", &glob.place, "no pipeline's name fits this");
        }
    }
}
