//! What is kept of a plan gives it again, as far as a repetition needs it.

use std::path::Path;
use std::sync::Arc;

use super::{compiled, folder};
use crate::plan::{Interface, KeptPlan, KeptWith, Plan, PlannedBinding, Plans, Unrestorable};
use crate::provenance::Layer;

fn with_interface(
    plan: &Plan,
    today: &Plans,
    interface: &Arc<Interface>,
) -> Result<Plan, Unrestorable> {
    // As it is kept: as JSON, beside the interface.
    let json = serde_json::to_vec(&KeptPlan::of(plan)).unwrap();
    let kept: KeptPlan = serde_json::from_slice(&json).unwrap();
    let wanted = plan.parameters.keys().filter(|name| kept.binds(name));
    let with = KeptWith {
        pipeline: &plan.pipeline,
        environment: &plan.environment,
        revision: &plan.revision,
        bundle: &plan.bundle,
        interface,
        secret_origins: &plan.common.secret_origins,
        wanted: wanted.map(|name| (name.clone(), (Layer::Global, Some("7".into())))).collect(),
    };
    kept.restore(&with, today)
}

/// Fails unless a plan comes back as it was. Gives how many bindings of secrets
/// it has.
fn check(plan: &Plan, today: &Plans) -> usize {
    let again = with_interface(plan, today, &plan.common.interface).unwrap();
    assert_eq!(again.revision, plan.revision);
    assert_eq!(again.common.lifetime, plan.common.lifetime);
    assert_eq!(again.common.steps.len(), plan.common.steps.len());
    for (new, old) in again.common.steps.iter().zip(&plan.common.steps) {
        assert_eq!((&new.name, &new.needs, &new.sees), (&old.name, &old.needs, &old.sees));
        assert_eq!(format!("{:?}", new.run), format!("{:?}", old.run));
        assert_eq!(format!("{:?}", new.env), format!("{:?}", old.env));
        assert_eq!(format!("{:?}", new.files), format!("{:?}", old.files));
    }
    let mut bindings = 0;
    for (name, new) in &again.parameters {
        let Some(new) = new.bindings.last() else { continue };
        let old = plan.parameters[name].bindings.last().unwrap();
        assert!(plan.common.interface.is_secret(name));
        assert_eq!(new.layer, Layer::Global);
        assert_eq!(new.binding.references(), old.binding.references());
        if let (PlannedBinding::Source(new), PlannedBinding::Source(old)) =
            (new.binding.as_ref(), old.binding.as_ref())
        {
            assert_eq!((&new.source, new.kind.kind()), (&old.source, old.kind.kind()));
            assert_eq!(new.address["version"].constant(), Some("7"));
            let fields = new.address.iter().filter(|(field, _)| **field != "version");
            let fields: Vec<_> = fields.map(|(field, text)| (*field, text.text())).collect();
            let old = old.address.iter().filter(|(field, _)| **field != "version");
            assert_eq!(fields, old.map(|(field, text)| (*field, text.text())).collect::<Vec<_>>());
        }
        let granted = |grants: &[crate::definition::Grant]| format!("{grants:?}");
        assert_eq!(granted(&new.grants), granted(&old.grants));
        bindings += 1;
    }
    bindings
}

#[test]
fn the_plans_of_all_examples_come_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut bindings = 0;
    for directory in [
        "config",
        "config-vault",
        "tests/cases/cart-intent/config",
        "tests/cases/image-build/config",
        "tests/cases/warehouse-models/config",
    ] {
        let (plans, _) = compiled(&root.join(directory));
        let all = plans.pipelines.values().flat_map(|pipeline| pipeline.plans.values());
        bindings += all.map(|plan| check(plan, &plans)).sum::<usize>();
    }
    assert!(bindings > 10, "{bindings}");
}

const SETTINGS: &str = r#"
sources:
  main: { vault: { address: "http://127.0.0.1:1", mounts: { secret: kv-v2 }, auth: { token: { env: T } } }, grants: [{ pipelines: ["*"], paths: ["secret/*"] }] }
  settings: { env: { names: [A] }, grants: [{ pipelines: ["*"] }] }
"#;

const EVERYTHING: &str = r#"name: p
lifetime: 90s
parameters:
  place: { type: string, override: none, default: db }
  whole: { type: object, secret: true, additionalProperties: true, from: { vault: { mount: secret, path: "{{ environment }}/{{ params.place }}", version: 3 } } }
  raw: { type: string, contentEncoding: base64, from: { vault: { mount: secret, path: x, field: y } } }
  plain: { type: string, secret: true, from: { env: { name: A } } }
  maybe: { type: [string, "null"], secret: true, default: null }
  rows: { type: array, items: { type: object, required: [n], properties: { n: { type: integer } } }, default: [{ n: 1 }] }
  text: { type: string, from: { template: "{{ params.plain }}{{ params.maybe | default('none') }}" } }
steps:
  - name: a
    matrix: { row: params.rows, sign: params.rows }
    when: params.place == 'db'
    run: [ls, "{{ matrix.row.n + 1 }}", "{{ run.attempt }}"]
    env: { RAW: "{{ params.raw | b64 }}", TEXT: "{{ params.text }}" }
    files: { f: { template: "{{ params.raw }}", mode: "0440" }, g: { template: "{{ matrix.sign.n }}" } }
"#;

#[test]
fn lists_of_objects_bytes_and_nullables_come_back_and_sources_without_versions_do_not() {
    let folder = folder(&[
        ("paramd.yaml", SETTINGS),
        ("pipelines/p.yaml", EVERYTHING),
        ("global.yaml", "{}\n"),
        ("environments/dev.yaml", "{}\n"),
    ]);
    let (plans, told) = compiled(folder.path());
    assert_eq!(told, [""; 0]);
    let plan = plans.plan("p", "dev").unwrap();
    // `plain` has no versions, and `maybe` is null.
    assert_eq!(check(plan, &plans), 3);
    // Without what its texts name there is no plan.
    assert_eq!(with_interface(plan, &plans, &Arc::default()).unwrap_err(), Unrestorable);
}
