//! `paramd exec`: one step of a run that was resolved already, in the place of
//! the command itself. Completing the run is the orchestrator's.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::sync::Arc;

use rustix::process::Signal;

use super::job;
use super::output::Writer;
use super::plan::{self, Job, Work};
use super::schedule::PATIENCE;
use super::signals::{self, Signals, Stop};
use super::{App, CliError, Exit, Place, Shared, refuse_json};
use crate::cli::client::incomplete;
use crate::cli::context;
use crate::cli::run_name::StepArgs;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    step: StepArgs,
    /// What to execute in place of the step's own `run`.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(app: App, args: Args) -> Result<Exit, CliError> {
    refuse_json(&app, "exec", "its command prints")?;
    let mut signals = Signals::listen(&signals::PASSED_ON)?;
    let prepared = tokio::select! {
        prepared = prepare(&app, args) => prepared?,
        stop = signals.next() => return Ok(stop.exit()),
    };
    let Some((shared, job)) = prepared else { return Ok(Exit::Success) };
    let (shared, writer) = (Arc::new(shared), Writer { number: 0, label: String::new() });
    let (watched, mut asked) = (Arc::clone(&shared), 0);
    let mut running = tokio::spawn(async move {
        let ended = job::attempt(&shared, &job, writer).await?;
        Ok(ended.map_or_else(|| job::not_begun(&shared), |(status, _)| job::exit_of(status)))
    });
    loop {
        tokio::select! {
            // A panic's payload may hold anything: the hook told its place.
            ended = &mut running => return ended.unwrap_or(Ok(Exit::Failed)),
            stop = signals.next() => pass_on(&watched, stop, &mut asked),
        }
    }
}

/// The one job, checked before any secret is revealed; none for a step that is
/// skipped, which is told.
async fn prepare(app: &App, args: Args) -> Result<Option<(Shared, Job)>, CliError> {
    let daemon = app.connect().await?;
    let StepArgs { step, instance, .. } = &args.step;
    let context = context::call(&daemon, args.step.run(), step, *instance).await?;
    // With its attempt: should a newer one begin meanwhile, it is another run.
    let run = context.run.clone().ok_or_else(incomplete)?;
    let place = Place::Ours { terminal: std::io::stdin().is_terminal() };
    let shared = Shared::new(app, daemon, run, place);
    let mut jobs = match plan::work(&context)? {
        Work::Run(jobs) => jobs,
        Work::Skip(why) => {
            shared.output.note(&format!("{step} skipped: {why}"));
            return Ok(None);
        }
    };
    let count = jobs.len();
    let job = jobs
        .pop()
        .filter(|job| count == 1 && (job.instance == *instance || job.instance.is_none()));
    let mut job = job.ok_or_else(|| {
        CliError::usage(format!("step `{step}` has a matrix of {count}"))
            .with_help("say which instance, from 0: --instance N")
    })?;
    let mut command = args.command.into_iter();
    if let Some(program) = command.next() {
        (job.program, job.arguments) = (program, command.collect());
    } else if job.program.is_empty() {
        return Err(plan::without_command(vec![step]).with_help("give the COMMAND after `--`"));
    }
    Ok(Some((shared, job)))
}

/// Passes a signal on. What ends most programs kills one that ignored it
/// several times; the others may be a program's own, such as SIGHUP for
/// "read your settings again".
fn pass_on(shared: &Shared, stop: Stop, asked: &mut u32) {
    let by_terminal = shared.place == (Place::Ours { terminal: true });
    let ends = match stop.0 {
        Signal::TERM => true,
        Signal::INT | Signal::QUIT => !by_terminal,
        _ => false,
    };
    if !ends {
        return shared.groups.pass(stop.0);
    }
    *asked += 1;
    shared.groups.signal(if *asked >= PATIENCE { Signal::KILL } else { stop.0 });
}
