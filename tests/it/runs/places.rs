//! Tokens that name a place in lists and in the log: good for one store alone.

use paramd::proto::v1::watch_events_request::Begin;
use paramd::proto::v1::{ListEventsRequest, ListRunsRequest, WatchEventsRequest};
use tonic::Status;

use super::small;
use crate::support::client::{Client, resolve};
use crate::support::config::{Config, copy_folder};
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::check_reason;

/// A token of each rpc that goes on where an earlier answer ended.
struct Tokens {
    watch: String,
    oldest_first: String,
    newest_first: String,
    runs: String,
}

fn events(newest_first: bool, page_token: &str) -> ListEventsRequest {
    let page_token = page_token.into();
    ListEventsRequest { page_size: 2, newest_first, page_token, ..ListEventsRequest::default() }
}

fn runs(page_token: &str) -> ListRunsRequest {
    let page_token = page_token.into();
    ListRunsRequest { page_size: 1, page_token, ..ListRunsRequest::default() }
}

async fn list_events(client: &Client, request: ListEventsRequest) -> Result<String, Status> {
    let page = client.audit.clone().list_events(request).await?.into_inner();
    Ok(page.next_page_token)
}

async fn list_runs(client: &Client, request: ListRunsRequest) -> Result<String, Status> {
    Ok(client.runs.clone().list_runs(request).await?.into_inner().next_page_token)
}

/// The token of a watch's first message.
async fn watch(client: &Client, begin: Option<Begin>) -> Result<String, Status> {
    let request = WatchEventsRequest { filter: None, begin };
    let mut stream = client.audit.clone().watch_events(request).await?.into_inner();
    Ok(stream.message().await?.expect("only an error ends the stream").resume_token)
}

async fn tokens(client: &Client) -> Tokens {
    let tokens = Tokens {
        watch: watch(client, None).await.unwrap(),
        oldest_first: list_events(client, events(false, "")).await.unwrap(),
        newest_first: list_events(client, events(true, "")).await.unwrap(),
        runs: list_runs(client, runs("")).await.unwrap(),
    };
    assert!(!tokens.oldest_first.is_empty() && !tokens.newest_first.is_empty());
    assert!(!tokens.watch.is_empty() && !tokens.runs.is_empty());
    tokens
}

/// What comes of each token, and the field that it stands in.
async fn answers(client: &Client, tokens: &Tokens) -> [(&'static str, Result<String, Status>); 4] {
    let resume = Some(Begin::ResumeToken(tokens.watch.clone()));
    [
        ("resume_token", watch(client, resume).await),
        ("page_token", list_events(client, events(false, &tokens.oldest_first)).await),
        ("page_token", list_events(client, events(true, &tokens.newest_first)).await),
        ("page_token", list_runs(client, runs(&tokens.runs)).await),
    ]
}

#[track_caller]
fn check_refused(answers: [(&'static str, Result<String, Status>); 4]) {
    for (index, (field, answer)) in answers.into_iter().enumerate() {
        let Err(refused) = answer else { panic!("token {index} was taken up") };
        let problem = check_reason(&refused, "INVALID_REQUEST");
        let violation = &problem.violations[0];
        assert_eq!((violation.field.as_str(), violation.reason.as_str()), (field, "INVALID_FIELD"));
        assert!(violation.description.contains("another store"), "{}", violation.description);
    }
}

async fn resolved(daemon: &Daemon, names: &[&str]) -> Client {
    let client = daemon.client().await;
    for name in names {
        client.resolve(resolve("small", name)).await.unwrap();
    }
    client
}

/// Puts the store of another folder in the place of the configuration's.
fn put_back(config: &Config, from: Option<&std::path::Path>) {
    let state = config.path.join("state");
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("paramd.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    if let Some(from) = from {
        std::fs::copy(from.join("paramd.db"), state.join("paramd.db")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_store_is_refused_wherever_its_place_is_in_the_log() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    resolved(&daemon, &["a", "b"]).await;
    daemon.stop();
    let backup = config.around().join("backup");
    copy_folder(&config.path.join("state"), &backup);

    let daemon = launch.start().await;
    let tokens = tokens(&resolved(&daemon, &["c", "d"]).await).await;
    daemon.stop();
    let daemon = launch.start().await;
    for (_, answer) in answers(&daemon.client().await, &tokens).await {
        answer.expect("a restart changes nothing");
    }
    daemon.stop();

    let more = ["e", "f", "g", "h", "i", "j", "k", "l"];
    for from in [Some(backup.as_path()), None] {
        put_back(&config, from);
        let daemon = launch.start().await;
        // Its place may be beyond the end of the log, and comes to lie within it.
        check_refused(answers(&daemon.client().await, &tokens).await);
        let client = resolved(&daemon, &more).await;
        check_refused(answers(&client, &tokens).await);
        daemon.stop();
    }
}
