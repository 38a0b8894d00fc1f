use std::ffi::OsString;

use proptest::prelude::*;

use super::*;
use crate::cli::error::CliError;
use crate::cli::values::Beside;
use crate::proto::v1::{AttemptMode, Pipeline, PipelineEnvironment, Preset};

const SCHEMA: &str = r#"{
  "type": "object", "additionalProperties": false, "required": ["parameter1"],
  "properties": {
    "epochs": { "type": "integer", "default": 10, "minimum": 1, "maximum": 500,
                "description": "Passes over the data", "group": "Training" },
    "git_url": { "type": "string", "aliases": ["git-uri"], "pattern": "^https://" },
    "layers": { "type": "array", "items": { "type": "integer", "minimum": 1 }, "default": [64, 32] },
    "output": { "type": ["string", "null"], "enum": ["a", "b", null] },
    "parameter1": { "type": "string" },
    "train_model": { "type": "boolean", "default": true },
    "data_path": { "type": "string", "override": "none" },
    "db_password": { "type": "string", "secret": true, "writeOnly": true, "override": "run" }
  }
}"#;

fn words(line: &[&str]) -> Result<Arguments, CliError> {
    parse(line.iter().map(OsString::from))
}

fn bound(line: &[&str]) -> Result<Bound, CliError> {
    bind("churn-training", SCHEMA, &words(line)?, &Beside::default())
}

#[track_caller]
fn texts(line: &[&str], expected: &[(&str, &str)]) {
    let bound = bound(line).unwrap();
    let found: Vec<_> =
        bound.texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn refused(line: &[&str], message: &str) {
    let text = bound(line).unwrap_err().to_string();
    assert!(text.contains(message), "{text}");
}

#[test]
fn options_and_flags_mix_in_any_order() {
    let line =
        ["--epochs", "20", "churn", "--environment=dev", "--run-id", "a b", "--attempt", "2"];
    let arguments = words(&line).unwrap();
    assert_eq!(arguments.pipeline.as_ref().unwrap().as_str(), "churn");
    assert_eq!(arguments.environment.as_deref(), Some("dev"));
    assert_eq!(arguments.run_id.as_deref(), Some("a b"));
    assert_eq!(arguments.attempt, Some(2));
    texts(&line, &[("epochs", "20")]);
}

#[test]
fn options_about_the_run_are_read_by_their_forms() {
    let line = ["p", "--mode=refresh", "--label", "a=b=c", "--label=d=", "--lifetime", "48h"];
    let arguments = words(&line).unwrap();
    assert_eq!(arguments.mode, Some(AttemptMode::Refresh));
    assert_eq!(arguments.lifetime.unwrap().as_secs(), 48 * 3_600);
    let labels = arguments.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    assert_eq!(labels.collect::<Vec<_>>(), [("a", "b=c"), ("d", "")]);
    let arguments = words(&["p", "--logical-date", "1970-01-01T01:00:00.5+01:00"]).unwrap();
    let date = prost_types::Timestamp { seconds: 0, nanos: 500_000_000 };
    assert_eq!(arguments.logical_date, Some(date));
    refused(&["p", "--mode", "newest"], "`--mode` takes `exact` or `refresh`");
    refused(&["p", "--lifetime", "2 days"], "`--lifetime` takes a number with");
    refused(&["p", "--logical-date", "yesterday"], "`--logical-date` takes a time in RFC 3339");
    refused(&["p", "--label", "a=1", "--label", "a=2"], "given twice");
    refused(&["p", "--label", "=1"], "`--label` takes KEY=VALUE");
}

#[test]
fn dashes_and_underscores_are_the_same_and_booleans_take_a_value() {
    texts(&["p", "--train-model", "false"], &[("train_model", "false")]);
    texts(&["p", "--train_model=false"], &[("train_model", "false")]);
    texts(&["p", "--epochs", "-5"], &[("epochs", "-5")]);
    texts(&["p", "--git-url=--x=y"], &[("git_url", "--x=y")]);
    texts(&["p", "--git-url="], &[("git_url", "")]);
}

#[test]
fn an_alias_keeps_its_name_so_that_the_daemon_can_warn() {
    texts(&["p", "--git_uri", "https://x"], &[("git-uri", "https://x")]);
}

#[test]
fn a_parameter_named_as_an_option_is_given_by_param() {
    let line = ["p", "--output", "json", "--param", "output=a", "--param", "epochs=3"];
    assert_eq!(words(&line).unwrap().output.as_deref(), Some("json"));
    texts(&line, &[("epochs", "3"), ("output", "a")]);
}

#[test]
fn a_misspelt_flag_names_the_nearest_parameter() {
    refused(
        &["p", "--epochs", "20", "--paramter1", "1"],
        "`paramter1` isn't a parameter of churn-training; did you mean `parameter1`?",
    );
    refused(&["p", "--git-uro", "1"], "did you mean `git_url`?");
    refused(&["p", "--zzz", "1"], "its parameters are `data_path`, `db_password`, `epochs`");
}

#[test]
fn what_could_be_a_password_is_not_repeated() {
    for line in [
        &["p", "Hunter2!"][..],
        &["p", "--Hunter2!", "x"],
        &["p", "--epochs", "1", "--epochs", "Hunter2!"],
        &["p", "--param", "Hunter2!"],
        &["p", "--param", "Hunter2!=x"],
        &["p", "--secret", "db_password=Hunter2!"],
        &["p", "--db-password", "Hunter2!"],
        &["p", "--attempt", "Hunter2!"],
        &["p", "--mode", "Hunter2!"],
        &["p", "--label", "Hunter2!"],
        &["p", "--label", "Hunter2!=a", "--label", "Hunter2!=b"],
        &["p", "--logical-date", "Hunter2!"],
        &["p", "--lifetime", "Hunter2!"],
        &["p", "--expected-revision", "Hunter2!", "--expected-revision", "Hunter2!"],
        &["Hunter2!"],
        &["p", "-Hunter2!"],
    ] {
        let error = bound(line).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("Hunter2"), "{error}");
    }
}

