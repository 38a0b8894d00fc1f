use proptest::prelude::*;

use super::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::Number),
        any::<String>().prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_comes_back_as_it_was(value in values()) {
        let bytes = encode_secret(&value);
        prop_assert_eq!(bytes.len(), size(&value));
        prop_assert_eq!(bytes.capacity(), bytes.len());
        prop_assert!(decode(&bytes).unwrap() == value);
    }

    #[test]
    fn what_decodes_is_the_one_form_of_its_value(bytes in proptest::collection::vec(0_u8..10, 0..60)) {
        if let Ok(value) = decode(&bytes) {
            prop_assert_eq!(encode_secret(&value).to_vec(), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn a_cut_or_longer_form_is_refused(value in values(), extra in any::<u8>()) {
        let mut bytes = encode_secret(&value).to_vec();
        prop_assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(extra);
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn equal_meaning_is_equal_form(integer in -(1_i64 << 53)..(1_i64 << 53)) {
        let number = Value::Number(integer as f64);
        prop_assert_eq!(encode_meaning(&Value::Integer(integer)), encode_meaning(&number));
        prop_assert_ne!(encode_secret(&Value::Integer(integer)), encode_secret(&number));
    }
}

#[test]
fn zero_has_one_meaning_and_what_is_not_whole_stays() {
    let meaning = |number| encode_meaning(&Value::Number(number));
    assert_eq!(meaning(-0.0), encode_meaning(&Value::Integer(0)));
    assert_ne!(meaning(0.5), encode_meaning(&Value::Integer(0)));
    assert_ne!(meaning(1e300), encode_meaning(&Value::Integer(i64::MAX)));
    assert_ne!(meaning(9_223_372_036_854_775_808.0), encode_meaning(&Value::Integer(i64::MAX)));
}

#[test]
fn limits_hold() {
    let nested = |levels| (0..levels).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert!(decode(&encode_secret(&nested(16))).is_ok());
    assert!(decode(&encode_secret(&nested(17))).is_err());
    assert!(decode(&encode_secret(&Value::String("x".repeat((1 << 20) + 1)))).is_err());
    let infinite = [&[NUMBER][..], &f64::INFINITY.to_bits().to_be_bytes()].concat();
    assert_eq!(decode(&infinite).err(), Some(BinaryError));
}
