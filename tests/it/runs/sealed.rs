//! Answers sealed to the caller's key: what is on the way, and what opens it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use paramd::envelope::{About, OwnKey};
use paramd::proto::v1::reveal_secrets_response::Secrets;
use paramd::proto::v1::{
    Action, Recipient, RevealSecretsRequest, SealedSecrets, SealingSuite, SecretEncoding,
    SecretPayload,
};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::small;
use crate::support::client::{Client, channel, resolve, run};
use crate::support::command::paramd;
use crate::support::daemon::Launch;
use crate::support::status::{Problem, check_reason};

const TOKEN: &str = "tok-0d7c5be1a49f4b5c88aa";

fn asked(suite: i32, public_key: &[u8]) -> RevealSecretsRequest {
    RevealSecretsRequest {
        run: Some(run("small", "a")),
        step: "go".into(),
        all: true,
        recipient: Some(Recipient { suite, public_key: public_key.to_vec() }),
        ..RevealSecretsRequest::default()
    }
}

async fn sealed(client: &Client, own: &OwnKey) -> SealedSecrets {
    let suite = SealingSuite::X25519Chacha20Poly1305.into();
    let answer = client.context.clone().reveal_secrets(asked(suite, own.public())).await.unwrap();
    match answer.into_inner().secrets {
        Some(Secrets::Sealed(sealed)) => sealed,
        _ => panic!("the answer is plain"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_answer_opens_with_its_key_and_its_event_says_so() {
    let config = small();
    config.write_secret("files/token", TOKEN);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let own = OwnKey::generate().unwrap();
    let answer = sealed(&client, &own).await;
    let about = About {
        pipeline: "small".into(),
        run_id: "a".into(),
        attempt: answer.attempt,
        step: "go".into(),
        instance: None,
    };
    let mut opening = own.begin(&answer.encapsulated_key).unwrap();
    let mut opened = Vec::new();
    for secret in &answer.secrets {
        let plain = opening.open(&about, &secret.name, &secret.ciphertext).unwrap();
        let payload = SecretPayload::decode(plain.expose()).unwrap();
        assert_eq!(payload.encoding(), SecretEncoding::Text);
        opened.push((secret.name.as_str(), String::from_utf8(payload.data).unwrap()));
    }
    assert_eq!(opened, ["env.HEADER", "header"].map(|name| (name, format!("Bearer {TOKEN}"))));
    let again = sealed(&client, &own).await;
    assert_ne!(again.encapsulated_key, answer.encapsulated_key, "each answer has its own setup");
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    let reveals = client.events().await;
    let reveals = reveals.iter().filter(|event| event.action() == Action::Reveal);
    assert_eq!(reveals.map(|event| event.sealed).collect::<Vec<_>>(), [true, true, false]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_sealed_to_is_refused_and_never_answered_in_plain() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let refused = async |suite: i32, key: &[u8], reason: &str| -> Problem {
        let answer = client.context.clone().reveal_secrets(asked(suite, key)).await;
        check_reason(&answer.unwrap_err(), reason)
    };
    let suite = SealingSuite::X25519Chacha20Poly1305.into();
    for key in [&[9; 31][..], &[9; 33], b"", &[0; 32]] {
        let problem = refused(suite, key, "INVALID_REQUEST").await;
        assert_eq!(problem.violations[0].field, "recipient.public_key", "{key:?}");
    }
    let problem = refused(0, &[9; 32], "INVALID_REQUEST").await;
    assert_eq!(problem.violations[0].field, "recipient.suite");
    assert_eq!(problem.violations[0].reason, "MISSING_FIELD");
    refused(2, &[9; 32], "SEALING_UNSUPPORTED").await;
    let reveals = client.events().await;
    let mut reveals = reveals.iter().filter(|event| event.action() == Action::Reveal);
    assert!(reveals.all(|event| !event.reason.is_empty()));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_can_demand_that_answers_are_sealed() {
    let config = small();
    config.write_secret("files/token", TOKEN);
    let policies = r#"@id("all") permit (principal, action, resource);
@id("sealed") forbid (principal, action == Paramd::Action::"reveal", resource)
unless { context.sealed };
@id("not-header") forbid (principal, action == Paramd::Action::"reveal", resource)
when { resource is Paramd::Parameter && resource.name == "header" };
"#;
    config.write("policies/all.cedar", policies);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let own = OwnKey::generate().unwrap();
    let reveal = async |name: &str, key: Option<&[u8]>| {
        let suite = SealingSuite::X25519Chacha20Poly1305.into();
        let request = RevealSecretsRequest {
            all: false,
            names: vec![name.to_owned()],
            recipient: key.map(|key| Recipient { suite, public_key: key.to_vec() }),
            ..asked(suite, &[])
        };
        client.context.clone().reveal_secrets(request).await
    };
    check_reason(&reveal("env.HEADER", None).await.unwrap_err(), "SEALING_REQUIRED");
    let answer = reveal("env.HEADER", Some(own.public())).await.unwrap().into_inner();
    assert!(matches!(answer.secrets, Some(Secrets::Sealed(_))));
    for key in [None, Some(own.public())] {
        for name in ["header", "absent"] {
            check_reason(&reveal(name, key).await.unwrap_err(), "ACCESS_DENIED");
        }
    }
    let events = client.events().await;
    let reveals = events.iter().filter(|event| event.action() == Action::Reveal);
    let told: Vec<_> = reveals.map(|event| (event.reason.as_str(), &event.policy_ids)).collect();
    assert_eq!(told[0], ("SEALING_REQUIRED", &vec!["sealed".to_owned()]));
    assert_eq!(told[1], ("", &vec!["all".to_owned()]));
    daemon.stop();
}

/// Hands on what goes between a client and the daemon, and keeps it.
fn eavesdrop(folder: &Path, socket: PathBuf) -> (PathBuf, Arc<Mutex<Vec<u8>>>) {
    let (path, heard) = (folder.join("between.sock"), Arc::default());
    let (listener, kept) = (UnixListener::bind(&path).unwrap(), Arc::clone(&heard));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let daemon = UnixStream::connect(&socket).await.unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_daemon, to_daemon) = daemon.into_split();
            tokio::spawn(hand_on(from_client, to_daemon, Arc::clone(&kept)));
            tokio::spawn(hand_on(from_daemon, to_client, Arc::clone(&kept)));
        }
    });
    (path, heard)
}

async fn hand_on(
    mut from: tokio::net::unix::OwnedReadHalf,
    mut to: tokio::net::unix::OwnedWriteHalf,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        heard.lock().unwrap().extend(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_on_the_way_hears_what_the_commands_reveal() {
    let config = small();
    config.write_secret("files/token", TOKEN);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let (between, heard) = eavesdrop(config.around(), daemon.socket().to_owned());
    let hears = || {
        let heard = heard.lock().unwrap();
        heard.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes())
    };
    let endpoint = format!("unix:{}", between.display());
    let command = |words: &[&str]| {
        let words = words.iter().copied();
        tokio::task::block_in_place(|| paramd(words).env("PARAMD_ENDPOINT", &endpoint).ok())
    };
    command(&["resolve", "small", "--run-id", "a"]);
    let revealed = command(&["reveal", "small/a", "go", "env.HEADER"]);
    assert_eq!(revealed.out, format!("Bearer {TOKEN}"));
    let script = format!("[ \"$HEADER\" = 'Bearer {TOKEN}' ]");
    command(&["exec", "--run", "small/a", "--step", "go", "--", "sh", "-c", &script]);
    command(&["run", "small", "--run-id", "b"]);
    assert!(!heard.lock().unwrap().is_empty());
    assert!(!hears(), "a secret is open on its way");
    let client = Client::new(channel(&between).await.unwrap());
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    assert!(hears(), "the ear is deaf");
    daemon.stop();
}
