use super::*;
use crate::name::ParameterName;
use crate::plan::Plan;
use crate::resolve::testing::{plan, plan_with, submitted, texts, typed};
use crate::value::MAX_VALUE_BYTES;

const BODY: &str = r#"parameters:
  epochs: { type: integer, default: 10, minimum: 1, aliases: [rounds, e] }
  rate: { type: number, default: 0.5 }
  batch:
    type: object
    default: {}
    properties: { image: { type: string } }
  layers: { type: array, items: { type: integer, minimum: 1 }, default: [] }
  fixed: { type: array, items: { type: integer }, default: [], override: environment }
  locked: { type: integer, default: 1 }
  old: { type: string, default: a, deprecated: use new }
  needed: { type: string }
  bytes: { type: string, contentEncoding: base64, default: "" }
  token: { type: string, secret: true, override: run, from: { env: { from: first, name: TOKEN } } }
  limits: { type: object, additionalProperties: { type: integer }, secret: true, override: run, from: { env: { from: first, name: A } } }
  key: { type: string, contentEncoding: base64, secret: true, override: run, from: { env: { from: first, name: B } } }
  hidden: { type: string, secret: true, from: { env: { from: first, name: C } } }
presets:
  quick: { epochs: 1 }
  tight: { locked: 2 }
"#;

const DEV: (&str, &str) =
    ("environments/dev.yaml", "values: { locked: 3, needed: x }\nlocked: [locked]\n");

fn sample() -> std::sync::Arc<Plan> {
    plan_with(BODY, &[DEV])
}

#[track_caller]
fn check(overrides: Overrides, expected: &[&str]) {
    let (_, mut problems) = submitted(&sample(), "", overrides);
    problems.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(problems, expected);
}

fn secret(data: &[u8], encoding: Option<SecretEncoding>) -> SecretOverride {
    SecretOverride { bytes: SecretBytes::new(data.to_vec()), encoding, unknown_encoding: false }
}

fn secrets(pairs: &[(&str, &[u8])]) -> Overrides {
    let secret = pairs.iter().map(|(name, data)| ((*name).to_owned(), secret(data, None)));
    Overrides { secret: secret.collect(), ..Overrides::default() }
}

fn name(text: &str) -> ParameterName {
    ParameterName::parse(text).unwrap()
}

