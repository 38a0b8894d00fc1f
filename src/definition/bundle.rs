//! A whole configuration directory.

mod files;

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::digest;

use super::grant::Known;
use super::{
    LayerFile, PipelineDefinition, RoleLink, ServerSettings, layer, pipeline, roles, settings,
};
use crate::name::{EnvironmentName, PipelineName};
use crate::yaml::diagnostic::{Files, Problems};
use crate::yaml::{FileId, Node, Place};
use files::{FileText, Found};

/// All that is in force together.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The SHA-256 of all its files, 64 lower-case hex digits.
    pub sha256: String,
    /// `paramd.yaml`.
    pub settings: ServerSettings,
    /// `pipelines/*.yaml`. What could be read of one whose file has problems is
    /// here too, so that it can be checked further.
    pub pipelines: BTreeMap<PipelineName, PipelineDefinition>,
    /// `global.yaml`.
    pub global: Option<LayerFile>,
    /// `environments/*.yaml`.
    pub environments: BTreeMap<EnvironmentName, LayerFile>,
    /// `policies/*.cedar`, in the order of their names.
    pub policies: Vec<PolicyFile>,
    /// `policies/roles.yaml`.
    pub roles: Vec<RoleLink>,
    /// What is missing here because it couldn't be read.
    pub unread: Unread,
}

/// What couldn't be read: what may stand there is not known to be absent.
#[derive(Debug, Clone, Default)]
pub struct Unread {
    /// Some of `paramd.yaml`.
    pub settings: bool,
    /// All of some pipeline.
    pub pipelines: bool,
    /// All of `global.yaml`.
    pub global: bool,
    /// All environments, though there are files of some.
    pub environments: bool,
}

/// A file of policies.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    /// The file.
    pub file: FileId,
    /// Its name below `policies/`, without `.cedar`.
    pub name: String,
    /// Its text.
    pub text: std::sync::Arc<str>,
}

/// Reads a configuration directory: all files, all problems. What is given is
/// what could be read, for later checks; whoever wants to use it looks whether
/// there were errors. `None` where there is no directory.
pub fn read_bundle(directory: &Path, files: &mut Files, problems: &mut Problems) -> Option<Bundle> {
    let found = Found::list(directory, files, problems)?;
    let known = found.known();
    let mut reader = Reader { known, files, problems, hash: Hash::new() };
    let mut unread = Unread::default();
    let mut bundle = BundleParts::default();
    for (name, path) in &found.environments {
        let read = reader.layer(path, Some(name.clone()));
        bundle.environments.extend(read.map(|layer| (name.clone(), layer)));
    }
    bundle.global = found.global.as_ref().and_then(|path| reader.layer(path, None));
    unread.global = found.global.is_some() && bundle.global.is_none();
    let before = reader.problems.errors();
    let settings = found.settings.as_ref().and_then(|path| reader.settings(path, directory));
    unread.settings = settings.is_none() || reader.problems.errors() > before;
    for (name, path) in &found.pipelines {
        let read = reader.pipeline(path, name);
        unread.pipelines |= read.is_none();
        bundle.pipelines.extend(read.map(|pipeline| (name.clone(), pipeline)));
    }
    for (name, path) in &found.policies {
        bundle.policies.extend(reader.policy(path, name));
    }
    bundle.roles = found.roles.as_ref().map(|path| reader.roles(path)).unwrap_or_default();
    let sha256 = reader.hash.finish();
    unread.pipelines |= found.misnamed;
    unread.environments = bundle.environments.is_empty() && !found.no_environment;
    let settings = settings.unwrap_or_else(|| settings::defaults(directory));
    if !unread.settings {
        check_lifetimes(&bundle.pipelines, &settings, problems);
    }
    Some(Bundle {
        sha256,
        settings,
        pipelines: bundle.pipelines,
        global: bundle.global,
        environments: bundle.environments,
        policies: bundle.policies,
        roles: bundle.roles,
        unread,
    })
}

#[derive(Default)]
struct BundleParts {
    pipelines: BTreeMap<PipelineName, PipelineDefinition>,
    global: Option<LayerFile>,
    environments: BTreeMap<EnvironmentName, LayerFile>,
    policies: Vec<PolicyFile>,
    roles: Vec<RoleLink>,
}

struct Reader<'a> {
    known: Known,
    files: &'a mut Files,
    problems: &'a mut Problems,
    hash: Hash,
}

impl Reader<'_> {
    fn text(&mut self, path: &files::FilePath) -> Option<FileText> {
        let read = path.read(self.files, self.problems)?;
        self.hash.file(&path.below, &read.text);
        Some(read)
    }

    fn tree(&mut self, path: &files::FilePath) -> Option<(FileId, Node)> {
        let read = self.text(path)?;
        let node = crate::yaml::parse(read.file, &read.text, self.problems)?;
        Some((read.file, node))
    }

    fn settings(&mut self, path: &files::FilePath, base: &Path) -> Option<ServerSettings> {
        let (_, node) = self.tree(path)?;
        settings::read(&node, base, &self.known, self.problems)
    }

    fn layer(
        &mut self,
        path: &files::FilePath,
        environment: Option<EnvironmentName>,
    ) -> Option<LayerFile> {
        let before = self.problems.errors();
        let (file, node) = self.tree(path)?;
        let sound = self.problems.errors() == before;
        let pipelines = &self.known.pipelines;
        let mut layer = layer::read(file, environment, pipelines, &node, self.problems)?;
        layer.sound &= sound;
        Some(layer)
    }

    fn pipeline(
        &mut self,
        path: &files::FilePath,
        name: &PipelineName,
    ) -> Option<PipelineDefinition> {
        let before = self.problems.errors();
        let (file, node) = self.tree(path)?;
        let sound = self.problems.errors() == before;
        let environments = &self.known.environments;
        let mut pipeline = pipeline::read(file, name, environments, &node, self.problems)?;
        // A key that YAML refused, such as one that stands twice, may have held
        // parameters.
        pipeline.broken.all |= !sound;
        Some(pipeline)
    }

    fn roles(&mut self, path: &files::FilePath) -> Vec<RoleLink> {
        let Some((_, node)) = self.tree(path) else { return Vec::new() };
        roles::read(&self.known.pipelines, &node, self.problems)
    }

    fn policy(&mut self, path: &files::FilePath, name: &str) -> Option<PolicyFile> {
        let read = self.text(path)?;
        Some(PolicyFile { file: read.file, name: name.to_owned(), text: read.text })
    }
}

/// The bundle's name: its files' paths and contents, each after its length, so
/// that no two bundles give the same bytes.
struct Hash(digest::Context);

impl Hash {
    fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    fn file(&mut self, path: &str, text: &str) {
        for part in [path, text] {
            self.0.update(&(part.len() as u64).to_be_bytes());
            self.0.update(part.as_bytes());
        }
    }

    fn finish(self) -> String {
        hex::encode(self.0.finish())
    }
}

fn check_lifetimes(
    pipelines: &BTreeMap<PipelineName, PipelineDefinition>,
    settings: &ServerSettings,
    problems: &mut Problems,
) {
    for lifetime in pipelines.values().filter_map(|pipeline| pipeline.lifetime.as_ref()) {
        if lifetime.value > settings.maximum_lifetime {
            let place: &Place = &lifetime.place;
            problems
                .error("lifetime_over_maximum", place, "longer than `paramd.yaml` allows")
                .help("its key is `lifetime: { maximum: … }`");
        }
    }
}

#[cfg(test)]
mod tests;
