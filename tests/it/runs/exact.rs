//! Exact attempts over a real OpenBao: a secret at the version that was read,
//! whatever became of it since.

use std::collections::BTreeMap;

use paramd::proto::v1::{AttemptMode, ResolveResult, ResolveRunRequest, RunOutcome};
use serde_json::json;

use super::attempts::attempt;
use super::vault::{PASSWORD, filled, mounts, vaulted};
use crate::support::client::{Client, channel, resolve, to_json};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::{check_reason, everything};

const NEW: &str = "rotated-pass-5c01f2";

fn exactly(pipeline: &str, number: u32) -> ResolveRunRequest {
    let request = resolve(pipeline, "a").with(|request| {
        request.run = Some(attempt(pipeline, "a", number));
        request.mode = AttemptMode::Exact.into();
    });
    request.into()
}

async fn url(client: &Client, number: u32) -> String {
    let secrets = client.reveal_all(&attempt("vaulted", "a", number), "go", None).await.unwrap();
    let url = secrets.iter().find(|secret| secret.name == "env.URL").unwrap();
    String::from_utf8(url.payload.as_ref().unwrap().data.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_attempt_gets_the_version_of_before_until_it_is_destroyed() {
    let bao = filled().await;
    let config = vaulted(&bao, &bao.address()).await;
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let first = client.resolve(resolve("vaulted", "a")).await.unwrap();
    let old = url(&client, 1).await;
    client.complete(&attempt("vaulted", "a", 1), RunOutcome::Failed).await.unwrap();
    bao.write("secret", "ml/dev/db", json!({ "user": "u2", "password": NEW }), true).await;
    // Killed while somebody asks, it leaves no attempt behind, or a whole one.
    let mark = bao.mark();
    let socket = daemon.socket().to_owned();
    let asked = tokio::spawn(async move {
        let client = Client::new(channel(&socket).await.unwrap());
        client.resolve(exactly("vaulted", 2)).await.map(|answer| answer.snapshot)
    });
    crate::support::wait_until("a read", std::time::Duration::from_secs(20), async || {
        (!bao.reads_since(mark, &mounts()).is_empty()).then_some(())
    })
    .await;
    daemon.kill();
    let asked = asked.await.unwrap();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let mark = bao.mark();
    let calls = (0..20).map(|_| client.resolve(exactly("vaulted", 2)));
    let answers: Vec<_> =
        futures_util::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    let created = answers.iter().filter(|answer| answer.result() == ResolveResult::Created).count();
    let reads = bao.reads_since(mark, &mounts());
    let each_once = BTreeMap::from([
        ("secret/data/ml/key".to_owned(), 1),
        ("secret/data/ml/dev/db".to_owned(), 1),
    ]);
    match asked {
        Ok(snapshot) => assert_eq!((created, &answers[0].snapshot), (0, &snapshot)),
        Err(_) => assert!(created == 0 || (created == 1 && reads == each_once), "{reads:?}"),
    }
    assert!(answers.iter().all(|answer| answer.snapshot == answers[0].snapshot));
    assert_eq!(url(&client, 2).await, old);
    assert!(old.starts_with("db://u:") && PASSWORD.len() > 8);
    // The public half is of the same version, from the record.
    let user = |answer: &paramd::proto::v1::ResolveRunResponse| {
        let snapshot = answer.snapshot.clone().unwrap();
        let user = snapshot.parameters.into_iter().find(|one| one.name == "user").unwrap();
        let Some(paramd::proto::v1::resolved_parameter::Content::Value(value)) = user.content
        else {
            panic!("it is public")
        };
        (to_json(&value), user.provenance.unwrap().version)
    };
    assert_eq!(user(&answers[0]), user(&first));
    client.complete(&attempt("vaulted", "a", 2), RunOutcome::Failed).await.unwrap();
    bao.remove("secret", "ml/dev/db", "destroy").await;
    let status = client.resolve(exactly("vaulted", 3)).await.unwrap_err();
    let problem = check_reason(&status, "EXACT_UNAVAILABLE");
    let told: Vec<_> =
        problem.violations.iter().map(|one| (one.field.as_str(), one.reason.as_str())).collect();
    assert_eq!(told, [("password", "VALUE_GONE")]);
    let text = String::from_utf8_lossy(&everything(&status)).into_owned();
    assert!(!text.contains(PASSWORD) && !text.contains(NEW));
    // A refreshed one takes what is there now.
    let mut refreshed = exactly("vaulted", 3);
    refreshed.mode = AttemptMode::Refresh.into();
    client.resolve(refreshed).await.unwrap();
    assert_eq!(url(&client, 3).await, format!("db://u2:{NEW}@host"));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_version_comes_back_and_a_secret_without_versions_never_does() {
    let bao = filled().await;
    let config = vaulted(&bao, &bao.address()).await;
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("vaulted", "a")).await.unwrap();
    client.complete(&attempt("vaulted", "a", 1), RunOutcome::Failed).await.unwrap();
    bao.remove("secret", "ml/key", "delete").await;
    let status = client.resolve(exactly("vaulted", 2)).await.unwrap_err();
    let problem = check_reason(&status, "EXACT_UNAVAILABLE");
    assert_eq!((problem.violations.len(), problem.violations[0].field.as_str()), (1, "key"));
    assert_eq!(problem.violations[0].reason, "VALUE_GONE");
    bao.remove("secret", "ml/key", "undelete").await;
    client.resolve(exactly("vaulted", 2)).await.unwrap();
    daemon.stop();
    // A secret file has no versions; what is public comes from the record.
    let config: Config = super::small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    client.complete(&attempt("small", "a", 1), RunOutcome::Failed).await.unwrap();
    let status = client.resolve(exactly("small", 2)).await.unwrap_err();
    let problem = check_reason(&status, "EXACT_UNAVAILABLE");
    assert_eq!((problem.violations.len(), problem.violations[0].field.as_str()), (1, "token"));
    assert_eq!(problem.violations[0].reason, "NOT_REPEATABLE");
    // Brought by the caller, it is brought again.
    let brought = |number: u32| {
        resolve("small", "b").secret("token", b"a-token-of-the-caller-77").with(|request| {
            request.run = Some(attempt("small", "b", number));
            request.mode = if number > 1 { AttemptMode::Exact.into() } else { 0 };
        })
    };
    client.resolve(brought(1)).await.unwrap();
    client.complete(&attempt("small", "b", 1), RunOutcome::Failed).await.unwrap();
    let without = brought(2).with(|request| request.secret_overrides.clear());
    let problem = check_reason(&client.resolve(without).await.unwrap_err(), "RUN_CONFLICT");
    assert_eq!(problem.metadata["differs"], "secret_overrides.token");
    config.replace("files/token", &[(super::TOKEN, "another-token-of-the-file")]);
    client.resolve(brought(2)).await.unwrap();
    let secrets = client.reveal_all(&attempt("small", "b", 2), "go", None).await.unwrap();
    let header = secrets.iter().find(|secret| secret.name == "env.HEADER").unwrap();
    let expected = b"Bearer a-token-of-the-caller-77";
    assert_eq!(header.payload.as_ref().unwrap().data, expected);
    daemon.stop();
}
