//! The connection to the daemon, and a deadline on every call.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint as Transport};
use tonic::{Request, Response, Status};

use super::environment::Environment;
use super::error::CliError;
use super::exit::Exit;
use crate::proto::v1::audit_service_client::AuditServiceClient;
use crate::proto::v1::context_service_client::ContextServiceClient;
use crate::proto::v1::pipeline_service_client::PipelineServiceClient;
use crate::proto::v1::run_service_client::RunServiceClient;
use crate::proto::v1::{GetPipelineRequest, Pipeline};

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
pub(crate) struct Endpoint {
    socket: String,
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
            Ok(socket) => Ok(Self { socket }),
            Err(_) => Err(CliError::usage("XDG_RUNTIME_DIR isn't UTF-8")),
        }
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(&self.socket)
    }

    fn parse(text: &str) -> Result<Self, CliError> {
        match text.strip_prefix("unix:").map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some(path) if !path.is_empty() => Ok(Self { socket: path.to_owned() }),
            _ if text.starts_with("https://") => {
                Err(CliError::usage("endpoints over https aren't served yet")
                    .with_help("give the daemon's socket: --endpoint unix:PATH"))
            }
            _ => Err(CliError::usage("the endpoint isn't understood")
                .with_help("it is `unix:` and the path of the daemon's socket")),
        }
    }

    /// A daemon that isn't asked before the first call.
    #[cfg(test)]
    pub(crate) fn lazy(&self) -> Daemon {
        let transport = Transport::from_shared(format!("unix:{}", self.socket)).unwrap();
        Daemon { channel: transport.connect_lazy() }
    }

    /// Connects to the daemon.
    pub(crate) async fn connect(&self) -> Result<Daemon, CliError> {
        let transport = Transport::from_shared(format!("unix:{}", self.socket))
            .map_err(|_| CliError::usage("the endpoint isn't understood"))?
            .connect_timeout(CONNECT_TIMEOUT);
        match transport.connect().await {
            Ok(channel) => Ok(Daemon { channel }),
            Err(_) => Err(CliError::new(
                Exit::Unreachable,
                format!("no daemon answers at unix:{}", self.socket),
            )
            .with_help("start one: `paramd serve --dev --config DIR`")
            .with_help("or say where it listens: --endpoint unix:PATH, or PARAMD_ENDPOINT")),
        }
    }
}

/// The daemon's services. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    channel: Channel,
}

impl Daemon {
    pub(crate) fn pipelines(&self) -> PipelineServiceClient<Channel> {
        PipelineServiceClient::new(self.channel.clone())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }

    pub(crate) fn contexts(&self) -> ContextServiceClient<Channel> {
        ContextServiceClient::new(self.channel.clone())
    }

    pub(crate) fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel.clone())
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
            Endpoint::choose(option, environment).unwrap().socket
        };
        assert_eq!(socket(Some("unix:/a"), &all), "/a");
        assert_eq!(socket(None, &all), "/b");
        assert_eq!(
            socket(None, &environment(&[("XDG_RUNTIME_DIR", "/x")])),
            "/x/paramd/paramd.sock"
        );
        assert_eq!(socket(None, &environment(&[])), "/run/paramd/paramd.sock");
    }

    #[test]
    fn what_is_no_socket_is_refused_without_repeating_it() {
        for text in ["https://paramd.example:7443", "hunter2", "unix:"] {
            let error = Endpoint::choose(Some(text), &environment(&[])).unwrap_err();
            assert_eq!(error.exit, Exit::Usage);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
