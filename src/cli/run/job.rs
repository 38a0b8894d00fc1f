//! One child process: its secrets, files and environment, its masked output,
//! and how it ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::board::State;
use super::files::Folder;
use super::groups::Member;
use super::output::Writer;
use super::plan::{Filling, Job};
use super::signals::Stop;
use super::{Place, Shared};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::printer::Stream;
use crate::cli::reveal;
use crate::cli::step_token::StepToken;
use crate::cli::text::ticked;
use crate::mask::{Coverage, Masker, SecretSet, coverage};
use crate::proto::v1;
use crate::secret::SecretBytes;

/// How long output is still read after a child's end: what it left in the
/// background may hold its pipes for ever.
const DRAIN: Duration = Duration::from_secs(2);
/// What a pipe holds at most: whatever a child wrote itself is in what comes
/// first of it.
const PIPE: usize = 1 << 20;

/// How a job ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// The step.
    pub(super) step: String,
    /// Success, the child's status, or what kept it from running.
    pub(super) exit: Exit,
}

/// Runs one job and says how it went.
pub(super) async fn run(shared: Arc<Shared>, job: Job, writer: Writer) -> Ended {
    let exit = match attempt(&shared, &job, writer).await {
        Ok(Some((status, took))) => {
            let (words, good) = (words(status), status.success());
            shared.output.step(&job.title, &State::Ended { words, good, took });
            exit_of(status)
        }
        Ok(None) => {
            shared.output.step(&job.title, &State::NotStarted);
            not_begun(&shared)
        }
        Err(error) => {
            shared.output.step(&job.title, &State::Failed);
            shared.output.note(&error.to_string());
            error.exit
        }
    };
    Ended { step: job.step, exit }
}

/// The status of what a signal kept from starting.
pub(super) fn not_begun(shared: &Shared) -> Exit {
    shared.groups.stopped_by().map_or(Exit::Failed, |signal| Stop(signal).exit())
}

/// Runs one job. None: a signal came before the child was started.
pub(super) async fn attempt(
    shared: &Arc<Shared>,
    job: &Job,
    writer: Writer,
) -> Result<Option<(ExitStatus, Duration)>, CliError> {
    let secrets = tokio::select! {
        secrets = revealed(shared, job) => secrets?,
        () = shared.groups.stopped() => return Ok(None),
    };
    tell_short(shared, job, &secrets);
    let folder = folder(shared, job, &secrets)?;
    let mut command = command(shared, job, &secrets)?;
    if let Some(folder) = &folder {
        command.env("PARAMD_FILES", folder.path());
    }
    if !shared.groups.may_start() {
        return Ok(None);
    }
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| not_started(job, error.kind()))?;
    // Its copies of secrets are not needed any more.
    drop(command);
    let member = shared.groups.add(child.id(), shared.place);
    if shared.place == Place::Beside {
        let running = State::Running { items: job.items.clone(), since: begun };
        shared.output.step(&job.title, &running);
    }

    let until = watch::Sender::new(None);
    let pumps = pumps(shared, &mut child, &writer, SecretSet::new(secrets.values()), &until);
    let status = child.wait().await;
    let took = begun.elapsed();
    member.ended();
    until.send_replace(Some(tokio::time::Instant::now() + DRAIN));
    drain(shared, pumps, &until, &member).await;
    remove(shared, job, folder);
    status.map(|status| Some((status, took))).map_err(|error| not_started(job, error.kind()))
}

/// Waits for what is left of the output: all that the child wrote, however slow
/// our reader is, and for a while what comes from processes that it left in the
/// background. Where the run is being stopped, these are killed, and nobody
/// waits for our reader.
async fn drain(shared: &Shared, pumps: Vec<JoinHandle<Left>>, until: &Until, member: &Member<'_>) {
    let given_up = async || {
        shared.groups.stopped().await;
        over(&mut until.subscribe()).await;
    };
    for mut pump in pumps {
        let held = tokio::select! {
            left = &mut pump => matches!(left, Ok(Left::Held)),
            () = given_up() => true,
        };
        if held {
            member.kill_if_stopped();
            pump.abort();
        }
    }
}

