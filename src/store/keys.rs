//! The daemon's keys: one file each, one use each, kept outside the store.
//!
//! A key file is one line, `paramd-PURPOSE-key-1:` and 64 hex digits, mode 0600.
//! A key never leaves this module: others get keys derived from it.

mod file;

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use aws_lc_rs::{hmac, rand};
use zeroize::Zeroizing;

use crate::process::memory::{Pages, lock_pages};
use crate::secret::SecretBytes;

const KEY_BYTES: usize = 32;
const DERIVED_BYTES: usize = 32;

/// What a key is for.
pub trait Purpose {
    /// The word for it in files and errors.
    const WORD: &'static str;
}

macro_rules! purpose {
    ($(#[$doc:meta])* $type:ident, $word:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $type {}
        impl Purpose for $type {
            const WORD: &'static str = $word;
        }
    };
}

purpose!(
    /// Seals values in the store, and authenticates records.
    Sealing, "sealing"
);
purpose!(
    /// Makes fingerprints of secrets.
    Fingerprint, "fingerprint"
);
purpose!(
    /// Hashes bearer tokens.
    Token, "token"
);

/// The key that seals values.
pub type SealingKey = Key<Sealing>;
/// The key that fingerprints are made with.
pub type FingerprintKey = Key<Fingerprint>;
/// The key that bearer tokens are hashed with.
pub type TokenKey = Key<Token>;

/// The file of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFile {
    /// The daemon's own: nobody else may read it, and it is made where there is none.
    Own(PathBuf),
    /// Handed over by systemd, which sees to it that nobody else reads it.
    Given(PathBuf),
}

impl From<PathBuf> for KeyFile {
    fn from(path: PathBuf) -> Self {
        Self::Own(path)
    }
}

/// A key of 32 random bytes for one purpose. It can't be printed.
pub struct Key<P> {
    bytes: SecretBytes,
    id: String,
    purpose: PhantomData<P>,
}

/// Why a key can't be used, and what to do. It tells nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read or made.
    #[error("the {purpose} key `{}` can't be {doing}: {kind}", path.display())]
    File {
        /// What the key is for.
        purpose: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What was tried: `read` or `made`.
        doing: &'static str,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// systemd hands over no such credential.
    #[error(
        "systemd passed no {purpose} key as `{}`: is there a LoadCredential for it in the unit?",
        path.display()
    )]
    NotGiven {
        /// What the key is for.
        purpose: &'static str,
        /// Where it would be.
        path: PathBuf,
    },
    /// Others than its owner may use the file.
    #[error(
        "the {purpose} key `{path}` has mode {mode:04o}, so others can read or change it: run \
         `chmod 600 {path}`, and replace the key if it was read", path = path.display()
    )]
    Open {
        /// What the key is for.
        purpose: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to somebody else.
    #[error(
        "the {purpose} key `{path}` belongs to uid {owner} and the daemon runs as uid {own}: run \
         `chown {own} {path}`, if it is the right file", path = path.display()
    )]
    Owner {
        /// What the key is for.
        purpose: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        own: u32,
    },
    /// A directory, a pipe or the like.
    #[error("the {purpose} key `{}` isn't a regular file: name another path", path.display())]
    NotAFile {
        /// What the key is for.
        purpose: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// Not the line that such a key is.
    #[error(
        "`{}` doesn't hold a {purpose} key, which is the line `paramd-{purpose}-key-1:` with 64 \
         hex digits: put the right file there, or name a path where none is to have one made",
        path.display()
    )]
    Format {
        /// What the key is for.
        purpose: &'static str,
        /// Where it is.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("no random bytes for a {purpose} key")]
    Random {
        /// What the key is for.
        purpose: &'static str,
    },
}

impl<P: Purpose> Key<P> {
    /// Reads the key of a file; makes both where there is no file, and it is our own.
    ///
    /// # Errors
    /// The file isn't one of this purpose that only we can read, or can't be made.
    pub fn load(file: &KeyFile) -> Result<Self, KeyError> {
        match file {
            KeyFile::Own(path) => Self::load_or_create(path),
            KeyFile::Given(path) => match file::read_given::<P>(path)? {
                Some(bytes) => Ok(Self::of(&bytes)),
                None => Err(KeyError::NotGiven { purpose: P::WORD, path: path.clone() }),
            },
        }
    }

    /// Reads the key of a file; makes both where there is no file.
    ///
    /// # Errors
    /// The file isn't one of this purpose that only we can read, or can't be
    /// made.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        if let Some(bytes) = file::read::<P>(path)? {
            return Ok(Self::of(&bytes));
        }
        let key = random::<P>()?;
        if file::create::<P>(path, &key)? {
            return Ok(Self::of(&key));
        }
        // Another process made one between our two looks.
        let missing = KeyError::Format { purpose: P::WORD, path: path.to_owned() };
        file::read::<P>(path)?.map(|bytes| Self::of(&bytes)).ok_or(missing)
    }

    /// A key that is in no file.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        Ok(Self::of(&*random::<P>()?))
    }

    fn of(bytes: &[u8; KEY_BYTES]) -> Self {
        let bytes = SecretBytes::new(bytes.to_vec());
        let mut key = Self { bytes, id: String::new(), purpose: PhantomData };
        let id = key.derive(&[], &[b"id"]);
        key.id = hex::encode(id.first_chunk::<4>().unwrap_or(&[0; 4]));
        key
    }

    /// What records carry to tell which key they need: 8 hex digits, derived
    /// from the key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Keeps the page that the key is on out of swap, as long as the answer lives;
    /// none: the system allows no page.
    #[expect(clippy::disallowed_methods, reason = "its place is looked at, and not its bytes")]
    pub fn lock(&self) -> Option<Pages> {
        lock_pages(self.bytes.expose())
    }

    /// A key of its own for the use that `info` describes; its parts are joined
    /// as they are, so they must be unambiguous.
    ///
    /// This is HKDF-SHA256 for one block of output, which can't fail.
    #[expect(clippy::disallowed_methods, reason = "keys are derived from the key here alone")]
    pub(crate) fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Derived {
        let extracted = hmac(salt, &[self.bytes.expose()]);
        let parts = [&b"paramd "[..], P::WORD.as_bytes(), b" 1 "];
        let parts: Vec<_> = parts.iter().chain(info).copied().chain([&[1][..]]).collect();
        hmac(extracted.as_slice(), &parts)
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Derived {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    Zeroizing::new(context.sign().as_ref().first_chunk().copied().unwrap_or_default())
}

/// A key that was derived for one use. Wiped when it goes.
pub(crate) type Derived = Zeroizing<[u8; DERIVED_BYTES]>;

impl<P: Purpose> fmt::Debug for Key<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", P::WORD, self.id)
    }
}

fn random<P: Purpose>() -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| KeyError::Random { purpose: P::WORD })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
