//! Drives every rpc and command through success and failure.

use paramd::proto::v1::watch_events_request::Begin;
use paramd::proto::v1::{
    AttemptMode, CompleteRunRequest, DiffRunsRequest, EventFilter, ExplainRunRequest,
    ExtendRunRequest, GetContextRequest, GetPipelineRequest, GetRunRequest, ListEventsRequest,
    ListFailuresRequest, ListPipelinesRequest, ListRunsRequest, ResolveRunRequest,
    RevealSecretsRequest, RunOutcome, VerifyLogRequest, WatchEventsRequest,
};
use prost::Message;
use serde_json::json;
use tonic::{Response, Status};

use super::plant::{EACH, Planted};
use super::{Sink, Sinks};
use crate::support::client::{Client, resolve, run, to_proto};
use crate::support::command::{Ended, Paramd, paramd};
use crate::support::config::Config;
use crate::support::daemon::Daemon;
use crate::support::status::everything;

/// Keeps an answer that must be free of secrets, or the error.
fn keep<T: Message>(answer: Result<Response<T>, Status>, sinks: &mut Sinks) -> bool {
    match answer {
        Ok(answer) => {
            sinks.answers.add(answer.get_ref().encode_to_vec());
            sinks.answers.add(format!("{:?}", answer.metadata()));
            true
        }
        Err(status) => {
            sinks.errors.add(everything(&status));
            sinks.errors.add(format!("{status} {status:?}"));
            false
        }
    }
}

/// A request that resolves, with the secrets that a caller passes.
fn request(planted: &Planted, run_id: &str) -> ResolveRunRequest {
    let mut request = resolve("canary", run_id);
    for (index, secret) in planted.of("override").iter().enumerate() {
        request = request.secret(&format!("override_{index}"), &secret.bytes);
    }
    request.into()
}

/// Every rpc, with what may be asked and with what may not.
pub(super) async fn services(daemon: &Daemon, planted: &Planted, sinks: &mut Sinks) {
    let mut client = daemon.client().await;
    let pipeline = |name: &str| GetPipelineRequest { pipeline: name.into() };
    assert!(keep(client.pipelines.list_pipelines(ListPipelinesRequest::default()).await, sinks));
    assert!(keep(client.pipelines.get_pipeline(pipeline("canary")).await, sinks));
    assert!(!keep(client.pipelines.get_pipeline(pipeline("nothing")).await, sinks));

    assert!(keep(client.runs.resolve_run(request(planted, "a")).await, sinks));
    assert!(keep(client.runs.resolve_run(request(planted, "a")).await, sinks));
    assert!(!keep(
        client.runs.resolve_run(ResolveRunRequest::from(resolve("broken", "a"))).await,
        sinks
    ));
    let quoting = ResolveRunRequest::from(resolve("quoting", "a"));
    assert!(!keep(client.runs.resolve_run(quoting).await, sinks));
    misplaced(&mut client, planted, sinks).await;

    let explain = ExplainRunRequest {
        pipeline: "canary".into(),
        environment: "dev".into(),
        secret_overrides: request(planted, "a").secret_overrides,
        ..ExplainRunRequest::default()
    };
    assert!(keep(client.runs.explain_run(explain.clone()).await, sinks));
    let wrong = ExplainRunRequest { text_overrides: texts(planted), ..explain };
    assert!(!keep(client.runs.explain_run(wrong).await, sinks));
    fished(&mut client, planted, sinks).await;

    for (id, there) in [("a", true), ("none", false)] {
        let get = GetRunRequest { run: Some(run("canary", id)) };
        assert_eq!(keep(client.runs.get_run(get).await, sinks), there);
        for (step, known) in [("go", true), ("nothing", false)] {
            let context = client.context(&run("canary", id), step).await.map(Response::new);
            assert_eq!(keep(context, sinks), there && known);
        }
    }
    reveals(&mut client, planted, sinks).await;
    lists(&mut client, planted, sinks).await;
    audit(&mut client, &mut sinks.audit).await;
}

