//! Joins the output of children that run at the same time: line by line, each
//! line with its step's name, and a line that isn't ended yet shown at once.

use std::sync::{Mutex, PoisonError};

use crate::cli::printer::{Printer, Stream};
use crate::cli::text::escaped;

/// The number of the executor's own lines.
const OWN: usize = usize::MAX;

/// Our standard output and standard error.
pub(super) struct Output {
    sink: Sink,
    out: Mutex<Lane>,
    err: Mutex<Lane>,
}

/// Where joined output goes.
enum Sink {
    /// Our own streams.
    Process(Printer),
    /// A test that looks at it, both streams in one.
    #[cfg(test)]
    Memory(Mutex<Vec<u8>>),
}

/// Who writes: a number of its own, and what its lines begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writer {
    /// Tells writers apart.
    pub(super) number: usize,
    /// Empty: lines are passed on as they are.
    pub(super) label: String,
}

impl Output {
    pub(super) fn new(printer: Printer) -> Self {
        Self { sink: Sink::Process(printer), out: Mutex::default(), err: Mutex::default() }
    }

    #[cfg(test)]
    pub(super) fn kept() -> Self {
        let sink = Sink::Memory(Mutex::default());
        Self { sink, out: Mutex::default(), err: Mutex::default() }
    }

    /// What was written so far.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        match &self.sink {
            Sink::Memory(kept) => String::from_utf8_lossy(&kept.lock().unwrap()).into_owned(),
            Sink::Process(_) => String::new(),
        }
    }

    /// Says a line of the executor's own.
    pub(super) fn note(&self, text: &str) {
        let own = Writer { number: OWN, label: String::new() };
        let lines: Vec<_> = text.lines().map(escaped).collect();
        self.write(Stream::Err, &own, format!("{}\n", lines.join("\n")).as_bytes());
    }

    /// Passes on what a child wrote, masked already. False: nobody reads it.
    pub(super) fn write(&self, stream: Stream, writer: &Writer, bytes: &[u8]) -> bool {
        let lane = match stream {
            Stream::Out => &self.out,
            Stream::Err => &self.err,
        };
        let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
        let text = lane.joined(writer, bytes);
        match &self.sink {
            Sink::Process(printer) => printer.pass(stream, &text),
            #[cfg(test)]
            Sink::Memory(kept) => {
                kept.lock().unwrap().extend(text);
                true
            }
        }
    }
}

/// One stream: who has begun a line and not ended it.
#[derive(Default)]
struct Lane {
    open: Option<usize>,
}

impl Lane {
    fn joined(&mut self, writer: &Writer, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len() + 64);
        if !bytes.is_empty() && self.open.is_some_and(|other| other != writer.number) {
            text.push(b'\n');
            self.open = None;
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.open.is_none() {
                text.extend_from_slice(writer.label.as_bytes());
            }
            text.extend_from_slice(line);
            self.open = (!line.ends_with(b"\n")).then_some(writer.number);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(number: usize, label: &str) -> Writer {
        Writer { number, label: label.to_owned() }
    }

    #[test]
    fn lines_of_several_writers_do_not_mix() {
        let (a, b) = (writer(0, "a | "), writer(1, "b | "));
        let mut lane = Lane::default();
        let mut text = Vec::new();
        for (who, bytes) in [(&a, "one\ntw"), (&a, "o"), (&b, "prompt: "), (&a, "three\n")] {
            text.extend(lane.joined(who, bytes.as_bytes()));
        }
        assert_eq!(String::from_utf8(text).unwrap(), "a | one\na | two\nb | prompt: \na | three\n");
    }

    #[test]
    fn without_a_label_output_stays_as_it_is() {
        let mut lane = Lane::default();
        assert_eq!(lane.joined(&writer(0, ""), b"\xff\x00 a\n\nb"), b"\xff\x00 a\n\nb");
    }
}
