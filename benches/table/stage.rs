//! The daemon and what it is asked for.

use std::path::PathBuf;
use std::sync::LazyLock;

use paramd::envelope::OwnKey;
use paramd::proto::v1::{
    GetContextRequest, Recipient, ResolveRunRequest, RevealSecretsRequest, RunName, SealingSuite,
};
use prost::Message as _;
use tempfile::TempDir;

use crate::load::{Target, framed};
use crate::support::client::{self, Client};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};

/// Thirty small parameters, six of them secret; a command of six words and two
/// variables. As in the table of sizes of the contract.
const THIRTY: &str = r#"name: thirty
parameters:
@LITERALS@@SECRETS@steps:
  - name: main
    params: [@NAMES@]
    run: [python, train.py, "--epochs", "{{ params.p01 }}", "--name", "{{ params.p20 }}"]
    env: { NAME: "{{ params.p21 }}", TOKEN: "{{ params.s1 }}" }
"#;

/// Five secrets of 32 bytes.
const FIVE: &str = "name: five
parameters:
@SECRETS@steps:
  - name: main
    params: [@NAMES@]
";

/// A few rules, as an operator would write them.
pub(crate) const POLICIES: &str = r#"
permit (principal, action in [Paramd::Action::"explain", Paramd::Action::"read"], resource);
permit (
    principal,
    action in [Paramd::Action::"resolve", Paramd::Action::"complete", Paramd::Action::"reveal"],
    resource
) when { principal.kind == "unix_user" };
forbid (principal, action == Paramd::Action::"reveal", resource)
    when { context has environment && context.environment == "prod" };
permit (principal == Paramd::Principal::"uid:0", action == Paramd::Action::"audit", resource);
"#;

/// What follows the sources in `paramd.yaml`: limits that are looked at as ever,
/// and that one principal who asks as fast as he can doesn't reach.
pub(crate) const LIMITS: &str =
    "limits: { principal: { requests: 1000000, reveals: 1000000, new_runs: 1000000 } }\n";

/// A daemon with the pipelines `thirty` and `five`, which need no server.
pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) client: Client,
    /// Requests and answers, for clients and baselines that are told by files.
    pub(crate) folder: TempDir,
    config: Config,
}

/// A daemon that was started on such a configuration.
pub(crate) struct Running {
    pub(crate) daemon: Daemon,
    pub(crate) client: Client,
}

/// Starts a daemon with what the six secrets are.
pub(crate) async fn start(config: &Config) -> Running {
    launched(Launch::plain(&config.path, config.around())).await
}