/// Lists, failures, differences and longer lives of runs, and secrets where their
/// names and filters belong.
async fn lists(client: &mut Client, planted: &Planted, sinks: &mut Sinks) {
    let mut other = request(planted, "other");
    for (index, secret) in planted.of("misplaced").iter().enumerate() {
        let payload = other.secret_overrides.get_mut(&format!("override_{index}")).unwrap();
        payload.data.clone_from(&secret.bytes);
    }
    assert!(keep(client.runs.resolve_run(other).await, sinks));
    let failures = |run| ListFailuresRequest { run: Some(run) };
    let diff = |base, other| DiffRunsRequest { base: Some(base), other: Some(other) };
    let extend = |run, seconds| ExtendRunRequest {
        run: Some(run),
        lifetime: Some(prost_types::Duration { seconds, nanos: 0 }),
    };
    let (a, b) = (run("canary", "a"), run("canary", "other"));
    assert!(keep(client.runs.list_runs(ListRunsRequest::default()).await, sinks));
    for pipeline in ["broken", "quoting"] {
        let told = client.runs.list_failures(failures(run(pipeline, "a"))).await.unwrap();
        assert!(!told.get_ref().failures[0].parameters.is_empty());
        assert!(keep(Ok(told), sinks));
    }
    let told = client.runs.diff_runs(diff(a.clone(), b)).await.unwrap();
    assert!(told.get_ref().parameters.len() >= EACH, "its secrets differ");
    assert!(keep(Ok(told), sinks));
    assert!(keep(client.runs.extend_run(extend(a.clone(), 90_000)).await, sinks));
    assert!(!keep(client.runs.extend_run(extend(a.clone(), i64::MAX)).await, sinks));
    for secret in planted.of("misplaced") {
        let text = secret.text();
        let all = ListRunsRequest::default;
        for filter in [
            ListRunsRequest { page_token: text.clone(), ..all() },
            ListRunsRequest { pipeline: text.clone(), ..all() },
            ListRunsRequest { environment: text.clone(), ..all() },
        ] {
            assert!(!keep(client.runs.list_runs(filter).await, sinks));
        }
        // Some of them could be these.
        for filter in [
            ListRunsRequest { run_id: text.clone(), ..all() },
            ListRunsRequest { labels: [(text.clone(), "x".into())].into(), ..all() },
            ListRunsRequest { labels: [("x".into(), text.clone())].into(), ..all() },
        ] {
            keep(client.runs.list_runs(filter).await, sinks);
        }
        // As a pipeline's: a `run_id` may be any text, and is told.
        let run = run(&text, "a");
        assert!(!keep(client.runs.list_failures(failures(run.clone())).await, sinks));
        assert!(!keep(client.runs.diff_runs(diff(a.clone(), run.clone())).await, sinks));
        assert!(!keep(client.runs.diff_runs(diff(run.clone(), a.clone())).await, sinks));
        assert!(!keep(client.runs.extend_run(extend(run, 100)).await, sinks));
    }
}

