//! Metrics on a listener of their own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::{PIPELINE, wait_for_bundle, wait_for_reload};
use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::free_port;

use paramd::proto::v1::RunOutcome;
use tonic_health::pb::health_check_response::ServingStatus;

/// A pipeline with a secret of a file, and metrics on this port.
fn config(port: u16) -> Config {
    let sources = format!(
        "  local: {{ file: {{ root: files }}, grants: [{{ pipelines: [\"*\"], paths: [\"*\"] }}] }}\nmetrics: \"127.0.0.1:{port}\"\n"
    );
    let pipeline = PIPELINE.replace(
        "steps:",
        "  s: { type: string, secret: true, from: { file: { path: s } } }\nsteps:",
    );
    let config = Config::new(&sources, "p", &pipeline.replace("[n]", "[n, s]"));
    config.write_secret("files/s", "a-secret-of-metrics");
    config
}

async fn scrape(port: u16) -> String {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.text().await.unwrap()
}

/// The value of the sample whose name and labels are these.
fn sample(text: &str, wanted: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {wanted} in\n{text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_counted_without_a_name_of_a_caller_or_a_run() {
    let port = free_port();
    let config = config(port);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    for name in ["run-one", "run-two"] {
        client.resolve(resolve("p", name)).await.unwrap();
    }
    client.resolve(resolve("absent-pipeline", "run-one")).await.unwrap_err();
    client.reveal_all(&run("p", "run-one"), "go", None).await.unwrap();
    client.complete(&run("p", "run-one"), RunOutcome::Succeeded).await.unwrap();
    std::fs::remove_file(config.path.join("files/s")).unwrap();
    client.resolve(resolve("p", "run-three")).await.unwrap_err();

    let text = scrape(port).await;
    let ok = "paramd_requests_total{rpc=\"ResolveRun\",code=\"Ok\",reason=\"\"}";
    assert_eq!(sample(&text, ok), 2.0);
    assert!(text.contains("reason=\"PIPELINE_NOT_FOUND\""), "{text}");
    assert_eq!(sample(&text, "paramd_resolutions_total{outcome=\"succeeded\"}"), 2.0);
    assert_eq!(sample(&text, "paramd_resolutions_total{outcome=\"failed\"}"), 1.0);
    let found = "paramd_source_reads_total{source=\"local\",outcome=\"found\"}";
    assert_eq!(sample(&text, found), 2.0);
    let missing = "paramd_source_reads_total{source=\"local\",outcome=\"missing\"}";
    assert_eq!(sample(&text, missing), 1.0);
    assert_eq!(sample(&text, "paramd_secrets_revealed_total"), 1.0);
    assert_eq!(sample(&text, "paramd_open_runs"), 1.0);
    assert_eq!(sample(&text, "paramd_requests_in_flight"), 0.0);
    assert_eq!(sample(&text, "paramd_bundle_current"), 1.0);
    assert!(sample(&text, "paramd_bundle_taken_timestamp_seconds") > 1.6e9);
    assert!(sample(&text, "paramd_store_commits_total{outcome=\"succeeded\"}") >= 4.0);
    assert!(sample(&text, "process_resident_memory_bytes") > 1e6);
    assert!(sample(&text, "process_open_fds") > 3.0);
    assert_eq!(sample(&text, "paramd_build_info{version=\"0.1.0\"}"), 1.0);
    let buckets = "paramd_request_duration_seconds_bucket{rpc=\"ResolveRun\",le=\"+Inf\"}";
    assert_eq!(sample(&text, buckets), 4.0);
    for name in ["run-one", "run-two", "absent", "uid:", "a-secret"] {
        assert!(!text.contains(name), "{name} in\n{text}");
    }

    config.write("pipelines/p.yaml", "name: q");
    wait_for_reload(&daemon, 1).await;
    wait_for_bundle(&daemon, ServingStatus::NotServing).await;
    let text = scrape(port).await;
    assert_eq!(sample(&text, "paramd_bundle_current"), 0.0);
    assert_eq!(sample(&text, "paramd_reloads_total{outcome=\"failed\"}"), 1.0);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_the_middle_of_a_request_holds_up_nobody() {
    let port = free_port();
    let config = config(port);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let half: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(b"GET /metrics HT").unwrap();
            stream
        })
        .collect();
    assert!(scrape(port).await.contains("paramd_build_info"));
    let health = reqwest::get(format!("http://127.0.0.1:{port}/healthz")).await.unwrap();
    assert_eq!(health.status(), 200);
    drop(half);
    // Nothing else is served there.
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    daemon.stop();
}
