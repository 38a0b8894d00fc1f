//! What templates and conditions mean, and what is refused.

mod conditions;
mod filters;
mod hostile;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::schema::ObjectType;
use crate::value::json;

/// Parameters with a type and a value each.
#[derive(Default)]
struct World {
    parameters: BTreeMap<String, (Type, Option<Value>)>,
    matrix: BTreeMap<String, (Type, Value)>,
    run: Option<RunScope>,
}

impl World {
    fn with(mut self, name: &str, of: Type, json: &str) -> Self {
        let value = json::from_json(json.as_bytes()).unwrap();
        self.parameters.insert(name.to_owned(), (of, Some(value)));
        self
    }
}

impl Names for World {
    fn parameter(&self, name: &str) -> Option<&Type> {
        self.parameters.get(name).map(|(of, _)| of)
    }
    fn parameters(&self) -> Vec<&str> {
        self.parameters.keys().map(String::as_str).collect()
    }
    fn matrix(&self, name: &str) -> Option<&Type> {
        self.matrix.get(name).map(|(of, _)| of)
    }
}

impl Scope for World {
    fn parameter(&self, name: &ParameterName) -> Option<&Value> {
        self.parameters.get(name.as_str()).and_then(|(_, value)| value.as_ref())
    }
    fn matrix(&self, name: &MatrixName) -> Option<&Value> {
        self.matrix.get(name.as_str()).map(|(_, value)| value)
    }
    fn environment(&self) -> &str {
        "prod"
    }
    fn pipeline(&self) -> &str {
        "churn"
    }
    fn run(&self) -> Option<&RunScope> {
        self.run.as_ref()
    }
}

fn array(item: Type) -> Type {
    Type::Array(Box::new(item))
}

fn object(properties: &[(&str, Type, bool)], additional: Option<Type>) -> Type {
    Type::Object(Arc::new(ObjectType {
        properties: properties
            .iter()
            .map(|(name, of, required)| ((*name).to_owned(), (of.clone(), *required)))
            .collect(),
        additional,
    }))
}

