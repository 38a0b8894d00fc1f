//! Secrecy is sound: whatever depended on a secret, the plan says is secret.
//!
//! An interpreter of our own computes every run of made-up pipelines with
//! labelled values, and paramd resolves the same run from the same files. What
//! the label says is secret must not be in the open; and the values are compared.

mod dates;
mod expressions;
mod generate;
mod interpret;
mod model;
mod run;
mod world;
mod written;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use paramd::definition::read_bundle;
use paramd::expression::RunScope;
use paramd::name::{PipelineName, RunId, RunKey, SourceName};
use paramd::plan::{self, Plan, PlannedPipeline};
use paramd::resolve::fetch::Sources;
use paramd::resolve::submission::{Overrides, SecretOverride, read_overrides, submit};
use paramd::resolve::{self, Resolution};
use paramd::secret::SecretBytes;
use paramd::snapshot::{FrozenContent, FrozenEntry, FrozenStep, Snapshot};
use paramd::store::fingerprint::Fingerprints;
use paramd::store::keys::FingerprintKey;
use paramd::value::binary;
use paramd::yaml::diagnostic::{Files, Problems, lines};

use crate::cases::{Outcome, run as go};
use crate::draw::Draw;
use generate::Known;
use interpret::Labelled;
use model::{Override, Pipeline, V};
use run::{Call, Instance, interpret};
use written::ENVIRONMENTS;

/// How many were taken, refused and resolved, and how many of those failed as
/// the interpreter had said.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);
static RESOLVED: AtomicU64 = AtomicU64::new(0);
static FAILED: AtomicU64 = AtomicU64::new(0);
static SECRETS: AtomicU64 = AtomicU64::new(0);

#[test]
fn whatever_depended_on_a_secret_is_secret() {
    go("secrecy", 20_000, 1_536, check);
    let counted = |of: &AtomicU64| of.load(Ordering::Relaxed);
    println!(
        "secrecy: {} pipelines taken, {} refused; {} runs resolved with {} secret values, {} failed",
        counted(&TAKEN),
        counted(&REFUSED),
        counted(&RESOLVED),
        counted(&SECRETS),
        counted(&FAILED),
    );
    assert!(counted(&TAKEN) > counted(&REFUSED), "most pipelines are sound");
    assert!(counted(&RESOLVED) > counted(&FAILED), "most runs resolve");
}

/// Makes a pipeline up and goes through its runs.
pub(crate) fn check(bytes: &[u8]) -> Outcome {
    let mut draw = Draw::new(bytes);
    let (made, known) = generate::pipeline(&mut draw);
    FOLDER.with(|folder| write(folder.path(), &made));
    let (planned, told) = FOLDER.with(|folder| compile(folder.path()));
    let with = |why: String| Err(format!("{why}\n{}", files(&made)));
    let planned = match planned {
        Some(planned) if made.contradicts => {
            drop(planned);
            return with("a secret is read where none may be, and it isn't refused".into());
        }
        Some(planned) => planned,
        None => {
            REFUSED.fetch_add(1, Ordering::Relaxed);
            return Ok(u64::from(!told.is_empty()));
        }
    };
    TAKEN.fetch_add(1, Ordering::Relaxed);
    for environment in &made.environments {
        for preset in std::iter::once(None).chain((0..made.presets.len()).map(Some)) {
            let overrides = overrides(&mut draw, &made, &known);
            let call = Call { environment, preset, overrides };
            if let Err(why) = one_run(&made, &known, &planned, &call) {
                return with(format!("{why}\n{call:?}"));
            }
        }
    }
    // No run may show it, and it is secret all the same: through another layer.
    for (index, secret) in known.secret.iter().enumerate() {
        let found = planned.common.interface.parameters[name(index).as_str()].secret;
        if found != *secret {
            return with(format!("p{index}: the plan says secret: {found}, the docs {secret}"));
        }
    }
    Ok(1)
}

thread_local! {
    /// Where the files of a case are; those of the next stand in the same place.
    static FOLDER: tempfile::TempDir = {
        let folder = crate::cases::folder();
        for below in ["pipelines", "environments"] {
            std::fs::create_dir(folder.path().join(below)).unwrap();
        }
        std::fs::write(folder.path().join("paramd.yaml"), written::settings()).unwrap();
        folder
    };
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
}

static FINGERPRINTS: LazyLock<Fingerprints> =
    LazyLock::new(|| Fingerprints::new(&FingerprintKey::generate().unwrap()));

