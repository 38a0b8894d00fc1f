//! Changes seeds, the same way each time.

use crate::cases::Random;

/// Another input, made of the seeds.
pub(crate) fn mutated(random: &mut Random, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 << random.below(4) {
        change(random, &mut bytes, seeds, words);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str]) {
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(16)).min(bytes.len());
    match random.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => {
            bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b' ', b'\n'][random.below(9)];
        }
        2 => drop(bytes.drain(at..end)),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        4 => {
            // The end of another seed.
            let other = &seeds[random.below(seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        5 => {
            // A part of another seed.
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let to = (from + random.below(64)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        6 => {
            let many = 1 << random.below(10);
            let byte = bytes.get(at).copied().unwrap_or(b'[');
            bytes.splice(at..at, std::iter::repeat_n(byte, many));
        }
        7 if random.below(4) == 0 => bytes.truncate(at),
        _ if words.is_empty() => {
            let byte = random.next().to_le_bytes()[0];
            bytes.insert(at, byte);
        }
        _ => {
            let word = words[random.below(words.len())].bytes();
            let gone = if random.below(2) == 0 { at..at } else { at..end };
            bytes.splice(gone, word);
        }
    }
}
