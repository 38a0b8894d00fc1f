//! Contexts and reveals: names, instances, orders, ends.

use super::*;

async fn bench() -> Bench {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[])).await.unwrap();
    bench
}

#[expect(clippy::disallowed_methods, reason = "a test looks at what it revealed")]
async fn revealed(bench: &Bench, step: &str, instance: Option<u32>, names: &[&str]) -> Vec<String> {
    let answer = bench.reveal(1, step, instance, names).await.unwrap();
    answer
        .secrets
        .iter()
        .map(|one| format!("{}={}", one.name, String::from_utf8_lossy(one.bytes.expose())))
        .collect()
}

#[tokio::test]
async fn names_keep_their_order_and_all_are_ordered() {
    let bench = bench().await;
    let named = revealed(&bench, "main", None, &["token", "env.H"]).await;
    assert_eq!(named, [format!("token={TOKEN}"), format!("env.H=Bearer {TOKEN}")]);
    let all = revealed(&bench, "main", None, &[]).await;
    assert_eq!(
        all,
        [
            format!("env.H=Bearer {TOKEN}"),
            format!("header=Bearer {TOKEN}"),
            format!("token={TOKEN}")
        ]
    );
}

#[tokio::test]
async fn entries_of_a_matrix_need_its_instance() {
    let bench = bench().await;
    assert_eq!(revealed(&bench, "each", None, &[]).await, [format!("header=Bearer {TOKEN}")]);
    let second = revealed(&bench, "each", Some(1), &["env.H"]).await;
    assert_eq!(second, [format!("env.H=Bearer {TOKEN}2")]);
    assert_eq!(reason(bench.reveal(1, "each", None, &["env.H"]).await), "ACCESS_DENIED");
    // An instance that isn't there is what is wrong, not the name.
    let Err(Refusal::Invalid(violations)) = bench.reveal(1, "each", Some(2), &["env.H"]).await
    else {
        panic!("there are two")
    };
    assert_eq!(violations[0].field, "instance");
    assert_eq!(reason(bench.reveal(1, "main", Some(1), &[]).await), "INVALID_REQUEST");
    assert_eq!(reason(bench.context(1, "each", Some(2)).await), "INVALID_REQUEST");
    assert!(bench.context(1, "each", Some(1)).await.is_ok());
}

#[tokio::test]
async fn unknown_and_foreign_names_are_refused_alike() {
    let bench = bench().await;
    let Err(Refusal::AccessDenied { fields }) =
        bench.reveal(1, "main", None, &["token", "n", "absent", "env.X", "remote"]).await
    else {
        panic!("they are refused")
    };
    let told: Vec<_> = fields.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(told, ["names[1]", "names[2]", "names[3]", "names[4]"]);
    assert!(fields.windows(2).all(|two| two[0].description == two[1].description));
}

#[tokio::test]
async fn either_names_or_all() {
    let bench = bench().await;
    let ask = async |names: &[&str], all: bool| {
        let asked = crate::engine::RevealRequest {
            run: run("r"),
            step: "main".into(),
            instance: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            all,
            form: crate::envelope::Form::Plain,
            problems: Vec::new(),
        };
        bench.engine.reveal(&caller(1), asked).await.map(|_| ())
    };
    assert_eq!(reason(ask(&[], false).await), "INVALID_REQUEST");
    assert_eq!(reason(ask(&["token"], true).await), "INVALID_REQUEST");
    assert_eq!(reason(ask(&["token", "token"], false).await), "INVALID_REQUEST");
    assert_eq!(reason(ask(&["to\0ken"], false).await), "INVALID_REQUEST");
    assert!(ask(&["token"], false).await.is_ok());
}

#[tokio::test]
async fn a_skipped_step_needs_no_secrets() {
    let bench = Bench::new(good());
    bench.resolve(1, request(&[("go", "false")])).await.unwrap();
    assert_eq!(reason(bench.reveal(1, "rest", None, &["token"]).await), "STEP_SKIPPED");
    assert_eq!(reason(bench.reveal(1, "rest", None, &["absent"]).await), "STEP_SKIPPED");
    assert_eq!(reason(bench.reveal(1, "rest", Some(5), &[]).await), "STEP_SKIPPED");
    assert_eq!(bench.context(1, "rest", None).await.unwrap()[0], 0);
}

#[tokio::test]
async fn a_lifetime_that_is_over_ends_the_run_swept_or_not() {
    let body = super::super::testing::PIPELINE.replace("name: p\n", "name: p\nlifetime: 1s\n");
    let bench = Bench::over(
        &[("pipelines/p.yaml", body.as_str()), ("policies/own.cedar", super::super::testing::ALL)],
        good(),
    );
    bench.resolve(1, request(&[])).await.unwrap();
    let expires = bench.store.run(&key()).unwrap().unwrap().frozen.expires;
    while bench.store.now() < expires {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(reason(bench.context(1, "main", None).await), "RUN_ENDED");
    assert_eq!(reason(bench.reveal(1, "main", None, &["token"]).await), "RUN_ENDED");
    let Err(Refusal::RunEnded { end }) =
        bench.engine.complete(&caller(1), run("r"), Ok(RunEnd::Succeeded)).await
    else {
        panic!("it is over")
    };
    assert_eq!(end, RunEnd::Expired);
    assert!(bench.store.run(&key()).unwrap().unwrap().frozen.sealed.is_empty());
    let told = bench.told().await;
    assert!(told.contains(&"Expire Succeeded".to_owned()), "{told:?}");
    let replayed = bench.resolve(1, request(&[])).await.unwrap();
    assert_eq!(replayed.view.run.end.unwrap().0, RunEnd::Expired);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_given_and_recorded() {
    let long = "x".repeat((1 << 20) - 10);
    let bench = Bench::new(sources(&[
        ("first", &Fake::variables(&[("A", "north")])),
        ("second", &Fake::variables(&[("B", &long)])),
    ]));
    bench.resolve(1, request(&[])).await.unwrap();
    assert_eq!(reason(bench.reveal(1, "main", None, &[]).await), "ANSWER_TOO_LARGE");
    assert!(bench.reveal(1, "main", None, &["token", "header"]).await.is_ok());
    let told = bench.told().await;
    assert!(told.contains(&"Reveal Failed ANSWER_TOO_LARGE".to_owned()), "{told:?}");
}

fn key() -> crate::name::RunKey {
    crate::resolve::testing::key()
}
