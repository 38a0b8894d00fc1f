//! A server that is slow, gone, full or someone else.

use std::time::Duration;

use serde_json::json;

use super::{add, configured, fails, filled, started, values};
use crate::support::client::resolve;
use crate::support::postgres::PASSWORD;
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_time_at_the_server_too() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", timeout: 1s");
    add(&config, "slow", "integer", "select 1 from (select pg_sleep(60)) as slept");
    let (daemon, client) = started(&config).await;
    fails(&client, "slow", "a", "SOURCE_UNAVAILABLE", "timeout").await;
    wait_until("no query is left", Duration::from_secs(5), async || {
        (server.sessions("active").await == 0).then_some(())
    })
    .await;
    client.resolve(resolve("one", "a")).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_survive_a_restart_of_the_server() {
    let mut server = filled().await;
    let config = configured(&server.url("reader"), "");
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("one", "before")).await.unwrap();
    server.stop();
    fails(&client, "one", "during", "SOURCE_UNAVAILABLE", "unreachable").await;
    server.go().await;
    client.resolve(resolve("one", "after")).await.unwrap();
    server.stop();
    server.go().await;
    // The connection that is kept is of the server before.
    client.resolve(resolve("one", "again")).await.unwrap();
    let ended =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'reader'";
    assert!(server.count(ended).await > 0);
    client.resolve(resolve("one", "ended")).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_refused_and_mended_without_a_restart() {
    let server = filled().await;
    let config = configured(&server.url("reader"), "");
    config.write_secret("password", "wrong-password-90aa");
    let (daemon, client) = started(&config).await;
    fails(&client, "one", "a", "SOURCE_DENIED", "login_failed").await;
    std::fs::remove_file(config.path.join("password")).unwrap();
    fails(&client, "one", "a", "SOURCE_DENIED", "login_failed").await;
    config.write_secret("password", PASSWORD);
    client.resolve(resolve("one", "a")).await.unwrap();
    server.execute("alter role reader connection limit 0").await;
    let none =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'reader'";
    server.count(none).await;
    fails(&client, "one", "b", "SOURCE_UNAVAILABLE", "not_ready").await;
    assert!(!daemon.log().contains("wrong-password") && !daemon.log().contains(PASSWORD));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_shared_and_bounded() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", connections: 3");
    add(&config, "brief", "integer", "select 1 from (select pg_sleep(0.05)) as slept");
    let (daemon, client) = started(&config).await;
    let calls: Vec<_> = (0..40)
        .map(|index| {
            let client = client.clone();
            tokio::spawn(async move { client.resolve(resolve("brief", &index.to_string())).await })
        })
        .collect();
    let mut most = 0;
    while calls.iter().any(|call| !call.is_finished()) {
        most = most.max(server.sessions("%").await);
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!((1..=3).contains(&most), "{most} sessions");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crosses_a_network_is_encrypted_and_verified() {
    let server = filled().await;
    let ca = format!(", ca: \"{}\"", server.ca().display());
    let query =
        "select case when ssl then 1 else 0 end from pg_stat_ssl where pid = pg_backend_pid()";
    for (more, outcome) in [(ca.as_str(), Ok(1)), (", tls: off", Ok(0)), (", tls: on", Err("tls"))]
    {
        let config = configured(&server.url("reader"), more);
        add(&config, "ssl", "integer", query);
        let (daemon, client) = started(&config).await;
        match outcome {
            Ok(ssl) => {
                client.resolve(resolve("ssl", "a")).await.unwrap();
                assert_eq!(values(&client, "ssl", "a").await["x"], json!(ssl), "{more}");
            }
            Err(cause) => fails(&client, "ssl", "a", "SOURCE_FAILED", cause).await,
        }
        daemon.stop();
    }
    let config = configured(&server.socket_url("reader"), "");
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("one", "socket")).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_holds_nobody_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://u@{}/x", silent.local_addr().unwrap());
    let config = configured(&url, ", timeout: 1s");
    let (daemon, client) = started(&config).await;
    fails(&client, "one", "a", "SOURCE_UNAVAILABLE", "timeout").await;
    daemon.stop();
}
