//! Each service of the contract: bytes of a request to a daemon behind its
//! socket. It answers, never with a fault of its own, and repeats nothing.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes};
use paramd::proto::v1;
use prost::Message as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::world::{DAEMON, SECRET};
use super::{MARK, Target, holds};
use crate::cases::Outcome;

const WORDS: &[&str] = &[
    "p",
    "dev",
    "prod",
    "fuzz",
    "main",
    "each",
    "quick",
    "Zq!hunter2",
    "text",
    "key",
    "env.URL",
    "\u{1}",
    "\u{7f}",
];

pub(super) const PIPELINE: Target = Target {
    name: "pipeline_service",
    seeds: pipeline_seeds,
    words: WORDS,
    run: |bytes| call(&PIPELINE_RPCS, bytes),
};
pub(super) const RUN: Target = Target {
    name: "run_service",
    seeds: run_seeds,
    words: WORDS,
    run: |bytes| call(&RUN_RPCS, bytes),
};
pub(super) const CONTEXT: Target = Target {
    name: "context_service",
    seeds: context_seeds,
    words: WORDS,
    run: |bytes| call(&CONTEXT_RPCS, bytes),
};
pub(super) const AUDIT: Target = Target {
    name: "audit_service",
    seeds: audit_seeds,
    words: WORDS,
    run: |bytes| call(&AUDIT_RPCS, bytes),
};

/// The first byte of an input says which.
const PIPELINE_RPCS: [&str; 2] =
    ["/paramd.v1.PipelineService/ListPipelines", "/paramd.v1.PipelineService/GetPipeline"];
const RUN_RPCS: [&str; 9] = [
    "/paramd.v1.RunService/ResolveRun",
    "/paramd.v1.RunService/ExplainRun",
    "/paramd.v1.RunService/GetRun",
    "/paramd.v1.RunService/ListRuns",
    "/paramd.v1.RunService/ListFailures",
    "/paramd.v1.RunService/DiffRuns",
    "/paramd.v1.RunService/ExtendRun",
    "/paramd.v1.RunService/CompleteRun",
    "/paramd.v1.RunService/MintStepToken",
];
const CONTEXT_RPCS: [&str; 2] =
    ["/paramd.v1.ContextService/GetContext", "/paramd.v1.ContextService/RevealSecrets"];
const AUDIT_RPCS: [&str; 3] = [
    "/paramd.v1.AuditService/ListEvents",
    "/paramd.v1.AuditService/VerifyLog",
    "/paramd.v1.AuditService/WatchEvents",
];

/// Bytes as they are, in place of a message.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// The runs that requests can name are there before the first.
static PREPARED: LazyLock<()> = LazyLock::new(|| {
    for run_id in ["fuzz", "open"] {
        let request = resolve_seed(run_id, "dev").encode_to_vec();
        DAEMON.runtime.block_on(sent(RUN_RPCS[0], request.into())).unwrap();
    }
});

/// The time that a check of the log has: the log grows with every call, and a
/// caller's deadline ends a check of it.
const VERIFYING: Duration = Duration::from_millis(200);
/// The same once there were many of all of it.
const VERIFYING_AGAIN: Duration = Duration::from_millis(2);
/// So many.
const WHOLE_CHECKS: usize = 100;
static CHECKED: AtomicUsize = AtomicUsize::new(0);

fn time_to_verify(body: &[u8]) -> Duration {
    let request = v1::VerifyLogRequest::decode(body).unwrap_or_default();
    let whole = request.page_token.is_empty();
    if whole && CHECKED.fetch_add(1, Ordering::Relaxed) >= WHOLE_CHECKS {
        return VERIFYING_AGAIN;
    }
    VERIFYING
}

/// The longest that an answer may take, on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

