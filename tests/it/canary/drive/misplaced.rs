//! Secrets where they don't belong: as plain values, as names and filters, in the
//! metadata of requests, in bytes that are no message.

use std::collections::BTreeMap;

use paramd::proto::v1::watch_events_request::Begin;
use paramd::proto::v1::{
    EventFilter, ExplainRunRequest, GetPipelineRequest, GetRunRequest, ListEventsRequest,
    ListPipelinesRequest, ListRunsRequest, ResolveRunRequest, VerifyLogRequest, WatchEventsRequest,
};
use serde_json::json;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response};

use super::rpcs::{context, diff, explain, extend, failures};
use super::{Drive, Secret};
use crate::support::client::{Client, channel, resolve, run, to_proto};
use crate::support::daemon::Daemon;

/// All of them, in every rpc.
pub(in crate::canary) async fn everywhere(drive: &mut Drive<'_>, daemon: &Daemon) {
    let mut client = daemon.client().await;
    in_requests(drive, &mut client).await;
    for secret in drive.misplaced() {
        in_names(drive, &mut client, &secret.text()).await;
        in_filters(drive, &mut client, &secret.text()).await;
    }
    for secret in drive.planted.of("metadata") {
        in_metadata(drive, daemon, secret).await;
        in_bytes(drive, daemon, secret).await;
    }
}

fn texts(drive: &Drive<'_>) -> BTreeMap<String, String> {
    let pair = |(index, secret): (usize, &Secret)| (format!("override_{index}"), secret.text());
    drive.misplaced().iter().enumerate().map(pair).collect()
}

async fn in_requests(drive: &mut Drive<'_>, client: &mut Client) {
    // A large one has no place beside the others in a message.
    let mut plain = texts(drive);
    plain.retain(|_, text| text.len() < 100_000);
    let request = ResolveRunRequest { text_overrides: plain.clone(), ..drive.request("misplaced") };
    assert!(!drive.resolves(client, request).await);
    let request = ExplainRunRequest { text_overrides: plain, ..explain(drive) };
    drive.sinks.add("requests and answers as Debug", format!("{request:?}"));
    let answer = client.runs.explain_run(request).await;
    assert!(!drive.keep("ExplainRun", answer));
    let conflict = drive.other_request("a");
    assert!(!drive.resolves(client, conflict).await);
    for (index, secret) in drive.misplaced().iter().enumerate() {
        for request in wrong(&format!("misplaced-{index}"), index, &secret.text()) {
            assert!(!drive.resolves(client, request).await, "{}", secret.name);
        }
    }
    let over = vec![b'x'; 5 << 20];
    let whole = [drive.misplaced()[0].bytes.as_slice(), &over].concat();
    let request = resolve("canary", "too-large").secret("override_0", &whole).into();
    assert!(!drive.resolves(client, request).await);
    let mut hasty = Request::new(drive.request("hasty"));
    hasty.set_timeout(std::time::Duration::from_millis(1));
    let answer = client.runs.resolve_run(hasty).await;
    assert!(!drive.keep("ResolveRun", answer));
}

/// Requests with a secret in a place of each kind.
fn wrong(id: &str, index: usize, text: &str) -> Vec<ResolveRunRequest> {
    let new = || resolve("canary", id);
    let typed = |json: serde_json::Value| to_proto(&json).kind.unwrap();
    let mut requests = vec![
        new().text("n", text),
        new().text(text, "x"),
        new().value("n", typed(text.into())),
        new().value("o", typed(json!({ "a": text }))),
        new().value(text, typed(json!([text]))),
        new().with(|request| drop(request.labels.insert(text.into(), text.into()))),
        new().with(|request| request.expected_revision = text.into()),
        new().with(|request| request.environment = text.into()),
        new().with(|request| request.preset = Some(text.into())),
        new().text(&format!("env_{index}"), text),
        new().secret("n", text.as_bytes()),
        new().secret(&format!("vault_{index}"), text.as_bytes()),
        new().secret(text, b"value-of-a-misplaced-name"),
    ];
    // A property's name is told where it could be one.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !text.bytes().all(is_name) {
        requests.push(new().value("o", typed(json!({ text: 1 }))));
    }
    requests.into_iter().map(ResolveRunRequest::from).collect()
}

