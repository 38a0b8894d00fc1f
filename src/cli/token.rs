//! `paramd token`: makes, lists and revokes bearer tokens, in the daemon's file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::App;
use super::error::{CliError, Expected};
use super::exit::Exit;
use super::serve::variables;
use super::table::Sheet;
use crate::daemon::key_file;
use crate::definition::ServerSettings;
use crate::load::load;
use crate::name::TokenName;
use crate::secret::SecretBytes;
use crate::token::{self, Entry, TokenError};
use crate::yaml::{diagnostic, fields};

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Makes a token and prints it, this once.
    Create(CreateArgs),
    /// Lists the tokens, without what proves them.
    List(ListArgs),
    /// Takes a token away, at once.
    Revoke(RevokeArgs),
}

#[derive(clap::Args)]
struct CreateArgs {
    /// The token's name; in policies its owner is token:NAME.
    #[arg(value_name = "NAME", value_parser = name)]
    name: TokenName,
    /// The daemon's configuration directory.
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// How long it is good, such as 12h or 90d; else until it is revoked.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    expires: Option<Duration>,
}

#[derive(clap::Args)]
struct ListArgs {
    /// The daemon's configuration directory.
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
}

#[derive(clap::Args)]
struct RevokeArgs {
    /// The token's name.
    #[arg(value_name = "NAME", value_parser = name)]
    name: TokenName,
    /// The daemon's configuration directory.
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
}

fn name(text: &str) -> Result<TokenName, Expected> {
    Ok(TokenName::parse(text)?)
}

fn duration(text: &str) -> Result<Duration, Expected> {
    fields::parse_duration(text).ok_or_else(|| {
        Expected(
            "a positive integer with `s`, `m`, `h` or `d`, such as `90d`; at most 3650d".into(),
        )
    })
}

/// A token as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    created: String,
    expires: Option<String>,
    expired: bool,
}

/// A token as it is made.
#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    token: &'a str,
    expires: Option<String>,
}

pub(crate) fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::Create(args) => create(app, args),
        Command::List(args) => list(app, args),
        Command::Revoke(args) => revoke(app, args),
    }
}

fn create(app: &App, args: &CreateArgs) -> Result<Exit, CliError> {
    let settings = settings(&args.config)?;
    let now = now();
    let expires = args.expires.and_then(|span| now.checked_add(span).ok());
    let key = key_file(&settings.keys.tokens, &variables(app))
        .map_err(|error| CliError::new(Exit::Failed, error.to_string()))?;
    let made = token::create(&settings.tokens, &key, &args.name, now, expires);
    let token = made.map_err(told)?;
    if app.wants_json() {
        print_json(app, args.name.as_str(), &token, expires);
        return Ok(Exit::Success);
    }
    app.printer.secret(&token)?;
    app.printer.text("\n");
    app.printer.note("this is the only time that the token is shown; keep it as a secret");
    Ok(Exit::Success)
}

#[expect(clippy::disallowed_methods, reason = "`paramd token create` shows the token this once")]
fn print_json(app: &App, name: &str, token: &SecretBytes, expires: Option<Timestamp>) {
    let token = std::str::from_utf8(token.expose()).unwrap_or_default();
    app.printer.json(&Made { name, token, expires: expires.map(|time| time.to_string()) });
}

fn list(app: &App, args: &ListArgs) -> Result<Exit, CliError> {
    let settings = settings(&args.config)?;
    let entries = token::list(&settings.tokens).map_err(told)?;
    let listed: Vec<_> = entries.iter().map(shown).collect();
    if app.wants_json() {
        app.printer.json(&serde_json::json!({ "tokens": listed }));
        return Ok(Exit::Success);
    }
    if listed.is_empty() {
        app.printer.text("there are no tokens; `paramd token create NAME` makes one");
        return Ok(Exit::Success);
    }
    let mut sheet = Sheet::new(app.printer.width(), ["name", "created", "expires"]);
    for one in &listed {
        let expires = match (&one.expires, one.expired) {
            (None, _) => "never".to_owned(),
            (Some(time), true) => format!("{time} (expired)"),
            (Some(time), false) => time.clone(),
        };
        sheet.row([one.name, &one.created, &expires]);
    }
    app.printer.text(&sheet.text());
    Ok(Exit::Success)
}

fn shown(entry: &Entry) -> Listed<'_> {
    Listed {
        name: entry.name.as_str(),
        created: entry.created.to_string(),
        expires: entry.expires.map(|time| time.to_string()),
        expired: entry.expires.is_some_and(|time| time <= Timestamp::now()),
    }
}

fn revoke(app: &App, args: &RevokeArgs) -> Result<Exit, CliError> {
    let settings = settings(&args.config)?;
    token::revoke(&settings.tokens, &args.name).map_err(told)?;
    if app.wants_json() {
        app.printer.json(&serde_json::json!({ "revoked": args.name }));
    } else {
        app.printer.text(&format!("the token `{}` is revoked, within a second", args.name));
    }
    Ok(Exit::Success)
}

/// Whole seconds: more says nothing to a person.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// What `paramd.yaml` says; problems of other files keep nobody from revoking.
fn settings(directory: &Path) -> Result<ServerSettings, CliError> {
    let loaded = load(directory);
    let bundle = loaded.compiled.map(|compiled| compiled.bundle);
    match bundle {
        Some(bundle) if !bundle.unread.settings => Ok(bundle.settings),
        _ => {
            let message = format!("`paramd.yaml` in `{}` can't be read", directory.display());
            let problems = diagnostic::lines(&loaded.problems, &loaded.files);
            let ours = problems.into_iter().filter(|line| line.starts_with("paramd.yaml"));
            Err(CliError::new(Exit::Failed, message)
                .with_problems(ours.collect())
                .with_help(format!("`paramd check {}` shows all problems", directory.display())))
        }
    }
}

fn told(error: TokenError) -> CliError {
    let message = error.to_string();
    match error {
        TokenError::Taken(_) => CliError::new(Exit::Conflict, message),
        TokenError::Missing(_) => CliError::new(Exit::NotFound, message),
        TokenError::Format { problems, .. } => {
            CliError::new(Exit::Failed, message).with_problems(problems)
        }
        _ => CliError::new(Exit::Failed, message),
    }
}
