//! The connection to the daemon, and a deadline on every call.

mod access;
mod trouble;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint as Transport};
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

pub(crate) use access::Access;
use access::Bearer;

use super::environment::Environment;
use super::error::CliError;
use super::exit::Exit;
use crate::proto::v1::audit_service_client::AuditServiceClient;
use crate::proto::v1::context_service_client::ContextServiceClient;
use crate::proto::v1::pipeline_service_client::PipelineServiceClient;
use crate::proto::v1::run_service_client::RunServiceClient;
use crate::proto::v1::{GetPipelineRequest, Pipeline};

/// The health service that tells whether the bundle on disk is in force.
const BUNDLE: &str = "paramd.bundle";
/// How long a call may take: longer than a resolution's own budget.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a call that may succeed later is sent, and how long we wait.
const MAX_SENDS: u32 = 4;
const MAX_WAIT: Duration = Duration::from_secs(5);
/// A daemon that is being restarted is back soon.
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A Unix socket's path.
    Unix(String),
    /// `https://HOST:PORT`.
    Tls(String),
    /// `http://HOST:PORT` of this machine.
    Plain(String),
}

impl Endpoint {
    /// What the option says, else `PARAMD_ENDPOINT`, else the socket in
    /// `XDG_RUNTIME_DIR`, else the one in `/run`.
    pub(crate) fn choose(
        option: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        if let Some(text) = option {
            return Self::parse(text);
        }
        if let Some(text) = environment.value("PARAMD_ENDPOINT") {
            let text =
                text.to_str().ok_or_else(|| CliError::usage("PARAMD_ENDPOINT isn't UTF-8"))?;
            return Self::parse(text);
        }
        let folder = environment.folder("XDG_RUNTIME_DIR").unwrap_or_else(|| PathBuf::from("/run"));
        match folder.join("paramd/paramd.sock").into_os_string().into_string() {
            Ok(socket) => Ok(Self::Unix(socket)),
            Err(_) => Err(CliError::usage("XDG_RUNTIME_DIR isn't UTF-8")),
        }
    }

    /// The socket's path; none: it isn't one.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(socket) => Some(PathBuf::from(socket)),
            Self::Tls(_) | Self::Plain(_) => None,
        }
    }

    fn parse(text: &str) -> Result<Self, CliError> {
        let unix = text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path));
        if let Some(path) = unix.filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.to_owned()));
        }
        let wrong = || {
            CliError::usage("the endpoint isn't understood").with_help(
                "it is `unix:` and the path of the daemon's socket, or https://HOST:PORT",
            )
        };
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let bare = authority.port_u16().is_some()
            && !authority.as_str().contains('@')
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none();
        match uri.scheme_str() {
            Some("https") if bare => Ok(Self::Tls(format!("https://{authority}"))),
            Some("http") if bare && is_loopback(authority.host()) => {
                Ok(Self::Plain(format!("http://{authority}")))
            }
            Some("http") if bare => {
                Err(CliError::usage("without TLS only a daemon on this machine is asked")
                    .with_help("give https://HOST:PORT"))
            }
            _ => Err(wrong()),
        }
    }

    fn uri(&self) -> String {
        match self {
            Self::Unix(socket) => format!("unix:{socket}"),
            Self::Tls(uri) | Self::Plain(uri) => uri.clone(),
        }
    }

    /// A daemon that isn't asked before the first call.
    #[cfg(test)]
    pub(crate) fn lazy(&self) -> Daemon {
        let transport = Transport::from_shared(self.uri()).unwrap();
        Daemon { transport: transport.connect_lazy(), bearer: Bearer::none() }
    }

    /// Connects to the daemon.
    pub(crate) async fn connect(
        &self,
        access: &Access,
        environment: &Environment,
    ) -> Result<Daemon, CliError> {
        let uri = self.uri();
        let bearer = access.bearer(environment)?;
        let mut transport = Transport::from_shared(uri.clone())
            .map_err(|_| CliError::usage("the endpoint isn't understood"))?
            .connect_timeout(CONNECT_TIMEOUT);
        let is_tls = matches!(self, Self::Tls(_));
        let mut shows_certificate = false;
        if is_tls {
            let (config, shows) = access.tls(environment)?;
            shows_certificate = shows;
            transport = transport.tls_config(config.timeout(CONNECT_TIMEOUT)).map_err(|_| {
                CliError::usage("the CA, the certificate or the key can't be used")
                    .with_help("each is a file in PEM, and the key is the certificate's")
            })?;
        } else if access.wants_tls() {
            return Err(CliError::usage("--ca, --certificate and --key are for TLS")
                .with_help("give the endpoint as https://HOST:PORT"));
        }
        let channel =
            transport.connect().await.map_err(|error| trouble::told(&uri, is_tls, &error))?;
        if shows_certificate {
            // Under TLS 1.3 the first answer tells whether it was good.
            let mut health = HealthClient::new(channel.clone());
            let asked = health.check(HealthCheckRequest::default());
            match tokio::time::timeout(CONNECT_TIMEOUT, asked).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(trouble::refused(&uri)),
                Err(_) => return Err(trouble::silent(&uri)),
            }
        }
        Ok(Daemon { transport: channel, bearer })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// A connection that shows the caller's token, if there is one.
