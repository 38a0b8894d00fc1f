//! The daemon as a process: its store, its socket, its keys, its end.

use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use tokio_stream::iter;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::small;
use crate::support::client::{channel, resolve};
use crate::support::daemon::Launch;

/// Starts a daemon that must refuse, and gives what it wrote.
#[track_caller]
fn refused(launch: &Launch) -> String {
    let mut daemon = launch.spawn();
    let status = daemon.wait();
    assert!(!status.success(), "it ended with {status}");
    daemon.log()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_is_refused_by_name() {
    let config = small();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let second = small();
    let store = config.path.join("state/paramd.db");
    let there = format!("store: {{ sqlite: {} }}", store.display());
    second.replace("paramd.yaml", &[("store: { sqlite: state/paramd.db }", &there)]);
    let log = refused(&Launch::plain(&second.path, second.around()));
    assert!(log.contains(&store.display().to_string()), "{log}");
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let config = small();
    let launch = Launch::dev(&config.path, config.around());
    launch.start().await.kill();
    assert!(launch.socket().exists());
    let mut daemon = launch.start().await;

    let other = small();
    let second =
        Launch { folder: config.around().into(), ..Launch::dev(&other.path, other.around()) };
    let log = refused(&second);
    assert!(log.contains("paramd.sock"), "{log}");
    assert!(daemon.is_running());
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_private_and_refused_if_others_can_read_them() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    launch.start().await.stop();
    let keys = ["sealing", "fingerprints", "tokens"];
    for key in keys.map(|name| config.path.join(format!("state/{name}.key"))) {
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", key.display());
    }
    let key = config.path.join("state/sealing.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let log = refused(&launch);
    assert!(log.contains("sealing.key"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dev_daemon_leaves_nothing_behind() {
    let config = small();
    let launch = Launch::dev(&config.path, config.around());
    let daemon = launch.start().await;
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    assert!(daemon.log().to_lowercase().contains("dev"), "a banner says so");
    daemon.stop();
    let mut left: Vec<_> = std::fs::read_dir(config.around())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["config", "daemon.err", "daemon.out", "run"]);
    assert!(!config.path.join("state").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_definition_keeps_the_daemon_from_starting() {
    let config = small();
    config.replace(
        "pipelines/small.yaml",
        &[("type: integer, default: 10", "type: integer, default: ten")],
    );
    let log = refused(&Launch::dev(&config.path, config.around()));
    assert!(log.contains("small.yaml"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_in_good_order_too() {
    let config = small();
    let mut daemon = Launch::dev(&config.path, config.around()).start().await;
    daemon.signal(Signal::INT);
    assert!(daemon.wait().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_of_the_current_version_lists_every_service() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut reflection = ServerReflectionClient::new(channel(daemon.socket()).await.unwrap());
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(iter([question])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["PipelineService", "RunService", "ContextService", "AuditService"] {
        assert!(names.contains(&format!("paramd.v1.{name}").as_str()), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
    daemon.stop();
}
