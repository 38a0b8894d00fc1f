//! What policies allow: nothing where none says so, and denied looks like
//! absent.

use paramd::proto::v1::{
    Action, EventOutcome, GetPipelineRequest, ResolveResult, RevealSecretsRequest,
};
use tonic::Status;

use super::small;
use crate::support::client::{resolve, run};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::status::{check_reason, everything, problem};

/// A daemon under these policies alone.
async fn under(config: &Config, policies: &str) -> Daemon {
    std::fs::remove_file(config.path.join("policies/all.cedar")).unwrap();
    config.write("policies/own.cedar", policies);
    Launch::plain(&config.path, config.around()).start().await
}

fn actions(names: &[&str]) -> String {
    let list: Vec<_> = names.iter().map(|name| format!("Paramd::Action::\"{name}\"")).collect();
    format!("permit (principal, action in [{}], resource);\n", list.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_everything_is_denied_alike() {
    let config = small();
    let daemon = under(&config, "").await;
    let mut client = daemon.client().await;
    let mut answers: Vec<Status> = Vec::new();
    for pipeline in ["small", "none"] {
        answers.push(client.resolve(resolve(pipeline, "a")).await.unwrap_err());
        answers.push(client.context(&run(pipeline, "a"), "go").await.unwrap_err());
        answers.push(client.reveal_all(&run(pipeline, "a"), "go", None).await.unwrap_err());
        let request = GetPipelineRequest { pipeline: pipeline.into() };
        answers.push(client.pipelines.get_pipeline(request).await.unwrap_err());
    }
    let (there, absent) = answers.split_at(answers.len() / 2);
    for (there, absent) in there.iter().zip(absent) {
        check_reason(there, "ACCESS_DENIED");
        assert_eq!(there.message(), absent.message());
        assert_eq!(format!("{:?}", problem(there)), format!("{:?}", problem(absent)));
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_trigger_a_run_can_not_thereby_read_its_secrets() {
    let config = small();
    let daemon = under(&config, &actions(&["resolve", "read", "audit"])).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    client.context(&run("small", "a"), "go").await.unwrap();
    let status = client.reveal_all(&run("small", "a"), "go", None).await.unwrap_err();
    check_reason(&status, "ACCESS_DENIED");
    let told = String::from_utf8_lossy(&everything(&status)).into_owned();
    assert!(!told.contains(super::TOKEN));
    let events = client.events().await;
    let denied = events
        .iter()
        .any(|event| event.action() == Action::Reveal && event.outcome() == EventOutcome::Denied);
    assert!(denied, "{events:#?}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_secret_covers_every_text_made_of_it() {
    let config = small();
    let policies = actions(&["resolve", "read", "reveal", "audit"])
        + "forbid (principal, action == Paramd::Action::\"reveal\", \
           resource in Paramd::Parameter::\"small/token\");\n";
    let daemon = under(&config, &policies).await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    for name in ["header", "env.HEADER"] {
        let request = RevealSecretsRequest {
            run: Some(run("small", "a")),
            step: "go".into(),
            names: vec![name.into()],
            ..RevealSecretsRequest::default()
        };
        let status = client.context.clone().reveal_secrets(request).await.unwrap_err();
        let problem = check_reason(&status, "ACCESS_DENIED");
        assert_eq!(problem.violations[0].field, "names[0]", "{problem:#?}");
    }
    daemon.stop();
}

#[test]
fn a_policy_that_the_schema_does_not_know_is_refused() {
    let config = small();
    config.write(
        "policies/own.cedar",
        "permit (principal, action == Paramd::Action::\"revel\", resource);\n",
    );
    let mut daemon = Launch::plain(&config.path, config.around()).spawn();
    assert!(!daemon.wait().success());
    assert!(daemon.log().contains("own.cedar"), "{}", daemon.log());
}

/// One user for the suite is two for the daemon: started anew in a user namespace,
/// it sees the same peer under another uid.
const AS_ANOTHER: &str = "set -- unshare --user --map-user=4242 --map-group=4242 \"$@\"; ";

#[tokio::test(flavor = "multi_thread")]
async fn another_users_run_is_denied_like_one_that_is_not_there() {
    let config = small();
    let daemon = under(&config, &actions(&["resolve", "audit"])).await;
    daemon.client().await.resolve(resolve("small", "a")).await.unwrap();
    daemon.stop();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = Launch { before: AS_ANOTHER, ..launch }.start().await;
    let client = daemon.client().await;
    let status = client.resolve(resolve("small", "a")).await.unwrap_err();
    check_reason(&status, "ACCESS_DENIED");
    // Not even a request that is wrong is looked at.
    let wrong = resolve("small", "a").text("epochs", "many");
    let other = client.resolve(wrong).await.unwrap_err();
    assert_eq!(format!("{:?}", problem(&status)), format!("{:?}", problem(&other)));
    let events = client.events().await;
    let joins: Vec<_> = events.iter().filter(|event| event.action() == Action::Join).collect();
    assert_eq!(joins.len(), 2);
    assert!(joins.iter().all(|event| event.outcome() == EventOutcome::Denied));
    assert_eq!(joins[0].principal.as_ref().unwrap().name, "uid:4242");
    let first = events.iter().find(|event| event.action() == Action::Resolve).unwrap();
    let own = format!("uid:{}", rustix::process::geteuid().as_raw());
    assert_eq!(first.principal.as_ref().unwrap().name, own);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_run_is_joined_without_its_secrets() {
    const SECRET: &[u8] = b"a-token-that-the-owner-brought-81b2";
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let own = resolve("small", "a").text("epochs", "3").secret("token", SECRET);
    let made = daemon.client().await.resolve(own).await.unwrap();
    daemon.stop();
    let daemon = Launch { before: AS_ANOTHER, ..launch }.start().await;
    let client = daemon.client().await;
    let joined = client.resolve(resolve("small", "a").text("epochs", "3")).await.unwrap();
    assert_eq!(joined.result(), ResolveResult::Replayed);
    assert_eq!(joined.snapshot, made.snapshot);
    assert_eq!(joined.run.unwrap().owner, made.run.unwrap().owner);
    let mut told = Vec::new();
    for guess in [SECRET, b"a-guess-of-somebody-else"] {
        let asked = resolve("small", "a").text("epochs", "3").secret("token", guess);
        let problem = check_reason(&client.resolve(asked).await.unwrap_err(), "RUN_CONFLICT");
        assert_eq!(problem.metadata["differs"], "secret_overrides.token");
        told.push(format!("{problem:?}"));
    }
    assert_eq!(told[0], told[1]);
    let events = client.events().await;
    let joins = events.iter().filter(|event| event.action() == Action::Join);
    let outcomes: Vec<_> = joins.map(|event| event.outcome()).collect();
    assert_eq!(outcomes, [EventOutcome::Succeeded, EventOutcome::Failed, EventOutcome::Failed]);
    daemon.stop();
}
