//! A request's message has to arrive in time, and what is on its way has to have
//! room: who sends half of one and waits would otherwise keep its place and its
//! memory for as long as he likes.

mod gathered;

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::accept::Peer;
use super::limits::Limits;
use super::pulse::{Arrived, Arriving};
use super::services::MESSAGE_LIMIT;
use gathered::Gathered;

/// Streams of questions, which may last.
const REFLECTION: &str = "/grpc.reflection.";

/// Gives each message so long to arrive, and all together so much room.
#[derive(Clone)]
pub(super) struct Patience {
    limits: Arc<Limits>,
    arriving: Arc<Arriving>,
}

impl Patience {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: Arc::new(limits.clone()), arriving: Arc::default() }
    }
}

impl<S> Layer<S> for Patience {
    type Service = Patient<S>;

    fn layer(&self, inner: S) -> Patient<S> {
        Patient { inner, patience: self.clone() }
    }
}

/// Services whose requests arrive in time.
#[derive(Clone)]
pub(super) struct Patient<S> {
    inner: S,
    patience: Patience,
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Patient<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let Patience { limits, arriving } = &self.patience;
        let pulse = request.extensions().get().map(|Peer { pulse, .. }| pulse);
        let arrived = Arrived::new(arriving, pulse);
        let may_last = request.uri().path().starts_with(REFLECTION);
        let limit = (!may_last).then(|| Box::pin(tokio::time::sleep(limits.message)));
        let limits = Arc::clone(limits);
        self.inner.call(request.map(|body| {
            Body::new(Awaited { body, limit, arrived, gathered: Gathered::default(), limits })
        }))
    }
}

/// A request's body with its limit.
struct Awaited {
    body: Body,
    limit: Option<Pin<Box<Sleep>>>,
    arrived: Arrived,
    gathered: Gathered,
    limits: Arc<Limits>,
}

impl http_body::Body for Awaited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        // Looked at each time: a message may come in pieces that never end.
        if this.limit.as_mut().is_some_and(|limit| limit.as_mut().poll(context).is_ready()) {
            let late = "the request's message didn't arrive in time";
            return Poll::Ready(Some(Err(Status::deadline_exceeded(late))));
        }
        loop {
            if let Some(piece) = this.gathered.next(MESSAGE_LIMIT) {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let polled = std::task::ready!(Pin::new(&mut this.body).poll_frame(context));
            match polled.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    if !this.arrived.more(data.len(), &this.limits) {
                        let full = "too many bytes of messages are on their way";
                        return Poll::Ready(Some(Err(Status::resource_exhausted(full))));
                    }
                    this.gathered.push(data);
                }
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                _ if this.gathered.is_cut_off() => {
                    this.gathered = Gathered::default();
                    let cut_off = "the request's message is cut off";
                    return Poll::Ready(Some(Err(Status::invalid_argument(cut_off))));
                }
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.gathered.is_cut_off() && self.body.is_end_stream()
    }
}