async fn launched(mut launch: Launch) -> Running {
    for index in 1..=6 {
        launch = launch.env(&format!("S{index}"), &index.to_string().repeat(32));
    }
    let daemon = launch.start().await;
    let client = daemon.client().await;
    Running { daemon, client }
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::under(POLICIES).await
    }

    /// With these policies.
    pub(crate) async fn under(policies: &str) -> Self {
        Self::with(policies, |launch| launch).await
    }

    /// With a daemon that is this program, whose allocator wipes nothing.
    pub(crate) async fn unwiped() -> Self {
        Self::with(POLICIES, |launch| {
            let program = std::env::current_exe().unwrap();
            let launch = launch.env("UNWIPED", program.to_str().unwrap());
            Launch { before: "shift; set -- \"$UNWIPED\" paramd \"$@\"; ", ..launch }
        })
        .await
    }

    async fn with(policies: &str, change: impl FnOnce(Launch) -> Launch) -> Self {
        let names: Vec<_> = (1..=6).map(|number| format!("S{number}")).collect();
        let sources = format!(
            "  settings: {{ env: {{ names: [{}] }}, grants: [{{ pipelines: [\"*\"] }}] }}\n{LIMITS}",
            names.join(", ")
        );
        let config = Config::new(&sources, "thirty", &pipeline(THIRTY, 24, 6));
        config.write("pipelines/five.yaml", pipeline(FIVE, 0, 5));
        config.write("policies/all.cedar", policies);
        let launch = change(Launch::plain(&config.path, config.around()));
        let Running { daemon, client } = launched(launch).await;
        for pipeline in ["thirty", "five"] {
            client.resolve(client::resolve(pipeline, "run-1")).await.unwrap();
        }
        let stage = Self { daemon, client, folder: TempDir::new().unwrap(), config };
        stage.write_answers().await;
        stage
    }

    /// Ends the daemon; its configuration and store stay.
    pub(crate) fn stop(self) -> Config {
        self.daemon.stop();
        self.config
    }

    async fn write_answers(&self) {
        let seen = self.client.context.clone().get_context(context()).await.unwrap();
        self.write("context.bin", &seen.into_inner().encode_to_vec());
        let resolved = self.client.resolve(resolve()).await.unwrap();
        self.write("resolved.bin", &resolved.encode_to_vec());
        let revealed = self.client.context.clone().reveal_secrets(reveal()).await.unwrap();
        self.write("revealed.bin", &revealed.into_inner().encode_to_vec());
        let answer = self.client.context.clone().reveal_secrets(sealed()).await.unwrap();
        self.write("sealed.bin", &answer.into_inner().encode_to_vec());
        self.write("contract.bin", paramd::proto::DESCRIPTORS);
        let requests = [
            ("context", context().encode_to_vec()),
            ("resolve", resolve().encode_to_vec()),
            ("reveal", reveal().encode_to_vec()),
            ("sealed", sealed().encode_to_vec()),
        ];
        for (name, message) in requests {
            self.write(&format!("{name}.frame"), &framed(&message));
            self.write(&format!("{name}.message"), &message);
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The bytes of an answer in its frame.
    pub(crate) fn framed_bytes(&self, name: &str) -> usize {
        usize::try_from(std::fs::metadata(self.path(name)).unwrap().len()).unwrap() + 5
    }

    pub(crate) fn target(&self) -> Target<'_> {
        Target { socket: self.daemon.socket(), pid: self.daemon.pid() }
    }
}

fn pipeline(text: &str, literals: usize, secrets: usize) -> String {
    let mut all = Vec::new();
    let mut literal = String::new();
    for number in 1..=literals {
        let name = format!("p{number:02}");
        let declared = match number % 3 {
            0 => format!("type: boolean, default: {}", number % 2 == 0),
            1 => format!("type: integer, default: {number}"),
            _ => format!("type: string, default: value-{number}"),
        };
        literal += &format!("  {name}: {{ {declared} }}\n");
        all.push(name);
    }
    let mut secret = String::new();
    for number in 1..=secrets {
        secret += &format!(
            "  s{number}: {{ type: string, secret: true, from: {{ env: {{ from: settings, name: S{number} }} }} }}\n"
        );
        all.push(format!("s{number}"));
    }
    text.replace("@LITERALS@", &literal)
        .replace("@SECRETS@", &secret)
        .replace("@NAMES@", &all.join(", "))
}

fn run(pipeline: &str) -> RunName {
    RunName { attempt: 1, ..client::run(pipeline, "run-1") }
}

/// Asks for the context of `thirty`.
pub(crate) fn context() -> GetContextRequest {
    GetContextRequest {
        run: Some(run("thirty")),
        step: "main".into(),
        ..GetContextRequest::default()
    }
}

/// The request that `thirty` was resolved with.
pub(crate) fn resolve() -> ResolveRunRequest {
    client::resolve("thirty", "run-1").into()
}

/// Asks for all secrets of `five`.
pub(crate) fn reveal() -> RevealSecretsRequest {
    RevealSecretsRequest {
        run: Some(run("five")),
        step: "main".into(),
        all: true,
        ..RevealSecretsRequest::default()
    }
}

/// The same, sealed to a key that nobody has to open with.
pub(crate) fn sealed() -> RevealSecretsRequest {
    static KEY: LazyLock<OwnKey> = LazyLock::new(|| OwnKey::generate().unwrap());
    let recipient = Some(Recipient {
        suite: SealingSuite::X25519Chacha20Poly1305.into(),
        public_key: KEY.public().to_vec(),
    });
    RevealSecretsRequest { recipient, ..reveal() }
}
