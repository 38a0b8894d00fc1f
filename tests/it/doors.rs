//! The doors of the daemon: TCP with TLS, certificates, tokens, and clients
//! that hold up nobody.

mod certificates;
mod jwt;
mod matrix;
mod refused;
mod slow;
mod step_tokens;
mod strangers;
mod streams;
mod tokens;
mod trust;

use std::path::{Path, PathBuf};
use std::time::Duration;

use paramd::proto::v1::ListPipelinesRequest;
use regex::Regex;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::support::client::Client;
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::tls::{Authority, Files};
use crate::support::wait_until;

const PIPELINE: &str = r#"name: small
parameters:
  epochs: { type: integer, default: 10 }
  token: { type: string, secret: true, from: { file: { path: token } } }
steps:
  - { name: go, params: [epochs], run: [echo], env: { TOKEN: "{{ params.token }}" } }
"#;

const SOURCES: &str = r#"  local: { file: { root: files }, grants: [{ pipelines: ["*"], paths: ["*"] }] }
"#;

/// A configuration that listens on its socket and on TCP with TLS.
struct House {
    config: Config,
    authority: Authority,
}

impl House {
    fn new() -> Self {
        let config = Config::new(SOURCES, "small", PIPELINE);
        config.write_secret("files/token", "a-token-of-the-pipeline");
        config.replace(
            "paramd.yaml",
            &[(
                r#"listen: ["unix:run/paramd.sock"]"#,
                "listen: [\"unix:run/paramd.sock\", \"127.0.0.1:0\"]\n\
                 tls: { certificate: tls/server.pem, key: tls/server.key, client_ca: tls/ca.pem }",
            )],
        );
        let authority = Authority::new(&config.path.join("tls"), "ca");
        authority.server("server");
        Self { config, authority }
    }

    /// With these settings before the sources, in place of its doors.
    fn without_doors(&self, settings: &str) {
        self.config.write("paramd.yaml", format!("{settings}sources:\n{SOURCES}"));
    }

    async fn open(&self) -> Daemon {
        Launch::plain(&self.config.path, self.config.around()).start().await
    }

    fn ca(&self) -> PathBuf {
        self.config.path.join("tls/ca.pem")
    }

    /// A token by the command line.
    fn token(&self, name: &str) -> String {
        let made = paramd(["token", "create", name, "--config", self.directory()]).ok();
        made.out.trim().to_owned()
    }

    fn directory(&self) -> &str {
        self.config.path.to_str().unwrap()
    }

    /// A client over TLS, with a certificate where one is given.
    async fn client(&self, endpoint: &str, files: Option<&Files>) -> Client {
        Client::new(self.channel(endpoint, files).await)
    }

    /// The connection of such a client.
    async fn channel(&self, endpoint: &str, files: Option<&Files>) -> Channel {
        let ca = Certificate::from_pem(std::fs::read(self.ca()).unwrap());
        let mut tls = ClientTlsConfig::new().ca_certificate(ca);
        if let Some(files) = files {
            tls = tls.identity(files.identity());
        }
        let endpoint = Endpoint::from_shared(endpoint.to_owned()).unwrap();
        let endpoint = endpoint.tls_config(tls).unwrap().connect_timeout(Duration::from_secs(5));
        endpoint.connect().await.unwrap()
    }
}

/// The endpoint of TCP, as the daemon's log tells it.
fn tcp(daemon: &Daemon) -> String {
    let bound = Regex::new(r"https?://127\.0\.0\.1:\d+").unwrap();
    bound.find(&daemon.log()).expect("the log tells the address").as_str().to_owned()
}

/// Host and port of an endpoint.
fn address(endpoint: &str) -> &str {
    endpoint.split_once("//").unwrap().1
}

/// Asks for the pipelines, with these values of `authorization`.
async fn ask(client: &Client, credentials: &[&str]) -> Result<usize, Status> {
    let mut request = Request::new(ListPipelinesRequest::default());
    for value in credentials {
        let value = MetadataValue::try_from(*value).unwrap();
        request.metadata_mut().append("authorization", value);
    }
    Ok(client.pipelines.clone().list_pipelines(request).await?.into_inner().pipelines.len())
}

/// The principals of the events of an action, by the socket's caller.
async fn principals(daemon: &Daemon, action: paramd::proto::v1::Action) -> Vec<(String, i32)> {
    let client = daemon.client().await;
    // Reads are in the log within a second.
    wait_until("the event is there", Duration::from_secs(10), async || {
        let events = client.events().await.into_iter();
        let found: Vec<_> = events
            .filter(|event| event.action == i32::from(action))
            .map(|event| event.principal.unwrap())
            .map(|principal| (principal.name, principal.kind))
            .collect();
        (!found.is_empty()).then_some(found)
    })
    .await
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
