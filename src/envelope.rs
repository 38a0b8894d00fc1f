//! Answers sealed to a caller's key: HPKE (RFC 9180) in base mode with
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305. One setup makes
//! an answer and one message each secret, in their order; `proto/README.md` has
//! the form.

use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_CHACHA20_POLY1305 as SUITE;
use rustls::crypto::hpke::{
    EncapsulatedSecret, Hpke as _, HpkeOpener, HpkePrivateKey, HpkePublicKey, HpkeSealer,
};

use crate::secret::SecretBytes;

/// What an answer is for; another use of the same key has another text.
const INFO: &[u8] = b"paramd.v1.RevealSecrets";
const KEY_BYTES: usize = 32;

/// A public key that isn't one: of another length, or a point that would make
/// the shared secret known to everybody (RFC 7748, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key of X25519")]
pub struct BadKey;

/// What was sealed isn't to be opened: it was changed, or is another's, or stands
/// at another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed answer can't be opened")]
pub struct Unopenable;

/// The library could not seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer can't be sealed")]
pub struct Unsealable;

/// How an answer is to leave.
#[derive(Debug, Clone)]
pub enum Form {
    /// As it is.
    Plain,
    /// Sealed to this key.
    Sealed(PublicKey),
    /// Sealed by algorithms that this release doesn't know.
    Unknown,
}

impl Form {
    /// Whether anything but a plain answer is asked for.
    pub fn is_sealed(&self) -> bool {
        !matches!(self, Self::Plain)
    }
}

/// A caller's public key.
#[derive(Debug, Clone)]
pub struct PublicKey(HpkePublicKey);

impl PublicKey {
    /// Of its raw bytes.
    ///
    /// # Errors
    /// They aren't 32.
    pub fn new(bytes: &[u8]) -> Result<Self, BadKey> {
        if bytes.len() == KEY_BYTES { Ok(Self(HpkePublicKey(bytes.to_vec()))) } else { Err(BadKey) }
    }

    /// Begins an answer.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn begin(&self) -> Result<Sealing, BadKey> {
        let (key, context) = SUITE.setup_sealer(INFO, &self.0).map_err(|_| BadKey)?;
        Ok(Sealing { encapsulated_key: key.0, context })
    }
}

/// What each message is bound to, beside its secret's name.
#[derive(Debug, Clone)]
pub struct About {
    /// The pipeline.
    pub pipeline: String,
    /// The run.
    pub run_id: String,
    /// Its attempt.
    pub attempt: u32,
    /// The step.
    pub step: String,
    /// The instance, where the request named one.
    pub instance: Option<u32>,
}

impl About {
    /// The associated data: no part can hold the zero byte between them.
    fn associated(&self, name: &str) -> Vec<u8> {
        let Self { pipeline, run_id, attempt, step, instance } = self;
        let instance = instance.map_or(String::new(), |one| one.to_string());
        let attempt = attempt.to_string();
        [pipeline, run_id, &attempt, step, &instance, name].join("\0").into_bytes()
    }
}

/// An answer that is being sealed.
pub struct Sealing {
    encapsulated_key: Vec<u8>,
    context: Box<dyn HpkeSealer>,
}

impl Sealing {
    /// HPKE's encapsulated key, for the caller.
    pub fn encapsulated_key(&self) -> &[u8] {
        &self.encapsulated_key
    }

    /// The next message.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn seal(&mut self, about: &About, name: &str, plain: &[u8]) -> Result<Vec<u8>, Unsealable> {
        self.context.seal(&about.associated(name), plain).map_err(|_| Unsealable)
    }
}

/// A key pair for one answer.
pub struct OwnKey {
    public: HpkePublicKey,
    private: HpkePrivateKey,
}

impl OwnKey {
    /// A fresh one.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn generate() -> Result<Self, Unsealable> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| Unsealable)?;
        Ok(Self { public, private })
    }

    /// What the daemon seals to.
    pub fn public(&self) -> &[u8] {
        &self.public.0
    }

    /// Begins to open an answer.
    ///
    /// # Errors
    /// [`Unopenable`].
    pub fn begin(&self, encapsulated_key: &[u8]) -> Result<Opening, Unopenable> {
        let key = EncapsulatedSecret(encapsulated_key.to_vec());
        let context = SUITE.setup_opener(&key, INFO, &self.private).map_err(|_| Unopenable)?;
        Ok(Opening { context })
    }
}

/// An answer that is being opened.
pub struct Opening {
    context: Box<dyn HpkeOpener>,
}

impl Opening {
    /// Opens the next message.
    ///
    /// # Errors
    /// [`Unopenable`].
    pub fn open(
        &mut self,
        about: &About,
        name: &str,
        sealed: &[u8],
    ) -> Result<SecretBytes, Unopenable> {
        let plain = self.context.open(&about.associated(name), sealed).map_err(|_| Unopenable)?;
        Ok(SecretBytes::new(plain))
    }
}

#[cfg(test)]
mod tests;