/// Secrets where names and filters belong.
async fn fished(client: &mut Client, planted: &Planted, sinks: &mut Sinks) {
    for secret in planted.of("misplaced") {
        let text = secret.text();
        let pipeline = GetPipelineRequest { pipeline: text.clone() };
        assert!(!keep(client.pipelines.get_pipeline(pipeline).await, sinks));
        let explain = ExplainRunRequest {
            pipeline: "canary".into(),
            environment: text.clone(),
            preset: Some(text.clone()),
            ..ExplainRunRequest::default()
        };
        assert!(!keep(client.runs.explain_run(explain).await, sinks));
        let context = client.context(&run("canary", "a"), &text).await.map(Response::new);
        assert!(!keep(context, sinks));
        let get = GetRunRequest { run: Some(run(&text, "a")) };
        assert!(!keep(client.runs.get_run(get).await, sinks));
        let chain = VerifyLogRequest { chain: text.clone(), ..VerifyLogRequest::default() };
        keep(client.audit.verify_log(chain).await, sinks);
        let token = VerifyLogRequest { page_token: text.clone(), ..VerifyLogRequest::default() };
        assert!(!keep(client.audit.verify_log(token).await, sinks));
        let filters = [
            EventFilter { parameter: text.clone(), ..EventFilter::default() },
            EventFilter { principal: text.clone(), ..EventFilter::default() },
            EventFilter { step: text.clone(), ..EventFilter::default() },
        ];
        for filter in filters {
            let filter = ListEventsRequest { filter: Some(filter), ..ListEventsRequest::default() };
            let watch = WatchEventsRequest {
                filter: filter.filter.clone(),
                begin: Some(Begin::ResumeToken(text.clone())),
            };
            assert!(!keep(
                client.audit.watch_events(watch).await.map(|_| Response::new(())),
                sinks
            ));
            keep(client.audit.list_events(filter).await, sinks);
        }
    }
}

/// Secrets in the metadata of requests, in their paths and in bytes that are no
/// message.
pub(super) async fn metadata(daemon: &Daemon, planted: &Planted, sinks: &mut Sinks) {
    use crate::support::client::channel;
    let mut client = daemon.client().await;
    for secret in planted.of("metadata") {
        let mut request = tonic::Request::new(ListPipelinesRequest::default());
        let bearer = [b"Bearer ", secret.bytes.as_slice()].concat();
        let mut bears_token = false;
        let seen = |byte: &u8| (0x20..0x7f).contains(byte);
        // What can't stand in a header goes as a binary one.
        if secret.bytes.iter().all(seen) && secret.bytes.len() < 8_000 {
            bears_token = true;
            for name in ["authorization", "traceparent", "x-api-key", "cookie"] {
                let value = tonic::metadata::MetadataValue::try_from(bearer.as_slice()).unwrap();
                request.metadata_mut().insert(name, value);
            }
        }
        if secret.bytes.len() < 8_000 {
            let value = tonic::metadata::MetadataValue::from_bytes(&secret.bytes);
            request.metadata_mut().insert_bin("password-bin", value);
        }
        let answered = keep(client.pipelines.list_pipelines(request).await, sinks);
        // A bearer token that nobody can check is refused.
        assert_eq!(answered, !bears_token);

        let mut raw = tonic::client::Grpc::new(channel(daemon.socket()).await.unwrap());
        raw.ready().await.unwrap();
        let word = hex::encode(&secret.bytes[..secret.bytes.len().min(64)]);
        let path = format!("/paramd.v1.RunService/{word}").parse().unwrap();
        let codec = tonic_prost::ProstCodec::<Vec<u8>, Vec<u8>>::default();
        let request = tonic::Request::new(secret.bytes.clone());
        assert!(!keep(raw.unary(request, path, codec).await, sinks));
        raw.ready().await.unwrap();
        let path = "/paramd.v1.RunService/ResolveRun".parse().unwrap();
        let codec = tonic_prost::ProstCodec::<Vec<u8>, Vec<u8>>::default();
        let request = tonic::Request::new(secret.bytes.clone());
        assert!(!keep(raw.unary(request, path, codec).await, sinks));
    }
}

