//! Every rpc by every kind of caller: what is answered and what the audit log says.
//! The table is in `docs/callers.md`, for readers and for this test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use paramd::envelope::OwnKey;
use paramd::proto::v1::{
    Action, CompleteRunRequest, DiffRunsRequest, Event, EventOutcome, ExplainRunRequest,
    ExtendRunRequest, GetContextRequest, GetPipelineRequest, GetRunRequest, ListEventsRequest,
    ListFailuresRequest, ListPipelinesRequest, ListRunsRequest, MintStepTokenRequest,
    PrincipalKind, Recipient, ResolveRunRequest, RevealSecretsRequest, RunName, RunOutcome,
    SealingSuite, VerifyLogRequest, WatchEventsRequest, watch_events_request,
};
use prost_reflect::DescriptorPool;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use super::{House, tcp};
use crate::support::client::{Client, resolve, run};
use crate::support::daemon::Daemon;
use crate::support::jwt::Issuer;
use crate::support::root;
use crate::support::status::check_reason;
use crate::support::step_token::{Executor, mint};
use crate::support::tls::{Authority, Files};
use crate::support::wait_until;

const POLICY: &str = r#"
@id("owners") permit (principal, action, resource)
when { principal == Paramd::Principal::"spiffe://example.org/owner" ||
       principal == Paramd::Principal::"jwt:idp:owner" };
@id("resolver") permit (principal == Paramd::Principal::"token:resolver",
    action == Paramd::Action::"resolve", resource);
"#;

const SECOND_STEP: &str = r#"  - { name: other, params: [epochs], run: [echo], env: { TOKEN: "{{ params.token }}" } }
"#;

/// What a caller shows with each request.
enum Shows {
    /// Nothing: the connection has to tell.
    Nothing,
    /// A bearer token.
    Bearer(String),
    /// A step token with the proof of who holds it.
    Held(Executor, String),
}

/// A row of the table.
struct Caller {
    kind: String,
    certificate: Option<Files>,
    shows: Shows,
    /// The principal of its events, where anybody knows it.
    principal: (String, PrincipalKind),
    on_socket: bool,
}

impl Caller {
    /// One whom nobody can tell.
    fn unknown(kind: &str, shows: Shows) -> Self {
        let principal = ("anonymous".to_owned(), PrincipalKind::Anonymous);
        Self { kind: kind.to_owned(), certificate: None, shows, principal, on_socket: false }
    }

    fn known(kind: &str, shows: Shows, name: &str, how: PrincipalKind) -> Self {
        Self { principal: (name.to_owned(), how), ..Self::unknown(kind, shows) }
    }

    fn with(self, certificate: Files) -> Self {
        Self { certificate: Some(certificate), ..self }
    }
}

/// The table: for each caller the cell of each rpc.
fn table() -> BTreeMap<String, BTreeMap<String, String>> {
    let page = std::fs::read_to_string(root().join("docs/callers.md")).unwrap();
    let mut lines = page.lines().skip_while(|line| !line.starts_with("| caller |"));
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "")).collect()
    };
    let rpcs = cells(lines.next().expect("the page has the table"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells);
    rows.map(|row| {
        let by_rpc = rpcs.iter().zip(&row).skip(1);
        let by_rpc = by_rpc.map(|(rpc, cell)| (rpc.clone(), cell.clone())).collect();
        (row[0].clone(), by_rpc)
    })
    .collect()
}

fn rpcs() -> BTreeSet<String> {
    let pool = DescriptorPool::decode(paramd::proto::DESCRIPTORS).unwrap();
    let services = pool.services().filter(|one| one.package_name() == "paramd.v1");
    let names = services.flat_map(|service| {
        service.methods().map(|method| method.name().to_owned()).collect::<Vec<_>>()
    });
    names.collect()
}

