//! Looks for all secrets in all forms at once: a table of the first eight bytes of
//! all that is looked for, behind a filter that nearly every place falls through.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::forms::{FORMS, LookedFor};
use super::secret::Secret;

/// Shorter ones would be found by chance, and so would those that so few bits
/// decide.
const SHORTEST: usize = 8;
const BITS: u32 = 44;
/// The least bytes of a part.
const PART: usize = 16;
/// Parts of a long secret, and the fragments of its start and its end.
const PARTS: usize = 24;
const ENDS: usize = 2_048;
/// In the midst of a very long one, a fragment is looked for at every so many
/// bytes.
const STEP: usize = 512;
/// The filter's size: two to the power of so many.
const FILTER: u32 = 25;

/// Something that is looked for.
struct Pattern {
    bytes: Vec<u8>,
    secret: u32,
    form: u8,
}

/// A place where a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Hit {
    /// The secret, by its place among all.
    pub(super) secret: u32,
    /// The form, by its place among all.
    pub(super) form: u8,
}

pub(super) struct Searcher {
    patterns: Vec<Pattern>,
    /// Those that begin with these eight bytes.
    begins: HashMap<u64, Vec<u32>>,
    filter: Vec<u64>,
    /// Secrets of one letter, as it is, and in the forms that have eight bytes.
    letters: HashMap<[u8; 4], u32>,
}

impl Searcher {
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let mut searcher = Self {
            patterns: Vec::new(),
            begins: HashMap::new(),
            filter: vec![0; 1 << (FILTER - 6)],
            letters: HashMap::new(),
        };
        for (number, secret) in secrets.iter().enumerate() {
            let number = u32::try_from(number).unwrap();
            let letter = <[u8; 4]>::try_from(secret.bytes.as_slice());
            if let Ok(letter) = letter {
                searcher.letters.insert(letter, number);
            }
            let parts = parts(secret);
            for (place, form) in FORMS.iter().enumerate() {
                let form_number = u8::try_from(place).unwrap();
                let mut add = |bytes| searcher.add(bytes, number, form_number);
                match form.looked_for {
                    LookedFor::Parts(write) if letter.is_ok() => {
                        write(&secret.bytes).into_iter().filter(|form| is_rare(form)).for_each(add);
                    }
                    LookedFor::Parts(write) => {
                        for part in &parts {
                            let written = write(part).into_iter();
                            // What is as it was is found as it is.
                            written.filter(|form| place == 0 || form != part).for_each(&mut add);
                        }
                    }
                    LookedFor::Whole(write) => write(&secret.bytes).into_iter().for_each(add),
                    LookedFor::Fragments => fragments(secret).into_iter().for_each(add),
                }
            }
        }
        searcher
    }

    fn add(&mut self, bytes: Vec<u8>, secret: u32, form: u8) {
        let Some(first) = bytes.first_chunk().map(|first| u64::from_be_bytes(*first)) else {
            return;
        };
        let (word, bit) = spread(first);
        self.filter[word] |= bit;
        let number = u32::try_from(self.patterns.len()).unwrap();
        self.begins.entry(first).or_default().push(number);
        self.patterns.push(Pattern { bytes, secret, form });
    }

    /// How much is looked for.
    pub(super) fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// Searches; in a text, also for single letters.
    pub(super) fn search(&self, bytes: &[u8], is_text: bool) -> BTreeSet<Hit> {
        let half = bytes.len() / 2;
        // What lies across the middle is found by the first.
        std::thread::scope(|scope| {
            let first = scope.spawn(|| self.from(bytes, 0..half, is_text));
            let mut hits = self.from(bytes, half..bytes.len(), is_text);
            hits.extend(first.join().unwrap());
            hits.into_iter().collect()
        })
    }

    /// What begins in a part of the bytes.
    fn from(&self, bytes: &[u8], range: std::ops::Range<usize>, is_text: bool) -> HashSet<Hit> {
        let mut hits = HashSet::new();
        let mut begin: u64 = 0;
        let end = (range.end + SHORTEST - 1).min(bytes.len());
        for (read, byte) in bytes[range.start..end].iter().enumerate() {
            begin = (begin << 8) | u64::from(*byte);
            let (word, bit) = spread(begin);
            if self.filter[word] & bit != 0 && read + 1 >= SHORTEST {
                self.here(bytes, range.start + read + 1 - SHORTEST, begin, &mut hits);
            }
            // The letters are all of one plane.
            if is_text && (begin >> 24) & 0xff == 0xf3 && read >= 3 {
                let letter = self.letters.get(&(begin as u32).to_be_bytes());
                hits.extend(letter.map(|secret| Hit { secret: *secret, form: 0 }));
            }
        }
        hits
    }

    fn here(&self, bytes: &[u8], at: usize, begin: u64, hits: &mut HashSet<Hit>) {
        for number in self.begins.get(&begin).into_iter().flatten() {
            let pattern = &self.patterns[usize::try_from(*number).unwrap()];
            if bytes[at..].starts_with(&pattern.bytes) {
                hits.insert(Hit { secret: pattern.secret, form: pattern.form });
            }
        }
    }
}

