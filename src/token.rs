//! Bearer tokens: made once, kept as a keyed hash, known again.
//!
//! A token is `paramd_token_` and 64 hex digits, 256 random bits. The file of
//! `tokens` holds of each its name, times and the HMAC-SHA-256 under a key that
//! is derived from that of `keys.tokens`.

mod file;
mod known;
pub mod proof;
mod step;

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::{constant_time, rand};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::name::TokenName;
use crate::secret::SecretBytes;
use crate::store::keys::{KeyError, KeyFile, TokenKey};

pub use known::{Refused, Tokens};
pub use step::{Grant, Holder, Minted, STEP_PREFIX, StepTokens};

/// What every token begins with, so that scanners for secrets find one.
pub const PREFIX: &str = "paramd_token_";
const RANDOM_BYTES: usize = 32;
/// The most tokens of a daemon.
pub const MAX_TOKENS: usize = 1_000;

/// What the file holds of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name; the principal is `token:NAME`.
    pub name: TokenName,
    /// The id of the key that it is hashed with.
    pub key: String,
    /// The keyed hash.
    hash: [u8; 32],
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; none: when it is revoked.
    pub expires: Option<Timestamp>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({})", self.name)
    }
}

/// Why tokens can't be read or changed. It tells nothing of a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The key that they are hashed with can't be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file can't be read or written.
    #[error("the token file `{}` can't be {doing}: {why}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// What was tried: `read` or `written`.
        doing: &'static str,
        /// Why.
        why: io::ErrorKind,
    },
    /// Others could change the file.
    #[error(
        "the token file `{path}` {why}, so others could give themselves tokens: give it back to \
         the daemon's user and run `chmod 600 {path}`", path = path.display()
    )]
    Open {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The file isn't one of tokens.
    #[error("the token file `{}` has problems", path.display())]
    Format {
        /// Where.
        path: PathBuf,
        /// Each as `file:line:column: message`.
        problems: Vec<String>,
    },
    /// A token of the name is there.
    #[error("there is a token `{0}` already; revoke it first, or choose another name")]
    Taken(TokenName),
    /// No token of the name is there.
    #[error("there is no token `{0}`")]
    Missing(TokenName),
    /// The file is full.
    #[error("there are {MAX_TOKENS} tokens already; revoke what isn't used")]
    TooMany,
    /// The system gives no random bytes.
    #[error("no random bytes for a token")]
    Random,
}

/// The tokens of a file, ordered by name; none where there is no file.
///
/// # Errors
/// The file can't be used.
pub fn list(path: &Path) -> Result<Vec<Entry>, TokenError> {
    file::read(path)
}

/// Makes a token. It is given back this once and kept as its hash.
///
/// # Errors
/// The name is taken, or the key or the file can't be used.
pub fn create(
    path: &Path,
    key: &KeyFile,
    name: &TokenName,
    created: Timestamp,
    expires: Option<Timestamp>,
) -> Result<SecretBytes, TokenError> {
    let key = TokenKey::load(key)?;
    let token = random(PREFIX)?;
    let hash = hash(&key, &token);
    let token = SecretBytes::new(token.to_vec());
    file::change(path, |entries| {
        if entries.iter().any(|entry| entry.name == *name) {
            return Err(TokenError::Taken(name.clone()));
        }
        if entries.len() >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        let key = key.id().to_owned();
        entries.push(Entry { name: name.clone(), key, hash, created, expires });
        Ok(())
    })?;
    Ok(token)
}

/// Takes a token away; the daemon knows it no more within a second.
///
/// # Errors
/// There is none of the name, or the file can't be used.
pub fn revoke(path: &Path, name: &TokenName) -> Result<(), TokenError> {
    file::change(path, |entries| {
        let before = entries.len();
        entries.retain(|entry| entry.name != *name);
        if entries.len() == before { Err(TokenError::Missing(name.clone())) } else { Ok(()) }
    })
}

/// 256 random bits in hex, after what tells their kind.
fn random(prefix: &str) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    rand::fill(random.as_mut_slice()).map_err(|_| TokenError::Random)?;
    let mut digits = Zeroizing::new([0; RANDOM_BYTES * 2]);
    hex::encode_to_slice(*random, digits.as_mut_slice()).map_err(|_| TokenError::Random)?;
    let mut token = Zeroizing::new(Vec::with_capacity(prefix.len() + digits.len()));
    token.extend(prefix.as_bytes());
    token.extend(digits.as_slice());
    Ok(token)
}

fn hash(key: &TokenKey, token: &[u8]) -> [u8; 32] {
    *key.derive(&[], &[b"bearer ", token])
}

/// The entry of a token. All are compared, each in constant time.
fn find<'e>(entries: &'e [Entry], key: &TokenKey, token: &[u8]) -> Option<&'e Entry> {
    let hash = hash(key, token);
    entries.iter().fold(None, |found, entry| {
        let same = constant_time::verify_slices_are_equal(&entry.hash, &hash).is_ok();
        if same && entry.key == key.id() { Some(entry) } else { found }
    })
}

#[cfg(test)]
mod tests;
