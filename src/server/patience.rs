//! A request's message has to arrive in time: who sends half of one and waits
//! would otherwise keep its place for as long as he likes.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

/// Streams of questions, which may last.
const REFLECTION: &str = "/grpc.reflection.";

/// Gives each message so long to arrive.
#[derive(Clone)]
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl<S> Layer<S> for Patience {
    type Service = Patient<S>;

    fn layer(&self, inner: S) -> Patient<S> {
        Patient { inner, limit: self.0 }
    }
}

/// Services whose requests arrive in time.
#[derive(Clone)]
pub(super) struct Patient<S> {
    inner: S,
    limit: Duration,
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Patient<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        if request.uri().path().starts_with(REFLECTION) {
            return self.inner.call(request);
        }
        let limit = Box::pin(tokio::time::sleep(self.limit));
        self.inner.call(request.map(|body| Body::new(Awaited { body, limit })))
    }
}

/// A request's body with its limit.
struct Awaited {
    body: Body,
    limit: Pin<Box<Sleep>>,
}

impl http_body::Body for Awaited {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if self.limit.as_mut().poll(context).is_ready() => Poll::Ready(Some(
                Err(Status::deadline_exceeded("the request's message didn't arrive in time")),
            )),
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
