//! Tokens that others sign, over TLS and on the socket.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use paramd::proto::v1::{Action, PrincipalKind};
use serde_json::json;
use tonic::{Code, Status};

use super::{House, ask, principals, tcp};
use crate::support::client::Client;
use crate::support::daemon::{Daemon, Launch};
use crate::support::jwks::{Answer, Server};
use crate::support::jwt::{AUDIENCE, ISSUER, Issuer, Signer, claims, jwks};
use crate::support::tls::Authority;
use crate::support::wait_until;

/// Longer than any of the daemon's waits.
const LIMIT: Duration = Duration::from_secs(30);

/// A house that takes an issuer's tokens.
fn with_issuer(settings: &str) -> House {
    let house = House::new();
    let before = std::fs::read_to_string(house.config.path.join("paramd.yaml")).unwrap();
    house.config.write("paramd.yaml", format!("{settings}{before}"));
    house
}

async fn open_loudly(house: &House) -> Daemon {
    // All that any crate would say.
    let launch = Launch::plain(&house.config.path, house.config.around());
    launch.env("PARAMD_LOG", "trace").start().await
}

async fn show(client: &Client, token: &str) -> Result<usize, Status> {
    ask(client, &[&format!("Bearer {token}")]).await
}

/// Waits until a token is taken, or isn't.
async fn until(client: &Client, token: &str, taken: bool) {
    wait_until(if taken { "it is taken" } else { "it is refused" }, LIMIT, async || {
        (show(client, token).await.is_ok() == taken).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_known_issuer_is_a_principal_on_every_door() {
    let house = with_issuer(Issuer::SETTINGS);
    let issuer = Issuer::new(&house.config.path);
    let daemon = open_loudly(&house).await;
    let doors = [house.client(&tcp(&daemon), None).await, daemon.client().await];
    let mut tokens = Vec::new();
    for (signer, subject) in [(&issuer.rsa, "rsa"), (&issuer.ec, "ec"), (&issuer.ed, "ed")] {
        let token = signer.token(&claims(subject, json!({ "groups": ["a", "b"] })));
        for client in &doors {
            assert_eq!(show(client, &token).await.unwrap(), 1, "{subject}");
        }
        tokens.push(token);
    }
    // A certificate beside it isn't looked at.
    let person = house.authority.client("person", None);
    let both = house.client(&tcp(&daemon), Some(&person)).await;
    assert_eq!(show(&both, &tokens[0]).await.unwrap(), 1);
    let found: BTreeSet<_> = wait_until("all are recorded", LIMIT, async || {
        let found: BTreeSet<_> = principals(&daemon, Action::Read).await.into_iter().collect();
        (found.len() == 3).then_some(found)
    })
    .await;
    let kind = i32::from(PrincipalKind::Jwt);
    assert_eq!(found, ["ec", "ed", "rsa"].map(|one| (format!("jwt:idp:{one}"), kind)).into());
    let log = daemon.log();
    assert!(log.contains("TRACE"));
    for token in &tokens {
        for part in token.split('.') {
            assert!(!log.contains(&part[..part.len().min(24)]), "the log has some of a token");
        }
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_is_refused_and_recorded_whatever_is_wrong() {
    let house = with_issuer(Issuer::SETTINGS);
    let issuer = Issuer::new(&house.config.path);
    let daemon = open_loudly(&house).await;
    let person = house.authority.client("person", None);
    let client = house.client(&tcp(&daemon), Some(&person)).await;
    let good = issuer.token("me");
    let refused = issuer.refused("me");
    let mut messages = BTreeSet::new();
    for one in &refused {
        let before = daemon.log().len();
        let status = show(&client, &one.token).await.expect_err(one.kind);
        assert_eq!(status.code(), Code::Unauthenticated, "{}: {status:?}", one.kind);
        messages.insert(status.message().to_owned());
        let log = daemon.log();
        assert!(log[before..].contains(&format!("why={}", one.why)), "{}: not told", one.kind);
    }
    let twice = [format!("Bearer {good}"), format!("Bearer {good}")];
    let status = ask(&client, &twice.each_ref().map(String::as_str)).await.unwrap_err();
    messages.insert(status.message().to_owned());
    assert_eq!(messages.len(), 1, "the answer tells what is wrong: {messages:?}");
    assert_eq!(show(&client, &good).await.unwrap(), 1);
    let found = principals(&daemon, Action::Authenticate).await;
    assert_eq!(found.len(), refused.len() + 1, "one event for each");
    let nobody = ("anonymous".to_owned(), i32::from(PrincipalKind::Anonymous));
    assert!(found.iter().all(|one| *one == nobody));
    let log = daemon.log();
    for one in &refused {
        let longest = one.token.split('.').max_by_key(|part| part.len()).unwrap();
        assert!(!log.contains(&longest[..longest.len().min(24)]), "{}", one.kind);
    }
    assert!(!log.contains("evil.example") && !log.contains("other.example"));
    println!("{} kinds of tokens are refused", refused.len() + 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_issuers_no_signed_token_is_good() {
    let house = House::new();
    let issuer = Issuer::new(&house.config.path);
    let daemon = house.open().await;
    let status = show(&daemon.client().await, &issuer.token("me")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(daemon.log().contains("JWT of an unknown issuer"));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_in_a_file_come_and_go_while_serving_and_may_be_missing_at_the_start() {
    let house = with_issuer(Issuer::SETTINGS);
    let daemon = house.open().await;
    assert!(daemon.log().contains("none of its tokens is good until this is mended"));
    let issuer = Issuer::new(&house.config.path);
    let client = house.client(&tcp(&daemon), None).await;
    let (by_rsa, by_ed) = (issuer.rsa.token(&claims("a", json!({}))), issuer.token("b"));
    until(&client, &by_rsa, true).await;
    house.config.write("keys/idp.json", jwks(&[&issuer.ed]));
    until(&client, &by_rsa, false).await;
    assert_eq!(show(&client, &by_ed).await.unwrap(), 1);
    daemon.stop();
}

/// Settings with keys at an address, asked again every so often.
fn at_address(server: &Server, refresh: &str) -> String {
    format!(
        "jwt: {{ idp: {{ issuer: \"{ISSUER}\", audiences: [\"{AUDIENCE}\"], jwks: {{ url: \"{}\", \
         ca: tls/ca.pem, refresh: {refresh} }} }} }}\n",
        server.url()
    )
}

/// A house whose issuer's keys are at an address that answers so.
async fn at_address_with(answer: Answer, refresh: &str) -> (House, Server) {
    let house = House::new();
    let server = Server::start(&house.authority, answer).await;
    let before = std::fs::read_to_string(house.config.path.join("paramd.yaml")).unwrap();
    house.config.write("paramd.yaml", format!("{}{before}", at_address(&server, refresh)));
    (house, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_at_the_address_is_fetched_once_for_all_who_come_with_it() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let (house, server) = at_address_with(Answer::Keys(jwks(&[&old])), "1h").await;
    let daemon = house.open().await;
    let client = house.client(&tcp(&daemon), None).await;
    let (by_old, by_new) = (old.token(&claims("a", json!({}))), new.token(&claims("b", json!({}))));
    assert_eq!(show(&client, &by_old).await.unwrap(), 1);
    assert_eq!(server.asked(), 1);
    server.set(Answer::Slow(Duration::from_millis(300), jwks(&[&old, &new])));
    let all = (0..20).map(|_| show(&client, &by_new));
    let all = futures_util::future::join_all(all).await;
    assert!(all.iter().all(|answer| answer.is_ok()), "{all:?}");
    assert_eq!(server.asked(), 2, "it was asked once for all");
    // Keys that nobody has, as often as one likes.
    for number in 0..20 {
        let stranger = Signer::eddsa(&format!("guess-{number}")).token(&claims("c", json!({})));
        show(&client, &stranger).await.unwrap_err();
    }
    assert!(server.asked() <= 3, "{} times", server.asked());
    assert_eq!(show(&client, &by_old).await.unwrap(), 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_back_at_the_address_is_good_no_more() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let (house, server) = at_address_with(Answer::Keys(jwks(&[&old, &new])), "1s").await;
    let daemon = house.open().await;
    let client = house.client(&tcp(&daemon), None).await;
    let by_old = old.token(&claims("a", json!({})));
    assert_eq!(show(&client, &by_old).await.unwrap(), 1);
    server.set(Answer::Keys(jwks(&[&new])));
    until(&client, &by_old, false).await;
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_ill_takes_nothing_away_and_holds_up_nobody() {
    let signer = Signer::es256("k");
    let (house, server) = at_address_with(Answer::Keys(jwks(&[&signer])), "1s").await;
    let daemon = house.open().await;
    let (client, other) = (house.client(&tcp(&daemon), None).await, daemon.client().await);
    let good = signer.token(&claims("a", json!({})));
    let unknown = Signer::es256("x").token(&claims("b", json!({})));
    assert_eq!(show(&client, &good).await.unwrap(), 1);
    let decoy =
        Server::start(&Authority::new(&house.config.path.join("decoy"), "ca"), Answer::Nothing)
            .await;
    for (ill, told) in [
        (Answer::Status(503), "status 503"),
        (Answer::Redirect(decoy.url()), "it redirects"),
        (Answer::Endless, "more than 1 MiB"),
        (Answer::Keys("{".to_owned()), "isn't JSON"),
        (Answer::Keys(r#"{"keys":[{"kty":"oct","k":"AQAB"}]}"#.to_owned()), "can be used"),
        (Answer::Nothing, "the connection broke"),
    ] {
        server.set(ill.clone());
        wait_until("the log tells", LIMIT, async || daemon.log().contains(told).then_some(()))
            .await;
        assert_eq!(show(&client, &good).await.unwrap(), 1, "{ill:?}");
    }
    assert_eq!(decoy.asked(), 0, "a redirect was followed");
    // While it is slow, who waits for it waits alone.
    server.set(Answer::Slow(Duration::from_secs(5), jwks(&[&signer])));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { show(&client, &unknown).await }
    });
    let begun = Instant::now();
    for client in [&client, &other] {
        assert_eq!(show(client, &good).await.unwrap(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::Unauthenticated);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_dead_at_the_start_is_a_warning_and_is_asked_again() {
    let signer = Signer::es256("k");
    let (house, server) = at_address_with(Answer::Nothing, "1s").await;
    let daemon = house.open().await;
    let client = house.client(&tcp(&daemon), None).await;
    let good = signer.token(&claims("a", json!({})));
    assert_eq!(show(&client, &good).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(ask(&daemon.client().await, &[]).await.unwrap(), 1);
    let log = daemon.log();
    assert!(log.contains("WARN") && log.contains("an issuer's keys can't be fetched"), "{log}");
    server.set(Answer::Keys(jwks(&[&signer])));
    until(&client, &good, true).await;
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_over_tls_from_whom_the_settings_trust() {
    let signer = Signer::es256("k");
    let (house, server) = at_address_with(Answer::Keys(jwks(&[&signer])), "1s").await;
    let other = Authority::new(&house.config.path.join("tls"), "other");
    house
        .config
        .replace("paramd.yaml", &[("ca: tls/ca.pem, refresh", "ca: tls/other.pem, refresh")]);
    let daemon = house.open().await;
    let client = house.client(&tcp(&daemon), None).await;
    let good = signer.token(&claims("a", json!({})));
    show(&client, &good).await.unwrap_err();
    assert_eq!(server.asked(), 0);
    // The file of authorities is taken in anew, and so are the settings.
    std::fs::copy(house.ca(), house.config.path.join("tls/other.pem")).unwrap();
    until(&client, &good, true).await;
    drop(other);
    house.config.replace("paramd.yaml", &[(AUDIENCE, "https://another.example")]);
    until(&client, &good, false).await;
    daemon.stop();
    // Without TLS there are keys for trying out alone.
    house.config.replace("paramd.yaml", &[("https://localhost", "http://localhost")]);
    house.config.replace("paramd.yaml", &[("ca: tls/other.pem, ", "")]);
    let mut refused = Launch::plain(&house.config.path, house.config.around()).spawn();
    assert!(!refused.wait().success());
    assert!(refused.log().contains("would come without TLS"), "{}", refused.log());
}
