//! `paramd context`: a step's view of its run. Nothing in it is secret.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value as Json;

use super::client::{Daemon, incomplete, send};
use super::document::{self, DecisionDocument, json, source_kind, value_text};
use super::error::CliError;
use super::exit::Exit;
use super::run_name::{self, RunArgs};
use super::table::Sheet;
use super::text::escaped;
use super::{App, render};
use crate::proto::v1::{self, content::Place};

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// The step; `main` in a pipeline that declares none.
    #[arg(value_parser = super::reveal::step_name)]
    step: String,
    /// Only this instance of the step's matrix, from 0.
    #[arg(long, value_name = "N", value_parser = super::run_name::instance)]
    instance: Option<u32>,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    let context = call(&daemon, args.run.name(), &args.step, args.instance).await?;
    if app.wants_json() {
        app.printer.json(&ContextDocument::new(&context));
    } else {
        app.printer.text(&text(&context, app.printer.width()));
    }
    Ok(Exit::Success)
}

/// Asks for a step's context.
pub(crate) async fn call(
    daemon: &Daemon,
    run: v1::RunName,
    step: &str,
    instance: Option<u32>,
) -> Result<v1::Context, CliError> {
    let request = v1::GetContextRequest {
        run: Some(run),
        step: step.to_owned(),
        instance,
        if_none_match: String::new(),
    };
    let answer = send(request, |request| {
        let mut client = daemon.contexts();
        async move { client.get_context(request).await }
    });
    answer.await?.context.ok_or_else(incomplete)
}

fn text(context: &v1::Context, width: u16) -> String {
    let name = context.run.clone().unwrap_or_default();
    let decision = context.decision.clone().unwrap_or_default();
    let mut text = format!(
        "step {} of {} in {}: {}, {}\n",
        escaped(&context.step),
        escaped(&run_name::path(&name)),
        escaped(&context.environment),
        render::action(&decision),
        escaped(&render::why(&decision)),
    );
    if !context.values.is_empty() {
        let mut sheet = Sheet::new(width, ["parameter", "value"]);
        context.values.iter().for_each(|(name, value)| sheet.row([name, &render::value(value)]));
        let _ = writeln!(text, "\n{}", sheet.text());
    }
    if !context.secrets.is_empty() {
        let mut sheet = Sheet::new(width, ["secret", "source", "version", "maskable"]);
        for (name, secret) in &context.secrets {
            let version = secret.version.as_deref().unwrap_or_default();
            let maskable = if secret.maskable { "yes" } else { "no: too short" };
            sheet.row([name, &source_kind(secret.source), version, maskable]);
        }
        let _ = writeln!(text, "\n{}", sheet.text());
    }
    context.instances.iter().for_each(|one| text.push_str(&instance_text(one, width)));
    text
}

fn instance_text(instance: &v1::StepInstance, width: u16) -> String {
    let mut text = String::new();
    let matrix: Vec<String> = instance
        .matrix
        .iter()
        .map(|(name, value)| format!("{name} = {}", escaped(&value_text(value))))
        .collect();
    if !matrix.is_empty() {
        let _ = writeln!(text, "\ninstance {}: {}", instance.index, matrix.join(", "));
    }
    let mut sheet = Sheet::new(width, ["place", "content"]);
    for (index, argument) in instance.run.iter().enumerate() {
        sheet.row([&format!("run[{index}]"), argument]);
    }
    for (name, content) in &instance.env {
        sheet.row([&format!("env {name}"), &content_text(Some(content))]);
    }
    for (name, file) in &instance.files {
        let place = format!("file {name} ({:04o})", file.mode);
        sheet.row([&place, &content_text(file.content.as_ref())]);
    }
    if instance.run.is_empty() && instance.env.is_empty() && instance.files.is_empty() {
        text.push_str("\nno `run`, `env` or `files`: the executor has its own command\n");
    } else {
        let _ = writeln!(text, "\n{}", sheet.text());
    }
    text
}

fn content_text(content: Option<&v1::Content>) -> String {
    match content.and_then(|content| content.place.as_ref()) {
        Some(Place::Text(text)) => text.clone(),
        Some(Place::Binary(bytes)) => format!("({} bytes)", bytes.len()),
        Some(Place::Secret(name)) => format!("{} at `{name}`", render::REDACTED),
        None => "(newer than this client: don't run the step)".to_owned(),
    }
}

#[derive(Serialize)]
struct ContextDocument {
    pipeline: String,
    run_id: String,
    attempt: u32,
    step: String,
    environment: String,
    decision: DecisionDocument,
    values: BTreeMap<String, Json>,
    secrets: BTreeMap<String, SecretDocument>,
    instances: Vec<InstanceDocument>,
    expire_time: Option<String>,
}

#[derive(Serialize)]
struct SecretDocument {
    source: String,
    version: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    fingerprint: String,
    maskable: bool,
}

#[derive(Serialize)]
struct InstanceDocument {
    index: u32,
    matrix: BTreeMap<String, Json>,
    run: Vec<String>,
    env: BTreeMap<String, ContentDocument>,
    files: BTreeMap<String, FileDocument>,
}

#[derive(Serialize)]
struct FileDocument {
    mode: String,
    #[serde(flatten)]
    content: ContentDocument,
}

/// Exactly one key; none where the place is newer than this client.
#[derive(Default, Serialize)]
struct ContentDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl ContextDocument {
    fn new(context: &v1::Context) -> Self {
        let name = context.run.clone().unwrap_or_default();
        Self {
            pipeline: name.pipeline,
            run_id: name.run_id,
            attempt: name.attempt,
            step: context.step.clone(),
            environment: context.environment.clone(),
            decision: DecisionDocument::new(&context.decision.clone().unwrap_or_default()),
            values: jsons(&context.values),
            secrets: context
                .secrets
                .iter()
                .map(|(name, one)| (name.clone(), secret(one)))
                .collect(),
            instances: context.instances.iter().map(InstanceDocument::new).collect(),
            expire_time: context.expire_time.as_ref().map(document::time),
        }
    }
}

fn jsons(values: &BTreeMap<String, v1::Value>) -> BTreeMap<String, Json> {
    values.iter().map(|(name, value)| (name.clone(), json(value))).collect()
}

fn secret(one: &v1::SecretRef) -> SecretDocument {
    SecretDocument {
        source: source_kind(one.source),
        version: one.version.clone(),
        fingerprint: hex::encode(&one.fingerprint),
        maskable: one.maskable,
    }
}

impl InstanceDocument {
    fn new(one: &v1::StepInstance) -> Self {
        let file = |file: &v1::StepFile| FileDocument {
            mode: format!("{:04o}", file.mode),
            content: ContentDocument::new(file.content.as_ref()),
        };
        let env = one.env.iter();
        Self {
            index: one.index,
            matrix: jsons(&one.matrix),
            run: one.run.clone(),
            env: env.map(|(name, one)| (name.clone(), ContentDocument::new(Some(one)))).collect(),
            files: one.files.iter().map(|(name, one)| (name.clone(), file(one))).collect(),
        }
    }
}

impl ContentDocument {
    fn new(content: Option<&v1::Content>) -> Self {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        match content.and_then(|content| content.place.as_ref()) {
            Some(Place::Text(text)) => Self { text: Some(text.clone()), ..Self::default() },
            Some(Place::Binary(bytes)) => {
                Self { base64: Some(engine.encode(bytes)), ..Self::default() }
            }
            Some(Place::Secret(name)) => Self { secret: Some(name.clone()), ..Self::default() },
            None => Self::default(),
        }
    }
}
