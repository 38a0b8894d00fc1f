//! An ill OpenBao.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{VALUE, WORDS, Ward, all_is_well, pipeline};
use crate::support::config::Config;
use crate::support::proxy::{Fault, Proxy};
use crate::support::raft::Raft;
use crate::support::tls::Authority;

/// The pipelines, with the type, mount and path of their one parameter.
const PIPELINES: [[&str; 4]; 7] = [
    ["ill", "[string, \"null\"]", "secret", "ill"],
    ["absent", "[string, \"null\"]", "secret", "never"],
    ["moved", "[string, \"null\"]", "gone", "ill"],
    ["deleted", "[string, \"null\"]", "secret", "deleted"],
    ["number", "[integer, \"null\"]", "secret", "ill"],
    ["many", "[array, \"null\"], items: { type: integer }", "secret", "many"],
    ["limited", "[string, \"null\"]", "limited", "ill"],
];

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_vault() {
    let mut raft = Raft::start().await;
    raft.mount("limited").await;
    for path in ["secret/data/ill", "secret/data/deleted", "limited/data/ill"] {
        raft.put(path, json!({ "data": { "value": VALUE } })).await;
    }
    raft.put("secret/data/many", json!({ "data": { "value": vec![1; 10_001] } })).await;
    raft.put("secret/delete/deleted", json!({ "versions": [1] })).await;
    policy(&raft, "read").await;
    let (way, answered, often) =
        tokio::join!(the_way(&raft), answers(&raft), asked_too_often(&raft));
    all_is_well(&[way, answered, often, refusing_and_sealed(&mut raft).await]);
}

/// A daemon over the server, behind a proxy that ends TLS.
struct Stand {
    ward: Ward,
    authority: Authority,
    folder: TempDir,
}

async fn stand(raft: &Raft, heading: &'static str) -> Stand {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "vault");
    let proxy = Proxy::https(raft.port(), authority.server("server")).await;
    let ca = folder.path().join("vault.pem");
    let config = Config::new(&sources(&proxy, &ca), "unused", UNUSED);
    for [name, kind, mount, path] in PIPELINES {
        let from =
            format!("{{ vault: {{ mount: {mount}, path: {path}, field: value }} }}, default: null");
        config.write(&format!("pipelines/{name}.yaml"), pipeline(name, kind, &from));
    }
    let (role, secret) = raft.role().await;
    config.write_secret("role", role);
    config.write_secret("secret", secret);
    let ward = Ward::open(heading, config, Some(proxy), |launch| launch).await;
    Stand { ward, authority, folder }
}

const UNUSED: &str = "name: unused\nparameters: {}\n";

fn sources(proxy: &Proxy, ca: &Path) -> String {
    format!(
        "  ill:\n    vault: {{ address: \"https://127.0.0.1:{}\", ca: \"{}\", timeout: 1s, \
         mounts: {{ secret: kv-v2, gone: kv-v2, limited: kv-v2 }}, \
         auth: {{ approle: {{ role_id: {{ file: role }}, secret_id: {{ file: secret }} }} }} }}\n    \
         grants: [{{ pipelines: [\"*\"], paths: [\"*\"] }}]\n",
        proxy.port(),
        ca.display()
    )
}

async fn policy(raft: &Raft, capability: &str) {
    let policy = format!("path \"*\" {{ capabilities = [\"{capability}\"] }}");
    raft.put("sys/policies/acl/paramd", json!({ "policy": policy })).await;
}

async fn the_way(raft: &Raft) -> Vec<String> {
    let Stand { mut ward, authority, folder } = stand(raft, "OpenBao: the way to it").await;
    let pause = Duration::from_millis(100);
    let no_http =
        Fault::Answer { times: usize::MAX, answer: b"SSH-2.0-x\r\n".to_vec(), endless: false };
    let other = Authority::new(&folder.path().join("other"), "other").server("other");
    for (how, fault) in [
        ("nobody listens", Fault::Refuse),
        ("no packet comes back", Fault::Unreachable),
        ("its answer comes in pieces, in time", Fault::Slow(400, pause)),
        ("its answer comes in pieces, too slowly", Fault::Slow(10, pause)),
        ("takes the request and says nothing", Fault::Silent),
        ("in the head of its answer", Fault::HangAfter(40)),
        ("in the body of its answer", Fault::HangAfter(300)),
        ("before its answer", Fault::ResetAfter(0)),
        ("in the body of its answer", Fault::ResetAfter(300)),
        ("ends the connection before its answer", Fault::EndAfter(0)),
        ("ends the connection in the body", Fault::EndAfter(300)),
        ("its answer isn't HTTP", no_http),
        ("broken before its answer", Fault::GarbleAfter(0)),
        ("broken in the body of its answer", Fault::GarbleAfter(300)),
        ("a certificate of another authority", Fault::Certificate(other)),
        ("a certificate that has expired", Fault::Certificate(authority.expired_server("old"))),
        ("a certificate for another name", Fault::Certificate(authority.client("name", None))),
    ] {
        ward.row(how, fault, "ill").await;
    }
    ward.close().await
}

/// A body as OpenBao's, with words of its own.
fn errors() -> Vec<u8> {
    json!({ "errors": [WORDS] }).to_string().into_bytes()
}

