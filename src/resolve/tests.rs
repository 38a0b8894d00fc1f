use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fetch::Sources;
use super::submission::Overrides;
use super::testing::{
    Fake, lines, plan, plan_with, resolve_with, sources, texts, told, typed, variables,
};
use super::*;
use crate::provenance::{Layer, SourceKind};
use crate::snapshot::DecisionReason;
use crate::source::{Answer, Cause, Raw, SourceError};
use crate::value::Value;

fn nothing() -> Sources {
    Sources::new()
}

async fn resolved(plan: &Plan, overrides: Overrides, sources: &Sources) -> Snapshot {
    match resolve_with(plan, overrides, sources).await {
        Ok(outcome) => outcome.snapshot,
        Err(failures) => panic!("{failures:?}"),
    }
}

async fn failed(plan: &Plan, overrides: Overrides, sources: &Sources) -> Vec<Failure> {
    resolve_with(plan, overrides, sources).await.err().expect("it fails")
}

/// What was frozen of a parameter, for people.
fn shown(snapshot: &Snapshot, name: &str) -> String {
    match &snapshot.parameters[name].content {
        FrozenContent::Public(value) => crate::value::json::to_json(value.get()),
        FrozenContent::Secret(mark) => format!("secret, maskable: {}", mark.maskable),
        FrozenContent::NotNeeded => "not needed".to_owned(),
    }
}

/// Problems of a request as `field REASON`.
fn checked(plan: &Plan, overrides: Overrides) -> Vec<String> {
    checked_with(plan, overrides, None)
}

/// The same before there is a run, with the caller's own date for it.
fn checked_with(plan: &Plan, overrides: Overrides, date: Option<&str>) -> Vec<String> {
    let mut violations = Vec::new();
    let logical_date = date.map(str::to_owned);
    let scope = RunScope { id: String::new(), attempt: 0, started_at: String::new(), logical_date };
    let run = offline::OfflineRun::Dated(&scope);
    check::check_request(plan, "", overrides, run, &mut violations);
    lines(&violations)
}

#[tokio::test]
async fn only_what_a_running_step_sees_or_a_rule_reads_is_needed() {
    let plan = plan(
        r#"parameters:
  go: { type: boolean, default: false }
  idle: { type: integer, default: 1 }
  ruled: { type: integer, default: 2 }
  base: { type: integer, default: 3 }
  text: { type: string, from: { template: "n{{ params.base }}" } }
  remote: { type: string, from: { env: { from: first, name: A } } }
  items: { type: array, items: { type: string }, from: { env: { from: second, name: B } } }
rules:
  - { assert: params.ruled > 0, message: positive }
steps:
  - { name: one, params: [text] }
  - { name: two, when: params.go, matrix: { item: params.items }, run: ["{{ params.remote }}", "{{ matrix.item }}"] }
"#,
    );
    // The sources of a skipped step, its matrix too, are not asked.
    let dead = Fake::failing(Cause::Unreachable);
    let snapshot =
        resolved(&plan, texts(&[]), &sources(&[("first", &dead), ("second", &dead)])).await;
    assert_eq!(dead.reads(), 0);
    let names = ["go", "idle", "ruled", "base", "text", "remote", "items"];
    let shown: Vec<_> = names.iter().map(|name| shown(&snapshot, name)).collect();
    assert_eq!(shown, ["false", "not needed", "2", "3", "\"n3\"", "not needed", "not needed"]);
    assert!(snapshot.parameters["idle"].provenance.is_none());
    let two = snapshot.step("two").unwrap();
    assert_eq!(two.decision.action, StepAction::Skip);
    assert_eq!(two.decision.reason, DecisionReason::ConditionFalse);
    assert_eq!(two.decision.condition.as_deref(), Some("params.go"));
    assert_eq!(two.decision.deciding.keys().collect::<Vec<_>>(), ["params.go"]);
    assert!(two.instances.is_empty());
    assert_eq!(snapshot.step("one").unwrap().decision.reason, DecisionReason::Unconditional);
}

