//! Messages of gRPC are handed on whole. Who decodes them makes room for as many
//! bytes as the first five announce: to announce many has to cost as many.

use bytes::{Bytes, BytesMut};

/// The bytes before a message: a flag, and its length.
const HEAD: usize = 5;

/// What has come of a body and isn't handed on yet.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// One piece that needs no other, as most have.
    alone: Bytes,
    /// Copied together: a small piece would keep all that was read with it.
    held: BytesMut,
}

impl Gathered {
    pub(super) fn push(&mut self, data: Bytes) {
        if self.is_cut_off() || announced(&data).is_none_or(|length| HEAD + length != data.len()) {
            self.held.extend_from_slice(&data);
        } else {
            self.alone = data;
        }
    }

    /// The next message, whole; none: more has to come. One over `limit` isn't waited
    /// for: it is refused by its first bytes.
    pub(super) fn next(&mut self, limit: usize) -> Option<Bytes> {
        if !self.alone.is_empty() {
            return Some(std::mem::take(&mut self.alone));
        }
        let length = announced(&self.held)?;
        let whole = HEAD.saturating_add(length);
        if length <= limit && whole > self.held.len() {
            return None;
        }
        Some(self.held.split_to(whole.min(self.held.len())).freeze())
    }

    /// Whether there is something that isn't handed on.
    pub(super) fn is_cut_off(&self) -> bool {
        !self.alone.is_empty() || !self.held.is_empty()
    }
}

/// The length of the message that begins here, where it is known.
fn announced(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(1..HEAD)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let announced = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &announced, &vec![7; length]].concat()
    }

    #[test]
    fn a_message_is_held_until_it_is_whole() {
        let mut gathered = Gathered::default();
        let bytes = message(10);
        for byte in &bytes[..14] {
            gathered.push(Bytes::copy_from_slice(&[*byte]));
            assert_eq!(gathered.next(100), None);
        }
        assert!(gathered.is_cut_off());
        gathered.push(Bytes::copy_from_slice(&[bytes[14], 0, 0, 0, 0, 9, 1]));
        let mut whole = Vec::new();
        while let Some(piece) = gathered.next(100) {
            whole.extend_from_slice(&piece);
        }
        assert_eq!(whole, bytes, "and not the beginning of the next one");
        assert!(gathered.is_cut_off());
    }

    #[test]
    fn one_that_is_too_large_is_not_waited_for() {
        let mut gathered = Gathered::default();
        gathered.push(Bytes::from_static(&[0, 0, 0, 1, 1, 9]));
        assert_eq!(gathered.next(256).as_deref(), Some(&[0, 0, 0, 1, 1, 9][..]));
        assert_eq!(gathered.next(256), None);
        assert!(!gathered.is_cut_off());
    }

    proptest! {
        #[test]
        fn whatever_the_pieces_the_bytes_are_the_same(
            lengths in prop::collection::vec(0_usize..300, 0..6),
            cuts in prop::collection::vec(1_usize..200, 1..40),
            cut_off in 0_usize..12,
        ) {
            let whole: Vec<u8> = lengths.iter().flat_map(|length| message(*length)).collect();
            // The beginning of one more, whose rest never comes.
            let all = [whole.clone(), message(20)[..cut_off].to_vec()].concat();
            let (mut gathered, mut got, mut rest) = (Gathered::default(), Vec::new(), &all[..]);
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                gathered.push(Bytes::copy_from_slice(piece));
                while let Some(piece) = gathered.next(300) {
                    prop_assert!(!piece.is_empty());
                    got.extend_from_slice(&piece);
                }
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, whole);
            prop_assert_eq!(gathered.is_cut_off(), cut_off > 0);
        }
    }
}
