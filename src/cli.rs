//! The command line: a client of the daemon, and the commands that work on
//! files.
//!
//! One file a command. `flags` makes a pipeline's own flags from its schema,
//! `document` is the JSON that commands print, `printer` the only place that
//! prints.

mod access;
mod audit;
mod check;
mod client;
mod complete;
mod completions;
mod context;
mod diff;
mod document;
mod environment;
mod error;
mod exit;
mod explain;
mod extend;
mod flags;
mod init;
mod listing;
mod live;
mod paint;
mod pipelines;
mod printer;
mod render;
mod request;
mod resolve;
mod reveal;
mod run;
mod run_name;
mod runs;
mod schema;
mod secrets;
mod serve;
mod step_token;
mod table;
mod text;
mod token;
mod usage;
mod values;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use client::Endpoint;
pub use environment::Environment;
use error::CliError;
use exit::Exit;
use printer::Printer;
pub use printer::hide_panic_payloads;

use crate::process::{self, Conduct, environ, memory};

/// Resolves the parameters of pipeline runs and keeps their secrets secret.
#[derive(Parser)]
#[command(
    name = "paramd",
    version,
    subcommand_required = true,
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// Prints the version.
    #[arg(long, short = 'V', action = clap::ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Where the daemon listens, as unix:PATH or https://HOST:PORT; else
    /// PARAMD_ENDPOINT, else $XDG_RUNTIME_DIR/paramd/paramd.sock, else
    /// /run/paramd/paramd.sock.
    #[arg(long, global = true, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    #[command(flatten)]
    access: client::Access,
    /// How data is printed: as tables for people, or as JSON for programs.
    #[arg(
        long,
        global = true,
        value_name = "text|json",
        value_enum,
        hide_possible_values = true,
        default_value_t = Output::Text
    )]
    output: Output,
    /// Prints this help.
    #[arg(long, short, global = true, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Tables for people.
    Text,
    /// JSON for programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the daemon.
    Serve(serve::Args),
    /// Writes a working configuration for the caller.
    Init(init::Args),
    /// Checks a configuration and tells all its problems.
    Check(check::Args),
    /// Resolves a run and freezes it.
    #[command(after_help = flags::help::OPTIONS, override_usage = "paramd resolve PIPELINE [OPTIONS] [--PARAMETER VALUE]…")]
    Resolve(request::Args),
    /// Shows what a run would use, and why; asks no source.
    #[command(after_help = flags::help::OPTIONS, override_usage = "paramd explain PIPELINE [OPTIONS] [--PARAMETER VALUE]…")]
    Explain(request::Args),
    /// Resolves a run and runs its steps here.
    #[command(after_help = flags::help::OPTIONS, override_usage = "paramd run PIPELINE [OPTIONS] [--PARAMETER VALUE]…")]
    Run(request::Args),
    /// Runs one step of a run that was resolved, for any orchestrator.
    #[command(override_usage = "paramd exec --run RUN --step STEP [OPTIONS] [-- COMMAND…]")]
    Exec(run::exec::Args),
    /// Hides secrets in text, from standard input to standard output.
    #[command(override_usage = "paramd mask [--run RUN --step STEP] [--secret SOURCE]… [OPTIONS]")]
    Mask(run::mask::Args),
    /// Shows a step's context: public values, references to secrets, commands.
    Context(context::Args),
    /// Writes a step's secrets to standard output.
    Reveal(reveal::Args),
    /// Shows the pipelines that may be run.
    Pipelines(pipelines::Args),
    /// Reads the records of runs.
    Runs(runs::Args),
    /// Tells why a run could not be resolved.
    Why(run_name::RunArgs),
    /// Tells what differs between two runs, without secrets.
    Diff(diff::Args),
    /// Lets an open run stay open longer.
    Extend(extend::Args),
    /// Ends a run: its secrets are erased.
    Complete(complete::Args),
    /// Reads, follows and verifies the audit log.
    Audit(audit::Args),
    /// Tries the policies of a configuration: tests, why, who.
    Access(access::Args),
    /// Makes, lists and revokes bearer tokens, in the daemon's files.
    Token(token::Args),
    /// Prints the JSON Schema of a pipeline's file, for editors.
    Schema,
    /// Prints the completions of a shell: bash, zsh or fish.
    Completions(completions::Args),
}

/// What a command works with.
struct App {
    environment: Environment,
    global: Global,
    printer: Printer,
}

impl App {
    async fn connect(&self) -> Result<client::Daemon, CliError> {
        Endpoint::choose(self.global.endpoint.as_deref(), &self.environment)?
            .connect(&self.global.access, &self.environment)
            .await
    }

    fn wants_json(&self) -> bool {
        self.global.output == Output::Json
    }
}

/// Runs the command that `arguments` (the program's name first) say, and tells
/// the exit status.
pub fn main(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let printer = Printer::new(&environment);
    let command = Cli::command().term_width(usize::from(printer.width()).min(100));
    let parsed = command.try_get_matches_from(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return usage::tell(&error, printer).into(),
    };
    let app = App { environment, global: cli.global, printer };
    let ended = start(app, cli.command).and_then(|exit| match printer.lost() {
        Some(lost) if exit == Exit::Success => Err(lost),
        _ => Ok(exit),
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            printer.error(&error);
            error.exit.into()
        }
    }
}