/// A bearer token's life: made, listed, used from the command line and in a
/// request, used with a letter too few, and revoked.
pub(super) async fn token(daemon: &Daemon, config: &Config, sinks: &mut Sinks) -> String {
    let directory = config.path.to_str().unwrap();
    let manage = |words: [&str; 2]| {
        let mut command = paramd(["token"]).into_command();
        Ended::from(command.args(words).args(["--config", directory]).output().unwrap())
    };
    let made = manage(["create", "canary"]);
    let token = made.out.trim().to_owned();
    assert!(made.status == Some(0) && token.len() > 40, "{}", made.err);
    sinks.commands.add(made.err);
    sinks.commands.add(manage(["create", "canary"]).all());
    sinks.commands.add(manage(["list", "--output=json"]).all());
    let call =
        |token: &str| paramd(["audit", "list"]).at(daemon).env("PARAMD_TOKEN", token).ended();
    for (token, status) in [(token.as_str(), 0), (&token[..token.len() - 1], 4)] {
        let ended = call(token);
        assert_eq!(ended.status, Some(status), "{}", ended.err);
        sinks.commands.add(ended.all());
    }
    let mut client = daemon.client().await;
    let mut request = tonic::Request::new(ListPipelinesRequest::default());
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    assert!(keep(client.pipelines.list_pipelines(request).await, sinks));
    sinks.commands.add(manage(["revoke", "canary"]).all());
    token
}

/// Secrets where they don't belong: as plain values, as names, as texts.
async fn misplaced(client: &mut Client, planted: &Planted, sinks: &mut Sinks) {
    let mut requests =
        vec![ResolveRunRequest { text_overrides: texts(planted), ..request(planted, "misplaced") }];
    for (index, secret) in planted.of("misplaced").iter().enumerate() {
        let id = format!("misplaced-{index}");
        let text = secret.text();
        requests.push(resolve("canary", &id).text("n", &text).into());
        requests.push(resolve("canary", &id).text(&text, "x").into());
        let typed = |json: serde_json::Value| to_proto(&json).kind.unwrap();
        requests.push(resolve("canary", &id).value("n", typed(text.clone().into())).into());
        requests.push(resolve("canary", &id).value("o", typed(json!({ "a": text }))).into());
        // A property's name is told where it could be one.
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        if !text.bytes().all(is_name) {
            requests.push(resolve("canary", &id).value("o", typed(json!({ &text: 1 }))).into());
        }
        requests.push(resolve("canary", &id).value(&text, typed(json!([text]))).into());
        let labels = |r: &mut ResolveRunRequest| drop(r.labels.insert(text.clone(), text.clone()));
        requests.push(resolve("canary", &id).with(labels).into());
        requests.push(resolve("canary", &id).with(|r| r.expected_revision = text.clone()).into());
        requests.push(resolve("canary", &id).with(|r| r.environment = text.clone()).into());
        requests.push(resolve("canary", &id).text(&format!("env_{index}"), &text).into());
        requests.push(resolve("canary", &id).secret("n", text.as_bytes()).into());
        requests.push(resolve("canary", &id).with(|r| r.preset = Some(text.clone())).into());
        requests
            .push(resolve("canary", &id).secret(&format!("vault_{index}"), text.as_bytes()).into());
        requests.push(resolve("canary", &id).secret(&text, b"value-of-a-misplaced-name").into());
    }
    for request in requests {
        assert!(!keep(client.runs.resolve_run(request).await, sinks));
    }
    let mut conflict = request(planted, "a");
    for (index, secret) in planted.of("misplaced").iter().enumerate() {
        let payload = conflict.secret_overrides.get_mut(&format!("override_{index}")).unwrap();
        payload.data.clone_from(&secret.bytes);
    }
    assert!(!keep(client.runs.resolve_run(conflict).await, sinks));
}

fn texts(planted: &Planted) -> std::collections::BTreeMap<String, String> {
    let pair = |(index, secret): (usize, &super::plant::Secret)| {
        (format!("override_{index}"), secret.text())
    };
    planted.of("misplaced").iter().enumerate().map(pair).collect()
}

