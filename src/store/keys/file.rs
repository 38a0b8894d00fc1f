//! Key files: read with suspicion, made whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{KEY_BYTES, KeyError, Purpose};

/// A line that is longer than a key can't be one.
const MAX_FILE_BYTES: u64 = 256;

/// The key of a file of our own; none where there is no file.
pub(super) fn read<P: Purpose>(
    path: &Path,
) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, KeyError> {
    read_checked::<P>(path, check::<P>)
}

/// The key of a file that systemd made. It belongs to root and has an access list,
/// so that its mode tells nothing.
pub(super) fn read_given<P: Purpose>(
    path: &Path,
) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, KeyError> {
    read_checked::<P>(path, check_kind::<P>)
}

type Check = fn(&Path, &fs::Metadata) -> Result<(), KeyError>;

fn read_checked<P: Purpose>(
    path: &Path,
    check: Check,
) -> Result<Option<Zeroizing<[u8; KEY_BYTES]>>, KeyError> {
    let failed = |error: io::Error| failed::<P>(path, "read", &error);
    // A pipe would otherwise hold the daemon until somebody writes to it.
    let no_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut file = match OpenOptions::new().read(true).custom_flags(no_waiting).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    check(path, &file.metadata().map_err(failed)?)?;
    let mut text = Zeroizing::new(Vec::with_capacity(512));
    Read::by_ref(&mut file).take(MAX_FILE_BYTES).read_to_end(&mut text).map_err(failed)?;
    let format = || KeyError::Format { purpose: P::WORD, path: path.to_owned() };
    parse::<P>(&text).map(Some).ok_or_else(format)
}

fn check_kind<P: Purpose>(path: &Path, found: &fs::Metadata) -> Result<(), KeyError> {
    let not_a_file = || KeyError::NotAFile { purpose: P::WORD, path: path.to_owned() };
    found.is_file().then_some(()).ok_or_else(not_a_file)
}

fn check<P: Purpose>(path: &Path, found: &fs::Metadata) -> Result<(), KeyError> {
    check_kind::<P>(path, found)?;
    let (purpose, path) = (P::WORD, path.to_owned());
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        Err(KeyError::Owner { purpose, path, owner: found.uid(), own })
    } else if found.mode() & 0o077 != 0 {
        Err(KeyError::Open { purpose, path, mode: found.mode() & 0o7777 })
    } else {
        Ok(())
    }
}

fn parse<P: Purpose>(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = line.strip_prefix(prefix::<P>().as_bytes())?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    hex::decode_to_slice(digits, key.as_mut_slice()).ok()?;
    Some(key)
}

fn prefix<P: Purpose>() -> String {
    format!("paramd-{}-key-1:", P::WORD)
}

/// Makes the file; `false` where there was one after all.
pub(super) fn create<P: Purpose>(path: &Path, key: &[u8; KEY_BYTES]) -> Result<bool, KeyError> {
    let failed = |error: io::Error| failed::<P>(path, "made", &error);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let draft = draft_path(path);
    // One that a crash left behind was never in use: it has no other name.
    let _ = fs::remove_file(&draft);
    let made = write_draft::<P>(&draft, key).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match made {
        Ok(()) => {
            File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn draft_path(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".new-{}", std::process::id()));
    draft.into()
}

fn write_draft<P: Purpose>(draft: &Path, key: &[u8; KEY_BYTES]) -> io::Result<()> {
    let mut digits = Zeroizing::new([0; KEY_BYTES * 2]);
    hex::encode_to_slice(key, digits.as_mut_slice()).map_err(|_| ErrorKind::InvalidData)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(prefix::<P>().as_bytes())?;
    file.write_all(digits.as_slice())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn failed<P: Purpose>(path: &Path, doing: &'static str, error: &io::Error) -> KeyError {
    KeyError::File { purpose: P::WORD, path: path.to_owned(), doing, kind: error.kind() }
}
