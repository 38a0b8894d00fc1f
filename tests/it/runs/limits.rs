//! The contract's limits on the wire: at, below and over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use paramd::proto::v1::{ListValue, MapValue, SecretPayload, Value, value::Kind};

use super::small;
use crate::support::client::{Resolve, resolve, run};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::status::{check_invalid, check_reason, problem};

const FREE: &str = r#"name: free
parameters:
  any: { type: array, default: [] }
  map: { type: object, additionalProperties: true, default: {} }
  number: { type: number, default: 1 }
  text: { type: string, default: "" }
  bytes: { type: string, contentEncoding: base64, default: "" }
  token: { type: string, secret: true, override: run, from: { file: { path: token } } }
"#;

fn free() -> Config {
    let sources =
        "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    let config = Config::new(sources, "free", FREE);
    config.write_secret("files/token", super::TOKEN);
    config
}

fn nested(levels: usize) -> Kind {
    (0..levels).fold(Kind::IntValue(1), |inner, _| {
        Kind::ListValue(ListValue { values: vec![Value { kind: Some(inner) }] })
    })
}

fn list(count: usize) -> Kind {
    let item = Value { kind: Some(Kind::IntValue(1)) };
    Kind::ListValue(ListValue { values: vec![item; count] })
}

fn object(count: usize) -> Kind {
    let item = Value { kind: Some(Kind::BoolValue(true)) };
    let fields = (0..count).map(|index| (format!("k{index}"), item.clone())).collect();
    Kind::MapValue(MapValue { fields })
}

fn text(length: usize) -> Kind {
    Kind::StringValue("x".repeat(length))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_at_their_limits_are_taken_and_over_them_refused() {
    let config = free();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mebibyte = 1 << 20;
    let secret = |length: usize| {
        resolve("free", "x").with(|request| {
            let payload = SecretPayload { data: vec![b'x'; length], encoding: 0 };
            request.secret_overrides.insert("token".into(), payload);
        })
    };
    let value = |name: &str, kind: Kind| resolve("free", "x").value(name, kind);
    let good: Vec<Resolve> = vec![
        value("any", nested(16)),
        value("any", list(10_000)),
        value("map", object(10_000)),
        value("text", text(mebibyte)),
        value("number", Kind::IntValue(i64::MIN)),
        value("number", Kind::DoubleValue(f64::MIN_POSITIVE)),
        value("text", Kind::StringValue("a\0b".into())),
        resolve("free", "x").text("any", &format!("{}1{}", "[".repeat(16), "]".repeat(16))),
        resolve("free", "x").text("bytes", &STANDARD.encode(vec![1; mebibyte])),
        secret(mebibyte),
    ];
    for (index, request) in good.into_iter().enumerate() {
        let request = request.with(|r| r.run = Some(run("free", &format!("good-{index}"))));
        if let Err(status) = client.resolve(request).await {
            panic!("{index}: {:?}", problem(&status));
        }
    }
    let bad: Vec<(Resolve, &str)> = vec![
        (value("any", nested(17)), "overrides.any"),
        (value("any", list(10_001)), "overrides.any"),
        (value("map", object(10_001)), "overrides.map"),
        (value("text", text(mebibyte + 1)), "overrides.text"),
        (value("number", Kind::DoubleValue(f64::NAN)), "overrides.number"),
        (value("number", Kind::DoubleValue(f64::NEG_INFINITY)), "overrides.number"),
        (value("text", Kind::BytesValue(vec![1])), "overrides.text"),
        (value("bytes", Kind::StringValue("AA==".into())), "overrides.bytes"),
        (
            resolve("free", "x").text("any", &format!("{}1{}", "[".repeat(17), "]".repeat(17))),
            "text_overrides.any",
        ),
        (
            resolve("free", "x").text("bytes", &STANDARD.encode(vec![1; mebibyte + 1])),
            "text_overrides.bytes",
        ),
        (resolve("free", "x").text("number", "NaN"), "text_overrides.number"),
        (resolve("free", "x").text("number", "1e999"), "text_overrides.number"),
        (secret(mebibyte + 1), "secret_overrides.token"),
    ];
    for (request, field) in bad {
        let status = client.resolve(request).await.unwrap_err();
        let problem = check_reason(&status, "INVALID_REQUEST");
        assert!(problem.violations.len() == 1, "{field}: {problem:?}");
        let told = &problem.violations[0];
        let inside = told.field.strip_prefix(field).expect(&told.field);
        assert!(inside.is_empty() || inside.starts_with('/'), "{}", told.field);
        assert_eq!(told.reason, "INVALID_VALUE", "{field}");
    }
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_at_their_limits_are_taken_and_over_them_refused() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    client.resolve(resolve("small", &"r".repeat(250))).await.unwrap();
    client.resolve(resolve("small", " ~!/..#")).await.unwrap();
    let status = client.resolve(resolve("small", &"r".repeat(251))).await.unwrap_err();
    check_invalid(&status, &[("run.run_id", "INVALID_FIELD")]);
    for name in ["--small", "../small", "SMALL", "sm\0all", &"s".repeat(64)] {
        let status = client.resolve(resolve(name, "a")).await.unwrap_err();
        check_invalid(&status, &[("run.pipeline", "INVALID_FIELD")]);
        let status = client.context(&run("small", "a"), name).await.unwrap_err();
        check_invalid(&status, &[("step", "INVALID_FIELD")]);
    }
    let many = |count: usize| {
        resolve("small", "many").with(|request| {
            for index in 0..count {
                request.text_overrides.insert(format!("unknown-{index}"), "1".into());
            }
        })
    };
    let status = client.resolve(many(1_000)).await.unwrap_err();
    let told = check_reason(&status, "INVALID_REQUEST");
    assert!(told.violations.iter().all(|v| v.reason == "UNKNOWN_PARAMETER"), "{told:?}");
    assert!(told.violations.len() <= 100);
    assert!(told.message.contains("1000 problems"), "{}", told.message);
    let status = client.resolve(many(1_001)).await.unwrap_err();
    let told = check_reason(&status, "INVALID_REQUEST");
    let over = told.violations.iter().any(|v| v.reason == "INVALID_FIELD");
    assert!(over, "{told:?}");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_four_mebibytes_is_refused_below_the_service() {
    let config = small();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let huge = |bytes: usize| {
        resolve("small", "a").with(|request| {
            for index in 0..4 {
                let name = format!("unknown-{index}");
                request.text_overrides.insert(name, "x".repeat(bytes / 4));
            }
        })
    };
    let status = client.resolve(huge((4 << 20) - 1_000)).await.unwrap_err();
    check_reason(&status, "INVALID_REQUEST");
    let status = client.resolve(huge(4 << 20)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::OutOfRange);
    assert!(status.details().is_empty());
    client.resolve(resolve("small", "a")).await.unwrap();
    daemon.stop();
}
