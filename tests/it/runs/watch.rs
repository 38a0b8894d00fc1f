//! `WatchEvents`: nothing missed, none twice, and nobody waits for who is slow.

use std::path::Path;
use std::time::{Duration, Instant};

use paramd::proto::v1::watch_events_request::Begin;
use paramd::proto::v1::{Action, Event, EventFilter, WatchEventsRequest, WatchEventsResponse};
use rustix::process::Signal;
use tokio::sync::watch;
use tonic::transport::Endpoint;
use tonic::{Status, Streaming};

use super::small;
use crate::support::client::{Client, channel, resolve, run};
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::check_reason;
use crate::support::wait_until;

/// Longer than the contract lets a stream be silent.
const LIMIT: Duration = Duration::from_secs(30);

struct Watching {
    stream: Streaming<WatchEventsResponse>,
    token: String,
}

impl Watching {
    async fn begin(
        client: &Client,
        filter: EventFilter,
        begin: Option<Begin>,
    ) -> Result<Self, Status> {
        let request = WatchEventsRequest { filter: Some(filter), begin };
        let stream = client.audit.clone().watch_events(request).await?.into_inner();
        Ok(Self { stream, token: String::new() })
    }

    async fn message(&mut self) -> Result<WatchEventsResponse, Status> {
        let next = tokio::time::timeout(LIMIT, self.stream.message());
        let message = next.await.expect("a message comes in time")?;
        let message = message.expect("only an error ends the stream");
        self.token.clone_from(&message.resume_token);
        Ok(message)
    }

    async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.message().await.unwrap().event {
                return event;
            }
        }
    }

    /// The sequences of the next events, up to this one.
    async fn up_to(&mut self, last: u64) -> Vec<u64> {
        let mut sequences = Vec::new();
        while sequences.last().is_none_or(|sequence| *sequence < last) {
            sequences.push(self.event().await.sequence);
        }
        sequences
    }
}

fn resolves() -> EventFilter {
    EventFilter { actions: vec![Action::Resolve.into()], ..EventFilter::default() }
}

fn all() -> EventFilter {
    EventFilter::default()
}

fn first() -> Option<Begin> {
    Some(Begin::StartTime(prost_types::Timestamp::default()))
}

/// A client that takes hardly anything before it has read it.
async fn narrow(daemon: &Daemon) -> Client {
    let endpoint = Endpoint::from_shared(daemon.endpoint()).unwrap();
    Client::new(endpoint.initial_stream_window_size(1_024).connect().await.unwrap())
}

async fn newest(client: &Client) -> u64 {
    client.events().await.last().unwrap().sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_fit_come_live_and_silence_is_told() {
    let config = small();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "before")).await.unwrap();
    let mut watching = Watching::begin(&client, resolves(), None).await.unwrap();
    let begun = watching.message().await.unwrap();
    assert!(begun.event.is_none() && !begun.resume_token.is_empty());
    for name in ["a", "b"] {
        client.resolve(resolve("small", name)).await.unwrap();
        client.context(&run("small", name), "go").await.unwrap();
        let event = watching.event().await;
        assert_eq!(event.action(), Action::Resolve);
        assert_eq!(event.run.unwrap().run_id, name);
    }
    assert_eq!(watching.message().await.unwrap().event, None);
    let audits = EventFilter { actions: vec![Action::Audit.into()], ..all() };
    let mut earlier = Watching::begin(&client, audits, first()).await.unwrap();
    assert_eq!(earlier.event().await.action(), Action::Audit, "a watch is on record");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_taken_up_after_kill_9_without_a_gap_or_a_double() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let mut daemon = launch.start().await;
    let client = daemon.client().await;
    let mut watching = Watching::begin(&client, all(), first()).await.unwrap();
    let mut seen = Vec::new();
    for round in 0..3 {
        let client = daemon.client().await;
        for one in 0..5 {
            client.resolve(resolve("small", &format!("{round}-{one}"))).await.unwrap();
        }
        // Some are read and some are still on their way.
        let half = seen.len() as u64 + 3;
        seen.extend(watching.up_to(half).await);
        daemon.kill();
        daemon = launch.start().await;
        let client = daemon.client().await;
        let begin = Some(Begin::ResumeToken(watching.token));
        watching = Watching::begin(&client, all(), begin).await.unwrap();
    }
    let client = daemon.client().await;
    let last = newest(&client).await;
    seen.extend(watching.up_to(last).await);
    let expected: Vec<u64> = (1..=*seen.last().unwrap()).collect();
    assert_eq!(seen, expected);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_own_filter_alone() {
    let config = small();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mut watching = Watching::begin(&client, all(), first()).await.unwrap();
    watching.event().await;
    for (filter, token) in [(resolves(), watching.token.as_str()), (all(), "nonsense"), (all(), "")]
    {
        let begin = Some(Begin::ResumeToken(token.to_owned()));
        let refused = Watching::begin(&client, filter, begin).await.err().unwrap();
        let problem = check_reason(&refused, "INVALID_REQUEST");
        assert_eq!(problem.violations[0].field, "resume_token");
    }
    let begin = Some(Begin::StartTime(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }));
    let refused = Watching::begin(&client, all(), begin).await.err().unwrap();
    assert_eq!(check_reason(&refused, "INVALID_REQUEST").violations[0].field, "start_time");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_nobody_and_a_stop_ends_all_streams() {
    let config = small();
    let mut daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let narrow = narrow(&daemon).await;
    let mut slow = Watching::begin(&narrow, all(), first()).await.unwrap();
    let _never = Watching::begin(&narrow, all(), first()).await.unwrap();
    let mut live = Watching::begin(&client, resolves(), None).await.unwrap();
    for one in 0..40 {
        let name = format!("r{one}");
        client.resolve(resolve("small", &name)).await.unwrap();
        assert_eq!(live.event().await.run.unwrap().run_id, name);
    }
    let last = newest(&client).await;
    let seen = slow.up_to(last).await;
    assert_eq!(seen, (1..=*seen.last().unwrap()).collect::<Vec<u64>>());
    daemon.signal(Signal::TERM);
    let asked = Instant::now();
    let ended = loop {
        if let Err(status) = live.message().await {
            break status;
        }
    };
    check_reason(&ended, "NOT_SERVING");
    assert!(daemon.wait().success());
    assert!(asked.elapsed() < Duration::from_secs(8), "the drain waited for a stream");
}

