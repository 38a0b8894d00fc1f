//! `paramd audit list`.

use serde::Serialize;

use crate::cli::App;
use crate::cli::client::send;
use crate::cli::document::{
    audit_action, event_outcome, principal_kind, read_time, source_kind, time,
};
use crate::cli::error::{CliError, Expected};
use crate::cli::exit::Exit;
use crate::cli::table::Sheet;
use crate::proto::v1;

/// The most events of one page.
const PAGE: usize = 1_000;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only events of this pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Only events of this run_id, all its attempts.
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
    /// Only events in this environment.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Only events of this step.
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Only events that have this parameter among theirs.
    #[arg(long, value_name = "NAME")]
    parameter: Option<String>,
    /// Only events by this principal, such as `uid:1000`.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Only this action, such as `resolve` or `reveal`; may be repeated.
    #[arg(long, value_name = "WORD", value_parser = action)]
    action: Vec<v1::Action>,
    /// Only this outcome: `succeeded`, `denied`, `failed`; may be repeated.
    #[arg(long, value_name = "WORD", value_parser = outcome)]
    outcome: Vec<v1::EventOutcome>,
    /// Only events at or after this time, such as 2026-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    start_time: Option<prost_types::Timestamp>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    end_time: Option<prost_types::Timestamp>,
    /// Newest first; else oldest first.
    #[arg(long)]
    newest_first: bool,
    /// The most events to print; 0: all.
    #[arg(long, value_name = "N", default_value = "100", allow_negative_numbers = true, value_parser = limit)]
    limit: usize,
    /// Goes on where an earlier answer ended.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

fn action(text: &str) -> Result<v1::Action, Expected> {
    let name = format!("ACTION_{}", text.to_ascii_uppercase());
    let known = v1::Action::from_str_name(&name).filter(|one| *one != v1::Action::Unspecified);
    known.ok_or_else(|| Expected(format!("an action is one of {}", actions().join(", "))))
}

/// The words for all actions.
fn actions() -> Vec<String> {
    (1..64).filter(|number| v1::Action::try_from(*number).is_ok()).map(audit_action).collect()
}

fn outcome(text: &str) -> Result<v1::EventOutcome, Expected> {
    let name = format!("EVENT_OUTCOME_{}", text.to_ascii_uppercase());
    let known = v1::EventOutcome::from_str_name(&name);
    known
        .filter(|one| *one != v1::EventOutcome::Unspecified)
        .ok_or_else(|| Expected("an outcome is succeeded, denied or failed".to_owned()))
}

fn limit(text: &str) -> Result<usize, Expected> {
    text.parse().map_err(|_| Expected("a limit is a number from 0".to_owned()))
}

fn timestamp(text: &str) -> Result<prost_types::Timestamp, Expected> {
    read_time(text)
        .ok_or_else(|| Expected("a time is RFC 3339, such as 2026-01-31T08:00:00Z".to_owned()))
}

pub(super) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    let wanted = if args.limit == 0 { usize::MAX } else { args.limit };
    let (events, next) = pages(request(args), wanted, |request| {
        send(request, |request| {
            let mut client = daemon.audit();
            async move { client.list_events(request).await }
        })
    })
    .await?;
    print(app, &events, &next);
    Ok(Exit::Success)
}

/// Asks for page after page, empty ones too: only a missing token is the end.
/// Also answers the token to go on with.
async fn pages<F>(
    mut request: v1::ListEventsRequest,
    wanted: usize,
    ask: impl Fn(v1::ListEventsRequest) -> F,
) -> Result<(Vec<v1::Event>, String), CliError>
where
    F: Future<Output = Result<v1::ListEventsResponse, CliError>>,
{
    let mut events = Vec::new();
    loop {
        request.page_size = i32::try_from(PAGE.min(wanted - events.len())).unwrap_or(0);
        let page = ask(request.clone()).await?;
        events.extend(page.events);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || events.len() >= wanted {
            return Ok((events, request.page_token));
        }
    }
}

fn request(args: &Args) -> v1::ListEventsRequest {
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    v1::ListEventsRequest {
        page_size: 0,
        page_token: text(&args.page_token),
        filter: Some(v1::EventFilter {
            pipeline: text(&args.pipeline),
            run_id: text(&args.run_id),
            environment: text(&args.environment),
            step: text(&args.step),
            parameter: text(&args.parameter),
            principal: text(&args.principal),
            actions: args.action.iter().map(|one| i32::from(*one)).collect(),
            outcomes: args.outcome.iter().map(|one| i32::from(*one)).collect(),
        }),
        start_time: args.start_time,
        end_time: args.end_time,
        newest_first: args.newest_first,
    }
}

