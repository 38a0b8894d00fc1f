//! `paramd mask`: a filter that hides secrets in what others print.

use std::io::{self, Read as _};

use super::plan::{self, Work};
use super::{App, CliError, Exit, Place, Shared, job, refuse_json};
use crate::cli::client::incomplete;
use crate::cli::context;
use crate::cli::printer::Stream;
use crate::cli::run_name::{RunPath, attempt, instance};
use crate::cli::secrets::Source;
use crate::mask::{Coverage, Masker, SecretSet, coverage};
use crate::proto::v1;
use crate::secret::SecretBytes;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The run whose step's secrets are hidden.
    #[arg(long, value_name = "PIPELINE/RUN_ID", value_parser = RunPath::parse, requires = "step")]
    run: Option<RunPath>,
    /// The attempt, from 1; else the newest.
    #[arg(long, value_name = "N", value_parser = attempt, requires = "run")]
    attempt: Option<u32>,
    /// The step; `main` in a pipeline that declares none.
    #[arg(long, value_parser = crate::cli::reveal::step_name, requires = "run")]
    step: Option<String>,
    /// The instance of the step's matrix, from 0; else all.
    #[arg(long, value_name = "N", value_parser = instance, requires = "run")]
    instance: Option<u32>,
    /// A secret to hide, and each of its lines: file:FILE or env:VARIABLE; may be
    /// repeated.
    #[arg(long, value_name = "SOURCE", value_parser = Source::parse)]
    secret: Vec<Source>,
}

pub(crate) async fn run(app: App, args: Args) -> Result<Exit, CliError> {
    refuse_json(&app, "mask", "it reads")?;
    if args.run.is_none() && args.secret.is_empty() {
        return Err(CliError::usage("nothing says which secrets to hide")
            .with_help("those of a step: --run PIPELINE/RUN_ID --step STEP")
            .with_help("others: --secret file:FILE, --secret env:VARIABLE"));
    }
    let mut secrets = Vec::new();
    for (number, place) in (1..).zip(&args.secret) {
        let secret = SecretBytes::new(place.read("a secret", &app.environment)?);
        tell_short(&app, number, &secret);
        secrets.push(secret);
    }
    if let (Some(run), Some(step)) = (&args.run, &args.step) {
        secrets.extend(revealed(&app, run.name(args.attempt), step, args.instance).await?);
    }
    // Nothing else is left to do: the thread may wait.
    tokio::task::block_in_place(|| filter(&app, SecretSet::new(&secrets)))
}

/// The secrets of a step, in all of its instances or in one.
async fn revealed(
    app: &App,
    run: v1::RunName,
    step: &str,
    instance: Option<u32>,
) -> Result<Vec<SecretBytes>, CliError> {
    let daemon = app.connect().await?;
    let context = context::call(&daemon, run, step, instance).await?;
    let run = context.run.clone().ok_or_else(incomplete)?;
    let shared = Shared::new(app, daemon, run, Place::Beside);
    let mut secrets = Vec::new();
    match plan::work(&context)? {
        Work::Skip(why) => {
            shared.output.note(&format!("{step} is skipped and has no secrets: {why}"));
        }
        Work::Run(jobs) => {
            for one in jobs {
                let found = job::revealed(&shared, &one).await?;
                job::tell_short(&shared, &one, &found);
                secrets.extend(found.into_values());
            }
        }
    }
    Ok(secrets)
}

/// Says what of a secret from elsewhere stays as it is. Its place is told by its
/// number: the option may hold the secret itself, by mistake.
fn tell_short(app: &App, number: usize, secret: &SecretBytes) {
    let what = match coverage(secret) {
        Coverage::Whole => return,
        Coverage::InPart => "in part too short to be masked",
        Coverage::Nothing => "too short to be masked",
    };
    app.printer.note(&format!("warning: {what}: the secret of `--secret` number {number}"));
}

/// Masks standard input until it ends, or nobody reads what comes of it.
fn filter(app: &App, secrets: SecretSet) -> Result<Exit, CliError> {
    let mut masker = Masker::new(secrets);
    let mut from = io::stdin().lock();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let bytes = read.as_ref().ok().and_then(|read| buffer.get(..*read)).unwrap_or_default();
        let mut shown = Vec::with_capacity(bytes.len());
        match bytes {
            [] => masker.finish(&mut shown),
            bytes => masker.push(bytes, &mut shown),
        }
        let is_read = app.printer.pass(Stream::Out, &shown);
        let read = read.map_err(|error| {
            let kind = error.kind();
            CliError::new(Exit::Failed, format!("standard input can't be read: {kind}"))
        })?;
        if read == 0 || !is_read {
            return Ok(Exit::Success);
        }
    }
}
