//! The steps' rows at the bottom of a terminal, kept below what the steps
//! write. Nothing but these rows is ever written over, and no mode of the
//! terminal is changed: there is nothing to restore, whatever ends us.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use unicode_width::UnicodeWidthChar as _;

use super::Shared;
use super::board::{Board, State};
use super::filter::Filter;
use super::output::{Lane, OWN, Writer};
use crate::cli::printer::Stream;

/// How often the rows are drawn at most, and how often they are looked at.
pub(super) const PERIOD: Duration = Duration::from_millis(100);

/// Where the live rows go, and how large that is.
pub(super) trait Terminal {
    /// Writes to one of the two streams. False: nobody reads it.
    fn put(&self, stream: Stream, bytes: &[u8]) -> bool;
    /// Columns and lines.
    fn size(&self) -> (usize, usize);
}

/// Keeps the rows up to date as time goes by.
pub(super) async fn kept_up(shared: Arc<Shared>) {
    if !shared.output.is_live() {
        return;
    }
    let Ok(mut resumed) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) else { return };
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // A terminal that is held must not keep signals from being heard.
        tokio::select! {
            _ = resumed.recv() => tokio::task::block_in_place(|| shared.output.resume()),
            _ = ticks.tick() => tokio::task::block_in_place(|| shared.output.refresh()),
        }
    }
}

/// What is on the terminal.
pub(super) struct Live {
    board: Board,
    colours: bool,
    /// Whether standard output is the terminal too.
    with_out: bool,
    lane: Lane,
    filters: BTreeMap<(usize, Stream), Filter>,
    /// Where the line that a step hasn't ended goes on.
    column: usize,
    /// The rows that stand below what the steps wrote.
    drawn: Vec<String>,
    drawn_at: Option<Instant>,
    /// The rows are final: none is drawn any more.
    closed: bool,
}

impl Live {
    pub(super) fn new(colours: bool, with_out: bool) -> Self {
        Self {
            board: Board::default(),
            colours,
            with_out,
            lane: Lane::default(),
            filters: BTreeMap::new(),
            column: 0,
            drawn: Vec::new(),
            drawn_at: None,
            closed: false,
        }
    }

    /// Whether this stream goes to the terminal with the rows.
    pub(super) fn has(&self, stream: Stream) -> bool {
        stream == Stream::Err || self.with_out
    }

    /// Takes in all steps.
    pub(super) fn begin(&mut self, board: Board, terminal: &impl Terminal) {
        self.board = board;
        self.redraw(terminal);
    }

    /// Takes in how a step stands.
    pub(super) fn set(&mut self, name: &str, state: &State, terminal: &impl Terminal) {
        self.board.set(name, state);
        self.redraw(terminal);
    }

    /// Writes above the rows. False: nobody reads it.
    pub(super) fn write(
        &mut self,
        stream: Stream,
        writer: &Writer,
        bytes: &[u8],
        terminal: &impl Terminal,
    ) -> bool {
        let shown = match writer.number {
            // Our own lines are made for a terminal.
            OWN => String::from_utf8_lossy(bytes).into_owned(),
            number => self.filters.entry((number, stream)).or_default().push(bytes),
        };
        if shown.is_empty() {
            return true;
        }
        self.erase(terminal);
        let text = self.lane.joined(writer, shown.as_bytes());
        let (width, _) = terminal.size();
        self.column = column_after(self.column, &String::from_utf8_lossy(&text), width);
        let read = terminal.put(stream, &text);
        if self.drawn_at.is_none_or(|at| at.elapsed() >= PERIOD) {
            self.draw(terminal);
        }
        read
    }

    /// Draws the rows anew where they have changed.
    pub(super) fn refresh(&mut self, terminal: &impl Terminal) {
        if self.rows(terminal) != self.drawn {
            self.redraw(terminal);
        }
    }

    /// Others wrote to the terminal while we were stopped: what stands there is
    /// theirs.
    pub(super) fn resume(&mut self, terminal: &impl Terminal) {
        self.drawn.clear();
        self.lane = Lane::default();
        self.column = 0;
        self.redraw(terminal);
    }

    /// Leaves the rows as they are, all of them.
    pub(super) fn close(&mut self, terminal: &impl Terminal) {
        if self.closed {
            return;
        }
        self.erase(terminal);
        self.closed = true;
        let (width, _) = terminal.size();
        let rows =
            self.board.rows(Instant::now(), width.saturating_sub(1), usize::MAX, self.colours);
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let own = Writer { number: OWN, label: String::new() };
        terminal.put(Stream::Err, &self.lane.joined(&own, text.as_bytes()));
    }

    fn redraw(&mut self, terminal: &impl Terminal) {
        self.erase(terminal);
        self.draw(terminal);
    }

    /// Takes the rows away, and goes back to where the last line goes on.
    fn erase(&mut self, terminal: &impl Terminal) {
        let drawn = std::mem::take(&mut self.drawn).len();
        if drawn == 0 {
            return;
        }
        let mut bytes = format!("\u{1b}[{drawn}A\r\u{1b}[J");
        if self.lane.is_open() {
            bytes += &format!("\u{1b}[A\u{1b}[{}G", self.column + 1);
        }
        terminal.put(Stream::Err, bytes.as_bytes());
    }

    fn draw(&mut self, terminal: &impl Terminal) {
        let rows = self.rows(terminal);
        if rows.is_empty() {
            return;
        }
        let below = if self.lane.is_open() { "\r\n" } else { "" };
        terminal.put(Stream::Err, format!("{below}{}\r\n", rows.join("\r\n")).as_bytes());
        self.drawn = rows;
        self.drawn_at = Some(Instant::now());
    }

    /// The rows that there is room for; none while an open line fills its row,
    /// for no terminal can go back to that.
    fn rows(&self, terminal: &impl Terminal) -> Vec<String> {
        let (width, height) = terminal.size();
        let open = self.lane.is_open();
        if self.closed || (open && self.column >= width) {
            return Vec::new();
        }
        // One line is for the cursor.
        let room = height.saturating_sub(1 + usize::from(open)).max(1);
        self.board.rows(Instant::now(), width.saturating_sub(1), room, self.colours)
    }
}

/// The column of the cursor after a text of [`Filter`]'s or of our own.
fn column_after(mut column: usize, text: &str, width: usize) -> usize {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        column = match letter {
            // Colours and the clearing of a line end with a letter.
            '\u{1b}' => {
                letters.by_ref().find(char::is_ascii_alphabetic);
                column
            }
            '\n' | '\r' => 0,
            '\u{8}' => column.saturating_sub(1),
            '\t' => ((column / 8 + 1) * 8).min(width.saturating_sub(1)),
            letter => match letter.width().unwrap_or(0) {
                wide if column + wide > width => wide,
                wide => column + wide,
            },
        };
    }
    column
}

#[cfg(test)]
mod tests;