pub(crate) type Connection = InterceptedService<Channel, Bearer>;

/// The daemon's services. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    transport: Channel,
    bearer: Bearer,
}

impl Daemon {
    fn channel(&self) -> Connection {
        InterceptedService::new(self.transport.clone(), self.bearer.clone())
    }

    /// The same connection, on which the caller's token isn't shown.
    pub(crate) fn without_token(&self) -> Self {
        Self { transport: self.transport.clone(), bearer: Bearer::none() }
    }

    /// Whether the caller's token is one for a step alone.
    pub(crate) fn shows_step_token(&self) -> bool {
        self.bearer.is_step_token()
    }

    pub(crate) fn pipelines(&self) -> PipelineServiceClient<Connection> {
        PipelineServiceClient::new(self.channel())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Connection> {
        RunServiceClient::new(self.channel())
    }

    pub(crate) fn contexts(&self) -> ContextServiceClient<Connection> {
        ContextServiceClient::new(self.channel())
    }

    pub(crate) fn audit(&self) -> AuditServiceClient<Connection> {
        AuditServiceClient::new(self.channel())
    }

    /// Whether the daemon says that what is on disk is not what is in force. A
    /// daemon that can't tell is believed to be well.
    pub(crate) async fn has_stale_bundle(&self) -> bool {
        let request = HealthCheckRequest { service: BUNDLE.to_owned() };
        let mut request = Request::new(request);
        request.set_timeout(CALL_TIMEOUT);
        let answer = HealthClient::new(self.channel()).check(request).await;
        answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::NotServing)
    }

    /// A pipeline as it is defined.
    pub(crate) async fn pipeline(&self, name: &str) -> Result<Pipeline, CliError> {
        let request = GetPipelineRequest { pipeline: name.to_owned() };
        let answer = send(request, |request| {
            let mut client = self.pipelines();
            async move { client.get_pipeline(request).await }
        });
        answer.await?.pipeline.ok_or_else(incomplete)
    }
}

/// The daemon's answer lacks a message that it must have.
pub(crate) fn incomplete() -> CliError {
    CliError::new(Exit::Failed, "the daemon's answer is incomplete")
}

/// Sends a request with a deadline; again after a while where the daemon says
/// that this helps. Every rpc may be sent again.
pub(crate) async fn send<Q, A, F>(request: Q, call: impl Fn(Request<Q>) -> F) -> Result<A, CliError>
where
    Q: Clone,
    F: Future<Output = Result<Response<A>, Status>>,
{
    let mut sends = 1;
    loop {
        let mut attempt = Request::new(request.clone());
        attempt.set_timeout(CALL_TIMEOUT);
        let error = match call(attempt).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => CliError::from(status),
        };
        match pause(&error) {
            Some(delay) if sends < MAX_SENDS => {
                tokio::time::sleep(delay.min(MAX_WAIT)).await;
                sends += 1;
            }
            _ => return Err(error),
        }
    }
}

/// How long to wait before a request is sent again; none: that doesn't help.
/// Sources are left out: the daemon asked them often enough.
fn pause(error: &CliError) -> Option<Duration> {
    match error.reason.as_str() {
        "AUDIT_UNAVAILABLE" | "STORE_UNAVAILABLE" | "RATE_LIMITED" => error.retry_after,
        "" if error.exit == Exit::Unreachable => Some(RECONNECT_PAUSE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::new(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn the_option_comes_before_the_variable_and_the_variable_before_the_folder() {
        let all = environment(&[("PARAMD_ENDPOINT", "unix:/b"), ("XDG_RUNTIME_DIR", "/x")]);
        let socket = |option, environment: &Environment| {
            Endpoint::choose(option, environment).unwrap().uri()
        };
        assert_eq!(socket(Some("unix:/a"), &all), "unix:/a");
        assert_eq!(socket(None, &all), "unix:/b");
        assert_eq!(
            socket(None, &environment(&[("XDG_RUNTIME_DIR", "/x")])),
            "unix:/x/paramd/paramd.sock"
        );
        assert_eq!(socket(None, &environment(&[])), "unix:/run/paramd/paramd.sock");
    }

    #[test]
    fn tcp_takes_tls_but_on_this_machine() {
        for text in [
            "https://paramd.example:7443",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert_eq!(Endpoint::choose(Some(text), &environment(&[])).unwrap().uri(), text);
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_without_repeating_it() {
        for text in [
            "https://paramd.example",
            "https://hunter2@paramd.example:7443",
            "https://paramd.example:7443/hunter2",
            "http://paramd.example:7443",
            "http://10.0.0.1:7443",
            "hunter2",
            "unix:",
        ] {
            let error = Endpoint::choose(Some(text), &environment(&[])).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
