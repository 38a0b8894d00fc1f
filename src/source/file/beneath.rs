//! Opening and reading a file that is below a directory, whatever links say.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use zeroize::Zeroize as _;

use crate::source::{Cause, SourceError};
use crate::value::MAX_VALUE_BYTES;

/// Not blocking: opening a FIFO must not wait for its writer.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Reads the regular file at `path` below `root`; `None` where there is none.
pub(super) fn read(root: &Path, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, directory, Mode::empty())
        .map_err(|error| SourceError::from(root_cause(error)))?;
    match open(root.as_fd(), path) {
        Ok(file) => Ok(Some(take(File::from(file))?)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(cause(error).into()),
    }
}

fn open(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..8 {
        match rustix::fs::openat2(root, path, READ, Mode::empty(), beneath) {
            // A directory was renamed meanwhile, and the kernel can't be sure.
            Err(Errno::AGAIN) => {}
            // An old kernel, or a sandbox that doesn't know the call.
            Err(Errno::NOSYS | Errno::PERM) => return open_and_look(root, path),
            outcome => return outcome,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens first and then asks the kernel what was opened, so that a link that
/// changes in between gains nothing.
fn open_and_look(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    let file = rustix::fs::openat(root, path, READ, Mode::empty())?;
    let below = place(file.as_fd())?.starts_with(place(root)?);
    if below { Ok(file) } else { Err(Errno::XDEV) }
}

fn place(file: BorrowedFd<'_>) -> rustix::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn take(file: File) -> Result<Vec<u8>, SourceError> {
    let about = file.metadata().map_err(|_| Cause::ServerError)?;
    if !about.is_file() {
        return Err(Cause::BadAnswer.into());
    }
    if about.len() > MAX_VALUE_BYTES as u64 {
        return Err(Cause::TooLarge.into());
    }
    // With its capacity from the start, no half-grown copy stays behind.
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1);
    if file.take(MAX_VALUE_BYTES as u64 + 1).read_to_end(&mut bytes).is_err() {
        bytes.zeroize();
        return Err(Cause::ServerError.into());
    }
    if bytes.len() > MAX_VALUE_BYTES {
        bytes.zeroize();
        return Err(Cause::TooLarge.into());
    }
    Ok(bytes)
}

fn root_cause(error: Errno) -> Cause {
    match error {
        // No directory: a share that isn't mounted, not a missing value.
        Errno::NOENT | Errno::NOTDIR => Cause::Unreachable,
        other => cause(other),
    }
}

fn cause(error: Errno) -> Cause {
    match error {
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Cause::Refused,
        Errno::NXIO | Errno::ISDIR | Errno::NAMETOOLONG => Cause::BadAnswer,
        _ => Cause::ServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_of_old_kernels_keeps_to_the_root_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("in"), "in").unwrap();
        std::fs::write(folder.path().join("out"), "out").unwrap();
        std::os::unix::fs::symlink("in", root.join("to-in")).unwrap();
        std::os::unix::fs::symlink("../out", root.join("to-out")).unwrap();
        let directory = File::open(&root).unwrap();
        assert!(open_and_look(directory.as_fd(), "to-in").is_ok());
        assert_eq!(open_and_look(directory.as_fd(), "to-out").unwrap_err(), Errno::XDEV);
    }
}
