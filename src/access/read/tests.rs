//! Bad policies, what is told of them, and where it points.

use proptest::prelude::*;

use crate::access::Action::Read;
use crate::access::limits;
use crate::access::tests::{ALL, ask, read};
use crate::yaml::FileId;
use crate::yaml::diagnostic::Severity;

/// The problem's code and the text that it points at.
#[track_caller]
fn check_problem(text: &str, code: &str, pointed_at: &str, help: &str) {
    let (set, problems) = read(&[ALL, text]);
    let problem = problems.list.first().expect("a problem");
    assert_eq!(problem.code, code, "{problem:?}");
    let place = problem.place.as_ref().expect("a place");
    assert_eq!(place.file, FileId(1));
    assert_eq!(text.get(place.span.clone()), Some(pointed_at), "{problem:?}");
    let told = problem.help.clone().unwrap_or_default();
    assert!(told.contains(help), "{told}");
    if problem.severity == Severity::Error {
        assert!(set.is_empty(), "a set with an error must deny everything");
    }
    assert_eq!(problems.list.len(), 1, "{:?}", problems.list);
}

#[test]
fn a_misspelt_action_is_found_with_its_place() {
    check_problem(
        r#"permit (principal, action == Paramd::Action::"revael", resource);"#,
        "policy_invalid",
        r#"Paramd::Action::"revael""#,
        "did you mean `reveal`?",
    );
}

#[test]
fn a_misspelt_attribute_is_found_with_its_place() {
    check_problem(
        r#"permit (principal, action == Paramd::Action::"resolve", resource)
        when { resource.pipelin == "train" };"#,
        "policy_invalid",
        "resource.pipelin",
        "did you mean `pipeline`?",
    );
}

#[test]
fn a_misspelt_type_is_found_with_its_place() {
    check_problem(
        r#"permit (principal, action, resource == Paramd::Pipelin::"train");"#,
        "policy_invalid",
        "Paramd::Pipelin",
        "did you mean `Pipeline`?",
    );
}

#[test]
fn an_attribute_that_not_all_resources_have_is_found() {
    check_problem(
        r#"permit (principal, action == Paramd::Action::"reveal", resource)
        when { resource.name == "pw" };"#,
        "policy_invalid",
        "resource.name",
        "resource is",
    );
}

/// What is asked of a whole run or step can't be kept back parameter by parameter:
/// a `forbid` that looks as if it did would protect nothing.
#[test]
fn only_a_reveal_is_asked_of_a_parameter() {
    for action in ["read", "fingerprints"] {
        let text = format!(
            r#"forbid (principal, action == Paramd::Action::"{action}", resource in Paramd::Parameter::"train/pw");"#
        );
        let (set, problems) = read(&[ALL, &text]);
        let problem = problems.list.first().expect("a problem");
        assert_eq!((problem.code, problem.severity), ("policy_invalid", Severity::Error));
        assert!(set.is_empty());
    }
}

#[test]
fn an_optional_word_of_the_context_must_be_asked_for() {
    check_problem(
        r#"permit (principal, action, resource) when { context.environment == "dev" };"#,
        "policy_invalid",
        "context.environment",
        "docs/access.md",
    );
}

#[test]
fn a_text_that_is_no_policy_is_found_with_its_place() {
    let (set, problems) = read(&["permit (principal, action, resource)\nwhen { true }"]);
    assert_eq!(problems.list.first().map(|p| p.code), Some("policy_syntax"));
    assert!(problems.list.iter().all(|problem| problem.place.is_some()));
    assert!(set.is_empty());
}

#[test]
fn a_policy_that_can_never_apply_is_a_warning() {
    let text = "permit (principal, action, resource) when { 1 == 2 };";
    check_problem(text, "policy_doubtful", text, "");
}

