//! Whole pipelines with what must come out: `tests/cases/`.

mod expect;
mod outcome;
mod seed;
mod steps;

use std::collections::BTreeMap;
use std::path::Path;

use paramd::proto::v1::{ResolveRunRequest, RunName, SecretPayload};

use self::expect::{Case, Outcome, Request, Run};
use crate::support::bao::Bao;
use crate::support::client::{Client, run as run_name, to_proto};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::{root, yaml};

#[tokio::test(flavor = "multi_thread")]
async fn cart_intent() {
    check("cart-intent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn image_build() {
    check("image-build").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warehouse_models() {
    check("warehouse-models").await;
}

/// Every folder of `tests/cases` has its test above.
#[test]
fn no_case_is_left_out() {
    let source = include_str!("cases.rs");
    for entry in std::fs::read_dir(root().join("tests/cases")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(source.contains(&format!("check(\"{name}\")")), "`{name}` has no test");
        }
    }
}

/// Goes through one case against one daemon, and tells all that is wrong.
async fn check(name: &str) {
    let folder = root().join("tests/cases").join(name);
    let config = Config::copy(&folder.join("config"));
    let seed = seed::read(&folder);
    let bao = seed::fill(&config, &seed).await;
    let mut launch = Launch::dev(&config.path, config.around());
    for (name, value) in &seed.env {
        launch = launch.env(name, value);
    }
    let daemon = launch.start().await;
    let case = read_case(&folder);
    let runner = Runner {
        client: daemon.client().await,
        pipeline: case.pipeline,
        mounts: seed.mounts(),
        bao,
    };
    let mut wrong = Vec::new();
    for (index, run) in case.runs.iter().enumerate() {
        let found = runner.run(index, run).await;
        wrong.extend(found.into_iter().map(|text| format!("{}: {text}", run.name)));
    }
    daemon.stop();
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}

struct Runner {
    client: Client,
    pipeline: String,
    mounts: Vec<String>,
    bao: Option<Bao>,
}

impl Runner {
    /// What is wrong with one run.
    async fn run(&self, index: usize, run: &Run) -> Vec<String> {
        let id = run.id.clone().unwrap_or_else(|| format!("unnamed-{index}"));
        let name = run_name(&self.pipeline, &id);
        let mark = self.bao.as_ref().map(Bao::mark);
        let answer = self.client.resolve(request(&name, &run.request)).await;
        let mut wrong = match (&run.expected(), answer) {
            (Outcome::Ok(expected), Ok(answer)) => {
                let mut wrong = outcome::check_answer(expected, &answer);
                for (step, expected) in &expected.steps {
                    wrong.extend(steps::check(&self.client, &name, step, expected, &answer).await);
                }
                wrong
            }
            (Outcome::Error(expected), Err(status)) => outcome::check_error(expected, &status),
            (Outcome::Ok(_), Err(status)) => {
                vec![format!("{:#?}", crate::support::status::problem(&status))]
            }
            (Outcome::Error(_), Ok(_)) => vec!["resolved, and should not have been".into()],
        };
        if let (Some(expected), Some(bao), Some(mark)) = (run.reads(), &self.bao, mark) {
            let reads = bao.reads_since(mark, &self.mounts);
            if *expected != reads {
                wrong.push(format!("read {reads:?}, not {expected:?}"));
            }
        }
        wrong
    }
}

fn request(name: &RunName, request: &Request) -> ResolveRunRequest {
    let secret = |text: &String| SecretPayload { data: text.clone().into_bytes(), encoding: 0 };
    ResolveRunRequest {
        run: Some(name.clone()),
        environment: request.environment.clone(),
        preset: request.preset.clone(),
        overrides: map(&request.overrides, to_proto),
        text_overrides: request.text_overrides.clone(),
        secret_overrides: map(&request.secret_overrides, secret),
        ..ResolveRunRequest::default()
    }
}

fn map<A, B>(values: &BTreeMap<String, A>, each: impl Fn(&A) -> B) -> BTreeMap<String, B> {
    values.iter().map(|(name, value)| (name.clone(), each(value))).collect()
}

/// Reads `expect.yaml` and fills in what it says about files.
fn read_case(folder: &Path) -> Case {
    let mut tree = yaml::read(&folder.join("expect.yaml"));
    fill_in(&mut tree, &folder.join("config"));
    serde_json::from_value(tree).expect("expect.yaml has known fields only")
}

fn fill_in(tree: &mut serde_json::Value, config: &Path) {
    use serde_json::Value as Json;
    match tree {
        Json::String(text) => *text = filled(text, config),
        Json::Array(items) => items.iter_mut().for_each(|item| fill_in(item, config)),
        Json::Object(fields) => fields.values_mut().for_each(|field| fill_in(field, config)),
        _ => {}
    }
}

fn filled(text: &str, config: &Path) -> String {
    let Some((before, rest)) = text.split_once('@') else { return text.into() };
    let Some((inside, after)) = rest.split_once('@') else { return text.into() };
    let bytes = |file: &str| std::fs::read(config.join(file)).unwrap();
    let value = if let Some(file) = inside.strip_prefix("SHA256 ") {
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes(file)))
    } else if let Some(file) = inside.strip_prefix("FILE ") {
        String::from_utf8(bytes(file)).unwrap()
    } else {
        return text.into();
    };
    format!("{before}{value}{}", filled(after, config))
}
