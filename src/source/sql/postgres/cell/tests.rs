//! Tests of cells.

use proptest::prelude::*;

use super::super::bind;
use super::*;
use crate::value::MAX_VALUE_BYTES;

fn cell(form: &Form, bytes: &[u8]) -> Result<Value, Cause> {
    read(form, bytes, &mut Budget::new())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn numeric_of(words: &[i16]) -> Result<Value, Cause> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    cell(&Form::Numeric, &bytes)
}

#[test]
fn numerics_keep_their_scale() {
    assert_eq!(numeric_of(&[0, 0, 0, 0]), Ok(text("0")));
    assert_eq!(numeric_of(&[0, 0, 0, 2]), Ok(text("0.00")));
    assert_eq!(numeric_of(&[2, 0, 0, 3, 1, 5000]), Ok(text("1.500")));
    assert_eq!(numeric_of(&[1, 1, 0x4000, 0, 12]), Ok(text("-120000")));
    assert_eq!(numeric_of(&[1, -1, 0, 4, 12]), Ok(text("0.0012")));
    assert_eq!(numeric_of(&[1, -2, 0, 6, 1200]), Ok(text("0.000012")));
    for special in [0xC000_u16, 0xD000, 0xF000, 1] {
        assert_eq!(numeric_of(&[0, 0, special.cast_signed(), 0]), Err(Cause::BadAnswer));
    }
    assert_eq!(numeric_of(&[2, 0, 0, 0, 1]), Err(Cause::BadAnswer));
    assert_eq!(numeric_of(&[1, 0, 0, 0, 10_000]), Err(Cause::BadAnswer));
    assert_eq!(numeric_of(&[1, 0, 0, 0, -1]), Err(Cause::BadAnswer));
}

#[test]
fn moments_are_of_four_digit_years() {
    let at = |micros: i64| cell(&Form::TimestampTz, &micros.to_be_bytes());
    assert_eq!(at(0), Ok(text("2000-01-01T00:00:00Z")));
    assert_eq!(at(-1), Ok(text("1999-12-31T23:59:59.999999Z")));
    for beyond in [i64::MAX, i64::MIN, -63_113_904_000_000_001] {
        assert_eq!(at(beyond), Err(Cause::BadAnswer), "{beyond}");
    }
    let day = |days: i32| cell(&Form::Date, &days.to_be_bytes());
    assert_eq!(day(0), Ok(text("2000-01-01")));
    assert_eq!(day(i32::MAX), Err(Cause::BadAnswer));
    assert_eq!(day(i32::MIN), Err(Cause::BadAnswer));
    let hour = |micros: i64| cell(&Form::Time, &micros.to_be_bytes());
    assert_eq!(hour(1), Ok(text("00:00:00.000001")));
    assert_eq!(hour(86_400_000_000), Err(Cause::BadAnswer));
    assert_eq!(hour(-1), Err(Cause::BadAnswer));
}

#[test]
fn cells_of_another_length_or_form_make_no_sense() {
    for (form, bytes) in [
        (Form::Bool, &[2][..]),
        (Form::Bool, &[]),
        (Form::Int4, &[0; 8]),
        (Form::Float8, &f64::NAN.to_be_bytes()),
        (Form::Float8, &f64::INFINITY.to_be_bytes()),
        (Form::Float4, &f32::NEG_INFINITY.to_be_bytes()),
        (Form::Text, &[0xff]),
        (Form::Uuid, &[0; 15]),
        (Form::Jsonb, b"\x02{}"),
        (Form::Json, b"{"),
        (Form::Json, br#"{"a":1,"a":2}"#),
        (Form::Inet, &[2, 32, 0, 4, 1, 2, 3]),
        (Form::Inet, &[9, 32, 0, 4, 1, 2, 3, 4]),
        (Form::Unknown, b"x"),
    ] {
        assert_eq!(cell(&form, bytes), Err(Cause::BadAnswer), "{form:?}");
    }
}

#[test]
fn arrays_of_hostile_lengths_are_refused() {
    let form = Form::Array { item: Box::new(Form::Int4), oid: 23 };
    let array = |words: &[i32]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        cell(&form, &bytes)
    };
    assert_eq!(array(&[0, 0, 23]), Ok(Value::List(vec![])));
    let two = Value::List(vec![Value::Integer(7), Value::Null]);
    assert_eq!(array(&[1, 1, 23, 2, 1, 4, 7, -1]), Ok(two));
    assert_eq!(array(&[1, 0, 23, i32::MAX, 1]), Err(Cause::TooLarge));
    assert_eq!(array(&[1, 0, 23, -1, 1]), Err(Cause::BadAnswer));
    assert_eq!(array(&[7, 0, 23]), Err(Cause::BadAnswer));
    assert_eq!(array(&[-1, 0, 23]), Err(Cause::BadAnswer));
    assert_eq!(array(&[1, 0, 23, 1, 1, 8, 7]), Err(Cause::BadAnswer));
    assert_eq!(array(&[1, 0, 23, 1, 1, 4, 7, 7]), Err(Cause::BadAnswer));
    assert_eq!(
        array(&[6, 0, 23, 9999, 1, 9999, 1, 9999, 1, 0, 1, 9999, 1, 9999, 1]),
        Err(Cause::TooLarge)
    );
}

