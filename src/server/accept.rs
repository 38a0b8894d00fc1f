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
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::authority::Lenient;
use super::limits::Limits;
use super::listen::Listener;
use super::pulse::{Crowd, Pulse};
use super::strangers::Place;
use super::tls::Tls;
use super::trust::{Presented, Standing};

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
    /// The certificate that it shows, which may be anybody's.
    pub(super) certificate: Option<Arc<Presented>>,
    /// The address, on TCP.
    pub(super) address: Option<IpAddr>,
    /// What happens on the connection.
    pub(super) pulse: Arc<Pulse>,
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
            crowd: Crowd::default(),
            limits: Arc::new(limits.clone()),
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
    crowd: Crowd,
    limits: Arc<Limits>,
    ready: mpsc::Sender<Connection>,
}

impl Door {
    async fn serve(self) {
        loop {
            if self.places.available_permits() == 0 && !self.crowd.make_room() {
                tracing::warn!(
                    most = self.limits.connections,
                    "a listener has all the connections that it may have, and uses them; more wait"
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
        let pulse = Arc::<Pulse>::default();
        let mut peer = Peer { uid: None, certificate: None, address: None, pulse };
        match &self.listener {
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                peer.uid = stream.peer_cred().ok().map(|peer| peer.uid());
                self.welcome(Transport::Unix(Lenient::new(stream)), peer, place).await;
            }
            Listener::Tcp(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                peer.address = Some(from.ip());
                stream.set_nodelay(true)?;
                match tls {
                    None => self.welcome(Transport::Plain(stream), peer, place).await,
                    Some(tls) => self.begin(stream, peer, tls, place),
                }
            }
        }
        Ok(())
    }

    /// Whether there is room for one more of its place.
    fn has_room(&self, peer: &Peer) -> bool {
        let most = self.limits.connections_of_one;
        let has_room = self.crowd.enter(Place::of(Some(peer)), &peer.pulse, most);
        if !has_room {
            tracing::debug!("a place has all the connections that it may have, and uses them");
        }
        has_room
    }

    /// Begins a TLS handshake, which holds up nobody.
    fn begin(&self, stream: TcpStream, peer: Peer, tls: &Arc<Tls>, place: OwnedSemaphorePermit) {
        if !self.has_room(&peer) {
            return;
        }
        let (tls, ready, limits) = (Arc::clone(tls), self.ready.clone(), Arc::clone(&self.limits));
        tokio::spawn(async move {
            let ended = std::future::poll_fn(|context| peer.pulse.poll_end(context));
            let greeted = tokio::select! {
                greeted = greet(stream, &tls, limits.handshake) => greeted,
                () = ended => None,
            };
            if let Some((stream, certificate)) = greeted {
                let peer = Peer { certificate, ..peer };
                let stream = Transport::Tls(Box::new(stream));
                // The edge is closing if nobody takes it.
                let _ = ready.send(Connection::new(stream, peer, limits, place)).await;
            }
        });
    }

    async fn welcome(&self, stream: Transport, peer: Peer, place: OwnedSemaphorePermit) {
        if self.has_room(&peer) {
            let connection = Connection::new(stream, peer, Arc::clone(&self.limits), place);
            // The edge is closing if nobody takes it.
            let _ = self.ready.send(connection).await;
        }
    }
}

/// The TLS handshake. One that fails is the client's affair; why is told at
/// `debug`, by its kind: an alert's text is made by the other end.
async fn greet(
    stream: TcpStream,
    tls: &Arc<Tls>,
    limit: Duration,
) -> Option<(TlsStream<TcpStream>, Option<Arc<Presented>>)> {
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
    let certificate = chain.and_then(|chain| Presented::new(chain, tls)).map(Arc::new);
    Some((stream, certificate))
}

/// A connection that is ready for HTTP/2.
pub(super) struct Connection {
    stream: Transport,
    peer: Peer,
    opening: Option<Opening>,
    standing: Option<Standing>,
    limits: Arc<Limits>,
    /// When to look at its pulse again.
    look: Pin<Box<Sleep>>,
    /// When the next turn of its answers begins.
    turn: Instant,
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
    fn new(
        stream: Transport,
        peer: Peer,
        limits: Arc<Limits>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let opening =
            Some(Opening { limit: Box::pin(tokio::time::sleep(limits.preface)), missing: OPENING });
        let look = Box::pin(tokio::time::sleep(looks(&limits)));
        let turn = Instant::now() + limits.answer;
        let standing = peer.certificate.as_ref().map(Standing::new);
        Self { stream, peer, opening, standing, limits, look, turn, _place: place }
    }

    /// Whether it has to end. Asked whenever it can't go on at once, so that it is
    /// asked again when it is time.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        while self.look.as_mut().poll(context).is_ready() {
            self.peer.pulse.look(&self.limits);
            let now = Instant::now();
            if now >= self.turn {
                self.peer.pulse.next_turn();
                self.turn = now + self.limits.answer;
            }
            let next = now + looks(&self.limits);
            self.look.as_mut().reset(next);
        }
        let lost = self.standing.as_mut().is_some_and(|standing| standing.poll_over(context));
        lost || self.peer.pulse.poll_end(context).is_ready()
    }

    /// What came of a try to write, unless it has to end.
    fn held<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if self.peer.pulse.is_over() || polled.is_pending() && self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

/// How often the pulse is looked at: often enough for each of its limits.
fn looks(limits: &Limits) -> Duration {
    let shortest = limits.idle.min(limits.strange).min(limits.answer);
    (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(5))
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
        if let Some(opening) = &mut self.opening {
            opening.missing = opening.missing.saturating_sub(buffer.filled().len() - before);
            if opening.missing == 0 {
                self.opening = None;
            } else if polled.is_pending() && opening.limit.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        self.held(polled, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.writer().poll_write(context, bytes);
        self.held(polled, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.stream.writer().poll_flush(context);
        self.held(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.writer().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.writer().poll_write_vectored(context, slices);
        self.held(polled, context)
    }

    /// All transports take several pieces at once.
    fn is_write_vectored(&self) -> bool {
        true
    }
}
