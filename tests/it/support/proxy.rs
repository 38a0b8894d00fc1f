//! A proxy that makes a real server ill: it stands in front of it, and does to
//! connections what networks, load balancers and tired servers do.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls::Files;

/// What is done to the connections.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// Nothing: they are passed on.
    None,
    /// Nobody listens.
    Refuse,
    /// Connections are never completed: the packets go nowhere.
    Unreachable,
    /// They are taken, and nothing is said.
    Silent,
    /// What the server says comes in pieces of so many bytes, with pauses.
    Slow(usize, Duration),
    /// So many bytes of what the server says come, then nothing more.
    HangAfter(usize),
    /// So many bytes come, then the connection is reset.
    ResetAfter(usize),
    /// So many bytes come, then the connection is ended in good order.
    EndAfter(usize),
    /// So many bytes come, then none as it was sent.
    GarbleAfter(usize),
    /// The first that the server says is changed.
    Change(fn(&mut [u8])),
    /// HTTP alone: the first requests are answered by the proxy.
    Answer {
        /// How many.
        times: usize,
        /// What is said: head and body.
        answer: Vec<u8>,
        /// Whether the body goes on for ever.
        endless: bool,
    },
    /// HTTP over TLS alone: with this certificate.
    Certificate(Files),
}

impl Fault {
    /// HTTP's answer with this status, further headers and body.
    pub(crate) fn http(times: usize, status: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        Self::Answer { times, answer: [head.as_bytes(), body].concat(), endless: false }
    }
}

/// What the proxy understands of what it passes on.
#[derive(Clone)]
enum Speech {
    /// Bytes.
    Bytes,
    /// HTTP inside of TLS, which ends here: one request a connection.
    Https(Files),
}

/// A proxy in front of one server.
pub(crate) struct Proxy {
    /// Never listens: keeps the port while nobody does.
    reserved: TcpSocket,
    server: SocketAddr,
    speech: Speech,
    asked: Arc<AtomicUsize>,
    working: Option<JoinSet<()>>,
    /// The socket that listens, to end that.
    listening: Option<std::net::TcpStream>,
    /// Connections that fill the queue of a listener that takes none.
    stuffing: Vec<TcpStream>,
}

impl Proxy {
    /// In front of any server.
    pub(crate) async fn bytes(server: u16) -> Self {
        Self::new(server, Speech::Bytes).await
    }

    /// With TLS in front of an HTTP server that has none.
    pub(crate) async fn https(server: u16, files: Files) -> Self {
        Self::new(server, Speech::Https(files)).await
    }

    async fn new(server: u16, speech: Speech) -> Self {
        let mut proxy = Self {
            reserved: socket(0),
            server: (Ipv4Addr::LOCALHOST, server).into(),
            speech,
            asked: Arc::default(),
            working: None,
            listening: None,
            stuffing: Vec::new(),
        };
        proxy.set(Fault::None).await;
        proxy
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.reserved.local_addr().unwrap().port()
    }

    /// How many connections came; of HTTP, requests.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Ends all connections, and does this to new ones.
    pub(crate) async fn set(&mut self, fault: Fault) {
        // Closing isn't enough: a process that is just being started may have it too.
        if let Some(listening) = self.listening.take() {
            listening.shutdown(Shutdown::Both).unwrap();
        }
        if let Some(mut working) = self.working.take() {
            working.shutdown().await;
        }
        self.stuffing.clear();
        let mut working = JoinSet::new();
        match fault {
            Fault::Refuse => {}
            Fault::Unreachable => {
                let listener = self.listen(0);
                self.stuff().await;
                working.spawn(async move {
                    let _never_taken = listener;
                    std::future::pending::<()>().await;
                });
            }
            fault => {
                let (listener, line) = (self.listen(1_024), self.line(fault));
                working.spawn(accept(listener, line));
            }
        }
        self.working = Some(working);
    }

    fn listen(&mut self, queue: u32) -> TcpListener {
        let listener = socket(self.port()).listen(queue).unwrap();
        self.listening = Some(listener.as_fd().try_clone_to_owned().unwrap().into());
        listener
    }

    /// Fills the listener's queue until no connection is completed any more.
    async fn stuff(&mut self) {
        for _ in 0..16 {
            let one = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()));
            match tokio::time::timeout(Duration::from_millis(300), one).await {
                Ok(one) => self.stuffing.push(one.unwrap()),
                Err(_) => return,
            }
        }
        panic!("the queue takes all");
    }

    fn line(&self, fault: Fault) -> Arc<Line> {
        let acceptor = match (&self.speech, &fault) {
            (Speech::Bytes, _) => None,
            (Speech::Https(_), Fault::Certificate(files)) | (Speech::Https(files), _) => {
                Some(acceptor(files))
            }
        };
        let times = AtomicUsize::new(0);
        Arc::new(Line { server: self.server, fault, acceptor, asked: self.asked.clone(), times })
    }
}