/// The secrets of the job's step, for its instance alone.
pub(super) async fn revealed(
    shared: &Shared,
    job: &Job,
) -> Result<BTreeMap<String, SecretBytes>, CliError> {
    if job.secrets.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Who shows a step token can't have another made, and needs none.
    let token = match shared.daemon.shows_step_token() {
        true => None,
        false => Some(StepToken::mint(&shared.daemon, shared.run.clone(), &job.step).await?),
    };
    let reveal = async |request| reveal::call(&shared.daemon, token.as_ref(), request).await;
    let all = v1::RevealSecretsRequest {
        run: Some(shared.run.clone()),
        step: job.step.clone(),
        instance: job.instance,
        names: Vec::new(),
        all: true,
        recipient: None,
    };
    let found = match reveal(all.clone()).await {
        // One secret always fits.
        Err(error) if error.reason == "ANSWER_TOO_LARGE" => {
            let mut found = Vec::new();
            for name in &job.secrets {
                let one = v1::RevealSecretsRequest {
                    names: vec![name.clone()],
                    all: false,
                    ..all.clone()
                };
                found.extend(reveal(one).await?);
            }
            found
        }
        answer => answer?,
    };
    Ok(found.into_iter().map(|one| (one.name, one.bytes)).collect())
}

/// Tells once what of a step's secrets its output doesn't hide.
pub(super) fn tell_short(shared: &Shared, job: &Job, secrets: &BTreeMap<String, SecretBytes>) {
    let mut told = shared.told_short.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tell = |found: Coverage, what: &str| {
        let names = secrets.iter().filter(|(_, bytes)| coverage(bytes) == found);
        let names: Vec<&str> = names
            .map(|(name, _)| name.as_str())
            .filter(|name| told.insert((job.step.clone(), (*name).to_owned())))
            .collect();
        if !names.is_empty() {
            let (step, names) = (&job.step, ticked(names));
            shared.output.note(&format!("warning: {what} in the output of `{step}`: {names}"));
        }
    };
    tell(Coverage::Nothing, "too short to be masked");
    tell(Coverage::InPart, "in part too short to be masked");
}

fn folder(
    shared: &Shared,
    job: &Job,
    secrets: &BTreeMap<String, SecretBytes>,
) -> Result<Option<Folder>, CliError> {
    if job.files.is_empty() {
        return Ok(None);
    }
    let failed = |error: std::io::Error| {
        let kind = error.kind();
        CliError::new(Exit::Failed, format!("the files of {} can't be written: {kind}", job.title))
    };
    let mut folder = Folder::create(&shared.environment).map_err(failed)?;
    for (name, (filling, mode)) in &job.files {
        folder.write(name, *mode, bytes(job, filling, secrets)?).map_err(failed)?;
    }
    Ok(Some(folder))
}

/// Removes a job's files; that some are left is told, for they may be secret.
fn remove(shared: &Shared, job: &Job, folder: Option<Folder>) {
    let Some(folder) = folder else { return };
    let path = folder.path().display().to_string();
    if let Err(error) = folder.remove() {
        let kind = error.kind();
        shared.output.note(&format!(
            "warning: files of {} are left in `{path}`, remove them: {kind}",
            job.title
        ));
    }
}

#[expect(clippy::disallowed_methods, reason = "a step's own secrets go to its variables and files")]
fn bytes<'a>(
    job: &Job,
    filling: &'a Filling,
    secrets: &'a BTreeMap<String, SecretBytes>,
) -> Result<&'a [u8], CliError> {
    match filling {
        Filling::Public(bytes) => Ok(bytes),
        Filling::Secret(name) => secrets.get(name).map(SecretBytes::expose).ok_or_else(|| {
            CliError::new(Exit::Failed, format!("a secret of {} wasn't revealed", job.title))
        }),
    }
}

