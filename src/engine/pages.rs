//! Page tokens: opaque, and bound to the caller and to the other fields of the
//! request. A forged one shows nothing more: permission is decided for each page.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Violation, ViolationReason};

/// What a token is bound to: the rpc, the caller and the request's other fields.
pub(super) struct Bound([u8; 16]);

impl Bound {
    /// Binds to these texts, in this order.
    pub(super) fn to<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hash = Context::new(&SHA256);
        for part in parts {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finish().as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// A token for a position.
    pub(super) fn token(&self, position: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([self.0.as_slice(), position].concat())
    }

    /// The position of a token; none of an empty one.
    ///
    /// # Errors
    /// It isn't one of ours, or belongs to another request.
    pub(super) fn position(&self, token: &str) -> Result<Option<Vec<u8>>, Violation> {
        if token.is_empty() {
            return Ok(None);
        }
        let decoded = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        match decoded.strip_prefix(&self.0) {
            Some(position) => Ok(Some(position.to_vec())),
            None => Err(wrong_token()),
        }
    }
}

/// The bytes of an answer's entries: the contract's limit, less what is around them.
const ROOM: usize = (3 << 20) - (64 << 10);
/// What an entry costs in an answer beside its own bytes, at most.
const FRAME: usize = 10;

/// What is left of an answer. A page is cut before it is recorded: what is on record
/// is what leaves.
#[derive(Default)]
pub(super) struct Room(Option<usize>);

impl Room {
    /// Whether an entry of so many bytes goes in; the first one always does.
    pub(super) fn takes(&mut self, bytes: usize) -> bool {
        let left = match self.0 {
            None => Some(ROOM.saturating_sub(bytes)),
            Some(left) => left.checked_sub(bytes + FRAME),
        };
        self.0 = Some(left.unwrap_or_default());
        left.is_some()
    }
}

/// The answer to a token that can't be read.
pub(super) fn wrong_token() -> Violation {
    Violation {
        field: "page_token".into(),
        reason: ViolationReason::InvalidField,
        description: "not a token of this request; begin with the first page".into(),
    }
}

/// How many entries a page may have.
///
/// # Errors
/// A negative size.
pub(super) fn page_size(size: i32, default: usize, most: usize) -> Result<usize, Violation> {
    match usize::try_from(size) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(most)),
        Err(_) => Err(Violation {
            field: "page_size".into(),
            reason: ViolationReason::InvalidField,
            description: format!("expected 0 to {most}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_own_request_alone() {
        let mine = Bound::to(["ListEvents", "uid:1", "a"]);
        let other = Bound::to(["ListEvents", "uid:1a", ""]);
        let token = mine.token(&[1, 2]);
        assert_eq!(mine.position(&token), Ok(Some(vec![1, 2])));
        assert_eq!(mine.position(""), Ok(None));
        assert!(other.position(&token).is_err());
        assert!(mine.position("%%%").is_err());
        assert!(mine.position("AAAA").is_err());
    }

    #[test]
    fn an_answer_takes_its_first_entry_and_then_what_fits() {
        let mut room = Room::default();
        assert!(room.takes(4 << 20) && !room.takes(0), "one alone, however large");
        let mut room = Room::default();
        assert!(room.takes(1 << 20) && room.takes(1 << 20) && !room.takes(1 << 20));
    }

    #[test]
    fn sizes_keep_to_their_range() {
        assert_eq!(page_size(0, 50, 500), Ok(50));
        assert_eq!(page_size(7, 50, 500), Ok(7));
        assert_eq!(page_size(i32::MAX, 50, 500), Ok(500));
        assert!(page_size(-1, 50, 500).is_err());
    }
}