static SOURCES: LazyLock<Sources> = LazyLock::new(|| {
    let named = [
        ("e", world::World::Env),
        ("f", world::World::File),
        ("s", world::World::Sql),
        ("v", world::World::Vault),
    ];
    named
        .into_iter()
        .map(|(name, one)| (SourceName::parse(name).unwrap(), Arc::new(one) as _))
        .collect()
});

fn name(index: usize) -> String {
    format!("p{index}")
}

fn texts(made: &Pipeline) -> Vec<(String, String)> {
    let mut all = vec![
        ("pipelines/p.yaml".to_owned(), written::pipeline(made)),
        ("global.yaml".to_owned(), written::layer(made, None)),
    ];
    for environment in made.all.iter().copied() {
        let text = written::layer(made, Some(environment));
        all.push((format!("environments/{environment}.yaml"), text));
    }
    all
}

fn write(folder: &Path, made: &Pipeline) {
    for gone in ENVIRONMENTS.iter().filter(|one| !made.all.contains(*one)) {
        // Of the case before.
        let _ = std::fs::remove_file(folder.join(format!("environments/{gone}.yaml")));
    }
    for (path, text) in texts(made) {
        std::fs::write(folder.join(path), text).unwrap();
    }
}

fn files(made: &Pipeline) -> String {
    let all = texts(made).into_iter().map(|(path, text)| format!("--- {path}\n{text}"));
    all.collect::<Vec<_>>().join("\n")
}

/// The pipeline's plans, where there is no error.
fn compile(folder: &Path) -> (Option<PlannedPipeline>, Vec<String>) {
    let (mut files, mut problems) = (Files::default(), Problems::default());
    let bundle = read_bundle(folder, &mut files, &mut problems).unwrap();
    let mut plans = plan::compile(&bundle, &files, &mut problems);
    let told = lines(&problems, &files);
    let planned = plans.pipelines.remove("p").filter(|_| !problems.has_errors());
    (planned, told)
}

/// What a run binds, of what it may.
fn overrides(draw: &mut Draw<'_>, made: &Pipeline, known: &Known) -> BTreeMap<usize, V> {
    let mut values = BTreeMap::new();
    for (index, one) in made.parameters.iter().enumerate() {
        let may = match one.bindable {
            Override::Unsaid => !known.secret[index],
            other => other == Override::Run,
        };
        if may && draw.chance(25) {
            let value = generate::value_for(draw, one);
            // As text there is no null of a text.
            if value != V::Null || !known.secret[index] {
                values.insert(index, value);
            }
        }
    }
    values
}

/// The overrides as a caller sends them: secrets apart, as text.
fn sent(call: &Call, known: &Known) -> Overrides {
    let mut sent = Overrides::default();
    for (index, value) in &call.overrides {
        if known.secret[*index] {
            let text = match value {
                V::Str(text) => text.clone(),
                other => interpret::json(other),
            };
            let bytes = SecretBytes::new(text.into_bytes());
            let one = SecretOverride { bytes, encoding: None, unknown_encoding: false };
            sent.secret.insert(name(*index), one);
        } else {
            sent.typed.insert(name(*index), Ok(world::theirs(value)));
        }
    }
    sent
}

