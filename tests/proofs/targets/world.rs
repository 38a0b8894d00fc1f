//! What the other targets stand on: plans, and a daemon in this process.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use paramd::engine::{Engine, InForce};
use paramd::load::{Compiled, load};
use paramd::plan::Plan;
use paramd::resolve::fetch::Sources;
use paramd::server::{Bearers, BoundListener, Limits, serve};
use paramd::source::{Answer, Pending, Raw, Read, Source, SourceError};
use paramd::store::Store;
use paramd::store::fingerprint::Fingerprints;
use paramd::store::keys::{FingerprintKey, SealingKey, TokenKey};
use paramd::store::sealing::Sealer;
use paramd::store::sqlite::SqliteStore;
use paramd::token::{StepTokens, Tokens};
use paramd::yaml::diagnostic::lines;
use tonic::transport::{Channel, Endpoint};

const SETTINGS: &str =
    "sources: { e: { env: { names: [TOKEN, REGION] }, grants: [{ pipelines: [\"*\"] }] } }\n";
const PERMIT_ALL: &str = "permit (principal, action, resource);\n";

/// What a pipeline `p` of these parameters and steps compiles to.
fn compiled(folder: &Path, body: &str) -> Compiled {
    for below in ["pipelines", "environments", "policies"] {
        std::fs::create_dir_all(folder.join(below)).unwrap();
    }
    for (path, text) in [
        ("paramd.yaml", SETTINGS),
        ("environments/dev.yaml", "{}\n"),
        ("environments/prod.yaml", "{}\n"),
        ("policies/all.cedar", PERMIT_ALL),
        ("pipelines/p.yaml", &format!("name: p\n{body}")),
    ] {
        std::fs::write(folder.join(path), text).unwrap();
    }
    let loaded = load(folder);
    let told = lines(&loaded.problems, &loaded.files);
    assert!(!loaded.problems.has_errors(), "{told:#?}");
    loaded.compiled.unwrap()
}

/// The plan of `p` in `dev`.
pub(super) fn plan(body: &str) -> Arc<Plan> {
    let folder = crate::cases::folder();
    compiled(folder.path(), body).plans.plan("p", "dev").unwrap().clone()
}

/// A secret that the daemon has and that nothing may tell.
pub(crate) const SECRET: &str = "Zq!hunter2-of-the-world";

struct Variables;

impl Source for Variables {
    fn read<'a>(&'a self, _: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        let raw = Raw::Text(SECRET.to_owned());
        Box::pin(std::future::ready(Ok(Answer::Found { raw, version: None })))
    }
}

/// A daemon in this process, behind a socket.
pub(super) struct Daemon {
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) channel: Channel,
    pub(super) store: Arc<dyn Store>,
    /// Opens what the daemon seals.
    pub(super) sealer: Sealer,
    _folder: tempfile::TempDir,
}

pub(super) static DAEMON: LazyLock<Daemon> = LazyLock::new(Daemon::start);

impl Daemon {
    fn start() -> Self {
        let folder = crate::cases::folder();
        let at = |name: &str| folder.path().join(name);
        let compiled = compiled(folder.path(), include_str!("seeds/served.yaml"));
        let give_up = Box::new(|| panic!("the disk failed"));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&at("paramd.db"), give_up).unwrap());
        let sealer = || Sealer::new(SealingKey::load_or_create(&at("s.key")).unwrap());
        let key = FingerprintKey::load_or_create(&at("f.key")).unwrap();
        let variables: Arc<dyn Source> = Arc::new(Variables);
        let uid = std::fs::metadata(folder.path()).unwrap().uid();
        let in_force = InForce {
            plans: compiled.plans,
            policies: compiled.policies.with_dev_user(uid),
            sources: Sources::from([("e".parse().unwrap(), variables)]),
            maximum_lifetime: Duration::from_secs(3_600),
            resolve_timeout: Duration::from_secs(20),
            limits: paramd::definition::settings::Limits::default(),
        };
        let step_tokens = StepTokens::new(TokenKey::load_or_create(&at("t.key")).unwrap());
        let fingerprints = Fingerprints::new(&key);
        let engine =
            Arc::new(Engine::new(in_force, store.clone(), sealer(), fingerprints, step_tokens));
        let tokens = Arc::new(Tokens::new(at("tokens.yaml"), at("t.key")));
        let bearers = Bearers { tokens, issuers: Arc::default() };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let socket = at("run/s");
        let channel = runtime.block_on(async {
            let listener = BoundListener::unix(&socket).await.unwrap();
            let (health, current) = tokio::sync::watch::channel(true);
            tokio::spawn(async move {
                let _health = health;
                let forever = std::future::pending();
                serve(engine, bearers, vec![listener], current, Limits::default(), forever).await
            });
            let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
            endpoint.connect().await.unwrap()
        });
        Self { runtime, channel, store, sealer: sealer(), _folder: folder }
    }
}
