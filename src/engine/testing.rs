//! An engine over a configuration of the test, with sources that do as it says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::open::LoadedRun;
use super::{
    Caller, ContextAnswer, ContextRequest, EncodedAnswer, Engine, EventsRequest, InForce,
    Overrides, PageRequest, Refusal, ResolveRequest, Resolved, RevealRequest, Revealed,
    RunSelector,
};
use crate::access::Policies;
use crate::audit::{Event, Principal};
use crate::load::Compiled;
use crate::name::{EnvironmentName, RunKey};
use crate::resolve::fetch::Sources;
use crate::resolve::record::{Origin, Record};
use crate::resolve::request::FrozenRequest;
use crate::resolve::testing::compile;
use crate::snapshot::{FORMAT, Snapshot};
use crate::store::keys::{FingerprintKey, SealingKey, TokenKey};
use crate::store::sealing::Sealer;
use crate::store::sqlite::SqliteStore;
use crate::store::{EventQuery, NewRun, Store, StoredRun};
use crate::token::StepTokens;

/// A pipeline `p` with a secret, a matrix and a step that can be skipped.
pub(super) const PIPELINE: &str = r#"name: p
parameters:
  n: { type: integer, default: 1, aliases: [count] }
  go: { type: boolean, default: true }
  list: { type: array, items: { type: integer }, default: [1, 2] }
  remote: { type: string, from: { env: { from: first, name: A } } }
  token: { type: string, secret: true, override: run, from: { env: { from: second, name: B } } }
  header: { type: string, from: { template: "Bearer {{ params.token }}" } }
presets: { quick: { n: 9 } }
steps:
  - { name: main, params: [n, remote, token], run: [echo, "{{ params.n }}"], env: { H: "{{ params.header }}" } }
  - { name: each, needs: [main], matrix: { i: params.list }, env: { H: "{{ params.header }}{{ matrix.i }}" } }
  - { name: rest, when: params.go, params: [token] }
  - { name: open, params: [n] }
"#;

/// What is in a policy file that allows everything.
pub(super) const ALL: &str = "permit (principal, action, resource);";

/// An engine, and where it keeps things.
pub(super) struct Bench {
    pub(super) engine: Arc<Engine>,
    pub(super) store: Arc<dyn Store>,
    pub(super) folder: TempDir,
}

impl Bench {
    /// Over [`PIPELINE`] and these sources, with everything allowed.
    pub(super) fn new(sources: Sources) -> Self {
        Self::under(ALL, sources)
    }

    /// The same under these policies.
    pub(super) fn under(policies: &str, sources: Sources) -> Self {
        Self::over(
            &[
                ("pipelines/p.yaml", PIPELINE),
                ("environments/prod.yaml", "{}\n"),
                ("policies/own.cedar", policies),
            ],
            sources,
        )
    }

    /// Over a configuration of these files.
    pub(super) fn over(files: &[(&str, &str)], sources: Sources) -> Self {
        Self::open(TempDir::new().unwrap(), files, sources)
    }

    /// The same store and keys after its store was closed, with sources that fail.
    pub(super) fn again(self) -> Self {
        let Self { engine, store, folder } = self;
        drop((engine, store));
        let files = [
            ("pipelines/p.yaml", PIPELINE),
            ("environments/prod.yaml", "{}\n"),
            ("policies/own.cedar", ALL),
        ];
        Self::open(folder, &files, Sources::new())
    }

    /// Over what is in a folder already.
    pub(super) fn open(folder: TempDir, files: &[(&str, &str)], sources: Sources) -> Self {
        Self::open_with(folder, files, sources, |_| {})
    }

    /// The same, with a look at the writer's connection first.
    pub(super) fn open_with(
        folder: TempDir,
        files: &[(&str, &str)],
        sources: Sources,
        prepare: impl FnOnce(&mut rusqlite::Connection),
    ) -> Self {
        let give_up = Box::new(|| panic!("the disk failed"));
        let path = folder.path().join("paramd.db");
        let store = SqliteStore::open_with(&path, give_up, prepare).unwrap();
        let store: Arc<dyn Store> = Arc::new(store);
        let engine = Engine::new(
            in_force(files, sources),
            store.clone(),
            Sealer::new(SealingKey::load_or_create(&folder.path().join("s.key")).unwrap()),
            crate::store::fingerprint::Fingerprints::new(
                &FingerprintKey::load_or_create(&folder.path().join("f.key")).unwrap(),
            ),
            StepTokens::new(TokenKey::load_or_create(&folder.path().join("t.key")).unwrap()),
        );
        Self { engine: Arc::new(engine), store, folder }
    }

    pub(super) async fn resolve(
        &self,
        uid: u32,
        request: ResolveRequest,
    ) -> Result<Resolved, Refusal> {
        self.engine.resolve(&caller(uid), request).await
    }

    pub(super) async fn reveal(
        &self,
        uid: u32,
        step: &str,
        instance: Option<u32>,
        names: &[&str],
    ) -> Result<Revealed, Refusal> {
        let request = RevealRequest {
            run: run("r"),
            step: step.into(),
            instance,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            all: names.is_empty(),
            form: crate::envelope::Form::Plain,
            problems: Vec::new(),
        };
        self.engine.reveal(&caller(uid), request).await
    }

