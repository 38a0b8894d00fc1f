//! Masks secrets in text that others wrote, as it streams by.
//!
//! It is a courtesy and a detector, never the boundary: who gets a secret can
//! print it in a form that no mask knows.

mod automaton;
mod forms;
mod skip;

use std::sync::Arc;

use crate::secret::SecretBytes;
use automaton::{Automaton, State};
use skip::{Skip, WINDOW};

/// What stands in the place of a secret.
pub const REPLACEMENT: &[u8] = b"[REDACTED]";

/// The fewest bytes of a secret that is masked. A shorter one would blank half
/// of a text that has nothing to do with it.
pub const MIN_SECRET_BYTES: usize = 8;

/// The secrets that one text is searched for. Cheap to clone.
#[derive(Clone)]
pub struct SecretSet(Arc<Patterns>);

/// What is looked for.
struct Patterns {
    automaton: Automaton,
    skip: Skip,
}

impl SecretSet {
    /// Takes the secrets: each, each line of a longer one and each leaf of a JSON
    /// one, as it is, in base64, hex, percent-encoded and JSON-escaped. What has
    /// under [`MIN_SECRET_BYTES`] is left out. Line ends at a secret's end aren't
    /// part of what is masked: programs print a key from a file without them.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretBytes>) -> Self {
        Self::build(forms::patterns(secrets.into_iter().map(exposed)).iter().map(Vec::as_slice))
    }

    fn build<'a>(patterns: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let skip = Skip::of(patterns.clone());
        let mut automaton = Automaton::new();
        patterns.for_each(|pattern| automaton.add(pattern));
        automaton.link();
        Self(Arc::new(Patterns { automaton, skip }))
    }
}

impl std::fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretSet([REDACTED])")
    }
}

/// How much of a secret is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All of it.
    Whole,
    /// It, but not a line or a leaf of it by itself: that is too short.
    InPart,
    /// Nothing: it is too short.
    Nothing,
}

/// How much of a secret is masked. An empty one has nothing to hide.
pub fn coverage(secret: &SecretBytes) -> Coverage {
    match exposed(secret) {
        [] => Coverage::Whole,
        bytes if !is_maskable(bytes) => Coverage::Nothing,
        bytes if forms::has_short_piece(bytes) => Coverage::InPart,
        _ => Coverage::Whole,
    }
}

fn is_maskable(bytes: &[u8]) -> bool {
    bytes.len() >= MIN_SECRET_BYTES
}

#[expect(clippy::disallowed_methods, reason = "a mask has to know what it hides")]
fn exposed(secret: &SecretBytes) -> &[u8] {
    let mut bytes = secret.expose();
    while let [rest @ .., b'\n' | b'\r'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Masks one stream, however its writes are cut.
///
/// All bytes that lie in an occurrence of a secret are hidden; occurrences that
/// overlap or touch become one [`REPLACEMENT`]. Of what was pushed, only the
/// bytes that could begin a secret are held back.
#[derive(Debug)]
pub struct Masker {
    secrets: SecretSet,
    state: State,
    /// The bytes that could begin a secret, each with whether it is hidden
    /// already.
    held: Vec<(u8, bool)>,
    /// Whether the last byte that left was a hidden one.
    inside: bool,
}

impl Masker {
    /// Begins a stream.
    pub fn new(secrets: SecretSet) -> Self {
        Self { secrets, state: State::START, held: Vec::new(), inside: false }
    }

    /// Takes the next bytes and appends what may be shown to `shown`.
    pub fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) {
        let secrets = Arc::clone(&self.secrets.0);
        let mut at = 0;
        while at < bytes.len() {
            if self.held.is_empty() && self.state == State::START {
                at += self.pass(&secrets.skip, bytes.get(at..).unwrap_or_default(), shown);
            }
            at = self.search(&secrets.automaton, bytes, at, shown);
        }
        self.release(secrets.automaton.pending(self.state), shown);
    }

    /// Shows what has nothing to do with any secret, which most text is; how much
    /// that was.
    fn pass(&mut self, skip: &Skip, rest: &[u8], shown: &mut Vec<u8>) -> usize {
        let quiet = rest.get(..skip.quiet(rest)).unwrap_or_default();
        if !quiet.is_empty() {
            shown.extend_from_slice(quiet);
            self.inside = false;
        }
        quiet.len()
    }

    /// Goes byte by byte until no secret has begun, or only in the last few bytes;
    /// gives where to go on. Those few are looked at again: they may be quiet.
    fn search(
        &mut self,
        secrets: &Automaton,
        bytes: &[u8],
        from: usize,
        shown: &mut Vec<u8>,
    ) -> usize {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            self.take(secrets, byte, shown);
            at += 1;
            let pending = secrets.pending(self.state);
            // Further than where it began, or it would go round for ever.
            if pending < WINDOW && at > from + pending {
                self.release(pending, shown);
                if self.held.iter().all(|(_, hidden)| !hidden) {
                    self.held.clear();
                    self.state = State::START;
                    return at - pending;
                }
            }
        }
        at
    }

    fn take(&mut self, secrets: &Automaton, byte: u8, shown: &mut Vec<u8>) {
        self.state = secrets.step(self.state, byte);
        self.held.push((byte, false));
        let found = secrets.longest_match(self.state);
        for (_, hidden) in self.held.iter_mut().rev().take(found) {
            *hidden = true;
        }
        if secrets.pending(self.state) == 0 {
            self.release(0, shown);
        }
    }

    /// Ends the stream: nothing can follow, so nothing is held back.
    pub fn finish(&mut self, shown: &mut Vec<u8>) {
        self.release(0, shown);
        self.state = State::START;
    }

    fn release(&mut self, keep: usize, shown: &mut Vec<u8>) {
        let leaving = self.held.len().saturating_sub(keep);
        for (byte, hidden) in self.held.drain(..leaving) {
            match (hidden, self.inside) {
                (true, false) => shown.extend_from_slice(REPLACEMENT),
                (true, true) => {}
                (false, _) => shown.push(byte),
            }
            self.inside = hidden;
        }
    }
}

#[cfg(test)]
mod tests;
