//! Tests of cells.

use proptest::prelude::*;

use super::*;

fn cell(form: Form, bytes: &[u8]) -> Result<Value, Cause> {
    read(form, bytes, &mut Budget::new())
}

fn text(text: &str) -> Result<Value, Cause> {
    Ok(Value::String(text.to_owned()))
}

#[test]
fn integers_are_exact_or_refused() {
    assert_eq!(cell(Form::Signed, &[0xfb]), Ok(Value::Integer(-5)));
    assert_eq!(cell(Form::Unsigned, &[0xfb]), Ok(Value::Integer(251)));
    assert_eq!(cell(Form::Signed, &i64::MIN.to_le_bytes()), Ok(Value::Integer(i64::MIN)));
    assert_eq!(cell(Form::Unsigned, &[0xff; 4]), Ok(Value::Integer(4_294_967_295)));
    let most = u64::try_from(i64::MAX).unwrap();
    assert_eq!(cell(Form::Unsigned, &most.to_le_bytes()), Ok(Value::Integer(i64::MAX)));
    assert_eq!(cell(Form::Unsigned, &(most + 1).to_le_bytes()), Err(Cause::BadAnswer));
    assert_eq!(cell(Form::Bits, &[1]), Ok(Value::Integer(1)));
    assert_eq!(cell(Form::Bits, &[1, 0]), Ok(Value::Integer(256)));
    assert_eq!(cell(Form::Bits, &[0xff; 8]), Err(Cause::BadAnswer));
    assert_eq!(cell(Form::Float, &0.1_f32.to_le_bytes()), Ok(Value::Number(0.1)));
}

#[test]
fn dates_and_times_are_those_of_a_calendar_and_a_day() {
    assert_eq!(cell(Form::Date, &[4, 0xe8, 7, 2, 29]), text("2024-02-29"));
    assert_eq!(cell(Form::DateTime, &[4, 0xe8, 7, 2, 29]), text("2024-02-29T00:00:00"));
    let second = [7, 0xe8, 7, 2, 29, 23, 59, 58];
    assert_eq!(cell(Form::DateTime, &second), text("2024-02-29T23:59:58"));
    assert_eq!(cell(Form::Timestamp, &second), text("2024-02-29T23:59:58Z"));
    let fraction = [11, 0xe8, 7, 2, 29, 23, 59, 58, 1, 0, 0, 0];
    assert_eq!(cell(Form::Timestamp, &fraction), text("2024-02-29T23:59:58.000001Z"));
    assert_eq!(cell(Form::Time, &[0]), text("00:00:00"));
    assert_eq!(cell(Form::Time, &[8, 0, 0, 0, 0, 0, 1, 2, 3]), text("01:02:03"));
    for none in [
        // Zeros, the 30th of February, no month, a year of five digits.
        &[0][..],
        &[4, 0xe8, 7, 2, 30],
        &[4, 0xe8, 7, 0, 1],
        &[4, 0x10, 0x27, 1, 1],
        &[4, 0, 0, 1, 1],
        &[7, 0xe8, 7, 2, 29],
        &[],
    ] {
        assert_eq!(cell(Form::Date, none), Err(Cause::BadAnswer), "{none:?}");
    }
    for none in [
        // Before the day, after it, and what has no end.
        &[8, 1, 0, 0, 0, 0, 1, 2, 3][..],
        &[8, 0, 1, 0, 0, 0, 1, 2, 3],
        &[8, 0, 0, 0, 0, 0, 24, 2, 3],
        &[12, 0, 0, 0, 0, 0, 1, 2, 3, 255, 255, 255, 255],
        &[8, 0, 0],
    ] {
        assert_eq!(cell(Form::Time, none), Err(Cause::BadAnswer), "{none:?}");
    }
}

const ALL: [Form; 16] = [
    Form::Signed,
    Form::Unsigned,
    Form::Float,
    Form::Double,
    Form::Decimal,
    Form::ShortText,
    Form::LongText,
    Form::ShortBytes,
    Form::LongBytes,
    Form::Bits,
    Form::Date,
    Form::Time,
    Form::DateTime,
    Form::Timestamp,
    Form::Null,
    Form::Unknown,
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(form in 0..ALL.len(), bytes in any::<Vec<u8>>()) {
        let _ = cell(ALL[form], &bytes);
    }
}