#[test]
fn each_path_has_its_first_problem() {
    // A problem inside the value is another name than the value itself.
    check(
        texts(&[("fixed", r#"["a"]"#)]),
        &["text_overrides.fixed OVERRIDE_NOT_ALLOWED", "text_overrides.fixed/0 INVALID_VALUE"],
    );
    check(texts(&[("fixed", "x")]), &["text_overrides.fixed OVERRIDE_NOT_ALLOWED"]);
    check(texts(&[("locked", "x")]), &["text_overrides.locked PARAMETER_LOCKED"]);
    check(texts(&[("hidden", "x")]), &["text_overrides.hidden OVERRIDE_NOT_ALLOWED"]);
    check(texts(&[("token", "x")]), &["text_overrides.token SECRECY_MISMATCH"]);
    check(secrets(&[("epochs", b"1")]), &["secret_overrides.epochs SECRECY_MISMATCH"]);
    check(
        texts(&[("batch", r#"{"imgae": "a", "image": 1}"#), ("epochs", "0")]),
        &[
            "text_overrides.batch/imgae UNKNOWN_PARAMETER",
            "text_overrides.batch/image INVALID_VALUE",
            "text_overrides.epochs INVALID_VALUE",
        ],
    );
}

#[test]
fn the_second_of_two_is_the_duplicate() {
    let mut both = texts(&[("epochs", "1"), ("rounds", "1")]);
    check(both.clone(), &["text_overrides.epochs DUPLICATE_PARAMETER"]);
    both.typed = typed(&[("e", Value::Integer(1))]).typed;
    check(both, &["text_overrides.epochs DUPLICATE_PARAMETER", "overrides.e DUPLICATE_PARAMETER"]);
    let mut bad = texts(&[("epochs", "none")]);
    bad.typed = typed(&[("epochs", Value::Integer(1))]).typed;
    check(bad, &["text_overrides.epochs INVALID_VALUE", "overrides.epochs DUPLICATE_PARAMETER"]);
    let mut secret = secrets(&[("token", b"a")]);
    secret.text = texts(&[("token", "a")]).text;
    check(secret, &["text_overrides.token DUPLICATE_PARAMETER"]);
}

#[test]
fn an_unknown_name_is_repeated_only_where_it_could_be_one() {
    let (_, problems) = submitted(
        &sample(),
        "",
        texts(&[("epoch", "1"), ("--epochs", "1"), ("../x", "1"), ("a\0b", "1"), ("", "1")]),
    );
    assert_eq!(
        problems.iter().filter(|line| *line == "text_overrides UNKNOWN_PARAMETER").count(),
        4
    );
    assert!(problems.contains(&"text_overrides.epoch UNKNOWN_PARAMETER".to_owned()));
    let mut violations = Vec::new();
    let read = read_overrides(
        &sample().common.interface,
        texts(&[("epoch", "1"), ("Pass word", "1")]),
        &mut violations,
    );
    assert_eq!(read.unknown_names, 2);
    let text = format!("{violations:?}");
    assert!(text.contains("did you mean `epochs`?") && text.contains("`rate`"), "{text}");
    assert!(!text.contains("Pass word"), "{text}");
}

#[test]
fn what_no_layer_binds_is_missing() {
    let plan = plan(
        BODY.replace(
            "needed: { type: string }",
            "needed: { type: string, from: { env: { from: first, name: A } } }",
        )
        .as_str(),
    );
    assert!(submitted(&plan, "", texts(&[])).1.is_empty());
    let open = plan_with(
        "parameters:\n  a: { type: string }\n  b: { type: string }\nenvironments: [dev]\n",
        &[],
    );
    let (submission, problems) = submitted(&open, "", texts(&[("b", "x")]));
    assert_eq!(problems, ["parameters.a MISSING_PARAMETER"]);
    assert_eq!(submission.unsound, BTreeSet::from([name("a")]));
}

#[test]
fn presets_are_checked_with_the_rest() {
    let (_, problems) = submitted(&sample(), "quik", texts(&[("epochs", "x")]));
    assert_eq!(problems, ["text_overrides.epochs INVALID_VALUE", "preset UNKNOWN_PRESET"]);
    assert_eq!(submitted(&sample(), "tight", texts(&[])).1, ["preset PARAMETER_LOCKED"]);
    let (submission, problems) = submitted(&sample(), "quick", texts(&[("rate", "2")]));
    assert!(problems.is_empty());
    assert_eq!(submission.values[&name("epochs")].0, Layer::Preset);
    assert_eq!(submission.values[&name("rate")].0, Layer::Override);
    let (submission, _) = submitted(&sample(), "quick", texts(&[("epochs", "7")]));
    assert!(submission.values[&name("epochs")].1 == Value::Integer(7));
}

#[test]
fn what_the_caller_should_mend_is_told() {
    let (submission, _) = submitted(&sample(), "", texts(&[("old", "x"), ("rounds", "2")]));
    let told: Vec<_> = submission
        .warnings
        .iter()
        .map(|warning| (warning.parameter.as_str(), warning.kind, warning.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [("epochs", WarningKind::AliasUsed, ""), ("old", WarningKind::Deprecated, "use new")]
    );
}

#[test]
fn a_secret_is_read_by_its_type_and_its_encoding_must_fit() {
    let with = |name: &str, data: &[u8], encoding| Overrides {
        secret: [(name.to_owned(), secret(data, encoding))].into(),
        ..Overrides::default()
    };
    for (name, data, encoding, fits) in [
        ("token", &b"plain"[..], None, true),
        ("token", b"plain", Some(SecretEncoding::Text), true),
        ("token", b"\"plain\"", Some(SecretEncoding::Json), false),
        ("token", b"plain", Some(SecretEncoding::Binary), false),
        ("token", b"\xff\xfe", None, false),
        ("token", b"nul\0inside", None, true),
        ("limits", b"{\"a\": 1}", None, true),
        ("limits", b"{\"a\": 1}", Some(SecretEncoding::Text), false),
        ("limits", b"{\"a\": 1, \"a\": 2}", None, false),
        ("limits", b"{\"a\": 1.0}", None, false),
        ("limits", b"[]", None, false),
        ("key", b"\xff\x00", None, true),
        ("key", b"\xff\x00", Some(SecretEncoding::Binary), true),
        ("key", b"/wA=", Some(SecretEncoding::Text), false),
    ] {
        let expected = format!("secret_overrides.{name} INVALID_VALUE");
        let expected = if fits { vec![] } else { vec![expected.as_str()] };
        check(with(name, data, encoding), &expected);
    }
    let unknown = SecretOverride { unknown_encoding: true, ..secret(b"x", None) };
    let unknown = Overrides { secret: [("token".to_owned(), unknown)].into(), ..texts(&[]) };
    check(unknown, &["secret_overrides.token INVALID_VALUE"]);
    check(secrets(&[("token", &vec![b'x'; MAX_VALUE_BYTES])]), &[]);
    check(
        secrets(&[("token", &vec![b'x'; MAX_VALUE_BYTES + 1])]),
        &["secret_overrides.token INVALID_VALUE"],
    );
}

#[test]
fn values_keep_to_their_limits() {
    check(
        texts(&[("old", &"x".repeat(MAX_VALUE_BYTES + 1))]),
        &["text_overrides.old INVALID_VALUE"],
    );
    check(texts(&[("old", &"x".repeat(MAX_VALUE_BYTES))]), &[]);
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    check(texts(&[("layers", &list(10_000))]), &[]);
    check(texts(&[("layers", &list(10_001))]), &["text_overrides.layers INVALID_VALUE"]);
}

#[test]
fn a_thousand_names_are_read_and_one_more_is_not() {
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        let pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let mut overrides = texts(&pairs[1..]);
        overrides.typed = typed(&[("n0", Value::Integer(1))]).typed;
        submitted(&sample(), "", overrides).1
    };
    assert_eq!(many(1_000).len(), 1_000);
    assert_eq!(many(1_001), ["overrides INVALID_FIELD"]);
}

#[test]
fn a_rule_over_what_has_a_problem_is_passed_over() {
    let (submission, _) = submitted(&sample(), "", texts(&[("epochs", "x"), ("locked", "5")]));
    assert_eq!(submission.unsound, BTreeSet::from([name("epochs"), name("locked")]));
}
