//! Whose word is good for whom: a bundle for each trust domain, and what becomes of
//! those whose authority is taken out.

use std::time::Duration;

use paramd::proto::v1::{Action, PrincipalKind};
use tonic::Code;

use super::streams::{end, watch};
use super::{House, ask, principals, tcp};
use crate::support::daemon::Launch;
use crate::support::status::check_reason;
use crate::support::tls::Authority;
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_secs(30);

/// A house with the trust domains `alpha.example` and `beta.example`, and the
/// authorities of both.
fn with_domains() -> (House, Authority, Authority) {
    let house = House::new();
    house.config.replace(
        "paramd.yaml",
        &[(
            "client_ca: tls/ca.pem",
            "client_ca: tls/ca.pem, trust_domains: { alpha.example: { bundle: tls/alpha.pem }, \
             beta.example: { bundle: tls/beta.pem } }",
        )],
    );
    let tls = house.config.path.join("tls");
    let (alpha, beta) = (Authority::new(&tls, "alpha"), Authority::new(&tls, "beta"));
    (house, alpha, beta)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_vouches_for_the_workloads_of_its_own_domain_alone() {
    let (house, alpha, beta) = with_domains();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let (a, b) = ("spiffe://alpha.example/a", "spiffe://beta.example/b");
    let others = &house.authority;
    let mut good = Vec::new();
    let mut refused = 0;
    for (authority, uris, name) in [
        (&alpha, &[a][..], Some(a)),
        (&beta, &[b], Some(b)),
        (others, &[], Some("CN=client4")),
        (others, &["https://example.org/x"], Some("CN=client5")),
        (&alpha, &[b], None),
        (&beta, &[a], None),
        (others, &[a], None),
        (&alpha, &[], None),
        (&alpha, &["https://example.org/x"], None),
        (&alpha, &["spiffe://gamma.example/a"], None),
        (&alpha, &["spiffe://alpha.example.beta.example/a"], None),
        (&alpha, &["SPIFFE://alpha.example/a"], None),
        (&alpha, &["spiffe://alpha.example"], None),
        (&alpha, &[a, "spiffe://alpha.example/c"], None),
        (&alpha, &[a, b], None),
        (&alpha, &[a, "https://example.org/x"], None),
    ] {
        let number = good.len() + refused + 2;
        let files = authority.workload(&format!("client{number}"), uris);
        let answer = ask(&house.client(&endpoint, Some(&files)).await, &[]).await;
        match name {
            Some(name) => {
                assert_eq!(answer.unwrap(), 1, "{uris:?}");
                good.push((name.to_owned(), i32::from(PrincipalKind::Certificate)));
            }
            None => {
                check_reason(&answer.unwrap_err(), "UNAUTHENTICATED");
                refused += 1;
            }
        }
    }
    wait_until("each is recorded", LIMIT, async || {
        (principals(&daemon, Action::Read).await == good).then_some(())
    })
    .await;
    assert_eq!(principals(&daemon, Action::Authenticate).await.len(), refused);
    let log = daemon.log();
    for why in ["certificate that no authority vouches for", "certificate without a usable name"] {
        assert!(log.contains(why), "{why}");
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_his_authority_is_known_no_more_on_an_open_connection() {
    let (house, alpha, beta) = with_domains();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let files = alpha.workload("a", &["spiffe://alpha.example/a"]);
    let other = beta.workload("b", &["spiffe://beta.example/b"]);
    let client = house.client(&endpoint, Some(&files)).await;
    let stays = house.client(&endpoint, Some(&other)).await;
    let person = house.client(&endpoint, Some(&house.authority.client("person", None))).await;
    for client in [&client, &stays, &person] {
        assert_eq!(ask(client, &[]).await.unwrap(), 1);
    }
    let watching = watch(&client, None).await;
    // No signal: the file alone.
    let tls = house.config.path.join("tls");
    let before = std::fs::read(tls.join("alpha.pem")).unwrap();
    let next = Authority::new(&tls, "next");
    std::fs::copy(tls.join("next.pem"), tls.join("alpha.pem")).unwrap();
    let refused = wait_until("he is refused", LIMIT, async || ask(&client, &[]).await.err()).await;
    check_reason(&refused, "UNAUTHENTICATED");
    check_reason(&end(watching).await, "UNAUTHENTICATED");
    assert_eq!(ask(&stays, &[]).await.unwrap(), 1);
    let renewed = next.workload("a", &["spiffe://alpha.example/a"]);
    assert_eq!(ask(&house.client(&endpoint, Some(&renewed)).await, &[]).await.unwrap(), 1);
    // Both, as while an authority is replaced by the next.
    let both = [before, std::fs::read(tls.join("next.pem")).unwrap()].concat();
    std::fs::write(tls.join("alpha.pem"), both).unwrap();
    wait_until("he is known again", LIMIT, async || ask(&client, &[]).await.ok()).await;
    // The same for those without a domain.
    std::fs::copy(tls.join("next.pem"), tls.join("clients.pem")).unwrap();
    house.config.replace("paramd.yaml", &[("client_ca: tls/ca.pem", "client_ca: tls/clients.pem")]);
    let refused = wait_until("he is refused", LIMIT, async || ask(&person, &[]).await.err()).await;
    check_reason(&refused, "UNAUTHENTICATED");
    daemon.stop();
}

#[test]
fn bundles_that_mix_up_domains_or_hold_nothing_are_refused() {
    let (house, _alpha, _beta) = with_domains();
    let tls = house.config.path.join("tls");
    let refusal = || {
        let mut daemon = Launch::plain(&house.config.path, house.config.around()).spawn();
        assert!(!daemon.wait().success());
        daemon.log()
    };
    let alpha = std::fs::read(tls.join("alpha.pem")).unwrap();
    let beta = std::fs::read(tls.join("beta.pem")).unwrap();
    std::fs::write(tls.join("beta.pem"), [beta, alpha].concat()).unwrap();
    assert!(refusal().contains("another trust domain's has too"));
    std::fs::write(tls.join("beta.pem"), "hunter2").unwrap();
    let told = refusal();
    assert!(told.contains("holds no certificate") && !told.contains("hunter2"), "{told}");
    std::fs::remove_file(tls.join("beta.pem")).unwrap();
    assert!(refusal().contains("the trust bundle"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_alone_is_for_workloads_alone() {
    let (house, alpha, _beta) = with_domains();
    house.config.replace("paramd.yaml", &[("client_ca: tls/ca.pem, ", "")]);
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let files = alpha.workload("a", &["spiffe://alpha.example/a"]);
    assert_eq!(ask(&house.client(&endpoint, Some(&files)).await, &[]).await.unwrap(), 1);
    let person = house.authority.client("person", None);
    let status = ask(&house.client(&endpoint, Some(&person)).await, &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    daemon.stop();
}
