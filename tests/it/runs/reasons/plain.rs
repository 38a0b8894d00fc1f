//! What a caller brings about: names, requests, the life of a run.

use paramd::proto::v1::{
    AttemptMode, CompleteRunRequest, DiffRunsRequest, ExplainRunRequest, ExtendRunRequest,
    GetContextRequest, GetPipelineRequest, GetRunRequest, ListFailuresRequest,
    MintStepTokenRequest, Recipient, ResolveRunRequest, RevealSecretsRequest, RunName, RunOutcome,
    value,
};

use super::Reached;
use crate::runs::attempts::attempt;
use crate::runs::small;
use crate::support::client::{Client, Resolve, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::step_token::Executor;

pub(super) fn explain(pipeline: &str, environment: &str) -> ExplainRunRequest {
    ExplainRunRequest {
        pipeline: pipeline.into(),
        environment: environment.into(),
        ..ExplainRunRequest::default()
    }
}

pub(super) fn context(run: &RunName, step: &str) -> GetContextRequest {
    GetContextRequest { run: Some(run.clone()), step: step.into(), ..GetContextRequest::default() }
}

pub(super) fn reveal(run: &RunName, step: &str) -> RevealSecretsRequest {
    RevealSecretsRequest {
        run: Some(run.clone()),
        step: step.into(),
        all: true,
        ..RevealSecretsRequest::default()
    }
}

pub(super) fn complete(run: &RunName, outcome: RunOutcome) -> CompleteRunRequest {
    CompleteRunRequest { run: Some(run.clone()), outcome: outcome.into() }
}

pub(super) fn extend(run: &RunName) -> ExtendRunRequest {
    let lifetime = Some(prost_types::Duration { seconds: 90_000, nanos: 0 });
    ExtendRunRequest { run: Some(run.clone()), lifetime }
}

pub(super) fn mint(run: &RunName, step: &str) -> MintStepTokenRequest {
    let (run, step) = (Some(run.clone()), step.into());
    MintStepTokenRequest { run, step, holder: Some(Executor::new().holder()), lifetime: None }
}

pub(super) fn diff(base: &RunName, other: &RunName) -> DiffRunsRequest {
    DiffRunsRequest { base: Some(base.clone()), other: Some(other.clone()) }
}

/// What `ResolveRun` answers.
pub(super) async fn resolved(
    client: &Client,
    request: impl Into<ResolveRunRequest>,
) -> Result<tonic::Response<()>, tonic::Status> {
    client.resolve(request).await.map(|_| tonic::Response::new(()))
}

/// Pipelines, environments, runs, steps; credentials and permission.
pub(super) async fn names_and_requests(reached: &mut Reached) {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut client = daemon.client().await;
    let nobodys = || {
        let mut request = tonic::Request::new(context(&run("small", "a"), "go"));
        request.metadata_mut().insert("authorization", "Bearer nobodys".parse().unwrap());
        request
    };
    let answer = client.context.get_context(nobodys()).await;
    reached.note("GetContext", "UNAUTHENTICATED", answer);
    let answers = (0..1_000).map(|_| {
        let mut context = client.context.clone();
        async move { context.get_context(nobodys()).await }
    });
    let answers = futures_util::future::join_all(answers).await;
    let is_over = |answer: &Result<_, tonic::Status>| {
        answer.as_ref().is_err_and(|status| status.code() == tonic::Code::ResourceExhausted)
    };
    reached.note("GetContext", "RATE_LIMITED", answers.into_iter().find(is_over).unwrap());

    let absent = GetPipelineRequest { pipeline: "absent".into() };
    let answer = client.pipelines.get_pipeline(absent).await;
    reached.note("GetPipeline", "PIPELINE_NOT_FOUND", answer);
    let answer = resolved(&client, resolve("absent", "a")).await;
    reached.note("ResolveRun", "PIPELINE_NOT_FOUND", answer);
    let answer = client.runs.explain_run(explain("absent", "dev")).await;
    reached.note("ExplainRun", "PIPELINE_NOT_FOUND", answer);
    let absent = ListFailuresRequest { run: Some(run("absent", "a")) };
    let answer = client.runs.list_failures(absent).await;
    reached.note("ListFailures", "PIPELINE_NOT_FOUND", answer);

    let moon = resolve("small", "a").with(|request| request.environment = "moon".into());
    let answer = resolved(&client, moon).await;
    reached.note("ResolveRun", "ENVIRONMENT_NOT_FOUND", answer);
    let answer = client.runs.explain_run(explain("small", "moon")).await;
    reached.note("ExplainRun", "ENVIRONMENT_NOT_FOUND", answer);

    let there = run("small", "there");
    client.resolve(resolve("small", "there")).await.unwrap();
    let absent = run("small", "absent");
    let answer = client.runs.get_run(GetRunRequest { run: Some(absent.clone()) }).await;
    reached.note("GetRun", "RUN_NOT_FOUND", answer);
    for (base, other) in [(&absent, &there), (&there, &absent)] {
        let answer = client.runs.diff_runs(diff(base, other)).await;
        reached.note("DiffRuns", "RUN_NOT_FOUND", answer);
    }
    let answer = client.runs.extend_run(extend(&absent)).await;
    reached.note("ExtendRun", "RUN_NOT_FOUND", answer);
    let answer = client.runs.complete_run(complete(&absent, RunOutcome::Failed)).await;
    reached.note("CompleteRun", "RUN_NOT_FOUND", answer);
    let answer = client.runs.mint_step_token(mint(&absent, "go")).await;
    reached.note("MintStepToken", "RUN_NOT_FOUND", answer);
    let answer = client.context.get_context(context(&absent, "go")).await;
    reached.note("GetContext", "RUN_NOT_FOUND", answer);
    let answer = client.context.reveal_secrets(reveal(&absent, "go")).await;
    reached.note("RevealSecrets", "RUN_NOT_FOUND", answer);

    steps(&mut client, &there, reached).await;
    let answer = client.runs.complete_run(complete(&there, RunOutcome::Unspecified)).await;
    reached.note("CompleteRun", "INVALID_REQUEST", answer);
    daemon.stop();
}

/// Steps of a run, and what they may have.
async fn steps(client: &mut Client, there: &RunName, reached: &mut Reached) {
    let answer = client.runs.mint_step_token(mint(there, "absent")).await;
    reached.note("MintStepToken", "STEP_NOT_FOUND", answer);
    let answer = client.runs.mint_step_token(mint(there, "wide")).await;
    reached.note("MintStepToken", "STEP_SKIPPED", answer);
    let answer = client.context.get_context(context(there, "absent")).await;
    reached.note("GetContext", "STEP_NOT_FOUND", answer);
    let answer = client.context.reveal_secrets(reveal(there, "absent")).await;
    reached.note("RevealSecrets", "STEP_NOT_FOUND", answer);
    let named =
        RevealSecretsRequest { all: false, names: vec!["epochs".into()], ..reveal(there, "go") };
    let answer = client.context.reveal_secrets(named).await;
    reached.note("RevealSecrets", "ACCESS_DENIED", answer);
    let answer = client.context.reveal_secrets(reveal(there, "wide")).await;
    reached.note("RevealSecrets", "STEP_SKIPPED", answer);
    let unknown = Recipient { suite: 7, ..Recipient::default() };
    let sealed = RevealSecretsRequest { recipient: Some(unknown), ..reveal(there, "go") };
    let answer = client.context.reveal_secrets(sealed).await;
    reached.note("RevealSecrets", "SEALING_UNSUPPORTED", answer);
}

fn next(run_id: &str, mode: AttemptMode) -> Resolve {
    resolve("small", run_id).with(|request| {
        request.run = Some(attempt("small", run_id, 2));
        request.mode = mode.into();
    })
}

/// One run after another, and what a name stands for.
pub(super) async fn runs_and_attempts(reached: &mut Reached) {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let mut client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let answer = resolved(&client, resolve("small", "a").text("epochs", "2")).await;
    reached.note("ResolveRun", "RUN_CONFLICT", answer);
    let expecting = resolve("small", "b").with(|r| r.expected_revision = "0".repeat(64));
    reached.note("ResolveRun", "REVISION_MISMATCH", resolved(&client, expecting).await);
    let answer = resolved(&client, next("a", AttemptMode::Refresh)).await;
    reached.note("ResolveRun", "ATTEMPT_OUT_OF_ORDER", answer);
    let run = run("small", "a");
    client.complete(&run, RunOutcome::Cancelled).await.unwrap();
    let answer = client.context.get_context(context(&run, "go")).await;
    reached.note("GetContext", "RUN_ENDED", answer);
    let answer = client.context.reveal_secrets(reveal(&run, "go")).await;
    reached.note("RevealSecrets", "RUN_ENDED", answer);
    let answer = client.runs.mint_step_token(mint(&run, "go")).await;
    reached.note("MintStepToken", "RUN_ENDED", answer);
    let answer = client.runs.extend_run(extend(&run)).await;
    reached.note("ExtendRun", "RUN_ENDED", answer);
    let answer = client.runs.complete_run(complete(&run, RunOutcome::Succeeded)).await;
    reached.note("CompleteRun", "RUN_ENDED", answer);
    let answer = resolved(&client, next("a", AttemptMode::Exact)).await;
    reached.note("ResolveRun", "EXACT_UNAVAILABLE", answer);
    daemon.stop();
}

const WRONG: &str = r#"name: wrong
parameters:
  needed: { type: string, override: run }
  fixed: { type: string, default: x, override: none }
  locked: { type: string, default: x }
  key: { type: string, secret: true, override: run, from: { file: { path: key } } }
  count: { type: integer, default: 1 }
  items: { type: array, items: { type: string }, default: [a] }
  first: { type: string, override: none, from: { template: "{{ params.items[0] }}" } }
  aliased: { type: string, default: x, aliases: [other-name] }
presets: { quick: { count: 2 } }
rules:
  - { assert: params.count != 13, message: bad luck }
"#;

/// One request with every problem that needs no source.
pub(super) async fn problems(reached: &mut Reached) {
    let sources =
        "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    let config = Config::new(sources, "wrong", WRONG);
    config.write("global.yaml", "values: { locked: y }\nlocked: [locked]\n");
    config.write_secret("files/key", "a-key");
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let wrong = resolve("wrong", "a")
        .with(|request| request.preset = Some("quik".into()))
        .text("fixed", "y")
        .text("locked", "z")
        .text("key", "a-misplaced-key")
        .value("count", value::Kind::IntValue(13))
        .text("items", "[]")
        .text("absent", "x")
        .text("aliased", "x")
        .text("other-name", "x");
    let answer = resolved(&client, wrong).await;
    let problem = reached.note("ResolveRun", "INVALID_REQUEST", answer).unwrap();
    let fields: Vec<_> = problem.violations.iter().map(|one| one.field.as_str()).collect();
    assert!(fields.contains(&"parameters.first"), "{fields:?}");
    let wrong = resolve("wrong", "a")
        .with(|request| drop(request.labels.insert("A".into(), "x".into())))
        .text("count", "many");
    reached.note("ResolveRun", "INVALID_REQUEST", resolved(&client, wrong).await);
    daemon.stop();
}

/// What a policy allows only sealed.
pub(super) async fn sealing(reached: &mut Reached) {
    let config = small();
    let policies = "permit (principal, action, resource);
        forbid (principal, action == Paramd::Action::\"reveal\", resource) unless { context.sealed };";
    config.write("policies/all.cedar", policies);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let mut client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let answer = client.context.reveal_secrets(reveal(&run("small", "a"), "go")).await;
    reached.note("RevealSecrets", "SEALING_REQUIRED", answer);
    daemon.stop();
}
