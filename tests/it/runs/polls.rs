//! `GetContext` with the etag of an earlier answer.

use std::time::Duration;

use paramd::proto::v1::{Action, EventOutcome, GetContextRequest, GetContextResponse, RunOutcome};
use tonic::Status;

use super::small;
use crate::support::client::{Client, resolve, run};
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::wait_until;

async fn poll(client: &Client, etag: &str) -> Result<GetContextResponse, Status> {
    let request = GetContextRequest {
        run: Some(run("small", "a")),
        step: "go".into(),
        if_none_match: etag.into(),
        ..GetContextRequest::default()
    };
    Ok(client.context.clone().get_context(request).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_has_not_changed_is_not_sent_again() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let first = poll(&client, "").await.unwrap();
    assert!(!first.not_modified && first.context.is_some());
    for other in ["another", &"x".repeat(100)] {
        assert_eq!(poll(&client, other).await.unwrap(), first);
    }
    let expected = GetContextResponse { not_modified: true, context: None, ..first.clone() };
    for _ in 0..5 {
        assert_eq!(poll(&client, &first.etag).await.unwrap(), expected);
    }
    // The same state, from another process.
    daemon.stop();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    assert_eq!(poll(&client, &first.etag).await.unwrap(), expected);
    // Three answers in full, and one poll of each process.
    let reads = wait_until("the reads are recorded", Duration::from_secs(10), async || {
        let events = client.events().await;
        let reads = events.iter().filter(|event| event.action() == Action::Read).count();
        (reads >= 5).then_some(reads)
    })
    .await;
    assert_eq!(reads, 5);
    client.complete(&run("small", "a"), RunOutcome::Succeeded).await.unwrap();
    check_reason(&poll(&client, &first.etag).await.unwrap_err(), "RUN_ENDED");
    let events = client.events().await;
    let last = events.iter().rfind(|event| event.action() == Action::Read).unwrap();
    assert_eq!(last.outcome(), EventOutcome::Failed);
    daemon.stop();
}
