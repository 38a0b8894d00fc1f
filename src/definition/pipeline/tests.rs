//! A whole pipeline, as it is meant to be written, and what is left of it.

use proptest::prelude::*;

use super::*;
use crate::definition::{Bindable, Binding};
use crate::provenance::SourceKind;
use crate::source::Bind;
use crate::value::Value;
use crate::yaml::diagnostic::{Files, lines, render};

const CHURN: &str = r#"name: churn-training
description: Trains and evaluates the churn model
environments: [dev, prod]
lifetime: 24h
parameters:
  dataset:      { type: string, default: churn, pattern: "^[a-z_]+$", group: Data }
  data_path:    { type: string, override: none, from: { template: "s3://lake/{{ environment }}/{{ params.dataset }}.parquet" } }
  epochs:       { type: integer, default: 10, minimum: 1, maximum: 500, description: Passes over the data }
  optimizer:    { type: string, enum: [adam, sgd], default: adam, aliases: [opt, the-optimizer] }
  blob:         { type: string, contentEncoding: base64, default: aGk= }
  feature_set:
    type: array
    items: { type: string }
    from: { sql: { from: warehouse, query: "select 1 where :dataset = :n", bind: { dataset: "{{ params.dataset }}", n: 3 }, shape: column } }
  db_password:  { type: string, secret: true, from: { vault: { from: main, mount: secret, path: "ml/{{ environment }}/db", field: password, version: 3 } } }
presets:
  smoke: { epochs: 1, the-optimizer: sgd }
rules:
  - { assert: environment != 'prod' or params.epochs >= 5, message: production trains at least 5 epochs }
steps:
  - name: extract
    run: [python, extract.py, "--path", "{{ params.data_path }}"]
    env: { PASSWORD: "{{ params.db_password }}" }
    files: { pw: { template: "{{ params.db_password }}" }, b: { template: x, mode: "0755" } }
  - name: train
    needs: [extract]
    when: params.epochs > 1
    matrix: { feature: params.feature_set }
    params: [epochs, optimizer]
    run: [python, train.py]
"#;

fn read_text(name: &str, text: &str) -> (Option<PipelineDefinition>, Files, Problems) {
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let file = files.add(format!("pipelines/{name}.yaml"), text.into());
    let environments = ["dev", "prod"].map(|name| EnvironmentName::parse(name).unwrap()).into();
    let expected = PipelineName::parse(name).unwrap();
    let pipeline = crate::yaml::parse(file, text, &mut problems)
        .and_then(|node| read(file, &expected, &environments, &node, &mut problems));
    (pipeline, files, problems)
}

#[test]
fn a_whole_pipeline_is_read() {
    let (pipeline, files, problems) = read_text("churn-training", CHURN);
    assert_eq!(lines(&problems, &files), Vec::<String>::new());
    let pipeline = pipeline.unwrap();
    assert_eq!(pipeline.environments.unwrap().len(), 2);
    assert_eq!(pipeline.lifetime.unwrap().value.as_secs(), 86_400);
    let parameter = |name: &str| &pipeline.parameters[name];
    assert_eq!(parameter("epochs").default.as_ref().unwrap().value, Value::Integer(10));
    assert_eq!(parameter("blob").default.as_ref().unwrap().value, Value::Bytes(b"hi".to_vec()));
    assert_eq!(parameter("dataset").group.as_deref(), Some("Data"));
    assert_eq!(parameter("data_path").bindable.as_ref().unwrap().value, Bindable::Definition);
    assert_eq!(parameter("optimizer").literals[0].value, "enum");
    assert_eq!(parameter("optimizer").aliases.len(), 2);
    assert!(parameter("db_password").secret.as_ref().unwrap().value);
    assert_eq!(pipeline.presets["smoke"].values[1].0.value, "the-optimizer");
    assert_eq!(pipeline.rules[0].message, "production trains at least 5 epochs");
    let steps = &pipeline.steps;
    assert_eq!((steps[0].run.len(), steps[1].needs.len(), steps[1].params.len()), (4, 1, 2));
    assert_eq!(steps[1].matrix[0].1.text, "params.feature_set");
    assert_eq!(
        steps[0].files.iter().map(|(_, file)| file.mode).collect::<Vec<_>>(),
        [0o400, 0o755]
    );
}