    /// Asks for a context; the answer is how many instances it has.
    pub(super) async fn context(
        &self,
        uid: u32,
        step: &str,
        instance: Option<u32>,
    ) -> Result<bytes::Bytes, Refusal> {
        match self.poll(uid, step, instance, "").await? {
            ContextAnswer::Whole(bytes) => Ok(bytes),
            ContextAnswer::NotModified { .. } => panic!("nobody has an etag that is empty"),
        }
    }

    /// The same with an etag, which is that of the step for whoever sees
    /// fingerprints or doesn't.
    pub(super) async fn poll(
        &self,
        uid: u32,
        step: &str,
        instance: Option<u32>,
        if_none_match: &str,
    ) -> Result<ContextAnswer, Refusal> {
        let if_none_match = if_none_match.to_owned();
        let request = ContextRequest { run: run("r"), step: step.into(), instance, if_none_match };
        let encode = |view: &super::ContextView<'_>| {
            let count = u8::try_from(view.step.instances.len()).unwrap();
            let answer = bytes::Bytes::from(vec![count, u8::from(view.fingerprints)]);
            let etag = format!("{} {}", view.step.name, view.fingerprints).into();
            Ok(EncodedAnswer { etag, answer })
        };
        self.engine.context(&caller(uid), request, &encode).await
    }

    /// All events so far, oldest first.
    pub(super) fn events(&self) -> Vec<Event> {
        let query = EventQuery { limit: 10_000, ..EventQuery::default() };
        self.store.events(&query).unwrap().events
    }

    /// The events as `ACTION OUTCOME REASON`, once all are on disk.
    pub(super) async fn told(&self) -> Vec<String> {
        self.settle().await;
        let events = self.events();
        events.iter().map(line).collect()
    }

    /// Waits until what is to be durable soon is.
    pub(super) async fn settle(&self) {
        self.store.record(Vec::new()).await.unwrap();
    }
}

pub(super) fn line(event: &Event) -> String {
    let draft = &event.draft;
    format!("{:?} {:?} {}", draft.action, draft.outcome, draft.reason).trim_end().to_owned()
}

/// A bundle in force, with sources of the test.
pub(super) fn in_force(files: &[(&str, &str)], sources: Sources) -> InForce {
    let Compiled { plans, policies, .. } = compile(files);
    let policies: Policies = policies;
    InForce {
        plans,
        policies,
        sources,
        maximum_lifetime: Duration::from_hours(1),
        resolve_timeout: Duration::from_secs(20),
        limits: crate::definition::settings::Limits::default(),
    }
}

pub(super) fn caller(uid: u32) -> Caller {
    Caller::new(Principal::unix_user(uid), String::new())
}

pub(super) fn run(run_id: &str) -> RunSelector {
    RunSelector { pipeline: "p".into(), run_id: run_id.into(), attempt: 0 }
}

/// Asks to resolve the run `r` with these texts.
pub(super) fn request(texts: &[(&str, &str)]) -> ResolveRequest {
    let text: BTreeMap<_, _> =
        texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    ResolveRequest {
        run: run("r"),
        environment: "dev".into(),
        preset: String::new(),
        overrides: Overrides { text, ..Overrides::default() },
        logical_date: None,
        mode: None,
        labels: BTreeMap::new(),
        lifetime: None,
        expected_revision: String::new(),
        problems: Vec::new(),
    }
}

/// Asks for the first page of all events.
pub(super) fn page(size: i32) -> EventsRequest {
    EventsRequest { page: PageRequest { size, token: String::new() }, ..EventsRequest::default() }
}

/// A run as it is kept ready, whose record had so many bytes.
pub(super) fn loaded(run_id: &str, record_bytes: usize) -> LoadedRun {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let environment: EnvironmentName = "dev".parse().unwrap();
    let frozen = NewRun {
        key: RunKey { run_id: run_id.parse().unwrap(), ..crate::resolve::testing::key() },
        environment: environment.clone(),
        preset: None,
        owner: Principal::unix_user(1),
        revision: String::new(),
        bundle: String::new(),
        logical_date: None,
        mode: None,
        labels: BTreeMap::new(),
        created: now,
        expires: now,
        record: Vec::new(),
        sealed: Vec::new(),
    };
    let snapshot = Snapshot {
        format: FORMAT,
        parameters: BTreeMap::new(),
        steps: Vec::new(),
        warnings: Vec::new(),
        secret_origins: BTreeMap::new(),
    };
    let request = FrozenRequest {
        environment,
        preset: String::new(),
        logical_date: None,
        overrides: BTreeMap::new(),
        fingerprint_key: String::new(),
    };
    let origin = Origin { attempt: 1, started: now };
    LoadedRun::new(
        Arc::new(StoredRun { frozen, end: None }),
        Record { snapshot, request, interface: Arc::default(), plan: None, origin },
        bytes::Bytes::new(),
        record_bytes,
    )
}
