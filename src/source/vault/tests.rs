//! Tests, against a real server; what a real one doesn't do is a listener here.

mod renewal;
mod server;
mod written;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use tempfile::TempDir;

use self::server::Server;
use super::*;
use crate::source::testing::{ask, found, locate, schema, settings, wrong};
use crate::source::{Answer, Environment, Source, SourceError};

const TEXT: &str = r#"{"type":"string"}"#;

/// A source with these settings besides the address; `base` holds its files.
fn source(address: &str, rest: &str, base: &Path) -> Arc<dyn Source> {
    let yaml = format!(
        "{{ address: '{address}', mounts: {{ secret: kv-v2, none: kv-v2, old: kv-v2, one: kv-v1, new: kv-v1, lost: kv-v1 }}, {rest} }}"
    );
    settings(&Vault, &yaml, base).unwrap().connect(&Environment::new()).unwrap()
}

/// A source that is root.
fn rooted(server: &Server) -> Arc<dyn Source> {
    std::fs::write(server.folder().join("root-token"), "root\n").unwrap();
    source(&server.address, "auth: { token: { file: root-token } }", server.folder())
}

fn at(mount: &str, path: &str, version: Option<&str>) -> Read {
    let mut address = vec![("mount", mount), ("path", path)];
    address.extend(version.map(|version| ("version", version)));
    locate(&Vault, &ask(&address, &[])).unwrap().read
}

async fn read(source: &Arc<dyn Source>, path: &str) -> Result<Answer, Cause> {
    source.read(&at("secret", path, None)).await.map_err(|error| error.cause)
}

fn pick(raw: &Raw, field: &str, declared: &str) -> Result<Value, PickError> {
    Vault.pick(raw, &ask(&[("field", field)], &[]), &schema(declared))
}

