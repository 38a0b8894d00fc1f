//! Random secrets of every shape.

use aws_lc_rs::rand;

/// A secret that was planted somewhere.
#[derive(Clone)]
pub(super) struct Secret {
    /// Where it was planted, such as `vault 3`.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// How many bits chance has for each byte, in tenths: a part with too few is
    /// not looked for.
    pub(super) bits: Vec<u8>,
}

/// How many shapes there are.
pub(super) const SHAPES: usize = 17;
/// The shapes that aren't as the others.
pub(super) const BINARY: usize = 12;
pub(super) const LARGE: usize = 13;
pub(super) const LETTER: usize = 14;
/// The length of a large one, where its place has no limit of its own.
pub(super) const LARGE_BYTES: usize = 1 << 20;

const WORD: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";
const DIGIT: &[u8] = b"0123456789";

impl Secret {
    /// One whose every byte is as random as bytes can be, after so many that are
    /// known.
    pub(super) fn of_bytes(name: &str, bytes: Vec<u8>, known: usize) -> Self {
        let mut bits = vec![0; known];
        bits.resize(bytes.len(), 59);
        Self { name: name.to_owned(), bytes, bits }
    }

    /// One for the control: each part of it changes in each form.
    pub(super) fn of_control() -> Self {
        let mut maker = Maker::default();
        for sign in ["\"", "ü", "<", "\\", "&", " ", "'", "/", "+", "\n"] {
            maker = maker.word(5).fixed(sign);
        }
        maker.named("control")
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub(super) fn is_text(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok_and(|text| !text.contains('\0'))
    }
}

/// A random secret of a shape. None could be a name, which errors may quote; one
/// that has to be text is.
pub(super) fn shaped(name: &str, shape: usize, is_text: bool, large: usize) -> Secret {
    let new = Maker::default;
    let made = match shape {
        0 => new().fixed("K").word(40),
        1 => new().word(14).fixed("'; rm -rf \"$HOME\" & `").word(16).fixed("` | cat <$(").word(9),
        2 => pem(),
        3 => new().fixed("9").digits(17).fixed(".").digits(21),
        4 => new()
            .fixed("{\"user\": \"")
            .word(16)
            .fixed("\", \"password\": \"")
            .word(20)
            .fixed("\"}"),
        5 => new().fixed("p@ss/").word(16).fixed("?x=1&y=").word(14).fixed("#z%20").word(9),
        6 => new().fixed("grüße-").word(18).fixed("-äöü-中-").word(18),
        7 => new().digits(72),
        8 => new().fixed("%").word(18).fixed("%2F%00%").word(18).fixed("%"),
        9 => new().word(2_000),
        10 => new().fixed("<a b='").word(16).fixed("'>&\"").word(18).fixed("\"</a>"),
        11 => new().fixed("back\\slash\t").word(16).fixed("\\n\r\n").word(18),
        BINARY if is_text => new().fixed("\u{1b}[31m").word(16).fixed("\u{7}\u{8}").word(16),
        BINARY => new().fixed("\u{0}").random(40),
        LARGE => new().word(large),
        LETTER => return letter(name),
        15 => new().of(HEX, 64, 40),
        _ => new().word(30).fixed("\r\n").word(30).fixed("\r\n\r\n  ").word(30).fixed("\r\n"),
    };
    made.named(name)
}

fn pem() -> Maker {
    let begin = Maker::default().fixed("-----BEGIN PRIVATE KEY-----\n");
    begin.word(64).fixed("\n").word(64).fixed("\n").word(31).fixed("=\n-----END PRIVATE KEY-----\n")
}

/// One letter that stands nowhere else: of a plane for private use.
fn letter(name: &str) -> Secret {
    let mut random = [0; 2];
    rand::fill(&mut random).unwrap();
    let offset = u32::from(u16::from_be_bytes(random)).min(0xfffd);
    let letter = char::from_u32(0xf_0000 + offset).unwrap();
    let bytes = letter.to_string().into_bytes();
    Secret { name: name.to_owned(), bits: vec![0; bytes.len()], bytes }
}

#[derive(Default)]
struct Maker {
    bytes: Vec<u8>,
    bits: Vec<u8>,
}

impl Maker {
    fn fixed(mut self, text: &str) -> Self {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bits.resize(self.bytes.len(), 0);
        self
    }

    fn of(mut self, alphabet: &[u8], count: usize, bits: u8) -> Self {
        let mut random = vec![0; count];
        rand::fill(&mut random).unwrap();
        let letter = |byte: u8| alphabet[usize::from(byte) % alphabet.len()];
        self.bytes.extend(random.into_iter().map(letter));
        self.bits.resize(self.bytes.len(), bits);
        self
    }

    fn word(self, count: usize) -> Self {
        self.of(WORD, count, 59)
    }

    fn digits(self, count: usize) -> Self {
        self.of(DIGIT, count, 33)
    }

    fn random(mut self, count: usize) -> Self {
        let mut random = vec![0; count];
        rand::fill(&mut random).unwrap();
        // No text, wherever it is cut.
        random.chunks_mut(4).for_each(|chunk| chunk[0] = 0xff);
        self.bytes.extend(random);
        self.bits.resize(self.bytes.len(), 60);
        self
    }

    fn named(self, name: &str) -> Secret {
        Secret { name: name.to_owned(), bytes: self.bytes, bits: self.bits }
    }
}
