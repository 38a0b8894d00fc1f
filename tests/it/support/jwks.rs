//! An address of public keys over TLS, which answers as it is told to.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tls::Authority;

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These keys.
    Keys(String),
    /// These keys, after so long.
    Slow(Duration, String),
    /// Bytes without end.
    Endless,
    /// That the keys are at another address.
    Redirect(String),
    /// A status without keys.
    Status(u16),
    /// Nothing: the connection ends.
    Nothing,
}

/// The server; it ends with the test's runtime.
pub(crate) struct Server {
    port: u16,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    /// Serves with a certificate of `authority`, whose files are in `folder`.
    pub(crate) async fn start(authority: &Authority, answer: Answer) -> Self {
        let files = authority.server("jwks");
        let acceptor = acceptor(&files.certificate, &files.key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let server = Self { port, answer: Arc::clone(&answer), asked: Arc::clone(&asked) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    asked.fetch_add(1, Ordering::SeqCst);
                    let now = answer.lock().unwrap().clone();
                    // Whoever asked may be gone.
                    let _ = respond(stream, now).await;
                });
            }
        });
        server
    }

    /// The address of the keys.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/keys", self.port)
    }

    /// Answers so from now on.
    pub(crate) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn acceptor(certificate: &Path, key: &Path) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

async fn respond(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    answer: Answer,
) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let keys = |keys: &str| {
        let length = keys.len();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keys}"
        )
    };
    let text = match answer {
        Answer::Keys(text) => keys(&text),
        Answer::Slow(pause, text) => {
            tokio::time::sleep(pause).await;
            keys(&text)
        }
        Answer::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await?;
            loop {
                stream.write_all(&[b' '; 8_192]).await?;
            }
        }
        Answer::Redirect(to) => format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        ),
        Answer::Status(code) => {
            format!("HTTP/1.1 {code} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        }
        Answer::Nothing => return Ok(()),
    };
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}
