//! Drives every rpc and command through success and failure.

use paramd::proto::v1::{
    CompleteRunRequest, ExplainRunRequest, GetPipelineRequest, GetRunRequest, ListEventsRequest,
    ListPipelinesRequest, ResolveRunRequest, RevealSecretsRequest, RunOutcome, VerifyLogRequest,
};
use prost::Message;
use tonic::{Response, Status};

use super::plant::{EACH, Planted};
use super::{Sink, Sinks};
use crate::support::client::{Client, resolve, run};
use crate::support::command::{Ended, paramd};
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

    for (id, there) in [("a", true), ("none", false)] {
        let get = GetRunRequest { run: Some(run("canary", id)) };
        assert_eq!(keep(client.runs.get_run(get).await, sinks), there);
        for (step, known) in [("go", true), ("nothing", false)] {
            let context = client.context(&run("canary", id), step).await.map(Response::new);
            assert_eq!(keep(context, sinks), there && known);
        }
    }
    reveals(&mut client, planted, sinks).await;
    audit(&mut client, &mut sinks.audit).await;
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
    for kind in ["env", "file", "sql", "vault", "override"] {
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
pub(super) async fn ends(daemon: &Daemon, sinks: &mut Sinks) {
    let mut client = daemon.client().await;
    let complete = |outcome: RunOutcome| CompleteRunRequest {
        run: Some(run("canary", "a")),
        outcome: outcome.into(),
    };
    assert!(keep(client.runs.complete_run(complete(RunOutcome::Succeeded)).await, sinks));
    assert!(!keep(client.runs.complete_run(complete(RunOutcome::Failed)).await, sinks));
    let context = client.context(&run("canary", "a"), "go").await.map(Response::new);
    assert!(!keep(context, sinks));
    audit(&mut client, &mut sinks.audit).await;
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
    keep(called(&["run", "canary", "--help"], &[]), true);
    keep(called(&["complete", "canary/b", "cancelled"], &[]), true);
    keep(called(&["audit", "list"], &[]), true);
    keep(called(&["audit", "list", "--output", "json"], &[]), true);
    keep(called(&["audit", "verify"], &[]), true);
    keep(called(&["check", path], &[]), true);
    keep(called(&["check", path, "--risks"], &[]), true);
}
