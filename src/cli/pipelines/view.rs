//! Pipelines as text and as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::cli::client::incomplete;
use crate::cli::document::{jsons, value_text};
use crate::cli::error::CliError;
use crate::cli::table::Sheet;
use crate::cli::{App, flags, render};
use crate::proto::v1;

#[derive(Serialize)]
struct ListDocument<'a> {
    pipelines: Vec<SummaryDocument<'a>>,
}

#[derive(Serialize)]
struct SummaryDocument<'a> {
    name: &'a str,
    description: &'a str,
}

pub(super) fn list(app: &App, pipelines: &[v1::PipelineSummary]) {
    if app.wants_json() {
        let summaries = pipelines.iter();
        let pipelines = summaries
            .map(|one| SummaryDocument { name: &one.name, description: &one.description })
            .collect();
        return app.printer.json(&ListDocument { pipelines });
    }
    if pipelines.is_empty() {
        return app.printer.text("there is no pipeline that you may see");
    }
    let mut sheet = Sheet::new(app.printer.width(), ["pipeline", "description"]);
    pipelines.iter().for_each(|one| sheet.row([&one.name, &one.description]));
    app.printer.text(&sheet.text());
}

#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    description: &'a str,
    bundle: &'a str,
    lifetime_seconds: Option<i64>,
    /// Environments with the revision in force there.
    environments: BTreeMap<&'a str, &'a str>,
    parameters_schema: Json,
    presets: BTreeMap<&'a str, Map<String, Json>>,
    steps: Vec<StepDocument<'a>>,
}

#[derive(Serialize)]
struct StepDocument<'a> {
    name: &'a str,
    needs: &'a [String],
    condition: Option<&'a str>,
    parameters: &'a [String],
    matrix: &'a [String],
    has_run: Option<bool>,
}

pub(super) fn one(app: &App, pipeline: &v1::Pipeline, bundle: &str) -> Result<(), CliError> {
    if app.wants_json() {
        app.printer.json(&document(pipeline, bundle)?);
    } else {
        app.printer.text(&text(pipeline, bundle, app.printer.width())?);
    }
    Ok(())
}

fn document<'a>(pipeline: &'a v1::Pipeline, bundle: &'a str) -> Result<Document<'a>, CliError> {
    let environments = pipeline.environments.iter();
    let step = |step: &'a v1::StepDefinition| StepDocument {
        name: &step.name,
        needs: &step.needs,
        condition: step.condition.as_deref(),
        parameters: &step.parameters,
        matrix: &step.matrix,
        has_run: step.has_run,
    };
    Ok(Document {
        name: &pipeline.name,
        description: &pipeline.description,
        bundle,
        lifetime_seconds: pipeline.lifetime.as_ref().map(|lifetime| lifetime.seconds),
        environments: environments.map(|one| (&*one.name, &*one.revision)).collect(),
        parameters_schema: serde_json::from_str(&pipeline.parameters_schema)
            .map_err(|_| incomplete())?,
        presets: pipeline.presets.iter().map(|one| (&*one.name, jsons(&one.values))).collect(),
        steps: pipeline.steps.iter().map(step).collect(),
    })
}

fn text(pipeline: &v1::Pipeline, bundle: &str, width: u16) -> Result<String, CliError> {
    let lifetime = pipeline.lifetime.as_ref().map(|lifetime| format!("{} s", lifetime.seconds));
    let mut text = render::facts([
        ("pipeline", &pipeline.name),
        ("description", &pipeline.description),
        ("bundle", bundle),
        ("lifetime", lifetime.as_deref().unwrap_or("not told")),
    ]);
    text.push('\n');
    text.push_str(&flags::help::parameters(pipeline, width)?);
    let mut environments = Sheet::new(width, ["environment", "revision"]);
    pipeline.environments.iter().for_each(|one| environments.row([&one.name, &one.revision]));
    let mut presets = Sheet::new(width, ["preset", "values"]);
    for preset in &pipeline.presets {
        let pair = |(name, value)| format!("{name} = {}", value_text(value));
        presets.lines([vec![preset.name.clone()], preset.values.iter().map(pair).collect()]);
    }
    let mut steps = Sheet::new(width, ["step", "when", "after", "matrix", "parameters"]);
    for step in &pipeline.steps {
        let condition = step.condition.as_deref().unwrap_or_default();
        let [needs, matrix, parameters] =
            [&step.needs, &step.matrix, &step.parameters].map(|names| names.join(", "));
        steps.row([&step.name, condition, &needs, &matrix, &parameters]);
    }
    let sheets = [
        (pipeline.environments.is_empty(), environments),
        (pipeline.presets.is_empty(), presets),
        (pipeline.steps.is_empty(), steps),
    ];
    let shown = sheets.into_iter().filter(|(empty, _)| !empty).map(|(_, sheet)| sheet.text());
    text.push_str(&shown.collect::<Vec<_>>().join("\n\n"));
    Ok(text)
}
