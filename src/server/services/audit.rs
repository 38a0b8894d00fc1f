//! `AuditService`.

use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, async_trait};
use tracing::Instrument as _;

use super::{Edge, Line};
use crate::allowance::Admitted;
use crate::engine::{Refusal, Watch, Watched};
use crate::proto::server::audit_service_server::AuditService;
use crate::proto::v1::{
    ListEventsRequest, ListEventsResponse, VerifyLogRequest, VerifyLogResponse, WatchEventsRequest,
    WatchEventsResponse,
};
use crate::server::accept::Peer;
use crate::server::authentication::{self, Told, Unknown, traceparent};
use crate::server::convert::events;
use crate::server::gate::Stopping;
use crate::token::proof::Asked;

/// The longest time that one check of the log takes.
const VERIFY_BUDGET: Duration = Duration::from_secs(10);

#[async_trait]
impl AuditService for Edge {
    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        self.answer("ListEvents", request, async |caller, message| {
            let asked = events::read(message);
            let found = self.engine.list_events(&caller, asked, events::weigh).await?;
            Ok(events::listed(found))
        })
        .await
    }

    type WatchEventsStream = BoxStream<'static, Result<WatchEventsResponse, Status>>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let mut line = Line::begin("WatchEvents", traceparent(request.metadata()));
        let about = Asked { rpc: "WatchEvents", recipient: &[] };
        let caller = self.caller(&mut line, &request, about).await?;
        let admitted = self.admitted(&mut line, &caller).await?;
        let (metadata, extensions, message) = request.into_parts();
        let asked = events::read_watch(message);
        let begun = self.engine.watch_events(caller, asked);
        match line.trail.clone().follow(begun).instrument(line.span.clone()).await {
            Ok(watch) => Ok(Response::new(streamed(Streaming {
                watch,
                stopping: extensions.get().cloned(),
                edge: self.clone(),
                _admitted: admitted,
                metadata,
                peer: extensions.get().cloned(),
                line,
            }))),
            Err(refusal) => Err(line.refuse(&refusal)),
        }
    }

    async fn verify_log(
        &self,
        request: Request<VerifyLogRequest>,
    ) -> Result<Response<VerifyLogResponse>, Status> {
        let budget = verify_budget(request.metadata());
        self.answer("VerifyLog", request, async |caller, message| {
            let VerifyLogRequest { chain, page_token } = message;
            let found = self.engine.verify_log(&caller, chain, page_token, budget).await?;
            Ok(events::verified(found))
        })
        .await
    }
}

/// A watch that is being streamed.
struct Streaming {
    watch: Watch,
    stopping: Option<Stopping>,
    edge: Edge,
    /// It counts as open until it ends.
    _admitted: Admitted,
    /// What the caller shows of who it is.
    metadata: MetadataMap,
    peer: Option<Peer>,
    /// Its line in the log comes when it ends.
    line: Line,
}

impl Streaming {
    /// The next message, for a caller who is still known: a token may be revoked
    /// and a certificate end while a stream goes on.
    async fn next(&mut self) -> Result<Watched, Refusal> {
        let next = tokio::select! {
            biased;
            () = stopped(&mut self.stopping) => return Err(Refusal::NotServing),
            next = self.watch.next() => next?,
        };
        let Self { watch, edge, metadata, peer, line, .. } = self;
        let told = authentication::shown(metadata, peer.as_ref(), &edge.bearers).await;
        let why = match told {
            // Other settings make other names and groups of the same token.
            Ok(Told { principal, groups }) if principal == *watch.principal() => {
                watch.regroup(groups).await?;
                return Ok(next);
            }
            Ok(_) => Unknown::Changed,
            Err(why) => why,
        };
        Err(edge.unknown(line.rpc, metadata, peer.as_ref(), why).await)
    }
}

/// A watch as a stream.
fn streamed(begun: Streaming) -> BoxStream<'static, Result<WatchEventsResponse, Status>> {
    Box::pin(stream::unfold(Some(begun), |state| async move {
        let mut streaming = state?;
        Some(match streaming.next().await {
            Ok(one) => (Ok(events::watched(one)), Some(streaming)),
            Err(refusal) => (Err(streaming.line.refuse(&refusal)), None),
        })
    }))
}

/// Waits until the daemon stops.
async fn stopped(stopping: &mut Option<Stopping>) {
    match stopping {
        // A gate that is gone has been closed.
        Some(Stopping(stopping)) => {
            let _ = stopping.wait_for(|stops| *stops).await;
        }
        None => std::future::pending().await,
    }
}

/// Ten seconds, or four fifths of what the caller waits if that is less: the
/// answer has to get back in time.
fn verify_budget(metadata: &MetadataMap) -> Duration {
    let told = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    let deadline = told.and_then(timeout).map(|span| span.mul_f64(0.8));
    deadline.unwrap_or(VERIFY_BUDGET).min(VERIFY_BUDGET)
}

/// gRPC's form of a timeout: 1 to 8 digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let digits = text.get(..text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match text.bytes().last()? {
        b'H' => Duration::from_secs(count * 3_600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(told: &str) -> Duration {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", told.parse().unwrap());
        verify_budget(&metadata)
    }

    #[test]
    fn a_check_ends_before_its_caller_gives_up() {
        assert_eq!(budget("5S"), Duration::from_secs(4));
        assert_eq!(budget("500m"), Duration::from_millis(400));
        assert_eq!(budget("99999999H"), VERIFY_BUDGET);
    }

    #[test]
    fn what_is_no_timeout_is_passed_over() {
        for told in ["", "S", "5", "-5S", "123456789S", "5x", "é"] {
            let mut metadata = MetadataMap::new();
            if let Ok(value) = told.parse() {
                metadata.insert("grpc-timeout", value);
            }
            assert_eq!(verify_budget(&metadata), VERIFY_BUDGET, "{told}");
        }
    }
}
