//! TLS: what `tls` of `paramd.yaml` names, read and checked.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::aws_lc_rs::digest;
use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use rustls::server::NoServerSessionStorage;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::trust::{Handshake, Trust};

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
    /// Of workloads, whose are: by trust domain.
    pub trust_domains: BTreeMap<String, PathBuf>,
}

/// What new connections are greeted with. Can be replaced while serving.
pub struct Tls {
    greeting: ArcSwap<Greeting>,
}

struct Greeting {
    config: Arc<ServerConfig>,
    /// Whose client certificates are good; none: nobody's.
    trust: Option<Arc<Trust>>,
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

    /// Greets new connections with what was read anew; open ones go on as they are,
    /// and their clients' certificates are looked at anew.
    pub fn replace(&self, fresh: Self) {
        self.greeting.store(fresh.greeting.load_full());
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.greeting.load().config))
    }

    /// Whose client certificates are good now.
    pub(super) fn trust(&self) -> Option<Arc<Trust>> {
        self.greeting.load().trust.clone()
    }
}

const CERTIFICATE: &str = "the TLS certificate";
const KEY: &str = "the TLS key";
const CLIENT_CA: &str = "the client CA";
const BUNDLE: &str = "the trust bundle";

fn read(files: &Files) -> Result<Greeting, TlsError> {
    let mut print = digest::Context::new(&digest::SHA256);
    let chain = certificates(CERTIFICATE, &files.certificate, &mut print)?;
    check_times(&files.certificate, &chain)?;
    let key = key(&files.key, &mut print)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| wrong(KEY, &files.key, "can't be used: TLS can't be set up"))?;
    let trust = trust(files, &provider, &mut print)?.map(Arc::new);
    let builder = match &trust {
        None => builder.with_no_client_auth(),
        Some(trust) => builder.with_client_cert_verifier(Arc::new(Handshake(Arc::clone(trust)))),
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
    Ok(Greeting { config: Arc::new(config), trust, print: print.finish().as_ref().to_vec() })
}

/// The authorities of clients; none: no certificate is asked for.
fn trust(
    files: &Files,
    provider: &Arc<CryptoProvider>,
    print: &mut digest::Context,
) -> Result<Option<Trust>, TlsError> {
    let client_ca = files.client_ca.as_ref();
    let Some(path) = client_ca.or(files.trust_domains.values().next()) else { return Ok(None) };
    let others = client_ca.map(|path| roots(CLIENT_CA, path, print)).transpose()?;
    let mut domains: BTreeMap<String, RootCertStore> = BTreeMap::new();
    for (name, path) in &files.trust_domains {
        print.update(&(name.len() as u64).to_be_bytes());
        print.update(name.as_bytes());
        let roots = roots(BUNDLE, path, print)?;
        let shared = |other: &RootCertStore| {
            other.roots.iter().any(|one| roots.roots.iter().any(|root| same_authority(one, root)))
        };
        if domains.values().any(shared) {
            let why = "has an authority that another trust domain's has too: it could vouch for the workloads of both";
            return Err(wrong(BUNDLE, path, why));
        }
        domains.insert(name.clone(), roots);
    }
    let trust = Trust::new(others, domains, provider);
    trust.map(Some).ok_or_else(|| wrong(CLIENT_CA, path, "can't be used to verify clients"))
}

/// Whether both say who signed by the same key: a renewed certificate of an authority
/// is the same authority.
fn same_authority(one: &TrustAnchor<'_>, other: &TrustAnchor<'_>) -> bool {
    one.subject_public_key_info == other.subject_public_key_info
}

fn roots(
    what: &'static str,
    path: &Path,
    print: &mut digest::Context,
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(what, path, print)? {
        roots.add(root).map_err(|_| wrong(what, path, "has a certificate that can't be a root"))?;
    }
    Ok(roots)
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
