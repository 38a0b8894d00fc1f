//! The contract's four services: each rpc is a message taken apart, a call of
//! the engine and an answer put together, with one line in the log.

mod audit;
mod context;
mod pipeline;
mod run;

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tracing::{Instrument as _, Span};

use super::accept::Peer;
use super::authentication::{Bearers, Told};
use super::strangers::{Strangers, Turn};
use super::{authentication, status, step};
use crate::allowance::{Admitted, Ask};
use crate::audit::Action;
use crate::engine::{Caller, Engine, Refusal};
use crate::proto::server::audit_service_server::{AuditServiceServer, SERVICE_NAME as AUDIT};
use crate::proto::server::context_service_server::{ContextServiceServer, SERVICE_NAME as CONTEXT};
use crate::proto::server::pipeline_service_server::{
    PipelineServiceServer, SERVICE_NAME as PIPELINE,
};
use crate::proto::server::run_service_server::{RunServiceServer, SERVICE_NAME as RUN};
use crate::telemetry::trail::{Names, Trail};
use crate::telemetry::{measure, spans};
use crate::token::proof::Asked;

/// The services' names; the empty one is the daemon as a whole.
pub(super) const NAMES: [&str; 5] = ["", AUDIT, CONTEXT, PIPELINE, RUN];

/// The most bytes of a message, in and out. Answers have a lower limit of the
/// contract's; this one is the last line.
pub(super) const MESSAGE_LIMIT: usize = 4 << 20;

/// What all services stand on.
#[derive(Clone)]
struct Edge {
    engine: Arc<Engine>,
    bearers: Bearers,
    strangers: Arc<Strangers>,
}

/// The four services.
pub(super) fn routes(engine: Arc<Engine>, bearers: Bearers) -> Routes {
    let edge = Edge { engine, bearers, strangers: Arc::new(Strangers::new()) };
    macro_rules! limited {
        ($server:ident) => {
            $server::new(edge.clone())
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT)
        };
    }
    Routes::new(limited!(PipelineServiceServer))
        .add_service(limited!(RunServiceServer))
        .add_service(limited!(ContextServiceServer))
        .add_service(limited!(AuditServiceServer))
}

