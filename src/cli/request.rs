//! What `resolve`, `explain` and `run` have in common: from the words of the
//! command line to a request.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::client::Daemon;
use super::error::CliError;
use super::flags::{self, Bound};
use super::run_name;
use super::{App, Output, secrets, values};
use crate::proto::v1::{self, Pipeline};

/// The words after the command.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The pipeline, then options and the pipeline's own flags in any order.
    #[arg(
        value_name = "PIPELINE",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true
    )]
    pub(crate) words: Vec<OsString>,
}

/// A command line that was bound to its pipeline.
pub(crate) struct Prepared {
    pub(crate) app: App,
    pub(crate) daemon: Daemon,
    pub(crate) pipeline: Pipeline,
    environment: String,
    preset: Option<String>,
    run_id: Option<String>,
    attempt: u32,
    mode: Option<v1::AttemptMode>,
    logical_date: Option<prost_types::Timestamp>,
    labels: BTreeMap<String, String>,
    lifetime: Option<Duration>,
    expected_revision: Option<String>,
    texts: BTreeMap<String, String>,
    values: BTreeMap<String, v1::Value>,
    secrets: BTreeMap<String, v1::SecretPayload>,
}

/// What the words ask for.
pub(crate) enum Asked {
    /// The help of a pipeline; it is printed already.
    Help,
    /// A request.
    Request(Box<Prepared>),
}

/// Reads the words and asks the daemon for the pipeline.
pub(crate) async fn prepare(command: &str, mut app: App, args: Args) -> Result<Asked, CliError> {
    let arguments = flags::parse(args.words)?;
    if let Some(endpoint) = &arguments.endpoint {
        app.global.endpoint = Some(endpoint.clone());
    }
    if let Some(output) = &arguments.output {
        app.global.output = output_of(output)?;
    }
    if command == "run" && app.wants_json() {
        return Err(CliError::usage(
            "`run` prints what its steps print: it takes no --output json",
        )
        .with_help("`paramd runs show RUN --output json` prints the record"));
    }
    let Some(name) = &arguments.pipeline else {
        app.printer.text(&format!(
            "Usage: paramd {command} PIPELINE [OPTIONS]\n\n{}",
            flags::help::OPTIONS
        ));
        return Ok(Asked::Help);
    };
    let daemon = app.connect().await?;
    let pipeline = daemon.pipeline(name.as_str()).await?;
    if arguments.help {
        app.printer.text(&flags::help::text(command, &pipeline, app.printer.width())?);
        return Ok(Asked::Help);
    }
    let beside = values::read(arguments.params_file.as_deref(), &app.environment)?;
    let Bound { texts, values, warnings, secret_names } =
        flags::bind(name.as_str(), &pipeline.parameters_schema, &arguments, &beside)?;
    for warning in warnings {
        app.printer.note(&format!("warning: {warning}"));
    }
    Ok(Asked::Request(Box::new(Prepared {
        environment: flags::environment_of(&pipeline, arguments.environment.as_deref())?,
        secrets: secrets::read(&arguments.secrets, &secret_names, &app.environment)?,
        preset: arguments.preset,
        run_id: arguments.run_id,
        attempt: arguments.attempt.unwrap_or_default(),
        mode: arguments.mode,
        logical_date: arguments.logical_date,
        labels: arguments.labels,
        lifetime: arguments.lifetime,
        expected_revision: arguments.expected_revision,
        texts,
        values,
        app,
        daemon,
        pipeline,
    })))
}

fn output_of(text: &str) -> Result<Output, CliError> {
    match text {
        "text" => Ok(Output::Text),
        "json" => Ok(Output::Json),
        _ => Err(CliError::usage("`--output` takes `text` or `json`")
            .with_help("a parameter of that name is given as --param output=VALUE")),
    }
}

/// A lifetime as the contract has it; the command line's longest fits.
fn span(lifetime: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

impl Prepared {
    /// The request to resolve; the run's name is made up where none was given.
    pub(crate) fn resolve_request(&self) -> Result<v1::ResolveRunRequest, CliError> {
        let run_id = match &self.run_id {
            Some(given) => given.clone(),
            None => run_name::made_up()?,
        };
        Ok(v1::ResolveRunRequest {
            run: Some(v1::RunName {
                pipeline: self.pipeline.name.clone(),
                run_id,
                attempt: self.attempt,
            }),
            environment: self.environment.clone(),
            preset: self.preset.clone(),
            overrides: self.values.clone(),
            text_overrides: self.texts.clone(),
            secret_overrides: self.secrets.clone(),
            logical_date: self.logical_date,
            mode: self.mode.unwrap_or_default().into(),
            labels: self.labels.clone(),
            lifetime: self.lifetime.map(span),
            expected_revision: self.expected_revision.clone().unwrap_or_default(),
        })
    }

    /// The options given that are about a run that is made.
    pub(crate) fn of_made_run(&self) -> Vec<&'static str> {
        [
            ("--run-id", self.run_id.is_some()),
            ("--attempt", self.attempt > 0),
            ("--mode", self.mode.is_some()),
            ("--label", !self.labels.is_empty()),
            ("--lifetime", self.lifetime.is_some()),
            ("--expected-revision", self.expected_revision.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// The request to explain.
    pub(crate) fn explain_request(&self) -> v1::ExplainRunRequest {
        v1::ExplainRunRequest {
            pipeline: self.pipeline.name.clone(),
            environment: self.environment.clone(),
            preset: self.preset.clone(),
            overrides: self.values.clone(),
            text_overrides: self.texts.clone(),
            secret_overrides: self.secrets.clone(),
            logical_date: self.logical_date,
        }
    }

    /// The environment.
    pub(crate) fn environment(&self) -> &str {
        &self.environment
    }
}
