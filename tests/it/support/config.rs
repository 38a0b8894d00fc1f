//! Configuration directories in a folder of the test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A configuration directory that goes with the test.
pub(crate) struct Config {
    /// Holds the configuration and whatever else the test writes.
    pub(crate) folder: TempDir,
    /// The configuration.
    pub(crate) path: PathBuf,
}

/// Settings that need no server; sources follow.
const SETTINGS: &str = r#"listen: ["unix:run/paramd.sock"]
store: { sqlite: state/paramd.db }
keys: { sealing: state/sealing.key, fingerprints: state/fingerprints.key, tokens: state/tokens.key }
"#;

/// Lets everybody who reaches the socket do everything.
const POLICY: &str = "permit (principal, action, resource);\n";

impl Config {
    /// An empty folder with nothing in it yet.
    fn empty() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config");
        std::fs::create_dir(&path).unwrap();
        Self { folder, path }
    }

    /// One pipeline in the environment `dev`, with these `sources`.
    pub(crate) fn new(sources: &str, pipeline: &str, text: &str) -> Self {
        let config = Self::empty();
        let settings = if sources.is_empty() {
            SETTINGS.to_owned()
        } else {
            format!("{SETTINGS}sources:\n{sources}")
        };
        config.write("paramd.yaml", settings);
        config.write("global.yaml", "{}\n");
        config.write("environments/dev.yaml", "{}\n");
        config.write("policies/all.cedar", POLICY);
        config.write(&format!("pipelines/{pipeline}.yaml"), text);
        config
    }

    /// A copy of a directory.
    pub(crate) fn copy(from: &Path) -> Self {
        let config = Self::empty();
        copy_folder(from, &config.path);
        config
    }

    /// Writes a file below the configuration.
    pub(crate) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a file that nobody else can read.
    pub(crate) fn write_secret(&self, file: &str, text: impl AsRef<[u8]>) {
        use std::os::unix::fs::PermissionsExt as _;
        self.write(file, text);
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path.join(file), mode).unwrap();
    }

    /// Replaces texts in a file, each of which must be there.
    pub(crate) fn replace(&self, file: &str, pairs: &[(&str, &str)]) {
        let path = self.path.join(file);
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in pairs {
            text = text.replace(from, to);
        }
        std::fs::write(path, text).unwrap();
    }

    /// The folder around the configuration.
    pub(crate) fn around(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes an SQLite database.
pub(crate) fn database(path: &Path, sql: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Copies all files that are below a folder.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
