//! `paramd run`, the reference executor: resolves a run through the daemon and
//! runs its steps here as child processes.

mod board;
pub(crate) mod exec;
mod files;
mod filter;
mod groups;
mod job;
mod live;
pub(crate) mod mask;
mod output;
mod plan;
mod schedule;
mod signals;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use super::client::{Daemon, incomplete};
use super::error::CliError;
use super::exit::Exit;
use super::request::{self, Args, Asked, Prepared};
use super::{App, Environment, complete, explain, render, resolve, run_name};
use crate::proto::v1::{self, RunOutcome, RunState, StepAction};
use groups::Groups;
use output::Output;
use schedule::Ending;
use signals::Signals;

/// What all jobs of a run share.
struct Shared {
    daemon: Daemon,
    run: v1::RunName,
    place: Place,
    environment: Environment,
    output: Output,
    groups: Groups,
    /// The secrets, each of a step, that were said to be too short to be masked.
    told_short: Mutex<BTreeSet<(String, String)>>,
}

/// Where children stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Beside each other, without standard input; how they go is told.
    Beside,
    /// One in our own place: our standard input and its terminal are the
    /// child's, and so is the end of whoever reads our output.
    Ours {
        /// Whether standard input is a terminal.
        terminal: bool,
    },
}

impl Shared {
    fn new(app: &App, daemon: Daemon, run: v1::RunName, place: Place) -> Self {
        Self {
            daemon,
            run,
            place,
            environment: app.environment.clone(),
            output: Output::new(app.printer),
            groups: Groups::default(),
            told_short: Mutex::default(),
        }
    }
}

pub(crate) async fn run(app: App, args: Args) -> Result<Exit, CliError> {
    let Asked::Request(prepared) = request::prepare("run", app, args).await? else {
        return Ok(Exit::Success);
    };
    let mut signals = Signals::listen(&signals::ENDING)?;
    refuse_without_command(&prepared).await?;
    let request = prepared.resolve_request()?;
    let name = request.run.clone().unwrap_or_default();
    let answer = tokio::select! {
        answer = resolve::call(&prepared.daemon, request) => answer?,
        signal = signals.next() => return Ok(called_off(&prepared, name, signal).await),
    };
    let run = answer.run.as_ref().ok_or_else(incomplete)?;
    let snapshot = answer.snapshot.as_ref().ok_or_else(incomplete)?;
    refuse_ended(run)?;
    announce(&prepared, run, snapshot);

    let name = run.name.clone().unwrap_or(name);
    let app = &prepared.app;
    let shared = Arc::new(Shared {
        output: Output::live(app.printer, &app.environment),
        ..Shared::new(app, prepared.daemon.clone(), name, Place::Beside)
    });
    let planned = tokio::select! {
        planned = plan::prepare(&shared, &snapshot.steps) => planned.map_err(Ending::Refused),
        stop = signals.next() => Err(Ending::Cancelled(stop)),
    };
    let ending = match planned {
        Ok(steps) => {
            let keeper = tokio::spawn(live::kept_up(Arc::clone(&shared)));
            let ending = schedule::execute(&shared, steps, &mut signals).await;
            keeper.abort();
            ending
        }
        Err(ending) => ending,
    };
    shared.output.close();
    finish(&shared, ending).await
}

/// Standard output is the children's: no document of ours can stand between.
fn refuse_json(app: &App, command: &str, what: &str) -> Result<(), CliError> {
    if !app.wants_json() {
        return Ok(());
    }
    Err(CliError::usage(format!("`{command}` prints what {what}: it takes no --output json")))
}

