//! Files of expected decisions, good and bad.

use proptest::prelude::*;

use super::*;
use crate::access::tests::policies;
use crate::yaml::{FileId, parse};

fn read_text(text: &str) -> (Vec<Expectation>, Problems) {
    let mut problems = Problems::default();
    let node = parse(FileId(0), text, &mut problems);
    let found = node.map(|node| read(&node, &mut problems)).unwrap_or_default();
    (found, problems)
}

const GOOD: &str = r#"decisions:
  - { principal: "uid:1", action: reveal, sealed: true, resource: train/1/fit, expect: allow, by: [b, a, b] }
  - principal: someone
    kind: jwt
    groups: [team]
    action: resolve
    resource: train/1
    environment: dev
    preset: quick
    time: 2026-03-01T12:00:00Z
    overridden: [n, epochs]
    expect: deny
"#;

#[test]
fn all_that_may_be_said_is_read() {
    let (found, problems) = read_text(GOOD);
    assert!(problems.list.is_empty(), "{:?}", problems.list);
    let [first, second] = found.as_slice() else { panic!("{}", found.len()) };
    assert_eq!(first.question.action, Action::RevealSealed);
    assert_eq!(first.by.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
    assert!(first.permitted && !first.timed && !second.permitted && second.timed);
    let question = &second.question;
    assert_eq!(question.groups, ["team"]);
    let names: Vec<_> = question.overridden.iter().map(ParameterName::as_str).collect();
    assert_eq!(names, ["epochs", "n"]);
    assert_eq!(question.time.to_string(), "2026-03-01T12:00:00Z");
    assert!(question.environment.is_some() && question.preset.is_some());
}

#[test]
fn a_decision_is_met_by_what_decides_it() {
    let set = policies(
        r#"@id("a") permit (principal, action, resource);
        @id("b") permit (principal, action, resource);"#,
    );
    let (found, _) = read_text(GOOD);
    assert_eq!(set.meet(&found[0]), Ok(()));
    let told = Mismatch { permitted: true, policy_ids: vec!["a".into(), "b".into()] };
    assert_eq!(set.meet(&found[1]), Err(told));
    let one = Expectation { by: Some(vec!["a".into()]), ..found[0].clone() };
    assert!(set.meet(&one).is_err(), "all that decide it have to be named");
    assert_eq!(set.meet(&Expectation { by: None, ..one }), Ok(()));
}

#[test]
fn one_that_is_wrong_is_left_out_and_told() {
    for (from, to) in [
        ("uid:1", ""),
        ("kind: jwt", "kind: hunter2"),
        ("    kind: jwt\n", ""),
        ("action: resolve", "action: hunter2"),
        ("action: resolve", "action: read, sealed: true"),
        ("sealed: true", "sealed: hunter2"),
        ("resource: train/1\n", "resource: train\n"),
        ("resource: train/1\n", "resource: 'hunter2!'\n"),
        ("environment: dev", "environment: 'hunter2!'"),
        ("time: 2026", "time: hunter2-2026"),
        ("overridden: [n", "overridden: ['hunter2!'"),
        ("expect: deny", "expect: hunter2"),
        ("expect: deny", "hunter2: deny"),
        ("groups: [team]", "groups: ['']"),
        ("decisions:", "hunter2:"),
    ] {
        let (found, problems) = read_text(&GOOD.replacen(from, to, 1));
        assert!(problems.has_errors() && found.len() < 2, "{from} {to}");
        for problem in &problems.list {
            assert!(problem.place.is_some());
            let shown = format!("{} {:?}", problem.message, problem.help);
            assert!(!shown.contains("hunter2") || problem.code == "unknown_key", "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn no_mistake_in_a_file_ends_the_test(
        at in 0_usize..GOOD.len(),
        length in 0_usize..30,
        by in prop_oneof![
            Just(""), Just("\n"), Just("{"), Just("]"), Just("- "), Just("'"), Just("ä"),
            Just("reveal"), Just("daemon"), Just("/"), Just("[a]"), Just("9999-12-31T23:59:59Z"),
        ],
    ) {
        let mut text = GOOD.to_owned();
        text.replace_range(at..(at + length).min(text.len()), by);
        let (found, problems) = read_text(&text);
        prop_assert!(found.len() <= 2);
        for place in problems.list.iter().filter_map(|problem| problem.place.as_ref()) {
            prop_assert!(text.get(place.span.clone()).is_some());
        }
        let set = policies("permit (principal, action, resource);");
        for one in &found {
            let _ = set.meet(one);
        }
    }
}
