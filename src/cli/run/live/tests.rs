//! The rows by what a terminal shows of them.

use std::num::NonZeroU16;

use super::*;
use crate::cli::run::output::Output;
use crate::cli::run::plan::{Step, Work};

fn steps(names: &[&str]) -> Board {
    let step = |name: &&str| Step {
        name: (*name).to_owned(),
        needs: Vec::new(),
        work: Work::Skip(String::new()),
    };
    Board::new(&names.iter().map(step).collect::<Vec<_>>())
}

fn writer(number: usize) -> Writer {
    Writer { number, label: format!("s{number} | ") }
}

fn write(output: &Output, number: usize, text: &str) {
    output.write(Stream::Out, &writer(number), text.as_bytes());
}

fn running() -> State {
    State::Running { items: String::new(), since: Instant::now() }
}

/// A terminal that was shown all that was written, its driver's line ends too.
fn terminal(output: &Output, width: u16, height: u16) -> vt100::Parser {
    let size = |one| NonZeroU16::new(one).unwrap();
    let mut terminal = vt100::Parser::new(size(height), size(width), 10_000);
    let text = output.text().replace("\r\n", "\n").replace('\n', "\r\n");
    terminal.process(text.as_bytes());
    terminal
}

/// What stands on it, and what was scrolled away.
fn shown(output: &Output, width: u16, height: u16) -> String {
    // So high that nothing scrolls: the rows are drawn for `height`.
    assert!(height <= 1000);
    terminal(output, width, 1000).screen().contents().trim_end().to_owned()
}

#[test]
fn rows_stay_below_what_the_steps_write() {
    let output = Output::kept_live(40, 10);
    output.begin(steps(&["one", "two"]));
    output.step("one", &running());
    write(&output, 0, "first\n");
    output.refresh();
    assert_eq!(shown(&output, 40, 10), "s0 | first\none  running for 0 s\ntwo  waiting");
    output.note("warning: of ours");
    write(&output, 1, "second\n");
    output.step("two", &State::Skipped("why not".into()));
    output.close();
    output.note("the end");
    assert_eq!(
        shown(&output, 40, 10),
        "s0 | first\nwarning: of ours\ns1 | second\none  running for 0 s\ntwo  skipped: why not\nthe end"
    );
}

#[test]
fn a_line_that_is_not_ended_goes_on_where_it_stood() {
    let output = Output::kept_live(40, 10);
    output.begin(steps(&["one"]));
    write(&output, 0, "10 %");
    output.refresh();
    assert_eq!(shown(&output, 40, 10), "s0 | 10 %\none  waiting", "a prompt is seen");
    write(&output, 0, "\r\u{1b}[K中20 %");
    output.refresh();
    write(&output, 0, ", done\n");
    output.refresh();
    assert_eq!(shown(&output, 40, 10), "中20 %, done\none  waiting");
    write(&output, 0, "?");
    output.refresh();
    write(&output, 1, "!");
    output.close();
    assert_eq!(shown(&output, 40, 10), "中20 %, done\ns0 | ?\ns1 | !\none  waiting");
}

#[test]
fn a_line_that_fills_its_row_or_several_loses_nothing() {
    for length in 30..90 {
        let output = Output::kept_live(40, 10);
        output.begin(steps(&["one"]));
        let text: String = ('a'..='z').cycle().take(length).collect();
        for letter in text.chars() {
            write(&output, 0, &letter.to_string());
            output.refresh();
        }
        write(&output, 0, "\n");
        output.close();
        assert_eq!(shown(&output, 40, 10), format!("s0 | {text}\none  waiting"));
    }
}

#[test]
fn escape_sequences_of_a_step_change_nothing_but_its_own_text() {
    let output = Output::kept_live(60, 10);
    output.begin(steps(&["one"]));
    write(&output, 0, "\u{1b}[?1049h\u{1b}[?25l\u{1b}[2;4r\u{1b}(0\u{1b}[41mred\u{1b}[2J\u{1b}]0;");
    output.refresh();
    write(&output, 0, "title\nnext\n");
    output.refresh();
    assert_eq!(shown(&output, 60, 10), "s0 | red\ns0 | next\none  waiting");
    let terminal = terminal(&output, 60, 10);
    let screen = terminal.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    let colour = |row| screen.cell(row, 5).unwrap().bgcolor();
    assert_eq!((colour(0), colour(1)), (vt100::Color::Idx(1), vt100::Color::Idx(1)));
    let label = screen.cell(1, 0).unwrap().bgcolor();
    let row = screen.cell(2, 0).unwrap().bgcolor();
    assert_eq!((label, row), (vt100::Color::Default, vt100::Color::Default));
}

#[test]
fn more_steps_than_lines_lose_nothing_that_was_written() {
    let names: Vec<String> = (0..40).map(|number| format!("step-{number}")).collect();
    let output = Output::kept_live(40, 6);
    output.begin(steps(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    for number in 0..200 {
        write(&output, number % 3, &format!("line {number}\nopen"));
        output.refresh();
        write(&output, number % 3, "\n");
        output.step(&format!("step-{}", number % 40), &running());
    }
    let mut small = terminal(&output, 40, 6);
    small.screen_mut().set_scrollback(usize::MAX);
    let mut lines = Vec::new();
    for back in (0..=small.screen().scrollback()).rev() {
        small.screen_mut().set_scrollback(back);
        let mut rows = small.screen().rows(0, 40);
        lines.extend(rows.next());
        if back == 0 {
            lines.extend(rows);
        }
    }
    let written: Vec<&String> = lines.iter().filter(|line| line.contains("line ")).collect();
    let wanted: Vec<String> = (0..200).map(|n| format!("s{} | line {n}", n % 3)).collect();
    assert_eq!(written, wanted.iter().collect::<Vec<_>>());
    assert!(
        !lines.iter().take(lines.len() - 6).any(|line| line.starts_with("step-")),
        "{lines:#?}"
    );
    output.close();
    let last = shown(&output, 40, 6);
    assert!(names.iter().all(|name| last.contains(name.as_str())), "all are told in the end");
}

#[test]
fn after_others_had_the_terminal_nothing_of_theirs_is_taken_away() {
    let output = Output::kept_live(40, 10);
    output.begin(steps(&["one"]));
    write(&output, 0, "open");
    output.refresh();
    // The shell's words, past our lanes.
    output.put("[1]+ Stopped\n$ fg\n");
    output.resume();
    write(&output, 0, "more\n");
    output.refresh();
    let text = shown(&output, 40, 10);
    assert_eq!(text, "s0 | open\none  waiting\n[1]+ Stopped\n$ fg\ns0 | more\none  waiting");
}
