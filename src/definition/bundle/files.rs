//! The files of a configuration directory: which there are, and their text.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::definition::grant::Known;
use crate::name::{EnvironmentName, NameError, PipelineName};
use crate::yaml::diagnostic::{Files, Problems};
use crate::yaml::fields::not_a_name;
use crate::yaml::{FileId, MAX_BYTES, Place};

/// The most files in one folder of definitions.
const MAX_FILES: usize = 10_000;

/// A file that belongs to the bundle.
#[derive(Debug, Clone)]
pub(super) struct FilePath {
    /// Where it is.
    path: PathBuf,
    /// Its path below the directory, with `/`.
    pub(super) below: String,
}

/// A file's text.
pub(super) struct FileText {
    /// Its number.
    pub(super) file: FileId,
    /// Its text.
    pub(super) text: Arc<str>,
}

/// The files of a bundle, by what they are.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `paramd.yaml`.
    pub(super) settings: Option<FilePath>,
    /// `global.yaml`.
    pub(super) global: Option<FilePath>,
    /// `environments/*.yaml`.
    pub(super) environments: BTreeMap<EnvironmentName, FilePath>,
    /// `pipelines/*.yaml`.
    pub(super) pipelines: BTreeMap<PipelineName, FilePath>,
    /// `policies/*.cedar`.
    pub(super) policies: BTreeMap<String, FilePath>,
    /// `policies/roles.yaml`.
    pub(super) roles: Option<FilePath>,
    /// Something in `pipelines/` is left out, since its name isn't one for it.
    pub(super) misnamed: bool,
    /// There is no file in `environments/`.
    pub(super) no_environment: bool,
}

impl Found {
    /// Lists a directory. `None` where it can't be.
    pub(super) fn list(
        directory: &Path,
        files: &mut Files,
        problems: &mut Problems,
    ) -> Option<Self> {
        if !directory.is_dir() {
            let message = format!("`{}` isn't a directory that can be read", directory.display());
            problems
                .error_without_place("no_directory", message)
                .help("`paramd init DIR` writes a first configuration");
            return None;
        }
        let top = |name: &str| {
            let path = directory.join(name);
            path.symlink_metadata().is_ok().then(|| FilePath { path, below: name.to_owned() })
        };
        let mut found = Self {
            settings: top("paramd.yaml"),
            global: top("global.yaml"),
            roles: top("policies/roles.yaml"),
            ..Self::default()
        };
        if found.settings.is_none() {
            problems
                .error_without_place("no_settings", "there is no `paramd.yaml` in the directory")
                .help("`paramd init DIR` writes a first configuration");
        }
        let environments = list_folder(directory, "environments", "yaml", files, problems);
        let policies = list_folder(directory, "policies", "cedar", files, problems);
        let before = problems.errors();
        let pipelines = list_folder(directory, "pipelines", "yaml", files, problems);
        if pipelines.is_empty() {
            let message = "there is no file in `pipelines/`";
            problems.warning_without_place("no_pipeline", message);
        }
        found.pipelines = named(pipelines, PipelineName::parse, files, problems);
        found.misnamed = problems.errors() > before;
        found.no_environment = environments.is_empty();
        found.environments = named(environments, EnvironmentName::parse, files, problems);
        found.policies = policies.into_iter().collect();
        Some(found)
    }

    /// What exists by its file's name.
    pub(super) fn known(&self) -> Known {
        Known {
            environments: self.environments.keys().cloned().collect(),
            pipelines: self.pipelines.keys().cloned().collect(),
        }
    }
}

/// The files of a folder with this ending, by their stems, in order. Hidden
/// files and other endings are someone else's; `.yml` is a mistake.
fn list_folder(
    directory: &Path,
    folder: &str,
    ending: &str,
    files: &mut Files,
    problems: &mut Problems,
) -> Vec<(String, FilePath)> {
    let path = directory.join(folder);
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("`{folder}` can't be read: {}", error.kind());
            problems.error_without_place("unreadable", message);
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let message = format!("a file's name in `{folder}` isn't UTF-8");
            problems.error_without_place("invalid_name", message).help("rename the file");
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let file = FilePath { path: entry.path(), below: format!("{folder}/{name}") };
        match name.rsplit_once('.') {
            Some((stem, found_ending)) if found_ending == ending => {
                found.push((stem.to_owned(), file));
            }
            Some((stem, "yml")) if ending == "yaml" => {
                let place = file.start(files);
                problems
                    .error("wrong_ending", &place, "files of definitions end in `.yaml`")
                    .help(format!("rename it to `{stem}.yaml`"));
            }
            _ => {}
        }
    }
    if found.len() > MAX_FILES {
        let message = format!("`{folder}` has more than {MAX_FILES} files");
        problems.error_without_place("too_many", message);
        found.clear();
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn named<N: Ord>(
    found: Vec<(String, FilePath)>,
    parse: fn(&str) -> Result<N, NameError>,
    files: &mut Files,
    problems: &mut Problems,
) -> BTreeMap<N, FilePath> {
    let mut names = BTreeMap::new();
    for (stem, file) in found {
        match parse(&stem) {
            Ok(name) => {
                names.insert(name, file);
            }
            Err(error) => {
                let place = file.start(files);
                problems
                    .error(
                        "invalid_name",
                        &place,
                        format!("the file's name is {}", not_a_name(&error)),
                    )
                    .help("rename the file");
            }
        }
    }
    names
}

impl FilePath {
    /// The start of the file, for problems of the file as a whole.
    fn start(&self, files: &mut Files) -> Place {
        Place { file: files.add(self.below.clone(), "".into()), span: 0..0 }
    }

    /// Reads it: a regular file of UTF-8 up to 1 MiB.
    pub(super) fn read(&self, files: &mut Files, problems: &mut Problems) -> Option<FileText> {
        let text = match self.text() {
            Ok(text) => text,
            Err(wrong) => {
                let place = self.start(files);
                problems.error("unreadable", &place, wrong);
                return None;
            }
        };
        let text: Arc<str> = text.into();
        let file = files.add(self.below.clone(), text.clone());
        Some(FileText { file, text })
    }

    fn text(&self) -> Result<String, String> {
        let failed = |error: std::io::Error| format!("the file can't be read: {}", error.kind());
        // Asked before it is opened: opening a pipe would wait for a writer.
        if !std::fs::metadata(&self.path).map_err(failed)?.is_file() {
            return Err("not a regular file".to_owned());
        }
        let file = std::fs::File::open(&self.path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() > MAX_BYTES {
            return Err("the file has more than 1 MiB".to_owned());
        }
        // The error of the library holds the bytes: only the place is told.
        String::from_utf8(bytes).map_err(|error| {
            format!("not UTF-8 from byte {} on", error.utf8_error().valid_up_to() + 1)
        })
    }
}