fn command(
    shared: &Shared,
    job: &Job,
    secrets: &BTreeMap<String, SecretBytes>,
) -> Result<Command, CliError> {
    let mut command = Command::new(&job.program);
    command
        .args(&job.arguments)
        .env_clear()
        .envs(shared.environment.inherited())
        .stdin(if shared.place == Place::Beside { Stdio::null() } else { Stdio::inherit() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if shared.place != (Place::Ours { terminal: true }) {
        // A group of its own: signals reach all that it starts.
        command.process_group(0);
    }
    for (name, filling) in &job.env {
        command.env(name, OsString::from_vec(bytes(job, filling, secrets)?.to_vec()));
    }
    Ok(command)
}

/// As a shell has it: 127 where there is no such program, 126 where it can't be
/// executed.
fn not_started(job: &Job, kind: ErrorKind) -> CliError {
    let (code, why) = match kind {
        ErrorKind::NotFound => (127, "there is no such program".to_owned()),
        ErrorKind::InvalidInput => (126, "an argument or a variable has a NUL byte".to_owned()),
        kind => (126, kind.to_string()),
    };
    CliError::new(Exit::Step(code), format!("the command of {} can't be started: {why}", job.title))
}

/// When to stop reading what comes from others than the child; none while it
/// runs.
type Until = watch::Sender<Option<tokio::time::Instant>>;

/// Why a pump has ended.
#[derive(Debug)]
enum Left {
    /// The output has ended, or nobody reads it.
    Nothing,
    /// Somebody still holds the pipe.
    Held,
}

fn pumps(
    shared: &Arc<Shared>,
    child: &mut Child,
    writer: &Writer,
    secrets: SecretSet,
    until: &Until,
) -> Vec<JoinHandle<Left>> {
    let pump = |stream, secrets| Pump {
        shared: Arc::clone(shared),
        stream,
        writer: writer.clone(),
        masker: Masker::new(secrets),
        until: until.subscribe(),
    };
    let out = child.stdout.take().map(|out| {
        let pump = pump(Stream::Out, secrets.clone());
        tokio::spawn(pump.run(out))
    });
    let err = child.stderr.take().map(|err| {
        let pump = pump(Stream::Err, secrets);
        tokio::spawn(pump.run(err))
    });
    out.into_iter().chain(err).collect()
}

/// One stream of a child on its way to ours.
struct Pump {
    shared: Arc<Shared>,
    stream: Stream,
    writer: Writer,
    masker: Masker,
    until: watch::Receiver<Option<tokio::time::Instant>>,
}

impl Pump {
    async fn run(mut self, mut from: impl AsyncRead + Unpin) -> Left {
        let mut buffer = vec![0; 16 * 1024];
        let mut rest = PIPE;
        loop {
            let read = tokio::select! {
                biased;
                read = from.read(&mut buffer), if rest > 0 => read.unwrap_or(0),
                () = over(&mut self.until) => {
                    self.pass(&[]);
                    return Left::Held;
                }
            };
            let bytes = buffer.get(..read).unwrap_or_default();
            // In our place a child learns, as it would without us, that nobody
            // reads what it writes.
            let unread = !self.pass(bytes) && self.shared.place != Place::Beside;
            if read == 0 || unread {
                return Left::Nothing;
            }
            if self.until.borrow().is_some_and(|until| until <= tokio::time::Instant::now()) {
                rest = rest.saturating_sub(read);
            }
        }
    }

    /// Masks and writes; nothing: the end. False: nobody reads it.
    fn pass(&mut self, bytes: &[u8]) -> bool {
        let mut shown = Vec::with_capacity(bytes.len());
        match bytes {
            [] => self.masker.finish(&mut shown),
            bytes => self.masker.push(bytes, &mut shown),
        }
        let write = || self.shared.output.write(self.stream, &self.writer, &shown);
        // A reader of ours that is slow must not keep signals from being heard.
        tokio::task::block_in_place(write)
    }
}

/// Waits until the child has ended and others had their time.
async fn over(until: &mut watch::Receiver<Option<tokio::time::Instant>>) {
    let time = until.wait_for(Option::is_some).await.ok().and_then(|time| *time);
    // None: the child's task is gone, and nobody waits for us.
    if let Some(time) = time {
        tokio::time::sleep_until(time).await;
    }
}

/// The exit status that a shell would give for it.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(0), _) => Exit::Success,
        (Some(code), _) => Exit::Step(u8::try_from(code).unwrap_or(1)),
        (None, Some(signal)) => {
            Exit::Step(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
        }
        (None, None) => Exit::Failed,
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "succeeded".to_owned(),
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_the_childs_as_a_shell_has_it() {
        let of = |raw| exit_of(ExitStatus::from_raw(raw)).code();
        assert_eq!((of(0), of(3 << 8), of(15)), (0, 3, 143));
    }
}
