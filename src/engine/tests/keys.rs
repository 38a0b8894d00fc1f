//! A fingerprint key that was made anew beside a store that is there.

use super::*;
use crate::engine::testing::{ALL, PIPELINE};
use crate::engine::{RunSelector, SecretOverride};
use crate::secret::SecretBytes;
use crate::store::fingerprint::Fingerprints;
use crate::store::keys::FingerprintKey;

const FILES: [(&str, &str); 2] = [("pipelines/p.yaml", PIPELINE), ("policies/own.cedar", ALL)];

/// The same store with another key, and the ids of the one before and of this one.
async fn rekeyed(bench: Bench) -> (Bench, [String; 2]) {
    bench.store.close().await.unwrap();
    let Bench { engine, store, folder } = bench;
    drop((engine, store));
    let path = folder.path().join("f.key");
    let id = || Fingerprints::new(&FingerprintKey::load_or_create(&path).unwrap()).id().to_owned();
    let before = id();
    std::fs::remove_file(&path).unwrap();
    let bench = Bench::open(folder, &FILES, good());
    (bench, [before, id()])
}

#[tokio::test]
async fn events_name_the_key_that_fingerprints_were_made_with() {
    let bench = Bench::over(&FILES, good());
    bench.resolve(1, request(&[])).await.unwrap();
    let (bench, [before, today]) = rekeyed(bench).await;
    assert_ne!(before, today);
    bench.reveal(1, "main", None, &["token"]).await.unwrap();
    bench.context(1, "main", None).await.unwrap();
    assert!(!bench.resolve(1, request(&[])).await.unwrap().created);
    bench.settle().await;
    let keys: Vec<_> = bench
        .events()
        .into_iter()
        .filter(|event| event.draft.parameters.iter().any(|one| one.fingerprint.is_some()))
        .map(|event| (event.draft.action, event.draft.fingerprint_key))
        .collect();
    let of = |action: Action| (action, before.clone());
    let expected = [Action::Resolve, Action::Reveal, Action::Read, Action::Resolve];
    assert_eq!(keys, expected.map(of));
    let mut other = request(&[]);
    other.run.run_id = "s".into();
    bench.resolve(1, other).await.unwrap();
    let made = bench.events().into_iter().rfind(|event| !event.draft.parameters.is_empty());
    assert_eq!(made.unwrap().draft.fingerprint_key, today);
}

#[tokio::test]
async fn secrets_under_two_keys_are_not_compared() {
    let secretly = |run_id: &str| {
        let mut asked = request(&[]);
        asked.run.run_id = run_id.into();
        let bytes = SecretBytes::new(b"one and the same secret".to_vec());
        let token = SecretOverride { bytes, encoding: None, unknown_encoding: false };
        asked.overrides.secret.insert("token".into(), token);
        asked
    };
    let named = |run_id: &str| RunSelector { attempt: 1, ..run(run_id) };
    let bench = Bench::over(&FILES, good());
    for run_id in ["a", "b"] {
        bench.resolve(1, secretly(run_id)).await.unwrap();
    }
    let views = bench.engine.diff_runs(&caller(1), named("a"), named("b")).await.unwrap();
    assert!(views.iter().all(|view| view.fingerprints));
    let (bench, _) = rekeyed(bench).await;
    bench.resolve(1, secretly("c")).await.unwrap();
    let before = bench.told().await;
    let views = bench.engine.diff_runs(&caller(1), named("a"), named("c")).await.unwrap();
    assert!(views.iter().all(|view| !view.fingerprints), "they can't be compared");
    let told = bench.told().await;
    assert_eq!(told[before.len()..], ["Read Succeeded", "Read Succeeded"], "none are shown");
}
