//! Requests that are wrong: refused with all their problems, nothing quoted,
//! and the daemon goes on.

use paramd::proto::v1::{ListValue, Value, value::Kind};

use super::small;
use crate::support::client::{resolve, run};
use crate::support::daemon::Launch;
use crate::support::status::{check_invalid, check_reason, everything};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_names_are_refused_and_not_quoted() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let long = "x".repeat(251);
    for run_id in ["", "line\nbreak", "nul\0byte", "umläut", long.as_str()] {
        let status = client.resolve(resolve("small", run_id)).await.unwrap_err();
        let problem = check_reason(&status, "INVALID_REQUEST");
        assert_eq!(problem.violations[0].field, "run.run_id", "{problem:#?}");
        if run_id.len() > 1 {
            let text = String::from_utf8_lossy(&everything(&status)).into_owned();
            assert!(!text.contains(run_id), "{text}");
        }
    }
    for pipeline in ["", "../small", "SMALL", "-small", "a/b"] {
        let status = client.resolve(resolve(pipeline, "a")).await.unwrap_err();
        check_reason(&status, "INVALID_REQUEST");
    }
    let nobody = resolve("small", "a").with(|request| request.run = None);
    check_reason(&client.resolve(nobody).await.unwrap_err(), "INVALID_REQUEST");
    let nowhere = resolve("small", "a").with(|request| request.environment.clear());
    check_invalid(&client.resolve(nowhere).await.unwrap_err(), &[("environment", "MISSING_FIELD")]);
    let unknown = resolve("small", "a").with(|request| request.environment = "moon".into());
    check_reason(&client.resolve(unknown).await.unwrap_err(), "ENVIRONMENT_NOT_FOUND");
    check_reason(&client.resolve(resolve("smal", "a")).await.unwrap_err(), "PIPELINE_NOT_FOUND");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_problems_are_told_at_once_and_nothing_is_stored() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let request = resolve("small", "a")
        .text("epochs", "1e3")
        .text("hunter2-is-my-password", "x")
        .text("wide", "yes")
        .text("token", "a-secret-among-the-texts")
        .text("label", "mine")
        .value("rate", Kind::DoubleValue(f64::NAN))
        .value("layers", Kind::StringValue("64".into()))
        .with(|request| {
            request.overrides.insert("note".into(), Value { kind: None });
        });
    let status = client.resolve(request).await.unwrap_err();
    let problem = check_reason(&status, "INVALID_REQUEST");
    let reason = |field: &str| {
        let found = problem.violations.iter().find(|v| v.field == field);
        found.map(|v| v.reason.as_str()).unwrap_or_default()
    };
    assert_eq!(reason("text_overrides.epochs"), "INVALID_VALUE", "{problem:#?}");
    assert_eq!(reason("text_overrides.wide"), "INVALID_VALUE", "{problem:#?}");
    assert_eq!(reason("text_overrides.token"), "SECRECY_MISMATCH", "{problem:#?}");
    assert_eq!(reason("text_overrides.label"), "OVERRIDE_NOT_ALLOWED", "{problem:#?}");
    assert_eq!(reason("overrides.rate"), "INVALID_VALUE", "{problem:#?}");
    assert_eq!(reason("overrides.layers"), "INVALID_VALUE", "{problem:#?}");
    assert!(problem.violations.iter().any(|v| v.reason == "UNKNOWN_PARAMETER"), "{problem:#?}");
    assert!(problem.violations.iter().any(|v| v.field == "overrides.note"), "{problem:#?}");
    let text = String::from_utf8_lossy(&everything(&status)).into_owned();
    for value in ["1e3", "a-secret-among-the-texts"] {
        assert!(!text.contains(value), "`{value}` is in {text}");
    }
    let status = client.context(&run("small", "a"), "go").await.unwrap_err();
    check_reason(&status, "RUN_NOT_FOUND");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_and_too_deep_values_are_refused() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let large = resolve("small", "a").text("note", &"n".repeat((1 << 20) + 1));
    check_invalid(
        &client.resolve(large).await.unwrap_err(),
        &[("text_overrides.note", "INVALID_VALUE")],
    );
    let deep = (0..40).fold(Kind::IntValue(1), |inner, _| {
        Kind::ListValue(ListValue { values: vec![Value { kind: Some(inner) }] })
    });
    let status = client.resolve(resolve("small", "a").value("layers", deep)).await.unwrap_err();
    check_reason(&status, "INVALID_REQUEST");
    let deep_text = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let status =
        client.resolve(resolve("small", "a").text("layers", &deep_text)).await.unwrap_err();
    check_reason(&status, "INVALID_REQUEST");
    let huge = resolve("small", "a").text("note", &"n".repeat(5 << 20));
    assert_ne!(client.resolve(huge).await.unwrap_err().code(), tonic::Code::Ok);
    client.resolve(resolve("small", "a").text("note", "still served")).await.unwrap();
    daemon.stop();
}
