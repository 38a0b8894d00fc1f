//! Bearer tokens and `paramd token`.

use std::time::Duration;

use paramd::proto::v1::{Action, PrincipalKind};
use tonic::Code;

use super::{House, address, ask, principals, tcp, text};
use crate::support::command::paramd;
use crate::support::daemon::Launch;
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_on_every_door_until_it_is_revoked() {
    let house = House::new();
    // All that any crate would say.
    let launch = Launch::plain(&house.config.path, house.config.around());
    let daemon = launch.env("PARAMD_LOG", "trace").start().await;
    let token = house.token("ci");
    assert!(token.starts_with("paramd_token_"));
    let bearer = format!("Bearer {token}");
    let doors = [house.client(&tcp(&daemon), None).await, daemon.client().await];
    for client in &doors {
        assert_eq!(ask(client, &[&bearer]).await.unwrap(), 1);
    }
    let revoked = paramd(["token", "revoke", "ci", "--config", house.directory()]).ok();
    revoked.says(&["`ci` is revoked"]);
    for client in &doors {
        let status = wait_until("the token is refused", Duration::from_secs(5), async || {
            ask(client, &[&bearer]).await.err()
        })
        .await;
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let log = daemon.log();
    assert!(log.contains("TRACE"));
    for part in [token.get(..40).unwrap(), token.get(20..).unwrap()] {
        assert!(!log.contains(part), "the log has some of the token");
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_not_good_is_never_passed_over() {
    let house = House::new();
    let daemon = house.open().await;
    let good = format!("Bearer {}", house.token("ci"));
    let short = paramd(["token", "create", "short", "--config", house.directory()]);
    let short = short.arg("--expires").arg("1s").ok().out.trim().to_owned();
    let certificate = house.authority.client("person", None);
    let doors = [house.client(&tcp(&daemon), Some(&certificate)).await, daemon.client().await];
    let expired = format!("Bearer {short}");
    wait_until("the token expires", Duration::from_secs(10), async || {
        ask(&doors[1], &[&expired]).await.err()
    })
    .await;
    let unknown = format!("Bearer paramd_token_{}", "5c".repeat(32));
    for client in &doors {
        assert_eq!(ask(client, &[&good]).await.unwrap(), 1);
        for sent in [
            &[expired.as_str()][..],
            &[&unknown],
            &["Bearer hunter2"],
            &["Bearer "],
            &["Basic aHVudGVyMg=="],
            &[&good, &good],
        ] {
            let status = ask(client, sent).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{sent:?}");
            assert_eq!(status.message(), ask(client, &["x"]).await.unwrap_err().message());
        }
    }
    let found = principals(&daemon, Action::Authenticate).await;
    let nobody = ("anonymous".to_owned(), i32::from(PrincipalKind::Anonymous));
    assert!(found.iter().all(|one| *one == nobody));
    let log = daemon.log();
    for why in ["expired token", "unknown or revoked token", "malformed token"] {
        assert!(log.contains(why), "{why}");
    }
    assert!(!log.contains("hunter2") && !log.contains(&short));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn under_dev_plain_tcp_on_the_loopback_takes_tokens_alone() {
    let house = House::new();
    house.without_doors("");
    let launch = Launch::dev(&house.config.path, house.config.around());
    let daemon = launch.listen("127.0.0.1:0").start().await;
    let endpoint = tcp(&daemon);
    assert!(endpoint.starts_with("http://"));
    let show = |token: &str| {
        paramd(["audit", "list", "--endpoint", &endpoint]).env("PARAMD_TOKEN", token).ended()
    };
    let without = paramd(["audit", "list", "--endpoint", &endpoint]).ended();
    without.says(&["UNAUTHENTICATED"]);
    let token = house.token("ci");
    let listed = show(&token);
    assert_eq!(listed.status, Some(0), "{listed:?}");
    listed.hides(&[&token]);
    assert_eq!(address(&endpoint).split(':').next(), Some("127.0.0.1"));
    daemon.stop();
}

#[tokio::test]
async fn the_command_shows_a_token_once_and_no_hash() {
    let house = House::new();
    let directory = house.directory();
    let token = house.token("ci");
    assert_eq!(token.len(), "paramd_token_".len() + 64);
    let taken = paramd(["token", "create", "ci", "--config", directory]).ended();
    assert_eq!(taken.status, Some(7), "{taken:?}");
    let long = paramd(["token", "create", "b", "--config", directory, "--expires", "90d"]);
    let made = long.arg("--output").arg("json").ok().json();
    assert!(made["token"].as_str().unwrap().starts_with("paramd_token_"));
    let file = std::fs::read_to_string(house.config.path.join("state/tokens.yaml")).unwrap();
    let hash = file.split("hash: \"").nth(1).unwrap().split('"').next().unwrap();
    assert!(!file.contains(&token[20..]));
    for output in ["text", "json"] {
        let listed = paramd(["token", "list", "--config", directory, "--output", output]).ok();
        listed.says(&["ci", "b"]).hides(&[hash, &token, made["token"].as_str().unwrap()]);
    }
    let missing = paramd(["token", "revoke", "nobody", "--config", directory]).ended();
    assert_ne!(missing.status, Some(0));
    // A pipeline that is broken keeps nobody from revoking.
    house.config.write("pipelines/small.yaml", "broken: [");
    paramd(["token", "revoke", "ci", "--config", directory]).ok();
    let left = paramd(["token", "list", "--config", directory, "--output", "json"]).ok().json();
    assert_eq!(left["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_from_a_file_or_the_environment() {
    let house = House::new();
    let daemon = house.open().await;
    let token = house.token("ci");
    let file = house.config.path.join("ci.token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let endpoint = tcp(&daemon);
    let list =
        || paramd(["audit", "list", "--endpoint", &endpoint]).env("PARAMD_CA", text(&house.ca()));
    list().env("PARAMD_TOKEN", &token).ok();
    list().env("PARAMD_TOKEN_FILE", text(&file)).ok();
    list().arg("--token-file").arg(text(&file)).env("PARAMD_TOKEN", "hunter2").ok();
    list().env("PARAMD_TOKEN", "hunter2").ended().says(&["UNAUTHENTICATED"]).hides(&["hunter2"]);
    list().env("PARAMD_TOKEN", "").ended().says(&["the token is empty"]);
    list().env("PARAMD_TOKEN_FILE", "nowhere").ended().says(&["can't be read"]);
    daemon.stop();
}
