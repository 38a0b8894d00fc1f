//! What a condition is, and what it tells of what it read.

use super::{Condition, world};

#[track_caller]
fn condition(text: &str, expect: bool, read: &[&str]) {
    let (holds, values) = Condition::compile(text, &world()).unwrap().evaluate(&world()).unwrap();
    assert_eq!(holds, expect, "{text}");
    assert_eq!(values.keys().collect::<Vec<_>>(), read, "{text}");
}

#[test]
fn a_condition_tells_what_it_read() {
    condition("params.flag", true, &["params.flag"]);
    condition(
        "environment != 'prod' or params.hyper.epochs >= 5",
        false,
        &["environment", "params.hyper.epochs"],
    );
    condition("params.off and params.n == 7", false, &["params.off"]);
    condition("params.layers[0] in params.layers", true, &["params.layers", "params.layers[0]"]);
    condition(
        "params.batch[environment] == 8",
        true,
        &["environment", "params.batch[environment]"],
    );
}

#[test]
fn a_condition_is_a_boolean_without_braces_or_matrix() {
    let refused = |text: &str| Condition::compile(text, &world()).unwrap_err()[0].message.clone();
    assert!(refused("params.n").starts_with("a condition has to be a boolean"));
    assert!(refused("params.name").starts_with("a condition has to be a boolean"));
    assert!(refused("{{ params.flag }}").starts_with("the expression can't be read"));
    assert!(refused("matrix.platform == 'arm'").starts_with("`matrix` can't be read here"));
    assert!(refused("").starts_with("there is no expression"));
}
