//! The tokens that a daemon knows: its file, looked at again while it serves.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Entry, PREFIX, TokenError, file, find};
use crate::name::TokenName;
use crate::store::keys::{KeyFile, TokenKey};

/// How old the last look at the file may be.
const FRESH: Duration = Duration::from_secs(1);
/// The most bytes of a token that is looked at.
const MAX_TOKEN: usize = 256;

/// Why a token isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Not the form of a token.
    Malformed,
    /// Never made, or revoked.
    Unknown,
    /// Its time is over.
    Expired,
    /// The file of tokens can't be used, so that nobody can tell.
    Unreadable,
}

impl Refused {
    /// The words for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed token",
            Self::Unknown => "unknown or revoked token",
            Self::Expired => "expired token",
            Self::Unreadable => "the token file can't be used",
        }
    }
}

/// The tokens of a file. What `paramd token` changes holds within a second.
pub struct Tokens {
    path: PathBuf,
    key: KeyFile,
    seen: Mutex<Seen>,
}

/// What was seen of the file.
#[derive(Default)]
struct Seen {
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    book: Book,
}

/// What tells one state of a file from another.
type Stamp = (u64, u64, i64, i64);

#[derive(Default)]
enum Book {
    /// No file.
    #[default]
    Empty,
    /// One that can't be used: what it says may be that a token is revoked.
    Unreadable,
    Read(TokenKey, Vec<Entry>),
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.path.display())
    }
}

impl Tokens {
    /// The tokens of the file at `path`, hashed with the key at `key`. Neither
    /// need be there yet.
    pub fn new(path: PathBuf, key: impl Into<KeyFile>) -> Self {
        Self { path, key: key.into(), seen: Mutex::default() }
    }

    /// Whose a token is.
    ///
    /// # Errors
    /// It isn't good.
    pub fn owner(&self, token: &[u8]) -> Result<TokenName, Refused> {
        if !token.starts_with(PREFIX.as_bytes()) || token.len() > MAX_TOKEN {
            return Err(Refused::Malformed);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.refresh(&self.path, &self.key);
        let (key, entries) = match &seen.book {
            Book::Empty => return Err(Refused::Unknown),
            Book::Unreadable => return Err(Refused::Unreadable),
            Book::Read(key, entries) => (key, entries),
        };
        let entry = find(entries, key, token).ok_or(Refused::Unknown)?;
        match entry.expires {
            Some(expires) if expires <= Timestamp::now() => Err(Refused::Expired),
            _ => Ok(entry.name.clone()),
        }
    }
}

impl Seen {
    fn refresh(&mut self, path: &Path, key: &KeyFile) {
        if self.looked.is_some_and(|looked| looked.elapsed() < FRESH) {
            return;
        }
        self.looked = Some(Instant::now());
        let stamp = stamp(path);
        // One that couldn't be used is tried again: a mode leaves no stamp.
        if stamp == self.stamp && !matches!(self.book, Book::Unreadable) {
            return;
        }
        self.stamp = stamp;
        self.book = match read(path, key) {
            Ok(book) => book,
            Err(error) => {
                tracing::error!(%error, "no token is good until this is mended");
                Book::Unreadable
            }
        };
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
}

fn read(path: &Path, key: &KeyFile) -> Result<Book, TokenError> {
    let entries = file::read(path)?;
    if entries.is_empty() {
        return Ok(Book::Empty);
    }
    let key = TokenKey::load(key)?;
    let others = entries.iter().filter(|entry| entry.key != key.id()).count();
    if others > 0 {
        tracing::warn!(
            others,
            "tokens were hashed with another key and aren't good: make them anew"
        );
    }
    Ok(Book::Read(key, entries))
}
