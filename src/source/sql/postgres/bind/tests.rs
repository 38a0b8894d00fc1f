//! Tests of binds.

use super::*;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn nothing_is_converted_without_a_word() {
    let array = Form::Array { item: Box::new(Form::Int4), oid: 23 };
    let ragged = Value::List(vec![
        Value::List(vec![Value::Integer(1)]),
        Value::List(vec![Value::Integer(1), Value::Integer(2)]),
    ]);
    let mixed = Value::List(vec![Value::List(vec![Value::Integer(1)]), Value::Integer(1)]);
    for (form, value) in [
        (Form::Bool, Value::Integer(1)),
        (Form::Bool, text("true")),
        (Form::Int2, Value::Integer(32_768)),
        (Form::Int4, Value::Integer(2_147_483_648)),
        (Form::Int8, Value::Number(1.0)),
        (Form::Int8, text("1")),
        (Form::Oid, Value::Integer(-1)),
        (Form::Float8, Value::Integer((1 << 53) + 1)),
        (Form::Float4, Value::Number(1e300)),
        (Form::Float4, Value::Number(0.123_456_789)),
        (Form::Numeric, text("1e3")),
        (Form::Numeric, text("")),
        (Form::Numeric, text("1.")),
        (Form::Numeric, text(".5")),
        (Form::Numeric, text("+1")),
        (Form::Numeric, text("NaN")),
        (Form::Numeric, text("--1")),
        (Form::Text, Value::Integer(1)),
        (Form::Text, Value::Bool(true)),
        (Form::Text, Value::Bytes(vec![b'a'])),
        (Form::Text, text("a\0b")),
        (Form::Bytes, text("abc")),
        (Form::Date, text("2024-02-30")),
        (Form::Date, text("2024-02-01T00:00")),
        (Form::Time, text("25:00:00")),
        (Form::Time, text("01:00:00+02")),
        (Form::Timestamp, text("2024-02-01T00:00:00Z")),
        (Form::Timestamp, text("2024-02-01T00:00:00+02:00")),
        (Form::Timestamp, text("2024-02-01")),
        (Form::Timestamp, text("2024-02-01T00:00:00.0000001")),
        (Form::TimestampTz, text("2024-02-01T00:00:00")),
        (Form::TimestampTz, text("infinity")),
        (Form::Uuid, text("a0eebc999c0b4ef8bb6d6bb9bd380a11")),
        (Form::Uuid, text("g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
        (Form::Json, text("{")),
        (Form::Json, Value::Bytes(vec![])),
        (Form::Inet, text("10.0.0.1/33")),
        (Form::Inet, text("host")),
        (array.clone(), Value::Integer(1)),
        (array.clone(), text("{1}")),
        (array.clone(), ragged),
        (array.clone(), mixed),
        (array, Value::List(vec![text("1")])),
        (Form::Unknown, text("x")),
    ] {
        assert_eq!(write(&value, &form), Err(Misfit), "{form:?} {}", value.kind());
    }
}

#[test]
fn equal_instants_are_one_whatever_their_offset() {
    let at = |moment| write(&text(moment), &Form::TimestampTz);
    assert_eq!(at("2024-06-01T12:00:00+02:00"), at("2024-06-01T10:00:00Z"));
}

#[test]
fn the_items_of_an_array_of_json_are_documents() {
    let form = Form::Array { item: Box::new(Form::Jsonb), oid: 3802 };
    let value = Value::List(vec![Value::List(vec![Value::Integer(1)]), Value::Integer(2)]);
    assert!(write(&value, &form).is_ok());
}
