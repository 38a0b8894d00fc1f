//! `paramd audit list`.

use serde::Serialize;

use super::event::{EventDocument, names, subject};
use super::filter::Filter;
use crate::cli::App;
use crate::cli::client::send;
use crate::cli::document::{audit_action, event_outcome, time};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::listing::{self, Paging};
use crate::cli::table::Sheet;
use crate::proto::v1;

/// The most events of one page.
const PAGE: usize = 1_000;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Only events at or after this time, such as 2026-01-31T08:00:00Z, or within
    /// the last 24h.
    #[arg(long, alias = "start-time", value_name = "TIME", value_parser = listing::moment)]
    since: Option<prost_types::Timestamp>,
    /// Only events before this time, or longer ago than 24h.
    #[arg(long, alias = "end-time", value_name = "TIME", value_parser = listing::moment)]
    until: Option<prost_types::Timestamp>,
    /// Newest first; else oldest first.
    #[arg(long)]
    newest_first: bool,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Serialize)]
struct Document {
    events: Vec<EventDocument>,
    next_page_token: Option<String>,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    let ask = async |page_size, page_token| {
        let request = v1::ListEventsRequest {
            page_size,
            page_token,
            filter: Some(args.filter.message()),
            start_time: args.since,
            end_time: args.until,
            newest_first: args.newest_first,
        };
        let page = send(request, |request| {
            let mut client = daemon.audit();
            async move { client.list_events(request).await }
        })
        .await?;
        Ok((page.events, page.next_page_token))
    };
    let (events, next) = args.paging.pages(PAGE, ask).await?;
    if app.wants_json() {
        let next_page_token = (!next.is_empty()).then_some(next);
        let events = events.iter().map(EventDocument::new).collect();
        app.printer.json(&Document { events, next_page_token });
        return Ok(Exit::Success);
    }
    if events.is_empty() {
        app.printer.note("no event fits");
        return Ok(Exit::Success);
    }
    app.printer.text(&table(&events, app.printer.width()));
    listing::note_more(app, &next);
    Ok(Exit::Success)
}

fn table(events: &[v1::Event], width: u16) -> String {
    let mut sheet =
        Sheet::new(width, ["#", "time", "who", "action", "outcome", "of", "parameters"]);
    for one in events {
        sheet.lines([
            vec![one.sequence.to_string()],
            moment(one),
            vec![one.principal.clone().unwrap_or_default().name],
            vec![audit_action(one.action)],
            vec![event_outcome(one.outcome), one.reason.clone()],
            subject(one),
            vec![names(one)],
        ]);
    }
    sheet.text()
}

/// Date and time to the second, each on a line.
fn moment(event: &v1::Event) -> Vec<String> {
    let text = event.time.as_ref().map(time).unwrap_or_default();
    let whole = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    whole.split('T').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_fit_a_pipe() {
        let event = v1::Event {
            sequence: 12,
            time: Some(prost_types::Timestamp::default()),
            action: v1::Action::Reveal.into(),
            outcome: v1::EventOutcome::Denied.into(),
            reason: "ACCESS_DENIED".into(),
            principal: Some(v1::Principal { name: "uid:1000".into(), kind: 3 }),
            run: Some(v1::RunName {
                pipeline: "churn-training".into(),
                run_id: "build-4711".into(),
                attempt: 1,
            }),
            step: "extract".into(),
            unknown_names: 2,
            ..v1::Event::default()
        };
        let text = table(&[event], 80);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("uid:1000") && text.contains("reveal"), "{text}");
    }
}
