//! The private folder with a job's files.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fchmod, openat, unlinkat};

use crate::cli::environment::Environment;

/// A folder of mode 0700 that is removed with all that is in it, whatever
/// happens but SIGKILL.
pub(super) struct Folder {
    path: PathBuf,
    /// The folder itself, wherever a step may have moved it.
    directory: OwnedFd,
    /// What was written: the files that may hold secrets.
    written: Vec<String>,
}

impl Folder {
    /// Makes a folder: in memory where the system gives us such a place, else
    /// where temporary files belong.
    pub(super) fn create(environment: &Environment) -> io::Result<Self> {
        let temporary = environment.folder("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"));
        let name = random_name()?;
        environment
            .folder("XDG_RUNTIME_DIR")
            .map_or(Err(io::ErrorKind::NotFound.into()), |folder| Self::make(folder.join(&name)))
            .or_else(|_| Self::make(temporary.join(&name)))
    }

    fn make(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = openat(CWD, &path, flags, Mode::empty())?;
        Ok(Self { path, directory, written: Vec::new() })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file. Nobody but us could read it before it has its mode.
    pub(super) fn write(&mut self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?);
        self.written.push(name.to_owned());
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Removes it.
    ///
    /// # Errors
    /// Something of it is left.
    pub(super) fn remove(mut self) -> io::Result<()> {
        self.clear()
    }

    /// The written files first, by the folder itself: a step may have moved it,
    /// or taken its own rights away.
    fn clear(&mut self) -> io::Result<()> {
        let mut outcome = fchmod(&self.directory, Mode::RWXU).map_err(io::Error::from);
        for name in std::mem::take(&mut self.written) {
            let gone = unlinkat(&self.directory, &name, AtFlags::empty()).map_err(io::Error::from);
            outcome = outcome.and(missing_is_fine(gone));
        }
        outcome.and(missing_is_fine(std::fs::remove_dir_all(&self.path)))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever wants to know calls `remove`.
        drop(self.clear());
    }
}

fn missing_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    outcome.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
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
        let mut folder = Folder::create(&Environment::new(variables)).unwrap();
        folder.write("key.pem", 0o400, b"secret").unwrap();
        let path = folder.path().to_owned();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(&path.join("key.pem"))), (0o700, 0o400));
        assert_eq!(std::fs::read(path.join("key.pem")).unwrap(), b"secret");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_written_goes_wherever_the_folder_was_moved() {
        let base = tempfile::tempdir().unwrap();
        let variables = [("TMPDIR".into(), base.path().into())];
        let mut folder = Folder::create(&Environment::new(variables)).unwrap();
        folder.write("key.pem", 0o400, b"secret").unwrap();
        let moved = base.path().join("moved");
        std::fs::rename(folder.path(), &moved).unwrap();
        std::os::unix::fs::symlink(base.path(), folder.path()).unwrap();
        std::fs::set_permissions(&moved, Permissions::from_mode(0o500)).unwrap();
        std::fs::write(base.path().join("other"), "of somebody else").unwrap();
        folder.remove().unwrap();
        assert!(!moved.join("key.pem").exists());
        assert!(base.path().join("other").exists(), "a link is not followed");
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