async fn in_names(drive: &mut Drive<'_>, client: &mut Client, text: &str) {
    let request = GetPipelineRequest { pipeline: text.into() };
    let answer = client.pipelines.get_pipeline(request).await;
    assert!(!drive.keep("GetPipeline", answer));
    let request = ExplainRunRequest {
        pipeline: "canary".into(),
        environment: text.into(),
        preset: Some(text.into()),
        ..ExplainRunRequest::default()
    };
    let answer = client.runs.explain_run(request).await;
    assert!(!drive.keep("ExplainRun", answer));
    let answer = client.context.get_context(context(run("canary", "a"), text)).await;
    assert!(!drive.keep("GetContext", answer));
    // As a pipeline's: a `run_id` may be any text, and is told.
    let (a, named) = (run("canary", "a"), run(text, "a"));
    let answer = client.runs.get_run(GetRunRequest { run: Some(named.clone()) }).await;
    assert!(!drive.keep("GetRun", answer));
    let answer = client.runs.list_failures(failures(named.clone())).await;
    assert!(!drive.keep("ListFailures", answer));
    for (base, other) in [(a.clone(), named.clone()), (named.clone(), a)] {
        let answer = client.runs.diff_runs(diff(base, other)).await;
        assert!(!drive.keep("DiffRuns", answer));
    }
    let answer = client.runs.extend_run(extend(named, 100)).await;
    assert!(!drive.keep("ExtendRun", answer));
}

async fn in_filters(drive: &mut Drive<'_>, client: &mut Client, text: &str) {
    let all = ListRunsRequest::default;
    for request in [
        ListRunsRequest { page_token: text.into(), ..all() },
        ListRunsRequest { pipeline: text.into(), ..all() },
        ListRunsRequest { environment: text.into(), ..all() },
        // Some of them could be these.
        ListRunsRequest { run_id: text.into(), ..all() },
        ListRunsRequest { labels: [(text.into(), "x".into())].into(), ..all() },
        ListRunsRequest { labels: [("x".into(), text.into())].into(), ..all() },
    ] {
        let answer = client.runs.list_runs(request).await;
        drive.keep("ListRuns", answer);
    }
    for request in [
        VerifyLogRequest { chain: text.into(), ..VerifyLogRequest::default() },
        VerifyLogRequest { page_token: text.into(), ..VerifyLogRequest::default() },
    ] {
        let answer = client.audit.verify_log(request).await;
        drive.keep("VerifyLog", answer);
    }
    for filter in [
        EventFilter { parameter: text.into(), ..EventFilter::default() },
        EventFilter { principal: text.into(), ..EventFilter::default() },
        EventFilter { step: text.into(), ..EventFilter::default() },
    ] {
        let list =
            ListEventsRequest { filter: Some(filter.clone()), ..ListEventsRequest::default() };
        let answer = client.audit.list_events(list).await;
        drive.keep("ListEvents", answer);
        let begin = Some(Begin::ResumeToken(text.into()));
        let watch = WatchEventsRequest { filter: Some(filter), begin };
        let answer = client.audit.watch_events(watch).await.map(|_| Response::new(()));
        assert!(!drive.keep("WatchEvents", answer));
    }
}

async fn in_metadata(drive: &mut Drive<'_>, daemon: &Daemon, secret: &Secret) {
    let mut client = daemon.client().await;
    let mut request = Request::new(ListPipelinesRequest::default());
    let bearer = [b"Bearer ", secret.bytes.as_slice()].concat();
    // What can't stand in a header goes as a binary one.
    let is_header = secret.bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
    let is_short = secret.bytes.len() < 8_000;
    if is_header && is_short {
        for name in ["authorization", "traceparent", "x-api-key", "cookie"] {
            let value = MetadataValue::try_from(bearer.as_slice()).unwrap();
            request.metadata_mut().insert(name, value);
        }
    }
    if is_short {
        let value = MetadataValue::from_bytes(&secret.bytes);
        request.metadata_mut().insert_bin("password-bin", value);
    }
    let answer = client.pipelines.list_pipelines(request).await;
    // A bearer token that nobody can check is refused.
    assert_eq!(drive.keep("ListPipelines", answer), !(is_header && is_short));
    if is_header && is_short && secret.bytes.len() > 1_000 {
        // More than headers may have.
        let mut request = Request::new(ListPipelinesRequest::default());
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            let value = MetadataValue::try_from(secret.text().as_str()).unwrap();
            request.metadata_mut().insert(name, value);
        }
        let answer = client.pipelines.list_pipelines(request).await;
        assert!(!drive.keep("ListPipelines", answer));
    }
}

/// As the path of a request and as its bytes, which are no message.
async fn in_bytes(drive: &mut Drive<'_>, daemon: &Daemon, secret: &Secret) {
    let mut raw = tonic::client::Grpc::new(channel(daemon.socket()).await.unwrap());
    let word = hex::encode(&secret.bytes[..secret.bytes.len().min(64)]);
    for path in [format!("/paramd.v1.RunService/{word}"), "/paramd.v1.RunService/ResolveRun".into()]
    {
        raw.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<Vec<u8>, Vec<u8>>::default();
        let request = Request::new(secret.bytes.clone());
        let answer = raw.unary(request, path.parse().unwrap(), codec).await;
        assert!(!drive.keep("ResolveRun", answer));
    }
}
