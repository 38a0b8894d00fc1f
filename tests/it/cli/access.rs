//! `paramd access`: policies are tried without a daemon.

use std::path::Path;

use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::root;

/// A configuration with all that says who may do what.
const FILES: [(&str, &str); 7] = [
    (
        "paramd.yaml",
        "groups:\n  trainers: [\"spiffe://example.org/training/*\", \"token:gpu\"]\n  platform: [\"uid:1001\"]\n",
    ),
    ("global.yaml", "{}\n"),
    ("environments/dev.yaml", "{}\n"),
    ("environments/prod.yaml", "{}\n"),
    (
        "pipelines/train.yaml",
        "name: train
parameters:
  db_host: { type: string, default: db }
  password: { type: string, secret: true, override: run }
steps:
  - name: fit
    params: [password]
    env: { URL: \"postgres://u:{{ params.password | urlencode }}@db/d\", HOST: \"{{ params.db_host }}\" }
",
    ),
    (
        "policies/own.cedar",
        "@id(\"own-host\")
@reason(\"a run must not send the password elsewhere\")
forbid (principal, action == Paramd::Action::\"reveal\", resource in Paramd::Parameter::\"train/password\")
when { context.overridden.contains(\"db_host\") };

@id(\"ci\")
permit (principal, action == Paramd::Action::\"resolve\", resource in Paramd::Pipeline::\"train\")
when { principal.kind == \"jwt\" && context has environment && context.environment == \"dev\" };

@id(\"lent\")
permit (principal == Paramd::Principal::\"uid:7\", action == Paramd::Action::\"complete\", resource)
when { context.time < datetime(\"2026-03-01T00:00:00Z\") };
",
    ),
    (
        "policies/roles.yaml",
        "- { role: executor, to: { group: trainers }, for: { pipeline: train, step: fit } }
- { role: admin, to: { group: platform } }
",
    ),
];

const EXPECTED: &str = "decisions:
  - { principal: \"token:gpu\", action: reveal, sealed: true, resource: train/any/fit/env.URL, expect: allow }
  - { principal: \"token:gpu\", action: reveal, resource: train/any/fit/env.URL, expect: deny, by: [] }
  - principal: token:gpu
    action: reveal
    sealed: true
    overridden: [db_host]
    resource: train/any/fit/env.URL
    expect: deny
    by: [own-host]
  - { principal: someone, kind: jwt, action: resolve, resource: train/any, environment: dev, expect: allow, by: [ci] }
  - { principal: \"uid:3\", groups: [platform], action: audit, resource: daemon, expect: allow }
  - { principal: \"uid:7\", action: complete, resource: train/any, time: 2026-02-28T23:59:59Z, expect: allow }
";

const WRONG: &str = "decisions:
  - principal: \"uid:1001\"
    action: read
    resource: train/any
    expect: allow
    by: [ci]
  - principal: token:gpu
    action: reveal
    resource: train/any/fit/password
    expect: allow
  - principal: \"uid:7\"
    action: complete
    resource: train/any
    expect: deny
  - principal: \"uid:7\"
    action: complete
    resource: trian/any
    expect: deny
  - principal: \"uid:7\"
    action: reveal
    resource: train/any/fit/env.HOST
    expect: deny
  - principal: \"uid:7\"
    action: reveal
    resource: train/any
    expect: deny
  - principal: \"uid:7\"
    action: revael
    resource: train/any/fit
    expect: deny
  - principal: someone
    action: read
    resource: train
    expect: deny
  - principal: \"uid:7\"
    action: read
    resource: train
    expect: perhaps
";

/// Writes the configuration `rights`, with files of expected decisions beside it.
pub(super) fn write(around: &Path) {
    for (path, text) in FILES {
        let path = around.join("rights").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(around.join("expected.yaml"), EXPECTED).unwrap();
    std::fs::write(around.join("wrong.yaml"), WRONG).unwrap();
}

/// What a command prints, and its status.
fn ran(words: &[&str], folder: &Path) -> (String, Option<i32>) {
    let ended = paramd(words.iter().copied()).inside(folder).ended();
    (ended.out, ended.status)
}

/// What the page on access says of its own policies.
#[test]
fn the_pages_expected_decisions_hold() {
    let page = std::fs::read_to_string(root().join("docs/access.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        let begun = page.split(&fence).skip(1);
        begun.map(|rest| rest.split_once("```").unwrap().0.to_owned()).collect()
    };
    let yaml = |begin: &str| blocks("yaml").into_iter().find(|one| one.starts_with(begin)).unwrap();
    let pipeline = "name: churn-training
parameters: { db_host: { type: string, default: db }, db_password: { type: string, secret: true, override: run } }
steps: [{ name: train, params: [db_password] }]
";
    let config = Config::new("", "churn-training", pipeline);
    config.write("environments/prod.yaml", "{}\n");
    config.write("paramd.yaml", yaml("groups:"));
    config.write("policies/all.cedar", blocks("cedar").concat());
    config.write("policies/roles.yaml", yaml("- { role"));
    std::fs::write(config.around().join("decisions.yaml"), yaml("decisions:")).unwrap();
    let (told, status) = ran(&["access", "test", "decisions.yaml"], config.around());
    assert_eq!(status, Some(0), "{told}");
    assert!(told.ends_with("decisions as expected\n"), "{told}");
}

#[test]
fn a_wrong_expectation_fails_the_test_with_its_place() {
    let folder = tempfile::TempDir::new().unwrap();
    write(folder.path());
    let test = |file: &str| {
        let words = ["access", "test", file, "--config", "rights", "--output", "json"];
        let (told, status) = ran(&words, folder.path());
        (serde_json::from_str::<serde_json::Value>(&told).unwrap(), status)
    };
    let (told, status) = test("expected.yaml");
    assert_eq!((told["problems"].as_array().unwrap().len(), status), (0, Some(0)), "{told}");
    assert_eq!(told["decisions"], 6);
    let (told, status) = test("wrong.yaml");
    assert_eq!(status, Some(1));
    let lines: Vec<_> = told["problems"].as_array().unwrap().iter().collect();
    let of = |line: u64| lines.iter().find(|one| one["line"] == line).unwrap()["code"].clone();
    for (line, code) in [
        (5, "other_decision"),
        (10, "other_decision"),
        (13, "missing_time"),
        (17, "unknown_name"),
        (21, "unknown_name"),
        (25, "invalid_expectation"),
        (28, "invalid_expectation"),
        (31, "invalid_expectation"),
        (38, "invalid_expectation"),
    ] {
        assert_eq!(of(line), code, "line {line}");
    }
    assert_eq!(lines.len(), 9, "{told:#}");
}
