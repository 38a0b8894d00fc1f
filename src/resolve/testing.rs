//! Plans from YAML, and sources that do as a test says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::fetch::Sources;
use super::submission::{Overrides, Submission, read_overrides, submit};
use super::{Outcome, Resolution, failure::Failure};
use crate::expression::RunScope;
use crate::load::{Compiled, load};
use crate::name::{PipelineName, RunId, RunKey, SourceName};
use crate::plan::Plan;
use crate::refusal::Violation;
use crate::source::{Answer, Cause, Pending, Raw, Read, Source, SourceError};
use crate::store::fingerprint::Fingerprints;
use crate::store::keys::FingerprintKey;
use crate::value::Value;

/// Settings with two sources of variables, and one of files.
pub(crate) const SETTINGS: &str = r#"
sources:
  first: { env: { names: [A, B, C, TOKEN] }, grants: [{ pipelines: ["*"] }] }
  second: { env: { names: [A, B, C] }, grants: [{ pipelines: ["*"] }] }
  files: { file: { root: . }, grants: [{ pipelines: ["*"], paths: ["*"] }] }
"#;

/// Compiles a configuration of these files; `paramd.yaml`, `global.yaml` and the
/// environment `dev` are there unless they are given.
pub(crate) fn compile(files: &[(&str, &str)]) -> Compiled {
    let folder = tempfile::TempDir::new().unwrap();
    let defaults =
        [("paramd.yaml", SETTINGS), ("global.yaml", "{}\n"), ("environments/dev.yaml", "{}\n")];
    for (file, text) in defaults.iter().chain(files) {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let loaded = load(folder.path());
    let lines = crate::yaml::diagnostic::lines(&loaded.problems, &loaded.files);
    assert!(!loaded.problems.has_errors(), "{lines:#?}");
    loaded.compiled.unwrap()
}

/// The plan of one pipeline, named `p`, in the environment `dev`.
pub(crate) fn plan(body: &str) -> Arc<Plan> {
    plan_with(body, &[])
}

/// The same with other files.
pub(crate) fn plan_with(body: &str, files: &[(&str, &str)]) -> Arc<Plan> {
    let text = format!("name: p\n{body}");
    let all: Vec<_> = [("pipelines/p.yaml", text.as_str())].iter().chain(files).copied().collect();
    compile(&all).plans.plan("p", "dev").unwrap().clone()
}

/// What a caller passes as text.
pub(crate) fn texts(pairs: &[(&str, &str)]) -> Overrides {
    let text = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Overrides { text: text.collect(), ..Overrides::default() }
}

/// What a caller passes as values.
pub(crate) fn typed(pairs: &[(&str, Value)]) -> Overrides {
    let typed = pairs.iter().map(|(name, value)| ((*name).to_owned(), Ok(value.clone())));
    Overrides { typed: typed.collect(), ..Overrides::default() }
}

/// Checks a request, and gives its problems as `field REASON`.
pub(crate) fn submitted(
    plan: &Plan,
    preset: &str,
    overrides: Overrides,
) -> (Submission, Vec<String>) {
    let mut violations = Vec::new();
    let read = read_overrides(&plan.common.interface, overrides, &mut violations);
    let submission = submit(plan, preset, read, &mut violations);
    (submission, lines(&violations))
}

/// Violations as `field REASON`.
pub(crate) fn lines(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|one| format!("{} {}", one.field, one.reason.word())).collect()
}

/// Failures as `subject REASON`, ordered.
pub(crate) fn told(failures: &[Failure]) -> Vec<String> {
    let mut told: Vec<_> = failures
        .iter()
        .map(|failure| format!("{} {}", failure.subject, failure.reason.word()))
        .collect();
    told.sort();
    told
}

/// The name of the run of the tests.
pub(crate) fn key() -> RunKey {
    RunKey {
        pipeline: PipelineName::parse("p").unwrap(),
        run_id: RunId::parse("r").unwrap(),
        attempt: 1,
    }
}

