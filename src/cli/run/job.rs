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
use tokio::task::JoinHandle;

use super::Shared;
use super::files::Folder;
use super::groups::Member;
use super::output::Writer;
use super::plan::{Filling, Job};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::printer::Stream;
use crate::cli::reveal;
use crate::mask::{Masker, SecretSet, can_mask};
use crate::proto::v1;
use crate::secret::SecretBytes;

/// How long output is still read after a child's end: what it left in the
/// background may hold its pipes for ever.
const DRAIN: Duration = Duration::from_secs(2);

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
            let took = took.as_secs_f32();
            shared.output.note(&format!("{} {} after {took:.1} s", job.title, words(status)));
            exit_of(status)
        }
        Ok(None) => Exit::Failed,
        Err(error) => {
            shared.output.note(&format!("{} failed", job.title));
            shared.output.note(&error.to_string());
            error.exit
        }
    };
    Ended { step: job.step, exit }
}

/// None: the run was stopped before the child was started.
async fn attempt(
    shared: &Arc<Shared>,
    job: &Job,
    writer: Writer,
) -> Result<Option<(ExitStatus, Duration)>, CliError> {
    let secrets = revealed(shared, job).await?;
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
    let member = shared.groups.add(child.id());
    let items = if job.items.is_empty() { String::new() } else { format!(" ({})", job.items) };
    shared.output.note(&format!("{} started{items}", job.title));

    let pumps = pumps(shared, &mut child, &writer, SecretSet::new(secrets.values()));
    let status = child.wait().await;
    let took = begun.elapsed();
    drain(pumps, &member).await;
    remove(shared, job, folder);
    status.map(|status| Some((status, took))).map_err(|error| not_started(job, error.kind()))
}

/// Reads what is left of the output, for a while: processes that the child left
/// in the background may hold its pipes. Where the run is being stopped, they
/// are killed.
async fn drain(pumps: Vec<JoinHandle<()>>, member: &Member<'_>) {
    let until = tokio::time::Instant::now() + DRAIN;
    for mut pump in pumps {
        if tokio::time::timeout_at(until, &mut pump).await.is_err() {
            member.kill_if_stopped();
            pump.abort();
        }
    }
}

/// The secrets of the job's step, for its instance alone.
async fn revealed(shared: &Shared, job: &Job) -> Result<BTreeMap<String, SecretBytes>, CliError> {
    if job.secrets.is_empty() {
        return Ok(BTreeMap::new());
    }
    let all = v1::RevealSecretsRequest {
        run: Some(shared.run.clone()),
        step: job.step.clone(),
        instance: job.instance,
        names: Vec::new(),
        all: true,
        recipient: None,
    };
    let found = match reveal::call(&shared.daemon, all.clone()).await {
        // One secret always fits.
        Err(error) if error.reason == "ANSWER_TOO_LARGE" => {
            let mut found = Vec::new();
            for name in &job.secrets {
                let one = v1::RevealSecretsRequest {
                    names: vec![name.clone()],
                    all: false,
                    ..all.clone()
                };
                found.extend(reveal::call(&shared.daemon, one).await?);
            }
            found
        }
        answer => answer?,
    };
    Ok(found.into_iter().map(|one| (one.name, one.bytes)).collect())
}

fn tell_short(shared: &Shared, job: &Job, secrets: &BTreeMap<String, SecretBytes>) {
    for (name, _) in secrets.iter().filter(|(_, bytes)| !can_mask(bytes)) {
        let mut told = shared.told_short.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(name.clone()) {
            shared.output.note(&format!(
                "warning: secret `{name}` of {} is too short to be masked in its output",
                job.step
            ));
        }
    }
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
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: signals reach all that it starts.
        .process_group(0)
        .kill_on_drop(true);
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
    CliError::new(Exit::Step(code), format!("the `run` of {} can't be started: {why}", job.title))
}

fn pumps(
    shared: &Arc<Shared>,
    child: &mut Child,
    writer: &Writer,
    secrets: SecretSet,
) -> Vec<JoinHandle<()>> {
    let mut pumps = Vec::new();
    if let Some(out) = child.stdout.take() {
        let masker = Masker::new(secrets.clone());
        pumps.push(tokio::spawn(pump(
            Arc::clone(shared),
            out,
            Stream::Out,
            writer.clone(),
            masker,
        )));
    }
    if let Some(err) = child.stderr.take() {
        let masker = Masker::new(secrets);
        pumps.push(tokio::spawn(pump(
            Arc::clone(shared),
            err,
            Stream::Err,
            writer.clone(),
            masker,
        )));
    }
    pumps
}

async fn pump(
    shared: Arc<Shared>,
    mut from: impl AsyncRead + Unpin,
    stream: Stream,
    writer: Writer,
    mut masker: Masker,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut shown = Vec::new();
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        match buffer.get(..read) {
            Some(bytes) if read > 0 => masker.push(bytes, &mut shown),
            _ => masker.finish(&mut shown),
        }
        // A reader of ours that is slow must not keep signals from being heard.
        tokio::task::block_in_place(|| shared.output.write(stream, &writer, &shown));
        shown.clear();
        if read == 0 {
            return;
        }
    }
}

fn exit_of(status: ExitStatus) -> Exit {
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
