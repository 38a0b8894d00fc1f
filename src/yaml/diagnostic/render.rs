//! Problems as text with the line that they are about, as lines of a log, and
//! as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents, ThemeCharacters, ThemeStyles,
};

use super::mask::Mask;
use super::{Files, Problem, Problems, Severity};
use crate::value::shown::is_unsafe;
use crate::yaml::FileId;

/// All problems for people: each with file, line, column, its source line with
/// a mark, and a help line.
pub fn render(problems: &Problems, files: &Files, colours: bool, width: usize) -> String {
    let styles = if colours { ThemeStyles::ansi() } else { ThemeStyles::none() };
    let theme = GraphicalTheme { characters: ThemeCharacters::unicode(), styles };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_context_lines(0)
        .with_links(false)
        .without_syntax_highlighting();
    let mut masks = Masks::new(problems, files);
    let mut out = String::new();
    for problem in problems.sorted(files) {
        let shown = Shown::of(problem, files, &mut masks);
        if handler.render_report(&mut out, &shown).is_err() {
            out.push_str(&shown.message);
        }
        out.push('\n');
    }
    out
}

/// All problems, one a line and without the source: `file:line:column: message`.
pub fn lines(problems: &Problems, files: &Files) -> Vec<String> {
    problems
        .sorted(files)
        .into_iter()
        .map(|problem| {
            let message = clean(&problem.message);
            let word = match problem.severity {
                Severity::Error => "",
                Severity::Warning => "warning: ",
            };
            match &problem.place {
                Some(place) => {
                    let path = clean(files.path(place.file).unwrap_or_default());
                    let (line, column) = files.position(place.file, place.span.start);
                    format!("{path}:{line}:{column}: {word}{message}")
                }
                None => format!("{word}{message}"),
            }
        })
        .collect()
}

/// All problems for programs: an array of objects.
pub fn json(problems: &Problems, files: &Files) -> serde_json::Value {
    let of = |problem: &Problem| {
        let place = problem.place.as_ref();
        let from = place.map(|place| files.position(place.file, place.span.start));
        let to = place.map(|place| files.position(place.file, place.span.end));
        serde_json::json!({
            "severity": problem.severity.word(),
            "code": problem.code,
            "message": clean(&problem.message),
            "file": place.and_then(|place| files.path(place.file)).map(clean),
            "line": from.map(|(line, _)| line),
            "column": from.map(|(_, column)| column),
            "end_line": to.map(|(line, _)| line),
            "end_column": to.map(|(_, column)| column),
            "help": problem.help.as_deref().map(clean),
        })
    };
    problems.sorted(files).into_iter().map(of).collect()
}

/// Which lines may hold a secret, and what of them may be shown.
struct Masks {
    /// A line with one sensitive problem is so for all problems.
    lines: BTreeSet<(FileId, usize)>,
    files: BTreeMap<FileId, Mask>,
}

impl Masks {
    fn new(problems: &Problems, files: &Files) -> Self {
        let sensitive = problems.list.iter().filter(|problem| problem.sensitive);
        let lines = sensitive
            .filter_map(|problem| problem.place.as_ref())
            .filter_map(|place| {
                Some((place.file, line_start(files.text(place.file)?, place.span.start)))
            })
            .collect();
        Self { lines, files: BTreeMap::new() }
    }

    /// The mask of a line that starts at this byte, where it needs one.
    fn of(&mut self, file: FileId, first: usize, text: &str) -> Option<&Mask> {
        let needed = self.lines.contains(&(file, first));
        needed.then(|| &*self.files.entry(file).or_insert_with(|| Mask::of(text)))
    }
}

/// The byte that starts the line with this byte.
fn line_start(text: &str, byte: usize) -> usize {
    let before = text.get(..super::floor(text, byte)).unwrap_or_default();
    before.rfind('\n').map_or(0, |found| found + 1)
}

/// A problem as miette takes it.
#[derive(Debug)]
struct Shown {
    severity: Severity,
    code: &'static str,
    message: String,
    help: Option<String>,
    line: Option<Line>,
}

/// The one line that is shown.
#[derive(Debug)]
struct Line {
    file: String,
    number: usize,
    column: usize,
    text: String,
    mark: std::ops::Range<usize>,
}

impl Shown {
    fn of(problem: &Problem, files: &Files, masks: &mut Masks) -> Self {
        Self {
            severity: problem.severity,
            code: problem.code,
            message: clean(&problem.message),
            help: problem.help.as_deref().map(clean),
            line: Line::of(problem, files, masks),
        }
    }
}

/// The most characters of a source line that are shown around a mark.
const MAX_SHOWN: usize = 160;

impl Line {
    fn of(problem: &Problem, files: &Files, masks: &mut Masks) -> Option<Self> {
        let place = problem.place.as_ref()?;
        let text = files.text(place.file)?;
        let at = super::floor(text, place.span.start);
        let first = line_start(text, at);
        let written = text.get(first..)?.lines().next().unwrap_or_default();
        let mask = masks.of(place.file, first, text);
        let (number, column) = files.position(place.file, at);
        // A window around the mark, so that a long line stays readable.
        let skipped = if column > MAX_SHOWN { column - MAX_SHOWN / 2 } else { 0 };
        let mut line = String::new();
        let (mut start, mut end) = (None, None);
        for (offset, character) in written.char_indices().skip(skipped).take(MAX_SHOWN) {
            let here = first + offset;
            if here >= at && start.is_none() {
                start = Some(line.len());
            }
            if here >= place.span.end && end.is_none() {
                end = Some(line.len());
            }
            let shown = mask.is_none_or(|mask| mask.shows(here, character));
            line.push(if shown { printable(character) } else { '*' });
        }
        let start = start.unwrap_or(line.len());
        let mark = start..end.unwrap_or(line.len()).max(start);
        let file = clean(files.path(place.file)?);
        Some(Self { file, number, column, text: line, mark })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.line.as_ref().map(|line| line as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let mark = &self.line.as_ref()?.mark;
        let label = LabeledSpan::new(None, mark.start, mark.len());
        Some(Box::new(std::iter::once(label)))
    }
}

impl SourceCode for Line {
    fn read_span<'a>(
        &'a self,
        _span: &SourceSpan,
        _before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = SourceSpan::from((0, self.text.len()));
        let bytes = self.text.as_bytes();
        // Miette counts from 0.
        let (line, column) = (self.number - 1, self.column - 1);
        Ok(Box::new(MietteSpanContents::new_named(
            self.file.clone(),
            bytes,
            whole,
            line,
            column,
            1,
        )))
    }
}

/// A text without what could move a terminal's cursor or turn its direction.
fn clean(text: &str) -> String {
    text.chars().map(printable).collect()
}

fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        other if is_unsafe(other) => '\u{fffd}',
        other => other,
    }
}
