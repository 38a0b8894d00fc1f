//! Step tokens: good for one step of one run, in the hands of their holder.

use std::time::Duration;

use aws_lc_rs::digest;
use paramd::envelope::{About, OwnKey};
use paramd::proto::v1::mint_step_token_request::Holder;
use paramd::proto::v1::reveal_secrets_response::Secrets;
use paramd::proto::v1::{
    Action, EventOutcome, GetContextRequest, ListRunsRequest, MintStepTokenRequest, PrincipalKind,
    Recipient, RevealSecretsRequest, RunName, RunOutcome, SealedSecrets, SealingSuite,
    SecretPayload,
};
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tonic::{Request, Status};

use super::{House, tcp};
use crate::support::client::{Client, resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::check_reason;
use crate::support::step_token::{Executor, mint, shown, with_proof};
use crate::support::wait_until;

const PIPELINE: &str = r#"name: small
parameters:
  token: { type: string, secret: true, from: { file: { path: token } } }
  other: { type: string, secret: true, from: { file: { path: other } } }
steps:
  - { name: go, params: [token], run: [echo] }
  - { name: eval, params: [other], run: [echo], when: "'a' == 'a'" }
  - { name: never, params: [other], run: [echo], when: "'a' == 'b'" }
"#;

const SOURCES: &str = r#"  local: { file: { root: files }, grants: [{ pipelines: ["*"], paths: ["*"] }] }
"#;

const TOKEN: &str = "secret-of-go-55c1";
const OTHER: &str = "secret-of-eval-9d21";

/// Who resolves may delegate, and may not reveal.
const POLICY: &str = r#"@id("team") permit (principal, action in [Paramd::Action::"resolve",
    Paramd::Action::"read", Paramd::Action::"delegate", Paramd::Action::"complete",
    Paramd::Action::"audit"], resource);
"#;

fn config(policy: &str) -> Config {
    let config = Config::new(SOURCES, "small", PIPELINE);
    config.write_secret("files/token", TOKEN);
    config.write_secret("files/other", OTHER);
    config.write("policies/all.cedar", policy);
    config
}

async fn open(config: &Config) -> Daemon {
    Launch::plain(&config.path, config.around()).start().await
}

/// A daemon with a run, by whoever may delegate.
async fn with_run(config: &Config) -> (Daemon, Client, RunName) {
    let daemon = open(config).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    (daemon, client, run("small", "a"))
}

fn reveal(run: &RunName, step: &str, own: Option<&OwnKey>) -> RevealSecretsRequest {
    RevealSecretsRequest {
        run: Some(run.clone()),
        step: step.into(),
        all: true,
        recipient: own.map(|own| Recipient {
            suite: SealingSuite::X25519Chacha20Poly1305.into(),
            public_key: own.public().to_vec(),
        }),
        ..RevealSecretsRequest::default()
    }
}

fn context(run: &RunName, step: &str) -> GetContextRequest {
    GetContextRequest { run: Some(run.clone()), step: step.into(), ..GetContextRequest::default() }
}

/// An executor with a token and a key to seal to.
struct Held {
    executor: Executor,
    own: OwnKey,
    token: String,
}

impl Held {
    async fn mint(client: &Client, run: &RunName, step: &str) -> Self {
        let executor = Executor::new();
        let minted = mint(client, run, step, executor.holder(), 0).await.unwrap();
        Self { executor, own: OwnKey::generate().unwrap(), token: minted.token }
    }

    async fn reveal(&self, client: &Client, run: &RunName, step: &str) -> Result<Secrets, Status> {
        let message = reveal(run, step, Some(&self.own));
        let recipient = self.own.public();
        let request = self.executor.show(&self.token, "RevealSecrets", recipient, message);
        let answer = client.context.clone().reveal_secrets(request).await?;
        Ok(answer.into_inner().secrets.unwrap())
    }

    async fn context(&self, client: &Client, run: &RunName, step: &str) -> Result<(), Status> {
        let request = self.executor.show(&self.token, "GetContext", &[], context(run, step));
        client.context.clone().get_context(request).await.map(|_| ())
    }

