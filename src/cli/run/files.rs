//! The private folder with a job's files.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::cli::environment::Environment;

/// A folder of mode 0700 that is removed with all that is in it, whatever
/// happens but SIGKILL.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes a folder: in memory where the system gives us such a place, else
    /// where temporary files belong.
    pub(super) fn create(environment: &Environment) -> io::Result<Self> {
        let temporary = environment.folder("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
        let name = random_name()?;
        environment
            .folder("XDG_RUNTIME_DIR")
            .map_or(Err(io::ErrorKind::NotFound.into()), |folder| make(&folder.join(&name)))
            .or_else(|_| make(&temporary.join(&name)))
            .map(Self)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file. Nobody but us could read it before it has its mode.
    pub(super) fn write(&self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn make(path: &Path) -> io::Result<PathBuf> {
    DirBuilder::new().mode(0o700).create(path)?;
    Ok(path.to_owned())
}

fn random_name() -> io::Result<String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::from(io::ErrorKind::Other))?;
    Ok(format!("paramd-{}", hex::encode(random)))
}

/// Whether a name stays inside the folder: `[A-Za-z0-9._-]{1,64}` without a
/// leading dot.
pub(super) fn is_file_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_mode_and_go_with_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let variables = [("TMPDIR".into(), base.path().into())];
        let folder = Folder::create(&Environment::new(variables)).unwrap();
        folder.write("key.pem", 0o400, b"secret").unwrap();
        let path = folder.path().to_owned();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&path.join("key.pem"))), (0o700, 0o400));
        assert_eq!(std::fs::read(path.join("key.pem")).unwrap(), b"secret");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_runtime_folder_comes_first() {
        let base = tempfile::tempdir().unwrap();
        let variables = [("XDG_RUNTIME_DIR".into(), base.path().into())];
        let folder = Folder::create(&Environment::new(variables)).unwrap();
        assert!(folder.path().starts_with(base.path()));
    }

    #[test]
    fn names_stay_inside_the_folder() {
        assert!(is_file_name("key.pem"));
        for bad in ["", ".", "..", ".a", "a/b", "../a", "a\0", "ä", &"a".repeat(65)] {
            assert!(!is_file_name(bad), "{bad:?}");
        }
    }
}