/// Reveals: the right ones give every secret, the wrong ones none.
async fn reveals(client: &mut Client, planted: &Planted, sinks: &mut Sinks) {
    let all = client.reveal_all(&run("canary", "a"), "go", None).await.unwrap();
    for kind in ["env", "file", "sql", "postgres", "vault", "binary", "override"] {
        for (index, secret) in planted.of(kind).iter().enumerate() {
            let name = format!("{kind}_{index}");
            let found = all.iter().find(|found| found.name == name).unwrap();
            assert!(found.payload.as_ref().unwrap().data == secret.bytes, "{name} differs");
        }
    }
    let names: Vec<_> = planted.of("misplaced").iter().map(super::plant::Secret::text).collect();
    for (step, names) in
        [("go", names.clone()), ("nothing", vec!["all".into()]), ("go", Vec::new())]
    {
        let request = RevealSecretsRequest {
            run: Some(run("canary", "a")),
            step: step.into(),
            names,
            ..RevealSecretsRequest::default()
        };
        let answer = client.context.reveal_secrets(request).await;
        assert!(!keep(answer, sinks));
    }
}

async fn audit(client: &mut Client, sink: &mut Sink) {
    let begin = Some(Begin::StartTime(prost_types::Timestamp::default()));
    let watch = WatchEventsRequest { begin, ..WatchEventsRequest::default() };
    let mut watched = client.audit.watch_events(watch).await.unwrap().into_inner();
    for _ in client.events().await {
        let message = watched.message().await.unwrap().unwrap();
        sink.add(format!("{message:?}"));
        sink.add(message.encode_to_vec());
    }
    for event in client.events().await {
        sink.add(format!("{event:?}"));
        sink.add(event.encode_to_vec());
    }
    let report = client.audit.verify_log(VerifyLogRequest::default()).await.unwrap();
    sink.add(format!("{report:?}"));
    let wrong = ListEventsRequest { page_token: "nonsense".into(), ..ListEventsRequest::default() };
    sink.add(everything(&client.audit.list_events(wrong).await.unwrap_err()));
}

/// Ends the run, and asks for what it no longer gives.
pub(super) async fn ends(daemon: &Daemon, planted: &Planted, sinks: &mut Sinks) {
    let mut client = daemon.client().await;
    let complete = |outcome: RunOutcome| CompleteRunRequest {
        run: Some(run("canary", "a")),
        outcome: outcome.into(),
    };
    assert!(keep(client.runs.complete_run(complete(RunOutcome::Succeeded)).await, sinks));
    assert!(!keep(client.runs.complete_run(complete(RunOutcome::Failed)).await, sinks));
    let context = client.context(&run("canary", "a"), "go").await.map(Response::new);
    assert!(!keep(context, sinks));
    attempts(&mut client, planted, sinks).await;
    audit(&mut client, &mut sinks.audit).await;
}

/// Further attempts: one that can't be exact, another request, and a whole one.
async fn attempts(client: &mut Client, planted: &Planted, sinks: &mut Sinks) {
    let next = |mode: AttemptMode| {
        let mut next = request(planted, "a");
        next.run.as_mut().unwrap().attempt = 2;
        next.mode = mode.into();
        next
    };
    assert!(!keep(client.runs.resolve_run(next(AttemptMode::Exact)).await, sinks));
    let mut other = next(AttemptMode::Refresh);
    for (index, secret) in planted.of("misplaced").iter().enumerate() {
        let payload = other.secret_overrides.get_mut(&format!("override_{index}")).unwrap();
        payload.data.clone_from(&secret.bytes);
    }
    assert!(!keep(client.runs.resolve_run(other).await, sinks));
    assert!(keep(client.runs.resolve_run(next(AttemptMode::Refresh)).await, sinks));
    for secret in planted.of("misplaced") {
        let poll = GetContextRequest {
            run: Some(run("canary", "a")),
            step: "go".into(),
            if_none_match: secret.text(),
            ..GetContextRequest::default()
        };
        assert!(keep(client.context.get_context(poll).await, sinks));
    }
}

