use proptest::prelude::*;

use super::*;

fn message(kind: Kind) -> v1::Value {
    v1::Value { kind: Some(kind) }
}

fn list(values: Vec<v1::Value>) -> v1::Value {
    message(Kind::ListValue(v1::ListValue { values }))
}

fn map(key: &str, value: v1::Value) -> v1::Value {
    message(Kind::MapValue(v1::MapValue { fields: [(key.to_owned(), value)].into() }))
}

fn null() -> v1::Value {
    message(Kind::NullValue(v1::Null {}))
}

#[test]
fn what_has_no_kind_is_refused_with_its_place() {
    let nested = list(vec![null(), map("a.b", v1::Value { kind: None })]);
    let error = read(nested).unwrap_err();
    assert_eq!(error, malformed("/1/a.b", "a value"));
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = read(message(Kind::DoubleValue(number))).unwrap_err();
        assert_eq!(error.expected, "a finite number");
    }
}

#[test]
fn limits_hold_at_their_edge() {
    let nested = |levels| (0..levels).fold(null(), |inner, _| list(vec![inner]));
    assert!(read(nested(16)).is_ok());
    assert_eq!(read(nested(17)).unwrap_err().expected, "at most 16 levels");
    assert!(read(list(vec![null(); 10_000])).is_ok());
    assert!(read(list(vec![null(); 10_001])).unwrap_err().expected.contains("10,000 items"));
    let text = |bytes| message(Kind::StringValue("x".repeat(bytes)));
    assert!(read(text(1 << 20)).is_ok());
    assert_eq!(read(text((1 << 20) + 1)).unwrap_err().expected, "at most 1 MiB");
}

#[test]
fn a_key_that_is_no_name_is_not_repeated() {
    let error = read(map("hunter2 / ~", v1::Value { kind: None })).unwrap_err();
    assert_eq!(error.pointer, "/?");
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        prop::num::f64::NORMAL.prop_map(Value::Number),
        ".{0,20}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            prop::collection::btree_map(".{0,8}", inner, 0..8).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_reads_the_same(value in values()) {
        let written = write(&PublicValue::declared_public(value.clone()));
        prop_assert_eq!(read(written), Ok(value));
    }

    #[test]
    fn any_bytes_read_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        use prost::Message as _;
        if let Ok(message) = v1::Value::decode(bytes.as_slice()) {
            let _ = read(message);
        }
    }
}
