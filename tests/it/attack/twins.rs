//! Runs that differ in their secrets alone look alike to who may do everything but
//! reveal and see fingerprints: every answer and every error is the same, its
//! length included, but for names, times and what is made of both.

use paramd::proto::DESCRIPTORS;
use paramd::proto::v1::{
    DiffRunsRequest, EventFilter, ExplainRunRequest, ExtendRunRequest, GetContextRequest,
    GetPipelineRequest, GetRunRequest, ListEventsRequest, ListFailuresRequest,
    ListPipelinesRequest, ListRunsRequest, RevealSecretsRequest, RunOutcome, SecretPayload,
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};
use tonic::{Request, Response, Status};

use crate::support::client::{Client, Resolve, resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::{check_reason, problem};

const SOURCE: &str = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"] }] }\n";

const PIPELINE: &str = r#"name: twin
parameters:
  token: { type: string, secret: true, from: { file: { path: token } } }
  pin:   { type: integer, secret: true, minimum: 0, from: { file: { path: pin } } }
  on:    { type: boolean, secret: true, from: { file: { path: on } } }
  list:  { type: array, secret: true, items: { type: string }, from: { file: { path: list.json } } }
  made:  { type: string, from: { template: "{{ params.token }}-{{ params.pin }}" } }
  count: { type: integer, from: { template: "{{ params.token | length }}" } }
  asked: { type: string, secret: true, override: run }
  plain: { type: integer, default: 1 }
steps:
  - name: go
    params: [token, pin, on, list, made, count, asked, plain]
    run: [sh, -c, ":"]
    env: { TOKEN: "{{ params.token }}", LIST: "{{ params.list | join(',') }}" }
    files: { key: { template: "{{ params.token }}{{ params.on }}" } }
"#;

/// Everything but the last metre.
const POLICY: &str = "permit (principal, action, resource);
forbid (principal, action in [Paramd::Action::\"reveal\", Paramd::Action::\"fingerprints\"], resource)
unless { principal == Paramd::Principal::\"token:keeper\" };
";

/// What the secrets of a run are.
struct Secrets {
    files: [(&'static str, String); 4],
    asked: String,
}

fn small() -> Secrets {
    let files = [("token", "x"), ("pin", "1"), ("on", "true"), ("list.json", "[]")];
    Secrets { files: files.map(|(file, text)| (file, text.to_owned())), asked: "a".into() }
}

fn large() -> Secrets {
    let list = serde_json::to_string(&vec!["item"; 500]).unwrap();
    Secrets {
        files: [
            ("token", "y".repeat(300_000)),
            ("pin", "987654321".into()),
            ("on", "false".into()),
            ("list.json", list),
        ],
        asked: "b".repeat(4_000),
    }
}

/// An answer or an error, with what it is called.
type Told = (&'static str, String, Vec<u8>);

/// What says nothing of a run's secrets: its name, times, digests of those, and
/// places in the log. And what the contract says of them: `maskable`, whether one
/// has eight bytes.
const APART: [&str; 9] = [
    "maskable",
    "run_id",
    "etag",
    "hash",
    "previous_hash",
    "sequence",
    "next_page_token",
    "resume_token",
    "chain",
];

/// All that a message tells, but for that.
fn shown(message: &DynamicMessage) -> String {
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        return "a time".to_owned();
    }
    let fields = message.fields().filter(|(field, _)| !APART.contains(&field.name()));
    let fields: Vec<_> =
        fields.map(|(field, value)| format!("{}: {}", field.name(), shown_value(value))).collect();
    format!("{{{}}}", fields.join(", "))
}

fn shown_value(value: &Value) -> String {
    match value {
        Value::Message(message) => shown(message),
        Value::List(list) => {
            format!("[{}]", list.iter().map(shown_value).collect::<Vec<_>>().join(", "))
        }
        Value::Map(map) => {
            let entry = |(key, value)| format!("{key:?}: {}", shown_value(value));
            let mut entries: Vec<_> = map.iter().map(entry).collect();
            entries.sort();
            format!("<{}>", entries.join(", "))
        }
        value => format!("{value:?}"),
    }
}

/// Fails where two answers tell more than that they are of two runs.
#[track_caller]
fn alike(pool: &DescriptorPool, one: &Told, two: &Told) {
    assert_eq!((one.0, &one.1), (two.0, &two.1));
    let Some(kind) = pool.get_message_by_name(&format!("paramd.v1.{}", one.1)) else {
        // An error: the runs' names are of one length.
        let named = |told: &Told| String::from_utf8_lossy(&told.2).replace(&told_id(told), "run");
        assert_eq!(named(one), named(two), "{}", one.0);
        return;
    };
    let [one_shown, two_shown] =
        [one, two].map(|told| shown(&DynamicMessage::decode(kind.clone(), &told.2[..]).unwrap()));
    assert_eq!(one_shown, two_shown, "{}", one.0);
}

/// The run that an error is about, as it names it.
fn told_id(told: &Told) -> String {
    let text = String::from_utf8_lossy(&told.2);
    let id = ["twin-a", "twin-b", "twin-c", "twin-d"].into_iter().find(|id| text.contains(id));
    id.unwrap_or("no run's name").to_owned()
}

/// What a call tells.
fn told<A: Message>(rpc: &'static str, kind: &str, answer: Result<Response<A>, Status>) -> Told {
    match answer {
        Ok(answer) => (rpc, kind.to_owned(), answer.into_inner().encode_to_vec()),
        Err(status) => {
            // The entries of its metadata come in any order.
            let parts = (problem(&status), status.details().len());
            let headers: Vec<_> = status.metadata().keys().collect();
            (rpc, format!("{:?}", status.code()), format!("{parts:?} {headers:?}").into_bytes())
        }
    }
}

fn request(id: &str, asked: &str) -> Resolve {
    resolve("twin", id).secret("asked", asked.as_bytes())
}

/// All that can be asked about a run.
async fn asked_about(client: &Client, id: &str, asked: &str) -> Vec<Told> {
    let Client { mut pipelines, mut runs, mut context, mut audit } = client.clone();
    let name = || Some(run("twin", id));
    let mut all = Vec::new();
    let again = request(id, asked);
    all.push(told(
        "replay",
        "ResolveRunResponse",
        runs.resolve_run(Request::new(again.into())).await,
    ));
    let plain = resolve("twin", id).text("plain", "2").secret("asked", asked.as_bytes());
    all.push(told("conflict", "", runs.resolve_run(Request::new(plain.into())).await));
    let explain = ExplainRunRequest {
        pipeline: "twin".into(),
        environment: "dev".into(),
        secret_overrides: [("asked".to_owned(), SecretPayload { data: asked.into(), encoding: 0 })]
            .into(),
        ..ExplainRunRequest::default()
    };
    all.push(told("explain", "ExplainRunResponse", runs.explain_run(explain).await));
    let get = GetRunRequest { run: name() };
    all.push(told("get", "GetRunResponse", runs.get_run(get).await));
    let failures = ListFailuresRequest { run: name() };
    all.push(told("failures", "ListFailuresResponse", runs.list_failures(failures).await));
    let lifetime = Some(prost_types::Duration { seconds: 90_000, nanos: 0 });
    let extend = ExtendRunRequest { run: name(), lifetime };
    all.push(told("extend", "ExtendRunResponse", runs.extend_run(extend).await));
    let get = GetPipelineRequest { pipeline: "twin".into() };
    all.push(told("pipeline", "GetPipelineResponse", pipelines.get_pipeline(get).await));
    let list = ListPipelinesRequest::default();
    all.push(told("pipelines", "ListPipelinesResponse", pipelines.list_pipelines(list).await));
    let seen = GetContextRequest { run: name(), step: "go".into(), ..<_>::default() };
    all.push(told("context", "GetContextResponse", context.get_context(seen).await));
    for names in [vec![], vec!["token".to_owned()], vec!["env.TOKEN".to_owned(), "pin".to_owned()]]
    {
        let reveal = RevealSecretsRequest {
            run: name(),
            step: "go".into(),
            all: names.is_empty(),
            names,
            ..RevealSecretsRequest::default()
        };
        all.push(told("reveal", "RevealSecretsResponse", context.reveal_secrets(reveal).await));
    }
    let filter = Some(EventFilter { pipeline: "twin".into(), run_id: id.into(), ..<_>::default() });
    let events = ListEventsRequest { filter, page_size: 1000, ..ListEventsRequest::default() };
    all.push(told("events", "ListEventsResponse", audit.list_events(events).await));
    all
}

async fn end(client: &Client, id: &str) -> Vec<Told> {
    let completed = client.complete(&run("twin", id), RunOutcome::Succeeded).await;
    let seen =
        GetContextRequest { run: Some(run("twin", id)), step: "go".into(), ..<_>::default() };
    vec![
        told("complete", "CompleteRunResponse", completed.map(Response::new)),
        told("ended", "GetContextResponse", client.context.clone().get_context(seen).await),
    ]
}

fn configuration() -> Config {
    let config = Config::new(SOURCE, "twin", PIPELINE);
    config.write("policies/all.cedar", POLICY);
    config
}

/// Somebody with a token.
fn bearer(config: &Config, name: &str) -> String {
    let directory = config.path.to_str().unwrap();
    let made = paramd(["token", "create", name, "--config", directory]).ok();
    format!("Bearer {}", made.out.trim())
}

fn write(config: &Config, secrets: &Secrets) {
    for (file, text) in &secrets.files {
        config.write_secret(&format!("files/{file}"), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_differ_in_their_secrets_alone_look_alike() {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let config = configuration();
    let keeper = bearer(&config, "keeper");
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mut heard = Vec::new();
    for (id, secrets) in [("twin-a", small()), ("twin-b", large()), ("twin-c", small())] {
        write(&config, &secrets);
        let asked = Request::new(request(id, &secrets.asked).into());
        let made = client.runs.clone().resolve_run(asked).await;
        let mut all = vec![told("resolve", "ResolveRunResponse", made)];
        all.extend(asked_about(&client, id, &secrets.asked).await);
        heard.push(all);
    }
    // Nor is it told whether two runs have the same.
    let differ = async |other: &str| {
        let request =
            DiffRunsRequest { base: Some(run("twin", "twin-a")), other: Some(run("twin", other)) };
        told("diff", "DiffRunsResponse", client.runs.clone().diff_runs(request).await)
    };
    let (other, same) = (differ("twin-b").await, differ("twin-c").await);
    assert!(!other.2.is_empty());
    alike(&pool, &other, &same);
    // Who may see fingerprints sees which differ: the test would find what leaks.
    let kept = async |id: &str| {
        let mut request = Request::new(GetRunRequest { run: Some(run("twin", id)) });
        request.metadata_mut().insert("authorization", keeper.parse().unwrap());
        let found = client.runs.clone().get_run(request).await.unwrap().into_inner();
        let kind = pool.get_message_by_name("paramd.v1.GetRunResponse").unwrap();
        shown(&DynamicMessage::decode(kind, &found.encode_to_vec()[..]).unwrap())
    };
    let (first, other, same) = (kept("twin-a").await, kept("twin-b").await, kept("twin-c").await);
    assert!(first != other && first == same);
    for (all, id) in heard.iter_mut().zip(["twin-a", "twin-b", "twin-c"]) {
        all.extend(end(&client, id).await);
    }
    let list =
        client.runs.clone().list_runs(ListRunsRequest::default()).await.unwrap().into_inner();
    let listed: Vec<Told> =
        list.runs.iter().map(|run| ("list", "Run".to_owned(), run.encode_to_vec())).collect();
    assert_eq!(listed.len(), 3);
    listed.iter().for_each(|run| alike(&pool, run, &listed[0]));
    for others in &heard[1..] {
        assert_eq!(others.len(), heard[0].len());
        others.iter().zip(&heard[0]).for_each(|(other, first)| alike(&pool, other, first));
    }
    let answered = heard[0].iter().filter(|one| one.1.ends_with("Response")).count();
    println!("{} answers and errors of each of 3 runs, {answered} of them answers", heard[0].len());
    assert_eq!((heard[0].len(), answered), (16, 11));
    daemon.stop();
}

/// Who joins another's run can't try what its secrets were overridden with.
#[tokio::test(flavor = "multi_thread")]
async fn a_guess_at_a_secret_override_is_answered_alike_right_or_wrong() {
    let config = configuration();
    write(&config, &small());
    let other = bearer(&config, "other");
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(request("twin-a", "the-right-one")).await.unwrap();
    let guess = async |text: &str| {
        let mut guess = Request::new(request("twin-a", text).into());
        guess.metadata_mut().insert("authorization", other.parse().unwrap());
        let status = client.runs.clone().resolve_run(guess).await.unwrap_err();
        check_reason(&status, "RUN_CONFLICT");
        told("guess", "", Err::<Response<()>, _>(status))
    };
    let right = guess("the-right-one").await;
    for wrong in ["the-wrong-one", "", "t", &"w".repeat(5_000)] {
        assert_eq!(guess(wrong).await, right);
    }
    daemon.stop();
}

/// What doesn't fit is told to be so, and nothing of why.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_do_not_fit_fail_alike_whatever_they_are() {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let config = configuration();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mut heard: Vec<Vec<Told>> = Vec::new();
    for pin in ["no number", "-1", "1.5", "99999999999999999999", ""] {
        write(&config, &small());
        config.write_secret("files/pin", pin);
        let made =
            client.runs.clone().resolve_run(Request::new(request("twin-d", "a").into())).await;
        check_reason(made.as_ref().unwrap_err(), "RESOLUTION_FAILED");
        let failures = ListFailuresRequest { run: Some(run("twin", "twin-d")) };
        let failures = client.runs.clone().list_failures(failures).await.unwrap().into_inner();
        let newest = failures.failures.first().unwrap().encode_to_vec();
        heard.push(vec![told("resolve", "", made), ("failure", "Failure".into(), newest)]);
    }
    for others in &heard[1..] {
        others.iter().zip(&heard[0]).for_each(|(other, first)| alike(&pool, other, first));
    }
    daemon.stop();
}