/// Resolves with these overrides, which must be sound, and these sources.
pub(crate) async fn resolve_with(
    plan: &Plan,
    overrides: Overrides,
    sources: &Sources,
) -> Result<Outcome, Vec<Failure>> {
    let (submission, problems) = submitted(plan, "", overrides);
    assert!(problems.is_empty(), "{problems:?}");
    let run = RunScope {
        id: "r".into(),
        attempt: 1,
        started_at: "2026-01-02T03:04:05Z".into(),
        logical_date: None,
    };
    super::resolve(&Resolution {
        plan,
        submission: &submission,
        run: &run,
        key: &key(),
        sources,
        fingerprints: &Fingerprints::new(&FingerprintKey::generate().unwrap()),
        deadline: Instant::now() + Duration::from_secs(20),
    })
    .await
}

type Answering = Box<dyn Fn(&Read) -> Result<Answer, SourceError> + Send>;

/// A source that answers as the test says, and counts.
pub(crate) struct Fake {
    answer: Mutex<Answering>,
    reads: AtomicU32,
    /// Reads that wait until they are let through.
    waiting: AtomicU32,
    gate: Option<Semaphore>,
}

impl Fake {
    pub(crate) fn new(
        answer: impl Fn(&Read) -> Result<Answer, SourceError> + Send + 'static,
    ) -> Arc<Self> {
        Self::made(answer, None)
    }

    /// Answers each read only when it is let through.
    pub(crate) fn held(
        answer: impl Fn(&Read) -> Result<Answer, SourceError> + Send + 'static,
    ) -> Arc<Self> {
        Self::made(answer, Some(Semaphore::new(0)))
    }

    fn made(
        answer: impl Fn(&Read) -> Result<Answer, SourceError> + Send + 'static,
        gate: Option<Semaphore>,
    ) -> Arc<Self> {
        let (reads, waiting) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { answer: Mutex::new(Box::new(answer)), reads, waiting, gate })
    }

    /// Answers these variables; others are missing.
    pub(crate) fn variables(pairs: &[(&str, &str)]) -> Arc<Self> {
        Self::new(variables(pairs))
    }

    /// Fails always, in this way.
    pub(crate) fn failing(cause: Cause) -> Arc<Self> {
        Self::new(move |_| Err(cause.into()))
    }

    pub(crate) fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Waits until so many reads wait at the gate.
    pub(crate) async fn has_waiting(&self, count: u32) {
        while self.waiting.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn let_through(&self, count: usize) {
        self.gate.as_ref().unwrap().add_permits(count);
    }

    /// Answers otherwise from now on.
    pub(crate) fn answers(
        &self,
        answer: impl Fn(&Read) -> Result<Answer, SourceError> + Send + 'static,
    ) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }
}

/// Answers of variables by name.
pub(crate) fn variables(
    pairs: &[(&str, &str)],
) -> impl Fn(&Read) -> Result<Answer, SourceError> + Send + 'static {
    let known: BTreeMap<String, String> =
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    move |read| {
        Ok(match read.address.get("name").and_then(|name| known.get(name)) {
            Some(text) => {
                Answer::Found { raw: Raw::Text(text.clone()), version: Some("v1".to_owned()) }
            }
            None => Answer::Missing,
        })
    }
}

impl Source for Fake {
    fn read<'a>(&'a self, read: &'a Read) -> Pending<'a, Result<Answer, SourceError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            if let Some(gate) = &self.gate {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
            }
            (self.answer.lock().unwrap())(read)
        })
    }
}

/// Sources by name.
pub(crate) fn sources(pairs: &[(&str, &Arc<Fake>)]) -> Sources {
    pairs
        .iter()
        .map(|(name, fake)| {
            let source: Arc<dyn Source> = Arc::clone(fake) as _;
            (SourceName::parse(name).unwrap(), source)
        })
        .collect()
}