/// Resolves runs, each over and over until it is answered.
async fn write(socket: &Path, count: usize) {
    for one in 0..count {
        wait_until("a run is resolved", LIMIT, async || {
            let client = Client::new(channel(socket).await.ok()?);
            client.resolve(resolve("small", &format!("w{one}"))).await.ok()
        })
        .await;
    }
}

/// Reads all events over broken streams, and tells how many came, until one of
/// this run came.
async fn follow(socket: &Path, last: &str, told: watch::Sender<usize>) -> Vec<u64> {
    let (mut seen, mut begin) = (Vec::new(), first());
    loop {
        let mut watching = wait_until("a watch begins", LIMIT, async || {
            let client = Client::new(channel(socket).await.ok()?);
            Watching::begin(&client, all(), begin.clone()).await.ok()
        })
        .await;
        while let Ok(message) = watching.message().await {
            begin = Some(Begin::ResumeToken(message.resume_token));
            let Some(event) = message.event else { continue };
            seen.push(event.sequence);
            told.send_replace(seen.len());
            if event.run.is_some_and(|run| run.run_id == last) {
                return seen;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_lose_and_double_nothing_while_events_are_written() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let mut daemon = launch.start().await;
    let socket = launch.socket();
    let (told, mut count) = watch::channel(0);
    let here = tokio::runtime::Handle::current();
    let (handle, at) = (here.clone(), socket.clone());
    let writing = tokio::task::spawn_blocking(move || handle.block_on(write(&at, 200)));
    let following =
        tokio::task::spawn_blocking(move || here.block_on(follow(&socket, "w199", told)));
    for (at, kills) in [(40, true), (90, false), (150, true)] {
        count.wait_for(|count| *count >= at).await.unwrap();
        if kills {
            daemon.kill();
        } else {
            daemon.stop();
        }
        daemon = launch.start().await;
    }
    writing.await.unwrap();
    let seen = following.await.unwrap();
    assert!(seen.len() >= 200, "{} events", seen.len());
    assert_eq!(seen, (1..=*seen.last().unwrap()).collect::<Vec<u64>>());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_takes_the_permission_away_ends_the_stream() {
    let config = small();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mut watching = Watching::begin(&client, resolves(), None).await.unwrap();
    client.resolve(resolve("small", "a")).await.unwrap();
    assert_eq!(watching.event().await.run.unwrap().run_id, "a");
    config.write(
        "policies/none.cedar",
        "forbid (principal, action == Paramd::Action::\"audit\", resource);\n",
    );
    wait_until("the policy is in force", LIMIT, async || {
        Watching::begin(&client, all(), None).await.err()
    })
    .await;
    client.resolve(resolve("small", "b")).await.unwrap();
    let ended = loop {
        match watching.message().await {
            Ok(message) => assert_eq!(message.event, None, "it may not be seen any more"),
            Err(status) => break status,
        }
    };
    check_reason(&ended, "ACCESS_DENIED");
    daemon.stop();
}