fn one_run(
    made: &Pipeline,
    known: &Known,
    planned: &PlannedPipeline,
    call: &Call,
) -> Result<(), String> {
    let plan = &planned.plans[call.environment];
    let mut violations = Vec::new();
    let read = read_overrides(&plan.common.interface, sent(call, known), &mut violations);
    let preset = call.preset.map_or_else(String::new, |at| format!("preset-{at}"));
    let submission = submit(plan, &preset, read, &mut violations);
    if let Some(first) = violations.first() {
        return Err(format!("the request is refused: {} {}", first.field, first.description));
    }
    let expected = interpret(made, known, call);
    let found = RUNTIME.with(|runtime| runtime.block_on(resolved(plan, &submission)));
    match (expected, found) {
        (Ok(expected), Ok(found)) => {
            RESOLVED.fetch_add(1, Ordering::Relaxed);
            compare(&expected, &found)
        }
        (Err(_), Err(_)) => {
            FAILED.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        (Ok(_), Err(told)) => Err(format!("it failed and should not have: {told:?}")),
        (Err(why), Ok(_)) => Err(format!("it resolved, and should have failed: {why:?}")),
    }
}

async fn resolved(
    plan: &Plan,
    submission: &paramd::resolve::submission::Submission,
) -> Result<resolve::Outcome, Vec<String>> {
    let run = RunScope {
        id: interpret::RUN_ID.into(),
        attempt: 1,
        started_at: interpret::STARTED.into(),
        logical_date: None,
    };
    let key = RunKey {
        pipeline: PipelineName::parse("p").unwrap(),
        run_id: RunId::parse(interpret::RUN_ID).unwrap(),
        attempt: 1,
    };
    let resolution = Resolution {
        plan,
        submission,
        run: &run,
        key: &key,
        sources: &SOURCES,
        fingerprints: &FINGERPRINTS,
        deadline: Instant::now() + Duration::from_secs(60),
    };
    let outcome = resolve::resolve(&resolution).await;
    outcome.map_err(|failures| {
        failures.iter().map(|one| format!("{} {}", one.subject, one.description)).collect()
    })
}

fn compare(expected: &run::Outcome, found: &resolve::Outcome) -> Result<(), String> {
    let Snapshot { parameters, steps, .. } = &found.snapshot;
    for (known, frozen) in parameters {
        let index: usize = known.as_str()[1..].parse().unwrap();
        let one = expected.values.get(&index);
        match (one, &frozen.content) {
            (None, FrozenContent::NotNeeded) => {}
            (Some(one), FrozenContent::Public(_)) if one.secret => {
                return Err(format!("{known} depended on a secret, and is in the open"));
            }
            (Some(one), FrozenContent::Public(value)) => {
                same(known.as_str(), &one.value, &world::ours(value.get()))?;
            }
            (Some(one), FrozenContent::Secret(_)) => {
                SECRETS.fetch_add(1, Ordering::Relaxed);
                let item = resolve::record::parameter_item(known);
                let bytes = sealed(found, &item)?;
                let value = binary::decode(bytes).map_err(|_| format!("{item} isn't a value"))?;
                same(known.as_str(), &one.value, &world::ours(&value))?;
            }
            (None, _) => return Err(format!("{known} was not needed, and is there")),
            (Some(_), FrozenContent::NotNeeded) => {
                return Err(format!("{known} was needed, and isn't there"));
            }
        }
    }
    for (at, instances) in expected.steps.iter().enumerate() {
        let wanted = format!("step-{at}");
        let step = steps.iter().find(|step| step.name.as_str() == wanted).unwrap();
        compare_step(instances, step, found)?;
    }
    Ok(())
}

fn compare_step(
    expected: &[Instance],
    step: &FrozenStep,
    found: &resolve::Outcome,
) -> Result<(), String> {
    if expected.len() != step.instances.len() {
        return Err(format!("{} has another number of instances", step.name));
    }
    for (at, (expected, instance)) in expected.iter().zip(&step.instances).enumerate() {
        if expected.run != instance.run {
            return Err(format!(
                "{}: run is {:?}, not {:?}",
                step.name, instance.run, expected.run
            ));
        }
        let entry = |item: String, expected: &Option<Labelled>, entry: Option<&FrozenEntry>| {
            let place = resolve::record::entry_item(step.name.as_str(), at as u32, &item);
            match (expected, entry) {
                (None, None) => Ok(()),
                (Some(one), Some(FrozenEntry::Text(_))) if one.secret => {
                    Err(format!("{place} depended on a secret, and is in the open"))
                }
                (Some(one), Some(FrozenEntry::Text(text))) => {
                    same(&place, &one.value, &V::Str(text.clone()))
                }
                (Some(one), Some(FrozenEntry::Secret(_))) => {
                    let bytes = sealed(found, &place)?.to_vec();
                    same(&place, &one.value, &V::Str(String::from_utf8(bytes).unwrap()))
                }
                _ => Err(format!("{place} is set, or it isn't, unlike expected")),
            }
        };
        for (at, one) in expected.env.iter().enumerate() {
            entry(format!("env.E{at}"), one, instance.env.get(&format!("E{at}")))?;
        }
        for (at, one) in expected.files.iter().enumerate() {
            let file = instance.files.get(&format!("f{at}")).map(|(entry, _)| entry);
            entry(format!("files.f{at}"), one, file)?;
        }
    }
    Ok(())
}

fn sealed<'f>(found: &'f resolve::Outcome, item: &str) -> Result<&'f [u8], String> {
    let one = found.secrets.iter().find(|(name, _)| name == item);
    one.map(|(_, bytes)| bytes.expose()).ok_or_else(|| format!("{item} isn't among the secrets"))
}

fn same(what: &str, expected: &V, found: &V) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what} is {found:?}, not {expected:?}")) }
}
