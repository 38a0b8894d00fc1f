use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, async_trait};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use super::*;
use crate::proto::server::pipeline_service_server::{PipelineService, PipelineServiceServer};
use crate::proto::v1;
use crate::proto::v1::pipeline_service_client::PipelineServiceClient;

/// Answers a list when it is told to, and says when it was asked.
struct Slow {
    asked: mpsc::Sender<String>,
    go: tokio::sync::Semaphore,
}

#[async_trait]
impl PipelineService for Arc<Slow> {
    async fn list_pipelines(
        &self,
        request: Request<v1::ListPipelinesRequest>,
    ) -> Result<Response<v1::ListPipelinesResponse>, Status> {
        let peer = request.extensions().get::<accept::Peer>();
        let uid = peer.and_then(|peer| peer.uid).unwrap();
        self.asked.send(format!("uid:{uid}")).await.unwrap();
        let _permit = self.go.acquire().await.unwrap();
        Ok(Response::new(v1::ListPipelinesResponse::default()))
    }

    async fn get_pipeline(
        &self,
        _: Request<v1::GetPipelineRequest>,
    ) -> Result<Response<v1::GetPipelineResponse>, Status> {
        Ok(Response::new(v1::GetPipelineResponse::default()))
    }
}

/// The bundle on disk is in force, and stays so.
fn current() -> watch::Receiver<bool> {
    watch::channel(true).1
}

/// An edge on a socket of its own, over [`Slow`].
struct Served {
    _home: tempfile::TempDir,
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), ServeError>>,
    slow: Arc<Slow>,
    asked: mpsc::Receiver<String>,
}

async fn start(drain: Duration) -> Served {
    start_with(Limits { drain, ..Limits::default() }).await
}

async fn start_with(limits: Limits) -> Served {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run/s");
    let listener = BoundListener::unix(&path).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let (sender, asked) = mpsc::channel(8);
    let slow = Arc::new(Slow { asked: sender, go: tokio::sync::Semaphore::new(0) });
    let routes = Routes::new(PipelineServiceServer::new(Arc::clone(&slow)));
    let ended = tokio::spawn(serve_routes(routes, vec![listener], current(), limits, async {
        let _ = stopped.await;
    }));
    Served { _home: home, path, stop: Some(stop), ended, slow, asked }
}

impl Served {
    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

async fn channel(path: &Path) -> Channel {
    let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
    endpoint.connect().await.unwrap()
}

#[tokio::test]
async fn health_is_told_for_the_daemon_and_each_service() {
    let served = start(Limits::default().drain).await;
    let mut health = HealthClient::new(channel(&served.path).await);
    for service in services::NAMES {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving.into(), "{service}");
    }
}

#[tokio::test]
async fn the_socket_tells_who_calls() {
    let mut served = start(Limits::default().drain).await;
    served.slow.go.add_permits(1);
    let mut client = PipelineServiceClient::new(channel(&served.path).await);
    client.list_pipelines(v1::ListPipelinesRequest::default()).await.unwrap();
    let uid = rustix::process::geteuid().as_raw();
    assert_eq!(served.asked.recv().await, Some(format!("uid:{uid}")));
}

#[tokio::test]
async fn a_client_may_name_the_socket_as_its_authority() {
    let served = start(Limits::default().drain).await;
    let client = h2_request(&served.path, "tmp%2Fparamd%2Fs").await;
    assert_eq!(client, HEADERS_FRAME);
}

#[tokio::test]
async fn stopping_answers_what_was_begun_and_takes_nothing_new() {
    let mut served = start(Limits::default().drain).await;
    let channel = channel(&served.path).await;
    let mut client = PipelineServiceClient::new(channel.clone());
    let begun = tokio::spawn({
        let mut client = client.clone();
        async move { client.list_pipelines(v1::ListPipelinesRequest::default()).await }
    });
    served.asked.recv().await.unwrap();
    served.stop();

    let mut health = HealthClient::new(channel);
    while health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
        != ServingStatus::NotServing.into()
    {
        tokio::task::yield_now().await;
    }
    let refused = loop {
        match client.get_pipeline(v1::GetPipelineRequest::default()).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "NOT_SERVING");

    assert!(!served.ended.is_finished());
    served.slow.go.add_permits(1);
    begun.await.unwrap().unwrap();
    served.ended.await.unwrap().unwrap();
    assert!(!served.path.exists());
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up_after_the_drain() {
    let mut served = start(Duration::from_millis(50)).await;
    let mut client = PipelineServiceClient::new(channel(&served.path).await);
    let begun =
        tokio::spawn(
            async move { client.list_pipelines(v1::ListPipelinesRequest::default()).await },
        );
    served.asked.recv().await.unwrap();
    served.stop();
    served.ended.await.unwrap().unwrap();
    assert!(!served.path.exists());
    begun.abort();
}

/// The settings that the server announces, by their number.
async fn settings(path: &Path) -> std::collections::BTreeMap<u16, u32> {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut header = [0; 9];
    stream.read_exact(&mut header).await.unwrap();
    assert_eq!(header[3], 4, "the first frame is SETTINGS");
    let mut payload = vec![0; usize::from(u16::from_be_bytes([header[1], header[2]]))];
    stream.read_exact(&mut payload).await.unwrap();
    let pair = |pair: &[u8]| {
        let number = u16::from_be_bytes([pair[0], pair[1]]);
        (number, u32::from_be_bytes([pair[2], pair[3], pair[4], pair[5]]))
    };
    payload.chunks(6).map(pair).collect()
}

const HEADERS_FRAME: u8 = 1;

/// Sends a request's headers by hand, as no client of Rust's would, and gives
/// the kind of the frame that answers on its stream.
async fn h2_request(path: &Path, authority: &str) -> u8 {
    let mut block = vec![0x83, 0x86, 0x44, 28];
    block.extend(b"/grpc.health.v1.Health/Check");
    block.extend([0x41, u8::try_from(authority.len()).unwrap()]);
    block.extend(authority.as_bytes());
    block.extend([0x5f, 16]);
    block.extend(b"application/grpc");
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let length = u8::try_from(block.len()).unwrap();
    stream.write_all(&[0, 0, length, 1, 4, 0, 0, 0, 1]).await.unwrap();
    stream.write_all(&block).await.unwrap();
    stream.write_all(&[0, 0, 5, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]).await.unwrap();
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.unwrap();
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        stream.read_exact(&mut vec![0; usize::try_from(length).unwrap()]).await.unwrap();
        // The stream's window may be told first.
        if header[8] == 1 && header[3] != 8 {
            return header[3];
        }
    }
}

#[tokio::test]
async fn no_limit_of_http2_is_left_open() {
    let served = start(Limits::default().drain).await;
    let settings = settings(&served.path).await;
    assert_eq!(settings[&3], MAX_STREAMS);
    assert_eq!(settings[&4], WINDOW);
    assert_eq!(settings[&5], MAX_FRAME);
    assert_eq!(settings[&6], MAX_HEADERS);
}

#[tokio::test]
async fn without_an_address_nothing_is_served() {
    let routes = Routes::default();
    let result =
        serve_routes(routes, Vec::new(), current(), Limits::default(), std::future::ready(()))
            .await;
    assert!(matches!(result, Err(ServeError::NoListener)));
}

mod slow;
