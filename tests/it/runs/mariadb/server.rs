//! A server that is slow, gone, full or someone else.

use std::time::Duration;

use serde_json::json;

use super::{add, configured, fails, filled, started, values};
use crate::support::client::resolve;
use crate::support::mariadb::{PASSWORD, sessions};
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_with_its_time_at_the_server_too() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", timeout: 1s");
    let heavy = "select count(*) from numbers_of a, numbers_of b, numbers_of c";
    add(&config, "slow", "integer", heavy);
    let (daemon, client) = started(&config).await;
    fails(&client, "slow", "a", "SOURCE_UNAVAILABLE", "timeout").await;
    let mut watcher = server.session().await;
    wait_until("no query is left", Duration::from_secs(5), async || {
        (sessions(&mut watcher).await == 0).then_some(())
    })
    .await;
    client.resolve(resolve("one", "a")).await.unwrap();
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_survived() {
    let mut server = filled().await;
    let config = configured(&server.url("reader"), "");
    let (daemon, client) = started(&config).await;
    client.resolve(resolve("one", "before")).await.unwrap();
    server.stop();
    fails(&client, "one", "during", "SOURCE_UNAVAILABLE", "unreachable").await;
    server.go().await;
    client.resolve(resolve("one", "after")).await.unwrap();
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
    server.execute("alter user reader account lock").await;
    fails(&client, "one", "b", "SOURCE_DENIED", "login_failed").await;
    server.execute("alter user reader account unlock").await;
    server.execute("revoke all privileges, grant option from reader").await;
    fails(&client, "one", "b", "SOURCE_DENIED", "login_failed").await;
    assert!(!daemon.log().contains("wrong-password") && !daemon.log().contains(PASSWORD));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_not_ready() {
    let server = filled().await;
    let config = configured(&server.url("reader"), "");
    let (daemon, client) = started(&config).await;
    // One more is kept for the superuser.
    server.execute("set global max_connections = 10").await;
    let mut held = Vec::new();
    for _ in 0..10 {
        held.push(server.session().await);
    }
    fails(&client, "one", "a", "SOURCE_UNAVAILABLE", "not_ready").await;
    drop(held);
    wait_until("there is room", Duration::from_secs(5), async || {
        client.resolve(resolve("one", "b")).await.ok()
    })
    .await;
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded() {
    let server = filled().await;
    let config = configured(&server.url("reader"), ", connections: 3");
    add(&config, "brief", "integer", "select sleep(0.05)");
    let (daemon, client) = started(&config).await;
    let calls: Vec<_> = (0..40)
        .map(|index| {
            let client = client.clone();
            tokio::spawn(async move { client.resolve(resolve("brief", &index.to_string())).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // Counted by the server: one that watches its sessions come and go ends it.
    let most = server
        .count("select cast(variable_value as signed) from information_schema.global_status where variable_name = 'Max_used_connections'")
        .await;
    // One that said goodbye may still be listed when the next one comes.
    assert!((1..=6).contains(&most), "{most} sessions");
    let log = server.log();
    let aborted = log.lines().find(|line| line.contains("Aborted") && line.contains("'reader'"));
    assert_eq!(aborted, None, "each says goodbye");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_crosses_a_network_is_encrypted_and_verified() {
    let server = filled().await;
    let ca = format!(", ca: \"{}\"", server.ca().display());
    let query = "select variable_value <> '' from information_schema.session_status where variable_name = 'Ssl_cipher'";
    for (more, outcome) in
        [(ca.as_str(), Ok(true)), (", tls: off", Ok(false)), (", tls: on", Err("tls"))]
    {
        let config = configured(&server.url("reader"), more);
        add(&config, "ssl", "boolean", query);
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
    let url = format!("mysql://u@{}/x", silent.local_addr().unwrap());
    let config = configured(&url, ", timeout: 1s");
    let (daemon, client) = started(&config).await;
    fails(&client, "one", "a", "SOURCE_UNAVAILABLE", "timeout").await;
    daemon.stop();
}