#[test]
fn an_answer_has_a_budget_however_it_is_packed() {
    let mut budget = Budget::new();
    let digits: Vec<u8> = [1_i16, 30_000, 0, 0, 1].iter().flat_map(|w| w.to_be_bytes()).collect();
    let read = (0..20).try_for_each(|_| read(&Form::Numeric, &digits, &mut budget).map(drop));
    assert_eq!(read, Err(Cause::TooLarge));
    assert!(cell(&Form::Text, &vec![b'x'; MAX_VALUE_BYTES]).is_ok());
    assert_eq!(cell(&Form::Text, &vec![b'x'; MAX_VALUE_BYTES + 1]), Err(Cause::TooLarge));
}

#[test]
fn what_is_bound_is_read_back() {
    let list = |items: Vec<Value>| Value::List(items);
    let array = |item, oid| Form::Array { item: Box::new(item), oid };
    for (form, value) in [
        (Form::Bool, Value::Bool(true)),
        (Form::Int2, Value::Integer(-32_768)),
        (Form::Int4, Value::Integer(2_147_483_647)),
        (Form::Int8, Value::Integer(i64::MIN)),
        (Form::Oid, Value::Integer(4_294_967_295)),
        (Form::Float4, Value::Number(0.1)),
        (Form::Float8, Value::Number(0.1)),
        (Form::Numeric, text("0")),
        (Form::Numeric, text("0.00")),
        (Form::Numeric, text("-1234567.500")),
        (Form::Numeric, text("10000")),
        (Form::Numeric, text("100000000.00000001")),
        (Form::Numeric, text("0.000012")),
        (Form::Text, text("λ'\"")),
        (Form::Bytes, Value::Bytes(vec![0, 255])),
        (Form::Date, text("1969-12-31")),
        (Form::Date, text("0001-01-01")),
        (Form::Time, text("23:59:59.999999")),
        (Form::Timestamp, text("1969-12-31T23:59:59.5")),
        (Form::TimestampTz, text("1969-12-31T23:59:59.5Z")),
        (Form::Uuid, text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        (Form::Inet, text("10.0.0.1")),
        (Form::Inet, text("10.0.0.1/8")),
        (Form::Cidr, text("2001:db8::/32")),
        (Form::Jsonb, list(vec![Value::Integer(9_007_199_254_740_993), Value::Null])),
        (array(Form::Int4, 23), list(vec![])),
        (array(Form::Text, 25), list(vec![text("a"), Value::Null])),
        (
            array(Form::Int4, 23),
            list(vec![
                list(vec![Value::Integer(1), Value::Null]),
                list(vec![Value::Integer(3); 2]),
            ]),
        ),
    ] {
        let bytes = bind::write(&value, &form).unwrap();
        let back = cell(&form, &bytes);
        assert!(
            back == Ok(value),
            "{form:?} {}",
            back.ok().and_then(|v| v.text()).unwrap_or_default()
        );
    }
}

proptest! {
    #[test]
    fn no_cell_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let scalars = [
            Form::Bool, Form::Int2, Form::Int4, Form::Int8, Form::Oid, Form::Float4, Form::Float8,
            Form::Numeric, Form::Text, Form::Bytes, Form::Date, Form::Time, Form::Timestamp,
            Form::TimestampTz, Form::Uuid, Form::Json, Form::Jsonb, Form::Inet, Form::Cidr,
        ];
        for form in scalars {
            let _ = cell(&form, &bytes);
            let _ = cell(&Form::Array { item: Box::new(form), oid: 1 }, &bytes);
        }
    }

    #[test]
    fn a_decimal_comes_back_to_the_letter(digits in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?") {
        let zero = digits.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
        let expected = if zero { digits.trim_start_matches('-') } else { &digits };
        let bytes = bind::write(&text(&digits), &Form::Numeric).unwrap();
        prop_assert_eq!(cell(&Form::Numeric, &bytes), Ok(text(expected)));
    }

    #[test]
    fn a_moment_comes_back_to_the_microsecond(micros in any::<i64>()) {
        for form in [Form::Timestamp, Form::TimestampTz] {
            if let Ok(read) = cell(&form, &micros.to_be_bytes()) {
                prop_assert_eq!(bind::write(&read, &form), Ok(micros.to_be_bytes().to_vec()));
            }
        }
    }
}