#[tokio::test]
async fn a_secret_is_read_with_its_version_and_typed_fields() {
    let server = Server::start().await;
    server.put("secret/data/ml/db", r#"{"data":{"password":"old"}}"#).await;
    server
        .put("secret/data/ml/db", r#"{"data":{"password":"s\"3","port":5432,"on":"true"}}"#)
        .await;
    let source = rooted(&server);
    let (raw, version) = found(read(&source, "ml/db").await.unwrap());
    assert_eq!(version.as_deref(), Some("2"));
    assert_eq!(pick(&raw, "password", TEXT), Ok(Value::String("s\"3".into())));
    assert_eq!(pick(&raw, "port", r#"{"type":"integer"}"#), Ok(Value::Integer(5432)));
    assert_eq!(pick(&raw, "on", r#"{"type":"boolean"}"#), Ok(Value::Bool(true)));
    wrong(pick(&raw, "port", TEXT));
    assert_eq!(pick(&raw, "none", TEXT), Err(PickError::Missing));
    let pinned = source.read(&at("secret", "ml/db", Some("1"))).await.unwrap();
    let (raw, version) = found(pinned);
    assert_eq!(version.as_deref(), Some("1"));
    assert_eq!(pick(&raw, "password", TEXT), Ok(Value::String("old".into())));
}

#[tokio::test]
async fn the_four_meanings_of_404_are_told_apart() {
    let server = Server::start().await;
    for path in ["deleted", "destroyed", "there"] {
        server.put(&format!("secret/data/{path}"), r#"{"data":{"a":"b"}}"#).await;
    }
    server.delete("secret/data/deleted").await;
    server.put("secret/destroy/destroyed", r#"{"versions":[1]}"#).await;
    server.put("sys/mounts/old", r#"{"type":"kv","options":{"version":"1"}}"#).await;
    let source = rooted(&server);
    assert!(matches!(read(&source, "never").await, Ok(Answer::Missing)));
    assert!(matches!(source.read(&at("secret", "there", Some("9"))).await, Ok(Answer::Missing)));
    assert!(matches!(read(&source, "deleted").await, Ok(Answer::Gone)));
    assert!(matches!(read(&source, "destroyed").await, Ok(Answer::Gone)));
    assert_eq!(cause(source.read(&at("none", "a", None)).await), Cause::NoSuchMount);
    assert_eq!(cause(source.read(&at("old", "a", None)).await), Cause::BadAnswer);
    assert_eq!(cause(source.read(&at("unlisted", "a", None)).await), Cause::NotGranted);
}

#[tokio::test]
async fn a_mount_without_versions_is_read_as_one() {
    let server = Server::start().await;
    server.put("sys/mounts/one", r#"{"type":"kv","options":{"version":"1"}}"#).await;
    server.put("sys/mounts/new", r#"{"type":"kv","options":{"version":"2"}}"#).await;
    server.put("one/ml/db", r#"{"password":"s3","port":5432}"#).await;
    let source = rooted(&server);
    let (raw, version) = found(source.read(&at("one", "ml/db", None)).await.unwrap());
    assert_eq!(version, None);
    assert_eq!(pick(&raw, "password", TEXT), Ok(Value::String("s3".into())));
    assert_eq!(pick(&raw, "port", r#"{"type":"integer"}"#), Ok(Value::Integer(5432)));
    assert!(matches!(source.read(&at("one", "never", None)).await, Ok(Answer::Missing)));
    assert_eq!(cause(source.read(&at("one", "ml/db", Some("1"))).await), Cause::NotGranted);
    assert_eq!(cause(source.read(&at("lost", "a", None)).await), Cause::NoSuchMount);
    // A mount of version 2 that `mounts` calls version 1 gives nothing, not even
    // what stands where version 1 would look.
    for path in ["a", "data/a", "config"] {
        assert_eq!(cause(source.read(&at("new", path, None)).await), Cause::BadAnswer, "{path}");
    }
}

#[tokio::test]
async fn a_namespace_is_where_the_source_looks() {
    let server = Server::start().await;
    server.put("sys/namespaces/team", "{}").await;
    server.put("team/sys/mounts/secret", r#"{"type":"kv","options":{"version":"1"}}"#).await;
    server.put("team/secret/a", r#"{"a":"of the team"}"#).await;
    server.put("secret/data/a", r#"{"data":{"a":"of the root"}}"#).await;
    let root = rooted(&server);
    let yaml = |namespace: &str| {
        format!(
            "{{ address: '{}', namespace: {namespace}, mounts: {{ secret: kv-v1 }}, auth: {{ token: {{ file: root-token }} }} }}",
            server.address
        )
    };
    let inside = |namespace: &str| {
        let settings = settings(&Vault, &yaml(namespace), server.folder()).unwrap();
        settings.connect(&Environment::new()).unwrap()
    };
    let (raw, _) = found(read(&inside("team"), "a").await.unwrap());
    assert_eq!(pick(&raw, "a", TEXT), Ok(Value::String("of the team".into())));
    let (raw, _) = found(read(&root, "a").await.unwrap());
    assert_eq!(pick(&raw, "a", TEXT), Ok(Value::String("of the root".into())));
    assert!(read(&inside("nobody"), "a").await.is_err());
}

fn cause(outcome: Result<Answer, SourceError>) -> Cause {
    outcome.map(|_| "an answer").unwrap_err().cause
}

/// A source that logs in as an AppRole which may read `secret/ml/`.
async fn approle(server: &Server) -> Arc<dyn Source> {
    server.put("sys/auth/approle", r#"{"type":"approle"}"#).await;
    let policy = r#"{"policy":"path \"secret/data/ml/*\" { capabilities = [\"read\"] }"}"#;
    server.put("sys/policies/acl/ml", policy).await;
    server.put("auth/approle/role/ml", r#"{"token_policies":["ml"]}"#).await;
    let role = server.get("auth/approle/role/ml/role-id").await;
    let secret = server.put("auth/approle/role/ml/secret-id", "{}").await;
    let write = |name, body: &serde_json::Value, key: &str| {
        std::fs::write(server.folder().join(name), body["data"][key].as_str().unwrap()).unwrap();
    };
    write("role", &role, "role_id");
    write("secret", &secret, "secret_id");
    server.put("secret/data/ml/db", r#"{"data":{"a":"b"}}"#).await;
    let auth = "auth: { approle: { role_id: { file: role }, secret_id: { file: secret } } }";
    source(&server.address, auth, server.folder())
}

#[tokio::test]
async fn twenty_reads_with_a_dead_token_log_in_once() {
    let server = Server::start().await;
    let source = approle(&server).await;
    let twenty = || async {
        join_all((0..20).map(|_| read(&source, "ml/db"))).await.into_iter().for_each(|outcome| {
            assert!(matches!(outcome, Ok(Answer::Found { .. })));
        });
    };
    twenty().await;
    assert_eq!(server.asked("auth/approle/login"), 1);
    server.put("sys/leases/revoke-prefix/auth/approle", "{}").await;
    twenty().await;
    assert_eq!(server.asked("auth/approle/login"), 2);
}

#[tokio::test]
async fn what_the_policy_forbids_is_refused_without_a_new_login() {
    let server = Server::start().await;
    let source = approle(&server).await;
    for _ in 0..3 {
        assert_eq!(read(&source, "other/db").await.err(), Some(Cause::Refused));
    }
    assert_eq!(server.asked("auth/approle/login"), 1);
    assert!(matches!(read(&source, "ml/db").await, Ok(Answer::Found { .. })));
}

#[tokio::test]
async fn those_who_wait_for_a_login_share_its_failure() {
    let server = Server::start().await;
    let source = approle(&server).await;
    std::fs::write(server.folder().join("secret"), "not-the-secret").unwrap();
    for outcome in join_all((0..20).map(|_| read(&source, "ml/db"))).await {
        assert_eq!(outcome.err(), Some(Cause::LoginFailed));
    }
    assert_eq!(server.asked("auth/approle/login"), 1);
    std::fs::remove_file(server.folder().join("secret")).unwrap();
    assert_eq!(read(&source, "ml/db").await.err(), Some(Cause::LoginFailed));
    assert_eq!(server.asked("auth/approle/login"), 1);
}

#[tokio::test]
async fn a_token_is_read_again_from_its_file_when_it_is_dead() {
    let server = Server::start().await;
    server.put("secret/data/a", r#"{"data":{"a":"b"}}"#).await;
    let source = rooted(&server);
    let file = server.folder().join("root-token");
    std::fs::write(&file, "s.notatoken").unwrap();
    assert_eq!(read(&source, "a").await.err(), Some(Cause::LoginFailed));
    std::fs::write(&file, "s.another").unwrap();
    assert_eq!(read(&source, "a").await.err(), Some(Cause::LoginFailed));
    std::fs::write(&file, "root\n").unwrap();
    assert!(matches!(read(&source, "a").await, Ok(Answer::Found { .. })));
    for bad in ["two\nlines", "", "sp ace", "\u{e9}"] {
        let source = rooted(&server);
        std::fs::write(&file, bad).unwrap();
        assert_eq!(read(&source, "a").await.err(), Some(Cause::LoginFailed));
    }
}

#[tokio::test]
async fn a_sealed_server_is_not_ready() {
    let server = Server::start().await;
    let source = rooted(&server);
    assert!(matches!(read(&source, "a").await, Ok(Answer::Missing)));
    server.put("sys/seal", "{}").await;
    assert_eq!(read(&source, "a").await.err(), Some(Cause::NotReady));
}

#[tokio::test]
async fn a_rate_limit_is_told() {
    let server = Server::start().await;
    let source = rooted(&server);
    assert!(matches!(read(&source, "a").await, Ok(Answer::Missing)));
    let quota = r#"{"rate":1,"interval":"60s","path":"secret/"}"#;
    server.put("sys/quotas/rate-limit/few", quota).await;
    let limited = join_all((0..5).map(|_| source.read(&READ_A))).await;
    let limited: Vec<_> = limited.into_iter().filter_map(Result::err).collect();
    assert!(!limited.is_empty());
    assert!(limited.iter().all(|error| error.cause == Cause::RateLimited));
}

static READ_A: std::sync::LazyLock<Read> = std::sync::LazyLock::new(|| at("secret", "a", None));

#[tokio::test]
async fn tls_trusts_the_given_ca_and_no_other() {
    let server = Server::start_with_tls().await;
    let other = Server::start_with_tls().await;
    let write = |name, from: &Server| {
        std::fs::copy(from.ca(), server.folder().join(name)).unwrap();
    };
    write("ca.pem", &server);
    write("other.pem", &other);
    std::fs::write(server.folder().join("root-token"), "root").unwrap();
    let with = |ca: &str| {
        let rest = format!("{ca} auth: {{ token: {{ file: root-token }} }}");
        source(&server.address, &rest, server.folder())
    };
    assert!(matches!(read(&with("ca: ca.pem,"), "a").await, Ok(Answer::Missing)));
    assert_eq!(read(&with("ca: other.pem,"), "a").await.err(), Some(Cause::Tls));
    assert_eq!(read(&with(""), "a").await.err(), Some(Cause::Tls));
}

/// A folder with a token that no server knows.
fn token() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t"), "s.canary").unwrap();
    folder
}

fn tokened(address: &str, folder: &TempDir) -> Arc<dyn Source> {
    source(address, "timeout: 1s, auth: { token: { file: t } }", folder.path())
}

/// Answers each connection with these bytes, then closes it.
fn answering(bytes: &'static [u8]) -> (String, std::thread::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let taken = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(bytes).unwrap();
        taken
    });
    (address, serving)
}

#[tokio::test]
async fn broken_answers_have_a_cause_of_their_own() {
    let folder = token();
    for (bytes, expected) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"data\""[..], Cause::Interrupted),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnope", Cause::BadAnswer),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", Cause::BadAnswer),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Cause::BadAnswer),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Cause::ServerError),
        (b"HTTP/1.1 502 Oh\r\ncontent-length: 0\r\n\r\n", Cause::ServerError),
        (b"HTTP/1.1 473 Standby\r\ncontent-length: 0\r\n\r\n", Cause::NotReady),
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", Cause::BadAnswer),
        (b"HTTP/1.1 200 OK\r\n\r\n", Cause::BadAnswer),
        (b"", Cause::Interrupted),
    ] {
        let (address, serving) = answering(bytes);
        assert_eq!(read(&tokened(&address, &folder), "a").await.err(), Some(expected));
        assert!(serving.join().unwrap() > 0);
    }
}

#[tokio::test]
async fn integers_are_exact_and_a_delay_is_told() {
    let folder = token();
    let (address, _serving) = answering(
        b"HTTP/1.1 200 OK\r\ncontent-length: 72\r\n\r\n{\"data\":{\"data\":{\"n\":9007199254740993,\"s\":\"\"},\"metadata\":{\"version\":7}}}",
    );
    let (raw, version) = found(read(&tokened(&address, &folder), "a").await.unwrap());
    assert_eq!(version.as_deref(), Some("7"));
    let exact = Ok(Value::Integer(9_007_199_254_740_993));
    assert_eq!(pick(&raw, "n", r#"{"type":"integer"}"#), exact);
    let (address, _serving) =
        answering(b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n");
    let refused = tokened(&address, &folder).read(&READ_A).await.err().unwrap();
    assert_eq!(refused.retry_after, Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let folder = token();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // It ends when the connection does, with this test's runtime.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b' '; 65_536]).is_ok() {}
    });
    assert_eq!(read(&tokened(&address, &folder), "a").await.err(), Some(Cause::TooLarge));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let folder = token();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let location = format!("http://{}/v1/secret/data/a", target.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let answer = format!("HTTP/1.1 307 T\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    assert_eq!(read(&tokened(&address, &folder), "a").await.err(), Some(Cause::NotReady));
    serving.join().unwrap();
    target.set_nonblocking(true).unwrap();
    assert_eq!(
        target.accept().err().map(|error| error.kind()),
        Some(std::io::ErrorKind::WouldBlock)
    );
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_two_things() {
    let folder = token();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokened(&format!("http://{address}"), &folder);
    assert_eq!(read(&silent, "a").await.err(), Some(Cause::Timeout));
    let silent = tokened(&format!("https://{address}"), &folder);
    assert_eq!(read(&silent, "a").await.err(), Some(Cause::Timeout));
    drop(listener);
    let dead = tokened(&format!("http://{address}"), &folder);
    assert_eq!(read(&dead, "a").await.err(), Some(Cause::Unreachable));
    let unknown = tokened("https://vault.invalid", &folder);
    assert_eq!(read(&unknown, "a").await.err(), Some(Cause::Unreachable));
}