fn start(app: App, command: Command) -> Result<Exit, CliError> {
    let guard = guard(&command)?;
    match command {
        Command::Serve(args) => serve::run(&app, args, guard),
        Command::Init(args) => init::run(&app, &args),
        Command::Check(args) => with_threads(check::run(&app, &args)),
        Command::Resolve(args) => with_threads(resolve::run(app, args)),
        Command::Explain(args) => with_threads(explain::run(app, args)),
        Command::Run(args) => with_threads(run::run(app, args)),
        Command::Exec(args) => with_threads(run::exec::run(app, args)),
        Command::Mask(args) => with_threads(run::mask::run(app, args)),
        Command::Context(args) => with_threads(context::run(&app, &args)),
        Command::Reveal(args) => with_threads(reveal::run(&app, &args)),
        Command::Pipelines(args) => with_threads(pipelines::run(&app, &args)),
        Command::Runs(args) => with_threads(runs::run(&app, &args)),
        Command::Why(args) => with_threads(why::run(&app, &args)),
        Command::Diff(args) => with_threads(diff::run(&app, &args)),
        Command::Extend(args) => with_threads(extend::run(&app, &args)),
        Command::Complete(args) => with_threads(complete::run(&app, &args)),
        Command::Audit(args) => with_threads(audit::run(&app, &args)),
        Command::Access(args) => access::run(&app, &args),
        Command::Token(args) => token::run(&app, &args),
        Command::Schema => Ok(schema::run(&app)),
        Command::Completions(args) => Ok(completions::run(&app, &args)),
    }
}

/// What came of guarding the process.
struct Guard {
    /// Whether variables were wiped where the kernel shows them.
    wiped: Result<(), std::io::ErrorKind>,
    /// What of its memory is locked.
    locked: memory::Locked,
}

/// Takes from the process what it doesn't need, while it has one thread.
fn guard(command: &Command) -> Result<Guard, CliError> {
    let is_daemon = matches!(command, Command::Serve(_));
    let conduct = Conduct {
        holds_secrets: command.holds_secrets(),
        starts_programs: matches!(command, Command::Run(_) | Command::Exec(_)),
    };
    // First: what can't be read by others can't be opened by its own user either.
    let is_wiped = |name: &[u8]| match is_daemon {
        true => !environ::stays(name),
        false => name == b"PARAMD_TOKEN",
    };
    let wiped = environ::wipe(is_wiped).map_err(|error| error.kind());
    process::harden(conduct).map_err(|error| {
        let kind = error.kind();
        CliError::new(Exit::Failed, format!("the process can't be closed to others: {kind}"))
    })?;
    Ok(Guard { wiped, locked: memory::lock_all() })
}

/// Runs a command's work on the runtime's threads.
fn with_threads(work: impl Future<Output = Result<Exit, CliError>>) -> Result<Exit, CliError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
            CliError::new(Exit::Failed, format!("no threads to be had: {}", error.kind()))
        })?;
    let exit = runtime.block_on(work);
    // A read of standard input that nobody waits for must not keep us.
    runtime.shutdown_background();
    exit
}

impl Command {
    /// Whether secret bytes can be in this process's memory.
    fn holds_secrets(&self) -> bool {
        matches!(
            self,
            Self::Serve(_)
                | Self::Resolve(_)
                | Self::Explain(_)
                | Self::Run(_)
                | Self::Exec(_)
                | Self::Mask(_)
                | Self::Reveal(_)
                | Self::Token(_)
                | Self::Check(check::Args { live: true, .. })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn parsed(line: &[&str]) -> Cli {
        Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_pipelines_flags_reach_their_own_parser() {
        let cli = parsed(&[
            "paramd",
            "--endpoint",
            "unix:/a",
            "run",
            "churn",
            "--epochs",
            "-2",
            "--help",
        ]);
        assert_eq!(cli.global.endpoint.as_deref(), Some("unix:/a"));
        let Command::Run(args) = cli.command else { panic!() };
        assert_eq!(args.words, ["churn", "--epochs", "-2", "--help"]);
    }

    /// The words of each command that does something.
    fn leaves(command: &clap::Command, words: &str, found: &mut Vec<String>) {
        for one in command.get_subcommands() {
            let words = format!("{words} {}", one.get_name());
            match one.has_subcommands() {
                true => leaves(one, &words, found),
                false => found.push(words),
            }
        }
    }

    /// The golden files' commands, each with what it prints through a pipe.
    fn golden() -> Vec<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli");
        let files = std::fs::read_dir(folder).unwrap();
        let text: String =
            files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        let entries = format!("\n{text}");
        let entries = entries.split("\n$ ").skip(1);
        let piped = |entry: &str| {
            let (line, printed) = entry.split_once('\n').unwrap();
            let printed = printed.split("on a terminal of 80 columns:\n").next().unwrap();
            (format!("{line} "), printed.to_owned())
        };
        entries.map(piped).collect()
    }

    #[test]
    fn each_command_has_its_golden_output_and_its_help() {
        let mut commands = Vec::new();
        leaves(&Cli::command(), "paramd", &mut commands);
        assert!(commands.len() > 20, "{commands:?}");
        let golden = golden();
        for command in commands {
            let mut own =
                golden.iter().filter(|(line, _)| line.starts_with(&format!("{command} ")));
            let help = own.clone().any(|(line, _)| line.trim_end() == format!("{command} --help"));
            assert!(help, "tests/cli has no `$ {command} --help`");
            let works = own.any(|(line, printed)| {
                !line.contains("--help") && !printed.contains("\nexit status")
            });
            assert!(works, "tests/cli has no `$ {command}` that goes well");
        }
    }

    #[test]
    fn options_may_come_before_the_pipeline() {
        let cli = parsed(&["paramd", "run", "--environment", "dev", "churn", "--x", "1"]);
        let Command::Run(args) = cli.command else { panic!() };
        assert_eq!(args.words, ["--environment", "dev", "churn", "--x", "1"]);
    }
}