fn always(status: &str, headers: &str) -> Fault {
    Fault::http(usize::MAX, status, headers, &errors())
}

async fn answers(raft: &Raft) -> Vec<String> {
    let Stand { mut ward, authority: _, folder: _folder } =
        stand(raft, "OpenBao: what it answers").await;
    let html = format!("<html>{WORDS}</html>").into_bytes();
    let page = |status| Fault::http(usize::MAX, status, "content-type: text/html\r\n", &html);
    let ok = |body: &[u8]| Fault::http(usize::MAX, "200 OK", "", body);
    let twice = format!("{{\"data\":{{\"data\":{{\"value\":\"{WORDS}\",\"value\":\"b\"}}}}}}");
    let endless = Fault::Answer {
        times: usize::MAX,
        answer: b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"data\":".to_vec(),
        endless: true,
    };
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = format!("location: http://{}/v1/x\r\n", elsewhere.local_addr().unwrap());
    for (how, pipeline, fault) in [
        ("there is no such secret", "absent", Fault::None),
        ("there is no such mount", "moved", Fault::None),
        ("a page of someone else", "ill", page("404 Not Found")),
        ("404, the version was deleted", "deleted", Fault::None),
        ("text that is no integer", "number", Fault::None),
        ("a list of 10,001 items", "many", Fault::None),
        ("an answer without an end", "ill", endless),
        ("bytes in a JSON text", "ill", ok(b"{\"data\":{\"data\":{\"value\":\"\xff\xfe\"}}}")),
        ("200 with a page", "ill", ok(&html)),
        ("200 with nothing", "ill", ok(b"")),
        ("JSON with a key twice", "ill", ok(twice.as_bytes())),
        ("400", "ill", always("400 Bad Request", "")),
        ("500", "ill", always("500 Internal Server Error", "")),
        ("500 once", "ill", Fault::http(1, "500 Internal Server Error", "", &errors())),
        ("502 with a page", "ill", page("502 Bad Gateway")),
        ("503", "ill", always("503 Service Unavailable", "")),
        (
            "307 to the active server, which isn't followed",
            "ill",
            always("307 Temporary Redirect", &away),
        ),
        ("472", "ill", always("472 Standby", "")),
        ("473", "ill", always("473 Standby", "")),
    ] {
        ward.row(how, fault, pipeline).await;
    }
    let nobody = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept()).await;
    assert!(nobody.is_err(), "no redirect is followed");
    ward.close().await
}

async fn asked_too_often(raft: &Raft) -> Vec<String> {
    let Stand { mut ward, authority: _, folder: _folder } =
        stand(raft, "OpenBao: asked too often").await;
    let answer = |times, status: &str, until: &str| {
        Fault::http(times, status, &format!("retry-after: {until}\r\n"), &errors())
    };
    let limited = |times, until: &str| answer(times, "429 Too Many Requests", until);
    let always = |until: &str| limited(usize::MAX, until);
    ward.row("once, with `Retry-After: 1`", limited(1, "1"), "ill").await;
    ward.row("always, with `Retry-After: 1`", always("1"), "ill").await;
    ward.row("always, with `Retry-After: 60`", always("60"), "ill").await;
    let date = Timestamp::now() + Duration::from_secs(60);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    ward.row("always, with the date of in 60 s", always(&date), "ill").await;
    ward.row("always, and it doesn't say until when", always("soon"), "ill").await;
    let sealed = answer(usize::MAX, "503 Service Unavailable", "60");
    ward.row("503, with `Retry-After: 60`", sealed, "ill").await;
    // The last, for nothing makes it forget.
    let quota = json!({ "rate": 1, "path": "limited/", "block_interval": 60 });
    raft.put("sys/quotas/rate-limit/few", quota).await;
    ward.well("limited").await;
    ward.check("its own quota", "limited").await;
    let told = json!({ "enable_rate_limit_response_headers": true });
    raft.put("sys/quotas/config", told).await;
    let how = "its own quota, with `enable_rate_limit_response_headers`";
    ward.check(how, "limited").await;
    ward.close().await
}

async fn refusing_and_sealed(raft: &mut Raft) -> Vec<String> {
    let Stand { mut ward, authority: _, folder: _folder } =
        stand(raft, "OpenBao: refusing and sealed").await;
    let revoke = "sys/leases/revoke-prefix/auth/approle/login";
    ward.recovers().await;
    raft.put(revoke, json!({})).await;
    ward.check("the token, after it was used", "ill").await;
    policy(raft, "deny").await;
    ward.check("its policy", "ill").await;
    policy(raft, "read").await;
    ward.row("to everything, the login too", always("403 Forbidden", ""), "ill").await;
    ward.recovers().await;
    raft.crash().await;
    ward.check("it was started again", "ill").await;
    raft.unseal().await;
    ward.recovers().await;
    let secret = std::fs::read_to_string(ward.config.path.join("secret")).unwrap();
    let secret = json!({ "secret_id": secret });
    raft.put("auth/approle/role/paramd/secret-id/destroy", secret).await;
    raft.put(revoke, json!({})).await;
    ward.check("the token and the secret id", "ill").await;
    let (_, secret) = raft.role().await;
    ward.config.write_secret("secret", secret);
    ward.close().await
}