fn call(rpcs: &'static [&'static str], bytes: &[u8]) -> Outcome {
    LazyLock::force(&PREPARED);
    let (which, body) = bytes.split_first().unwrap_or((&0, &[]));
    let rpc = rpcs[usize::from(*which) % rpcs.len()];
    let body = Bytes::copy_from_slice(body);
    let answer = async { tokio::time::timeout(PATIENCE, sent(rpc, body)).await };
    let answered = DAEMON.runtime.block_on(answer);
    match answered.map_err(|_| format!("{rpc} doesn't answer"))? {
        Ok(answer) => {
            let reveals = rpc.ends_with("RevealSecrets");
            holds(reveals || !has(&answer, SECRET), format!("{rpc} answers with a secret"))?;
        }
        Err(status) => {
            let details = status.get_error_details();
            let told = format!("{} {details:?}", status.message());
            // A run's name may be any text, and is told as one.
            let run_id = details.error_info().and_then(|info| info.metadata.get("run_id"));
            let told = run_id.map_or(told.clone(), |name| told.replace(name.as_str(), ""));
            holds(!told.contains(MARK), format!("{rpc} repeats a value: {told}"))?;
            // Bytes that don't parse are answered below the service, without a reason.
            let reason = details.error_info().map(|info| info.reason.as_str());
            let fault =
                matches!(reason, Some("INTERNAL" | "STORE_UNAVAILABLE" | "SNAPSHOT_UNREADABLE"));
            holds(!fault, format!("{rpc} fails by a fault of its own: {told}"))?;
            let late = rpc.ends_with("VerifyLog") && is_late(&status);
            let below = late || matches!(status.code(), Code::Internal | Code::Unimplemented);
            holds(reason.is_some() || below, format!("{rpc} fails without a reason: {status:?}"))?;
        }
    }
    Ok(1)
}

/// Whether a caller's deadline ended a call. Whose clock is the first to see it
/// decides what it is called.
pub(crate) fn is_late(status: &Status) -> bool {
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|at| at == text.as_bytes())
}

/// Sends a request to the daemon; what it answers is left out.
pub(crate) fn send(rpc: &str, body: Bytes) -> Result<(), Status> {
    DAEMON.runtime.block_on(sent(rpc, body)).map(drop)
}

async fn sent(rpc: &str, body: Bytes) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(DAEMON.channel.clone());
    client.ready().await.map_err(|_| Status::unavailable("the connection is gone"))?;
    let path: PathAndQuery = rpc.parse().expect("the path of an rpc");
    if rpc.ends_with("WatchEvents") {
        // It goes on for ever: that it begins, or is refused, is enough.
        let answer = client.server_streaming(Request::new(body), path, Raw).await?;
        drop(answer);
        return Ok(Bytes::new());
    }
    let time = rpc.ends_with("VerifyLog").then(|| time_to_verify(&body));
    let mut request = Request::new(body);
    if let Some(time) = time {
        request.set_timeout(time);
    }
    Ok(client.unary(request, path, Raw).await?.into_inner())
}

fn seed(which: u8, message: &impl prost::Message) -> Vec<u8> {
    [vec![which], message.encode_to_vec()].concat()
}

fn run_name(run_id: &str) -> Option<v1::RunName> {
    Some(v1::RunName { pipeline: "p".into(), run_id: run_id.into(), attempt: 0 })
}

fn text(text: &str) -> v1::Value {
    v1::Value { kind: Some(v1::value::Kind::StringValue(text.into())) }
}

fn resolve_seed(run_id: &str, environment: &str) -> v1::ResolveRunRequest {
    let list =
        v1::ListValue { values: vec![v1::Value { kind: Some(v1::value::Kind::IntValue(3)) }] };
    let secret = v1::SecretPayload { data: b"Zq!hunter2-sent".to_vec(), encoding: 1 };
    v1::ResolveRunRequest {
        run: run_name(run_id),
        environment: environment.into(),
        overrides: [
            ("text".to_owned(), text("a text")),
            ("list".to_owned(), v1::Value { kind: Some(v1::value::Kind::ListValue(list)) }),
        ]
        .into(),
        text_overrides: [("n".to_owned(), "5".to_owned())].into(),
        secret_overrides: [("key".to_owned(), secret)].into(),
        labels: [("team".to_owned(), "x".to_owned())].into(),
        ..v1::ResolveRunRequest::default()
    }
}

