//! `DiffRuns`: what differs between two runs, and no secret.

use paramd::proto::v1::{
    DecisionReason, DiffRunsRequest, DiffRunsResponse, Layer, StepAction, ValueComparison,
};

use super::small;
use crate::support::client::{Client, resolve, run, to_json};
use crate::support::config::Config;
use crate::support::daemon::Launch;

async fn diff(client: &Client, base: &str, other: &str) -> DiffRunsResponse {
    let (base, other) = (Some(run("small", base)), Some(run("small", other)));
    client.runs.clone().diff_runs(DiffRunsRequest { base, other }).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_compared_only_for_who_may_see_fingerprints() {
    let config = small();
    std::fs::remove_file(config.path.join("policies/all.cedar")).unwrap();
    let permit = |more: &str| {
        let actions = ["resolve", "read"].map(|name| format!("Paramd::Action::\"{name}\""));
        format!("permit (principal, action in [{}{more}], resource);\n", actions.join(", "))
    };
    config.write("policies/own.cedar", permit(""));
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let asked = |id: &str, secret: &[u8], epochs: &str| {
        resolve("small", id).secret("token", secret).text("epochs", epochs)
    };
    client.resolve(asked("a", b"first-token-77", "2")).await.unwrap();
    client.resolve(asked("b", b"second-token-77", "2")).await.unwrap();
    client.resolve(asked("c", b"first-token-77", "3")).await.unwrap();
    // Neither tells whether the secrets are the same.
    assert_eq!(diff(&client, "a", "b").await.parameters, []);
    let names = |diff: &DiffRunsResponse| -> Vec<(String, ValueComparison)> {
        diff.parameters.iter().map(|one| (one.name.clone(), one.comparison())).collect()
    };
    let public = [
        ("epochs".to_owned(), ValueComparison::Different),
        ("label".to_owned(), ValueComparison::Different),
    ];
    assert_eq!(names(&diff(&client, "a", "c").await), public);
    daemon.stop();
    config.write("policies/own.cedar", permit(", Paramd::Action::\"fingerprints\""));
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let secret = diff(&client, "a", "b").await;
    assert_eq!(
        names(&secret),
        [
            ("header".to_owned(), ValueComparison::Different),
            ("token".to_owned(), ValueComparison::Different),
        ]
    );
    assert_eq!(names(&diff(&client, "a", "c").await), public);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_from_elsewhere_is_told_and_its_value_only_by_fingerprints() {
    let config = small();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "file")).await.unwrap();
    let same = resolve("small", "same").secret("token", super::TOKEN.as_bytes());
    client.resolve(same).await.unwrap();
    let compared = diff(&client, "file", "same").await;
    let token = compared.parameters.iter().find(|one| one.name == "token").unwrap();
    assert_eq!(token.comparison(), ValueComparison::Same);
    let layer = |one: &Option<paramd::proto::v1::ResolvedParameter>| {
        one.as_ref().unwrap().provenance.as_ref().unwrap().layer()
    };
    assert_eq!((layer(&token.base), layer(&token.other)), (Layer::Definition, Layer::Override));
    let told = format!("{compared:?}");
    assert!(!told.contains(super::TOKEN) && !told.contains(&hex::encode(super::TOKEN)));
    daemon.stop();
    // Who may not see fingerprints isn't told that they are the same.
    std::fs::remove_file(config.path.join("policies/all.cedar")).unwrap();
    let read = "permit (principal, action == Paramd::Action::\"read\", resource);\n";
    config.write("policies/own.cedar", read);
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let compared = diff(&client, "file", "same").await;
    let token = compared.parameters.iter().find(|one| one.name == "token").unwrap();
    assert_eq!(token.comparison(), ValueComparison::Unspecified);
    assert!(!format!("{compared:?}").contains("Fingerprint"), "{compared:?}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_are_decided_differently_or_are_gone_are_told() {
    let config = small();
    config.write_secret("files/absent", "it-is-there-by-now");
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    for (id, wide) in [("narrow", "false"), ("again", "false"), ("wide", "true")] {
        client.resolve(resolve("small", id).text("wide", wide)).await.unwrap();
    }
    assert_eq!(diff(&client, "narrow", "again").await.steps, []);
    let compared = diff(&client, "narrow", "wide").await;
    let [step] = compared.steps.as_slice() else { panic!("{compared:?}") };
    let (base, other) = (step.base.as_ref().unwrap(), step.other.as_ref().unwrap());
    assert_eq!(step.step, "wide");
    let decisions = [base, other].map(|one| one.decision.clone().unwrap());
    assert_eq!(decisions[0].action(), StepAction::Skip);
    assert_eq!(decisions[0].reason(), DecisionReason::ConditionFalse);
    assert_eq!(to_json(&decisions[0].deciding_values["params.wide"]), false);
    assert_eq!(decisions[1].action(), StepAction::Run);
    // The other way round, it is the other way round.
    let turned = diff(&client, "wide", "narrow").await;
    assert_eq!((&turned.steps[0].base, &turned.steps[0].other), (&step.other, &step.base));
    daemon.stop();
    // Another definition: a step and a parameter are in one of the runs only.
    config.write(
        "pipelines/small.yaml",
        "name: small\nparameters: { epochs: { type: integer, default: 10 }, new: { type: \
         boolean, default: true } }\nsteps: [{ name: fresh, params: [epochs, new], run: [echo] }]\n",
    );
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", "fresh")).await.unwrap();
    let compared = diff(&client, "narrow", "fresh").await;
    let steps: Vec<_> = compared
        .steps
        .iter()
        .map(|one| (one.step.as_str(), one.base.is_some(), one.other.is_some()))
        .collect();
    assert_eq!(steps, [("fresh", false, true), ("go", true, false), ("wide", true, false)]);
    let new = compared.parameters.iter().find(|one| one.name == "new").unwrap();
    assert!(new.base.is_none() && new.other.is_some());
    assert_eq!(new.comparison(), ValueComparison::Different);
    assert!(compared.parameters.iter().all(|one| one.name != "epochs"), "it is the same");
    daemon.stop();
}

const LARGE: &str = r#"name: large
parameters: { a: { type: string, default: "" }, b: { type: string, default: "" } }
steps: [{ name: go, params: [a, b], run: [echo] }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn differences_over_an_answers_limit_are_refused_and_smaller_ones_are_told() {
    let config = Config::new("", "large", LARGE);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    for (id, size) in [("a", 900_000), ("b", 900_000), ("c", 600_000)] {
        let text = id.repeat(size);
        client.resolve(resolve("large", id).text("a", &text).text("b", &text)).await.unwrap();
    }
    let (base, other) = (Some(run("large", "a")), Some(run("large", "b")));
    let answer = client.runs.clone().diff_runs(DiffRunsRequest { base, other }).await;
    let problem = crate::support::status::check_reason(&answer.unwrap_err(), "ANSWER_TOO_LARGE");
    assert_eq!(problem.metadata["limit_bytes"], (3 << 20).to_string());
    let (base, other) = (Some(run("large", "c")), Some(run("large", "a")));
    let request = DiffRunsRequest { base, other };
    let compared = client.runs.clone().diff_runs(request).await.unwrap().into_inner();
    assert_eq!(compared.parameters.len(), 2);
    daemon.stop();
}
