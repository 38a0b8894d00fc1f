//! `paramd extend`: lets an open run stay open longer.

use std::time::Duration;

use serde::Serialize;

use super::client::{incomplete, send};
use super::document::RunDocument;
use super::error::{CliError, Expected};
use super::exit::Exit;
use super::run_name::RunArgs;
use super::{App, render};
use crate::proto::v1;
use crate::yaml::fields;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// How long it may stay open in all, from its creation, such as 48h.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    lifetime: Duration,
}

fn duration(text: &str) -> Result<Duration, Expected> {
    fields::parse_duration(text).ok_or_else(|| {
        Expected(
            "a positive integer with `s`, `m`, `h` or `d`, such as `48h`; at most 3650d".into(),
        )
    })
}

#[derive(Serialize)]
struct Document {
    run: RunDocument,
}

pub(crate) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let seconds = i64::try_from(args.lifetime.as_secs()).unwrap_or(i64::MAX);
    let request = v1::ExtendRunRequest {
        run: Some(args.run.name()),
        lifetime: Some(prost_types::Duration { seconds, nanos: 0 }),
    };
    let daemon = app.connect().await?;
    let answer = send(request, |request| {
        let mut client = daemon.runs();
        async move { client.extend_run(request).await }
    });
    let run = answer.await?.run.ok_or_else(incomplete)?;
    if app.wants_json() {
        app.printer.json(&Document { run: RunDocument::new(&run) });
    } else {
        app.printer.text(&render::run(&run));
    }
    Ok(Exit::Success)
}