impl Edge {
    /// Answers a request: tells who calls and whether he may ask for more, does
    /// `work`, holds the answer to its limit and logs how it went.
    async fn answer<Q, A, F>(
        &self,
        rpc: &'static str,
        request: Request<Q>,
        work: impl FnOnce(Caller, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        A: prost::Message,
        F: Future<Output = Result<A, Refusal>>,
    {
        self.answer_to(Asked { rpc, recipient: &[] }, request, work).await
    }

    /// The same; the proof of who holds a step token has to be about this.
    async fn answer_to<Q, A, F>(
        &self,
        about: Asked<'_>,
        request: Request<Q>,
        work: impl FnOnce(Caller, Q) -> F,
    ) -> Result<Response<A>, Status>
    where
        A: prost::Message,
        F: Future<Output = Result<A, Refusal>>,
    {
        let mut line = Line::begin(about.rpc, authentication::traceparent(request.metadata()));
        let caller = self.caller(&mut line, &request, about).await?;
        let _admitted = self.admitted(&mut line, &caller).await?;
        let work = work(caller, request.into_inner());
        let answer = line.trail.clone().follow(work).instrument(line.span.clone()).await;
        match answer.and_then(|answer| status::fits(&answer).map(|()| answer)) {
            Ok(answer) => {
                line.end(Code::Ok, "");
                Ok(Response::new(answer))
            }
            Err(refusal) => Err(line.refuse(&refusal)),
        }
    }

    /// Who calls; that nobody can tell is recorded.
    async fn caller<Q>(
        &self,
        line: &mut Line,
        request: &Request<Q>,
        about: Asked<'_>,
    ) -> Result<Caller, Status> {
        let (metadata, peer) = (request.metadata(), request.extensions().get::<Peer>());
        match self.shown(metadata, peer, about).await {
            Ok(caller) => {
                if let Some(Peer { pulse, .. }) = peer {
                    pulse.known();
                }
                line.principal.clone_from(&caller.principal.name);
                Ok(caller)
            }
            Err(why) => {
                let refusal = self.unknown(line.rpc, metadata, peer, why).await;
                Err(line.refuse(&refusal))
            }
        }
    }

    /// Takes the caller's request in, before any work is done for it.
    async fn admitted(&self, line: &mut Line, caller: &Caller) -> Result<Admitted, Status> {
        let (action, ask) = asked(line.rpc);
        let admitted = self.engine.admit(caller, action, ask).await;
        admitted.map_err(|refusal| line.refuse(&refusal))
    }

    /// Who the caller shows to be.
    async fn shown(
        &self,
        metadata: &MetadataMap,
        peer: Option<&Peer>,
        about: Asked<'_>,
    ) -> Result<Caller, authentication::Unknown> {
        let trace_id = authentication::trace_id(metadata);
        if let Some(grant) = step::grant(&self.engine, metadata, peer, about)? {
            return Ok(Caller::with_step_token(grant, trace_id));
        }
        let Told { principal, groups } =
            authentication::shown(metadata, peer, &self.bearers).await?;
        Ok(Caller { groups, ..Caller::new(principal, trace_id) })
    }

    /// Records that nobody can tell who calls; of too many one a minute.
    async fn unknown(
        &self,
        rpc: &'static str,
        metadata: &MetadataMap,
        peer: Option<&Peer>,
        why: authentication::Unknown,
    ) -> Refusal {
        let trace_id = authentication::trace_id(metadata);
        match self.strangers.turn(peer) {
            Turn::Answer => {
                tracing::info!(rpc, %why, "a caller can't be told");
                self.engine.unauthenticated(trace_id, Refusal::Unauthenticated).await
            }
            Turn::Over { of, wait: retry_after, tell } => {
                let refusal = Refusal::RateLimited { limit: "failed_logins", of, retry_after };
                if !tell {
                    return refusal;
                }
                tracing::warn!(
                    rpc,
                    %why,
                    "too many callers can't be told: of the next minute only the metrics count them"
                );
                self.engine.unauthenticated(trace_id, refusal).await
            }
        }
    }
}

/// What a refusal of an rpc is recorded as, and what the rpc counts for.
fn asked(rpc: &str) -> (Action, Ask) {
    match rpc {
        "ResolveRun" => (Action::Resolve, Ask::Request),
        "ExplainRun" => (Action::Explain, Ask::Request),
        "CompleteRun" | "ExtendRun" => (Action::Complete, Ask::Request),
        "RevealSecrets" => (Action::Reveal, Ask::Reveal),
        "MintStepToken" => (Action::Delegate, Ask::Request),
        "ListEvents" | "VerifyLog" => (Action::Audit, Ask::Request),
        "WatchEvents" => (Action::Audit, Ask::Stream),
        _ => (Action::Read, Ask::Request),
    }
}

/// The log's line for one request, its span and its metrics. It names the caller
/// and the rpc, of the run and the step only what the daemon knows, and no other
/// field: any of them could hold a misplaced secret.
struct Line {
    rpc: &'static str,
    principal: String,
    trail: Trail,
    span: Span,
    trace_id: String,
    begun: Instant,
    ended: bool,
}

impl Line {
    /// `traceparent` is the caller's, well formed.
    fn begin(rpc: &'static str, traceparent: Option<&str>) -> Self {
        measure::request_begun();
        let span = spans::request(rpc, traceparent);
        let own = spans::trace_id(&span);
        // Without spans there is still the caller's trace to be found by.
        let trace_id = if own.is_empty() {
            traceparent.map(authentication::trace_of).unwrap_or_default().to_owned()
        } else {
            own
        };
        Self {
            rpc,
            principal: String::new(),
            trail: Trail::default(),
            span,
            trace_id,
            begun: Instant::now(),
            ended: false,
        }
    }

    fn refuse(&mut self, refusal: &Refusal) -> Status {
        self.end(status::code(refusal), refusal.reason());
        status::status(refusal)
    }

    fn end(&mut self, code: Code, reason: &'static str) {
        self.ended = true;
        self.write(code_word(code), reason);
    }

    fn write(&self, code: &'static str, reason: &'static str) {
        let Self { rpc, principal, trace_id, begun, span, .. } = self;
        let took = begun.elapsed();
        measure::request(rpc, code, reason, took);
        let Names { run, step } = self.trail.names();
        span.record("paramd.code", code);
        span.record("paramd.reason", reason);
        span.record("paramd.step", step.as_str());
        if code != "Ok" {
            span.record("otel.status_code", "ERROR");
        }
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // A flood must not fill the disk; that a limit is reached has its own line.
        if reason == "RATE_LIMITED" {
            return;
        }
        tracing::info!(rpc, principal, run, step, code, reason, ms, trace_id, "request");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.ended {
            self.write("Cancelled", "");
        }
    }
}

/// The code's name, as in metrics and the log.
fn code_word(code: Code) -> &'static str {
    match code {
        Code::Ok => "Ok",
        Code::Cancelled => "Cancelled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
