//! Masks secrets in text that others wrote, as it streams by.
//!
//! It is a courtesy and a detector, never the boundary: who gets a secret can
//! print it in a form that no mask knows.

mod automaton;
mod forms;

use std::sync::Arc;

use crate::secret::SecretBytes;
use automaton::{Automaton, State};

/// What stands in the place of a secret.
pub const REPLACEMENT: &[u8] = b"[REDACTED]";

/// The fewest bytes of a secret that is masked. A shorter one would blank half
/// of a text that has nothing to do with it.
pub const MIN_SECRET_BYTES: usize = 8;

/// The secrets that one text is searched for. Cheap to clone.
#[derive(Clone)]
pub struct SecretSet(Arc<Automaton>);

impl SecretSet {
    /// Takes the secrets: each, each line of a longer one and each leaf of a JSON
    /// one, as it is, in base64, hex, percent-encoded and JSON-escaped. What has
    /// under [`MIN_SECRET_BYTES`] is left out. Line ends at a secret's end aren't
    /// part of what is masked: programs print a key from a file without them.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretBytes>) -> Self {
        Self::build(forms::patterns(secrets.into_iter().map(exposed)).iter().map(Vec::as_slice))
    }

    fn build<'a>(patterns: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut automaton = Automaton::new();
        patterns.for_each(|pattern| automaton.add(pattern));
        automaton.link();
        Self(Arc::new(automaton))
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
        let mut rest = bytes;
        while let Some((&byte, tail)) = rest.split_first() {
            // Most text has nothing to do with any secret.
            let quiet = match self.held.is_empty() && self.state == State::START {
                true => rest.iter().take_while(|next| !secrets.begins(**next)).count(),
                false => 0,
            };
            if quiet == 0 {
                self.take(&secrets, byte, shown);
                rest = tail;
            } else {
                let (plain, after) = rest.split_at(quiet);
                shown.extend_from_slice(plain);
                self.inside = false;
                rest = after;
            }
        }
        self.release(secrets.pending(self.state), shown);
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
