//! Connections: each listener takes its own, and a TLS handshake holds up nobody.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use std::future::Future as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::authority::Lenient;
use super::certificate::Shown;
use super::limits::Limits;
use super::listen::Listener;
use super::tls::Tls;

/// How long to wait after a connection could not be accepted: with no file
/// descriptor left, the next try fails the same.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/2's first 24 bytes, and the head of the frame that follows them.
const OPENING: usize = 24 + 9;

/// What the connection itself tells of its other end.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The uid, by the kernel's word on a Unix socket.
    pub(super) uid: Option<u32>,
    /// The certificate, verified.
    pub(super) certificate: Option<Arc<Shown>>,
    /// The address, on TCP.
    pub(super) address: Option<IpAddr>,
}

/// The connections of all listeners. Nothing is accepted any more once it goes.
pub(super) struct Incoming {
    connections: mpsc::Receiver<Connection>,
    _doors: JoinSet<()>,
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Connection>>> {
        self.connections.poll_recv(context).map(|found| found.map(Ok))
    }
}

pub(super) fn incoming(listeners: Vec<Listener>, limits: &Limits) -> Incoming {
    let (sender, connections) = mpsc::channel(1);
    let mut doors = JoinSet::new();
    for listener in listeners {
        let door = Door {
            listener,
            places: Arc::new(Semaphore::new(limits.connections)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            limits: limits.clone(),
            ready: sender.clone(),
        };
        doors.spawn(door.serve());
    }
    Incoming { connections, _doors: doors }
}

/// A listener with its limits.
struct Door {
    listener: Listener,
    places: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    limits: Limits,
    ready: mpsc::Sender<Connection>,
}

impl Door {
    async fn serve(self) {
        loop {
            if self.places.available_permits() == 0 {
                tracing::warn!(
                    most = self.limits.connections,
                    "a listener has all the connections that it may have; more wait"
                );
            }
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            if let Err(error) = self.accept(place).await {
                tracing::warn!(why = ?error.kind(), "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    async fn accept(&self, place: OwnedSemaphorePermit) -> io::Result<()> {
        let preface = self.limits.preface;
        match &self.listener {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                let peer = Peer { uid, certificate: None, address: None };
                let stream = Transport::Unix(Lenient::new(stream));
                self.hand_over(Connection::new(stream, peer, preface, place)).await;
            }
            Listener::Tcp(listener, None) => {
                let (stream, from) = listener.accept().await?;
                let peer = Peer { uid: None, certificate: None, address: Some(from.ip()) };
                stream.set_nodelay(true)?;
                let stream = Transport::Plain(stream);
                self.hand_over(Connection::new(stream, peer, preface, place)).await;
            }
            Listener::Tcp(listener, Some(tls)) => {
                // Taken first: who is over the bound waits in the system's queue.
                let Ok(turn) = Arc::clone(&self.handshakes).acquire_owned().await else {
                    return Ok(());
                };
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (tls, ready) = (Arc::clone(tls), self.ready.clone());
                let limit = self.limits.handshake;
                tokio::spawn(async move {
                    let stream = greet(stream, from.ip(), &tls, limit).await;
                    drop(turn);
                    if let Some((stream, peer)) = stream {
                        let stream = Transport::Tls(Box::new(stream));
                        // The edge is closing if nobody takes it.
                        let _ = ready.send(Connection::new(stream, peer, preface, place)).await;
                    }
                });
            }
        }
        Ok(())
    }

    async fn hand_over(&self, connection: Connection) {
        // The edge is closing if nobody takes it.
        let _ = self.ready.send(connection).await;
    }
}

/// The TLS handshake. One that fails is the client's affair; why is told at
/// `debug`, by its kind: an alert's text is made by the other end.
async fn greet(
    stream: TcpStream,
    from: IpAddr,
    tls: &Tls,
    limit: Duration,
) -> Option<(TlsStream<TcpStream>, Peer)> {
    let stream = match tokio::time::timeout(limit, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(why = ?error.kind(), "a TLS handshake failed");
            return None;
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            return None;
        }
    };
    let chain = stream.get_ref().1.peer_certificates();
    let certificate = chain.and_then(<[_]>::first).map(|leaf| Arc::new(Shown::read(leaf)));
    Some((stream, Peer { uid: None, certificate, address: Some(from) }))
}

/// A connection that is ready for HTTP/2.
pub(super) struct Connection {
    stream: Transport,
    peer: Peer,
    opening: Option<Opening>,
    _place: OwnedSemaphorePermit,
}

/// How long the client has to open HTTP/2, and how much is still to come.
struct Opening {
    limit: Pin<Box<Sleep>>,
    missing: usize,
}

enum Transport {
    Unix(Lenient),
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    fn new(stream: Transport, peer: Peer, limit: Duration, place: OwnedSemaphorePermit) -> Self {
        let limit = Box::pin(tokio::time::sleep(limit));
        let opening = Some(Opening { limit, missing: OPENING });
        Self { stream, peer, opening, _place: place }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Transport {
    fn reader(&mut self) -> Pin<&mut (dyn AsyncRead + Send + Unpin)> {
        match self {
            Self::Unix(stream) => Pin::new(stream),
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream),
        }
    }

    fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Unix(stream) => Pin::new(stream.writer()),
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.stream.reader().poll_read(context, buffer);
        let Some(opening) = &mut self.opening else { return polled };
        opening.missing = opening.missing.saturating_sub(buffer.filled().len() - before);
        if opening.missing == 0 {
            self.opening = None;
        } else if polled.is_pending() && opening.limit.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.writer().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.writer().poll_write_vectored(context, slices)
    }

    /// All transports take several pieces at once.
    fn is_write_vectored(&self) -> bool {
        true
    }
}
