//! Problems of files: where, what, and the way to mend it.

mod mask;
mod render;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::{FileId, Place};
use crate::yaml::TemplateText;

pub use render::{json, lines, render};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The bundle is refused.
    Error,
    /// Worth mending; the bundle is taken.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// A stable word for it, such as `unknown_key`.
    pub code: &'static str,
    /// What is wrong. Never a value.
    pub message: String,
    /// Where; none: the file as a whole can't be pointed at.
    pub place: Option<Place>,
    /// What to do about it.
    pub help: Option<String>,
    /// The source line may hold a secret: its scalars are blanked when shown.
    pub sensitive: bool,
}

impl Problem {
    /// Says what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Says that its line may hold a secret.
    pub fn sensitive(&mut self) -> &mut Self {
        self.sensitive = true;
        self
    }
}

/// The files that were read, with their text.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// By [`FileId`]: the path below the configuration directory, and the text.
    pub files: Vec<(String, Arc<str>)>,
}

impl Files {
    /// Takes a file.
    pub fn add(&mut self, path: String, text: Arc<str>) -> FileId {
        self.files.push((path, text));
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> Option<&str> {
        self.entry(file).map(|(path, _)| path.as_str())
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> Option<&str> {
        self.entry(file).map(|(_, text)| &**text)
    }

    /// The line and the column, in characters, both from 1, of a byte of a file.
    pub fn position(&self, file: FileId, byte: usize) -> (usize, usize) {
        let text = self.text(file).unwrap_or_default();
        let before = text.get(..floor(text, byte)).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }

    fn entry(&self, file: FileId) -> Option<&(String, Arc<str>)> {
        self.files.get(file.0 as usize)
    }
}

/// The nearest place at or before `byte` where a character starts.
fn floor(text: &str, byte: usize) -> usize {
    text.floor_char_boundary(byte)
}

/// Problems as they are found.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    /// In the order in which they were found.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Adds an error and lets it be completed.
    pub fn error(
        &mut self,
        code: &'static str,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Error, code, Some(place.clone()), message.into())
    }

    /// Adds a warning and lets it be completed.
    pub fn warning(
        &mut self,
        code: &'static str,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Warning, code, Some(place.clone()), message.into())
    }

    /// Adds an error of the directory as a whole, with no place in a file.
    pub fn error_without_place(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Error, code, None, message.into())
    }

    /// Adds a warning of the directory as a whole.
    pub fn warning_without_place(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Problem {
        self.add(Severity::Warning, code, None, message.into())
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        place: Option<Place>,
        message: String,
    ) -> &mut Problem {
        self.list.push_mut(Problem { severity, code, message, place, help: None, sensitive: false })
    }

    /// Says of all errors from this problem on that their lines may hold a
    /// secret.
    pub fn blank_from(&mut self, first: usize) {
        for problem in self.list.iter_mut().skip(first) {
            problem.sensitive |= problem.severity == Severity::Error;
        }
    }

    /// Whether the bundle is refused.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// The same problems, as they are shown: see [`Problems::sorted`].
    pub fn in_order(&self, files: &Files) -> Self {
        Self { list: self.sorted(files).into_iter().cloned().collect() }
    }

    /// All of them by file and place, each once. What a reader says about a
    /// scalar that YAML itself refused is left out: it only follows from that.
    pub fn sorted(&self, files: &Files) -> Vec<&Problem> {
        let is_yaml = |problem: &&Problem| problem.code.starts_with("yaml_");
        let refused: HashSet<&Place> =
            self.list.iter().filter(is_yaml).filter_map(|p| p.place.as_ref()).collect();
        let follows = |p: &&Problem| p.place.as_ref().is_some_and(|place| refused.contains(place));
        let mut all: Vec<&Problem> =
            self.list.iter().filter(|p| is_yaml(p) || !follows(p)).collect();
        let key = |problem: &Problem| {
            problem.place.as_ref().map(|place| {
                (files.path(place.file).unwrap_or_default().to_owned(), place.span.start)
            })
        };
        all.sort_by_cached_key(|problem| key(problem));
        let mut kept: Vec<&Problem> = Vec::new();
        for problem in all {
            let twice =
                kept.iter().rev().take_while(|other| key(other) == key(problem)).any(|other| {
                    other.code == problem.code
                        && other.place == problem.place
                        && other.message == problem.message
                });
            if !twice {
                kept.push(problem);
            }
        }
        kept
    }
}

/// The place of some bytes of a template's text, as far as it is known.
pub fn problem_at(text: &TemplateText, range: Range<usize>) -> Place {
    text.origin.place(&text.place, range)
}

#[cfg(test)]
mod tests;