fn spread(begin: u64) -> (usize, u64) {
    let place = begin.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER);
    ((place >> 6) as usize, 1 << (place & 63))
}

/// Whether a form of one letter is none that chance writes: hex digits alone could
/// be any hash.
fn is_rare(form: &[u8]) -> bool {
    form.len() > SHORTEST && form.iter().any(|byte| !byte.is_ascii_alphanumeric())
}

/// The least end of a fragment from here on that chance doesn't write.
fn end(secret: &Secret, start: usize, shortest: usize) -> Option<usize> {
    let mut bits = 0;
    for (at, one) in secret.bits[start..].iter().enumerate() {
        bits += u32::from(*one);
        if bits >= BITS * 10 && at + 1 >= shortest {
            return Some(start + at + 1);
        }
    }
    None
}

fn fragments(secret: &Secret) -> Vec<Vec<u8>> {
    let length = secret.bytes.len();
    let near = |start: &usize| *start < ENDS || start + ENDS > length || start.is_multiple_of(STEP);
    (0..length)
        .filter(near)
        .filter_map(|start| Some(secret.bytes[start..end(secret, start, SHORTEST)?].to_vec()))
        .collect()
}

/// Parts that are looked for in each form. They begin and end between letters.
fn parts(secret: &Secret) -> Vec<Vec<u8>> {
    let length = secret.bytes.len();
    let text = std::str::from_utf8(&secret.bytes).ok();
    let between = |at: usize| {
        let mut at = at.min(length);
        while text.is_some_and(|text| !text.is_char_boundary(at)) {
            at += 1;
        }
        at
    };
    let (mut parts, mut start) = (Vec::new(), 0);
    while let Some(end) = end(secret, start, PART) {
        let end = between(end);
        parts.push(secret.bytes[start..end].to_vec());
        start = end.max(between(length / PARTS * parts.len()));
    }
    parts
}

#[test]
fn each_form_of_a_secret_is_found_as_it_and_nothing_else_is() {
    let secrets: Vec<_> = (0..FORMS.len()).map(|_| Secret::of_control()).collect();
    let searcher = Searcher::new(&secrets);
    assert!(searcher.search(&b"nothing of the kind; ".repeat(1_000), true).is_empty());
    for (number, (secret, form)) in secrets.iter().zip(&FORMS).enumerate() {
        for before in 0..9 {
            let text = [&b"........."[..before], &(form.leaked)(&secret.bytes), b".."].concat();
            let hits = searcher.search(&text, true);
            assert!(hits.iter().all(|hit| hit.secret as usize == number), "{}", form.name);
            let found = hits.iter().any(|hit| FORMS[usize::from(hit.form)].name == form.name);
            assert!(found, "{} after {before} bytes", form.name);
        }
    }
}