/// Every command, with what may be asked and with what may not.
pub(super) fn commands(daemon: &Daemon, config: &Config, planted: &Planted, sinks: &mut Sinks) {
    let folder = config.around();
    std::fs::write(
        folder.join("leak.sh"),
        "printf '%s\\n' \"$ALL\"; cat \"$PARAMD_FILES/all.txt\"\n",
    )
    .unwrap();
    let mut secrets = Vec::new();
    for (index, secret) in planted.of("override").iter().enumerate() {
        let file = format!("override-{index}");
        std::fs::write(folder.join(&file), &secret.bytes).unwrap();
        secrets.push(format!("--secret=override_{index}=file:{file}"));
    }
    assert_eq!(secrets.len(), EACH);
    let mut keep = |ended: Ended, good: bool| {
        assert_eq!(ended.status == Some(0), good, "exit status {:?}", ended.status);
        sinks.commands.add(ended.all());
    };
    let called = |words: &[&str], more: &[String]| {
        let mut command = paramd([]).at(daemon).inside(folder).into_command();
        Ended::from(command.args(words).args(more).output().unwrap())
    };
    let path = config.path.to_str().unwrap();
    let misplaced = planted.of("misplaced")[0].text();
    keep(called(&["resolve", "canary", "--run-id", "b"], &secrets), true);
    keep(called(&["resolve", "canary", "--run-id", "c", "--output", "json"], &secrets), true);
    keep(called(&["resolve", "canary", "--run-id", "d", "--n", &misplaced], &secrets), false);
    keep(called(&["resolve", "canary", &format!("--{misplaced}"), "x"], &secrets), false);
    keep(
        called(&["resolve", "canary", "--secret", &format!("override_0={misplaced}")], &[]),
        false,
    );
    keep(called(&["resolve", "broken", "--run-id", "e"], &[]), false);
    keep(called(&["explain", "canary"], &secrets), true);
    keep(called(&["explain", "canary", "--output", "json"], &secrets), true);
    keep(called(&["context", "canary/b", "go"], &[]), true);
    keep(called(&["context", "canary/b", "go", "--output", "json"], &[]), true);
    keep(called(&["runs", "show", "canary/b"], &[]), true);
    keep(called(&["reveal", "canary/b", "go", &misplaced], &[]), false);
    keep(called(&["run", "canary", "--run-id", "f"], &secrets), true);
    keep(called(&["run", "broken", "--run-id", "g"], &[]), false);
    keep(called(&["run", "canary", "--help"], &[]), true);
    executed(&mut keep, &|words| called(words, &[]), &misplaced);
    let mask = paramd(["mask", "--run", "canary/b", "--step", "go"]).at(daemon);
    masked(&mut keep, mask, planted, &["env", "file", "sql", "postgres", "vault", "override"]);
    let own = planted.of("override").iter().enumerate().fold(paramd(["mask"]), |mask, (at, _)| {
        mask.arg("--secret").arg(&format!("file:override-{at}")).inside(folder)
    });
    masked(&mut keep, own, planted, &["override"]);
    keep(called(&["context", "canary/none", "go"], &[]), false);
    keep(called(&["runs", "show", "canary/none"], &[]), false);
    keep(called(&["complete", "canary/b", "cancelled"], &[]), true);
    keep(called(&["audit", "list"], &[]), true);
    keep(called(&["audit", "list", "--output", "json"], &[]), true);
    keep(called(&["audit", "verify"], &[]), true);
    keep(called(&["check", path], &[]), true);
    keep(called(&["check", path, "--risks"], &[]), true);
    misnamed(&mut keep, &called, planted);
}

