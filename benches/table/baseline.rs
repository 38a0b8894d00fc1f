//! The baselines: tonic services that do no more than they must, each a process
//! of its own with the daemon's runtime and HTTP/2 settings.

pub(crate) mod bare;
mod durable;
mod sealing;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use paramd::proto::Encoded;
use paramd::proto::server::context_service_server::{ContextService, ContextServiceServer};
use paramd::proto::server::run_service_server::{RunService, RunServiceServer};
use paramd::proto::v1::{
    CompleteRunRequest, CompleteRunResponse, DiffRunsRequest, DiffRunsResponse, ExplainRunRequest,
    ExplainRunResponse, ExtendRunRequest, ExtendRunResponse, GetContextRequest, GetRunRequest,
    GetRunResponse, ListFailuresRequest, ListFailuresResponse, ListRunsRequest, ListRunsResponse,
    MintStepTokenRequest, MintStepTokenResponse, ResolveRunRequest, RevealSecretsRequest,
    RevealSecretsResponse,
};
use prost::Message as _;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, async_trait};

use self::bare::Bare;
use self::durable::Log;
use crate::support::client::channel;
use crate::support::wait_until;

/// What a baseline serves: `GetContext` and `ResolveRun` with bytes that were
/// encoded once, `RevealSecrets` after a record is durable, or, as `sealing`, the same
/// secrets sealed to the caller's key and nothing recorded.
pub(crate) struct Baseline {
    child: Child,
    socket: PathBuf,
}

impl Baseline {
    /// Starts one of this kind on a folder, where its answers are.
    pub(crate) async fn start(kind: &str, folder: &Path) -> Self {
        let socket = folder.join(format!("{kind}.sock"));
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["baseline", kind])
            .arg(folder)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("the baseline serves", Duration::from_secs(10), async || {
            channel(&socket).await.ok()
        })
        .await;
        Self { child, socket }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Baseline {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The baseline's own process.
pub(crate) fn main(mut arguments: impl Iterator<Item = String>) {
    let kind = arguments.next().unwrap();
    let folder = PathBuf::from(arguments.next().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let read = |name: &str| Bytes::from(std::fs::read(folder.join(name)).unwrap_or_default());
        let answers = Answers {
            context: read("context.bin"),
            resolved: read("resolved.bin"),
            revealed: RevealSecretsResponse::decode(read("revealed.bin")).unwrap(),
            log: ["durable", "bare"]
                .contains(&kind.as_str())
                .then(|| Log::open(&folder.join(format!("{kind}.log")))),
            seals: kind == "sealing",
            bare: if kind == "bare" { Some(Bare::connect(&folder).await) } else { None },
        };
        serve(Arc::new(answers), &folder.join(format!("{kind}.sock"))).await;
    });
}

async fn serve(answers: Arc<Answers>, socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    // As the daemon has them.
    Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
        .max_concurrent_streams(256)
        .add_service(ContextServiceServer::from_arc(answers.clone()))
        .add_service(RunServiceServer::from_arc(answers))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await
        .unwrap();
}

/// What is served.
struct Answers {
    context: Bytes,
    resolved: Bytes,
    revealed: RevealSecretsResponse,
    log: Option<Log>,
    seals: bool,
    bare: Option<Bare>,
}

impl Answers {
    async fn record(&self) {
        if let Some(log) = &self.log {
            log.append().await;
        }
    }
}

#[async_trait]
impl ContextService for Answers {
    async fn get_context(
        &self,
        _: Request<GetContextRequest>,
    ) -> Result<Response<Encoded>, Status> {
        Ok(Response::new(Encoded::from_bytes(self.context.clone())))
    }

    async fn reveal_secrets(
        &self,
        request: Request<RevealSecretsRequest>,
    ) -> Result<Response<RevealSecretsResponse>, Status> {
        if self.seals {
            return Ok(Response::new(sealing::seal(request.into_inner(), &self.revealed)));
        }
        self.record().await;
        Ok(Response::new(self.revealed.clone()))
    }
}

/// An rpc that no baseline has.
macro_rules! absent {
    ($($name:ident: $question:ty => $answer:ty;)*) => {
        #[async_trait]
        impl RunService for Answers {
            async fn resolve_run(
                &self,
                _: Request<ResolveRunRequest>,
            ) -> Result<Response<Encoded>, Status> {
                if let Some(bare) = &self.bare {
                    bare.work().await;
                    self.record().await;
                }
                Ok(Response::new(Encoded::from_bytes(self.resolved.clone())))
            }

            $(async fn $name(&self, _: Request<$question>) -> Result<Response<$answer>, Status> {
                Err(Status::unimplemented("a baseline has no such rpc"))
            })*
        }
    };
}

absent! {
    explain_run: ExplainRunRequest => ExplainRunResponse;
    get_run: GetRunRequest => GetRunResponse;
    list_runs: ListRunsRequest => ListRunsResponse;
    list_failures: ListFailuresRequest => ListFailuresResponse;
    diff_runs: DiffRunsRequest => DiffRunsResponse;
    extend_run: ExtendRunRequest => ExtendRunResponse;
    mint_step_token: MintStepTokenRequest => MintStepTokenResponse;
    complete_run: CompleteRunRequest => CompleteRunResponse;
}
