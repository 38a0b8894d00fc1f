//! Counts requests until their answers are on the wire, and refuses new ones
//! once the daemon stops.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::Frame;
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::accept::Peer;
use super::pulse::{Answer, Begun, Other, Pulse};
use super::status;
use crate::engine::Refusal;

/// Paths of services that are asked to stop; health and reflection go on.
const OURS: &str = "/paramd.";

/// Answers that have no end of their own: a stop ends them and doesn't wait.
const ENDLESS: &str = "/paramd.v1.AuditService/WatchEvents";

/// Becomes true when the daemon stops; with each request whose answer has no end
/// of its own.
#[derive(Clone)]
pub(super) struct Stopping(pub(super) watch::Receiver<bool>);

/// The gate that all requests go through. Clones are one gate.
#[derive(Clone)]
pub(super) struct Gate(Arc<Shared>);

struct Shared {
    closed: AtomicBool,
    begun: AtomicUsize,
    /// Told when the last request leaves a closed gate.
    left: Notify,
    stopping: watch::Sender<bool>,
    /// The most requests of health and reflection at a time on a connection.
    others: usize,
}

impl Gate {
    pub(super) fn new(others: usize) -> Self {
        Self(Arc::new(Shared {
            closed: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            left: Notify::new(),
            stopping: watch::Sender::new(false),
            others,
        }))
    }

    /// Lets no new request in, and waits for those that are in.
    pub(super) async fn close(&self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.stopping.send_replace(true);
        while self.begun() > 0 {
            self.0.left.notified().await;
        }
    }

    /// How many requests are in.
    pub(super) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::SeqCst)
    }

    fn enter(&self) -> Option<Entered> {
        // Counted first: a request that saw the gate open is waited for.
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let inside = Entered(self.0.clone());
        (!self.0.closed.load(Ordering::SeqCst)).then_some(inside)
    }
}

/// A request that is in.
struct Entered(Arc<Shared>);

impl Drop for Entered {
    fn drop(&mut self) {
        let last = self.0.begun.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.0.closed.load(Ordering::SeqCst) {
            // Kept for whoever isn't waiting yet.
            self.0.left.notify_one();
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

/// Services behind the gate.
#[derive(Clone)]
pub(super) struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S> Service<http::Request<Body>> for Gated<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let pulse = request.extensions().get().map(|Peer { pulse, .. }| pulse);
        if !request.uri().path().starts_with(OURS) {
            let Some(other) = Pulse::begin_other(pulse, self.gate.0.others) else {
                let full = "too many requests of health and reflection on one connection";
                let refused = Status::resource_exhausted(full);
                return Box::pin(async move { Ok(refused.into_http()) });
            };
            let answer = self.inner.call(request);
            return Box::pin(async move {
                Ok(answer.await?.map(|body| Body::new(Counted::new(body, Inside::Other(other)))))
            });
        }
        let begun = Pulse::begin(pulse);
        let Some(inside) = self.gate.enter() else {
            let refused: Status = status::status(&Refusal::NotServing);
            return Box::pin(async move { Ok(refused.into_http()) });
        };
        let endless = request.uri().path() == ENDLESS;
        if endless {
            request.extensions_mut().insert(Stopping(self.gate.0.stopping.subscribe()));
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| {
                let inside = if endless {
                    // It may take as long as it likes, and a stop doesn't wait for it.
                    Inside::Endless(begun)
                } else {
                    Inside::Ours(inside, begun.answered())
                };
                Body::new(Counted::new(body, inside))
            }))
        })
    }
}

/// What is counted until an answer is sent or given up.
#[expect(dead_code, reason = "held until the answer is gone")]
enum Inside {
    Ours(Entered, Answer),
    Endless(Begun),
    Other(Other),
}

/// The most bytes of an answer that are let go at a time: what HTTP/2 was given,
/// it keeps until the client takes it.
const PIECE: usize = 16 << 10;

/// An answer's body; the request is in until it is sent or given up.
struct Counted {
    body: Body,
    /// What is left of the last piece.
    rest: Bytes,
    _inside: Inside,
}

impl Counted {
    fn new(body: Body, inside: Inside) -> Self {
        Self { body, rest: Bytes::new(), _inside: inside }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                polled => return polled,
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt as _;

    use super::*;

    async fn answer(_: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
        Ok(http::Response::new(Body::new("answer".to_owned())))
    }

    fn request(path: &str) -> http::Request<Body> {
        http::Request::builder().uri(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_closed_gate_refuses_our_services_alone() {
        let gate = Gate::new(1);
        let mut service = gate.layer(tower::service_fn(answer));
        gate.close().await;
        let refused = service.call(request("/paramd.v1.RunService/GetRun")).await.unwrap();
        assert_eq!(refused.headers()["grpc-status"], "14");
        let health = service.call(request("/grpc.health.v1.Health/Check")).await.unwrap();
        assert!(!health.headers().contains_key("grpc-status"));
        assert_eq!(gate.begun(), 0);
    }

    #[tokio::test]
    async fn closing_waits_for_answers_that_are_not_sent_yet() {
        let gate = Gate::new(1);
        let mut service = gate.layer(tower::service_fn(answer));
        let answer = service.call(request("/paramd.v1.RunService/GetRun")).await.unwrap();
        assert_eq!(gate.begun(), 1);
        let mut closing = Box::pin(gate.close());
        assert!((&mut closing).now_or_never().is_none());
        drop(answer);
        closing.await;
    }
}
