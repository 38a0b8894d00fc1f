//! The limits of each principal and of all: who goes over one is told which,
//! nobody else is held up, and it is on record once.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use paramd::proto::v1::{
    Action, Event, ListPipelinesRequest, RevealSecretsRequest, WatchEventsRequest,
    WatchEventsResponse,
};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::support::client::{Client, resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::proxy::{Fault, Proxy};
use crate::support::status::check_reason;
use crate::support::{free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(10);

const LIMITS: &str = "limits:
  principal: { requests: 200, reveals: 3, new_runs: 2, new_runs_at_once: 3, streams: 2 }
  all: { streams: 3 }
";

const PIPELINE: &str = "name: small
parameters:
  token: { type: string, secret: true, from: { file: { from: local, path: token } } }
steps: [{ name: go, params: [token], run: [echo] }]
";

const SLOW: &str = "name: slow
parameters:
  value: { type: string, from: { sql: { from: silent, query: select 1 } } }
steps: [{ name: go, params: [value], run: [echo] }]
";

/// A daemon with these limits, whose database answers nothing.
struct Stage {
    config: Config,
    daemon: Daemon,
    client: Client,
    silent: Proxy,
    metrics: u16,
    bearers: BTreeMap<&'static str, String>,
}

/// All who call.
const NAMES: [&str; 9] = ["ann", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan"];

/// A token by the command line.
fn bearer(config: &Config, name: &str) -> String {
    let directory = config.path.to_str().unwrap();
    let made = paramd(["token", "create", name, "--config", directory]).ok();
    format!("Bearer {}", made.out.trim())
}

impl Stage {
    async fn new() -> Self {
        let mut silent = Proxy::bytes(1).await;
        silent.set(Fault::Silent).await;
        let metrics = free_port();
        let config = Config::new(
            &format!(
                "  local: {{ file: {{ root: files }}, grants: [{{ pipelines: [\"*\"] }}] }}\n  \
                 silent: {{ sql: {{ url: \"postgres://u@127.0.0.1:{}/x\" }}, grants: [{{ pipelines: [\"*\"] }}] }}\n\
                 metrics: \"127.0.0.1:{metrics}\"\n{LIMITS}",
                silent.port()
            ),
            "small",
            PIPELINE,
        );
        config.write("pipelines/slow.yaml", SLOW);
        config.write_secret("files/token", "a-token-of-the-pipeline");
        let bearers = NAMES.map(|name| (name, bearer(&config, name))).into();
        let daemon = Launch::plain(&config.path, config.around()).start().await;
        let client = daemon.client().await;
        Self { config, daemon, client, silent, metrics, bearers }
    }

    /// Somebody of his own.
    fn principal(&self, name: &str) -> Principal {
        Principal { bearer: self.bearers[name].clone(), client: self.client.clone() }
    }

    /// How often each is on record to have gone over a limit, in what.
    async fn on_record(&self) -> BTreeMap<(String, Action), usize> {
        let mut found = BTreeMap::new();
        let over = |event: &Event| event.reason == "RATE_LIMITED";
        for event in self.client.events().await.into_iter().filter(over) {
            let name = event.principal.as_ref().unwrap().name.clone();
            *found.entry((name, event.action())).or_default() += 1;
        }
        found
    }
}

#[derive(Clone)]
struct Principal {
    bearer: String,
    client: Client,
}

impl Principal {
    fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.parse().unwrap());
        request
    }

    async fn list(&self) -> Result<(), Status> {
        let request = self.asks(ListPipelinesRequest::default());
        self.client.pipelines.clone().list_pipelines(request).await.map(drop)
    }

    async fn resolve(&self, pipeline: &str, id: &str) -> Result<(), Status> {
        let request = self.asks(resolve(pipeline, id).into());
        self.client.runs.clone().resolve_run(request).await.map(drop)
    }

    async fn reveal(&self, id: &str) -> Result<(), Status> {
        let request = self.asks(RevealSecretsRequest {
            run: Some(run("small", id)),
            step: "go".into(),
            all: true,
            ..RevealSecretsRequest::default()
        });
        self.client.context.clone().reveal_secrets(request).await.map(drop)
    }

    async fn watch(&self) -> Result<Streaming<WatchEventsResponse>, Status> {
        let request = self.asks(WatchEventsRequest::default());
        self.client.audit.clone().watch_events(request).await.map(Response::into_inner)
    }
}

/// Fails unless it says that this limit is reached.
#[track_caller]
fn over(status: &Status, limit: &str, of: &str) {
    let problem = check_reason(status, "RATE_LIMITED");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!((problem.metadata["limit"].as_str(), problem.metadata["of"].as_str()), (limit, of));
    assert!(problem.retry, "when to ask again is told");
}

/// How many of these calls were answered; the others went over the limit.
async fn answered<F>(calls: impl Iterator<Item = F>, limit: &str) -> usize
where
    F: Future<Output = Result<(), Status>>,
{
    let answers = join_all(calls).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert!(!refused.is_empty(), "{limit} is not reached");
    refused.iter().for_each(|status| over(status.as_ref().unwrap_err(), limit, "principal"));
    good.len()
}

async fn rates(stage: &Stage) {
    let (ann, bob) = (stage.principal("ann"), stage.principal("bob"));
    let good = answered((0..1_500).map(|_| ann.list()), "requests").await;
    assert!((400..1_200).contains(&good), "{good}");
    bob.list().await.expect("another isn't held up");

    let carol = stage.principal("carol");
    carol.resolve("small", "carols").await.unwrap();
    let good = answered((0..60).map(|_| carol.reveal("carols")), "reveals").await;
    assert!((6..30).contains(&good), "{good}");
    carol.list().await.expect("what isn't a reveal is answered");
    bob.resolve("small", "bobs").await.unwrap();
    bob.reveal("bobs").await.expect("another isn't held up");

    let dave = stage.principal("dave");
    let mut made = 0;
    let refused = loop {
        match dave.resolve("small", &format!("dave-{made}")).await {
            Ok(()) => made += 1,
            Err(status) => break status,
        }
    };
    over(&refused, "new_runs", "principal");
    assert!((20..200).contains(&made), "{made}");
    dave.resolve("small", "dave-0").await.expect("a run that is there is no new one");
}

async fn at_once(stage: &Stage) {
    let erin = stage.principal("erin");
    let first = erin.watch().await.unwrap();
    let _second = erin.watch().await.unwrap();
    over(&erin.watch().await.unwrap_err(), "streams", "principal");
    let grace = stage.principal("grace");
    let _third = grace.watch().await.unwrap();
    over(&stage.principal("heidi").watch().await.unwrap_err(), "streams", "all");
    drop(first);
    let _again =
        wait_until("a stream that ends makes room", LIMIT, async || erin.watch().await.ok()).await;

    let frank = stage.principal("frank");
    let calls: Vec<_> = (0..3)
        .map(|number| {
            let frank = frank.clone();
            tokio::spawn(async move { frank.resolve("slow", &format!("f{number}")).await })
        })
        .collect();
    wait_until("the source is asked", LIMIT, async || (stage.silent.asked() >= 3).then_some(()))
        .await;
    // A caller who goes leaves the source asked.
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    for call in calls {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    let asked = stage.silent.asked();
    over(&frank.resolve("slow", "f9").await.unwrap_err(), "new_runs_at_once", "principal");
    over(&frank.resolve("small", "f9").await.unwrap_err(), "new_runs_at_once", "principal");
    assert_eq!(stage.silent.asked(), asked, "no source is asked for what is refused");
    stage.principal("ivan").resolve("small", "ivans").await.expect("another isn't held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_over_a_limit_is_told_which_and_holds_up_nobody() {
    let stage = Stage::new().await;
    rates(&stage).await;
    at_once(&stage).await;
    let names = ["ann", "carol", "dave", "erin", "frank", "heidi"];
    let actions = [
        Action::Read,
        Action::Reveal,
        Action::Resolve,
        Action::Audit,
        Action::Resolve,
        Action::Audit,
    ];
    let wanted: BTreeMap<_, _> = names
        .into_iter()
        .zip(actions)
        .map(|(name, action)| ((format!("token:{name}"), action), 1))
        .collect();
    assert_eq!(stage.on_record().await, wanted);
    let log = stage.daemon.log();
    assert!(!log.contains("RATE_LIMITED"), "a refusal has no line of its own");
    for name in names {
        let told = |line: &&str| line.contains("a limit is reached") && line.contains(name);
        assert_eq!(log.lines().filter(told).count(), 1, "{name}");
    }
    let counted = reqwest::get(format!("http://127.0.0.1:{}/metrics", stage.metrics)).await;
    let counted = counted.unwrap().text().await.unwrap();
    for rpc in ["ListPipelines", "RevealSecrets", "ResolveRun", "WatchEvents"] {
        let name = format!(
            "paramd_requests_total{{rpc=\"{rpc}\",code=\"ResourceExhausted\",reason=\"RATE_LIMITED\"}}"
        );
        assert!(counted.contains(&name), "{name} in\n{counted}");
    }
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_taken_in_anew_and_open_streams_count() {
    let stage = Stage::new().await;
    let (ann, bob) = (stage.principal("ann"), stage.principal("bob"));
    let _open = ann.watch().await.unwrap();
    bob.watch().await.unwrap();
    stage.config.replace("paramd.yaml", &[("streams: 2", "streams: 1")]);
    wait_until("the limits are taken in", LIMIT, async || {
        let refused = ann.watch().await.err()?;
        over(&refused, "streams", "principal");
        Some(())
    })
    .await;
    let _one = bob.watch().await.unwrap();
    stage.daemon.stop();
}
