//! Asks an address for an issuer's keys. No redirect is followed, no proxy and no
//! variable is looked at, nothing waits or grows without a limit. What a library
//! says of a failure ends here, as a word of ours.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use reqwest::Url;

use super::MAX_KEYS_MIB;
use super::keys::{KeySet, KeysError};
use crate::credential::whole_file;

/// The longest that a connection may take, and all of it.
const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(10);
const MAX_CA_MIB: u64 = 4;

/// Why keys can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    /// Nobody is there, or his certificate isn't trusted.
    #[error("no connection, or the certificate isn't trusted")]
    Unreachable,
    /// It takes too long.
    #[error("it takes longer than 10 s")]
    Timeout,
    /// The answer breaks off.
    #[error("the connection broke")]
    Interrupted,
    /// It says that the keys are elsewhere.
    #[error("it redirects, which isn't followed: name the address that it points to")]
    Redirect,
    /// It says that something is wrong.
    #[error("it answers with the status {0}")]
    Status(u16),
    /// What it gives can't be used.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// An address of keys, ready to be asked.
#[derive(Clone)]
pub(super) struct Place {
    http: reqwest::Client,
    url: Url,
}

impl Place {
    /// Nobody is asked yet.
    pub(super) fn new(url: &Url, ca: Option<&[u8]>) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_max_idle_per_host(0)
            .tls_backend_rustls();
        if url.scheme() == "http" {
            // Only this machine passes the settings, so a name server has no say.
            let port = url.port_or_known_default().unwrap_or(80);
            let loopback: [SocketAddr; 2] =
                [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
            builder = builder.resolve_to_addrs("localhost", &loopback).tls_certs_only([]);
        } else {
            builder = builder.https_only(true);
            if let Some(pem) = ca {
                let roots = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
                if roots.is_empty() {
                    return Err("the CA file holds no certificate in PEM".to_owned());
                }
                builder = builder.tls_certs_only(roots);
            }
        }
        let http = builder.build().map_err(|_| "the client can't be set up".to_owned())?;
        Ok(Self { http, url: url.clone() })
    }

    /// The keys that are there now.
    pub(super) async fn ask(&self) -> Result<KeySet, FetchError> {
        let sent = self.http.get(self.url.clone()).send().await;
        let answer = sent.map_err(|error| sending(&error))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(FetchError::Redirect);
        }
        if status.as_u16() != 200 {
            return Err(FetchError::Status(status.as_u16()));
        }
        Ok(KeySet::read(&body(answer).await?)?)
    }
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, FetchError> {
    let most = MAX_KEYS_MIB << 20;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| sending(&error))? {
        if (body.len() + chunk.len()) as u64 > most {
            return Err(KeysError::TooLong.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn sending(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        FetchError::Timeout
    } else if error.is_connect() {
        FetchError::Unreachable
    } else {
        FetchError::Interrupted
    }
}

/// A file of authorities.
pub(super) fn read_ca(path: &Path) -> Result<Vec<u8>, String> {
    whole_file(path, MAX_CA_MIB)
        .map_err(|why| format!("the CA file `{}` can't be read: {why}", path.display()))
}
