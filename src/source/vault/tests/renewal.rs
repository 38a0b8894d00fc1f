//! Tests of tokens that are kept alive, counted in the server's audit file.

use std::time::{Duration, Instant};

use super::*;

/// Twenty readers go on reading, and all are answered, until `done`.
async fn read_until(source: &Arc<dyn Source>, path: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "not within a minute");
        for outcome in join_all((0..20).map(|_| read(source, path))).await {
            assert!(matches!(outcome, Ok(Answer::Found { .. })));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_login_is_renewed_and_before_its_maximum_made_anew() {
    let server = Server::start().await;
    let source = approle(&server).await;
    let role = r#"{"token_policies":["ml"],"token_ttl":"6s","token_max_ttl":"11s"}"#;
    server.put("auth/approle/role/ml", role).await;
    let renewals = || server.asked("auth/token/renew-self");
    read_until(&source, "ml/db", || renewals() == 3).await;
    // The second renewal met the maximum; the third is of the second login.
    assert_eq!(server.asked("auth/approle/login"), 2);
    // No read ever met a dead token.
    assert_eq!(server.asked("auth/token/lookup-self"), 0);
}

#[tokio::test]
async fn a_login_that_cannot_be_renewed_is_made_anew_in_time() {
    let server = Server::start().await;
    let source = approle(&server).await;
    let role = r#"{"token_policies":["ml"],"token_ttl":"6s","token_type":"batch"}"#;
    server.put("auth/approle/role/ml", role).await;
    read_until(&source, "ml/db", || server.asked("auth/approle/login") == 3).await;
    assert_eq!(server.asked("auth/token/renew-self"), 0);
    assert_eq!(server.asked("auth/token/lookup-self"), 0);
}

#[tokio::test]
async fn a_failed_login_leaves_the_living_token_in_use() {
    let server = Server::start().await;
    let source = approle(&server).await;
    let role = r#"{"token_policies":["ml"],"token_ttl":"9s","token_type":"batch"}"#;
    server.put("auth/approle/role/ml", role).await;
    assert!(matches!(read(&source, "ml/db").await, Ok(Answer::Found { .. })));
    std::fs::write(server.folder().join("secret"), "not-the-secret").unwrap();
    let start = Instant::now();
    read_until(&source, "ml/db", || server.asked("auth/approle/login") == 2).await;
    read_until(&source, "ml/db", || start.elapsed() > Duration::from_secs(8)).await;
    // One try at 6 s and one a second later, however many read.
    assert!(server.asked("auth/approle/login") <= 3);
}

#[tokio::test]
async fn a_token_from_a_file_is_renewed_and_changes_with_its_file() {
    let server = Server::start().await;
    server.put("secret/data/a", r#"{"data":{"a":"b"}}"#).await;
    let token = async |body: &'static str| {
        let made = server.put("auth/token/create", body).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let old = token(r#"{"policies":["root"],"ttl":"6s","display_name":"old"}"#).await;
    let new = token(r#"{"policies":["root"],"ttl":"1h","display_name":"new"}"#).await;
    let source = rooted(&server);
    let file = server.folder().join("root-token");
    std::fs::write(&file, &old).unwrap();
    read_until(&source, "a", || server.asked("auth/token/renew-self") == 2).await;
    assert_eq!(server.asked("auth/token/lookup-self"), 1);
    assert_eq!(server.last_reader("secret/data/a").as_deref(), Some("token-old"));
    // What Vault doesn't know takes nothing's place.
    std::fs::write(&file, "s.unknown").unwrap();
    read_until(&source, "a", || server.asked("auth/token/renew-self") == 3).await;
    std::fs::write(&file, &new).unwrap();
    let reader = || server.last_reader("secret/data/a");
    read_until(&source, "a", || reader().as_deref() == Some("token-new")).await;
}
