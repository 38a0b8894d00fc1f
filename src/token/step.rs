//! Step tokens: good for one step of one run, with proof of who holds them.
//!
//! A token is `paramd_step_` and 64 hex digits, 256 random bits. The store keeps
//! its keyed hash, and beside it what it is good for, authenticated under the same
//! key: who can write the store can't make one token into another.

use aws_lc_rs::constant_time;
use jiff::Timestamp;

use super::{TokenError, random};
use crate::audit::Principal;
use crate::name::{StepKey, StepName};
use crate::secret::SecretBytes;
use crate::store::keys::TokenKey;
use crate::store::{StepTokenHash, StoredStepToken};

/// What every step token begins with.
pub const STEP_PREFIX: &str = "paramd_step_";
/// The characters of a step token.
const LENGTH: usize = STEP_PREFIX.len() + 64;
const MAC: usize = 32;

/// Whose a step token is: who can't prove to be that can't use it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Holder {
    /// Who shows the certificate with this SHA-256 (RFC 8705, section 3).
    Certificate([u8; 32]),
    /// Who signs with the private key of this Ed25519 public key.
    Key([u8; 32]),
}

/// What a step token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The one step.
    pub step: StepKey,
    /// Whose it is.
    pub holder: Holder,
    /// Who had it made.
    pub minter: Principal,
    /// When it ends, if the run doesn't before.
    pub expires: Timestamp,
}

/// What is kept of a grant beside what the store has columns for.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    step: String,
    holder: Holder,
    minter: Principal,
}

/// A token that was just made. Its bytes are told this once.
pub struct Minted {
    /// The token.
    pub token: SecretBytes,
    /// What the store is to keep.
    pub kept: StoredStepToken,
}

/// Makes step tokens and knows them again.
#[derive(Debug)]
pub struct StepTokens {
    key: TokenKey,
}

impl StepTokens {
    /// With the key of `keys.tokens`.
    pub fn new(key: TokenKey) -> Self {
        Self { key }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn mint(&self, grant: &Grant) -> Result<Minted, TokenError> {
        let token = random(STEP_PREFIX)?;
        let hash = self.hash(&token);
        let Grant { step, holder, minter, expires } = grant;
        let kept =
            Kept { step: step.step.to_string(), holder: holder.clone(), minter: minter.clone() };
        let record = serde_json::to_vec(&kept).map_err(|_| TokenError::Random)?;
        let mut kept = StoredStepToken { hash, run: step.run.clone(), expires: *expires, record };
        let mac = self.mac(&kept);
        kept.record.extend_from_slice(&mac);
        Ok(Minted { token: SecretBytes::new(token.to_vec()), kept })
    }

    /// What the store has a token by; none: it isn't the form of one.
    pub fn find(&self, token: &[u8]) -> Option<StepTokenHash> {
        let is_one = token.len() == LENGTH && token.starts_with(STEP_PREFIX.as_bytes());
        is_one.then(|| self.hash(token))
    }

    /// What a kept token is good for; none: it isn't as it was written.
    pub fn grant(&self, mut kept: StoredStepToken) -> Option<Grant> {
        let mac = kept.record.split_off(kept.record.len().checked_sub(MAC)?);
        constant_time::verify_slices_are_equal(&mac, &self.mac(&kept)).ok()?;
        let Kept { step, holder, minter } = serde_json::from_slice(&kept.record).ok()?;
        let step = StepKey { run: kept.run, step: StepName::parse(&step).ok()? };
        Some(Grant { step, holder, minter, expires: kept.expires })
    }

    fn hash(&self, token: &[u8]) -> StepTokenHash {
        *self.key.derive(&[], &[b"step ", token])
    }

    /// Over all that is kept, each part after its length.
    fn mac(&self, kept: &StoredStepToken) -> [u8; MAC] {
        let StoredStepToken { hash, run, expires, record } = kept;
        let expires = expires.as_nanosecond().to_be_bytes();
        let attempt = run.attempt.to_be_bytes();
        let parts = [
            hash.as_slice(),
            run.pipeline.as_str().as_bytes(),
            run.run_id.as_str().as_bytes(),
            &attempt,
            &expires,
            record,
        ];
        let mut told = b"step record ".to_vec();
        for part in parts {
            told.extend_from_slice(&(part.len() as u64).to_be_bytes());
            told.extend_from_slice(part);
        }
        *self.key.derive(&[], &[&told])
    }
}

#[cfg(test)]
mod tests;