/// One on a port of the loopback, which several may share until one listens.
fn socket(port: u16) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, port).into()).unwrap();
    socket
}

fn acceptor(files: &Files) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&files.certificate).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What all connections of one fault share.
struct Line {
    server: SocketAddr,
    fault: Fault,
    acceptor: Option<TlsAcceptor>,
    asked: Arc<AtomicUsize>,
    times: AtomicUsize,
}

async fn accept(listener: TcpListener, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        let line = line.clone();
        // What breaks is meant to.
        connections.spawn(async move {
            let _ = line.serve(client).await;
        });
    }
}

/// A connection that can be cut under whatever it speaks.
trait Cut: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&mut self) -> &mut TcpStream;
}

impl Cut for TcpStream {
    fn socket(&mut self) -> &mut TcpStream {
        self
    }
}

impl Cut for TlsStream<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

impl Line {
    async fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        match &self.acceptor {
            None => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                if matches!(self.fault, Fault::Silent) {
                    return std::future::pending().await;
                }
                let server = TcpStream::connect(self.server).await?;
                self.pass(client, server).await
            }
            Some(acceptor) => {
                let mut client = acceptor.accept(client).await?;
                let request = request(&mut client).await?;
                self.asked.fetch_add(1, Ordering::SeqCst);
                if matches!(self.fault, Fault::Silent) {
                    return std::future::pending().await;
                }
                if let Fault::Answer { times, answer, endless } = &self.fault
                    && self.times.fetch_add(1, Ordering::SeqCst) < *times
                {
                    return reply(client, answer, *endless).await;
                }
                let mut server = TcpStream::connect(self.server).await?;
                server.write_all(&request).await?;
                self.pass(client, server).await
            }
        }
    }

    /// Passes on what both say, with the fault in what the server says.
    async fn pass(&self, mut client: impl Cut, server: TcpStream) -> io::Result<()> {
        let (mut from_server, mut to_server) = server.into_split();
        let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut passed = 0;
        loop {
            tokio::select! {
                read = client.read(&mut up) => match read? {
                    0 => return to_server.shutdown().await,
                    count => to_server.write_all(&up[..count]).await?,
                },
                read = from_server.read(&mut down) => match read? {
                    0 => return client.shutdown().await,
                    count => {
                        self.say(&mut client, &mut down[..count], passed).await?;
                        passed += count;
                    }
                },
            }
        }
    }

    /// Says a piece of what the server said, of which `passed` bytes are out.
    async fn say(&self, client: &mut impl Cut, piece: &mut [u8], passed: usize) -> io::Result<()> {
        let left = |most: usize| most.saturating_sub(passed).min(piece.len());
        match &self.fault {
            &Fault::Slow(bytes, pause) => {
                for piece in piece.chunks(bytes) {
                    tokio::time::sleep(pause).await;
                    client.write_all(piece).await?;
                }
                Ok(())
            }
            &Fault::HangAfter(most) if passed + piece.len() > most => {
                client.write_all(&piece[..left(most)]).await?;
                client.flush().await?;
                std::future::pending().await
            }
            &Fault::ResetAfter(most) if passed + piece.len() > most => {
                client.write_all(&piece[..left(most)]).await?;
                client.flush().await?;
                client.socket().set_zero_linger()?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            &Fault::EndAfter(most) if passed + piece.len() > most => {
                client.write_all(&piece[..left(most)]).await?;
                client.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            &Fault::GarbleAfter(most) if passed + piece.len() > most => {
                let good = left(most);
                piece[good..].iter_mut().for_each(|byte| *byte ^= 0xa5);
                let piece = piece.to_vec();
                // Below TLS, where there is some.
                client.socket().write_all(&piece).await
            }
            fault => {
                if let Fault::Change(change) = fault
                    && passed == 0
                {
                    change(piece);
                }
                client.write_all(piece).await?;
                client.flush().await
            }
        }
    }
}

/// Reads a request, and asks the server to end the connection after it.
async fn request(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if client.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
    while bytes.len() < end + 4 + length {
        client.read_buf(&mut bytes).await?;
    }
    Ok([&bytes[..end], b"\r\nConnection: close", &bytes[end..]].concat())
}

async fn reply(mut client: impl Cut, answer: &[u8], endless: bool) -> io::Result<()> {
    client.write_all(answer).await?;
    client.flush().await?;
    if endless {
        loop {
            client.write_all(&[b' '; 8 << 10]).await?;
        }
    }
    client.shutdown().await
}