/// Refuses before anything is resolved where a step that will run is known to
/// have no command. What only a source can tell is told after resolving.
async fn refuse_without_command(prepared: &Prepared) -> Result<(), CliError> {
    let steps = prepared.pipeline.steps.iter();
    let lacking: BTreeSet<&str> =
        steps.filter(|step| step.has_run == Some(false)).map(|step| step.name.as_str()).collect();
    if lacking.is_empty() {
        return Ok(());
    }
    // Who may not explain learns it a moment later, from the contexts.
    let Ok(answer) = explain::call(prepared).await else { return Ok(()) };
    let runs = |step: &v1::StepDecision| {
        let decision = step.decision.as_ref().map(|decision| decision.action);
        decision == Some(i32::from(StepAction::Run)) && lacking.contains(step.step.as_str())
    };
    let names: Vec<&str> =
        answer.steps.iter().filter(|step| runs(step)).map(|step| step.step.as_str()).collect();
    if names.is_empty() { Ok(()) } else { Err(plan::refused_without_command(names)) }
}

/// A signal came while the run was being resolved: it is called off where it
/// was made already, else it expires by itself.
async fn called_off(prepared: &Prepared, run: v1::RunName, signal: signals::Stop) -> Exit {
    let name = run_name::path(&run);
    // A run that isn't there was not made yet.
    let completed = complete::call(&prepared.daemon, run, RunOutcome::Cancelled).await;
    if let Err(error) = completed.map_err(|error| not_recorded(error, &name, "cancelled"))
        && error.exit != Exit::NotFound
        && error.exit != Exit::Denied
    {
        prepared.app.printer.error(&error);
    }
    signal.exit()
}

/// A name is never used again: the steps of an ended run can't run.
fn refuse_ended(run: &v1::Run) -> Result<(), CliError> {
    if run.state == i32::from(RunState::Open) {
        return Ok(());
    }
    let name = run_name::path(&run.name.clone().unwrap_or_default());
    Err(CliError::new(Exit::Conflict, format!("run {name} has ended ({})", render::life(run)))
        .with_help("a run's name is never used again; give another --run-id, or none"))
}

fn announce(prepared: &Prepared, run: &v1::Run, snapshot: &v1::Snapshot) {
    let name = run_name::path(&run.name.clone().unwrap_or_default());
    let printer = prepared.app.printer;
    let revision: String = run.revision.chars().take(12).collect();
    printer.note(&format!("run {name} in {}, revision {revision}", run.environment));
    let warnings = render::warnings(&snapshot.warnings);
    if !warnings.is_empty() {
        printer.note(warnings.trim_end());
    }
}

/// Completes the run, however it ended.
async fn finish(shared: &Shared, ending: Ending) -> Result<Exit, CliError> {
    let outcome = match &ending {
        Ending::Succeeded => RunOutcome::Succeeded,
        Ending::Failed(_) => RunOutcome::Failed,
        Ending::Cancelled(_) | Ending::Refused(_) => RunOutcome::Cancelled,
    };
    let completed = complete::call(&shared.daemon, shared.run.clone(), outcome).await;
    let name = run_name::path(&shared.run);
    let word = super::document::outcome(outcome.into());
    let completed = completed.map_err(|error| not_recorded(error, &name, &word));
    if completed.is_ok() {
        shared.output.note(&format!("run {name} {word}"));
    }
    let exit = match ending {
        Ending::Succeeded => {
            completed?;
            return Ok(Exit::Success);
        }
        Ending::Failed(exit) => exit,
        Ending::Cancelled(signal) => signal.exit(),
        Ending::Refused(error) => {
            if let Err(open) = completed {
                shared.output.note(&open.to_string());
            }
            return Err(error);
        }
    };
    // The step's own failure is what the caller has to know first.
    if let Err(error) = completed {
        shared.output.note(&error.to_string());
    }
    Ok(exit)
}

/// With no answer from the daemon the run's end is the caller's to tell it.
fn not_recorded(error: CliError, name: &str, outcome: &str) -> CliError {
    match error.exit {
        Exit::Unreachable | Exit::Unavailable => error.with_help(format!(
            "run {name} may stay open until it expires; `paramd complete RUN {outcome}` ends it"
        )),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