/// Secrets where words of the command line belong.
fn misnamed(
    keep: &mut impl FnMut(Ended, bool),
    called: &impl Fn(&[&str], &[String]) -> Ended,
    planted: &Planted,
) {
    for secret in planted.of("misplaced").iter().filter(|secret| secret.bytes.len() < 1_000) {
        let text = &secret.text();
        keep(called(&[text], &[]), false);
        keep(called(&["resolve", text], &[]), false);
        keep(called(&["explain", "canary", "--override-0", text], &[]), false);
        keep(called(&["explain", "canary", &format!("--override_0={text}")], &[]), false);
        keep(called(&["explain", "canary", "--preset", text], &[]), false);
        keep(called(&["explain", "canary", "--environment", text], &[]), false);
        keep(called(&["explain", "canary", "--param", &format!("{text}=x")], &[]), false);
        keep(called(&["explain", "canary", "--param", &format!("n={text}")], &[]), false);
        keep(called(&["explain", "canary", "--secret", text], &[]), false);
        keep(called(&["explain", "canary", "--output", text], &[]), false);
        keep(called(&["context", "canary/b", text], &[]), false);
        keep(called(&["exec", "--run", text, "--step", "go"], &[]), false);
        keep(called(&["exec", "--run", "canary/b", "--step", text], &[]), false);
        keep(called(&["exec", "--run", "canary/b", text], &[]), false);
        keep(called(&["mask", "--secret", text], &[]), false);
        keep(called(&["runs", "show", text], &[]), false);
        keep(called(&["complete", "canary/b", text], &[]), false);
        keep(called(&["reveal", "canary/b", "go", "n", "--instance", text], &[]), false);
        keep(called(&["audit", "list", "--action", text], &[]), false);
        keep(called(&["--endpoint", text, "audit", "verify"], &[]), false);
    }
}

/// A step in the place of its command, which prints all that it is given.
fn executed(
    keep: &mut impl FnMut(Ended, bool),
    called: &impl Fn(&[&str]) -> Ended,
    misplaced: &str,
) {
    let exec = |more: &[&str]| {
        called(&[&["exec", "--run", "canary/b", "--step", "go"][..], more].concat())
    };
    let own = exec(&[]);
    assert!(own.out.contains("[REDACTED]"), "it printed them");
    keep(own, true);
    // In pieces on one stream, in one on the other.
    let script = "printf '%s\\n' \"$ESCAPED\" \"$ALL\" >&2; cat \"$PARAMD_FILES/all.json\" | dd bs=7; \
                  cat \"$PARAMD_FILES/binary\"";
    let leaking = exec(&["--", "sh", "-c", script]);
    assert!(leaking.err.contains("[REDACTED]") && leaking.out.contains("[REDACTED]"));
    keep(leaking, true);
    keep(exec(&["--", misplaced]), false);
    keep(exec(&["--instance", misplaced]), false);
    keep(called(&["exec", "--run", "canary/none", "--step", "go", "--", misplaced]), false);
    keep(called(&["exec", "--run", "canary/b", "--step", "none", "--", misplaced]), false);
}

/// A text with secrets of these kinds, through the filter that knows them.
fn masked(keep: &mut impl FnMut(Ended, bool), mask: Paramd, planted: &Planted, kinds: &[&str]) {
    let text: Vec<&[u8]> = kinds
        .iter()
        .flat_map(|kind| planted.of(kind).iter().map(|secret| secret.bytes.as_slice()))
        .collect();
    let ended = mask.input(&text.join(&b" and "[..])).ended();
    assert_eq!(ended.out.matches(" and ").count(), text.len() - 1, "the text has passed");
    keep(ended, true);
}

/// A configuration with secrets where none may be written.
pub(super) fn literals(daemon: &Daemon, bad: &Config, sinks: &mut Sinks) {
    let path = bad.path.to_str().unwrap();
    for words in [
        &["check", path][..],
        &["check", path, "--output", "json"],
        &["check", path, "--risks"],
        &["serve", "--config", path],
        &["serve", "--dev", "--config", path, "--log-format", "json"],
    ] {
        let mut command = paramd([]).at(daemon).env("PARAMD_LOG", "trace").into_command();
        let ended = Ended::from(command.args(words).output().unwrap());
        assert_eq!(ended.status, Some(1), "{words:?}");
        let problems = ended.all().matches("literal").count();
        assert!(problems > 5, "{problems} problems: the files were read");
        sinks.commands.add(ended.all());
    }
}
