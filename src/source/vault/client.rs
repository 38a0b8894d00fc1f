//! The way to a Vault: vaultrs's client over an HTTP client that is configured
//! here and nowhere else.
//!
//! No redirect is followed (the token would go along), no proxy and no `VAULT_*`
//! variable is looked at, nothing waits or grows without a limit. Errors of the
//! libraries quote addresses and answers: they end here, as a [`Cause`].

use std::fmt;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use jiff::Timestamp;
use reqwest::Url;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{Client as _, VaultClient, VaultClientSettings};
use zeroize::{Zeroize as _, Zeroizing};

use crate::source::{Cause, ConnectError, SourceError};
use crate::value::MAX_VALUE_BYTES;

/// The most bytes of an answer: a value's, each written as an escape of six, and
/// what Vault says around it.
const MAX_ANSWER: usize = 6 * MAX_VALUE_BYTES + (64 << 10);
/// How long a connection is kept that nobody uses: the last answer stays in its
/// buffer as long.
const IDLE: Duration = Duration::from_secs(10);
const TOKEN_HEADER: &str = "x-vault-token";

/// Whose certificates are trusted.
pub(super) enum Trust {
    /// The system's.
    System,
    /// These, in PEM, and no others.
    Only(Vec<u8>),
}

/// A server's HTTP API, without a token yet.
pub(super) struct Api {
    http: reqwest::Client,
    address: Url,
    /// The namespace of all requests; none: the root.
    namespace: Option<String>,
}

/// A request: where to, and what with.
pub(super) struct Call {
    /// The path below `/v1/`, not encoded.
    pub(super) path: String,
    /// The query, encoded.
    pub(super) query: Option<String>,
    /// The body to post; none: a read.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

/// What came back, whatever its status.
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: u16,
    /// The whole body.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// When to ask again, where the server said so.
    pub(super) retry_after: Option<Duration>,
}

impl Api {
    /// Prepares the client; no server is asked.
    pub(super) fn new(
        address: &Url,
        namespace: Option<String>,
        trust: Trust,
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(timeout)
            .timeout(timeout)
            .pool_idle_timeout(IDLE)
            .tls_backend_rustls();
        if address.scheme() == "http" {
            // Only this machine passes the settings, so a name server has no say.
            let port = address.port_or_known_default().unwrap_or(8200);
            let loopback = [(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
            let loopback: &[SocketAddr] = &loopback;
            builder = builder.resolve_to_addrs("localhost", loopback).tls_certs_only([]);
        } else if let Trust::Only(pem) = trust {
            let roots = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if roots.is_empty() {
                return Err(ConnectError("the CA file holds no certificate in PEM".to_owned()));
            }
            builder = builder.tls_certs_only(roots);
        }
        let http = builder
            .build()
            .map_err(|_| ConnectError("the client for Vault can't be set up".to_owned()))?;
        Ok(Self { http, address: address.clone(), namespace })
    }

    /// The client with a token, or with none to log in. Every setting is given:
    /// what isn't, vaultrs takes from the environment.
    pub(super) fn client(&self, token: &str) -> VaultClient {
        let address = self.address.clone();
        VaultClient {
            http: rustify::clients::reqwest::Client::new(address.as_str(), self.http.clone()),
            middle: EndpointMiddleware {
                token: token.to_owned(),
                version: "v1".to_owned(),
                wrap: None,
                namespace: self.namespace.clone(),
            },
            settings: VaultClientSettings {
                address,
                ca_certs: Vec::new(),
                identity: None,
                timeout: None,
                token: String::new(),
                verify: true,
                version: 1,
                wrapping: false,
                namespace: None,
                proxy: None,
            },
        }
    }
}

/// Sends a request. Any status is a reply; an error is that there is none.
pub(super) async fn send(client: &VaultClient, call: Call) -> Result<Reply, SourceError> {
    let sent = call.with_middleware(client.middle()).exec(&Bounded(client)).await;
    let result = sent.map_err(|error| SourceError::from(cause(error)))?;
    let status = result.response.status().as_u16();
    let retry_after = retry_after(result.response.headers());
    Ok(Reply { status, body: Zeroizing::new(result.response.into_body()), retry_after })
}

/// The longest delay that is believed.
const MAX_DELAY: Duration = Duration::from_secs(3_600);

/// A delay in seconds, as Vault gives it, or a date, as a proxy before it may.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = text.parse().map(Duration::from_secs).ok().or_else(|| until(text))?;
    Some(delay.min(MAX_DELAY))
}

fn until(date: &str) -> Option<Duration> {
    let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    // One that is over is now.
    Some(date.duration_since(Timestamp::now()).try_into().unwrap_or_default())
}

impl Endpoint for Call {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        if self.body.is_some() { RequestMethod::POST } else { RequestMethod::GET }
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.to_vec()))
    }
}

/// vaultrs's client with a limit on answers, which hands out every status.
struct Bounded<'c>(&'c VaultClient);