#[test]
fn a_secret_as_a_flag_names_the_way_out() {
    refused(&["p", "--db-password", "x"], "--secret db_password=file:FILE");
    refused(&["p", "--secret", "epochs=env:X"], "`epochs` isn't a secret");
    let bound = bound(&["p", "--secret", "db-password=env:X"]).unwrap();
    assert_eq!(bound.secret_names["db-password"], "db_password");
}

#[test]
fn values_that_lack_or_come_twice_are_refused_all_at_once() {
    refused(&["p", "--epochs"], "`--epochs` needs a value");
    refused(&["p", "--train-model", "--epochs", "5"], "`--train-model` needs a value");
    refused(&["p", "--git-url", "a", "--git-uri", "b"], "`git_url` is given twice");
    refused(&["p", "x", "y", "--preset"], "2 problems");
    refused(&[], "the pipeline's name is missing");
}

#[test]
fn help_is_asked_for_before_or_after_the_pipeline() {
    assert!(words(&["--help"]).unwrap().help);
    let after = words(&["churn", "-h"]).unwrap();
    assert!(after.help && after.pipeline.is_some());
}

fn pipeline(environments: &[&str]) -> Pipeline {
    Pipeline {
        name: "churn-training".into(),
        description: "Trains the churn model".into(),
        parameters_schema: SCHEMA.into(),
        presets: vec![Preset { name: "smoke".into(), ..Preset::default() }],
        environments: environments
            .iter()
            .map(|name| PipelineEnvironment {
                name: (*name).into(),
                ..PipelineEnvironment::default()
            })
            .collect(),
        ..Pipeline::default()
    }
}

#[test]
fn the_only_environment_may_be_left_out() {
    assert_eq!(environment_of(&pipeline(&["dev"]), None).unwrap(), "dev");
    assert_eq!(environment_of(&pipeline(&["dev", "prod"]), Some("prod")).unwrap(), "prod");
    let error = environment_of(&pipeline(&["dev", "prod"]), None).unwrap_err().to_string();
    assert!(error.contains("`dev`, `prod`"), "{error}");
    assert!(environment_of(&pipeline(&[]), None).is_err());
}

#[test]
fn help_lists_group_type_range_default_and_description() {
    let text = help::text("run", &pipeline(&["dev"]), 100).unwrap();
    for part in [
        "Trains the churn model",
        "Usage: paramd run churn-training",
        "Training:",
        "--epochs",
        "1 to 500",
        "Passes over the data",
        "array of integer",
        "[64,32]",
        "a | b | null",
        "string or null",
        "--secret",
        "(not set by a run)",
        "Presets: smoke",
        "--param NAME=VALUE",
    ] {
        assert!(text.contains(part), "{part} isn't in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

proptest! {
    #[test]
    fn no_command_line_is_a_panic(line in prop::collection::vec("[-=a-z_:! ]{0,8}", 0..8)) {
        let words = parse(line.iter().map(OsString::from));
        if let Ok(arguments) = words {
            drop(bind("p", SCHEMA, &arguments, &Beside::default()));
        }
    }

    #[test]
    fn any_value_reaches_its_parameter(value in "\\PC{0,20}") {
        let joined = format!("--git-url={value}");
        prop_assert_eq!(&bound(&["p", &joined]).unwrap().texts["git_url"], &value);
    }
}
