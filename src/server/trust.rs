//! Whose client certificates are good: those of the authorities of `client_ca`, and
//! of workloads those of their own trust domain's.
//!
//! A handshake proves that the client has the key of the certificate that it shows,
//! and nothing more. Whether the certificate is good is looked at for each request,
//! by the authorities that are in force then: so one whose authority was taken out is
//! good no more on a connection that is open, and one that never was gets the answer,
//! and the record, of any other credential that isn't good.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use tokio::time::{Instant, Sleep};

use super::certificate::{Named, end, named};
use super::tls::Tls;

/// Why a certificate isn't good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It, or one between it and its root, has ended.
    Expired,
    /// No authority that may vouches for it.
    Untrusted,
    /// It names nobody.
    NamesNobody,
}

/// The authorities in force.
pub(super) struct Trust {
    /// Tells it from any other that was ever in force.
    number: u64,
    others: Option<Arc<dyn ClientCertVerifier>>,
    /// By trust domain; empty: `client_ca` vouches for workloads too.
    domains: BTreeMap<String, Arc<dyn ClientCertVerifier>>,
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({})", self.number)
    }
}

impl Trust {
    /// The authorities for all but workloads, and of workloads those of each domain.
    ///
    /// # Errors
    /// There are none where there should be.
    pub(super) fn new(
        others: Option<RootCertStore>,
        domains: BTreeMap<String, RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let verifier = |roots: RootCertStore| {
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .ok()
        };
        let mut hints = others.as_ref().map(RootCertStore::subjects).unwrap_or_default();
        hints.extend(domains.values().flat_map(RootCertStore::subjects));
        let others = match others {
            None => None,
            Some(roots) => Some(verifier(roots)?),
        };
        let domains = domains.into_iter().map(|(name, roots)| Some((name, verifier(roots)?)));
        Some(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            others,
            domains: domains.collect::<Option<_>>()?,
            hints,
            provider: Arc::clone(provider),
        })
    }

    /// Whether somebody vouches for this chain who may.
    fn judge(&self, named: &Named, chain: &[CertificateDer<'_>], now: i64) -> Result<(), Bad> {
        let verifier = match named {
            Named::Workload { domain, .. } if !self.domains.is_empty() => self.domains.get(domain),
            Named::Workload { .. } | Named::Subject(_) | Named::Nobody => self.others.as_ref(),
        };
        let (Some(verifier), Some((leaf, between))) = (verifier, chain.split_first()) else {
            return Err(Bad::Untrusted);
        };
        let seconds = Duration::from_secs(u64::try_from(now).unwrap_or(0));
        let verified =
            verifier.verify_client_cert(leaf, between, UnixTime::since_unix_epoch(seconds));
        verified.map(|_| ()).map_err(|error| match error {
            Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            ) => Bad::Expired,
            _ => Bad::Untrusted,
        })
    }
}

/// What a client shows in a handshake, before anybody vouched for it.
pub(super) struct Presented {
    chain: Vec<CertificateDer<'static>>,
    named: Named,
    tls: Arc<Tls>,
    judged: Mutex<Option<Judged>>,
    /// It was good at some time.
    was_good: AtomicBool,
}

/// What was found, and for how long that holds.
#[derive(Clone, Copy)]
struct Judged {
    trust: u64,
    until: i64,
    found: Result<(), Bad>,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented")
    }
}

impl Presented {
    /// A chain whose first certificate's key the client has.
    pub(super) fn new(chain: &[CertificateDer<'_>], tls: &Arc<Tls>) -> Option<Self> {
        let leaf = chain.first()?;
        Some(Self {
            named: named(leaf),
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
            tls: Arc::clone(tls),
            judged: Mutex::default(),
            was_good: AtomicBool::new(false),
        })
    }

    /// The principal's name, if the certificate is good now.
    pub(super) fn name(&self) -> Result<&str, Bad> {
        let (Named::Workload { id: name, .. } | Named::Subject(name)) = &self.named else {
            return Err(Bad::NamesNobody);
        };
        self.vouched().map(|()| name.as_str())
    }

    /// Whether it is the certificate of this SHA-256, and good now.
    pub(super) fn is(&self, print: &[u8; 32]) -> bool {
        let own = self.chain.first().map(|leaf| digest(&SHA256, leaf));
        own.is_some_and(|own| own.as_ref() == print) && self.vouched().is_ok()
    }

    /// Whether somebody vouches for it now.
    fn vouched(&self) -> Result<(), Bad> {
        let trust = self.tls.trust().ok_or(Bad::Untrusted)?;
        let now = Timestamp::now().as_second();
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        let held = judged.filter(|held| held.trust == trust.number && now < held.until);
        let held = held.unwrap_or_else(|| self.judge(&trust, now));
        *judged = Some(held);
        drop(judged);
        held.found?;
        self.was_good.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether it was good and is so no more.
    pub(super) fn has_ended(&self) -> bool {
        self.vouched().is_err() && self.was_good.load(Ordering::Relaxed)
    }

    /// What is good is so until one of the chain ends; what isn't may be soon.
    fn judge(&self, trust: &Trust, now: i64) -> Judged {
        let found = trust.judge(&self.named, &self.chain, now);
        let ends = self.chain.iter().filter_map(end).filter(|end| *end >= now);
        let until = match found {
            Ok(()) => ends.min().map_or(now, |end| end.saturating_add(1)),
            Err(_) => now + 1,
        };
        Judged { trust: trust.number, until, found }
    }
}

/// How often it is looked at whether a connection's certificate is still good.
const LOOK: Duration = Duration::from_secs(10);
/// How often it may be found ended: until then requests and streams get their answer.
const ENDED_LOOKS: u32 = 3;

/// Ends a connection whose certificate was good and is so no more.
pub(super) struct Standing {
    certificate: Arc<Presented>,
    next: Pin<Box<Sleep>>,
    ended: u32,
}

impl Standing {
    pub(super) fn new(certificate: &Arc<Presented>) -> Self {
        let next = Box::pin(tokio::time::sleep(LOOK));
        Self { certificate: Arc::clone(certificate), next, ended: 0 }
    }

    /// Whether it is time; wakes the task when it is to be looked at again.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> bool {
        while self.next.as_mut().poll(context).is_ready() {
            self.ended = if self.certificate.has_ended() { self.ended + 1 } else { 0 };
            self.next.as_mut().reset(Instant::now() + LOOK);
        }
        self.ended >= ENDED_LOOKS
    }
}

/// What a handshake asks: a certificate, if the client has one, and the proof that he
/// has its key.
#[derive(Debug)]
pub(super) struct Handshake(pub(super) Arc<Trust>);

impl ClientCertVerifier for Handshake {
    fn client_auth_mandatory(&self) -> bool {
        // Who has none may still show a token.
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.0.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Nobody's word is taken for it here: `Presented` gives no name without.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.provider.signature_verification_algorithms.supported_schemes()
    }
}
