//! The types of PostgreSQL that paramd knows, and what of ours fits each.

use sqlx::TypeInfo as _;
use sqlx::postgres::{PgTypeInfo, PgTypeKind};

use crate::schema::Type;
use crate::source::typed;

/// How values of a type travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `oid`.
    Oid,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`.
    Numeric,
    /// `text`, `varchar`, `char(n)`, `name`, `citext` and enums.
    Text,
    /// `bytea`.
    Bytes,
    /// `date`.
    Date,
    /// `time` without a zone.
    Time,
    /// `timestamp` without a zone.
    Timestamp,
    /// `timestamp with time zone`.
    TimestampTz,
    /// `uuid`.
    Uuid,
    /// `json`.
    Json,
    /// `jsonb`.
    Jsonb,
    /// `inet`.
    Inet,
    /// `cidr`.
    Cidr,
    /// An array, of any number of dimensions.
    Array {
        /// What its items are.
        item: Box<Form>,
        /// The item's type as the server numbers it.
        oid: u32,
    },
    /// None that can be read or bound: a query casts it.
    Unknown,
}

/// The most domains over domains that are looked through.
const MAX_DOMAINS: usize = 8;

impl Form {
    /// The form of a type as the server describes it.
    pub(super) fn of(described: &PgTypeInfo) -> Self {
        let described = base(described);
        match described.kind() {
            PgTypeKind::Array(item) => match (Self::of_item(item), item.oid()) {
                (Self::Unknown, _) | (_, None) => Self::Unknown,
                (form, Some(oid)) => Self::Array { item: Box::new(form), oid: oid.0 },
            },
            PgTypeKind::Enum(_) => Self::Text,
            PgTypeKind::Simple if described.name().eq_ignore_ascii_case("citext") => Self::Text,
            PgTypeKind::Simple => described.oid().map_or(Self::Unknown, |oid| Self::of_oid(oid.0)),
            _ => Self::Unknown,
        }
    }

    fn of_item(item: &PgTypeInfo) -> Self {
        match Self::of(item) {
            // An array of a domain over an array has no text of its own.
            Self::Array { .. } => Self::Unknown,
            form => form,
        }
    }

    /// The numbers of the types that every server has.
    fn of_oid(oid: u32) -> Self {
        match oid {
            16 => Self::Bool,
            17 => Self::Bytes,
            19 | 25 | 705 | 1042 | 1043 => Self::Text,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            26 => Self::Oid,
            114 => Self::Json,
            650 => Self::Cidr,
            700 => Self::Float4,
            701 => Self::Float8,
            869 => Self::Inet,
            1082 => Self::Date,
            1083 => Self::Time,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            1700 => Self::Numeric,
            2950 => Self::Uuid,
            3802 => Self::Jsonb,
            _ => Self::Unknown,
        }
    }

    /// Whether a cell can be of a declared type.
    pub(super) fn can_give(&self, declared: &Type) -> bool {
        match (self, typed::base(declared)) {
            (Self::Unknown, _) => false,
            (Self::Json | Self::Jsonb, declared) => *declared != Type::Bytes,
            (_, Type::Unknown) => true,
            (Self::Bool, declared) => *declared == Type::Boolean,
            (Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid, declared) => {
                matches!(declared, Type::Integer | Type::Number)
            }
            (Self::Float4 | Self::Float8, declared) => *declared == Type::Number,
            (Self::Bytes, declared) => *declared == Type::Bytes,
            (Self::Array { item, .. }, Type::Array(items)) => {
                matches!(typed::base(items), Type::Array(_)) || item.can_give(items)
            }
            (Self::Array { .. }, _) => false,
            (_, declared) => *declared == Type::String,
        }
    }

    /// Whether a value of a type can be bound to it.
    pub(super) fn can_take(&self, bound: &Type) -> bool {
        match (self, typed::base(bound)) {
            (Self::Unknown, bound) => *bound == Type::Null,
            (_, Type::Unknown | Type::Null) => true,
            (Self::Json | Self::Jsonb, bound) => *bound != Type::Bytes,
            (Self::Bool, bound) => *bound == Type::Boolean,
            (Self::Int2 | Self::Int4 | Self::Int8 | Self::Oid, bound) => *bound == Type::Integer,
            (Self::Float4 | Self::Float8, bound) => {
                matches!(bound, Type::Integer | Type::Number)
            }
            (Self::Numeric, bound) => {
                matches!(bound, Type::Integer | Type::Number | Type::String)
            }
            (Self::Bytes, bound) => *bound == Type::Bytes,
            (Self::Array { item, .. }, Type::Array(items)) => {
                matches!(typed::base(items), Type::Array(_)) || item.can_take(items)
            }
            (Self::Array { .. }, _) => false,
            (_, bound) => *bound == Type::String,
        }
    }
}

/// A type without the domains around it: their values travel as the type's.
fn base(described: &PgTypeInfo) -> &PgTypeInfo {
    let mut described = described;
    for _ in 0..MAX_DOMAINS {
        match described.kind() {
            PgTypeKind::Domain(inner) => described = inner,
            _ => break,
        }
    }
    described
}
