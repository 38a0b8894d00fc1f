//! What `paramd init DIR` writes: a small configuration that works as it is.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

/// Directories and their modes; those that hold keys or secrets are the owner's.
const DIRECTORIES: [(&str, u32); 6] = [
    ("environments", 0o755),
    ("pipelines", 0o755),
    ("policies", 0o755),
    ("run", 0o700),
    ("secrets", 0o700),
    ("state", 0o700),
];

/// Files with what is in them, but for the policy and the secret.
const FILES: [(&str, &str); 5] = [
    (".gitignore", include_str!("init/gitignore")),
    ("paramd.yaml", include_str!("init/paramd.yaml")),
    ("global.yaml", include_str!("init/global.yaml")),
    ("environments/dev.yaml", include_str!("init/dev.yaml")),
    ("pipelines/hello.yaml", include_str!("init/hello.yaml")),
];

const POLICY: (&str, &str) = ("policies/owner.cedar", include_str!("init/owner.cedar"));
const SECRET: &str = "secrets/hello-token";

/// How many random bytes the example's secret is made of.
const SECRET_BYTES: usize = 20;

/// Why no configuration was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is something in the directory.
    #[error("`{}` isn't empty: name a new or an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// It is no directory.
    #[error("`{}` isn't a directory: name a new or an empty one", .0.display())]
    NotADirectory(PathBuf),
    /// The operating system gives no random bytes.
    #[error("no random bytes for the example's secret are to be had")]
    NoRandom,
    /// Something can't be read or written.
    #[error("`{}` can't be written: {kind}", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
}

/// Writes a working configuration for the user `uid` into a new or empty
/// directory, and answers the files that it wrote.
///
/// # Errors
/// The directory has something in it, or a file can't be written; what was
/// written until then stays.
pub fn write_configuration(directory: &Path, uid: u32) -> Result<Vec<PathBuf>, InitError> {
    take_directory(directory)?;
    for (name, mode) in DIRECTORIES {
        let path = directory.join(name);
        DirBuilder::new().mode(mode).create(&path).map_err(|error| failed(&path, &error))?;
    }
    let mut written = Vec::new();
    for (name, text) in FILES {
        written.push(write(directory.join(name), 0o644, text.as_bytes())?);
    }
    let policy = POLICY.1.replace("UID", &uid.to_string());
    written.push(write(directory.join(POLICY.0), 0o644, policy.as_bytes())?);
    written.push(write(directory.join(SECRET), 0o600, random_text()?.as_bytes())?);
    Ok(written)
}

/// Makes the directory, or makes sure that it is empty.
fn take_directory(directory: &Path) -> Result<(), InitError> {
    if directory.exists() && !directory.is_dir() {
        return Err(InitError::NotADirectory(directory.to_owned()));
    }
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut entries = std::fs::read_dir(directory).map_err(|error| failed(directory, &error))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(InitError::NotEmpty(directory.to_owned())),
    }
}

/// Never over a file that is there.
fn write(path: PathBuf, mode: u32, bytes: &[u8]) -> Result<PathBuf, InitError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(|error| failed(&path, &error))?;
    Ok(path)
}

/// Hex digits without a line end: a file's text is taken to the byte.
fn random_text() -> Result<Zeroizing<String>, InitError> {
    let mut bytes = Zeroizing::new([0_u8; SECRET_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| InitError::NoRandom)?;
    Ok(Zeroizing::new(hex::encode(bytes.as_slice())))
}

fn failed(path: &Path, error: &io::Error) -> InitError {
    InitError::Write { path: path.to_owned(), kind: error.kind() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use super::*;
    use crate::access::{Action, Policies, Request, Resource};
    use crate::audit::Principal;
    use crate::definition::PolicyFile;
    use crate::yaml::FileId;
    use crate::yaml::diagnostic::Problems;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_configuration_is_written_whole_and_its_secrets_are_the_owners() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("new/config");
        let written = write_configuration(&directory, 1000).unwrap();
        assert_eq!(written.len(), FILES.len() + 2);
        for path in &written {
            assert!(!std::fs::read(path).unwrap().is_empty());
        }
        for name in ["run", "secrets", "state"] {
            assert_eq!(mode(&directory.join(name)), 0o700);
        }
        assert_eq!(mode(&directory.join(SECRET)), 0o600);
        let secret = std::fs::read(directory.join(SECRET)).unwrap();
        assert_eq!(secret.len(), 2 * SECRET_BYTES);
        assert!(secret.iter().all(u8::is_ascii_hexdigit));
    }

    #[test]
    fn two_configurations_have_different_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let secret = |name: &str| {
            let directory = folder.path().join(name);
            write_configuration(&directory, 1).unwrap();
            std::fs::read(directory.join(SECRET)).unwrap()
        };
        assert_ne!(secret("a"), secret("b"));
    }

    #[test]
    fn a_directory_with_something_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "kept").unwrap();
        let error = write_configuration(folder.path(), 1000).unwrap_err();
        assert!(matches!(error, InitError::NotEmpty(_)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_below_a_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let error = write_configuration(&folder.path().join("file/config"), 1).unwrap_err();
        assert!(matches!(error, InitError::Write { .. }));
        let error = write_configuration(&folder.path().join("file"), 1).unwrap_err();
        assert!(matches!(error, InitError::NotADirectory(_)));
    }

    #[test]
    fn the_policy_lets_its_owner_do_all_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("config");
        write_configuration(&directory, 1000).unwrap();
        let text: Arc<str> = std::fs::read_to_string(directory.join(POLICY.0)).unwrap().into();
        let file = PolicyFile { file: FileId(0), name: "owner".into(), text };
        let mut problems = Problems::default();
        let policies = Policies::read(&[file], &mut problems);
        assert!(problems.list.is_empty(), "{:?}", problems.list);
        for (uid, expected) in [(1000, true), (1001, false)] {
            let principal = Principal::unix_user(uid);
            let epoch = jiff::Timestamp::UNIX_EPOCH;
            let request = Request::new(&principal, Action::Audit, Resource::Daemon, epoch);
            assert_eq!(policies.decide(&request).is_ok(), expected);
        }
    }
}
