//! Joins the output of children that run at the same time: line by line, each
//! line with its step's name, and a line that isn't ended yet shown at once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::board::{Board, State};
use super::live::{Live, Terminal};
use crate::cli::environment::Environment;
use crate::cli::paint::{may_paint, may_redraw};
use crate::cli::printer::{Printer, Stream};
use crate::cli::text::escaped;

/// The number of the executor's own lines.
pub(super) const OWN: usize = usize::MAX;

/// Our standard output and standard error.
pub(super) struct Output {
    sink: Sink,
    out: Mutex<Lane>,
    err: Mutex<Lane>,
    /// On a terminal, the steps' rows; they have its streams.
    live: Option<Mutex<Live>>,
}

/// Where joined output goes.
enum Sink {
    /// Our own streams.
    Process(Printer),
    /// A test that looks at it, both streams in one.
    #[cfg(test)]
    Memory(Mutex<Vec<u8>>, (usize, usize)),
}

impl Terminal for Sink {
    fn put(&self, stream: Stream, bytes: &[u8]) -> bool {
        match self {
            Self::Process(printer) => printer.pass(stream, bytes),
            #[cfg(test)]
            Self::Memory(kept, _) => {
                kept.lock().unwrap().extend(bytes);
                true
            }
        }
    }

    fn size(&self) -> (usize, usize) {
        match self {
            Self::Process(printer) => printer.size(Stream::Err),
            #[cfg(test)]
            Self::Memory(_, size) => *size,
        }
    }
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
    /// Lines as they come.
    pub(super) fn new(printer: Printer) -> Self {
        Self::into(Sink::Process(printer), None)
    }

    /// With the steps' rows, where standard error is a terminal that can show
    /// them.
    pub(super) fn live(printer: Printer, environment: &Environment) -> Self {
        if !may_redraw(environment) {
            return Self::new(printer);
        }
        let live = Live::new(may_paint(Stream::Err, environment), printer.is_terminal());
        Self::into(Sink::Process(printer), Some(live))
    }

    fn into(sink: Sink, live: Option<Live>) -> Self {
        let live = live.map(Mutex::new);
        Self { sink, out: Mutex::default(), err: Mutex::default(), live }
    }

    #[cfg(test)]
    pub(super) fn kept() -> Self {
        Self::into(Sink::Memory(Mutex::default(), (80, 24)), None)
    }

    /// With rows, on a terminal of so many columns and lines.
    #[cfg(test)]
    pub(super) fn kept_live(width: usize, height: usize) -> Self {
        Self::into(Sink::Memory(Mutex::default(), (width, height)), Some(Live::new(false, true)))
    }

    /// What others write to the same terminal.
    #[cfg(test)]
    pub(super) fn put(&self, text: &str) {
        self.sink.put(Stream::Err, text.as_bytes());
    }

    /// What was written so far.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        match &self.sink {
            Sink::Memory(kept, _) => String::from_utf8_lossy(&kept.lock().unwrap()).into_owned(),
            Sink::Process(_) => String::new(),
        }
    }

    /// Takes in all steps, before the first starts.
    pub(super) fn begin(&self, board: Board) {
        self.with_live(|live| live.begin(board, &self.sink));
    }

    /// Tells how a step stands now, or one instance of it: by its row where there
    /// is one, else by a line.
    pub(super) fn step(&self, name: &str, state: &State) {
        if self.with_live(|live| live.set(name, state, &self.sink)).is_none()
            && let Some(said) = state.said()
        {
            self.note(&format!("{name} {said}"));
        }
    }

    /// Brings the rows up to date.
    pub(super) fn refresh(&self) {
        self.with_live(|live| live.refresh(&self.sink));
    }

    /// Draws the rows anew after others had the terminal.
    pub(super) fn resume(&self) {
        self.with_live(|live| live.resume(&self.sink));
    }

    /// Leaves the rows as they are; lines follow below.
    pub(super) fn close(&self) {
        self.with_live(|live| live.close(&self.sink));
    }

    /// Whether there are rows to be kept up to date.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    fn with_live<T>(&self, act: impl FnOnce(&mut Live) -> T) -> Option<T> {
        self.live.as_ref().map(|live| act(&mut lock(live)))
    }

    /// Says a line of the executor's own.
    pub(super) fn note(&self, text: &str) {
        let own = Writer { number: OWN, label: String::new() };
        let lines: Vec<_> = text.lines().map(escaped).collect();
        let text = lines.join("\n");
        let text = match &self.sink {
            Sink::Process(printer) => printer.painted(&text),
            #[cfg(test)]
            Sink::Memory(..) => text,
        };
        self.write(Stream::Err, &own, format!("{text}\n").as_bytes());
    }

    /// Passes on what a child wrote, masked already. False: nobody reads it.
    pub(super) fn write(&self, stream: Stream, writer: &Writer, bytes: &[u8]) -> bool {
        if let Some(mut live) = self.live.as_ref().map(lock).filter(|live| live.has(stream)) {
            return live.write(stream, writer, bytes, &self.sink);
        }
        let lane = match stream {
            Stream::Out => &self.out,
            Stream::Err => &self.err,
        };
        let mut lane = lock(lane);
        let text = lane.joined(writer, bytes);
        self.sink.put(stream, &text)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One stream: who has begun a line and not ended it.
#[derive(Default)]
pub(super) struct Lane {
    open: Option<usize>,
}

impl Lane {
    /// Whether the last line isn't ended.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The bytes with what has to stand between and before them.
    pub(super) fn joined(&mut self, writer: &Writer, bytes: &[u8]) -> Vec<u8> {
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
