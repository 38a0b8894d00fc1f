//! Compiling texts and telling the place of what is wrong in them.

use crate::definition::Broken;
use crate::expression::{CompileError, Names};
use crate::schema::Type;
use crate::source::TemplateText;
use crate::yaml::Place;
use crate::yaml::diagnostic::{Files, Problems, problem_at};

use std::collections::BTreeMap;

/// The types that names have in a pipeline.
pub(super) struct Types {
    pub(super) parameters: BTreeMap<String, Type>,
    /// Parameters that can't be read.
    pub(super) broken: Broken,
    /// Of the step at hand.
    pub(super) matrix: BTreeMap<String, Type>,
    /// Not all lists of the step at hand could be read.
    pub(super) matrix_broken: bool,
}

impl Names for Types {
    fn parameter(&self, name: &str) -> Option<&Type> {
        self.parameters.get(name)
    }

    fn parameters(&self) -> Vec<&str> {
        self.parameters.keys().map(String::as_str).collect()
    }

    fn matrix(&self, name: &str) -> Option<&Type> {
        self.matrix.get(name)
    }

    fn parameter_is_broken(&self, name: &str) -> bool {
        self.broken.has(name)
    }

    fn matrix_is_broken(&self, _name: &str) -> bool {
        self.matrix_broken
    }
}

/// Takes what compiling gave, or tells what is wrong.
pub(super) fn compiled<T>(
    text: &TemplateText,
    outcome: Result<T, Vec<CompileError>>,
    problems: &mut Problems,
) -> Option<T> {
    match outcome {
        Ok(compiled) => Some(compiled),
        Err(errors) => {
            for error in errors {
                let place = problem_at(text, error.span.clone());
                let problem = problems.error("expression", &place, error.message);
                if let Some(help) = error.help {
                    problem.help(help);
                }
            }
            None
        }
    }
}

/// `file:line` of a place.
pub(super) fn shown(place: &Place, files: &Files) -> String {
    let path = files.path(place.file).unwrap_or_default();
    let (line, _) = files.position(place.file, place.span.start);
    format!("{path}:{line}")
}