fn pipeline_seeds() -> Vec<Vec<u8>> {
    let list = v1::ListPipelinesRequest { page_size: 10, ..Default::default() };
    let get = v1::GetPipelineRequest { pipeline: "p".into() };
    let none = v1::GetPipelineRequest { pipeline: MARK.into() };
    vec![seed(0, &list), seed(1, &get), seed(1, &none)]
}

fn run_seeds() -> Vec<Vec<u8>> {
    let resolve = resolve_seed("fuzz", "dev");
    let mut wrong = resolve_seed("wrong", "prod");
    wrong.text_overrides.insert("n".into(), MARK.into());
    wrong.overrides.insert("db".into(), text(MARK));
    wrong.overrides.insert(MARK.into(), text(MARK));
    wrong.preset = Some("quick".into());
    let explain = v1::ExplainRunRequest {
        pipeline: "p".into(),
        environment: "dev".into(),
        overrides: resolve.overrides.clone(),
        ..Default::default()
    };
    let mint = v1::MintStepTokenRequest {
        run: run_name("fuzz"),
        step: "main".into(),
        holder: Some(v1::mint_step_token_request::Holder::PublicKey(vec![9; 32])),
        lifetime: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
    };
    let list = v1::ListRunsRequest { page_size: 5, ..Default::default() };
    let diff = v1::DiffRunsRequest { base: run_name("fuzz"), other: run_name("open") };
    vec![
        seed(0, &resolve),
        seed(0, &wrong),
        seed(0, &resolve_seed("another", "dev")),
        seed(1, &explain),
        seed(2, &v1::GetRunRequest { run: run_name("fuzz") }),
        seed(3, &list),
        seed(4, &v1::ListFailuresRequest { run: run_name("fuzz") }),
        seed(5, &diff),
        seed(6, &v1::ExtendRunRequest { run: run_name("open"), ..Default::default() }),
        seed(7, &v1::CompleteRunRequest { run: run_name("another"), outcome: 1 }),
        seed(8, &mint),
    ]
}

fn context_seeds() -> Vec<Vec<u8>> {
    let context = |run_id: &str, step: &str, instance| v1::GetContextRequest {
        run: run_name(run_id),
        step: step.into(),
        instance,
        ..Default::default()
    };
    let reveal = |step: &str, names: &[&str], instance| v1::RevealSecretsRequest {
        run: run_name("fuzz"),
        step: step.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        all: names.is_empty(),
        instance,
        ..Default::default()
    };
    vec![
        seed(0, &context("fuzz", "main", None)),
        seed(0, &context("fuzz", "each", Some(0))),
        seed(0, &context("open", MARK, Some(9))),
        seed(1, &reveal("main", &["env.URL"], None)),
        seed(1, &reveal("each", &[], Some(0))),
        seed(1, &reveal("main", &[MARK, "key", "key"], None)),
    ]
}

fn audit_seeds() -> Vec<Vec<u8>> {
    let of_pipeline = v1::EventFilter { pipeline: "p".into(), ..Default::default() };
    let of_run = v1::EventFilter { run_id: "fuzz".into(), ..of_pipeline.clone() };
    let list = v1::ListEventsRequest {
        filter: Some(of_pipeline),
        page_size: 3,
        newest_first: true,
        ..Default::default()
    };
    let of_run = v1::ListEventsRequest { filter: Some(of_run), ..list.clone() };
    vec![
        seed(0, &list),
        seed(0, &of_run),
        seed(1, &v1::VerifyLogRequest::default()),
        seed(1, &v1::VerifyLogRequest { chain: MARK.into(), page_token: MARK.into() }),
        seed(2, &v1::WatchEventsRequest::default()),
    ]
}