type Sent<'f> = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, ClientError>> + Send + 'f>>;

impl rustify::client::Client for Bounded<'_> {
    fn send<'s, 'f>(&'s self, request: Request<Vec<u8>>) -> Sent<'f>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move { self.exchange(request).await.map_err(Failed::wrap) })
    }

    fn base(&self) -> &str {
        &self.0.http().base
    }

    fn execute<'s, 'f>(&'s self, request: Request<Vec<u8>>) -> Sent<'f>
    where
        's: 'f,
        Self: 'f,
    {
        self.send(request)
    }
}

impl Bounded<'_> {
    async fn exchange(&self, mut request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Cause> {
        if let Some(token) = request.headers_mut().get_mut(TOKEN_HEADER) {
            token.set_sensitive(true);
        }
        if !request.body().is_empty() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(http::header::CONTENT_TYPE, json);
        }
        let request = reqwest::Request::try_from(request).map_err(|_| Cause::BadAnswer)?;
        let http = &self.0.http().http;
        let mut answer = http.execute(request).await.map_err(|error| sending(&error))?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        std::mem::swap(response.headers_mut(), answer.headers_mut());
        *response.body_mut() = whole_body(answer).await?;
        Ok(response)
    }
}

async fn whole_body(mut answer: reqwest::Response) -> Result<Vec<u8>, Cause> {
    // With its capacity from the start, no half-grown copy stays behind.
    let expected = answer.content_length().and_then(|length| usize::try_from(length).ok());
    let mut body = Vec::with_capacity(expected.unwrap_or(64 << 10).min(MAX_ANSWER));
    loop {
        let failed = match answer.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => Cause::TooLarge,
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk);
                continue;
            }
            Err(error) if error.is_timeout() => Cause::Timeout,
            Err(_) => Cause::Interrupted,
        };
        body.zeroize();
        return Err(failed);
    }
}

fn sending(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        Cause::Timeout
    } else if error.is_connect() {
        if is_tls(error) { Cause::Tls } else { Cause::Unreachable }
    } else if error.is_builder() {
        Cause::BadAnswer
    } else {
        Cause::Interrupted
    }
}

/// Whether TLS is what failed: it says so as invalid data inside an I/O error.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData) {
        return true;
    }
    let wrapped = io.and_then(|io| io.get_ref()).map(|inner| inner as &dyn std::error::Error);
    wrapped.or(error.source()).is_some_and(is_tls)
}

/// A cause on its way through rustify.
#[derive(Debug)]
struct Failed(Cause);

impl Failed {
    fn wrap(cause: Cause) -> ClientError {
        ClientError::GenericError { source: Self(cause).into() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.word())
    }
}

impl std::error::Error for Failed {}

fn cause(error: ClientError) -> Cause {
    match error {
        ClientError::GenericError { source } => {
            source.downcast_ref::<Failed>().map_or(Cause::BadAnswer, |failed| failed.0)
        }
        _ => Cause::BadAnswer,
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::source::vault::check_path;

    /// The path that goes out, with the percent signs taken away.
    fn sent(path: &str) -> String {
        let address = Url::parse("http://127.0.0.1:8200").unwrap();
        let api = Api::new(&address, None, Trust::System, Duration::from_secs(1)).unwrap();
        let client = api.client("s.token");
        let call = Call { path: format!("secret/data/{path}"), query: None, body: None };
        let request = call.with_middleware(client.middle()).request(address.as_str()).unwrap();
        assert_eq!(request.uri().query(), None);
        percent_decode_str(request.uri().path()).decode_utf8().unwrap().into_owned()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_path_that_is_taken_is_the_path_that_is_asked_for(
            path in r#"[a-c./ %?#\\:;@&=+$,~'"<>|^`{}éλ\t\u{301}\u{feff}\u{2024}-]{1,12}"#,
        ) {
            if check_path(&path).is_ok() {
                prop_assert_eq!(sent(&path), format!("/v1/secret/data/{path}"));
            }
        }
    }

    #[test]
    fn a_server_says_when_to_come_again_in_seconds_or_by_a_date() {
        let after = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            retry_after(&[(http::header::RETRY_AFTER, value)].into_iter().collect())
        };
        assert_eq!(after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after("7000"), Some(MAX_DELAY));
        let in_a_minute = Timestamp::now() + Duration::from_secs(60);
        let told = after(&in_a_minute.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap();
        assert!(told > Duration::from_secs(50) && told <= Duration::from_secs(60), "{told:?}");
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        for unknown in ["soon", "-1", "", "Wed, 21 Oct 2015"] {
            assert_eq!(after(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn tls_errors_are_found_below_other_io_errors() {
        use std::io::{Error, ErrorKind};
        let tls = Error::new(ErrorKind::InvalidData, "x");
        assert!(is_tls(&Error::other(tls)));
        assert!(!is_tls(&Error::other(Error::from(ErrorKind::ConnectionRefused))));
    }
}