#[test]
fn templates_that_are_no_role_and_bad_ids_are_refused() {
    for template in [
        "permit (principal == ?principal, action, resource);",
        r#"@id("") permit (principal == ?principal, action, resource);"#,
        r#"@id("x") permit (principal, action, resource in ?resource);"#,
    ] {
        check_problem(template, "policy_template", template, "?principal");
    }
    let known = r#"@id("owner") permit (principal in ?principal, action, resource);"#;
    check_problem(known, "policy_id", known, "docs/access.md");
    let unused = r#"@id("x") permit (principal in ?principal, action, resource);"#;
    check_problem(unused, "policy_doubtful", unused, "policies/roles.yaml");
    let wrong =
        r#"@id("x") permit (principal in ?principal, action, resource) when { resource.nme };"#;
    let (set, problems) = read(&[wrong]);
    assert!(problems.has_errors() && set.is_empty(), "one that nobody has is checked too");
    let policy = |id: &str| format!("@id(\"{id}\") permit (principal, action, resource);");
    for id in ["", "dev", "ä", "a\\n", &"x".repeat(129), "all"] {
        check_problem(&policy(id), "policy_id", &policy(id), "");
    }
}

#[test]
fn a_policy_nested_too_deep_is_a_problem_and_not_a_crash() {
    for (open, close) in [("(", ")"), ("!", ""), ("[", "]"), ("-", ""), ("if 1 == ", "")] {
        let text = nested(open, close, 20_000);
        let (set, problems) = read(&[&text]);
        assert_eq!(problems.list.first().map(|p| p.code), Some("policy_too_large"));
        assert!(set.is_empty());
    }
}

#[test]
fn a_policy_as_deep_and_long_as_may_be_is_read_and_decided() {
    let depth = limits::DEPTH - 1;
    for condition in [
        nested("(", ")", depth),
        nested("if 1 == 1 then (", ") else true", depth / 2),
        nested("if if true then true else true then ", " else true", depth / 2),
        nested("[", "]", depth),
        nested("{a: ", "}", depth),
        nested("", " && true", limits::SIGNS / 2 - 10),
        nested("", " == true", limits::SIGNS / 2 - 10),
        nested("", ".a", limits::SIGNS - 20),
        nested("", " + 1", limits::SIGNS - 20),
        nested("!", "", limits::SIGNS - 20),
        nested("-", "", limits::SIGNS - 20),
    ] {
        let (set, problems) = read(&[&condition]);
        let code = problems.list.first().map(|problem| problem.code);
        assert_ne!(code, Some("policy_too_large"), "{:?}", condition.get(40..80));
        let _ = ask(1, Read, "train").decide(&set);
    }
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!(
        "permit (principal, action, resource) when {{ {}true{} }};",
        open.repeat(depth),
        close.repeat(depth)
    )
}

#[test]
fn a_problem_quotes_nothing_of_the_file() {
    for text in [
        r#"permit (principal, action, resource) when { resource.hunter2 == "hunter2" };"#,
        r#"permit (principal, action == Paramd::Action::"hunter2", resource);"#,
        r#"@id("hunter2ä") permit (principal, action, resource);"#,
        "hunter2",
        "permit (principal, action, hunter2);",
        "permit (principal, action, resource) when { hunter2() };",
    ] {
        let (_, problems) = read(&[text]);
        assert!(!problems.list.is_empty(), "{text}");
        for problem in &problems.list {
            let shown = format!("{} {:?}", problem.message, problem.help);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,200}") {
        let (_, problems) = read(&[&text]);
        for place in problems.list.iter().filter_map(|problem| problem.place.as_ref()) {
            prop_assert!(text.get(place.span.clone()).is_some());
        }
    }

    #[test]
    fn pieces_of_policies_are_read_without_a_panic(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "permit", "forbid", "(", ")", "principal", "action", "resource", ",", "==", "in",
                "Paramd::Action::", "\"read\"", "Paramd::Parameter::\"p/x\"", "when", "unless",
                "{", "}", ";", "context", ".", "environment", "has", "is", "&&", "@id(\"x\")",
                "[", "]", "\u{202e}", "ä", "//", "\n", "?principal", "1", "+", "like", "\"*\"",
            ]),
            0..30,
        )
    ) {
        let _ = read(&[&pieces.join(" ")]);
    }
}
