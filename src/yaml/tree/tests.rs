//! What is read, what is refused, and where.

use proptest::prelude::*;

use super::*;
use crate::yaml::diagnostic::Files;

fn read(text: &str) -> (Option<Node>, Problems) {
    let mut problems = Problems::default();
    let node = parse(FileId(0), text, &mut problems);
    (node, problems)
}

fn value(text: &str) -> Value {
    let (node, problems) = read(text);
    assert!(problems.list.is_empty(), "{text}: {:?}", problems.list);
    node.unwrap().value()
}

fn written<'t>(text: &'t str, place: &Place) -> &'t str {
    text.get(place.span.clone()).unwrap()
}

/// The codes of the problems, each with the text that it points at.
fn refused(text: &str) -> Vec<(&'static str, String)> {
    let of = |problem: &crate::yaml::diagnostic::Problem| {
        (problem.code, written(text, problem.place.as_ref().unwrap()).to_owned())
    };
    read(text).1.list.iter().map(of).collect()
}

fn entry<'n>(node: &'n Node, key: &str) -> &'n Entry {
    let NodeKind::Mapping(entries) = &node.kind else { panic!("no mapping") };
    entries.iter().find(|entry| entry.key.value == key).unwrap()
}

fn map(fields: &[(&str, Value)]) -> Value {
    Value::Map(fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

#[test]
fn scalars_follow_the_core_schema_and_quoted_ones_are_text() {
    let text = |text: &str| Value::String(text.to_owned());
    assert_eq!(value("[no, 01, 1_000]"), {
        Value::List(vec![text("no"), Value::Integer(1), text("1_000")])
    });
    assert_eq!(value("['1', \"true\", '']"), {
        Value::List(vec![text("1"), text("true"), text("")])
    });
    assert_eq!(value("a: |\n  1\n"), map(&[("a", text("1\n"))]));
    assert_eq!(value("a:\nb: 1e3"), map(&[("a", Value::Null), ("b", Value::Number(1000.0))]));
    assert_eq!(value("no: 1\n2: x"), map(&[("no", Value::Integer(1)), ("2", text("x"))]));
    assert_eq!(value(""), Value::Null);
    assert_eq!(value("# only a comment\n"), Value::Null);
    assert_eq!(value("{}"), map(&[]));
}

#[test]
fn what_is_not_taken_is_refused_at_its_place() {
    let at = |code, text: &str| vec![(code, text.to_owned())];
    assert_eq!(refused("a: &x 1"), at("yaml_anchor", "&x"));
    assert_eq!(refused("a: *x"), at("yaml_alias", "*x"));
    assert_eq!(refused("<<: { a: 1 }"), at("yaml_merge", "<<"));
    assert_eq!(refused("a: !secret x"), at("yaml_tag", "!secret"));
    assert_eq!(refused("a: !!str 1"), at("yaml_tag", "!!str"));
    assert_eq!(refused("a: 1\na: 2"), at("yaml_duplicate_key", "a"));
    assert_eq!(refused("a: 1\n'a': 2"), at("yaml_duplicate_key", "'a'"));
    assert_eq!(refused("[1, 2]: x"), at("yaml_key", "[1, 2]"));
    assert_eq!(refused("a: 1\n---\nb: 2"), at("yaml_second_document", "---"));
    assert_eq!(refused("a: 99999999999999999999"), at("yaml_integer", "99999999999999999999"));
    assert_eq!(refused("a: -.inf # x"), at("yaml_number", "-.inf"));
    assert_eq!(refused("a: \0"), at("yaml_nul", "\0"));
    assert_eq!(refused("%YAML 1.2\n---\na: 1")[0].0, "yaml_syntax");
    for broken in ["a: [1", "a: \"x", "a:\n\tb: 1", "a: b: c", "]", "a: @x", "a: \"\\q\""] {
        assert_eq!(refused(broken)[0].0, "yaml_syntax", "{broken}");
    }
}

#[test]
fn all_problems_of_a_file_are_told() {
    let codes: Vec<_> =
        refused("a: &x 1\nb: *x\nb: !t 2\nc: .nan").into_iter().map(|p| p.0).collect();
    assert_eq!(
        codes,
        ["yaml_anchor", "yaml_alias", "yaml_duplicate_key", "yaml_tag", "yaml_number"]
    );
}

#[test]
fn limits_hold_at_their_edge() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(refused(&deep(MAX_DEPTH)).is_empty());
    assert_eq!(refused(&deep(MAX_DEPTH + 1))[0].0, "yaml_too_deep");
    let many = |items: usize| format!("[{}]", "1,".repeat(items));
    assert!(refused(&many(MAX_NODES - 1)).is_empty());
    assert_eq!(refused(&many(MAX_NODES))[0].0, "yaml_too_large");
    assert_eq!(refused(&"x".repeat(MAX_BYTES + 1))[0].0, "yaml_too_large");
}

#[test]
fn places_tell_bytes_and_positions_map_into_templates() {
    let text = "é: \"{{ params.a }}\"\nb: plain text # c\nc: 'it''s'\nd: |\n  x\n";
    let (node, _) = read(text);
    let node = node.unwrap();
    let inside = |key: &str, range| {
        let NodeKind::Scalar(scalar) = &entry(&node, key).value.kind else { panic!() };
        written(text, &scalar.origin.place(&entry(&node, key).value.place, range))
    };
    assert_eq!(written(text, &entry(&node, "é").value.place), "\"{{ params.a }}\"");
    assert_eq!(inside("é", 3..9), "params");
    assert_eq!(inside("b", 6..10), "text");
    assert_eq!(written(text, &entry(&node, "b").value.place), "plain text");
    assert_eq!(inside("c", 0..1), "'it''s'");
    assert!(inside("d", 0..1).starts_with('|') || inside("d", 0..1).contains('x'));
    assert_eq!(Files::default().position(FileId(0), 3), (1, 1));
}

#[test]
fn collections_end_where_they_are_written() {
    let text = "a:\n  b: 1\n  c: [1,\n   2 ]\n\n# x\nd: {}\n";
    let (node, _) = read(text);
    let node = node.unwrap();
    assert_eq!(written(text, &entry(&node, "a").value.place), "b: 1\n  c: [1,\n   2 ]");
    assert_eq!(written(text, &entry(&node, "d").value.place), "{}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_makes_it_panic_and_places_stay_inside(text in "([ -~]|[\\n\\té&*!<:{}\\[\\]#|>'\"%@-]){0,60}") {
        let (node, problems) = read(&text);
        prop_assert!(node.is_some() || problems.has_errors());
        for problem in &problems.list {
            prop_assert!(text.get(problem.place.clone().unwrap().span).is_some());
        }
        let mut files = Files::default();
        files.add("x.yaml".to_owned(), text.as_str().into());
        let mut blanked = problems.clone();
        blanked.list.iter_mut().for_each(|problem| problem.sensitive = true);
        crate::yaml::diagnostic::render(&problems, &files, false, 80);
        crate::yaml::diagnostic::render(&blanked, &files, true, 80);
    }

    #[test]
    fn a_plain_word_reads_back_as_it_is(word in "[a-z][a-z0-9]{0,8}") {
        prop_assume!(!["true", "false", "null"].contains(&word.as_str()));
        prop_assert_eq!(value(&format!("- {word}\n")), Value::List(vec![Value::String(word)]));
    }
}
