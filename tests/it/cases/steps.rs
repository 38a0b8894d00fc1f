//! Compares what `GetContext` and `RevealSecrets` say of a step.

use std::collections::{BTreeMap, BTreeSet};

use paramd::proto::v1::{
    Content, Context, PlainSecret, ResolveRunResponse, RunName, SecretEncoding, StepInstance,
    content::Place,
};
use serde_json::{Value, json};

use super::expect::{Instance, Secret, Step};
use super::outcome::{same, short};
use crate::support::client::{Client, alike, map_to_json};
use crate::support::status::problem;

/// What is wrong with one step of a resolved run.
pub(super) async fn check(
    client: &Client,
    run: &RunName,
    step: &str,
    expected: &Step,
    answer: &ResolveRunResponse,
) -> Vec<String> {
    let mut wrong = Vec::new();
    check_decision(step, expected, answer, &mut wrong);
    match client.context(run, step).await {
        Ok(found) => {
            let context = found.context.expect("an answer has a context");
            check_context(expected, &context, &mut wrong);
            check_secrets(client, run, step, expected, &context, &mut wrong).await;
        }
        Err(status) => wrong.push(format!("GetContext: {:?}", problem(&status))),
    }
    wrong.into_iter().map(|text| format!("step `{step}`: {text}")).collect()
}

fn check_decision(
    step: &str,
    expected: &Step,
    answer: &ResolveRunResponse,
    wrong: &mut Vec<String>,
) {
    let snapshot = answer.snapshot.as_ref().expect("an answer has a snapshot");
    let Some(actual) = snapshot.steps.iter().find(|actual| actual.step == step) else {
        return wrong.push("is not in the snapshot".into());
    };
    let decision = actual.decision.as_ref().expect("a step has a decision");
    same(
        "action",
        &expected.action,
        &short(decision.action().as_str_name(), "STEP_ACTION_"),
        wrong,
    );
    if let Some(reason) = &expected.reason {
        let found = short(decision.reason().as_str_name(), "DECISION_REASON_");
        same("reason", reason, &found, wrong);
    }
    if let Some(needs) = &expected.needs {
        let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        if set(needs) != set(&actual.needs) {
            wrong.push(format!("needs {:?}", actual.needs));
        }
    }
    if let Some(deciding) = &expected.deciding {
        let found = map_to_json(&decision.deciding_values);
        if !alike(&json!(deciding), &found) {
            wrong.push(format!("decided by {found}"));
        }
    }
}

fn check_context(expected: &Step, context: &Context, wrong: &mut Vec<String>) {
    if let Some(values) = &expected.values {
        let found = map_to_json(&context.values);
        if !alike(values, &found) {
            wrong.push(format!("values are {found}"));
        }
    }
    for instance in &context.instances {
        for (name, content) in &expected.env_has {
            if !instance.env.get(name).is_some_and(|found| contents(found) == *content) {
                wrong.push(format!("env lacks `{name}`, or it differs"));
            }
        }
        for name in expected.env_lacks.iter().filter(|name| instance.env.contains_key(*name)) {
            wrong.push(format!("env has `{name}`"));
        }
    }
    let Some(instances) = &expected.instances else { return };
    if instances.len() != context.instances.len() {
        wrong.push(format!("has {} instances, not {}", context.instances.len(), instances.len()));
    }
    for (expected, actual) in instances.iter().zip(&context.instances) {
        check_instance(expected, actual, wrong);
    }
}

fn check_instance(expected: &Instance, actual: &StepInstance, wrong: &mut Vec<String>) {
    if let Some(matrix) = &expected.matrix {
        let found = map_to_json(&actual.matrix);
        if !alike(matrix, &found) {
            wrong.push(format!("matrix is {found}"));
        }
    }
    if expected.run.as_ref().is_some_and(|run| *run != actual.run) {
        wrong.push(format!("run is {:?}", actual.run));
    }
    let files = actual.files.iter().map(|(name, file)| (name, file.content.as_ref().unwrap()));
    let pairs = [
        ("env", &expected.env, named(actual.env.iter())),
        ("files", &expected.files, named(files)),
    ];
    for (what, expected, found) in pairs {
        if expected.as_ref().is_some_and(|expected| *expected != found) {
            wrong.push(format!("{what} is {found:?}"));
        }
    }
}

fn named<'a>(entries: impl Iterator<Item = (&'a String, &'a Content)>) -> BTreeMap<String, Value> {
    entries.map(|(name, content)| (name.clone(), contents(content))).collect()
}

fn contents(content: &Content) -> Value {
    match content.place.as_ref().expect("content has a place") {
        Place::Text(text) => json!(text),
        Place::Secret(name) => json!({ "secret": name }),
        Place::Binary(_) => panic!("bytes among the files of a case"),
    }
}

async fn check_secrets(
    client: &Client,
    run: &RunName,
    step: &str,
    expected: &Step,
    context: &Context,
    wrong: &mut Vec<String>,
) {
    if context.instances.is_empty() {
        let reason = match client.reveal_all(run, step, None).await {
            Ok(_) => "none".into(),
            Err(status) => problem(&status).reason,
        };
        return same("reason of a skipped step's reveal", "STEP_SKIPPED", &reason, wrong);
    }
    let (wanted, exactly) = match (&expected.secrets, &expected.reveals) {
        (Some(all), _) => (all, true),
        (None, Some(some)) => (some, false),
        (None, None) => return,
    };
    if exactly {
        same_names("context.secrets", wanted.keys(), context.secrets.keys(), wrong);
    }
    for (name, expected) in wanted {
        let found = context.secrets.get(name).map(|reference| reference.maskable);
        if expected.maskable.is_some() && expected.maskable != found {
            wrong.push(format!("maskable of `{name}` is {found:?}"));
        }
    }
    for instance in &context.instances {
        match client.reveal_all(run, step, Some(instance.index)).await {
            Ok(found) => check_revealed(wanted, exactly, &found, wrong),
            Err(status) => wrong.push(format!("RevealSecrets: {:?}", problem(&status))),
        }
    }
}

fn check_revealed(
    wanted: &BTreeMap<String, Secret>,
    exactly: bool,
    found: &[PlainSecret],
    wrong: &mut Vec<String>,
) {
    if exactly {
        same_names("revealed", wanted.keys(), found.iter().map(|secret| &secret.name), wrong);
    }
    for (name, expected) in wanted {
        let Some(secret) = found.iter().find(|secret| secret.name == *name) else {
            wrong.push(format!("`{name}` is not revealed"));
            continue;
        };
        let payload = secret.payload.as_ref().expect("a secret has a payload");
        if expected.reveals.as_ref().is_some_and(|text| text.as_bytes() != payload.data) {
            wrong.push(format!("`{name}` reveals other bytes"));
        }
        let encoding = SecretEncoding::try_from(payload.encoding).unwrap();
        if let Some(expected) = &expected.encoding {
            let found = short(encoding.as_str_name(), "SECRET_ENCODING_");
            same(&format!("encoding of `{name}`"), expected, &found, wrong);
        }
        if expected.version.is_some() && expected.version != secret.version {
            wrong.push(format!("version of `{name}` is {:?}", secret.version));
        }
    }
}

fn same_names<'a>(
    what: &str,
    expected: impl Iterator<Item = &'a String>,
    actual: impl Iterator<Item = &'a String>,
    wrong: &mut Vec<String>,
) {
    let expected: BTreeSet<_> = expected.collect();
    let actual: BTreeSet<_> = actual.collect();
    if expected != actual {
        wrong.push(format!("{what}: {actual:?}, not {expected:?}"));
    }
}
