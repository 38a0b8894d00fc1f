//! TLS: what `tls` of `paramd.yaml` names, read and checked.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::aws_lc_rs::digest;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

/// The most bytes of a file: a system's whole list of authorities fits.
const MAX_FILE: u64 = 1 << 20;

/// Why TLS can't be served, in our own words.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("{what} `{}` can't be read: {why}", path.display())]
    File {
        /// What it is.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        why: io::ErrorKind,
    },
    /// Others than its owner may use the private key.
    #[error(
        "the TLS key `{path}` has mode {mode:04o}, so others can read or change it: run \
         `chmod 600 {path}`, and replace the key if it was read", path = path.display()
    )]
    Open {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file isn't what it should be.
    #[error("{what} `{}` {why}", path.display())]
    Wrong {
        /// What it is.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The names of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate with those between it and its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose client certificates are good.
    pub client_ca: Option<PathBuf>,
}

/// What new connections are greeted with. Can be replaced while serving.
pub struct Tls {
    greeting: ArcSwap<Greeting>,
}

struct Greeting {
    config: Arc<ServerConfig>,
    /// A hash of the files that it was read from.
    print: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One can't be read, isn't what it should be, or doesn't go with another.
    pub fn load(files: &Files) -> Result<Self, TlsError> {
        Ok(Self { greeting: ArcSwap::from_pointee(read(files)?) })
    }

    /// Whether both were read from files that hold the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.greeting.load().print == other.greeting.load().print
    }

    /// Greets new connections with what was read anew; open ones go on as they
    /// are.
    pub fn replace(&self, fresh: Self) {
        self.greeting.store(fresh.greeting.load_full());
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.greeting.load().config))
    }
}

const CERTIFICATE: &str = "the TLS certificate";
const KEY: &str = "the TLS key";
const CLIENT_CA: &str = "the client CA";

fn read(files: &Files) -> Result<Greeting, TlsError> {
    let mut print = digest::Context::new(&digest::SHA256);
    let chain = certificates(CERTIFICATE, &files.certificate, &mut print)?;
    check_times(&files.certificate, &chain)?;
    let key = key(&files.key, &mut print)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| wrong(KEY, &files.key, "can't be used: TLS can't be set up"))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(CLIENT_CA, path, &mut print)? {
                roots.add(root).map_err(|_| {
                    wrong(CLIENT_CA, path, "has a certificate that can't be a root")
                })?;
            }
            // Who has none may still show a token.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|_| wrong(CLIENT_CA, path, "can't be used to verify clients"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|_| {
        let why = format!(
            "doesn't go with the certificate `{}`: give the key that it was made for",
            files.certificate.display()
        );
        wrong(KEY, &files.key, why)
    })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A resumed session would keep a certificate that is trusted no more.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Greeting { config: Arc::new(config), print: print.finish().as_ref().to_vec() })
}

fn wrong(what: &'static str, path: &Path, why: impl Into<String>) -> TlsError {
    TlsError::Wrong { what, path: path.to_owned(), why: why.into() }
}

fn contents(
    what: &'static str,
    path: &Path,
    print: &mut digest::Context,
) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed =
        |error: io::Error| TlsError::File { what, path: path.to_owned(), why: error.kind() };
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() || found.len() > MAX_FILE {
        return Err(wrong(what, path, "isn't a regular file of at most 1 MiB"));
    }
    let text = std::fs::read(path).map(Zeroizing::new).map_err(failed)?;
    print.update(&(text.len() as u64).to_be_bytes());
    print.update(&text);
    Ok(text)
}

fn certificates(
    what: &'static str,
    path: &Path,
    print: &mut digest::Context,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = contents(what, path, print)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(wrong(what, path, "holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)")),
    }
}

fn key(path: &Path, print: &mut digest::Context) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = contents(KEY, path, print)?;
    let mode = std::fs::metadata(path)
        .map_err(|error| TlsError::File { what: KEY, path: path.to_owned(), why: error.kind() })?
        .permissions()
        .mode()
        & 0o7777;
    if mode & 0o077 != 0 {
        return Err(TlsError::Open { path: path.to_owned(), mode });
    }
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| wrong(KEY, path, "holds no private key in PEM, without a password"))
}

/// The daemon's own certificate must be good now: clients refuse it otherwise,
/// and don't say why.
fn check_times(path: &Path, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
    let read = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let Some((_, leaf)) = read else {
        return Err(wrong(CERTIFICATE, path, "can't be read as X.509"));
    };
    let validity = leaf.validity();
    let now = Timestamp::now().as_second();
    let time = |seconds: i64| {
        Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
    };
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if until < now {
        return Err(wrong(CERTIFICATE, path, format!("expired at {}: renew it", time(until))));
    }
    if now < from {
        return Err(wrong(CERTIFICATE, path, format!("isn't good before {}", time(from))));
    }
    Ok(())
}