#[test]
fn the_example_in_the_docs_is_read() {
    let docs = include_str!("../../../docs/definitions.md");
    let example = docs.split("```yaml\n").find(|block| block.starts_with("name: ")).unwrap();
    let (_, files, problems) = read_text("churn-training", example.split("```").next().unwrap());
    assert_eq!(lines(&problems, &files), Vec::<String>::new());
}

#[test]
fn bindings_keep_their_fields() {
    let (pipeline, ..) = read_text("churn-training", CHURN);
    let pipeline = pipeline.unwrap();
    let binding = |name: &str| match pipeline.parameters[name].from.as_ref().unwrap() {
        Binding::Source(binding, _) => binding,
        Binding::Template(_) => panic!("a template"),
    };
    let vault = binding("db_password");
    assert_eq!(vault.kind, SourceKind::Vault);
    assert_eq!(vault.from.as_ref().unwrap().value.as_str(), "main");
    assert_eq!(vault.address["path"].text, "ml/{{ environment }}/db");
    assert_eq!(vault.address["version"].text, "3");
    let sql = binding("feature_set");
    assert_eq!(sql.texts["shape"].text, "column");
    assert!(
        matches!(&sql.binds["dataset"], Bind::Template(text) if text.text == "{{ params.dataset }}")
    );
    assert!(
        matches!(&sql.binds["n"], Bind::Literal(literal) if literal.value == Value::Integer(3))
    );
}

#[test]
fn a_pipeline_without_steps_has_main_which_sees_everything() {
    for text in ["name: a", "name: a\nsteps: []"] {
        let (pipeline, ..) = read_text("a", text);
        let steps = pipeline.unwrap().steps;
        assert_eq!(
            (steps.len(), steps[0].name.value.as_str(), steps[0].sees_all),
            (1, "main", true)
        );
    }
}

#[test]
fn an_alias_may_spell_its_own_name_with_dashes() {
    let parameters = |text: &str| format!("name: a\nparameters:\n  {text}\n");
    let errors = |text: &str| read_text("a", &parameters(text)).2.errors();
    assert_eq!(errors("git_url: { type: string, aliases: [git-url, url] }"), 0);
    assert_eq!(errors("git_url: { type: string, aliases: [git_url] }"), 1);
    assert_eq!(errors("a_b: { type: string }\n  c: { type: string, aliases: [a-b] }"), 1);
    assert_eq!(
        errors("a: { type: string, aliases: [x-y] }\n  c: { type: string, aliases: [x_y] }"),
        1
    );
}

#[test]
fn steps_may_come_in_any_order() {
    let text = "name: a\nsteps: [{ name: b, needs: [a] }, { name: a }, { name: c, needs: [a, b] }]";
    let (_, _, problems) = read_text("a", text);
    assert!(!problems.has_errors());
}

#[test]
fn a_refused_value_is_shown_nowhere() {
    let text = "name: a\nparameters:\n  n: { type: integer, default: hunter2 }\n  m: { type: string, defualt: hunter2 }\n  o: { type: string, from: { env: hunter2 } }\n";
    let (_, files, problems) = read_text("a", text);
    assert_eq!(problems.errors(), 3);
    assert!(!render(&problems, &files, false, 80).contains("hunter2"));
    assert!(!crate::yaml::diagnostic::json(&problems, &files).to_string().contains("hunter2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_damage_makes_the_reader_panic(at in 0..CHURN.len(), len in 0..60_usize, put in "[ -~\\n]{0,8}") {
        let end = (at + len).min(CHURN.len());
        let (before, after) = (CHURN.get(..at).unwrap(), CHURN.get(end..).unwrap());
        let text = format!("{before}{put}{after}");
        let (pipeline, files, problems) = read_text("churn-training", &text);
        prop_assert!(pipeline.is_some() || problems.has_errors());
        render(&problems, &files, false, 80);
    }
}
