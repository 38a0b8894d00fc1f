//! Where in a text a pattern could begin, by Wu and Manber: of a window as long as
//! the shortest pattern only the last bytes are looked at, and most tell that no
//! pattern begins in the next few places. Clean text is passed over this way.

/// The bytes that are looked at together.
const BLOCK: usize = 3;
/// The longest window, which is the shortest secret that is masked.
pub(super) const WINDOW: usize = super::MIN_SECRET_BYTES;
/// Blocks are told apart by so many bits.
const BITS: u32 = 16;

/// What is known of patterns' first bytes.
pub(super) struct Skip {
    /// As long as the shortest pattern; none where that is too short to help.
    window: Option<usize>,
    /// For each block that ends a window, how far the next possible place is.
    shifts: Vec<u8>,
    /// The blocks that begin a pattern.
    begins: Vec<bool>,
}

impl Skip {
    /// Looks at the first bytes of patterns.
    pub(super) fn of<'a>(patterns: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let shortest = patterns.clone().map(<[u8]>::len).min().unwrap_or(WINDOW).min(WINDOW);
        let window = (shortest >= BLOCK).then_some(shortest);
        let furthest = u8::try_from(shortest.saturating_sub(BLOCK - 1)).unwrap_or(1);
        let mut skip =
            Self { window, shifts: vec![furthest; 1 << BITS], begins: vec![false; 1 << BITS] };
        for pattern in patterns {
            let first = pattern.get(..shortest).unwrap_or_default();
            skip.note(first);
        }
        skip
    }

    fn note(&mut self, first: &[u8]) {
        let last = first.len().saturating_sub(BLOCK);
        for (place, block) in first.array_windows::<BLOCK>().enumerate() {
            let shift = u8::try_from(last - place).unwrap_or(0);
            if let Some(known) = self.shifts.get_mut(slot(*block)) {
                *known = shift.min(*known);
            }
            if place == 0
                && let Some(begins) = self.begins.get_mut(slot(*block))
            {
                *begins = true;
            }
        }
    }

    /// How many places from the start of `text` on begin no pattern for sure.
    pub(super) fn quiet(&self, text: &[u8]) -> usize {
        let Some(length) = self.window else { return 0 };
        let mut at = 0;
        while let Some(window) = text.get(at..at + length) {
            let (Some(first), Some(last)) = (window.first_chunk(), window.last_chunk()) else {
                return at;
            };
            let shift = self.shifts.get(slot(*last)).copied().unwrap_or(0);
            let begins = || self.begins.get(slot(*first)).copied().unwrap_or(true);
            match usize::from(shift) {
                0 if begins() => return at,
                shift => at += shift.max(1),
            }
        }
        at
    }
}

/// Where a block is in the tables. Blocks may share a place: that makes a shift
/// shorter, never longer.
fn slot([a, b, c]: [u8; BLOCK]) -> usize {
    let block = u32::from_le_bytes([a, b, c, 0]);
    (block.wrapping_mul(0x9E37_79B1) >> (u32::BITS - BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(patterns: &[&str], text: &str) -> usize {
        Skip::of(patterns.iter().map(|one| one.as_bytes())).quiet(text.as_bytes())
    }

    #[test]
    fn it_stops_where_a_pattern_begins() {
        assert_eq!(quiet(&["password"], "the password"), 4);
        assert_eq!(quiet(&["password", "another-one"], "is another-one"), 3);
        assert_eq!(quiet(&["password"], "password"), 0);
    }

    #[test]
    fn the_end_is_left_where_a_pattern_could_begin_in_it() {
        let text = "nothing at all, pass";
        assert!(quiet(&["password"], text) <= text.len() - 4);
        assert!(quiet(&["password"], text) > text.len() - WINDOW - 1);
        assert_eq!(quiet(&["password"], "pass"), 0);
    }

    #[test]
    fn short_patterns_are_not_skipped_for() {
        assert_eq!(quiet(&["ab", "password"], "nothing at all"), 0);
        assert_eq!(quiet(&["abc"], "xyzabc"), 3);
    }
}