/// How an rpc ended, in the table's words.
fn word(answer: Result<bool, Status>) -> String {
    match answer {
        Ok(true) => "answer".to_owned(),
        Ok(false) => "empty".to_owned(),
        Err(status) if status.code() == Code::Unauthenticated => {
            check_reason(&status, "UNAUTHENTICATED");
            "unknown".to_owned()
        }
        Err(status) if status.code() == Code::PermissionDenied => {
            check_reason(&status, "ACCESS_DENIED");
            "denied".to_owned()
        }
        Err(status) => format!("{status:?}"),
    }
}

/// The audit log's word for an rpc.
fn action(rpc: &str) -> Action {
    match rpc {
        "ResolveRun" => Action::Resolve,
        "ExplainRun" => Action::Explain,
        "RevealSecrets" => Action::Reveal,
        "CompleteRun" | "ExtendRun" => Action::Complete,
        "ListEvents" | "WatchEvents" | "VerifyLog" => Action::Audit,
        "MintStepToken" => Action::Delegate,
        _ => Action::Read,
    }
}

/// One call, with a trace of its own to find its event by.
struct Call<'a> {
    client: &'a Client,
    caller: &'a Caller,
    rpc: &'static str,
    own: &'a OwnKey,
    trace: &'a str,
    /// Told apart from other callers' new runs.
    number: usize,
}

impl Call<'_> {
    fn request<Q>(&self, message: Q) -> Request<Q> {
        let recipient = if self.rpc == "RevealSecrets" { self.own.public() } else { &[] };
        let mut request = match &self.caller.shows {
            Shows::Nothing => Request::new(message),
            Shows::Bearer(token) => crate::support::step_token::shown(token, message),
            Shows::Held(executor, token) => executor.show(token, self.rpc, recipient, message),
        };
        let traceparent = format!("00-{}-00f067aa0ba902b7-01", self.trace);
        request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
        request
    }

    /// Whether there is anything in the answer.
    async fn make(&self) -> Result<bool, Status> {
        match self.rpc {
            "ListPipelines" | "GetPipeline" => self.pipelines().await,
            "GetContext" | "RevealSecrets" => self.step().await,
            "ListEvents" | "WatchEvents" | "VerifyLog" => self.audit().await,
            _ => self.runs().await,
        }
    }

    async fn pipelines(&self) -> Result<bool, Status> {
        let mut client = self.client.pipelines.clone();
        if self.rpc == "GetPipeline" {
            let request = self.request(GetPipelineRequest { pipeline: "small".into() });
            return client.get_pipeline(request).await.map(|_| true);
        }
        let request = self.request(ListPipelinesRequest::default());
        Ok(!client.list_pipelines(request).await?.into_inner().pipelines.is_empty())
    }

    async fn runs(&self) -> Result<bool, Status> {
        let mut client = self.client.runs.clone();
        let named = |run_id: &str| Some(run("small", run_id));
        match self.rpc {
            "ResolveRun" => {
                let new = resolve("small", &format!("new-{}", self.number));
                let request: ResolveRunRequest = new.into();
                client.resolve_run(self.request(request)).await.map(|_| true)
            }
            "ExplainRun" => {
                let (pipeline, environment) = ("small".into(), "dev".into());
                let request =
                    ExplainRunRequest { pipeline, environment, ..ExplainRunRequest::default() };
                client.explain_run(self.request(request)).await.map(|_| true)
            }
            "GetRun" => {
                let request = GetRunRequest { run: named("a") };
                client.get_run(self.request(request)).await.map(|_| true)
            }
            "ListRuns" => {
                let found = client.list_runs(self.request(ListRunsRequest::default())).await?;
                Ok(!found.into_inner().runs.is_empty())
            }
            "ListFailures" => {
                let request = ListFailuresRequest { run: named("a") };
                client.list_failures(self.request(request)).await.map(|_| true)
            }
            "DiffRuns" => {
                let request = DiffRunsRequest { base: named("a"), other: named("b") };
                client.diff_runs(self.request(request)).await.map(|_| true)
            }
            "ExtendRun" => {
                let lifetime = Some(prost_types::Duration { seconds: 90_000, nanos: 0 });
                let request = ExtendRunRequest { run: named("a"), lifetime };
                client.extend_run(self.request(request)).await.map(|_| true)
            }
            "CompleteRun" => {
                let outcome = RunOutcome::Succeeded.into();
                let request = CompleteRunRequest { run: named("ends"), outcome };
                client.complete_run(self.request(request)).await.map(|_| true)
            }
            "MintStepToken" => {
                let (step, holder) = ("go".into(), Some(Executor::new().holder()));
                let request =
                    MintStepTokenRequest { run: named("a"), step, holder, lifetime: None };
                client.mint_step_token(self.request(request)).await.map(|_| true)
            }
            other => panic!("the test doesn't know {other}"),
        }
    }

    async fn step(&self) -> Result<bool, Status> {
        let mut client = self.client.context.clone();
        let (run, step) = (Some(run("small", "a")), "go".to_owned());
        if self.rpc == "GetContext" {
            let request = GetContextRequest { run, step, ..GetContextRequest::default() };
            return client.get_context(self.request(request)).await.map(|_| true);
        }
        let recipient = Some(Recipient {
            suite: SealingSuite::X25519Chacha20Poly1305.into(),
            public_key: self.own.public().to_vec(),
        });
        let all = true;
        let request =
            RevealSecretsRequest { run, step, all, recipient, ..RevealSecretsRequest::default() };
        client.reveal_secrets(self.request(request)).await.map(|_| true)
    }

    async fn audit(&self) -> Result<bool, Status> {
        let mut client = self.client.audit.clone();
        match self.rpc {
            "ListEvents" => {
                let found = client.list_events(self.request(ListEventsRequest::default())).await?;
                Ok(!found.into_inner().events.is_empty())
            }
            "VerifyLog" => {
                let checked = client.verify_log(self.request(VerifyLogRequest::default())).await?;
                Ok(!checked.into_inner().chains.is_empty())
            }
            _ => {
                let begin = watch_events_request::Begin::StartTime(prost_types::Timestamp {
                    seconds: 0,
                    nanos: 0,
                });
                let request = WatchEventsRequest { filter: None, begin: Some(begin) };
                let mut stream = client.watch_events(self.request(request)).await?.into_inner();
                Ok(stream.message().await?.is_some())
            }
        }
    }
}

