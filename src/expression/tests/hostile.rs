//! Texts that want too much, and texts that nobody thought of.

use proptest::prelude::*;

use super::super::*;
use super::{World, array, outcome, world};

#[test]
fn hostile_nests_end_in_an_error_on_a_small_stack() {
    let texts = [
        "(".repeat(4096),
        "[".repeat(4096),
        "-".repeat(4096),
        "not ".repeat(1024),
        "{".repeat(4095),
        format!("{}1{}", "[".repeat(2040), "]".repeat(2040)),
        format!("1{}", "+1".repeat(2047)),
        format!("'a'{}", "|upper".repeat(600)),
        format!("a{}", ".a".repeat(2000)),
        format!("a{}", "[0]".repeat(1300)),
        "1 if true else ".repeat(270),
        format!("1{}", "<1".repeat(2047)),
        format!("[{}1]", "1,".repeat(2040)),
        format!("{}1", "f(".repeat(2000)),
        "x".repeat(5000),
        format!("{}1{}", "[".repeat(32), "]".repeat(32)),
        format!("1{}", "+1".repeat(127)),
        format!("{}1", "-".repeat(120)),
        format!("{}true", "not ".repeat(120)),
        format!("'a'{}", "~'b'".repeat(100)),
    ];
    let run = move || {
        let world = world();
        for text in &texts {
            for template in [text.clone(), format!("{{{{ {text} }}}}")] {
                let _ = Template::compile(&template, &world).map(|one| one.evaluate(&world));
            }
            let _ = Condition::compile(text, &world).map(|one| one.evaluate(&world));
        }
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn hostile_growth_ends_in_an_error() {
    let mut world = world();
    world
        .parameters
        .insert("mb".to_owned(), (Type::String, Some(Value::String("x".repeat(1 << 20)))));
    let many = Value::List(vec![Value::String("y".repeat(100)); 10_000]);
    world.parameters.insert("many".to_owned(), (array(Type::String), Some(many)));
    for text in [
        "{{ params.mb ~ 'x' }}".to_owned(),
        "a{{ params.mb }}".to_owned(),
        "{{ params.mb | replace('x', 'xx') }}".to_owned(),
        "{{ params.mb | replace('x', params.mb) }}".to_owned(),
        "{{ params.many | join(params.mb) }}".to_owned(),
        "{{ params.many + params.many }}".to_owned(),
        "{{ params.many | flag('-') }}".to_owned(),
        "{{ params.mb | split('x') }}".to_owned(),
        "{{ params.mb | b64 }}".to_owned(),
        "{{ [params.mb, params.mb] }}".to_owned(),
        format!("{{{{ [{}] }}}}", vec!["params.many"; 100].join(",")),
        format!("{{{{ [{}1] | length }}}}", "params.many | sort | length,".repeat(40)),
    ] {
        assert!(outcome(&text, &world).starts_with("run: "), "{text}");
    }
}

const LEAVES: [&str; 25] = [
    "params.name",
    "params.n",
    "params.big",
    "params.rate",
    "params.flag",
    "params.maybe",
    "params.layers",
    "params.words",
    "params.hyper.lr",
    "params.batch[environment]",
    "params.anything",
    "params.loose[0]",
    "params.blob",
    "params.day",
    "environment",
    "1",
    "-3",
    "0",
    "2.5",
    "'a'",
    "''",
    "true",
    "none",
    "[]",
    "params.holes",
];
const SIGNS: [&str; 17] = [
    "+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and",
    "or",
];
const FILTERS: [&str; 20] = [
    "lower",
    "upper",
    "trim",
    "length",
    "first",
    "last",
    "sort",
    "unique",
    "urlencode",
    "json",
    "b64",
    "basename",
    "join(',')",
    "split('a')",
    "flag('--x')",
    "replace('a', 'bb')",
    "date_add(days=1)",
    "date_format('%Y')",
    "default('x')",
    "default(0)",
];

/// Random expressions over the world.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(LEAVES.to_vec()).prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let signs = prop::sample::select(SIGNS.to_vec());
        let filters = prop::sample::select(FILTERS.to_vec());
        prop_oneof![
            (two.clone(), signs).prop_map(|((a, b), sign)| format!("({a} {sign} {b})")),
            (two.clone(), inner.clone()).prop_map(|((a, b), c)| format!("({a} if {b} else {c})")),
            (inner.clone(), filters).prop_map(|(a, filter)| format!("({a} | {filter})")),
            two.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            two.prop_map(|(a, b)| format!("{a}[{b}]")),
            inner.clone().prop_map(|a| format!("(not {a})")),
            inner.prop_map(|a| format!("({a} is none)")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,80}", body in "[-a-z0-9_.+*/%~|()\\[\\]{}<>=!'\"\\\\ ,:]{0,80}") {
        let world = world();
        let _ = Template::compile(&text, &world);
        let _ = Condition::compile(&body, &world);
        let _ = outcome(&format!("{{{{{body}}}}}"), &world);
        let _ = outcome(&format!("x{{{{ {body} }}}}{text}"), &world);
    }

    #[test]
    fn a_result_is_of_the_type_that_was_told(expression in expressions()) {
        let world = world();
        let _ = outcome(&format!("{{{{ {expression} }}}}"), &world);
        let _ = outcome(&format!("x{{{{ {expression} }}}}"), &world);
    }

    #[test]
    fn an_error_quotes_no_operand(expression in expressions()) {
        let mut world = world();
        world.parameters.get_mut("name").unwrap().1 = Some(Value::String("hunter2".to_owned()));
        world.parameters.get_mut("n").unwrap().1 = Some(Value::Integer(8_675_309));
        if let Ok(template) = Template::compile(&format!("{{{{ {expression} }}}}"), &world)
            && let Err(error) = template.evaluate(&world)
        {
            let told = format!("{error} {error:?}");
            prop_assert!(!told.contains("hunter2") && !told.contains("8675309"), "{told}");
        }
    }

    #[test]
    fn text_without_signs_is_itself(text in "[^{}%#+-]{0,60}") {
        let template = Template::compile(&text, &world()).unwrap();
        prop_assert_eq!(template.constant(), Some(text.as_str()));
    }

    #[test]
    fn integers_round_down_as_mathematics_do(a: i64, b: i64) {
        let world = World::default()
            .with("a", Type::Integer, &a.to_string())
            .with("b", Type::Integer, &b.to_string());
        let exact = |sign: &str| outcome(&format!("{{{{ params.a {sign} params.b }}}}"), &world);
        let wide = |value: i128| match i64::try_from(value) {
            Ok(value) => value.to_string(),
            Err(_) => "run: the result is beyond a 64-bit integer".to_owned(),
        };
        let (x, y) = (i128::from(a), i128::from(b));
        prop_assert_eq!(exact("+"), wide(x + y));
        prop_assert_eq!(exact("-"), wide(x - y));
        prop_assert_eq!(exact("*"), wide(x * y));
        if b != 0 {
            let rest = ((x % y) + y) % y;
            prop_assert_eq!(exact("%"), wide(rest));
            prop_assert_eq!(exact("//"), wide((x - rest) / y));
        }
    }
}