#[tokio::test]
async fn a_default_stands_in_only_for_what_is_not_there() {
    let body = r#"parameters:
  a: { type: string, default: fallback, from: { env: { from: first, name: A } } }
steps: [{ name: s, params: [a] }]
"#;
    let snapshot =
        resolved(&plan(body), texts(&[]), &sources(&[("first", &Fake::variables(&[]))])).await;
    let provenance = snapshot.parameters["a"].provenance.clone().unwrap();
    assert_eq!(shown(&snapshot, "a"), "\"fallback\"");
    assert!(provenance.default_used);
    assert_eq!((provenance.layer, provenance.source), (Layer::Definition, SourceKind::Env));
    assert!(provenance.fetched.is_some());

    // The layer that won is the one whose source was asked.
    let dev = ("environments/dev.yaml", "from: { a: { env: { from: second, name: B } } }\n");
    let layered = plan_with(body, &[dev]);
    let snapshot =
        resolved(&layered, texts(&[]), &sources(&[("second", &Fake::variables(&[]))])).await;
    let provenance = snapshot.parameters["a"].provenance.clone().unwrap();
    assert!(provenance.default_used);
    assert_eq!(provenance.layer, Layer::Environment);
    assert_eq!(provenance.source_name.unwrap().as_str(), "second");
    assert_eq!(provenance.location, "B");

    for cause in [Cause::Unreachable, Cause::Refused, Cause::NoSuchMount] {
        let failures =
            failed(&plan(body), texts(&[]), &sources(&[("first", &Fake::failing(cause))])).await;
        assert_eq!(failures[0].asked.as_ref().unwrap().cause, Some(cause));
    }
    let gone = Fake::new(|_| Ok(Answer::Gone));
    let failures = failed(&plan(body), texts(&[]), &sources(&[("first", &gone)])).await;
    assert_eq!(told(&failures), ["a VALUE_GONE"]);
}

#[tokio::test]
async fn every_failure_is_told_and_one_that_will_not_mend_first() {
    let plan = plan(
        r#"parameters:
  a: { type: string, from: { env: { from: first, name: A } } }
  b: { type: string, from: { env: { from: second, name: B } } }
  c: { type: integer, from: { env: { from: second, name: C } } }
  n: { type: integer, default: 1 }
  made: { type: string, from: { template: "{{ params.a }}x" } }
rules:
  - { assert: params.n == 2 or params.b == 'x', message: not so }
steps: [{ name: s, params: [a, b, c, made] }, { name: t, when: params.a == 'x', params: [b] }]
"#,
    );
    let second = Fake::variables(&[("B", "y"), ("C", "no-number")]);
    let dead = Fake::failing(Cause::Unreachable);
    let failures =
        failed(&plan, texts(&[]), &sources(&[("first", &dead), ("second", &second)])).await;
    assert_eq!(
        told(&failures),
        ["a SOURCE_UNAVAILABLE", "c INVALID_VALUE", "rules[0] RULE_VIOLATED"]
    );
    let text = format!("{failures:?}");
    assert!(!text.contains("no-number"), "{text}");
    // Waiting mends nothing: the answer isn't one that asks to come again.
    assert_eq!(failure::refusal(failures).reason(), "RESOLUTION_FAILED");

    let refused = Fake::failing(Cause::Refused);
    let failures =
        failed(&plan, texts(&[]), &sources(&[("first", &dead), ("second", &refused)])).await;
    let crate::refusal::Refusal::SourceFailed { failure, problems } = failure::refusal(failures)
    else {
        panic!("a source failed")
    };
    assert_eq!(failure.cause, Cause::Refused);
    assert_eq!(failure.source_name, "second");
    let names: Vec<_> = failure.parameters.iter().map(ParameterName::as_str).collect();
    assert_eq!(names, ["b", "c"]);
    assert_eq!(problems.len(), 3);
}

#[tokio::test]
async fn a_transient_failure_is_tried_again_a_bounded_number_of_times() {
    let plan =
        plan("parameters:\n  a: { type: string, from: { env: { from: first, name: A } } }\n");
    let dead = Fake::failing(Cause::Unreachable);
    let failures = failed(&plan, texts(&[]), &sources(&[("first", &dead)])).await;
    assert_eq!(dead.reads(), 3);
    assert_eq!(failures[0].asked.as_ref().unwrap().attempts, 3);
    let refused = Fake::failing(Cause::Refused);
    failed(&plan, texts(&[]), &sources(&[("first", &refused)])).await;
    assert_eq!(refused.reads(), 1);
    let tries = std::sync::atomic::AtomicU32::new(0);
    let answer = variables(&[("A", "x")]);
    let flaky =
        Fake::new(move |read| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(Cause::Interrupted.into()),
            _ => answer(read),
        });
    let snapshot = resolved(&plan, texts(&[]), &sources(&[("first", &flaky)])).await;
    assert_eq!(shown(&snapshot, "a"), "\"x\"");
}