/// The house with its daemon, and whoever may do all.
struct Scene {
    house: House,
    issuer: Issuer,
    daemon: Daemon,
    owner: Client,
    files: Files,
}

async fn scene() -> Scene {
    let house = House::new();
    house.config.write("policies/all.cedar", POLICY);
    let pipeline = std::fs::read_to_string(house.config.path.join("pipelines/small.yaml")).unwrap();
    house.config.write("pipelines/small.yaml", format!("{pipeline}{SECOND_STEP}"));
    let settings = std::fs::read_to_string(house.config.path.join("paramd.yaml")).unwrap();
    house.config.write("paramd.yaml", format!("{}{settings}", Issuer::SETTINGS));
    let issuer = Issuer::new(&house.config.path);
    let daemon = house.open().await;
    let files = house.authority.client("owner", Some("spiffe://example.org/owner"));
    let owner = house.client(&tcp(&daemon), Some(&files)).await;
    for run_id in ["a", "b", "ends", "over"] {
        owner.resolve(resolve("small", run_id)).await.unwrap();
    }
    Scene { house, issuer, daemon, owner, files }
}

impl Scene {
    async fn token(&self, run: &RunName, step: &str, lifetime: i64) -> (Executor, String) {
        let executor = Executor::new();
        let minted = mint(&self.owner, run, step, executor.holder(), lifetime).await.unwrap();
        (executor, minted.token)
    }

