//! Exact attempts: what was read is had again, at its version, or not at all.

use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::{ResolveRequest, Resolved, SecretOverride};
use crate::provenance::SourceKind;
use crate::resolve::record::Record;
use crate::resolve::request::FrozenOverride;
use crate::secret::SecretBytes;
use crate::snapshot::{FrozenContent, FrozenEntry, Snapshot};
use crate::source::{Answer, Raw};
use crate::store::keys::SealingKey;
use crate::store::sealing::Sealer;
use crate::store::{AttemptMode, StoredRun};
use crate::value::Value;

const SETTINGS: &str = r#"
sources:
  first: { env: { names: [A, B], }, grants: [{ pipelines: ["*"] }] }
  main: { vault: { address: "http://127.0.0.1:1", mounts: { secret: kv-v2 }, auth: { token: { env: T } } }, grants: [{ pipelines: ["*"], paths: ["secret/*"] }] }
"#;

const PIPELINE: &str = r#"name: p
parameters:
  n: { type: integer, default: 1 }
  tag: { type: string, override: none, from: { template: "a{{ run.attempt }}" } }
  remote: { type: string, from: { env: { from: first, name: A } } }
  list: { type: array, items: { type: integer }, default: [1, 2] }
  password: { type: string, from: { vault: { mount: secret, path: "{{ environment }}/db", field: password } } }
  spare: { type: [string, "null"], default: null, from: { vault: { mount: secret, path: spare, field: x } } }
  own: { type: [string, "null"], secret: true, override: run, default: null }
  url: { type: string, from: { template: "{{ params.tag }}:{{ params.password }}" } }
steps:
  - { name: main, params: [n, remote, own, spare], run: [echo, "{{ run.attempt }}"], env: { URL: "{{ params.url }}", TAG: "{{ params.tag }}-{{ run.attempt }}" } }
  - { name: each, matrix: { i: params.list }, env: { URL: "{{ params.url }}{{ matrix.i }}{{ run.attempt }}" } }
"#;

fn files<'a>(settings: &'a str, pipeline: &'a str) -> [(&'a str, &'a str); 3] {
    [("paramd.yaml", settings), ("pipelines/p.yaml", pipeline), ("policies/own.cedar", ALL)]
}

use crate::engine::testing::ALL;

/// Versions of a secret, the first one first; none: it was destroyed.
type Versions = Arc<Mutex<Vec<Option<&'static str>>>>;

fn vault(versions: &Versions) -> Arc<Fake> {
    let versions = versions.clone();
    Fake::new(move |read| {
        let versions = versions.lock().unwrap();
        if read.address["path"] != "dev/db" {
            return Ok(Answer::Missing);
        }
        let newest = versions.len().to_string();
        let version = read.address.get("version").unwrap_or(&newest).clone();
        let at: usize = version.parse().unwrap();
        Ok(match versions.get(at - 1) {
            None => Answer::Missing,
            Some(None) => Answer::Gone,
            Some(Some(text)) => {
                let text = Value::String((*text).to_owned());
                let raw = Raw::Value(Value::Map([("password".to_owned(), text)].into()));
                Answer::Found { raw, version: Some(version) }
            }
        })
    })
}

fn attempt(number: u32, mode: AttemptMode) -> ResolveRequest {
    let mut request = request(&[("n", "7")]);
    let bytes = SecretBytes::new(b"the-callers-own".to_vec());
    let own = SecretOverride { bytes, encoding: None, unknown_encoding: false };
    request.overrides.secret.insert("own".into(), own);
    request.run.attempt = number;
    request.mode = (number > 1).then_some(mode);
    request
}

async fn exact(bench: &Bench, number: u32) -> Result<Resolved, Refusal> {
    bench.resolve(1, attempt(number, AttemptMode::Exact)).await
}

async fn end(bench: &Bench) {
    bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Failed)).await.unwrap();
}

