//! The only door for secret bytes: a frozen run, a permit for each item and the
//! record of the access go in; bytes come out.

use crate::access::{Action, Permit, Resource};
use crate::audit::Recorded;
use crate::audit::event::ItemName;
use crate::name::{ParameterName, RunKey, StepName};
use crate::resolve::held::revealed_form;
use crate::resolve::record::{entry_item, parameter_item};
use crate::secret::SecretBytes;
use crate::snapshot::SecretEncoding;
use crate::store::sealing::{Opener, Sealer};
use crate::value::binary;

/// The most bytes of an answer.
pub const MAX_ANSWER_BYTES: usize = 3 << 20;

/// What a secret costs in an answer beside its bytes and version, at most.
const FRAME: usize = 320;

/// What is to be revealed.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    /// Its name in the answer.
    pub name: ItemName,
    /// Where its bytes are sealed.
    pub place: Place<'a>,
    /// The source's own version.
    pub version: Option<String>,
}

/// Where an item's bytes are sealed.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A parameter's value.
    Parameter(&'a ParameterName),
    /// An entry of a step's `env` or `files`, as it is revealed.
    Entry {
        /// The step.
        step: &'a StepName,
        /// Its instance.
        instance: u32,
        /// Of which form the bytes are.
        encoding: SecretEncoding,
    },
}

/// One secret on its way out.
pub struct RevealedSecret {
    /// Its name: a key of `Context.secrets`.
    pub name: String,
    /// The source's own version.
    pub version: Option<String>,
    /// Of which form the bytes are.
    pub encoding: SecretEncoding,
    /// The bytes.
    pub bytes: SecretBytes,
}

/// Why nothing is revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevealError {
    /// An item without its permit: a fault of ours.
    #[error("an item has no permit")]
    NotPermitted,
    /// What is sealed was changed, or its key is gone.
    #[error("what is sealed can't be opened")]
    Unreadable,
    /// Over [`MAX_ANSWER_BYTES`].
    #[error("the answer is too large")]
    TooLarge,
}

/// Whose secrets are opened.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The run.
    pub run: &'a RunKey,
    /// The step.
    pub step: &'a StepName,
    /// Whether they leave sealed to the caller's key: permission for that is none
    /// for more.
    pub sealed: bool,
}

impl Scope<'_> {
    /// Whether this is the permission to reveal this very item of this step.
    fn covers(&self, permit: &Permit, item: &str) -> bool {
        let (pipeline, run_id) = (&self.run.pipeline, self.run.run_id.as_str());
        let step = self.step.as_str();
        let about = Resource::Parameter { pipeline, run_id, step, item, secrets: &[] };
        let action = if self.sealed { Action::RevealSealed } else { Action::Reveal };
        permit.covers(action, Some(item)) && permit.is_about(&about)
    }
}

/// Opens the items. The record of the access is already on disk: `_recorded`
/// can't be had otherwise.
///
/// # Errors
/// [`RevealError`]; nothing is revealed then.
pub fn open(
    sealer: &Sealer,
    scope: Scope<'_>,
    sealed: &[u8],
    items: &[Item<'_>],
    permits: &[Permit],
    _recorded: &Recorded,
) -> Result<Vec<RevealedSecret>, RevealError> {
    let mut left = MAX_ANSWER_BYTES;
    let mut secrets = Vec::with_capacity(items.len());
    let opener = sealer.opener(scope.run, sealed).map_err(|_| RevealError::Unreadable);
    if items.len() != permits.len() {
        // One for each; of none at all, that of the step is shown.
        let of_step = items.is_empty() && permits.len() == 1;
        if !of_step {
            return Err(RevealError::NotPermitted);
        }
    }
    for (item, permit) in items.iter().zip(permits) {
        if !scope.covers(permit, item.name.as_str()) {
            return Err(RevealError::NotPermitted);
        }
        let opener = opener.as_ref().map_err(|error| *error)?;
        let (encoding, bytes) = open_item(opener, item)?;
        let size = bytes.len() + item.version.as_ref().map_or(0, String::len) + FRAME;
        left = left.checked_sub(size).ok_or(RevealError::TooLarge)?;
        secrets.push(RevealedSecret {
            name: item.name.as_str().to_owned(),
            version: item.version.clone(),
            encoding,
            bytes: SecretBytes::new(bytes),
        });
    }
    Ok(secrets)
}

#[expect(clippy::disallowed_methods, reason = "the door: a permit and a record were shown")]
fn open_item(
    opener: &Opener<'_>,
    item: &Item<'_>,
) -> Result<(SecretEncoding, Vec<u8>), RevealError> {
    let opened = |name: &str| opener.open(name).map_err(|_| RevealError::Unreadable);
    match item.place {
        Place::Parameter(name) => {
            let bytes = opened(&parameter_item(name))?;
            let value = binary::decode(bytes.expose()).map_err(|_| RevealError::Unreadable)?;
            Ok(revealed_form(&value))
        }
        Place::Entry { step, instance, encoding } => {
            let bytes = opened(&entry_item(step.as_str(), instance, item.name.as_str()))?;
            Ok((encoding, bytes.expose().to_vec()))
        }
    }
}
