//! Messages of the contract ↔ the engine's requests and answers.
//!
//! A request is taken apart here and checked by the engine; what only the wire
//! can get wrong (numbers of enums, times, floats) becomes a problem in it.

pub(super) mod context;
pub(super) mod delegate;
pub(super) mod diff;
pub(super) mod events;
pub(super) mod explanation;
pub(super) mod pipeline;
pub(super) mod record;
pub(super) mod request;
pub(super) mod reveal;
pub(super) mod runs;
pub(super) mod time;
pub(super) mod value;

use crate::engine::{Violation, ViolationReason};

/// A field of the request itself that is wrong.
fn invalid(field: impl Into<String>, description: impl Into<String>) -> Violation {
    Violation {
        field: field.into(),
        reason: ViolationReason::InvalidField,
        description: description.into(),
    }
}