/// The problems of an exact attempt that can't be made, as `parameter REASON`.
#[track_caller]
fn unavailable(answer: Result<Resolved, Refusal>) -> Vec<String> {
    match answer.err().expect("a refusal") {
        Refusal::ExactUnavailable(problems) => {
            problems.iter().map(|one| format!("{} {}", one.subject, one.reason.word())).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn public(snapshot: &Snapshot, name: &str) -> Value {
    match &snapshot.parameters[name].content {
        FrozenContent::Public(value) => value.get().clone(),
        other => panic!("{other:?}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test looks at what it put in")]
async fn revealed(bench: &Bench, step: &str, instance: Option<u32>, name: &str) -> String {
    let mut answer = bench.reveal(1, step, instance, &[name]).await.unwrap();
    String::from_utf8(answer.secrets.remove(0).bytes.expose().to_vec()).unwrap()
}

#[tokio::test]
async fn an_exact_attempt_has_the_values_of_the_one_before() {
    let first = Fake::variables(&[("A", "north")]);
    let versions: Versions = Arc::new(Mutex::new(vec![Some("pass-one-1111")]));
    let main = vault(&versions);
    let sources = || sources(&[("first", &first), ("main", &main)]);
    let bench = Bench::over(&files(SETTINGS, PIPELINE), sources());
    let made = bench.resolve(1, attempt(1, AttemptMode::Exact)).await.unwrap();
    assert_eq!(revealed(&bench, "main", None, "env.URL").await, "a1:pass-one-1111");
    end(&bench).await;
    versions.lock().unwrap().push(Some("pass-two-2222"));
    first.answers(variables(&[("A", "south")]));
    // The definition is another by then, and the daemon too.
    let Bench { engine, store, folder } = bench;
    drop((engine, store));
    let changed = PIPELINE.replace("field: password } } }", "field: password } }, minLength: 99 }");
    let changed =
        changed.replace("{{ params.tag }}:", "elsewhere:").replace("default: 1 ", "default: 2 ");
    let bench = Bench::open(folder, &files(SETTINGS, &changed), sources());
    let before = (first.reads(), main.reads());
    let again = exact(&bench, 2).await.unwrap();
    assert!(again.created && again.revision_changed);
    // The secret alone was read, once.
    assert_eq!((first.reads(), main.reads()), (before.0, before.1 + 1));
    let (old, new) = (&made.view, &again.view);
    assert_eq!(new.run.frozen.revision, old.run.frozen.revision);
    assert_eq!(new.run.frozen.bundle, old.run.frozen.bundle);
    assert_eq!(new.run.frozen.mode, Some(AttemptMode::Exact));
    for name in ["n", "tag", "remote", "list"] {
        assert_eq!(public(&new.snapshot, name), public(&old.snapshot, name), "{name}");
        let provenance =
            |view: &crate::engine::RunView| view.snapshot.parameters[name].provenance.clone();
        assert_eq!(provenance(new), provenance(old), "{name}");
    }
    for name in ["password", "url", "own", "spare"] {
        let mark = |snapshot: &Snapshot| match &snapshot.parameters[name].content {
            FrozenContent::Secret(mark) => mark.fingerprint,
            other => panic!("{other:?}"),
        };
        assert_eq!(mark(&new.snapshot), mark(&old.snapshot), "{name}");
    }
    let read = new.snapshot.parameters["password"].provenance.clone().unwrap();
    assert_eq!((read.source, read.version.as_deref()), (SourceKind::Vault, Some("1")));
    assert_eq!(read.location, "secret/dev/db#password");
    assert!(
        read.fetched > old.snapshot.parameters["password"].provenance.as_ref().unwrap().fetched
    );
    // What steps are handed knows its own attempt.
    let main_step = &new.snapshot.step("main").unwrap().instances[0];
    assert_eq!(main_step.run, ["echo", "2"]);
    assert!(matches!(&main_step.env["TAG"], FrozenEntry::Text(text) if text == "a1-2"));
    assert_eq!(revealed(&bench, "main", None, "env.URL").await, "a1:pass-one-1111");
    assert_eq!(revealed(&bench, "each", Some(1), "env.URL").await, "a1:pass-one-111122");
    assert_eq!(revealed(&bench, "main", None, "own").await, "the-callers-own");
    assert!(!exact(&bench, 2).await.unwrap().created);
    // An exact one of an exact one, and then a refreshed one.
    end(&bench).await;
    let third = exact(&bench, 3).await.unwrap();
    assert_eq!(public(&third.view.snapshot, "tag"), Value::String("a1".into()));
    assert_eq!(revealed(&bench, "main", None, "env.URL").await, "a1:pass-one-1111");
    let other = bench.resolve(1, attempt(3, AttemptMode::Refresh)).await;
    let Err(Refusal::RunConflict { differs, .. }) = other else { panic!("the mode differs") };
    assert_eq!(differs, ["mode"]);
    end(&bench).await;
    let fourth = bench.resolve(1, attempt(4, AttemptMode::Refresh)).await;
    assert_eq!(reason(fourth), "RESOLUTION_FAILED", "today's schema wants 99 characters");
}

#[tokio::test]
async fn what_is_gone_or_has_no_version_is_named() {
    let first = Fake::variables(&[("A", "north"), ("B", "a-secret-variable")]);
    let versions: Versions = Arc::new(Mutex::new(vec![Some("pass-one-1111")]));
    let main = vault(&versions);
    let with_variable = PIPELINE
        .replace("steps:", "  plain: { type: string, secret: true, from: { env: { from: first, name: B } } }\nsteps:")
        .replace("[n, remote,", "[n, plain, remote,");
    for (pipeline, after, expected) in [
        (PIPELINE, vec![None, Some("pass-two-2222")], vec!["password VALUE_GONE"]),
        // Not even its metadata is there any more.
        (PIPELINE, vec![], vec!["password VALUE_GONE"]),
        // Removed and made anew under the same version.
        (PIPELINE, vec![Some("pass-new-3333")], vec!["password VALUE_GONE"]),
        (&with_variable, vec![Some("pass-one-1111")], vec!["plain NOT_REPEATABLE"]),
        (&with_variable, vec![None], vec!["password VALUE_GONE", "plain NOT_REPEATABLE"]),
    ] {
        *versions.lock().unwrap() = vec![Some("pass-one-1111")];
        let sources = sources(&[("first", &first), ("main", &main)]);
        let bench = Bench::over(&files(SETTINGS, pipeline), sources);
        bench.resolve(1, attempt(1, AttemptMode::Exact)).await.unwrap();
        end(&bench).await;
        *versions.lock().unwrap() = after;
        assert_eq!(unavailable(exact(&bench, 2).await), expected);
        // Nothing of it was kept, and the way is free for another mode.
        *versions.lock().unwrap() = vec![Some("pass-two-2222")];
        let made = bench.resolve(1, attempt(2, AttemptMode::Refresh)).await.unwrap();
        assert!(made.created);
        assert_eq!(revealed(&bench, "main", None, "env.URL").await, "a2:pass-two-2222");
        bench.settle().await;
        let failed = bench.events().into_iter().find(|one| one.draft.reason == "EXACT_UNAVAILABLE");
        let failed = failed.unwrap().draft;
        let named: Vec<_> = failed.parameters.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(named.len(), expected.len());
        assert!(failed.parameters.iter().all(|one| one.source_name.is_some()));
    }
}

#[tokio::test]
async fn what_is_granted_is_todays() {
    let first = Fake::variables(&[("A", "north")]);
    let versions: Versions = Arc::new(Mutex::new(vec![Some("pass-one-1111")]));
    let main = vault(&versions);
    let sources = || sources(&[("first", &first), ("main", &main)]);
    let bench = Bench::over(&files(SETTINGS, PIPELINE), sources());
    bench.resolve(1, attempt(1, AttemptMode::Exact)).await.unwrap();
    end(&bench).await;
    let Bench { engine, store, folder } = bench;
    drop((engine, store));
    let narrow = SETTINGS.replace("secret/*", "secret/other/*");
    let plain = "name: p\nparameters: { n: { type: integer, default: 1 } }\n";
    let bench = Bench::open(folder, &files(&narrow, plain), sources());
    let reads = main.reads();
    let Err(Refusal::SourceFailed { failure, .. }) = exact(&bench, 2).await else {
        panic!("it isn't granted any more")
    };
    assert_eq!(failure.cause, crate::source::Cause::NotGranted);
    assert_eq!(main.reads(), reads);
}

/// Writes the record of a run as the release before did.
async fn as_before(bench: Bench, run: &StoredRun, sources: Sources) -> Bench {
    let key = run.frozen.key.clone();
    bench.store.close().await.unwrap();
    let stored = bench.store.run(&key).unwrap().unwrap().frozen;
    let mut record: serde_json::Value = serde_json::from_slice(&stored.record[32..]).unwrap();
    let written = record.as_object_mut().unwrap();
    assert!(written.remove("plan").is_some() && written.remove("origin").is_some());
    written["format"] = 1.into();
    let sealer =
        Sealer::new(SealingKey::load_or_create(&bench.folder.path().join("s.key")).unwrap());
    let json = serde_json::to_vec(&record).unwrap();
    let bytes = [sealer.authenticate(&key, &json).to_vec(), json].concat();
    let Bench { engine, store, folder } = bench;
    drop((engine, store));
    let database = rusqlite::Connection::open(folder.path().join("paramd.db")).unwrap();
    database.execute("update runs set record = ?1", [&bytes]).unwrap();
    drop(database);
    let read = Record::of_run(&crate::store::NewRun { record: bytes, ..stored }, &sealer).unwrap();
    assert!(matches!(read.request.overrides["own"], FrozenOverride::Secret(_)));
    Bench::open(folder, &files(SETTINGS, PIPELINE), sources)
}

#[tokio::test]
async fn a_record_of_the_release_before_is_read_extended_and_not_repeated() {
    let first = Fake::variables(&[("A", "north")]);
    let versions: Versions = Arc::new(Mutex::new(vec![Some("pass-one-1111")]));
    let main = vault(&versions);
    let sources = || sources(&[("first", &first), ("main", &main)]);
    let bench = Bench::over(&files(SETTINGS, PIPELINE), sources());
    let mut short = attempt(1, AttemptMode::Exact);
    short.lifetime = Some(std::time::Duration::from_mins(1));
    let made = bench.resolve(1, short).await.unwrap().view;
    let bench = as_before(bench, &made.run, sources()).await;
    assert!(!bench.resolve(1, attempt(1, AttemptMode::Exact)).await.unwrap().created);
    // Written anew, it knows no more than before.
    let half_an_hour = std::time::Duration::from_mins(30);
    let extended = bench.engine.extend(&caller(1), run("r"), Ok(half_an_hour)).await.unwrap();
    assert!(extended.frozen.expires > made.run.frozen.expires);
    assert_eq!(revealed(&bench, "main", None, "env.URL").await, "a1:pass-one-1111");
    assert!(!bench.resolve(1, attempt(1, AttemptMode::Exact)).await.unwrap().created);
    end(&bench).await;
    let named = unavailable(exact(&bench, 2).await);
    assert_eq!(named.len(), 8);
    assert!(named.iter().all(|one| one.ends_with(" NOT_REPEATABLE")), "{named:?}");
    assert!(bench.resolve(1, attempt(2, AttemptMode::Refresh)).await.unwrap().created);
}
