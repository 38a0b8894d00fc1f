//! Lets in clients that name a Unix socket's path as their `:authority`.
//!
//! gRPC's C core (so Python's client) sends `run%2Fparamd.sock` and Java's
//! `/run/paramd.sock`; h2 takes neither for an authority and resets the stream.
//! Nothing of ours reads it, so the bytes that h2 minds are replaced in place,
//! before it looks. Lengths stay, so frames and the header table stay whole;
//! what isn't as expected passes unchanged.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;

/// A connection whose requests may have a path for their authority.
pub(super) struct Lenient {
    stream: UnixStream,
    frames: Frames,
}

impl Lenient {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, frames: Frames::new() }
    }

    /// The connection itself: what is written passes as it is.
    pub(super) fn writer(&mut self) -> &mut UnixStream {
        &mut self.stream
    }
}

impl AsyncRead for Lenient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(read) = buffer.filled_mut().get_mut(before..) {
            self.frames.pass(read);
        }
        polled
    }
}

/// The bytes that a client sends before its first frame.
const PREFACE: usize = 24;
/// The field's name, for clients that spell it out.
const AUTHORITY: &[u8] = b":authority";
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Where in the stream of frames the connection is (RFC 9113, section 4).
struct Frames {
    place: Place,
    block: Block,
}

enum Place {
    /// Bytes that don't matter, up to the next frame.
    Passed(usize),
    /// Inside the 9 bytes before a frame's payload.
    Header(Vec<u8>),
    /// Inside a payload with a header block.
    Fields(Fields),
}

struct Fields {
    /// Whether the next byte tells how much padding ends the payload.
    padded: bool,
    /// Bytes of a priority before the block.
    priority: usize,
    /// Bytes of the block, with the padding as long as it isn't known.
    left: usize,
    /// Bytes of padding after it.
    padding: usize,
}

impl Frames {
    fn new() -> Self {
        Self { place: Place::Passed(PREFACE), block: Block::new() }
    }

    fn pass(&mut self, mut bytes: &mut [u8]) {
        while let Some(first) = bytes.first_mut() {
            let mut taken = 1;
            match &mut self.place {
                Place::Passed(left) => {
                    taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.place = Place::Header(Vec::with_capacity(9));
                    }
                }
                Place::Header(seen) => {
                    seen.push(*first);
                    if let [a, b, c, kind, flags, ..] = seen.as_slice()
                        && seen.len() == 9
                    {
                        let length = u32::from_be_bytes([0, *a, *b, *c]);
                        let length = usize::try_from(length).unwrap_or(usize::MAX);
                        self.place = self.block.enter(*kind, *flags, length);
                    }
                }
                Place::Fields(fields) => {
                    if fields.pass(first, &mut self.block) {
                        self.place = after(fields.padding);
                    }
                }
            }
            bytes = bytes.get_mut(taken..).unwrap_or_default();
        }
    }
}

/// The place after which `left` bytes follow up to the next frame.
fn after(left: usize) -> Place {
    if left == 0 { Place::Header(Vec::with_capacity(9)) } else { Place::Passed(left) }
}

impl Fields {
    /// Passes one byte of the payload; true after the block's last.
    fn pass(&mut self, byte: &mut u8, block: &mut Block) -> bool {
        self.left -= 1;
        if self.padded {
            self.padded = false;
            self.padding = usize::from(*byte).min(self.left);
            self.left -= self.padding;
        } else if self.priority > 0 {
            self.priority -= 1;
        } else {
            block.pass(byte);
        }
        self.left == 0
    }
}

/// Where in a header block the connection is (RFC 7541, section 6).
struct Block(State);

#[derive(Clone, Copy)]
enum State {
    /// Before a field.
    Field,
    /// Inside a number of more than one byte.
    Number { value: usize, shift: u32, of: Number },
    /// Before a text's length.
    Length(Text),
    /// Inside a text.
    Text { left: usize, text: Text, plain: bool },
    /// It isn't what it should be: h2 will say so.
    Lost,
}

#[derive(Clone, Copy)]
enum Number {
    /// A whole field from the table, or the table's size.
    Whole,
    /// A name's place in the table; 0: the name follows.
    Name,
    /// A text's length; only a plain one can be told byte by byte.
    Length { text: Text, plain: bool },
}

#[derive(Clone, Copy)]
struct Text {
    /// A name, and not a value.
    name: bool,
    /// So far, the name or that of the value is `:authority`.
    authority: bool,
}

impl Block {
    fn new() -> Self {
        Self(State::Field)
    }

    /// The place at the begin of a frame's payload.
    fn enter(&mut self, kind: u8, flags: u8, length: usize) -> Place {
        if length == 0 || (kind != HEADERS && kind != CONTINUATION) {
            return after(length);
        }
        let begins = kind == HEADERS;
        if begins && !matches!(self.0, State::Lost) {
            self.0 = State::Field;
        }
        Place::Fields(Fields {
            padded: begins && flags & PADDED != 0,
            priority: if begins && flags & PRIORITY != 0 { 5 } else { 0 },
            left: length,
            padding: 0,
        })
    }

    fn pass(&mut self, byte: &mut u8) {
        self.0 = match self.0 {
            State::Field => match *byte {
                b if b & 0x80 != 0 => begin(b, 0x7f, Number::Whole),
                b if b & 0x40 != 0 => begin(b, 0x3f, Number::Name),
                b if b & 0x20 != 0 => begin(b, 0x1f, Number::Whole),
                b => begin(b, 0x0f, Number::Name),
            },
            State::Length(text) => {
                begin(*byte, 0x7f, Number::Length { text, plain: *byte & 0x80 == 0 })
            }
            State::Number { shift, .. } if shift > 21 => State::Lost,
            State::Number { value, shift, of } => {
                let value = value + (usize::from(*byte & 0x7f) << shift);
                if *byte & 0x80 == 0 {
                    end(value, of)
                } else {
                    State::Number { value, shift: shift + 7, of }
                }
            }
            State::Text { left, mut text, plain } => {
                if text.name {
                    let wanted = AUTHORITY.len().checked_sub(left);
                    text.authority &= wanted.and_then(|at| AUTHORITY.get(at)) == Some(byte);
                } else if text.authority && plain && matches!(*byte, b'%' | b'/') {
                    *byte = b'-';
                }
                if left > 1 { State::Text { left: left - 1, text, plain } } else { follow(text) }
            }
            State::Lost => State::Lost,
        };
    }
}

fn begin(byte: u8, mask: u8, of: Number) -> State {
    let value = byte & mask;
    if value == mask {
        State::Number { value: value.into(), shift: 0, of }
    } else {
        end(value.into(), of)
    }
}

fn end(value: usize, of: Number) -> State {
    match of {
        Number::Whole => State::Field,
        Number::Name if value == 0 => State::Length(Text { name: true, authority: true }),
        // The first entry of the static table is `:authority`.
        Number::Name => State::Length(Text { name: false, authority: value == 1 }),
        Number::Length { mut text, plain } => {
            if text.name {
                text.authority = plain && value == AUTHORITY.len();
            }
            if value == 0 { follow(text) } else { State::Text { left: value, text, plain } }
        }
    }
}

fn follow(text: Text) -> State {
    if text.name {
        State::Length(Text { name: false, authority: text.authority })
    } else {
        State::Field
    }
}

#[cfg(test)]
mod tests;
