//! OpenTelemetry's spans, at a real receiver.

use std::time::Duration;

use paramd::proto::v1::RunName;
use tonic::Request;

use super::config;
use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::otlp::Receiver;
use crate::support::{free_port, wait_until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A pipeline that reads a secret of a file, with spans sent to this address.
fn traced(address: &str) -> Config {
    let config = config();
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let more = format!(
        "traces: {{ otlp: \"{address}\" }}\nsources:\n  local: {{ file: {{ root: files }}, grants: [{{ pipelines: [\"*\"], paths: [\"*\"] }}] }}\n"
    );
    config.write("paramd.yaml", settings + &more);
    config.write_secret("files/s", "a-secret-of-traces");
    let text = super::PIPELINE
        .replace(
            "steps:",
            "  s: { type: string, secret: true, from: { file: { path: s } } }\nsteps:",
        )
        .replace("[n]", "[n, s]");
    config.write("pipelines/p.yaml", text);
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_trace_goes_on_through_sources_and_commits() {
    let receiver = Receiver::start().await;
    let config = traced(&receiver.address());
    let launch = Launch::dev(&config.path, config.around())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .env("PARAMD_LOG", "trace");
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let mut request = Request::new(resolve("p", "a").into());
    let parent = format!("00-{TRACE}-{SPAN}-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    client.runs.clone().resolve_run(request).await.unwrap();
    let name: RunName = run("p", "a");
    client.reveal_all(&name, "go", None).await.unwrap();

    let resolved = receiver.wait_for("ResolveRun").await;
    let revealed = receiver.wait_for("RevealSecrets").await;
    assert_eq!(hex::encode(&resolved.trace_id), TRACE);
    assert_eq!(hex::encode(&resolved.parent_span_id), SPAN);
    for inner in ["source read", "store commit"] {
        wait_until(inner, Duration::from_secs(20), async || {
            let spans = receiver.spans();
            let found = spans
                .iter()
                .find(|span| span.name == inner && span.parent_span_id == resolved.span_id);
            found.map(|span| assert_eq!(span.trace_id, resolved.trace_id))
        })
        .await;
    }
    assert_ne!(revealed.trace_id, resolved.trace_id, "without a caller's trace it is a new one");
    let own = hex::encode(&revealed.trace_id);
    assert!(daemon.log().contains(&own), "the log names the trace that was made");
    daemon.stop();
    let bytes = receiver.bytes();
    assert!(contains(&bytes, b"local"), "the source is named");
    assert!(!contains(&bytes, b"a-secret-of"), "no value");
    for span in receiver.spans() {
        assert!(span.events.is_empty(), "{span:?}");
        let known = ["ResolveRun", "RevealSecrets", "source read", "store commit"];
        assert!(known.contains(&span.name.as_str()), "{span:?}");
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_harms_nobody() {
    let config = traced(&format!("http://127.0.0.1:{}", free_port()));
    let daemon = Launch::dev(&config.path, config.around())
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .start()
        .await;
    let client = daemon.client().await;
    for index in 0..50 {
        client.resolve(resolve("p", &index.to_string())).await.unwrap();
    }
    daemon.stop();
}
