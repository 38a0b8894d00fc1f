//! Resolve, replay, conflict, context, reveal, end.

use paramd::proto::v1::{
    EventOutcome, GetPipelineRequest, GetRunRequest, ListPipelinesRequest, ResolveResult,
    RevealSecretsRequest, RunOutcome, RunState, StepAction, VerifyLogRequest, value,
};

use super::{TOKEN, small};
use crate::support::client::{resolve, run, to_json};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::{check_invalid, check_reason};
use crate::support::wait_until;

async fn started(config: &Config) -> Daemon {
    Launch::dev(&config.path, config.around()).env("REGION", "north").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_is_replayed() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    let first = client.resolve(resolve("small", "a").text("epochs", "20")).await.unwrap();
    assert_eq!(first.result(), ResolveResult::Created);

    // The sources change, the frozen values don't.
    config.write_secret("files/token", "another-token-of-the-same-file");
    let typed = resolve("small", "a").value("epochs", value::Kind::IntValue(20));
    let second = client.resolve(typed).await.unwrap();
    assert_eq!(second.result(), ResolveResult::Replayed);
    assert_eq!(second.snapshot, first.snapshot);
    assert_eq!(second.run, first.run);
    assert!(!second.revision_changed);
    let secrets = client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    let header = secrets.iter().find(|secret| secret.name == "env.HEADER").unwrap();
    assert_eq!(header.payload.as_ref().unwrap().data, format!("Bearer {TOKEN}").into_bytes());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_for_the_same_run_is_refused_naming_what_differs() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a").secret("token", b"first-token-77")).await.unwrap();

    let again = resolve("small", "a").secret("token", b"first-token-77");
    assert_eq!(client.resolve(again).await.unwrap().result(), ResolveResult::Replayed);

    let other = resolve("small", "a").text("epochs", "21").secret("token", b"second-token-77");
    let status = client.resolve(other).await.unwrap_err();
    let problem = check_reason(&status, "RUN_CONFLICT");
    assert_eq!(problem.code, "ALREADY_EXISTS");
    let differs: Vec<_> = problem.metadata["differs"].split(',').collect();
    assert!(differs.contains(&"overrides.epochs"), "{differs:?}");
    assert!(differs.iter().any(|field| field.ends_with(".token")), "{differs:?}");
    assert!(!format!("{problem:?}").contains("second-token"), "{problem:?}");

    let preset = resolve("small", "a")
        .secret("token", b"first-token-77")
        .with(|request| request.preset = Some("quick".into()));
    let problem = check_reason(&client.resolve(preset).await.unwrap_err(), "RUN_CONFLICT");
    assert_eq!(problem.metadata["differs"], "preset");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_and_its_name_are_the_same_request() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a").text("remark", "x")).await.unwrap();
    let again = client.resolve(resolve("small", "a").text("note", "x")).await.unwrap();
    assert_eq!(again.result(), ResolveResult::Replayed);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_needed_is_fetched() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "narrow")).await.unwrap();
    let skipped = client.context(&run("small", "narrow"), "wide").await.unwrap().context.unwrap();
    assert_eq!(skipped.decision.unwrap().action(), StepAction::Skip);
    let status = client.reveal_all(&run("small", "narrow"), "wide", None).await.unwrap_err();
    check_reason(&status, "STEP_SKIPPED");

    let wide = resolve("small", "wide").text("wide", "true");
    let problem = check_reason(&client.resolve(wide).await.unwrap_err(), "RESOLUTION_FAILED");
    assert_eq!(problem.violations[0].field, "other");
    assert_eq!(problem.violations[0].reason, "NO_SUCH_VALUE");
    check_reason(&client.context(&run("small", "wide"), "go").await.unwrap_err(), "RUN_NOT_FOUND");

    // A failure isn't kept: the next call asks again.
    config.write_secret("files/absent", "it-is-there-by-now");
    let again = client.resolve(resolve("small", "wide").text("wide", "true")).await.unwrap();
    assert_eq!(again.result(), ResolveResult::Created);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_sees_its_own_parameters_only() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let context = client.context(&run("small", "a"), "go").await.unwrap().context.unwrap();
    let values: Vec<_> = context.values.keys().map(String::as_str).collect();
    assert_eq!(values, ["epochs", "label", "layers", "names", "note", "rate"]);
    assert_eq!(to_json(&context.values["label"]), "e10-north");
    assert_eq!(context.secrets.keys().collect::<Vec<_>>(), ["env.HEADER", "header"]);

    let request = |names: &[&str]| RevealSecretsRequest {
        run: Some(run("small", "a")),
        step: "go".into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..RevealSecretsRequest::default()
    };
    let mut service = client.context.clone();
    let status =
        service.reveal_secrets(request(&["header", "token", "nothing"])).await.unwrap_err();
    let problem = check_reason(&status, "ACCESS_DENIED");
    let fields: Vec<_> = problem.violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["names[1]", "names[2]"]);
    let status = service.reveal_secrets(request(&[])).await.unwrap_err();
    check_reason(&status, "INVALID_REQUEST");
    check_reason(&client.context(&run("small", "a"), "gone").await.unwrap_err(), "STEP_NOT_FOUND");
    check_reason(&client.context(&run("small", "b"), "go").await.unwrap_err(), "RUN_NOT_FOUND");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_run_gives_no_secrets_and_keeps_its_record() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    let resolved = client.resolve(resolve("small", "a")).await.unwrap();
    let name = run("small", "a");
    let ended = client.complete(&name, RunOutcome::Succeeded).await.unwrap();
    assert_eq!(ended.run.as_ref().unwrap().state(), RunState::Completed);
    assert_eq!(client.complete(&name, RunOutcome::Succeeded).await.unwrap(), ended);
    let problem =
        check_reason(&client.complete(&name, RunOutcome::Failed).await.unwrap_err(), "RUN_ENDED");
    assert_eq!(problem.metadata["outcome"].to_lowercase(), "succeeded");

    check_reason(&client.context(&name, "go").await.unwrap_err(), "RUN_ENDED");
    check_reason(&client.reveal_all(&name, "go", None).await.unwrap_err(), "RUN_ENDED");
    let request = GetRunRequest { run: Some(name) };
    let record = client.runs.clone().get_run(request).await.unwrap().into_inner();
    assert_eq!(record.snapshot, resolved.snapshot);
    let again = client.resolve(resolve("small", "a")).await.unwrap();
    assert_eq!(again.result(), ResolveResult::Replayed);
    assert_eq!(again.run.unwrap().state(), RunState::Completed);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_completes_expires() {
    let config = small();
    config.replace("pipelines/small.yaml", &[("name: small\n", "name: small\nlifetime: 2s\n")]);
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let request = GetRunRequest { run: Some(run("small", "a")) };
    wait_until("the run expires", std::time::Duration::from_secs(30), async || {
        let record = client.runs.clone().get_run(request.clone()).await.unwrap().into_inner();
        (record.run.unwrap().state() == RunState::Expired).then_some(())
    })
    .await;
    let status = client.reveal_all(&run("small", "a"), "go", None).await.unwrap_err();
    let problem = check_reason(&status, "RUN_ENDED");
    assert_eq!(problem.metadata["state"].to_lowercase(), "expired");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_access_is_in_the_audit_log() {
    let config = small();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    let _ = client.reveal_all(&run("small", "a"), "wide", None).await.unwrap_err();
    client.complete(&run("small", "a"), RunOutcome::Succeeded).await.unwrap();
    let events = client.events().await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.action().as_str_name(), event.outcome()))
        .filter(|(action, _)| {
            ["ACTION_RESOLVE", "ACTION_REVEAL", "ACTION_COMPLETE"].contains(action)
        })
        .collect();
    let expected = [
        ("ACTION_RESOLVE", EventOutcome::Succeeded),
        ("ACTION_REVEAL", EventOutcome::Succeeded),
        ("ACTION_REVEAL", EventOutcome::Failed),
        ("ACTION_COMPLETE", EventOutcome::Succeeded),
    ];
    assert_eq!(told, expected);
    let reveal = events.iter().find(|event| event.action().as_str_name() == "ACTION_REVEAL");
    let names: Vec<_> = reveal.unwrap().parameters.iter().map(|p| p.name.as_str()).collect();
    assert!(names.contains(&"env.HEADER") && names.contains(&"header"), "{names:?}");

    let mut audit = client.audit.clone();
    let report = audit.verify_log(VerifyLogRequest::default()).await.unwrap().into_inner();
    assert_eq!(report.chains.len(), 1);
    assert_eq!(report.chains[0].defect, 0);
    assert!(report.chains[0].last_good_sequence >= events.last().unwrap().sequence);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_are_listed_and_described() {
    let config = small();
    let daemon = started(&config).await;
    let mut pipelines = daemon.client().await.pipelines;
    let list = pipelines.list_pipelines(ListPipelinesRequest::default()).await.unwrap();
    let names: Vec<_> = list.get_ref().pipelines.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["small"]);
    let request = GetPipelineRequest { pipeline: "small".into() };
    let answer = pipelines.get_pipeline(request).await.unwrap().into_inner();
    let pipeline = answer.pipeline.unwrap();
    let schema: serde_json::Value = serde_json::from_str(&pipeline.parameters_schema).unwrap();
    assert_eq!(schema["properties"]["epochs"]["maximum"], 500);
    assert_eq!(schema["properties"]["header"]["secret"], true);
    assert_eq!(schema["properties"]["header"]["writeOnly"], true);
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(pipeline.presets[0].name, "quick");
    assert_eq!(pipeline.environments[0].revision.len(), 64);
    assert_eq!(answer.bundle.len(), 64);
    let request = GetPipelineRequest { pipeline: "smal".into() };
    check_reason(&pipelines.get_pipeline(request).await.unwrap_err(), "PIPELINE_NOT_FOUND");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_over_the_request_is_told_before_any_source_is_asked() {
    let config = small();
    std::fs::remove_file(config.path.join("files/token")).unwrap();
    let daemon = started(&config).await;
    let client = daemon.client().await;
    let status = client.resolve(resolve("small", "a").text("epochs", "13")).await.unwrap_err();
    check_invalid(&status, &[("rules[0]", "RULE_VIOLATED")]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_secret_has_the_form_of_its_type() {
    let sources =
        "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    let config = Config::new(
        sources,
        "forms",
        r#"name: forms
parameters:
  text: { type: string, secret: true, from: { file: { path: text } } }
  json: { type: object, additionalProperties: { type: integer }, secret: true, from: { file: { path: json } } }
  number: { type: integer, secret: true, override: run, from: { file: { path: number } } }
  bytes: { type: string, contentEncoding: base64, secret: true, from: { file: { path: bytes } } }
  none: { type: [string, "null"], secret: true, default: null }
steps:
  - name: s
    params: [text, json, number, bytes, none]
    env: { NUMBER: "{{ params.number }}", NONE: "{{ params.none }}" }
    files:
      raw: { template: "{{ params.bytes }}", mode: "0600" }
      none: { template: "{{ params.none }}" }
      text: { template: "{{ params.text }}" }
"#,
    );
    config.write_secret("files/text", "a text with its line end\n");
    config.write_secret("files/json", "{\"a\": 9007199254740993}");
    config.write_secret("files/number", "7\n");
    config.write_secret("files/bytes", b"\xff\x00\xfe");
    let daemon = started(&config).await;
    let client = daemon.client().await;
    client.resolve(resolve("forms", "a")).await.unwrap();
    let secrets = client.reveal_all(&run("forms", "a"), "s", None).await.unwrap();
    let told: Vec<_> = secrets
        .iter()
        .map(|one| {
            let payload = one.payload.as_ref().unwrap();
            (one.name.as_str(), payload.data.as_slice(), payload.encoding().as_str_name())
        })
        .collect();
    let (text, json, binary) =
        ("SECRET_ENCODING_TEXT", "SECRET_ENCODING_JSON", "SECRET_ENCODING_BINARY");
    assert_eq!(
        told,
        [
            ("bytes", &b"\xff\x00\xfe"[..], binary),
            ("env.NUMBER", b"7", text),
            ("files.raw", b"\xff\x00\xfe", binary),
            ("files.text", b"a text with its line end\n", text),
            ("json", b"{\"a\":9007199254740993}", json),
            ("none", b"null", json),
            ("number", b"7", json),
            ("text", b"a text with its line end\n", text),
        ]
    );
    let answer = client.context(&run("forms", "a"), "s").await.unwrap();
    let context = answer.context.clone().unwrap();
    let names: Vec<_> = context.secrets.keys().map(String::as_str).collect();
    let revealed: Vec<_> = told.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, revealed);
    assert!(context.secrets["text"].maskable && !context.secrets["number"].maskable);
    // A file's version is a plain hash of it, which would tell of a short secret.
    assert_eq!(context.secrets["text"].version, None);
    let instance = &context.instances[0];
    assert_eq!(instance.env.keys().collect::<Vec<_>>(), ["NUMBER"]);
    assert_eq!(instance.files.keys().collect::<Vec<_>>(), ["raw", "text"]);
    assert_eq!((instance.files["raw"].mode, instance.files["text"].mode), (0o600, 0o400));
    let again = client.context(&run("forms", "a"), "s").await.unwrap();
    assert_eq!(again, answer, "its etag too");
    daemon.stop();
}
