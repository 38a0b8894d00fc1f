//! What is on the way of a sealed reveal, on the loopback and without TLS: none of
//! the secrets, in no form.
//!
//! A proxy between the client and the daemon keeps all bytes of both directions: what
//! a capture of packets would show, put together. The control is the same reveal,
//! in plain.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use paramd::envelope::{About, OwnKey};
use paramd::proto::v1::reveal_secrets_response::Secrets;
use paramd::proto::v1::{Recipient, RevealSecretsRequest, SealingSuite, SecretPayload};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tonic::Request;
use tonic::transport::Endpoint;

use super::forms::FORMS;
use super::search::Searcher;
use super::secret::{LARGE, LARGE_BYTES, LETTER, SHAPES, Secret, shaped};
use crate::support::client::{Client, resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::wait_for;

/// All that went by.
type Heard = Arc<Mutex<Vec<u8>>>;

/// Listens in front of a server, and keeps what goes by.
async fn eavesdrop(server: SocketAddr) -> (SocketAddr, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Heard::default());
    let kept = heard.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (client_read, client_write) = client.into_split();
            let (read, write) = TcpStream::connect(server).await.unwrap().into_split();
            tokio::spawn(pass(client_read, write, kept.clone()));
            tokio::spawn(pass(read, client_write, kept.clone()));
        }
    });
    (address, heard)
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: Heard) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        heard.lock().unwrap().extend(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// A pipeline that hands all of them to one step.
fn pipeline(secrets: &[Secret]) -> String {
    let mut parameters = String::new();
    let mut files = String::new();
    for (index, secret) in secrets.iter().enumerate() {
        let encoding = if secret.is_text() { "" } else { "contentEncoding: base64, " };
        parameters += &format!(
            "  s{index}: {{ type: string, {encoding}secret: true, from: {{ file: {{ path: \"{index}\" }} }} }}\n"
        );
        files += &format!("      s{index}: {{ template: \"{{{{ params.s{index} }}}}\" }}\n");
    }
    format!(
        "name: wire\nparameters:\n{parameters}steps:\n  - name: go\n    run: [\"true\"]\n    files:\n{files}"
    )
}

fn request(own: Option<&OwnKey>) -> RevealSecretsRequest {
    let suite = SealingSuite::X25519Chacha20Poly1305.into();
    RevealSecretsRequest {
        run: Some(run("wire", "a")),
        step: "go".into(),
        all: true,
        recipient: own.map(|own| Recipient { suite, public_key: own.public().to_vec() }),
        ..RevealSecretsRequest::default()
    }
}

async fn client(address: SocketAddr) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    Client::new(endpoint.connect().await.unwrap())
}

/// With a bearer token, which is what TCP wants.
fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_reveal_shows_nothing_on_its_way() {
    // Not the one letter: among bytes, chance writes it.
    let shapes = (0..SHAPES).filter(|shape| *shape != LETTER && *shape != LARGE);
    let secrets: Vec<_> =
        shapes.map(|shape| shaped(&format!("file {shape}"), shape, false, LARGE_BYTES)).collect();
    let source =
        "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    let config = Config::new(source, "wire", &pipeline(&secrets));
    for (index, secret) in secrets.iter().enumerate() {
        config.write_secret(&format!("files/{index}"), &secret.bytes);
    }
    let launch = Launch::dev(&config.path, config.around()).listen("127.0.0.1:0");
    let daemon = launch.start().await;
    let at = wait_for("it tells its port", std::time::Duration::from_secs(10), || {
        let log = daemon.log();
        let (_, rest) = log.split_once("http://127.0.0.1:")?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u16>().ok()
    });
    let (between, heard) = eavesdrop(([127, 0, 0, 1], at).into()).await;
    let searcher = Searcher::new(&secrets);
    let hits = || {
        let heard = heard.lock().unwrap();
        let found = searcher.search(&heard, false).into_iter();
        let name = |secret: u32, form: u8| (secret as usize, FORMS[usize::from(form)].name);
        let hits: BTreeSet<_> = found.map(|hit| name(hit.secret, hit.form)).collect();
        (heard.len(), hits)
    };

    let mut far = client(between).await;
    let directory = config.path.to_str().unwrap();
    let token = paramd(["token", "create", "ci", "--config", directory]).ok().out;
    let token = token.trim();
    far.runs.resolve_run(by(token, resolve("wire", "a").into())).await.unwrap();
    let own = OwnKey::generate().unwrap();
    let answer =
        far.context.reveal_secrets(by(token, request(Some(&own)))).await.unwrap().into_inner();
    let Some(Secrets::Sealed(sealed)) = answer.secrets else { panic!("the answer is plain") };
    let about = About {
        pipeline: "wire".into(),
        run_id: "a".into(),
        attempt: sealed.attempt,
        step: "go".into(),
        instance: None,
    };
    let mut opening = own.begin(&sealed.encapsulated_key).unwrap();
    for one in &sealed.secrets {
        let plain = opening.open(&about, &one.name, &one.ciphertext).unwrap();
        let number = one.name.trim_start_matches("files.").trim_start_matches('s');
        let index: usize = number.parse().unwrap();
        assert_eq!(SecretPayload::decode(plain.expose()).unwrap().data, secrets[index].bytes);
    }
    // Each once as a parameter and once as a file.
    assert_eq!(sealed.secrets.len(), 2 * secrets.len());
    // A command's reveal goes the same way.
    let endpoint = format!("http://{between}");
    let revealed = tokio::task::block_in_place(|| {
        let reveal = paramd(["reveal", "wire/a", "go", "s0"]).env("PARAMD_ENDPOINT", &endpoint);
        reveal.env("PARAMD_TOKEN", token).ok()
    });
    assert_eq!(revealed.out.as_bytes(), secrets[0].bytes);
    let (length, found) = hits();
    let sealed: usize = secrets.iter().map(|secret| 2 * secret.bytes.len()).sum();
    assert!(length > sealed, "{length} bytes were heard, of {sealed} that were sealed");
    assert!(found.is_empty(), "{found:#?}");

    far.context.reveal_secrets(by(token, request(None))).await.unwrap();
    let (_, found) = hits();
    let open: BTreeSet<_> =
        found.iter().filter(|(_, form)| *form == "itself").map(|(secret, _)| *secret).collect();
    assert_eq!(open.len(), secrets.len(), "the control: {open:?}");
    daemon.stop();
}
