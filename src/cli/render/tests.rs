use super::*;
use crate::proto::v1::value::Kind;

fn text_value(text: &str) -> v1::Value {
    v1::Value { kind: Some(Kind::StringValue(text.into())) }
}

fn parameter(name: &str, content: v1::resolved_parameter::Content) -> v1::ResolvedParameter {
    v1::ResolvedParameter {
        name: name.into(),
        content: Some(content),
        provenance: Some(v1::Provenance {
            layer: v1::Layer::Definition.into(),
            source: v1::SourceKind::Vault.into(),
            source_name: "main".into(),
            location: "secret/ml/dev/db#password".into(),
            version: Some("7".into()),
            ..v1::Provenance::default()
        }),
    }
}

#[test]
fn a_snapshot_fits_a_pipe_and_hides_secrets() {
    use v1::resolved_parameter::Content;
    let snapshot = v1::Snapshot {
        parameters: vec![
            parameter("data_path", Content::Value(text_value(&"s3://lake/dev/".repeat(9)))),
            parameter("db_password", Content::Redacted(v1::Redacted::default())),
            parameter("epochs", Content::NotNeeded(v1::NotNeeded {})),
            parameter("evil", Content::Value(text_value("\u{1b}]0;title\u{7}"))),
        ],
        ..v1::Snapshot::default()
    };
    let text = super::snapshot(&snapshot, 80);
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for part in ["[REDACTED]", "not needed", "definition", "vault main", "\\u{1b}]0;title\\u{7}"] {
        assert!(text.contains(part), "{part} isn't in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn a_skip_says_its_condition_and_the_values_that_decided() {
    let decision = v1::Decision {
        action: v1::StepAction::Skip.into(),
        reason: v1::DecisionReason::ConditionFalse.into(),
        condition: Some("params.train_model".into()),
        deciding_values: [(
            "params.train_model".to_owned(),
            v1::Value { kind: Some(Kind::BoolValue(false)) },
        )]
        .into(),
    };
    assert_eq!(why(&decision), "`params.train_model` is false (params.train_model = false)");
}

#[test]
fn a_decision_of_a_newer_daemon_is_not_a_run() {
    let decision = v1::Decision { action: 99, ..v1::Decision::default() };
    assert_eq!(action(&decision), "not run: newer than this client");
}

#[test]
fn warnings_name_the_parameter_and_what_to_do() {
    let warning = v1::Warning {
        parameter: "git_url".into(),
        kind: v1::WarningKind::Deprecated.into(),
        message: "use `repository`".into(),
    };
    assert_eq!(warnings(&[warning]), "warning: `git_url` is deprecated: use `repository`\n");
}