    /// Those who show nothing, or what the connection tells.
    fn by_connection(&self) -> Vec<Caller> {
        let authority = &self.house.authority;
        let elsewhere = Authority::new(&self.house.config.path.join("elsewhere"), "ca");
        let stranger = "spiffe://example.org/stranger";
        let certificate = PrincipalKind::Certificate;
        let uid = format!("uid:{}", rustix::process::geteuid().as_raw());
        let user = Caller::known(
            "a uid that no policy names",
            Shows::Nothing,
            &uid,
            PrincipalKind::UnixUser,
        );
        let owner = "spiffe://example.org/owner";
        vec![
            Caller::unknown("nobody", Shows::Nothing),
            Caller::unknown("a certificate of another authority", Shows::Nothing)
                .with(elsewhere.client("forged", Some(owner))),
            Caller::unknown("an expired certificate", Shows::Nothing)
                .with(authority.expired_client("old")),
            Caller::known(
                "a certificate that no policy names",
                Shows::Nothing,
                stranger,
                certificate,
            )
            .with(authority.client("stranger", Some(stranger))),
            Caller { on_socket: true, ..user },
            Caller::known("an owner by certificate", Shows::Nothing, owner, certificate)
                .with(self.files.clone()),
        ]
    }

    fn by_token(&self) -> Vec<Caller> {
        let bearer = |token: &str| Shows::Bearer(token.to_owned());
        let resolver = self.house.token("resolver");
        let unknown = format!("paramd_token_{}", "5c".repeat(32));
        let mut callers = vec![
            Caller::unknown("a token that was never made", bearer(&unknown)),
            Caller::known(
                "one who may only resolve",
                bearer(&resolver),
                "token:resolver",
                PrincipalKind::Token,
            ),
            Caller::known(
                "a JWT that no policy names",
                bearer(&self.issuer.token("stranger")),
                "jwt:idp:stranger",
                PrincipalKind::Jwt,
            ),
            Caller::known(
                "an owner by JWT",
                bearer(&self.issuer.token("owner")),
                "jwt:idp:owner",
                PrincipalKind::Jwt,
            ),
        ];
        let wanted = [
            "wrong issuer",
            "wrong audience",
            "expired",
            "not yet valid",
            "alg none",
            "HMAC with the public key",
            "unknown kid",
        ];
        let refused = self.issuer.refused("owner");
        for kind in wanted {
            let one = refused.iter().find(|one| one.kind == kind).expect(kind);
            callers.push(Caller::unknown(&format!("a JWT: {kind}"), bearer(&one.token)));
        }
        callers
    }

    async fn by_step_token(&self) -> Vec<Caller> {
        let (a, b, over) = (run("small", "a"), run("small", "b"), run("small", "over"));
        let known = |kind: &str, (executor, token): (Executor, String)| {
            let name = "step-token:spiffe://example.org/owner";
            Caller::known(kind, Shows::Held(executor, token), name, PrincipalKind::StepToken)
        };
        let unknown = |kind: &str, (executor, token): (Executor, String)| {
            Caller::unknown(kind, Shows::Held(executor, token))
        };
        let good = known("a step token of the step", self.token(&a, "go", 0).await);
        let step = known("a step token of another step", self.token(&a, "other", 0).await);
        let other = known("a step token of another run", self.token(&b, "go", 0).await);
        let short = self.token(&a, "go", 1).await;
        let ended = unknown("a step token of an ended run", self.token(&over, "go", 0).await);
        self.owner.complete(&over, RunOutcome::Succeeded).await.unwrap();
        let (_, stolen) = self.token(&a, "go", 0).await;
        let bare = Caller::unknown("a step token without its key", Shows::Bearer(stolen.clone()));
        let thief = unknown("a step token with another's key", (Executor::new(), stolen));
        let expired = unknown("an expired step token", short);
        vec![good, step, other, expired, ended, bare, thief]
    }

