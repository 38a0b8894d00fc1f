//! The listener of its own for metrics: plain HTTP, nothing secret, and nobody
//! who is slow holds it up.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use super::measure::{self, Counted};

/// The most connections at a time; the next one waits.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection may be there, whatever it does.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
/// The media type of Prometheus' text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Asks for what is only counted when somebody looks.
pub type Refresh = Arc<dyn Fn() + Send + Sync>;

/// Listens for whoever collects metrics.
///
/// # Errors
/// The system refuses the address.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves `/metrics` and `/healthz` until it is dropped.
pub async fn serve(listener: TcpListener, counted: Counted, refresh: Refresh) {
    let scrape = move || {
        let (counted, refresh) = (counted.clone(), refresh.clone());
        async move {
            let text = tokio::task::spawn_blocking(move || {
                refresh();
                measure::process();
                counted.text()
            });
            match text.await {
                Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
    };
    let router =
        Router::new().route("/metrics", get(scrape)).route("/healthz", get(async || "ok\n"));
    let bounded = Bounded { listener, room: Arc::new(Semaphore::new(MAX_CONNECTIONS)) };
    if axum::serve(bounded, router).await.is_err() {
        tracing::error!("metrics are served no more");
    }
}

/// A listener with so many connections at a time.
struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
}

impl axum::serve::Listener for Bounded {
    type Io = Timed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Timed, SocketAddr) {
        loop {
            // Never closed, so there is always one in the end.
            let Ok(permit) = self.room.clone().acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let end = Box::pin(tokio::time::sleep(CONNECTION_LIMIT));
                    return (Timed { stream, end, _permit: permit }, peer);
                }
                // With no file descriptor left, the next try fails the same.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after its time.
struct Timed {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl Timed {
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.end.as_mut().poll(context).is_ready()
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        Poll::Ready(Ok(()))
    }
}
