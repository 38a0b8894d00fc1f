//! A disk that is ill: what the daemon writes to its store, or reads of the
//! sources `ill.db` and `files/`, fails, waits, or is the last thing that the
//! process did.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::daemon::Launch;

const SOURCE: &str = include_str!("disk.c");

/// Which operations on the store's files.
pub(crate) const WRITE: i64 = 1;
/// See [`WRITE`].
pub(crate) const SYNC: i64 = 2;
/// See [`WRITE`].
pub(crate) const TRUNCATE: i64 = 4;

/// Which operations on the sources' files.
pub(crate) const READ: i64 = 8;

/// What happens to an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It fails with this `errno`.
    Fail(i32),
    /// It takes this many milliseconds longer.
    Wait(i64),
    /// The process is killed before it.
    KillBefore,
    /// The process is killed when half of it is done.
    KillHalfway,
    /// The process is killed after it.
    KillAfter,
}

/// The library, built once for all tests.
fn library() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    &BUILT
        .get_or_init(|| {
            let folder = TempDir::new().unwrap();
            let source = folder.path().join("disk.c");
            let library = folder.path().join("disk.so");
            std::fs::write(&source, SOURCE).unwrap();
            let mut cc = Command::new("cc");
            cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
            let status = cc.arg(&library).arg(&source).arg("-ldl").status().unwrap();
            assert!(status.success(), "{status}");
            (folder, library)
        })
        .1
}

/// The file that the library and the test share.
pub(crate) struct Disk {
    rule: File,
}

impl Disk {
    /// A healthy disk, which can fall ill, below a launch.
    pub(crate) fn below(launch: Launch) -> (Self, Launch) {
        let path = launch.folder.join("disk.rule");
        let mut options = File::options();
        let rule = options.read(true).write(true).create(true).truncate(true);
        let disk = Self { rule: rule.open(&path).unwrap() };
        disk.rule.set_len(40).unwrap();
        let preload = OsString::from(library());
        (disk, launch.raw_env("LD_PRELOAD", preload).raw_env("PARAMD_TEST_DISK", path.into()))
    }

    /// From now on, after `pass` more of these operations.
    pub(crate) fn falls_ill(&self, operations: i64, pass: i64, fate: Fate) {
        let (what, argument) = match fate {
            Fate::Fail(errno) => (1, i64::from(errno)),
            Fate::Wait(milliseconds) => (2, milliseconds),
            Fate::KillBefore => (3, 0),
            Fate::KillHalfway => (4, 0),
            Fate::KillAfter => (5, 0),
        };
        // The operations last: they switch the rest on.
        for (place, number) in [(4, 0), (3, argument), (2, what), (1, pass), (0, operations)] {
            self.rule.write_all_at(&number.to_ne_bytes(), place * 8).unwrap();
        }
    }

    /// All is well again.
    pub(crate) fn heals(&self) {
        self.rule.write_all_at(&0_i64.to_ne_bytes(), 0).unwrap();
    }

    /// How many operations it happened to.
    pub(crate) fn happened(&self) -> i64 {
        let mut number = [0; 8];
        self.rule.read_exact_at(&mut number, 32).unwrap();
        i64::from_ne_bytes(number)
    }
}