    /// A connection of its own for each caller, from an address of its own: those
    /// who fail would share what one address may fail.
    async fn connect(&self, caller: &Caller, number: usize) -> Client {
        if caller.on_socket {
            return self.daemon.client().await;
        }
        let ca = Certificate::from_pem(std::fs::read(self.house.ca()).unwrap());
        let mut tls = ClientTlsConfig::new().ca_certificate(ca);
        if let Some(files) = &caller.certificate {
            tls = tls.identity(files.identity());
        }
        let own = IpAddr::V4(Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap()));
        let endpoint = Endpoint::from_shared(tcp(&self.daemon)).unwrap().tls_config(tls).unwrap();
        let endpoint = endpoint.local_address(Some(own)).connect_timeout(Duration::from_secs(5));
        Client::new(endpoint.connect().await.unwrap())
    }
}

/// Whether an event is as the cell says.
fn fits(event: &Event, caller: &Caller, rpc: &str, cell: &str) -> bool {
    let (expected, outcome, reason) = match cell {
        "unknown" => (Action::Authenticate, EventOutcome::Denied, "UNAUTHENTICATED"),
        "denied" => (action(rpc), EventOutcome::Denied, "ACCESS_DENIED"),
        _ => (action(rpc), EventOutcome::Succeeded, ""),
    };
    let principal = event.principal.clone().unwrap_or_default();
    event.action() == expected
        && event.outcome() == outcome
        && event.reason == reason
        && principal.name == caller.principal.0
        && principal.kind() == caller.principal.1
}

async fn until_expired(scene: &Scene, callers: &[Caller]) {
    wait_until("the short token expires", Duration::from_secs(10), async || {
        let short = callers.iter().find(|one| one.kind == "an expired step token").unwrap();
        let client = scene.daemon.client().await;
        let own = OwnKey::generate().unwrap();
        let trace = "f".repeat(32);
        let call = Call {
            client: &client,
            caller: short,
            rpc: "GetContext",
            own: &own,
            trace: &trace,
            number: 0,
        };
        call.make().await.err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_answers_each_kind_of_caller_as_the_page_says() {
    let table = table();
    let scene = scene().await;
    let mut callers = scene.by_connection();
    callers.extend(scene.by_token());
    callers.extend(scene.by_step_token().await);
    let kinds: BTreeSet<_> = callers.iter().map(|caller| caller.kind.clone()).collect();
    assert_eq!(kinds, table.keys().cloned().collect(), "the rows");
    until_expired(&scene, &callers).await;
    let own = OwnKey::generate().unwrap();
    let rpcs: Vec<&'static str> = rpcs().into_iter().map(|name| &*name.leak()).collect();
    let mut wrong = Vec::new();
    let mut made = Vec::new();
    for (number, caller) in (1..).zip(&callers) {
        let row = &table[&caller.kind];
        assert_eq!(row.len(), rpcs.len(), "the columns of {}", caller.kind);
        let client = scene.connect(caller, number).await;
        for (index, rpc) in rpcs.iter().enumerate() {
            let cell = row.get(*rpc).unwrap_or_else(|| panic!("no column {rpc}"));
            let trace = format!("{number:016x}{index:016x}");
            let call = Call { client: &client, caller, rpc, own: &own, trace: &trace, number };
            let got = word(call.make().await);
            if got != *cell {
                wrong.push(format!("{} / {rpc}: {got} and not {cell}", caller.kind));
            }
            made.push((caller, *rpc, cell.clone(), trace));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let events = wait_until("all is recorded", Duration::from_secs(10), async || {
        let events = scene.owner.events().await;
        let known = |trace: &str| events.iter().any(|event| event.trace_id == trace);
        made.iter().all(|(.., trace)| known(trace)).then_some(events.clone())
    })
    .await;
    for (caller, rpc, cell, trace) in &made {
        let mut own = events.iter().filter(|event| event.trace_id == *trace);
        let found = own.clone().any(|event| fits(event, caller, rpc, cell));
        if !found {
            let told: Vec<_> = own.by_ref().collect();
            wrong.push(format!("{} / {rpc}: {cell}, recorded as {told:?}", caller.kind));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("matrix: {} callers, {} rpcs, {} calls", callers.len(), rpcs.len(), made.len());
    scene.daemon.stop();
}
