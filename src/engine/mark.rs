//! Marks: what a token has of the audit log, so that it is good for this store
//! alone. A place within the log isn't enough: another store has the place too,
//! and so has an earlier copy of this one that went on differently.

use aws_lc_rs::digest::{Context, SHA256};

use super::events::invalid;
use super::record::store_refusal;
use super::{Engine, Refusal, Violation};
use crate::audit::canonical::Hash;
use crate::store::StoreError;

/// A place in the log, and what tells the log up to there from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last event before the place; 0: there is none.
    pub(super) sequence: u64,
    /// Of the chain and that event's hash, which holds all events before it. The
    /// hash itself is for those who may see the event.
    print: [u8; 16],
}

impl Mark {
    /// After the event that has this hash.
    pub(super) fn new(chain: &str, sequence: u64, hash: &Hash) -> Self {
        let mut digest = Context::new(&SHA256);
        digest.update(hash);
        digest.update(chain.as_bytes());
        let print = digest.finish().as_ref().first_chunk().copied().unwrap_or_default();
        Self { sequence, print }
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        [self.sequence.to_be_bytes().as_slice(), &self.print].concat()
    }

    /// A mark, and the bytes that follow it.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (sequence, rest) = bytes.split_first_chunk()?;
        let (print, rest) = rest.split_first_chunk()?;
        Some((Self { sequence: u64::from_be_bytes(*sequence), print: *print }, rest))
    }
}

impl Engine {
    /// Marks the place after an event that is durable; 0: before the first.
    ///
    /// # Errors
    /// The store can't be read, or the event is gone.
    pub(super) fn mark(&self, sequence: u64) -> Result<Mark, Refusal> {
        self.find_mark(sequence)?.ok_or_else(|| store_refusal(&StoreError::Corrupt))
    }

    /// What is wrong with a token that bears this mark; none: it is of this log.
    ///
    /// # Errors
    /// The store can't be read.
    pub(super) fn check_mark(
        &self,
        field: &'static str,
        mark: Mark,
    ) -> Result<Option<Violation>, Refusal> {
        let is_ours = self.find_mark(mark.sequence)? == Some(mark);
        Ok((!is_ours).then(|| {
            let why = "a token of another store, or of what this one held before it was restored \
                       from a copy; begin without one";
            invalid(field, why.to_owned())
        }))
    }

    fn find_mark(&self, sequence: u64) -> Result<Option<Mark>, Refusal> {
        let hash = self.store.hash_at(sequence).map_err(|error| store_refusal(&error))?;
        Ok(hash.map(|hash| Mark::new(self.store.chain(), sequence, &hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_from_its_bytes_with_what_follows() {
        let mark = Mark::new("c", u64::MAX, &[7; 32]);
        let bytes = [mark.bytes(), vec![1, 2]].concat();
        assert_eq!(Mark::read(&bytes), Some((mark, [1, 2].as_slice())));
        assert_eq!(Mark::read(&bytes[..23]), None);
    }

    #[test]
    fn a_chain_and_a_hash_each_make_another_mark() {
        let mark = Mark::new("c", 1, &[7; 32]);
        assert_ne!(mark, Mark::new("d", 1, &[7; 32]));
        assert_ne!(mark, Mark::new("c", 1, &[8; 32]));
        assert_ne!(mark, Mark::new("c", 2, &[7; 32]));
        assert!(!mark.bytes().windows(4).any(|window| window == [7; 4]), "the hash isn't told");
    }
}
