//! Steps: what decides them, what they see, and what they are handed.

use std::collections::BTreeMap;

use super::compile::Input;
use super::graph::order;
use super::secrecy::{Secrecy, refuse_mixed, refuse_readers};
use super::text::compiled;
use super::{PlannedEntry, PlannedStep};
use crate::definition::StepDefinition;
use crate::expression::{Condition, Expression, References, Template};
use crate::name::MatrixName;
use crate::schema::Type;
use crate::source::TemplateText;

/// Compiles the steps, in an order that respects `needs`.
pub(super) fn compile_steps(input: &mut Input<'_>, secrecy: &Secrecy) -> Vec<PlannedStep> {
    let definitions = &input.definition.steps;
    let index: BTreeMap<&str, usize> = definitions
        .iter()
        .enumerate()
        .map(|(index, step)| (step.name.value.as_str(), index))
        .collect();
    let needs: Vec<Vec<usize>> = definitions
        .iter()
        .map(|step| {
            step.needs.iter().filter_map(|need| index.get(need.value.as_str()).copied()).collect()
        })
        .collect();
    order(&needs)
        .into_iter()
        .filter_map(|at| definitions.get(at))
        .map(|step| compile_step(input, secrecy, step))
        .collect()
}

fn compile_step(input: &mut Input<'_>, secrecy: &Secrecy, step: &StepDefinition) -> PlannedStep {
    let when = step.when.as_ref().and_then(|text| {
        let condition =
            compiled(text, Condition::compile(&text.text, &input.types), &mut input.problems)?;
        let read = &condition.references().parameters;
        refuse_readers(secrecy, &mut input.problems, read, &text.place, "a condition");
        Some((condition, text.text.clone()))
    });
    input.types.matrix_broken = !step.sound;
    let (matrix, lists) = compile_matrix(input, secrecy, step);
    let templates = StepTemplates { secrecy, lists: &lists };
    let run: Vec<Template> =
        step.run.iter().filter_map(|text| templates.argument(input, text)).collect();
    let env: Vec<PlannedEntry> = step
        .env
        .iter()
        .filter_map(|(name, text)| templates.entry(input, &name.value, text, Use::Variable))
        .collect();
    let files: Vec<(PlannedEntry, u32)> = step
        .files
        .iter()
        .filter_map(|(name, file)| {
            let entry = templates.entry(input, &name.value, &file.template, Use::File)?;
            Some((entry, file.mode))
        })
        .collect();
    input.types.matrix.clear();
    input.types.matrix_broken = false;
    let named = run
        .iter()
        .chain(env.iter().map(|entry| &entry.template))
        .chain(files.iter().map(|(entry, _)| &entry.template))
        .flat_map(|template| template.references().parameters.iter().cloned());
    let sees = if step.sees_all {
        input.definition.parameters.keys().cloned().collect()
    } else {
        step.params.iter().map(|name| name.value.clone()).chain(named).collect()
    };
    let needs = step.needs.iter().map(|need| need.value.clone()).collect();
    PlannedStep { name: step.name.value.clone(), needs, when, matrix, sees, run, env, files }
}

/// What the lists of a matrix read.
type Lists = BTreeMap<String, References>;

/// Compiles the matrix, and puts the types of its items in scope.
fn compile_matrix(
    input: &mut Input<'_>,
    secrecy: &Secrecy,
    step: &StepDefinition,
) -> (Vec<(MatrixName, Expression)>, Lists) {
    let mut matrix = Vec::new();
    let mut lists = Lists::new();
    let mut items = BTreeMap::new();
    for (name, text) in &step.matrix {
        let outcome = Expression::compile(&text.text, &input.types);
        let Some(list) = compiled(text, outcome, &mut input.problems) else {
            input.types.matrix_broken = true;
            continue;
        };
        let Type::Array(item) = list.result() else {
            input.types.matrix_broken = true;
            input
                .problems
                .error(
                    "wrong_type",
                    &text.place,
                    format!("the matrix list `{}` isn't an array", name.value),
                )
                .help("name a parameter that is declared as an array");
            continue;
        };
        items.insert(name.value.as_str().to_owned(), item.as_ref().clone());
        let read = list.references().clone();
        refuse_readers(secrecy, &mut input.problems, &read.parameters, &text.place, "a matrix");
        lists.insert(name.value.as_str().to_owned(), read);
        matrix.push((name.value.clone(), list));
    }
    input.types.matrix = items;
    (matrix, lists)
}

struct StepTemplates<'a> {
    secrecy: &'a Secrecy,
    lists: &'a Lists,
}

/// What a rendered entry becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Variable,
    File,
}

impl StepTemplates<'_> {
    fn argument(&self, input: &mut Input<'_>, text: &TemplateText) -> Option<Template> {
        let template =
            compiled(text, Template::compile(&text.text, &input.types), &mut input.problems)?;
        let secret =
            template.references().parameters.iter().find(|name| self.secrecy.is_secret(name));
        if let Some(name) = secret {
            input
                .problems
                .error("secret_argument", &text.place, format!("`run` holds the secret `{name}`"))
                .help("arguments can be read by others: hand it over in `env` or `files`");
        }
        let fits = match unnullable(template.result()) {
            Type::Array(item) => is_text(item),
            other => is_text(other),
        };
        self.refuse_unfit(input, text, &template, fits, "an argument is text, or a list of texts");
        Some(template)
    }

    fn entry(
        &self,
        input: &mut Input<'_>,
        name: &str,
        text: &TemplateText,
        purpose: Use,
    ) -> Option<PlannedEntry> {
        let template =
            compiled(text, Template::compile(&text.text, &input.types), &mut input.problems)?;
        let result = unnullable(template.result());
        let fits = is_text(result) || (purpose == Use::File && *result == Type::Bytes);
        let expected = match purpose {
            Use::Variable => "a variable is text: say `| join`, `| json` or `| b64`",
            Use::File => "a file is text or bytes: say `| join` or `| json`",
        };
        self.refuse_unfit(input, text, &template, fits, expected);
        let read = template.references().clone();
        refuse_mixed(input, self.secrecy, &read, self.lists, &text.place);
        let secrets = self.secrecy.secret_origins(&read.parameters);
        Some(PlannedEntry { name: name.to_owned(), template, secrets })
    }

    fn refuse_unfit(
        &self,
        input: &mut Input<'_>,
        text: &TemplateText,
        template: &Template,
        fits: bool,
        expected: &str,
    ) {
        if !fits {
            let words = template.result().words();
            let message = format!("a value of this type can't be handed over: {words}");
            input.problems.error("wrong_type", &text.place, message).help(expected);
        }
    }
}

fn unnullable(result: &Type) -> &Type {
    match result {
        Type::Nullable(inner) => inner,
        other => other,
    }
}

/// Whether a value of this type has a text (a null is left out).
fn is_text(result: &Type) -> bool {
    matches!(
        unnullable(result),
        Type::Unknown | Type::Null | Type::Boolean | Type::Integer | Type::Number | Type::String
    )
}
