//! Answers that leave sealed to the caller's key.

use crate::access::Action;
use crate::engine::{Refusal, Violation, ViolationReason};
use crate::envelope::{About, BadKey, Form, Sealing};
use crate::name::{RunKey, StepName};

/// What is to be permitted. An answer sealed to a key that can't be used is none.
pub(super) fn action(form: &Form) -> Action {
    if form.is_sealed() { Action::RevealSealed } else { Action::Reveal }
}

/// Begins to seal, where that is asked for.
pub(super) fn sealing(form: &Form) -> Result<Option<Sealing>, Refusal> {
    let bad = |BadKey| {
        Refusal::Invalid(vec![Violation {
            field: "recipient.public_key".to_owned(),
            reason: ViolationReason::InvalidField,
            description: "expected a public key of X25519".to_owned(),
        }])
    };
    match form {
        Form::Plain => Ok(None),
        Form::Sealed(key) => key.begin().map(Some).map_err(bad),
        Form::Unknown => Err(Refusal::SealingUnsupported),
    }
}

/// What a sealed answer is bound to.
pub(super) fn about(key: &RunKey, step: &StepName, instance: Option<u32>) -> About {
    About {
        pipeline: key.pipeline.to_string(),
        run_id: key.run_id.to_string(),
        attempt: key.attempt,
        step: step.to_string(),
        instance,
    }
}