#[tokio::test]
async fn who_asks_for_a_long_pause_is_not_asked_again_before_it_is_over() {
    let plan =
        plan("parameters:\n  a: { type: string, from: { env: { from: first, name: A } } }\n");
    let busy = Fake::new(|_| {
        let retry_after = Some(Duration::from_secs(11));
        Err(SourceError { cause: Cause::RateLimited, retry_after })
    });
    let begun = Instant::now();
    let failures = failed(&plan, texts(&[]), &sources(&[("first", &busy)])).await;
    assert_eq!(busy.reads(), 1);
    assert_eq!(failures[0].asked.as_ref().unwrap().attempts, 1);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_equal_is_read_once_and_what_is_independent_at_the_same_time() {
    let plan = plan(
        r#"parameters:
  a: { type: string, from: { env: { from: first, name: A } } }
  again: { type: string, from: { env: { from: first, name: A } } }
  b: { type: string, from: { env: { from: second, name: B } } }
"#,
    );
    let (first, second) =
        (Fake::held(variables(&[("A", "x")])), Fake::held(variables(&[("B", "y")])));
    let sources = sources(&[("first", &first), ("second", &second)]);
    let both = async {
        first.has_waiting(1).await;
        second.has_waiting(1).await;
        first.let_through(1);
        second.let_through(1);
    };
    let (snapshot, ()) = tokio::join!(resolved(&plan, texts(&[]), &sources), both);
    assert_eq!((first.reads(), second.reads()), (1, 1));
    assert_eq!(shown(&snapshot, "again"), "\"x\"");
}

#[tokio::test]
async fn the_budget_ends_a_read_that_hangs() {
    let plan =
        plan("parameters:\n  a: { type: string, from: { env: { from: first, name: A } } }\n");
    let (submission, _) = testing::submitted(&plan, "", texts(&[]));
    let run = crate::expression::RunScope {
        id: "r".into(),
        attempt: 1,
        started_at: String::new(),
        logical_date: None,
    };
    let hanging = Fake::held(variables(&[]));
    let began = Instant::now();
    let outcome = resolve(&Resolution {
        plan: &plan,
        submission: &submission,
        run: &run,
        key: &testing::key(),
        sources: &sources(&[("first", &hanging)]),
        fingerprints: &Fingerprints::new(&crate::store::keys::FingerprintKey::generate().unwrap()),
        deadline: began + Duration::from_millis(100),
    })
    .await;
    let failures = outcome.err().unwrap();
    assert_eq!(failures[0].asked.as_ref().unwrap().cause, Some(Cause::Timeout));
    assert!(began.elapsed() < Duration::from_secs(4), "the call's own limit is 5 s");
}

const MATRIX: &str = r#"parameters:
  a: { type: array, items: { type: integer }, default: [] }
  b: { type: array, items: { type: string }, default: [x, y] }
steps:
  - { name: s, matrix: { m: params.a, n: params.b }, run: ["{{ matrix.m }}", "{{ matrix.n }}"] }
"#;

#[tokio::test]
async fn a_matrix_runs_each_combination_up_to_a_limit() {
    let plan = plan(MATRIX);
    let snapshot = resolved(&plan, texts(&[("a", "[1, 2]")]), &nothing()).await;
    let runs: Vec<_> =
        snapshot.step("s").unwrap().instances.iter().map(|one| one.run.join(" ")).collect();
    assert_eq!(runs, ["1 x", "1 y", "2 x", "2 y"]);
    let snapshot = resolved(&plan, texts(&[]), &nothing()).await;
    let step = snapshot.step("s").unwrap();
    assert_eq!(step.decision.action, StepAction::Skip);
    assert_eq!(step.decision.reason, DecisionReason::MatrixEmpty);

    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let snapshot = resolved(&plan, texts(&[("a", &list(128))]), &nothing()).await;
    assert_eq!(snapshot.step("s").unwrap().instances.len(), 256);
    // Known without a source, so told at submission.
    assert_eq!(checked(&plan, texts(&[("a", &list(129))])), ["steps.s.matrix TEMPLATE_FAILED"]);
    let failures = failed(&plan, texts(&[("a", &list(129))]), &nothing()).await;
    assert_eq!(told(&failures), ["steps.s.matrix TEMPLATE_FAILED"]);
    // Many times nothing is nothing.
    let empty = texts(&[("a", &list(9_999)), ("b", "[]")]);
    assert!(checked(&plan, empty.clone()).is_empty());
    let snapshot = resolved(&plan, empty, &nothing()).await;
    assert_eq!(snapshot.step("s").unwrap().decision.reason, DecisionReason::MatrixEmpty);
}

#[test]
fn what_needs_no_source_is_told_before_any_is_asked() {
    let plan = plan(
        r#"parameters:
  by: { type: integer, default: 1 }
  go: { type: boolean, default: true }
  part: { type: integer, from: { template: "{{ 10 // params.by }}" } }
  small: { type: integer, maximum: 5, from: { template: "{{ params.by }}" } }
  remote: { type: string, from: { env: { from: first, name: A } } }
steps:
  - { name: s, when: params.go, params: [part, small, remote] }
  - { name: t, when: "1 // params.by == 1" }
"#,
    );
    assert!(checked(&plan, texts(&[])).is_empty());
    assert_eq!(
        checked(&plan, texts(&[("by", "0")])),
        ["steps.t.when TEMPLATE_FAILED", "parameters.part TEMPLATE_FAILED"]
    );
    assert_eq!(checked(&plan, texts(&[("by", "6")])), ["parameters.small INVALID_VALUE"]);
    // Not needed, so nothing is wrong with it.
    assert!(checked(&plan, texts(&[("by", "6"), ("go", "false")])).is_empty());
    // What follows from a problem isn't told beside it.
    assert_eq!(checked(&plan, texts(&[("by", "x")])), ["text_overrides.by INVALID_VALUE"]);
}

#[test]
fn a_date_is_asked_for_where_something_needed_reads_it() {
    let plan = plan(
        r#"parameters:
  day: { type: string, from: { template: "{{ run.logical_date }}" } }
  go: { type: boolean, default: true }
steps: [{ name: s, when: params.go, params: [day] }]
"#,
    );
    assert_eq!(checked(&plan, texts(&[])), ["logical_date MISSING_FIELD"]);
    assert!(checked(&plan, texts(&[("day", "monday")])).is_empty());
    assert!(checked(&plan, texts(&[("go", "false")])).is_empty());
}

#[tokio::test]
async fn what_a_step_is_handed_is_text() {
    let plan = plan(
        r#"parameters:
  list: { type: array, items: { type: string }, default: [a, "b c"] }
  none: { type: [string, "null"], default: null }
  text: { type: string, default: t }
  bytes: { type: string, contentEncoding: base64, default: "/wA=" }
  number: { type: number, default: 3 }
steps:
  - name: s
    run: [x, "{{ params.list }}", "{{ params.none }}", "{{ params.number }}"]
    env: { TEXT: "{{ params.text }}", NONE: "{{ params.none }}", N: "{{ params.number }}" }
    files:
      raw: { template: "{{ params.bytes }}" }
      none: { template: "{{ params.none }}" }
      text: { template: "{{ params.text }}\n", mode: "0640" }
"#,
    );
    let snapshot = resolved(&plan, texts(&[]), &nothing()).await;
    let instance = &snapshot.step("s").unwrap().instances[0];
    assert_eq!(instance.run, ["x", "a", "b c", "3"]);
    assert_eq!(instance.env.keys().collect::<Vec<_>>(), ["N", "TEXT"]);
    let (raw, mode) = &instance.files["raw"];
    assert!(matches!(raw, crate::snapshot::FrozenEntry::Binary(_)));
    assert_eq!(*mode, 0o400);
    assert_eq!(instance.files["text"].1, 0o640);
    assert!(!instance.files.contains_key("none"));

    // Arguments and variables end at a NUL byte; a file takes it.
    let mut overrides = typed(&[("text", Value::String("a\0b".into()))]);
    overrides.typed.insert("list".into(), Ok(Value::List(vec![Value::String("a\0b".into())])));
    let failures = failed(&plan, overrides, &nothing()).await;
    assert_eq!(
        told(&failures),
        ["steps.s.env.TEXT TEMPLATE_FAILED", "steps.s.run/1 TEMPLATE_FAILED"]
    );
    assert!(failures.iter().all(|failure| failure.description.contains("NUL")), "{failures:?}");
}

#[tokio::test]
async fn what_steps_are_handed_is_limited_as_a_whole() {
    let plan = plan(
        r#"parameters:
  text: { type: string, default: "" }
  many: { type: array, items: { type: integer }, default: [] }
steps: [{ name: s, matrix: { m: params.many }, env: { T: "{{ params.text }}", M: "{{ matrix.m }}" } }]
"#,
    );
    let long = "x".repeat(1 << 20);
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    resolved(&plan, texts(&[("text", &long), ("many", &list(15))]), &nothing()).await;
    let failures = failed(&plan, texts(&[("text", &long), ("many", &list(17))]), &nothing()).await;
    assert_eq!(told(&failures), ["steps.s.env.T TEMPLATE_FAILED"]);
}

#[tokio::test]
async fn public_values_over_their_limit_are_refused() {
    let plan = plan(
        "parameters:\n  a: { type: string, default: \"\" }\n  b: { type: string, default: \"\" }\n  c: { type: string, default: \"\" }\n",
    );
    let long = "x".repeat(1 << 20);
    let two = texts(&[("a", &long), ("b", &"x".repeat(1_000_000))]);
    resolved(&plan, two, &nothing()).await;
    let three = texts(&[("a", &long), ("b", &long), ("c", "x")]);
    assert_eq!(told(&failed(&plan, three, &nothing()).await), ["parameters INVALID_VALUE"]);
}

#[tokio::test]
async fn secrets_are_marked_and_never_told() {
    let plan = plan(
        r#"parameters:
  token: { type: string, secret: true, pattern: "^[a-z]+$", from: { env: { from: first, name: TOKEN } } }
  short: { type: integer, secret: true, from: { env: { from: first, name: A } } }
  header: { type: string, from: { template: "Bearer {{ params.token }}" } }
steps: [{ name: s, params: [short], env: { H: "{{ params.header }}", S: "{{ params.short }}" } }]
"#,
    );
    let good = Fake::variables(&[("TOKEN", "abcdefgh"), ("A", "7")]);
    let outcome =
        resolve_with(&plan, texts(&[]), &sources(&[("first", &good)])).await.ok().unwrap();
    assert_eq!(shown(&outcome.snapshot, "token"), "secret, maskable: true");
    assert_eq!(shown(&outcome.snapshot, "short"), "secret, maskable: false");
    let names: BTreeSet<_> = outcome.secrets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "params.header",
            "params.short",
            "params.token",
            "steps.s.0.env.H",
            "steps.s.0.env.S",
        ])
    );
    let json = serde_json::to_string(&outcome.snapshot).unwrap();
    assert!(!json.contains("abcdefgh"), "{json}");
    assert_eq!(
        outcome.snapshot.parameters["token"].provenance.as_ref().unwrap().version.as_deref(),
        Some("v1")
    );

    // The keyword is for the audit log alone.
    let bad = Fake::variables(&[("TOKEN", "ABC-secret"), ("A", "7")]);
    let failures = failed(&plan, texts(&[]), &sources(&[("first", &bad)])).await;
    assert_eq!(told(&failures), ["token INVALID_VALUE"]);
    assert_eq!(failures[0].keyword, "pattern");
    assert!(!failures[0].description.contains("pattern"), "{}", failures[0].description);
    assert!(!format!("{failures:?}").contains("ABC-secret"));
}