fn print(app: &App, events: &[v1::Event], next: &str) {
    if app.wants_json() {
        let next_page_token = (!next.is_empty()).then(|| next.to_owned());
        let events = events.iter().map(EventDocument::new).collect();
        return app.printer.json(&Document { events, next_page_token });
    }
    if events.is_empty() {
        return app.printer.note("no event fits");
    }
    app.printer.text(&table(events, app.printer.width()));
    if !next.is_empty() {
        app.printer.note("there are more: --limit 0 prints all");
    }
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

/// The run and the step that an event is about, each on a line.
fn subject(event: &v1::Event) -> Vec<String> {
    let run = match &event.run {
        Some(run) if run.run_id.is_empty() => run.pipeline.clone(),
        Some(run) => format!("{}/{}", run.pipeline, run.run_id),
        None => String::new(),
    };
    let step = match event.instance {
        Some(instance) => format!("{}[{instance}]", event.step),
        None => event.step.clone(),
    };
    vec![run, step]
}

fn names(event: &v1::Event) -> String {
    let names: Vec<&str> = event.parameters.iter().map(|one| one.name.as_str()).collect();
    match event.unknown_names {
        0 => names.join(", "),
        unknown => format!("{} and {unknown} unknown", names.join(", ")),
    }
}

#[derive(Serialize)]
struct Document {
    events: Vec<EventDocument>,
    next_page_token: Option<String>,
}

#[derive(Serialize)]
struct EventDocument {
    chain: String,
    sequence: u64,
    time: Option<String>,
    action: String,
    outcome: String,
    reason: String,
    principal: PrincipalDocument,
    run: Option<RunDocument>,
    bundle: String,
    environment: String,
    step: String,
    instance: Option<u32>,
    parameters: Vec<ParameterDocument>,
    unknown_names: u32,
    sealed: bool,
    policy_ids: Vec<String>,
    trace_id: String,
    fingerprint_key: String,
    format: u32,
    previous_hash: String,
    hash: String,
}

#[derive(Serialize)]
struct PrincipalDocument {
    name: String,
    kind: String,
}

#[derive(Serialize)]
struct RunDocument {
    pipeline: String,
    run_id: String,
    attempt: u32,
}

#[derive(Serialize)]
struct ParameterDocument {
    name: String,
    source: String,
    source_name: String,
    location: String,
    version: Option<String>,
    fingerprint: String,
    violated_keyword: String,
}

impl EventDocument {
    fn new(one: &v1::Event) -> Self {
        let principal = one.principal.clone().unwrap_or_default();
        let kind = principal_kind(principal.kind);
        Self {
            chain: one.chain.clone(),
            sequence: one.sequence,
            time: one.time.as_ref().map(time),
            action: audit_action(one.action),
            outcome: event_outcome(one.outcome),
            reason: one.reason.clone(),
            principal: PrincipalDocument { name: principal.name, kind },
            run: one.run.clone().map(|run| RunDocument {
                pipeline: run.pipeline,
                run_id: run.run_id,
                attempt: run.attempt,
            }),
            bundle: one.bundle.clone(),
            environment: one.environment.clone(),
            step: one.step.clone(),
            instance: one.instance,
            parameters: one.parameters.iter().map(ParameterDocument::new).collect(),
            unknown_names: one.unknown_names,
            sealed: one.sealed,
            policy_ids: one.policy_ids.clone(),
            trace_id: one.trace_id.clone(),
            fingerprint_key: one.fingerprint_key.clone(),
            format: one.format,
            previous_hash: hex::encode(&one.previous_hash),
            hash: hex::encode(&one.hash),
        }
    }
}

impl ParameterDocument {
    fn new(one: &v1::ParameterAccess) -> Self {
        Self {
            name: one.name.clone(),
            source: source_kind(one.source),
            source_name: one.source_name.clone(),
            location: one.location.clone(),
            version: one.version.clone(),
            fingerprint: hex::encode(&one.fingerprint),
            violated_keyword: one.violated_keyword.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_outcomes_and_times_are_read_by_their_words() {
        assert_eq!(action("reveal"), Ok(v1::Action::Reveal));
        assert_eq!(outcome("denied"), Ok(v1::EventOutcome::Denied));
        assert!(action("unspecified").is_err() && outcome("hunter2").is_err());
        assert_eq!(timestamp("1970-01-01T01:00:00+01:00").unwrap().seconds, 0);
        assert!(timestamp("yesterday").is_err());
    }

    /// The pages of a log: one event, an empty page, two events.
    async fn page(request: v1::ListEventsRequest) -> Result<v1::ListEventsResponse, CliError> {
        let (count, next) = match request.page_token.as_str() {
            "" => (1, "b"),
            "b" => (0, "c"),
            _ => (2, ""),
        };
        assert!(request.page_size > 0);
        let events = vec![v1::Event::default(); count.min(request.page_size as usize)];
        Ok(v1::ListEventsResponse { events, next_page_token: next.into() })
    }

    #[tokio::test]
    async fn an_empty_page_is_not_the_last() {
        let all = pages(v1::ListEventsRequest::default(), usize::MAX, page).await.unwrap();
        assert_eq!((all.0.len(), all.1.as_str()), (3, ""));
        let one = pages(v1::ListEventsRequest::default(), 1, page).await.unwrap();
        assert_eq!((one.0.len(), one.1.as_str()), (1, "b"), "the token goes on");
    }

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
