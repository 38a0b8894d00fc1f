//! Which layer binds what, who may ask, and what a step gets beside a secret.

use super::{compiled, folder};
use crate::plan::risks;
use crate::provenance::Layer;
use crate::value::Value;

const SETTINGS: &str = r#"
sources:
  files: { file: { root: x }, grants: [{ pipelines: [train], environments: [prod] }] }
  vars: { env: { names: [A] }, grants: [{ pipelines: ["tr*"] }, { pipelines: [x] }] }
"#;

#[test]
fn a_higher_layer_comes_later_and_locks_what_is_above() {
    let folder = folder(&[
        ("paramd.yaml", "{}"),
        ("global.yaml", "values: { n: 1, m: 1 }\npipelines: { train: { values: { n: 2 } } }\n"),
        (
            "environments/dev.yaml",
            "values: { n-alias: 3 }\npipelines: { train: { values: { n: 4 }, locked: [n] } }\n",
        ),
        ("environments/prod.yaml", "values: { m: 2 }\nlocked: [m]\n"),
        (
            "pipelines/train.yaml",
            "name: train\nparameters:\n  n: { type: integer, default: 0, aliases: [n-alias] }\n  m: { type: integer, default: 0 }\n",
        ),
    ]);
    let (plans, told) = compiled(folder.path());
    assert_eq!(told, [""; 0]);
    let bound = |environment: &str, name: &str| {
        let plan = plans.plan("train", environment).unwrap();
        let parameter = &plan.parameters[name];
        let layers: Vec<Layer> = parameter.bindings.iter().map(|one| one.layer).collect();
        (layers, parameter.lock)
    };
    let (layers, lock) = bound("dev", "n");
    assert_eq!(
        layers,
        [
            Layer::Definition,
            Layer::Global,
            Layer::GlobalPipeline,
            Layer::Environment,
            Layer::EnvironmentPipeline
        ]
    );
    assert_eq!(lock, Some(Layer::EnvironmentPipeline));
    assert_eq!(bound("prod", "n").1, None);
    assert_eq!(bound("dev", "m"), (vec![Layer::Definition, Layer::Global], None));
    assert_eq!(bound("prod", "m").1, Some(Layer::Environment));
}

#[test]
fn grants_and_defaults_stand_beside_their_binding() {
    let train = "name: train\nparameters:\n  \
         a: { type: string, default: none, from: { env: { name: A } } }\n  \
         b: { type: string, default: x }\n";
    let folder = folder(&[
        ("paramd.yaml", SETTINGS),
        ("environments/dev.yaml", ""),
        ("environments/prod.yaml", "from: { b: { file: { path: b } } }"),
        ("pipelines/train.yaml", train),
    ]);
    let (plans, told) = compiled(folder.path());
    let unused = "warning: no pipeline's name fits this";
    assert!(told.len() == 1 && told[0].ends_with(unused), "{told:?}");
    let plan = plans.plan("train", "prod").unwrap();
    let a = &plan.parameters["a"];
    assert_eq!(a.bindings[0].grants.len(), 1);
    assert!(a.standby.as_ref().unwrap().value == Value::String("none".to_owned()));
    let b = &plan.parameters["b"];
    assert!(b.standby.is_none());
    assert_eq!(b.bindings[1].place, "environments/prod.yaml:1");
    assert_eq!(b.bindings[1].grants.len(), 1);
    assert_eq!(plans.plan("train", "dev").unwrap().parameters["b"].bindings.len(), 1);
}

#[test]
fn risks_name_what_a_run_can_send_along() {
    let train = "name: train\nparameters:\n  \
         key: { type: string, secret: true, override: run }\n  \
         host: { type: string, default: x }\n  \
         derived: { type: string, override: none, from: { template: \"{{ params.host }}\" } }\n  \
         mode: { type: string, enum: [a, b], default: a }\n  \
         hosts: { type: array, items: { type: string }, default: [] }\n  \
         fixed: { type: string, override: none, default: x }\n\
         steps:\n  \
         - { name: a, params: [key, derived, mode, fixed] }\n  \
         - { name: b, params: [derived, host] }\n  \
         - { name: c, params: [key, mode, fixed], matrix: { h: params.hosts } }\n  \
         - { name: d, params: [key, mode, fixed] }\n";
    let folder = folder(&[
        ("paramd.yaml", "{}"),
        ("environments/dev.yaml", ""),
        ("pipelines/train.yaml", train),
    ]);
    let (plans, told) = compiled(folder.path());
    assert_eq!(told, [""; 0]);
    let found: Vec<String> = risks(&plans)
        .iter()
        .map(|risk| format!("{} {:?} {:?}", risk.step, risk.secrets, risk.texts))
        .collect();
    let expected = [("a", "derived"), ("c", "hosts")];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, (step, text)) in found.iter().zip(expected) {
        assert!(found.starts_with(step) && found.contains("key") && found.contains(text));
    }
}
