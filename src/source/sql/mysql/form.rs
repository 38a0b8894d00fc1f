//! The types of MySQL and MariaDB that paramd knows, and what of ours fits each.

use sqlx::TypeInfo as _;
use sqlx::mysql::{MySql as Driver, MySqlTypeInfo};

use crate::schema::Type;
use crate::source::typed;

/// How values of a type travel, and how long they can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Integers with a sign, `boolean` among them.
    Signed,
    /// Integers without one, and `year`.
    Unsigned,
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `decimal`.
    Decimal,
    /// `char`, `varchar`, enums and sets.
    ShortText,
    /// `text` of all sizes, `json`.
    LongText,
    /// `binary`, `varbinary`.
    ShortBytes,
    /// `blob` of all sizes.
    LongBytes,
    /// `bit(n)`.
    Bits,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `datetime`, which has no zone.
    DateTime,
    /// `timestamp`, an instant.
    Timestamp,
    /// `null` itself.
    Null,
    /// None that can be read: a query casts it.
    Unknown,
}

impl Form {
    /// The form of a type as the server describes it.
    pub(super) fn of(described: &MySqlTypeInfo) -> Self {
        let is_text = <str as sqlx::Type<Driver>>::compatible(described);
        match described.name() {
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
                // The driver calls both kinds of `tinyint(1)` boolean.
                let signed = <i64 as sqlx::Type<Driver>>::compatible(described);
                if signed { Self::Signed } else { Self::Unsigned }
            }
            "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
            | "BIGINT UNSIGNED" | "YEAR" => Self::Unsigned,
            "FLOAT" => Self::Float,
            "DOUBLE" => Self::Double,
            "DECIMAL" => Self::Decimal,
            // By their names, text of a binary collation is bytes: by its charset it isn't.
            "CHAR" | "VARCHAR" | "BINARY" | "VARBINARY" if is_text => Self::ShortText,
            "CHAR" | "VARCHAR" | "BINARY" | "VARBINARY" => Self::ShortBytes,
            "ENUM" | "SET" => Self::ShortText,
            "JSON" => Self::LongText,
            "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "TINYBLOB" | "BLOB"
            | "MEDIUMBLOB" | "LONGBLOB" => {
                if is_text {
                    Self::LongText
                } else {
                    Self::LongBytes
                }
            }
            "BIT" => Self::Bits,
            "DATE" => Self::Date,
            "TIME" => Self::Time,
            "DATETIME" => Self::DateTime,
            "TIMESTAMP" => Self::Timestamp,
            "NULL" => Self::Null,
            _ => Self::Unknown,
        }
    }

    /// Whether a cell can have more than a few bytes.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::ShortText | Self::ShortBytes) || self.is_long()
    }

    /// Whether a cell can have more than 64 Ki characters.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Self::LongText | Self::LongBytes | Self::Unknown)
    }

    /// Whether a cell can be of a declared type. 0 and 1 stand for a boolean, and
    /// text is JSON where an array or object is declared.
    pub(super) fn can_give(self, declared: &Type) -> bool {
        match (self, typed::base(declared)) {
            (Self::Unknown, _) => false,
            (Self::Null, _) | (_, Type::Unknown) => true,
            (Self::Signed | Self::Unsigned | Self::Bits, declared) => {
                matches!(declared, Type::Integer | Type::Number | Type::Boolean)
            }
            (Self::Float | Self::Double, declared) => *declared == Type::Number,
            (Self::ShortBytes | Self::LongBytes, declared) => *declared == Type::Bytes,
            (Self::ShortText | Self::LongText, declared) => {
                matches!(declared, Type::String | Type::Array(_) | Type::Object(_))
            }
            (_, declared) => *declared == Type::String,
        }
    }
}
