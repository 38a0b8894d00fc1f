//! `paramd audit tail`: events as they become durable, one a line.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::event::{EventDocument, names, subject};
use super::filter::Filter;
use crate::cli::App;
use crate::cli::document::{audit_action, event_outcome, time};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::listing;
use crate::cli::table::paragraph;
use crate::cli::text::escaped;
use crate::proto::v1;
use crate::proto::v1::watch_events_request::Begin;

/// How long to wait before the daemon is asked again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A stream that is silent for longer than the contract allows has broken off.
const SILENCE: Duration = Duration::from_secs(60);
/// How far the lines of an event are in, after its first.
const INDENT: u16 = 4;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Begins with the first event at or after this time, such as
    /// 2026-01-31T08:00:00Z, or of the last 24h; else with the next one.
    #[arg(long, value_name = "TIME", value_parser = listing::moment)]
    since: Option<prost_types::Timestamp>,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    tokio::select! {
        ended = Tail::new(app, args).follow() => ended,
        // Whoever has seen enough ends it; there is nothing to tidy up.
        () = interrupted()? => Ok(Exit::Success),
        () = app.printer.unread() => Ok(Exit::Success),
    }
}

/// Resolves at Ctrl-C and where somebody else ends it.
fn interrupted() -> Result<impl Future<Output = ()>, CliError> {
    let listen = |kind| {
        signal(kind).map_err(|error| {
            CliError::new(Exit::Failed, format!("signals can't be caught: {}", error.kind()))
        })
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// A log that is followed over broken connections.
struct Tail<'a> {
    app: &'a App,
    request: v1::WatchEventsRequest,
    /// The event that was printed last: its chain and its place there.
    printed: Option<(String, u64)>,
    /// How long to wait before the daemon is asked again.
    pause: Duration,
}

impl<'a> Tail<'a> {
    fn new(app: &'a App, args: &Args) -> Self {
        let filter = Some(args.filter.message());
        let request = v1::WatchEventsRequest { filter, begin: args.since.map(Begin::StartTime) };
        Self { app, request, printed: None, pause: FIRST_PAUSE }
    }

    /// Prints events until nobody reads them. Only the first connection has to
    /// succeed.
    async fn follow(mut self) -> Result<Exit, CliError> {
        loop {
            let Err(error) = self.watch().await else { return Ok(Exit::Success) };
            let resumes = matches!(self.request.begin, Some(Begin::ResumeToken(_)));
            if resumes && error.is_about("resume_token") {
                return Err(self.replaced());
            }
            if !resumes || !matches!(error.exit, Exit::Unreachable | Exit::Unavailable) {
                return Err(error);
            }
            if self.pause == FIRST_PAUSE {
                self.app.printer.note("the connection broke off; it goes on once a daemon answers");
            }
            tokio::time::sleep(error.retry_after.unwrap_or(self.pause).min(LONGEST_PAUSE)).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Prints the events of one stream. Ends well where nobody reads them.
    async fn watch(&mut self) -> Result<(), CliError> {
        let daemon = self.app.connect().await?;
        let mut stream = daemon.audit().watch_events(self.request.clone()).await?.into_inner();
        loop {
            let broken = || CliError::new(Exit::Unreachable, "the stream broke off");
            let message = match tokio::time::timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(message))) => message,
                // Whatever ends a stream that is no word of the daemon's.
                Ok(Err(status)) => {
                    let error = CliError::from(status);
                    return Err(if error.reason.is_empty() { broken() } else { error });
                }
                Ok(Ok(None)) | Err(_) => return Err(broken()),
            };
            self.pause = FIRST_PAUSE;
            if let Some(event) = message.event {
                if !print(self.app, &event) {
                    return Ok(());
                }
                self.printed = Some((event.chain, event.sequence));
            }
            self.request.begin = Some(Begin::ResumeToken(message.resume_token));
        }
    }

    /// The log that was followed isn't there any more: to go on with another one
    /// would hide that events are missing.
    fn replaced(&self) -> CliError {
        let last = self.printed.as_ref().map_or("no event of it was printed".to_owned(), |last| {
            format!("the last event that was printed is {} of chain {}", last.1, last.0)
        });
        CliError::new(
            Exit::NotFound,
            format!(
                "the audit log that was followed is gone: the daemon has another store, or an \
                 earlier copy of it; {last}"
            ),
        )
        .with_help("what came after it is in the old store alone, if anywhere; `paramd audit tail` begins anew with the log that is there")
    }
}

/// Prints an event. False: nobody reads it.
fn print(app: &App, event: &v1::Event) -> bool {
    if app.wants_json() {
        let document = serde_json::to_string(&EventDocument::new(event));
        return app.printer.line(&document.unwrap_or_default());
    }
    let width = app.printer.is_terminal().then(|| app.printer.width());
    app.printer.line(&line(event, width))
}

/// An event in words, those that it has: on one line, or on lines that fit.
fn line(event: &v1::Event, width: Option<u16>) -> String {
    let words = [
        event.time.as_ref().map(time).unwrap_or_default(),
        event.principal.clone().unwrap_or_default().name,
        audit_action(event.action),
        event_outcome(event.outcome),
        event.reason.clone(),
    ];
    let words = words.into_iter().chain(subject(event)).chain([names(event)]);
    let text = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let text = format!("{} {}", event.sequence, escaped(&text));
    match width {
        Some(width) => paragraph(&text, width.saturating_sub(INDENT))
            .replace('\n', &format!("\n{:1$}", "", usize::from(INDENT))),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> v1::Event {
        v1::Event {
            sequence: 7,
            time: Some(prost_types::Timestamp::default()),
            action: v1::Action::Start.into(),
            outcome: v1::EventOutcome::Succeeded.into(),
            principal: Some(v1::Principal { name: "daemon".into(), kind: 1 }),
            ..v1::Event::default()
        }
    }

    #[test]
    fn a_line_has_the_words_that_an_event_has() {
        assert_eq!(line(&event(), None), "7 1970-01-01T00:00:00.000Z daemon start succeeded");
    }

    #[test]
    fn an_event_is_one_line_but_on_a_terminal_that_is_too_narrow() {
        let name = |index: usize| v1::ParameterAccess {
            name: format!("parameter_{index}\u{1b}"),
            ..v1::ParameterAccess::default()
        };
        let long = v1::Event { parameters: (0..9).map(name).collect(), ..event() };
        assert_eq!(line(&long, None).lines().count(), 1);
        let shown = line(&long, Some(80));
        assert!(shown.lines().count() > 1 && shown.lines().all(|line| line.chars().count() <= 80));
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    p")), "{shown}");
        assert!(!shown.contains('\u{1b}'));
    }
}
