//! `paramd runs list`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::client::send;
use crate::cli::document::{RunDocument, outcome, state, time};
use crate::cli::error::{CliError, Expected};
use crate::cli::exit::Exit;
use crate::cli::listing::{self, Paging, named};
use crate::cli::table::Sheet;
use crate::cli::{App, run_name};
use crate::proto::v1;

/// The most runs of one page.
const PAGE: usize = 500;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only runs of this pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Only attempts of this run.
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
    /// Only runs in this environment.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Only runs in this state: `open`, `completed`, `expired`; may be repeated.
    #[arg(long, value_name = "WORD", value_parser = state_of)]
    state: Vec<v1::RunState>,
    /// Only runs with this label; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Only runs made at or after this time, such as 2026-01-31T08:00:00Z, or
    /// within the last 24h.
    #[arg(long, value_name = "TIME", value_parser = listing::moment)]
    since: Option<prost_types::Timestamp>,
    /// Only runs made before this time, or longer ago than 24h.
    #[arg(long, value_name = "TIME", value_parser = listing::moment)]
    until: Option<prost_types::Timestamp>,
    #[command(flatten)]
    paging: Paging,
}

fn state_of(text: &str) -> Result<v1::RunState, Expected> {
    let name = format!("RUN_STATE_{}", text.to_ascii_uppercase());
    let known = v1::RunState::from_str_name(&name).filter(|one| *one != v1::RunState::Unspecified);
    known.ok_or_else(|| {
        let states = (1..16).filter(|number| v1::RunState::try_from(*number).is_ok());
        Expected(format!("a state is one of {}", states.map(state).collect::<Vec<_>>().join(", ")))
    })
}

fn label(text: &str) -> Result<(String, String), Expected> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| Expected("a label is KEY=VALUE".to_owned()))
}

#[derive(Serialize)]
struct Document {
    runs: Vec<RunDocument>,
    next_page_token: Option<String>,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let request = request(args)?;
    let daemon = app.connect().await?;
    let ask = async |page_size, page_token| {
        let request = v1::ListRunsRequest { page_size, page_token, ..request.clone() };
        let page = send(request, |request| {
            let mut client = daemon.runs();
            async move { client.list_runs(request).await }
        })
        .await?;
        Ok((page.runs, page.next_page_token))
    };
    let (runs, next) = args.paging.pages(PAGE, ask).await?;
    if app.wants_json() {
        let next_page_token = (!next.is_empty()).then_some(next);
        let runs = runs.iter().map(RunDocument::new).collect();
        app.printer.json(&Document { runs, next_page_token });
        return Ok(Exit::Success);
    }
    if runs.is_empty() {
        app.printer.note("no run fits");
        return Ok(Exit::Success);
    }
    app.printer.text(&table(&runs, app.printer.width()));
    listing::note_more(app, &next);
    Ok(Exit::Success)
}

fn request(args: &Args) -> Result<v1::ListRunsRequest, CliError> {
    let labels: BTreeMap<String, String> = args.label.iter().cloned().collect();
    if labels.len() < args.label.len() {
        return Err(CliError::usage("--label names a key twice"));
    }
    Ok(v1::ListRunsRequest {
        pipeline: named(&args.pipeline),
        run_id: named(&args.run_id),
        environment: named(&args.environment),
        states: args.state.iter().map(|one| i32::from(*one)).collect(),
        labels,
        start_time: args.since,
        end_time: args.until,
        ..v1::ListRunsRequest::default()
    })
}

fn table(runs: &[v1::Run], width: u16) -> String {
    let mut sheet = Sheet::new(width, ["run", "attempt", "environment", "made", "state", "owner"]);
    for run in runs {
        let name = run.name.clone().unwrap_or_default();
        sheet.row([
            &run_name::path(&name),
            &name.attempt.to_string(),
            &run.environment,
            &made(run),
            &life(run),
            &run.owner.clone().unwrap_or_default().name,
        ]);
    }
    sheet.text()
}

/// When the run was made: date and time, to the second.
fn made(run: &v1::Run) -> String {
    let text = run.create_time.as_ref().map(time).unwrap_or_default();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    whole.replace('T', " ")
}

/// The state, and how it ended; `runs show` has the times.
fn life(run: &v1::Run) -> String {
    match v1::RunState::try_from(run.state) {
        Ok(v1::RunState::Completed) => format!("{}: {}", state(run.state), outcome(run.outcome)),
        _ => state(run.state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_split_at_the_first_equals_sign() {
        assert_eq!(label("team=a=b").unwrap(), ("team".to_owned(), "a=b".to_owned()));
        assert_eq!(label("team=").unwrap(), ("team".to_owned(), String::new()));
        assert!(label("team").is_err() && label("=a").is_err());
    }

    #[test]
    fn a_state_is_a_word() {
        assert_eq!(state_of("open").unwrap(), v1::RunState::Open);
        let error = state_of("unspecified").unwrap_err();
        assert_eq!(error.0, "a state is one of open, completed, expired");
    }

    #[test]
    fn a_row_tells_when_a_run_was_made_and_how_it_ended() {
        let run = v1::Run {
            name: Some(v1::RunName { pipeline: "p".into(), run_id: "a/b".into(), attempt: 2 }),
            environment: "dev".into(),
            create_time: Some(prost_types::Timestamp { seconds: 61, nanos: 0 }),
            state: v1::RunState::Completed.into(),
            outcome: v1::RunOutcome::Failed.into(),
            ..Default::default()
        };
        let text = table(&[run], 80);
        let row: Vec<&str> = text.lines().last().unwrap().split("  ").map(str::trim).collect();
        let row: Vec<&str> = row.into_iter().filter(|cell| !cell.is_empty()).collect();
        assert_eq!(row, ["p/a/b", "2", "dev", "1970-01-01 00:01:01", "completed: failed"]);
    }
}