fn world() -> World {
    let hyper = object(
        &[
            ("lr", Type::Number, true),
            ("epochs", Type::Integer, true),
            ("note", Type::String, false),
        ],
        None,
    );
    let mut world = World::default()
        .with("name", Type::String, r#""Ada L""#)
        .with("empty", Type::String, r#""""#)
        .with("n", Type::Integer, "7")
        .with("big", Type::Integer, "9223372036854775807")
        .with("rate", Type::Number, "0.001")
        .with("huge", Type::Number, "1e22")
        .with("whole", Type::Number, "3")
        .with("three", Type::Number, "3.0")
        .with("flag", Type::Boolean, "true")
        .with("off", Type::Boolean, "false")
        .with("maybe", Type::String.nullable(), "null")
        .with("given", Type::String.nullable(), r#""x""#)
        .with("count", Type::Integer.nullable(), "null")
        .with("layers", array(Type::Integer), "[64, 32]")
        .with("words", array(Type::String), r#"["b", "a", "b"]"#)
        .with("none_yet", array(Type::Integer), "[]")
        .with("holes", array(Type::String.nullable()), r#"["a", null]"#)
        .with("hyper", hyper, r#"{"lr": 0.5, "epochs": 3}"#)
        .with("batch", object(&[], Some(Type::Integer)), r#"{"prod": 8, "dev": 2}"#)
        .with("anything", object(&[], Some(Type::Unknown)), r#"{"a": [1, {"b": null}]}"#)
        .with("loose", array(Type::Unknown), r#"[1, "a"]"#)
        .with("day", Type::String, r#""2024-02-28""#)
        .with("time", Type::String, r#""2026-12-31T23:30:00.25+02:00""#);
    let blob = (Type::Bytes, Some(Value::Bytes(vec![0, 255])));
    world.parameters.insert("blob".to_owned(), blob);
    world.parameters.insert("unset".to_owned(), (Type::String, None));
    world.matrix.insert("platform".to_owned(), (Type::String, Value::String("arm".into())));
    world.run = Some(RunScope {
        id: "r1".to_owned(),
        attempt: 1,
        started_at: "2026-01-31T12:00:00Z".to_owned(),
        logical_date: None,
    });
    world
}

/// The result as JSON, or `load: …` or `run: …` for an error.
fn outcome(template: &str, world: &World) -> String {
    match Template::compile(template, world) {
        Err(errors) => {
            assert!(!errors.is_empty());
            let told: Vec<_> = errors
                .iter()
                .map(|error| {
                    assert!(template.get(error.span.clone()).is_some(), "{error:?}");
                    match &error.help {
                        Some(help) => format!("{} ({help})", error.message),
                        None => error.message.clone(),
                    }
                })
                .collect();
            format!("load: {}", told.join("; "))
        }
        Ok(compiled) => match compiled.evaluate(world) {
            Ok(value) => {
                assert!(is_of(&value, compiled.result()), "{template}: {:?}", compiled.result());
                json::to_json(&value)
            }
            Err(error) => {
                assert!(error.position <= template.len());
                format!("run: {}", error.message)
            }
        },
    }
}

/// Whether a value is of a type.
fn is_of(value: &Value, of: &Type) -> bool {
    match (of, value) {
        (Type::Unknown, _) | (Type::Nullable(_) | Type::Null, Value::Null) => true,
        (Type::Nullable(of), value) => is_of(value, of),
        (Type::Array(item), Value::List(items)) => items.iter().all(|one| is_of(one, item)),
        (Type::Object(_), Value::Map(_)) => true,
        (Type::Boolean, Value::Bool(_))
        | (Type::Integer, Value::Integer(_))
        | (Type::Number, Value::Integer(_) | Value::Number(_))
        | (Type::String, Value::String(_))
        | (Type::Bytes, Value::Bytes(_)) => true,
        _ => false,
    }
}

#[track_caller]
fn check(template: &str, expect: &str) {
    assert_eq!(outcome(template, &world()), expect, "{template}");
}

/// The error of a template begins so.
#[track_caller]
fn refused(template: &str, begins: &str) {
    let outcome = outcome(template, &world());
    assert!(outcome.starts_with(begins), "{template}: {outcome}");
}

#[test]
fn text_is_kept_to_the_byte() {
    check("", r#""""#);
    check(" a\n\n", r#"" a\n\n""#);
    check("{{ params.name }}\n", r#""Ada L\n""#);
    check("\r\n{{ params.n }} {{params.n}}\r\n", r#""\r\n7 7\r\n""#);
    check("{ } }} { {x: 1}", r#""{ } }} { {x: 1}""#);
    check(r#"{"a":{"b":{{ params.n }}}}"#, r#""{\"a\":{\"b\":7}}""#);
    check("{{ '{{' }}x{{ '}}' }}", r#""{{x}}""#);
    check("ä{{ 'ö' }}ü", r#""äöü""#);
}

#[test]
fn statements_comments_and_white_space_control_are_refused_anywhere() {
    for text in
        ["{% if x %}", "{# note #}", "a {{- 1 }}", "{{ 1 -}}", "{{+ 1 }}", "{{ 1 +}}", "{{ '{%' }}"]
    {
        refused(text, "load: `");
    }
    refused("{{ 1", "load: `{{` has no `}}`");
    refused("{{ '}}", "load: `{{` has no `}}`");
    refused("{{ }}", "load: there is no expression");
    check("{{ '{' ~ '%' }}", r#""{%""#);
}

#[test]
fn a_single_expression_keeps_its_type() {
    check("{{ params.layers }}", "[64,32]");
    check("{{ params.maybe }}", "null");
    check("{{params.flag}}", "true");
    check("{{ params.anything }}", r#"{"a":[1,{"b":null}]}"#);
    check("{{ params.blob }}", r#""AP8=""#);
    check("{{ params.loose[1] }}", r#""a""#);
    check(" {{ params.n }}", r#"" 7""#);
}

#[test]
fn the_text_form_is_json_text() {
    check("{{ params.flag }} {{ params.rate }}", r#""true 0.001""#);
    check("{{ params.huge }} {{ params.whole }} {{ params.three }}", r#""1e+22 3 3.0""#);
    check("{{ true ~ ' ' ~ 3.0 ~ ' ' ~ 1e22 }}", r#""true 3.0 1e+22""#);
    check("{{ [true, false] | join(',') }}", r#""true,false""#);
    check("x{{ 10 / 2 }}", r#""x5.0""#);
}

#[test]
fn what_has_no_text_form_is_refused_in_text() {
    refused(
        "x{{ params.layers }}",
        "load: a value of this type can't stand in text: array of integer (use `| join",
    );
    refused("x{{ params.hyper }}", "load: a value of this type can't stand in text: object");
    refused(
        "x{{ params.blob }}",
        "load: a value of this type can't stand in text: bytes (base64) (use `| b64`)",
    );
    refused("x{{ none }}", "load: a value of this type can't stand in text: null");
    refused("x{{ params.loose[0] }}", "load: a value of this type can't stand in text: undeclared");
    refused("{{ 'a' ~ params.layers }}", "load: a value of this type can't stand in text");
    check("x{{ params.maybe }}", "run: null has no text form here");
    check("x{{ params.given }}", r#""xx""#);
    check("x{{ params.blob | b64 }}", r#""xAP8=""#);
}

#[test]
fn names_in_scope() {
    check(
        "{{ environment }}/{{ pipeline }}/{{ run.id }}/{{ run.attempt }}",
        r#""prod/churn/r1/1""#,
    );
    check("{{ run.started_at }}", r#""2026-01-31T12:00:00Z""#);
    check("{{ run.logical_date }}", "run: `run.logical_date` wasn't given for this run");
    check("{{ matrix.platform }}", r#""arm""#);
    check("{{ params.unset }}", "run: `params.unset` has no value here");
    refused("{{ params }}", "load: `params` can't be used whole");
    refused("{{ params | json }}", "load: `params` can't be used whole");
    refused("{{ run }}", "load: `run` can't be used whole");
    refused("{{ params['name'] }}", "load: a name in scope can't be computed");
    refused("{{ run.label }}", "load: `run` has no such property");
    refused("{{ name }}", "load: there is no such name (a parameter is read as `params.name`)");
    refused("{{ env.HOME }}", "load: there is no such name");
    refused("{{ matrix.other }}", "load: there is no such matrix list");
    refused("{{ params.nmae }}", "load: there is no such parameter (did you mean `params.name`?)");
    refused("{{ params.git-url }}", "load: this is a subtraction");
    refused("{{ params.n-url | upper }}", "load: this is a subtraction");
    check("{{ params.n-1 }}", "6");
}

#[test]
fn properties_and_indexes() {
    check("{{ params.hyper.lr }}", "0.5");
    check("{{ params.hyper['epochs'] }}", "3");
    check("{{ params.hyper.note }}", "run: there is no such property in the value");
    refused("{{ params.hyper.lrr }}", "load: there is no such property (did you mean `lr`?)");
    refused(
        "{{ params.hyper[params.name] }}",
        "load: the name of a property can't be computed here",
    );
    check("{{ params.batch[environment] }}", "8");
    check("{{ params.batch.dev }}", "2");
    check("{{ params.batch.none_such }}", "run: there is no such property in the value");
    check("{{ params.layers[0] }}", "64");
    check("{{ params.layers.1 }}", "32");
    check("{{ params.layers[-1] }}", "32");
    check("{{ params.layers[2] }}", "run: the array has no item at this index");
    check("{{ params.layers[-3] }}", "run: the array has no item at this index");
    check("{{ params.layers[-9223372036854775808] }}", "run: the array has no item at this index");
    check("{{ (params.layers + [1])[params.hyper.epochs - 1] }}", "1");
    refused("{{ params.layers['a'] }}", "load: this has not got a property");
    refused("{{ params.layers[0.5] }}", "load: an index is an integer");
    refused("{{ params.name[0] }}", "load: this has not got items");
    refused("{{ params.anything.a.b }}", "load: a value of undeclared type can only be used whole");
    refused("{{ params.loose[0] == 1 }}", "load: `==` can't be used where a type isn't declared");
    refused("{{ params.loose[0] is none }}", "load: a value of undeclared type");
}

#[test]
fn comparisons_need_one_type() {
    check("{{ params.n == 7 }}", "true");
    check("{{ params.n == 7.0 }}", "true");
    check("{{ params.big == 9223372036854775808.0 }}", "false");
    refused(
        "{{ params.n == '7' }}",
        "load: the two sides of `==` differ in type: integer and string",
    );
    refused("{{ params.n < '9' }}", "load: the two sides of `<` differ");
    refused("{{ params.flag == 1 }}", "load: the two sides of `==` differ");
    refused("{{ params.name == none }}", "load: the two sides of `==` differ");
    refused("{{ params.flag < true }}", "load: `<` is for numbers and text");
    refused("{{ params.layers < [1] }}", "load: `<` is for numbers and text");
    check("{{ params.maybe == none }}", "true");
    check("{{ none != params.given }}", "true");
    check("{{ params.maybe == 'x' }}", "false");
    check("{{ params.given == 'x' }}", "true");
    check("{{ params.given is none }}", "false");
    check("{{ params.maybe is not none }}", "false");
    check("{{ params.count < 3 }}", "run: the value is null, where a value is needed");
    check("{{ 'a' < 'b' }}", "true");
    check("{{ 1 < params.n <= 7 }}", "true");
    check("{{ 1 < params.n < 7 }}", "false");
    refused("{{ 1 < params.n < 'a' }}", "load: the two sides of `<` differ");
    check("{{ params.layers == [64, 32.0] }}", "true");
    check("{{ params.none_yet == [] }}", "true");
    refused("{{ params.loose == [1] }}", "load: `==` can't be used where a type isn't declared");
    refused("{{ params.n is defined }}", "load: the only test is `none`");
    refused("{{ params.n is divisibleby(3) }}", "load: the only test is `none`");
}

#[test]
fn membership_is_in_arrays_and_text() {
    check("{{ 64 in params.layers }}", "true");
    check("{{ 65 not in params.layers }}", "true");
    check("{{ 'da' in params.name }}", "true");
    check("{{ environment in ['dev', 'prod'] }}", "true");
    check("{{ 1 in [] }}", "false");
    check("{{ none in params.holes }}", "true");
    refused("{{ '64' in params.layers }}", "load: the two sides of `in` differ");
    refused("{{ 1 in params.loose }}", "load: `in` can't be used where a type isn't declared");
    refused("{{ 'a' in params.batch }}", "load: `in` looks into arrays and text");
}

#[test]
fn logic_is_for_booleans_and_lazy() {
    check("{{ params.flag and not params.off }}", "true");
    check("{{ params.off and 1 // 0 == 1 }}", "false");
    check("{{ params.flag or 1 // 0 == 1 }}", "true");
    refused("{{ params.flag and 10 }}", "load: `and`, `or`, `not` and `if` are for booleans");
    refused("{{ not params.n }}", "load: `and`, `or`, `not` and `if` are for booleans");
    refused("{{ 1 if params.name else 2 }}", "load: `and`, `or`, `not` and `if` are for booleans");
    check("{{ 'a' if params.off else 'b' }}", r#""b""#);
    check("{{ params.n if params.flag else 0.5 }}", "7");
    check("{{ '--x' if params.off else none }}", "null");
    check("{{ params.layers if params.off else [] }}", "[]");
    refused("{{ 'a' if params.flag }}", "load: an `if` needs an `else`");
    refused(
        "{{ 'a' if params.flag else 1 }}",
        "load: the two sides of `if` differ in type: string and integer",
    );
}

#[test]
fn arithmetic_is_checked() {
    check(
        "{{ 7 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ 7 % -2 }} {{ -7 % 2 }}",
        r#""3.5 3 -4 -4 -1 1""#,
    );
    check("{{ 7.5 // 2 }} {{ -7.5 % 2 }}", r#""3.0 0.5""#);
    check("{{ 2 + 3 * 4 - 1 }}", "13");
    check("{{ 0x10 + 1_000 }}", "1016");
    check("{{ -params.n }}", "-7");
    check("{{ -9223372036854775808 }}", "-9223372036854775808");
    check("{{ params.big + 1 }}", "run: the result is beyond a 64-bit integer");
    check("{{ -params.big - 2 }}", "run: the result is beyond a 64-bit integer");
    check("{{ (-params.big - 1) // -1 }}", "run: the result is beyond a 64-bit integer");
    check("{{ (-params.big - 1) % -1 }}", "0");
    check("{{ params.big * 2 }}", "run: the result is beyond a 64-bit integer");
    for sign in ["/", "//", "%"] {
        check(&format!("{{{{ 5 {sign} 0 }}}}"), "run: division by zero");
        check(&format!("{{{{ 5 {sign} 0.0 }}}}"), "run: division by zero");
    }
    check("{{ 1e308 * 10 }}", "run: the result is beyond the range of numbers");
    refused("{{ 9223372036854775808 }}", "load: the integer is beyond 64 bits");
    refused("{{ 1e400 }}", "load: the number is beyond");
    refused("{{ 2 ** 3 }}", "load: `**` can't be used");
    refused(
        "{{ 'a' + 'b' }}",
        "load: `+` is for numbers and lists of one type, and these are: string and string (texts are put together with `~`)",
    );
    refused("{{ 'a' * 3 }}", "load: `*` is for numbers");
    refused("{{ [1] * 3 }}", "load: `*` is for numbers");
    check("{{ params.layers + [8] }}", "[64,32,8]");
    refused("{{ params.layers + ['a'] }}", "load: `+` is for numbers and lists");
    check("{{ params.count + 1 }}", "run: the value is null, where a value is needed");
}

#[test]
fn lists_have_items_of_one_type() {
    check("{{ [1, 2.5] }}", "[1,2.5]");
    check("{{ [] }}", "[]");
    check("{{ [[1], [2]] }}", "[[1],[2]]");
    refused("{{ [1, 'a'] }}", "load: the items of a list have one type");
    refused("{{ (1, 2) }}", "load: tuples can't be written");
    refused("{{ {'a': 1} }}", "load: maps can't be written");
    refused("{{ params.layers[0:1] }}", "load: slices can't be used");
    refused("{{ range(3) }}", "load: functions and methods can't be called");
    refused("{{ params.name.upper() }}", "load: functions and methods can't be called");
    refused("{{ debug() }}", "load: functions and methods can't be called");
}

#[test]
fn other_filters_and_syntax_are_refused() {
    refused("{{ params.n | abs }}", "load: there is no such filter");
    refused("{{ params.name | lowr }}", "load: there is no such filter (did you mean `lower`?)");
    refused("{{ params.off and params.n | nothing }}", "load: there is no such filter");
    refused("{{ params.name | replace(*params.words) }}", "load: `*` and `**` can't stand before");
    refused("{{ params.layers | join(d=',') }}", "load: this filter's arguments have no names");
    refused("{{ 1 + }}", "load: the expression can't be read");
    refused("{{ 1 2 }}", "load: the expression can't be read");
    refused("{{ a ? b }}", "load: the expression can't be read from here on");
    refused("{{ {{ 1 }} }}", "load: ");
}

#[test]
fn all_problems_of_a_text_are_told_with_their_places() {
    let text = "a {{ params.nmae }} b {{ params.n == 'x' }}";
    let errors = Template::compile(text, &world()).unwrap_err();
    let places: Vec<&str> =
        errors.iter().map(|error| text.get(error.span.clone()).unwrap()).collect();
    assert_eq!(places, ["params.nmae", "params.n == 'x'"]);
    let text = "{{ 1 if params.flag else not params.name }}";
    let errors = Template::compile(text, &world()).unwrap_err();
    assert_eq!(text.get(errors[0].span.clone()), Some("params.name"));
    for (text, place) in [
        ("{{ 1 + }}", "+"),
        ("{{ 1 2 }}", "2"),
        ("{{ [1, 2 }}", "2"),
        ("{{ params.n ] ~ 'a' }}", "]"),
        ("{{ 1 if params.flag else * 2 }}", "*"),
        ("{{ 'a' ? 'b' }}", "?"),
    ] {
        let errors = Template::compile(text, &world()).unwrap_err();
        assert_eq!(text.get(errors[0].span.clone()), Some(place), "{text}");
    }
    let error = Template::compile("ab {{ 1 + 5 // 0 }}", &world()).unwrap();
    assert_eq!(error.evaluate(&world()).unwrap_err().position, 10);
}

#[test]
fn references_are_exact_whatever_is_evaluated() {
    let text = "{{ params.name if params.off else (params.words[params.n] | default(environment)) }}-{{ run.id }}";
    let compiled = Template::compile(text, &world()).unwrap();
    let references = compiled.references();
    let names: Vec<&str> = references.parameters.iter().map(ParameterName::as_str).collect();
    assert_eq!(names, ["n", "name", "off", "words"]);
    assert!(references.environment && references.run_id);
    assert!(!references.pipeline && !references.run_attempt && references.matrix.is_empty());
}

#[test]
fn a_constant_is_known_as_one() {
    let constant = Template::compile("a b", &world()).unwrap();
    assert_eq!(constant.constant(), Some("a b"));
    assert!(!constant.is_expression());
    let expression = Template::compile("{{ 'a' }}", &world()).unwrap();
    assert_eq!(expression.constant(), None);
    assert!(expression.is_expression());
}

#[test]
fn a_bare_expression_is_for_lists_of_a_matrix() {
    let compiled = Expression::compile("params.layers", &world()).unwrap();
    assert!(compiled.is_reference());
    assert_eq!(*compiled.result(), array(Type::Integer));
    assert!(compiled.evaluate(&world()).is_ok());
    assert!(!Expression::compile("params.layers + [1]", &world()).unwrap().is_reference());
}
