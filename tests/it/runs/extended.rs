//! `ExtendRun`: an open run stays open longer, and nothing else does.

use paramd::proto::v1::{
    EventOutcome, ExtendRunRequest, ExtendRunResponse, GetRunRequest, Run, RunOutcome, RunState,
};

use super::small;
use crate::support::client::{Client, resolve, run};
use crate::support::daemon::Launch;
use crate::support::status::{check_invalid, check_reason};
use crate::support::wait_until;

async fn extend(client: &Client, id: &str, seconds: i64) -> Result<Run, tonic::Status> {
    let lifetime = Some(prost_types::Duration { seconds, nanos: 0 });
    let request = ExtendRunRequest { run: Some(run("small", id)), lifetime };
    let answer: ExtendRunResponse = client.runs.clone().extend_run(request).await?.into_inner();
    Ok(answer.run.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_run_stays_open_longer() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let short = resolve("small", "a").with(|request| {
        request.lifetime = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    });
    let made = client.resolve(short).await.unwrap().run.unwrap();
    let etag = client.context(&run("small", "a"), "go").await.unwrap().etag;
    let extended = extend(&client, "a", 7_200).await.unwrap();
    let seconds = |run: &Run| {
        run.expire_time.as_ref().unwrap().seconds - run.create_time.as_ref().unwrap().seconds
    };
    assert_eq!((seconds(&made), seconds(&extended)), (60, 7_200));
    // The same again and a shorter one change nothing.
    assert_eq!(extend(&client, "a", 7_200).await.unwrap(), extended);
    assert_eq!(extend(&client, "a", 1).await.unwrap(), extended);
    assert_ne!(client.context(&run("small", "a"), "go").await.unwrap().etag, etag);
    let status = extend(&client, "a", 400 * 24 * 3_600).await.unwrap_err();
    let problem = check_reason(&status, "INVALID_REQUEST");
    assert_eq!(problem.violations[0].field, "lifetime");
    // The record was written anew: it is read back by another daemon.
    daemon.stop();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let request = GetRunRequest { run: Some(run("small", "a")) };
    let got = client.runs.clone().get_run(request).await.unwrap().into_inner().run.unwrap();
    assert_eq!(got, extended);
    client.reveal_all(&run("small", "a"), "go", None).await.unwrap();
    client.complete(&run("small", "a"), RunOutcome::Succeeded).await.unwrap();
    check_reason(&extend(&client, "a", 7_300).await.unwrap_err(), "RUN_ENDED");
    daemon.stop();
}

async fn state(client: &Client, id: &str) -> RunState {
    let request = GetRunRequest { run: Some(run("small", id)) };
    client.runs.clone().get_run(request).await.unwrap().into_inner().run.unwrap().state()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_the_end_that_it_had_and_one_that_is_over_stays_so() {
    let config = small();
    config.replace("pipelines/small.yaml", &[("name: small\n", "name: small\nlifetime: 3s\n")]);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "longer")).await.unwrap();
    extend(&client, "longer", 7_200).await.unwrap();
    // It is over no sooner than the one before would have been.
    client.resolve(resolve("small", "over")).await.unwrap();
    wait_until("the run expires", std::time::Duration::from_secs(30), async || {
        (state(&client, "over").await == RunState::Expired).then_some(())
    })
    .await;
    assert_eq!(state(&client, "longer").await, RunState::Open);
    client.reveal_all(&run("small", "longer"), "go", None).await.unwrap();
    // Neither a longer nor a shorter life brings it back.
    for seconds in [7_200, 1] {
        let problem =
            check_reason(&extend(&client, "over", seconds).await.unwrap_err(), "RUN_ENDED");
        assert_eq!(problem.metadata["state"].to_lowercase(), "expired");
    }
    check_reason(&client.context(&run("small", "over"), "go").await.unwrap_err(), "RUN_ENDED");
    client.complete(&run("small", "longer"), RunOutcome::Cancelled).await.unwrap();
    let problem = check_reason(&extend(&client, "longer", 8_000).await.unwrap_err(), "RUN_ENDED");
    assert_eq!(problem.metadata["outcome"].to_lowercase(), "cancelled");
    let events = client.events().await;
    let told = events.iter().filter(|event| event.action().as_str_name() == "ACTION_COMPLETE");
    let told: Vec<_> = told.map(|event| (event.outcome(), event.reason.as_str())).collect();
    let (good, ended) = ((EventOutcome::Succeeded, ""), (EventOutcome::Failed, "RUN_ENDED"));
    assert_eq!(told, [good, ended, ended, good, ended]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_counts_from_the_runs_creation_and_is_todays() {
    let config = small();
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    config.write("paramd.yaml", format!("lifetime: {{ default: 2h, maximum: 3h }}\n{settings}"));
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "a")).await.unwrap();
    let status = extend(&client, "a", 3 * 3_600 + 1).await.unwrap_err();
    check_invalid(&status, &[("lifetime", "INVALID_FIELD")]);
    let longest = extend(&client, "a", 3 * 3_600).await.unwrap();
    check_invalid(&extend(&client, "a", -1).await.unwrap_err(), &[("lifetime", "INVALID_FIELD")]);
    let request = ExtendRunRequest { run: Some(run("small", "a")), lifetime: None };
    let status = client.runs.clone().extend_run(request).await.unwrap_err();
    check_invalid(&status, &[("lifetime", "MISSING_FIELD")]);
    daemon.stop();
    // A lower cap takes nothing from a run that is open already.
    config.replace("paramd.yaml", &[("maximum: 3h", "maximum: 2h")]);
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let status = extend(&client, "a", 3 * 3_600).await.unwrap_err();
    check_invalid(&status, &[("lifetime", "INVALID_FIELD")]);
    assert_eq!(extend(&client, "a", 2 * 3_600).await.unwrap(), longest);
    daemon.stop();
}