    fn opened(&self, sealed: &SealedSecrets, step: &str) -> Vec<String> {
        let about = About {
            pipeline: "small".into(),
            run_id: "a".into(),
            attempt: sealed.attempt,
            step: step.into(),
            instance: None,
        };
        let mut opening = self.own.begin(&sealed.encapsulated_key).unwrap();
        let one = |secret: &paramd::proto::v1::SealedSecret| {
            let plain = opening.open(&about, &secret.name, &secret.ciphertext).unwrap();
            String::from_utf8(SecretPayload::decode(plain.expose()).unwrap().data).unwrap()
        };
        sealed.secrets.iter().map(one).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_token_reads_and_reveals_its_step_and_nothing_else() {
    let config = config(POLICY);
    let (daemon, client, a) = with_run(&config).await;
    let b = run("small", "b");
    client.resolve(resolve("small", "b")).await.unwrap();
    let held = Held::mint(&client, &a, "go").await;
    assert!(held.token.starts_with("paramd_step_") && held.token.len() == 76);
    // The attempt left out is the token's own.
    for attempt in [0, 1] {
        let a = RunName { attempt, ..a.clone() };
        held.context(&client, &a, "go").await.unwrap();
        let Secrets::Sealed(sealed) = held.reveal(&client, &a, "go").await.unwrap() else {
            panic!("the answer is plain");
        };
        assert_eq!(held.opened(&sealed, "go"), [TOKEN]);
    }
    for (run, step) in [(&a, "eval"), (&b, "go"), (&a, "absent"), (&run("other", "a"), "go")] {
        check_reason(&held.context(&client, run, step).await.unwrap_err(), "ACCESS_DENIED");
        check_reason(&held.reveal(&client, run, step).await.unwrap_err(), "ACCESS_DENIED");
    }
    let second = RunName { attempt: 2, ..a.clone() };
    check_reason(&held.context(&client, &second, "go").await.unwrap_err(), "ACCESS_DENIED");
    check_reason(&held.reveal(&client, &second, "go").await.unwrap_err(), "ACCESS_DENIED");
    let again = MintStepTokenRequest {
        run: Some(a.clone()),
        step: "go".into(),
        holder: Some(held.executor.holder()),
        lifetime: None,
    };
    let again = held.executor.show(&held.token, "MintStepToken", &[], again);
    let status = client.runs.clone().mint_step_token(again).await.unwrap_err();
    check_reason(&status, "ACCESS_DENIED");
    let listed = held.executor.show(&held.token, "ListRuns", &[], ListRunsRequest::default());
    let listed = client.runs.clone().list_runs(listed).await.unwrap().into_inner();
    assert!(listed.runs.is_empty(), "lists leave out what may not be seen");
    // The uid itself may not reveal.
    let plain = client.reveal_all(&a, "go", None).await.unwrap_err();
    check_reason(&plain, "ACCESS_DENIED");

    let events = client.events().await;
    let uid = format!("uid:{}", rustix::process::geteuid().as_raw());
    let minted = events.iter().find(|event| event.action() == Action::Delegate).unwrap();
    assert_eq!(minted.principal.as_ref().unwrap().name, uid);
    assert_eq!((minted.step.as_str(), &minted.policy_ids), ("go", &vec!["team".to_owned()]));
    let revealed = events.iter().find(|event| event.action() == Action::Reveal).unwrap();
    let principal = revealed.principal.as_ref().unwrap();
    assert_eq!(principal.name, format!("step-token:{uid}"));
    assert_eq!(principal.kind(), PrincipalKind::StepToken);
    assert_eq!(revealed.policy_ids, ["step-token"]);
    assert!(revealed.sealed && revealed.outcome() == EventOutcome::Succeeded);
    for trace in [daemon.log(), format!("{events:?}")] {
        assert!(!trace.contains(&held.token[12..]));
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_holders_proof_a_token_is_none() {
    let config = config(POLICY);
    let (daemon, client, a) = with_run(&config).await;
    let held = Held::mint(&client, &a, "go").await;
    let Held { executor, own, token } = &held;
    let (stranger, thief) = (Executor::new(), OwnKey::generate().unwrap());
    let good = |rpc: &str, recipient: &[u8], shift| executor.proof(token, rpc, recipient, shift);
    let ask = async |request: Request<RevealSecretsRequest>| {
        client.context.clone().reveal_secrets(request).await
    };
    let message = || reveal(&a, "go", Some(own));
    let mut twice = with_proof(token, &good("RevealSecrets", own.public(), 0), message());
    let second = good("RevealSecrets", own.public(), 0).parse().unwrap();
    twice.metadata_mut().append("paramd-proof", second);
    let with = |proof: &str, message| with_proof(token, proof, message);
    for (what, request) in [
        ("no proof", shown(token, message())),
        ("two proofs", twice),
        ("another's", with(&stranger.proof(token, "RevealSecrets", own.public(), 0), message())),
        ("of another rpc", with(&good("GetContext", own.public(), 0), message())),
        ("of no recipient", with(&good("RevealSecrets", &[], 0), message())),
        ("old", with(&good("RevealSecrets", own.public(), -70), message())),
        ("of the future", with(&good("RevealSecrets", own.public(), 70), message())),
        ("no form of one", with("hunter2", message())),
        // Who takes a request on its way can't have the answer sealed to himself.
        (
            "to a thief",
            with(&good("RevealSecrets", own.public(), 0), reveal(&a, "go", Some(&thief))),
        ),
        ("to all", with(&good("RevealSecrets", own.public(), 0), reveal(&a, "go", None))),
    ] {
        let status = ask(request).await.expect_err(what);
        check_reason(&status, "UNAUTHENTICATED");
    }
    // In plain it doesn't leave, were the proof for that.
    let plain = executor.show(token, "RevealSecrets", &[], reveal(&a, "go", None));
    check_reason(&ask(plain).await.unwrap_err(), "SEALING_REQUIRED");
    let log = daemon.log();
    assert!(log.contains("step token without its holder's proof"), "{log}");
    assert!(!log.contains("hunter2"));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_time_and_with_its_run() {
    let config = config(POLICY);
    let (daemon, client, a) = with_run(&config).await;
    let held = Held::mint(&client, &a, "go").await;
    let executor = Executor::new();
    let short = mint(&client, &a, "go", executor.holder(), 1).await.unwrap();
    let short = Held { executor, own: OwnKey::generate().unwrap(), token: short.token };
    short.context(&client, &a, "go").await.unwrap();
    let status = wait_until("the token expires", Duration::from_secs(10), async || {
        short.context(&client, &a, "go").await.err()
    })
    .await;
    check_reason(&status, "UNAUTHENTICATED");
    // A restart forgets no token.
    daemon.stop();
    let daemon = open(&config).await;
    let client = daemon.client().await;
    held.reveal(&client, &a, "go").await.unwrap();
    client.complete(&a, RunOutcome::Succeeded).await.unwrap();
    for status in [
        held.reveal(&client, &a, "go").await.unwrap_err(),
        held.context(&client, &a, "go").await.unwrap_err(),
    ] {
        check_reason(&status, "UNAUTHENTICATED");
    }
    let status = mint(&client, &a, "go", held.executor.holder(), 0).await.unwrap_err();
    check_reason(&status, "RUN_ENDED");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_delegated_is_refused() {
    let config = config(POLICY);
    let (daemon, client, a) = with_run(&config).await;
    let holder = || Executor::new().holder();
    let status = mint(&client, &a, "absent", holder(), 0).await.unwrap_err();
    check_reason(&status, "STEP_NOT_FOUND");
    check_reason(&mint(&client, &a, "never", holder(), 0).await.unwrap_err(), "STEP_SKIPPED");
    let status = mint(&client, &run("small", "z"), "go", holder(), 0).await.unwrap_err();
    check_reason(&status, "RUN_NOT_FOUND");
    for (holder, lifetime, field) in [
        (Holder::PublicKey(vec![1; 31]), 0, "public_key"),
        (Holder::CertificateSha256(Vec::new()), 0, "certificate_sha256"),
        (holder(), 3_601, "lifetime"),
    ] {
        let status = mint(&client, &a, "go", holder, lifetime).await.unwrap_err();
        let problem = check_reason(&status, "INVALID_REQUEST");
        assert_eq!(problem.violations[0].field, field);
    }
    let nobody = MintStepTokenRequest {
        run: Some(a.clone()),
        step: "go".into(),
        holder: None,
        lifetime: None,
    };
    let status = client.runs.clone().mint_step_token(nobody).await.unwrap_err();
    assert_eq!(check_reason(&status, "INVALID_REQUEST").violations[0].field, "holder");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_resolve_can_not_delegate() {
    let config = config(&POLICY.replace("Paramd::Action::\"delegate\",", ""));
    let (daemon, client, a) = with_run(&config).await;
    let holder = Executor::new().holder();
    let status = mint(&client, &a, "go", holder, 0).await.unwrap_err();
    check_reason(&status, "ACCESS_DENIED");
    let ended = paramd(["run", "small", "--run-id", "b"]).at(&daemon).ended();
    ended.says(&["a policy has to permit the action `delegate` on it"]);
    ended.hides(&[TOKEN, OTHER]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_certificate_is_good_where_that_is_shown() {
    let house = House::new();
    let daemon = house.open().await;
    let local = daemon.client().await;
    let a = run("small", "a");
    local.resolve(resolve("small", "a")).await.unwrap();
    let own = house.authority.client("executor", None);
    let other = house.authority.client("other", None);
    let der = CertificateDer::from_pem_file(&own.certificate).unwrap();
    let print = digest::digest(&digest::SHA256, &der).as_ref().to_vec();
    let minted = mint(&local, &a, "go", Holder::CertificateSha256(print), 0).await.unwrap();
    let ask = async |client: &Client| {
        let request = shown(&minted.token, reveal(&a, "go", None));
        client.context.clone().reveal_secrets(request).await
    };
    let endpoint = tcp(&daemon);
    let holder = house.client(&endpoint, Some(&own)).await;
    let answer = ask(&holder).await.unwrap().into_inner();
    assert!(matches!(answer.secrets, Some(Secrets::Plain(_))));
    for client in
        [local, house.client(&endpoint, Some(&other)).await, house.client(&endpoint, None).await]
    {
        check_reason(&ask(&client).await.unwrap_err(), "UNAUTHENTICATED");
    }
    // An executor with such a token runs its step with it.
    let file = house.config.path.join("step-token");
    std::fs::write(&file, &minted.token).unwrap();
    let ended = paramd([
        "exec",
        "--run",
        "small/a",
        "--step",
        "go",
        "--",
        "sh",
        "-c",
        "test -n \"$TOKEN\"",
    ])
    .env("PARAMD_ENDPOINT", &endpoint)
    .env("PARAMD_CA", super::text(&house.ca()))
    .env("PARAMD_CERTIFICATE", super::text(&own.certificate))
    .env("PARAMD_KEY", super::text(&own.key))
    .env("PARAMD_TOKEN_FILE", super::text(&file));
    ended.ok();
    daemon.stop();
}

/// Shows all that the step was given: arguments, variables, descriptors, files.
const LOOK: &str = r#"
import os, subprocess, sys
given = [" ".join(sys.argv)] + [f"{k}={v}" for k, v in os.environ.items()]
for fd in range(3, 256):
    try:
        given.append("fd " + os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
folder = os.environ.get("PARAMD_FILES")
for name in os.listdir(folder) if folder else []:
    given.append(open(os.path.join(folder, name), errors="replace").read())
open(os.environ["REPORT"], "w").write("\n".join(given))
tried = subprocess.run(
    [os.environ["TOOL"], "--endpoint", os.environ["WHERE"], "reveal", "small/a",
     "eval", "other"],
    capture_output=True, text=True)
open(os.environ["REPORT"] + ".tried", "w").write(f"{tried.returncode}\n{tried.stdout}\n{tried.stderr}")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_can_not_reveal_anothers_secret_with_anything_it_was_given() {
    // The runner is known by a token; its uid, which is the step's too, may do nothing.
    let config = config(&format!("{POLICY}{FORBID_UIDS}"));
    let script = config.path.join("look.py");
    std::fs::write(&script, LOOK).unwrap();
    let looks = format!(
        "run: [python3, {}], env: {{ OWN: \"{{{{ params.token }}}}\" }},\n      \
         files: {{ own: {{ template: \"{{{{ params.token }}}}\" }} }}",
        script.display()
    );
    config.replace("pipelines/small.yaml", &[("params: [token], run: [echo]", &looks)]);
    let daemon = open(&config).await;
    let made = paramd(["token", "create", "ci", "--config", config.path.to_str().unwrap()]).ok();
    let (token, report) = (made.out.trim(), config.path.join("report"));
    let ended = paramd(["run", "small", "--run-id", "a"])
        .at(&daemon)
        .env("PARAMD_TOKEN", token)
        .env("REPORT", report.to_str().unwrap())
        .env("TOOL", env!("CARGO_BIN_EXE_paramd"))
        .env("WHERE", &daemon.endpoint());
    ended.ok();
    let given = std::fs::read_to_string(&report).unwrap();
    assert!(given.contains(&format!("OWN={TOKEN}")), "its own secret is there: {given}");
    assert_eq!(given.matches(TOKEN).count(), 2, "in its variable and its file");
    for kept in ["paramd_step_", "paramd_token_", &token[13..], OTHER, "socket:"] {
        assert!(!given.contains(kept), "{kept} is among what the step was given: {given}");
    }
    let tried = std::fs::read_to_string(config.path.join("report.tried")).unwrap();
    assert!(tried.starts_with("4\n"), "denied: {tried}");
    assert!(!tried.contains(OTHER));
    daemon.stop();
}

const FORBID_UIDS: &str = r#"@id("no-uids") forbid (principal, action, resource)
when { principal.kind == "unix_user" };
"#;
