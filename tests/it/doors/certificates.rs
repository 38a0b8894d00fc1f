//! TLS, and who a certificate says that the caller is.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use paramd::proto::v1::{Action, PrincipalKind};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tonic::Code;

use super::{House, address, ask, principals, tcp, text};
use crate::support::command::paramd;
use crate::support::daemon::Launch;
use crate::support::python;
use crate::support::root;
use crate::support::tls::Authority;
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_a_principal_by_its_spiffe_id_or_its_subject() {
    let house = House::new();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let workload = house.authority.client("workload", Some("spiffe://example.org/trainer"));
    let person = house.authority.client("person", None);
    assert_eq!(ask(&house.client(&endpoint, Some(&workload)).await, &[]).await.unwrap(), 1);
    assert_eq!(ask(&house.client(&endpoint, Some(&person)).await, &[]).await.unwrap(), 1);
    for files in [&workload, &person] {
        let listed = paramd(["run", "small"])
            .env("PARAMD_ENDPOINT", &endpoint)
            .env("PARAMD_CA", text(&house.ca()))
            .env("PARAMD_CERTIFICATE", text(&files.certificate))
            .env("PARAMD_KEY", text(&files.key))
            .ok();
        listed.hides(&["a-token-of-the-pipeline"]);
    }
    let kind = i32::from(PrincipalKind::Certificate);
    let found = principals(&daemon, Action::Resolve).await;
    assert_eq!(
        found,
        [("spiffe://example.org/trainer".to_owned(), kind), ("CN=person".to_owned(), kind)]
    );
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_tls_tells_nobody() {
    let house = House::new();
    let daemon = house.open().await;
    let client = house.client(&tcp(&daemon), None).await;
    assert_eq!(ask(&client, &[]).await.unwrap_err().code(), Code::Unauthenticated);
    let found = principals(&daemon, Action::Authenticate).await;
    assert_eq!(found, [("anonymous".to_owned(), i32::from(PrincipalKind::Anonymous))]);
    // The socket goes on beside it.
    assert_eq!(ask(&daemon.client().await, &[]).await.unwrap(), 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_good_gets_nobody_in() {
    let house = House::new();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let other = Authority::new(&house.config.path.join("other"), "ca");
    for files in [other.client("stranger", None), house.authority.expired_client("old")] {
        let ended = paramd(["runs", "show", "small/a", "--endpoint", &endpoint])
            .env("PARAMD_CA", text(&house.ca()))
            .env("PARAMD_CERTIFICATE", text(&files.certificate))
            .env("PARAMD_KEY", text(&files.key))
            .ended();
        assert_ne!(ended.status, Some(0));
        ended.says(&["UNAUTHENTICATED"]);
    }
    let found = principals(&daemon, Action::Authenticate).await;
    let nobody = ("anonymous".to_owned(), i32::from(PrincipalKind::Anonymous));
    assert_eq!(found, [nobody.clone(), nobody]);
    let log = daemon.log();
    for why in ["certificate that no authority vouches for", "expired certificate"] {
        assert!(log.contains(why), "{why}");
    }
    // Beside a token it isn't looked at: the first credential counts.
    let stranger = other.client("stranger", None);
    let client = house.client(&endpoint, Some(&stranger)).await;
    let bearer = format!("Bearer {}", house.token("ci"));
    assert_eq!(ask(&client, &[&bearer]).await.unwrap(), 1);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_says_what_is_wrong_with_the_daemons_certificate() {
    let house = House::new();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let other = Authority::new(&house.config.path.join("other"), "ca");
    drop(other);
    let show = |endpoint: &str| paramd(["runs", "show", "small/a", "--endpoint", endpoint]);
    let wrong_ca = text(&house.config.path.join("other/ca.pem")).to_owned();
    show(&endpoint).env("PARAMD_CA", &wrong_ca).ended().says(&["isn't trusted", "--ca FILE"]);
    show(&endpoint).ended().says(&["isn't trusted"]);
    let by_another_name = endpoint.replace("127.0.0.1", "127.0.0.2");
    let found = show(&by_another_name).env("PARAMD_CA", text(&house.ca())).ended();
    assert_ne!(found.status, Some(0));
    let plain = endpoint.replace("https", "http");
    assert_ne!(show(&plain).ended().status, Some(0));
    show("http://192.0.2.1:1").ended().says(&["without TLS only a daemon on this machine"]);
    daemon.stop();
}

/// Takes connections with TLS, asks for a certificate and says nothing.
async fn silent(house: &House) -> String {
    let files = house.authority.server("silent");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(house.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    );
    let clients = clients.build().unwrap();
    let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(&files.key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(clients);
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(acceptor.accept(stream).await);
        }
    });
    endpoint
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_never_answers_holds_no_command() {
    let house = House::new();
    let endpoint = silent(&house).await;
    let files = house.authority.client("person", None);
    let mut command = paramd(["runs", "show", "small/a", "--endpoint", &endpoint])
        .env("PARAMD_CA", text(&house.ca()))
        .env("PARAMD_CERTIFICATE", text(&files.certificate))
        .env("PARAMD_KEY", text(&files.key))
        .into_command();
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    let Ok(ended) = ended else {
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        panic!("the command hangs");
    };
    let told = String::from_utf8(ended.unwrap().stderr).unwrap();
    assert!(told.contains("doesn't answer"), "{told}");
}

/// A handshake with one version of TLS alone, and what was agreed on.
async fn handshake(
    house: &House,
    endpoint: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> (rustls::ProtocolVersion, Option<Vec<u8>>) {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(house.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tokio::net::TcpStream::connect(address(endpoint)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let (_, session) = stream.get_ref();
    (session.protocol_version().unwrap(), session.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_3_and_1_2_are_spoken_with_http_2() {
    let house = House::new();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    for (version, wanted) in [
        (&rustls::version::TLS13, rustls::ProtocolVersion::TLSv1_3),
        (&rustls::version::TLS12, rustls::ProtocolVersion::TLSv1_2),
    ] {
        let found = handshake(&house, &endpoint, version).await;
        assert_eq!(found, (wanted, Some(b"h2".to_vec())));
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn python_calls_over_tls_with_a_token() {
    let house = House::new();
    let daemon = Launch::plain(&house.config.path, house.config.around()).start().await;
    let token = house.token("python");
    let output = Command::new(python())
        .arg(root().join("tests/python/client.py"))
        .args([address(&tcp(&daemon)), "small", "dev", "go"])
        .env("PARAMD_CA", house.ca())
        .env("PARAMD_TOKEN", &token)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["state"], "RUN_STATE_COMPLETED");
    assert_eq!(found["defects"], serde_json::json!([]));
    let kind = i32::from(PrincipalKind::Token);
    let found = principals(&daemon, Action::Reveal).await;
    assert!(found.iter().all(|one| *one == ("token:python".to_owned(), kind)), "{found:?}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_at_sighup_and_a_bad_one_is_not() {
    let house = House::new();
    let token = house.token("ci");
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let next = Authority::new(&house.config.path.join("tls"), "next");
    let asks = |ca: &str| {
        let ca = house.config.path.join("tls").join(ca);
        let call = paramd(["audit", "list", "--ca", text(&ca)]).env("PARAMD_ENDPOINT", &endpoint);
        call.env("PARAMD_TOKEN", &token).ended().status
    };
    assert_eq!((asks("ca.pem"), asks("next.pem")), (Some(0), Some(3)));
    house.config.write("tls/server.pem", "no certificate");
    daemon.signal(rustix::process::Signal::HUP);
    wait_until("the log tells that it isn't taken", Duration::from_secs(10), async || {
        daemon.log().contains("server.pem").then_some(())
    })
    .await;
    assert_eq!(asks("ca.pem"), Some(0));
    next.server("server");
    daemon.signal(rustix::process::Signal::HUP);
    wait_until("the new certificate is shown", Duration::from_secs(10), async || {
        (asks("next.pem") == Some(0)).then_some(())
    })
    .await;
    assert_eq!(asks("ca.pem"), Some(3));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_certificate_is_served_without_a_restart_or_a_signal() {
    let house = House::new();
    // Outside the configuration, as tools that renew certificates keep them.
    let tls = house.config.around().join("tls");
    std::fs::rename(house.config.path.join("tls"), &tls).unwrap();
    house.config.replace("paramd.yaml", &[("tls/", "../tls/")]);
    let token = house.token("ci");
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let asks = |ca: &str| {
        let call = paramd(["audit", "list", "--ca", text(&tls.join(ca))]);
        call.env("PARAMD_ENDPOINT", &endpoint).env("PARAMD_TOKEN", &token).ended().status
    };
    let reloads = async || principals(&daemon, Action::Reload).await.len();
    let next = Authority::new(&tls, "next");
    assert_eq!((asks("ca.pem"), asks("next.pem")), (Some(0), Some(3)));
    for name in ["server.pem", "server.key"] {
        // The same again is no news.
        std::fs::write(tls.join(name), std::fs::read(tls.join(name)).unwrap()).unwrap();
    }
    let renewed = next.server("renewed");
    std::fs::rename(renewed.certificate, tls.join("server.pem")).unwrap();
    std::fs::rename(renewed.key, tls.join("server.key")).unwrap();
    wait_until("the new certificate is shown", Duration::from_secs(20), async || {
        (asks("next.pem") == Some(0)).then_some(())
    })
    .await;
    assert_eq!((asks("ca.pem"), reloads().await), (Some(3), 1));
    // So is another authority for clients.
    let person = next.client("person", None);
    let person_asks = |ca: &str| {
        paramd(["audit", "list", "--endpoint", &endpoint, "--ca", text(&tls.join(ca))])
            .env("PARAMD_CERTIFICATE", text(&person.certificate))
            .env("PARAMD_KEY", text(&person.key))
            .ended()
            .status
    };
    assert_eq!(person_asks("next.pem"), Some(4));
    std::fs::rename(tls.join("next.pem"), tls.join("ca.pem")).unwrap();
    wait_until("the new authority is asked", Duration::from_secs(20), async || {
        (person_asks("ca.pem") == Some(0)).then_some(())
    })
    .await;
    daemon.stop();
}