#[tokio::test]
async fn a_source_that_gives_no_text_is_told_as_such() {
    let plan =
        plan("parameters:\n  a: { type: string, from: { env: { from: first, name: A } } }\n");
    let odd = Fake::new(|_| Ok(Answer::Found { raw: Raw::Value(Value::Null), version: None }));
    let failures = failed(&plan, texts(&[]), &sources(&[("first", &odd)])).await;
    assert_eq!(told(&failures), ["a SOURCE_FAILED"]);
    let long = Arc::new("x".repeat(2 << 20));
    let large = Fake::new(move |_| {
        Ok(Answer::Found { raw: Raw::Text(long.as_str().to_owned()), version: None })
    });
    let failures = failed(&plan, texts(&[]), &sources(&[("first", &large)])).await;
    assert_eq!(told(&failures), ["a INVALID_VALUE"]);
}

/// A chain of a thousand parameters must not cost a thousand frames of stack.
#[tokio::test]
async fn a_long_chain_is_evaluated_like_a_short_one() {
    let mut body = "parameters:\n  p0: { type: integer, default: 1 }\n".to_owned();
    for index in 1..1_000 {
        body += &format!(
            "  p{index}: {{ type: integer, from: {{ template: \"{{{{ params.p{} + 1 }}}}\" }} }}\n",
            index - 1
        );
    }
    body += "steps: [{ name: s, params: [p999] }]\n";
    let plan = plan(&body);
    assert!(checked(&plan, texts(&[])).is_empty());
    let snapshot = resolved(&plan, texts(&[]), &nothing()).await;
    assert_eq!(shown(&snapshot, "p999"), "1000");
}
