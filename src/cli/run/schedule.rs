//! Starts steps as soon as what they need is done, and stops when one failed
//! or a signal came.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::board::{Board, State};
use super::job::{self, Ended};
use super::output::Writer;
use super::plan::{Step, Work};
use super::signals::{Signals, Stop};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// How long stopped children have before they are killed.
const GRACE: Duration = Duration::from_secs(10);
/// A child that ignored this many signals is killed.
pub(super) const PATIENCE: u32 = 3;

/// How the run's steps ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// All are done.
    Succeeded,
    /// One failed, with this exit status.
    Failed(Exit),
    /// A signal ended them.
    Cancelled(Stop),
    /// None was started.
    Refused(CliError),
}

/// Runs all steps.
pub(super) async fn execute(
    shared: &Arc<Shared>,
    steps: Vec<Step>,
    signals: &mut Signals,
) -> Ending {
    let mut execution = Execution::new(shared, steps);
    if let Some(stop) = signals.pending() {
        execution.called_off(stop);
    }
    execution.start_ready();
    while !execution.running.is_empty() {
        let kill_at = execution.kill_at;
        tokio::select! {
            Some(ended) = execution.running.join_next() => match ended {
                Ok(ended) => execution.ended(ended),
                // A panic's payload may hold anything: the hook told its place.
                Err(_) => execution.fail(Exit::Failed),
            },
            stop = signals.next() => execution.called_off(stop),
            () = wait_until(kill_at) => {
                execution.kill_at = None;
                shared.groups.signal(Signal::KILL);
            }
        }
    }
    execution.ending()
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

struct Execution<'a> {
    shared: &'a Arc<Shared>,
    waiting: Vec<Step>,
    done: BTreeSet<String>,
    /// The instances of each started step that still run.
    open: Vec<(String, usize)>,
    running: JoinSet<Ended>,
    started: usize,
    /// Whether only one job runs in all: then its output stays as it is.
    alone: bool,
    failed: Option<Exit>,
    cancelled: Option<Stop>,
    signals: u32,
    kill_at: Option<Instant>,
}

impl<'a> Execution<'a> {
    fn new(shared: &'a Arc<Shared>, steps: Vec<Step>) -> Self {
        let jobs: usize = steps.iter().map(job_count).sum();
        shared.output.begin(Board::new(&steps));
        Self {
            shared,
            waiting: steps,
            done: BTreeSet::new(),
            open: Vec::new(),
            running: JoinSet::new(),
            started: 0,
            alone: jobs == 1,
            failed: None,
            cancelled: None,
            signals: 0,
            kill_at: None,
        }
    }

    /// Starts what can start; a skipped step is done at once, so others may
    /// follow.
    fn start_ready(&mut self) {
        while self.shared.groups.may_start() {
            let Some(step) = take_ready(&mut self.waiting, &self.done) else { return };
            match step.work {
                Work::Skip(why) => {
                    self.shared.output.step(&step.name, &State::Skipped(why));
                    self.done.insert(step.name);
                }
                Work::Run(jobs) => {
                    self.open.push((step.name, jobs.len()));
                    jobs.into_iter().for_each(|job| self.start(job));
                }
            }
        }
    }

    fn start(&mut self, job: super::plan::Job) {
        let label = if self.alone { String::new() } else { format!("{} | ", job.title) };
        let writer = Writer { number: self.started, label };
        self.started += 1;
        self.running.spawn(job::run(Arc::clone(self.shared), job, writer));
    }

    fn ended(&mut self, ended: Ended) {
        match ended.exit {
            Exit::Success => self.count_down(&ended.step),
            exit => self.fail(exit),
        }
        self.start_ready();
    }

    fn count_down(&mut self, step: &str) {
        if let Some((_, jobs)) = self.open.iter_mut().find(|(name, _)| name == step) {
            *jobs = jobs.saturating_sub(1);
            if *jobs == 0 {
                self.done.insert(step.to_owned());
            }
        }
    }

    /// The first failure is the run's; what still runs is stopped.
    fn fail(&mut self, exit: Exit) {
        if self.failed.is_none() && self.cancelled.is_none() {
            self.failed = Some(exit);
            self.shared.groups.signal(Signal::TERM);
            self.kill_at = Some(Instant::now() + GRACE);
        }
    }

    /// Passes a signal on; who doesn't heed several is killed.
    fn called_off(&mut self, stop: Stop) {
        self.signals += 1;
        self.cancelled.get_or_insert(stop);
        let signal = if self.signals >= PATIENCE { Signal::KILL } else { stop.0 };
        self.shared.groups.signal(signal);
    }

    fn ending(self) -> Ending {
        for step in &self.waiting {
            self.shared.output.step(&step.name, &State::NotStarted);
        }
        match (self.failed, self.cancelled) {
            (Some(exit), _) => Ending::Failed(exit),
            (None, Some(stop)) => Ending::Cancelled(stop),
            (None, None) if self.waiting.is_empty() => Ending::Succeeded,
            (None, None) => Ending::Failed(Exit::Failed),
        }
    }
}

fn job_count(step: &Step) -> usize {
    match &step.work {
        Work::Run(jobs) => jobs.len(),
        Work::Skip(_) => 0,
    }
}

/// The first step whose needs are done.
fn take_ready(waiting: &mut Vec<Step>, done: &BTreeSet<String>) -> Option<Step> {
    let ready = |step: &Step| step.needs.iter().all(|need| done.contains(need));
    let index = waiting.iter().position(ready)?;
    Some(waiting.remove(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, needs: &[&str]) -> Step {
        Step {
            name: name.into(),
            needs: needs.iter().map(|need| (*need).into()).collect(),
            work: Work::Skip(String::new()),
        }
    }

    #[test]
    fn a_step_is_ready_when_all_that_it_needs_is_done() {
        let mut waiting = vec![step("a", &[]), step("b", &["a", "c"]), step("c", &[])];
        let mut done = BTreeSet::new();
        let mut next = |done: &BTreeSet<String>| take_ready(&mut waiting, done).map(|one| one.name);
        assert_eq!(next(&done).as_deref(), Some("a"));
        assert_eq!(next(&done).as_deref(), Some("c"), "independent ones at the same time");
        assert_eq!(next(&done), None);
        done.extend(["a".to_owned(), "c".to_owned()]);
        assert_eq!(next(&done).as_deref(), Some("b"));
    }
}
