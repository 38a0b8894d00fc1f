//! Every rpc, as it is meant to be asked.

use std::path::Path;
use std::time::Duration;

use paramd::envelope::OwnKey;
use paramd::proto::v1::reveal_secrets_response::Secrets;
use paramd::proto::v1::watch_events_request::Begin;
use paramd::proto::v1::{
    AttemptMode, CompleteRunRequest, DiffRunsRequest, ExplainRunRequest, ExtendRunRequest,
    GetContextRequest, GetPipelineRequest, GetRunRequest, ListEventsRequest, ListFailuresRequest,
    ListPipelinesRequest, ListRunsRequest, MintStepTokenRequest, PlainSecret, Recipient,
    RevealSecretsRequest, RevealSecretsResponse, RunName, RunOutcome, SealingSuite,
    VerifyLogRequest, WatchEventsRequest,
};
use prost::Message as _;
use tonic::{Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::Drive;
use crate::canary::plant::SOURCES;
use crate::support::client::{Client, channel, resolve, run};
use crate::support::daemon::Daemon;
use crate::support::step_token::Executor;
use crate::support::wait_until;

pub(super) fn explain(drive: &mut Drive<'_>) -> ExplainRunRequest {
    ExplainRunRequest {
        pipeline: "canary".into(),
        environment: "dev".into(),
        secret_overrides: drive.request("a").secret_overrides,
        ..ExplainRunRequest::default()
    }
}

pub(super) fn failures(run: RunName) -> ListFailuresRequest {
    ListFailuresRequest { run: Some(run) }
}

pub(super) fn diff(base: RunName, other: RunName) -> DiffRunsRequest {
    DiffRunsRequest { base: Some(base), other: Some(other) }
}

pub(super) fn extend(run: RunName, seconds: i64) -> ExtendRunRequest {
    let lifetime = Some(prost_types::Duration { seconds, nanos: 0 });
    ExtendRunRequest { run: Some(run), lifetime }
}

pub(super) fn context(run: RunName, step: &str) -> GetContextRequest {
    GetContextRequest { run: Some(run), step: step.into(), ..GetContextRequest::default() }
}

/// Every rpc on pipelines, runs and contexts.
pub(in crate::canary) async fn services(drive: &mut Drive<'_>, daemon: &Daemon) {
    let mut client = daemon.client().await;
    let all = client.pipelines.list_pipelines(ListPipelinesRequest::default()).await;
    assert!(drive.keep("ListPipelines", all));
    for (name, there) in [("canary", true), ("nothing", false)] {
        let request = GetPipelineRequest { pipeline: name.into() };
        let answer = client.pipelines.get_pipeline(request).await;
        assert_eq!(drive.keep("GetPipeline", answer), there);
    }
    for _ in 0..2 {
        let request = drive.request("a");
        drive.must_resolve(&mut client, request).await;
    }
    let request = drive.other_request("other");
    drive.must_resolve(&mut client, request).await;
    let request = explain(drive);
    let answer = client.runs.explain_run(request).await;
    assert!(drive.keep("ExplainRun", answer));
    for (id, there) in [("a", true), ("none", false)] {
        let answer = client.runs.get_run(GetRunRequest { run: Some(run("canary", id)) }).await;
        assert_eq!(drive.keep("GetRun", answer), there);
        for (step, known) in [("go-vault", true), ("nothing", false)] {
            let request = context(run("canary", id), step);
            let answer = client.context.get_context(request).await;
            assert_eq!(drive.keep("GetContext", answer), there && known);
        }
    }
    for (step, known) in [("go-vault", true), ("nothing", false)] {
        let holder = Some(Executor::new().holder());
        let (run, step) = (Some(run("canary", "a")), step.to_owned());
        let request = MintStepTokenRequest { run, step, holder, lifetime: None };
        let answer = client.runs.mint_step_token(request).await;
        assert_eq!(drive.keep("MintStepToken", answer), known);
    }
    failed(drive, &mut client).await;
    reveals(drive, &mut client).await;
    let answer = client.runs.list_runs(ListRunsRequest::default()).await;
    assert!(drive.keep("ListRuns", answer));
    let (a, other) = (run("canary", "a"), run("canary", "other"));
    let compared = client.runs.diff_runs(diff(a.clone(), other)).await.unwrap();
    assert!(compared.get_ref().parameters.len() >= drive.misplaced().len(), "its secrets differ");
    assert!(drive.keep("DiffRuns", Ok(compared)));
    let answer = client.runs.extend_run(extend(a.clone(), 90_000)).await;
    assert!(drive.keep("ExtendRun", answer));
    let answer = client.runs.extend_run(extend(a, i64::MAX)).await;
    assert!(!drive.keep("ExtendRun", answer));
}

/// Runs whose sources give what doesn't fit.
async fn failed(drive: &mut Drive<'_>, client: &mut Client) {
    let broken = SOURCES.iter().filter(|kind| **kind != "override");
    let broken = broken.map(|kind| format!("broken-{kind}"));
    for pipeline in broken.chain(["quoting".to_owned(), "failing".to_owned()]) {
        assert!(!drive.resolves(client, resolve(&pipeline, "a").into()).await, "{pipeline}");
        let told = client.runs.list_failures(failures(run(&pipeline, "a"))).await.unwrap();
        assert!(!told.get_ref().failures[0].parameters.is_empty());
        assert!(drive.keep("ListFailures", Ok(told)));
    }
}

type Revealed = Result<Response<RevealSecretsResponse>, Status>;

async fn reveal(client: &mut Client, run_id: &str, step: &str, names: &[String]) -> Revealed {
    let request = RevealSecretsRequest {
        run: Some(run("canary", run_id)),
        step: step.into(),
        names: names.to_vec(),
        all: names.is_empty(),
        ..RevealSecretsRequest::default()
    };
    client.context.reveal_secrets(request).await
}

/// The secrets of a step: each is what was planted.
pub(super) async fn all_are_revealed(
    drive: &mut Drive<'_>,
    client: &mut Client,
    run_id: &str,
    kind: &str,
) {
    let mut secrets = Vec::new();
    for step in [format!("go-{kind}"), format!("large-{kind}")] {
        let answer = reveal(client, run_id, &step, &[]).await.unwrap();
        drive.well("RevealSecrets", &answer);
        let Some(Secrets::Plain(plain)) = answer.into_inner().secrets else {
            panic!("the answer is sealed or empty")
        };
        secrets.extend(plain.secrets);
    }
    let found = |name: &str| secrets.iter().find(|one: &&PlainSecret| one.name == name);
    for (index, secret) in drive.planted.of(kind).iter().enumerate() {
        let name = format!("{kind}_{index}");
        assert!(found(&name).unwrap().payload.as_ref().unwrap().data == secret.bytes, "{name}");
    }
}

/// What is on the way of secrets that are sealed to the caller's key.
async fn sealed(drive: &mut Drive<'_>, client: &mut Client, kind: &str) {
    let own = OwnKey::generate().unwrap();
    let asked = |suite: i32| RevealSecretsRequest {
        run: Some(run("canary", "a")),
        step: format!("go-{kind}"),
        all: true,
        recipient: Some(Recipient { suite, public_key: own.public().to_vec() }),
        ..RevealSecretsRequest::default()
    };
    let suite = SealingSuite::X25519Chacha20Poly1305;
    let answer = client.context.reveal_secrets(asked(suite.into())).await.unwrap();
    assert!(matches!(answer.get_ref().secrets, Some(Secrets::Sealed(_))), "it is sealed");
    drive.well("RevealSecrets", &answer);
    drive.sinks.add("secrets sealed to a key", answer.into_inner().encode_to_vec());
    let answer = client.context.reveal_secrets(asked(77)).await;
    assert!(!drive.keep("RevealSecrets", answer));
}

/// Reveals: the right ones give every secret, the wrong ones none.
async fn reveals(drive: &mut Drive<'_>, client: &mut Client) {
    for kind in SOURCES {
        all_are_revealed(drive, client, "a", kind).await;
        sealed(drive, client, kind).await;
    }
    let names: Vec<_> = drive.misplaced().iter().map(super::Secret::text).collect();
    let others = vec!["all_env".into(), "n".into()];
    for (step, names) in
        [("go-vault", names), ("go-vault", others), ("nothing", vec!["all".into()])]
    {
        let answer = reveal(client, "a", step, &names).await;
        assert!(!drive.keep("RevealSecrets", answer));
    }
    drive.must_resolve(client, resolve("too-large", "a").into()).await;
    let request = RevealSecretsRequest {
        run: Some(run("too-large", "a")),
        step: "main".into(),
        all: true,
        ..RevealSecretsRequest::default()
    };
    let answer = client.context.reveal_secrets(request).await;
    assert!(!drive.keep("RevealSecrets", answer));
}

/// What the store writes first: soon it is in the store's file, and erased there.
pub(in crate::canary) async fn write_ahead_log(
    drive: &mut Drive<'_>,
    daemon: &Daemon,
    state: &Path,
) {
    let client = daemon.client().await;
    let read = async || {
        let mut client = client.clone();
        reveal(&mut client, "other", "go-env", &[]).await.unwrap();
        let bytes = std::fs::read(state.join("paramd.db-wal")).unwrap();
        (!bytes.is_empty()).then_some(bytes)
    };
    let bytes = wait_until("an event is on its way", Duration::from_secs(60), read).await;
    drive.sinks.add("the store's write-ahead log", bytes);
}

/// The audit log as it is listed, watched and verified.
pub(in crate::canary) async fn audit(drive: &mut Drive<'_>, daemon: &Daemon) {
    let mut client = daemon.client().await;
    let events = client.events().await;
    let begin = Some(Begin::StartTime(prost_types::Timestamp::default()));
    let watch = WatchEventsRequest { begin, ..WatchEventsRequest::default() };
    let answer = client.audit.watch_events(watch).await.unwrap();
    drive.rpcs.entry("WatchEvents").or_default().note(true);
    let mut watched = answer.into_inner();
    for event in &events {
        let message = watched.message().await.unwrap().unwrap();
        drive.sinks.add("the audit log as it is watched", format!("{message:?}"));
        drive.sinks.add("answers", message.encode_to_vec());
        drive.sinks.add("the audit log as it is listed", format!("{event:?}"));
    }
    let answer = client.audit.list_events(ListEventsRequest::default()).await;
    assert!(drive.keep("ListEvents", answer));
    let answer = client.audit.verify_log(VerifyLogRequest::default()).await;
    assert!(drive.keep("VerifyLog", answer));
}

/// Ends the run, asks for what it no longer gives, and for further attempts.
pub(in crate::canary) async fn ends(drive: &mut Drive<'_>, daemon: &Daemon) {
    let mut client = daemon.client().await;
    for (outcome, fits) in [(RunOutcome::Succeeded, true), (RunOutcome::Failed, false)] {
        let run = Some(run("canary", "a"));
        let request = CompleteRunRequest { run, outcome: outcome.into() };
        let answer = client.runs.complete_run(request).await;
        assert_eq!(drive.keep("CompleteRun", answer), fits);
    }
    let answer = client.context.get_context(context(run("canary", "a"), "go-env")).await;
    assert!(!drive.keep("GetContext", answer));
    // One that can't be exact, another request, and a whole one.
    let mut next = drive.request("a");
    next.run.as_mut().unwrap().attempt = 2;
    next.mode = AttemptMode::Exact.into();
    assert!(!drive.resolves(&mut client, next.clone()).await);
    next.mode = AttemptMode::Refresh.into();
    let mut other = next.clone();
    other.secret_overrides = drive.other_request("a").secret_overrides;
    assert!(!drive.resolves(&mut client, other).await);
    drive.must_resolve(&mut client, next).await;
    for secret in drive.misplaced() {
        let if_none_match = secret.text();
        let request =
            GetContextRequest { if_none_match, ..context(run("canary", "a"), "go-vault") };
        let answer = client.context.get_context(request).await;
        assert!(drive.keep("GetContext", answer));
    }
}

/// What is served beside our own services: these, and no more.
const OTHERS: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// What reflection tells, and health of each service.
pub(in crate::canary) async fn reflected(drive: &mut Drive<'_>, daemon: &Daemon) {
    let channel = channel(daemon.socket()).await.unwrap();
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answer = client.server_reflection_info(tokio_stream::iter([list])).await.unwrap();
    let message = answer.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message.message_response else {
        panic!("no list of services")
    };
    let mut health = HealthClient::new(channel);
    for service in list.service {
        let name = service.name;
        assert!(name.starts_with("paramd.v1.") || OTHERS.contains(&name.as_str()), "{name}");
        let answer = health.check(HealthCheckRequest { service: name.clone() }).await;
        drive.sinks.add("reflection and health", format!("{name}: {answer:?}"));
    }
    for secret in drive.misplaced() {
        let answer = health.check(HealthCheckRequest { service: secret.text() }).await;
        drive.sinks.add("reflection and health", format!("{answer:?}"));
    }
}
