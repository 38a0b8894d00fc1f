//! The file of tokens: read with suspicion, written whole or not at all.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::{Entry, MAX_TOKENS, TokenError};
use crate::name::TokenName;
use crate::yaml::diagnostic::{Files, Problems, lines};
use crate::yaml::fields::{self, Fields};
use crate::yaml::{MAX_BYTES, Node, parse};

/// The most bytes of a key's id: those of today have 8.
const MAX_KEY_ID: usize = 64;
const HEAD: &str = "# Bearer tokens, hashed. Made and revoked by `paramd token`.\n";

/// The entries of the file; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, TokenError> {
    let failed = |error: io::Error| failed(path, "read", &error);
    // A pipe would otherwise hold the daemon until somebody writes to it.
    let no_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = match OpenOptions::new().read(true).custom_flags(no_waiting).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    check(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    // One byte more than the reader takes, so that it tells what is too long.
    file.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let id = files.add(path.display().to_string(), text.as_str().into());
    let node = parse(id, &text, &mut problems);
    let entries = node.and_then(|node| entries(&node, &mut problems));
    match entries {
        Some(entries) if !problems.has_errors() => Ok(entries),
        _ => {
            let problems = lines(&problems, &files);
            Err(TokenError::Format { path: path.to_owned(), problems })
        }
    }
}

fn check(path: &Path, found: &fs::Metadata) -> Result<(), TokenError> {
    let refused = |why| Err(TokenError::Open { path: path.to_owned(), why });
    if !found.is_file() {
        return refused("isn't a regular file");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refused("belongs to somebody else");
    }
    if found.mode() & 0o022 != 0 {
        return refused("can be written by others");
    }
    Ok(())
}

fn entries(node: &Node, problems: &mut Problems) -> Option<Vec<Entry>> {
    let mut keys = Fields::of(node, "the token file", problems)?;
    let tokens = keys.required("tokens");
    keys.finish(problems);
    let tokens = fields::list(tokens?, "tokens", MAX_TOKENS, problems)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(tokens.len());
    for node in tokens {
        let Some(entry) = entry(node, problems) else { continue };
        if entries.iter().any(|other| other.name == entry.name) {
            problems.error("duplicate_token", &node.place, "this token stands twice");
        }
        entries.push(entry);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Some(entries)
}

fn entry(node: &Node, problems: &mut Problems) -> Option<Entry> {
    let mut keys = Fields::of(node, "a token", problems)?;
    let parts = [
        ("name", keys.required("name")),
        ("key", keys.required("key")),
        ("hash", keys.required("hash")),
        ("created", keys.required("created")),
        ("expires", keys.optional("expires")),
    ];
    keys.finish(problems);
    let [name, key, hash, created, expires] = parts.map(|(word, node)| {
        node.map(|node| (fields::text(node, word, problems).map(|text| text.value), node, word))
    });
    let mut hashed = [0; 32];
    let (text, place, word) = hash?;
    if hex::decode_to_slice(text?, &mut hashed).is_err() {
        wrong(place, word, problems);
        return None;
    }
    let mut time = |found: Option<(Option<String>, &Node, &str)>| {
        let (text, node, word) = found?;
        let read = text?.parse::<Timestamp>();
        read.inspect_err(|_| wrong(node, word, problems)).ok()
    };
    let ends = expires.is_some();
    let (created, expires) = (time(created)?, time(expires));
    let (text, place, word) = name?;
    let Ok(name) = TokenName::parse(&text?) else {
        wrong(place, word, problems);
        return None;
    };
    // An end that can't be read must not pass for none.
    if ends && expires.is_none() {
        return None;
    }
    let (text, place, word) = key?;
    let key = text?;
    if key.len() > MAX_KEY_ID {
        wrong(place, word, problems);
        return None;
    }
    Some(Entry { name, key, hash: hashed, created, expires })
}

fn wrong(node: &Node, word: &str, problems: &mut Problems) {
    problems
        .error("invalid_token", &node.place, format!("`{word}` isn't what `paramd token` writes"))
        .sensitive();
}

/// Changes the entries, one process at a time.
pub(super) fn change(
    path: &Path,
    work: impl FnOnce(&mut Vec<Entry>) -> Result<(), TokenError>,
) -> Result<(), TokenError> {
    let failed = |error: io::Error| failed(path, "written", &error);
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let turn = File::open(directory).map_err(failed)?;
    flock(&turn, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    let mut entries = read(path)?;
    work(&mut entries)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let draft = draft_path(path);
    // One that a crash left behind was never in use: it has another name.
    let _ = fs::remove_file(&draft);
    let written = write(&draft, &text(&entries)).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| turn.sync_all()).map_err(failed)
}

fn text(entries: &[Entry]) -> String {
    let mut text = HEAD.to_owned();
    if entries.is_empty() {
        text.push_str("tokens: []\n");
        return text;
    }
    text.push_str("tokens:\n");
    for Entry { name, key, hash, created, expires } in entries {
        let hash = hex::encode(hash);
        let _ = write!(
            text,
            "  - {{ name: \"{name}\", key: \"{key}\", hash: \"{hash}\", created: \"{created}\""
        );
        if let Some(expires) = expires {
            let _ = write!(text, ", expires: \"{expires}\"");
        }
        text.push_str(" }\n");
    }
    text
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn draft_path(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".new-{}", std::process::id()));
    draft.into()
}

fn failed(path: &Path, doing: &'static str, error: &io::Error) -> TokenError {
    TokenError::File { path: path.to_owned(), doing, why: error.kind() }
}
