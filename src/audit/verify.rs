//! Checking a chain: a pure fold over its rows, in the order of their places.

use std::ops::ControlFlow;

use super::canonical::{self, Canonical, Hash, NO_HASH};

/// What a check found in one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// The chain.
    pub chain: String,
    /// The first sequence that this call checked.
    pub first_sequence: u64,
    /// The last sequence that is good; 0: none is.
    pub last_good_sequence: u64,
    /// The hash of that event; none where none is good.
    pub head_hash: Option<[u8; 32]>,
    /// What is wrong with the event after it.
    pub defect: Option<ChainDefect>,
}

/// What can be wrong with a chain; the numbers are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum ChainDefect {
    /// The event's hash doesn't fit its content.
    Changed = 1,
    /// The event isn't there.
    Missing = 2,
    /// The event doesn't follow from the one before it.
    Misplaced = 3,
}

/// An event as it is stored.
#[derive(Debug, Clone)]
pub struct Row {
    /// The place that it is stored at.
    pub sequence: u64,
    /// Its canonical form.
    pub canonical: Vec<u8>,
    /// The hash of the event before it, as stored.
    pub previous: Hash,
    /// Its own hash, as stored.
    pub hash: Hash,
}

/// How many events the store itself says the chain has, and the last one's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last sequence; 0: none.
    pub sequence: u64,
    /// Its hash; all zero where there is none.
    pub hash: Hash,
}

impl Head {
    /// Of a chain without events.
    pub const EMPTY: Self = Self { sequence: 0, hash: NO_HASH };
}

/// A check on its way.
#[derive(Debug)]
pub struct Verifier {
    chain: String,
    begin: Head,
    good: Head,
    defect: Option<ChainDefect>,
}

impl Verifier {
    /// Begins after an event that an earlier call found to be good, or with
    /// [`Head::EMPTY`].
    pub fn new(chain: String, after: Head) -> Self {
        Self { chain, begin: after, good: after, defect: None }
    }

    /// The last event that is good.
    pub fn good(&self) -> Head {
        self.good
    }

    /// Checks the next row. `agrees` is asked whether what the store keeps
    /// beside the canonical form says the same; `head` is the store's own word,
    /// read together with the row. Breaks at the first defect.
    pub fn feed(
        &mut self,
        row: &Row,
        head: Head,
        agrees: impl FnOnce(&Canonical) -> bool,
    ) -> ControlFlow<()> {
        self.defect = self.defect_of(row, head, agrees);
        if self.defect.is_some() {
            return ControlFlow::Break(());
        }
        self.good = Head { sequence: row.sequence, hash: row.hash };
        ControlFlow::Continue(())
    }

    fn defect_of(
        &self,
        row: &Row,
        head: Head,
        agrees: impl FnOnce(&Canonical) -> bool,
    ) -> Option<ChainDefect> {
        let expected = self.good.sequence.saturating_add(1);
        if row.sequence > expected {
            return Some(ChainDefect::Missing);
        }
        if row.sequence < expected || row.sequence > head.sequence {
            return Some(ChainDefect::Misplaced);
        }
        let Ok(event) = canonical::decode(&row.canonical) else {
            return Some(ChainDefect::Changed);
        };
        if event.sequence != row.sequence || event.chain != self.chain {
            return Some(ChainDefect::Misplaced);
        }
        if row.previous != self.good.hash {
            return Some(ChainDefect::Misplaced);
        }
        let fits = canonical::hash(&self.good.hash, &row.canonical) == row.hash;
        // The store's own note of the last hash shows a last event made anew.
        let is_head = row.sequence != head.sequence || row.hash == head.hash;
        (!(fits && is_head && agrees(&event))).then_some(ChainDefect::Changed)
    }

    /// Ends the check. `head` is the store's own word where all rows were read;
    /// none where time was up.
    pub fn finish(mut self, head: Option<Head>) -> ChainReport {
        if self.defect.is_none() && head.is_some_and(|head| head.sequence > self.good.sequence) {
            self.defect = Some(ChainDefect::Missing);
        }
        ChainReport {
            chain: self.chain,
            first_sequence: self.begin.sequence.saturating_add(1),
            last_good_sequence: self.good.sequence,
            head_hash: (self.good.sequence > 0).then_some(self.good.hash),
            defect: self.defect,
        }
    }
}

#[cfg(test)]
mod tests;
