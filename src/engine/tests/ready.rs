//! What is made of a run once is given to those only who may have it, and no longer
//! than it is true.

use super::*;
use crate::engine::testing::{ALL, PIPELINE, in_force};
use crate::engine::{Engine, Resolved};

const SEERS: &str = r#"
permit (principal, action, resource) when { principal == Paramd::Principal::"uid:1" };
permit (
    principal,
    action in [Paramd::Action::"join", Paramd::Action::"read", Paramd::Action::"resolve"],
    resource
);
"#;

/// An answer as the edge would make it: of what it says, a byte each.
fn encoded(resolved: &Resolved) -> Vec<u8> {
    let make = |one: &Resolved| {
        let ended = one.view.run.end.is_some();
        let flags = [one.created, one.view.fingerprints, one.revision_changed, ended];
        flags.map(u8::from).to_vec().into()
    };
    resolved.encoded(make).to_vec()
}

async fn answer(bench: &Bench, uid: u32) -> Vec<u8> {
    encoded(&bench.resolve(uid, request(&[])).await.unwrap())
}

#[tokio::test]
async fn fingerprints_are_in_the_answers_of_those_who_may_see_them() {
    let bench = Bench::under(SEERS, good());
    assert_eq!(answer(&bench, 1).await, [1, 1, 0, 0]);
    for uid in [2, 1, 2, 1] {
        let shown = u8::from(uid == 1);
        assert_eq!(answer(&bench, uid).await, [0, shown, 0, 0], "{uid}");
        assert_eq!(bench.context(uid, "main", None).await.unwrap()[1], shown, "{uid}");
    }
}

#[tokio::test]
async fn a_replay_tells_how_the_run_stands_now() {
    let bench = Bench::new(good());
    assert_eq!(answer(&bench, 1).await, [1, 1, 0, 0]);
    assert_eq!(answer(&bench, 1).await, [0, 1, 0, 0]);
    let changed = PIPELINE.replace("default: 1,", "default: 2,");
    let put = |engine: &Engine, pipeline: &str| {
        let files = [
            ("pipelines/p.yaml", pipeline),
            ("environments/prod.yaml", "{}\n"),
            ("policies/own.cedar", ALL),
        ];
        engine.put_in_force(in_force(&files, good()));
    };
    put(&bench.engine, &changed);
    assert_eq!(answer(&bench, 1).await, [0, 1, 1, 0]);
    put(&bench.engine, PIPELINE);
    assert_eq!(answer(&bench, 1).await, [0, 1, 0, 0]);
    bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Failed)).await.unwrap();
    assert_eq!(answer(&bench, 1).await, [0, 1, 0, 1]);
}

#[tokio::test]
async fn each_instance_has_its_own_secrets() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    for instance in [0, 1, 0, 1] {
        let revealed = bench.reveal(1, "each", Some(instance), &["env.H"]).await.unwrap();
        assert_eq!(told(&revealed), format!("Bearer {TOKEN}{}", instance + 1));
    }
    // All of a step without an instance has none of theirs.
    assert_eq!(bench.reveal(1, "each", None, &[]).await.unwrap().secrets.len(), 1);
    assert_eq!(bench.reveal(1, "each", Some(1), &[]).await.unwrap().secrets.len(), 2);
}

#[expect(clippy::disallowed_methods, reason = "a test looks at what it revealed")]
fn told(revealed: &crate::engine::Revealed) -> String {
    String::from_utf8(revealed.secrets[0].bytes.expose().to_vec()).unwrap()
}

#[tokio::test]
async fn an_event_names_what_was_asked_for_and_no_more() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    for names in [["token"].as_slice(), &[], &["token", "env.H"], &["token"]] {
        bench.reveal(1, "main", None, names).await.unwrap();
        let event = bench.events().pop().unwrap();
        let mut named: Vec<_> =
            event.draft.parameters.iter().map(|one| one.name.as_str().to_owned()).collect();
        let mut expected = names.to_vec();
        if names.is_empty() {
            expected = vec!["env.H", "header", "token"];
        }
        expected.sort_unstable();
        assert!(named.is_sorted());
        named.sort();
        assert_eq!(named, expected);
    }
}
