//! From rows to a value of a shape, cell by cell as the type is declared.

use std::collections::BTreeMap;

use crate::schema::Type;
use crate::source::{PickError, typed};
use crate::value::{Value, json};

/// What a query's rows become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// The one cell of one row.
    Value,
    /// The cells of the one column.
    Column,
    /// One row, by the columns' names.
    Row,
    /// All rows, each by the columns' names.
    Rows,
}

impl Shape {
    /// The shape of this word; `value` where nothing is said.
    pub(super) fn of(word: Option<&str>) -> Self {
        match word {
            Some("column") => Self::Column,
            Some("row") => Self::Row,
            Some("rows") => Self::Rows,
            _ => Self::Value,
        }
    }
}

/// Makes the rows a value; its type is still to be checked.
pub(super) fn pick(
    shape: Shape,
    columns: &[String],
    rows: &[Vec<Value>],
    declared: &Type,
) -> Result<Value, PickError> {
    let declared = typed::base(declared);
    let items = match declared {
        Type::Array(items) => items,
        _ => &Type::Unknown,
    };
    match shape {
        Shape::Value => cell(only(columns, one(rows)?)?, declared, ""),
        Shape::Column => each(rows, |row, at| cell(only(columns, row)?, items, at)),
        Shape::Row => object(columns, one(rows)?, declared, ""),
        Shape::Rows => each(rows, |row, at| object(columns, row, items, at)),
    }
}

/// The type that is declared for the cells of a column.
pub(super) fn declared_of<'t>(shape: Shape, declared: &'t Type, column: &str) -> &'t Type {
    let declared = typed::base(declared);
    let items = match declared {
        Type::Array(items) => typed::base(items),
        _ => &Type::Unknown,
    };
    match shape {
        Shape::Value => declared,
        Shape::Column => items,
        Shape::Row => property(declared, column),
        Shape::Rows => property(items, column),
    }
}

fn one(rows: &[Vec<Value>]) -> Result<&Vec<Value>, PickError> {
    match rows {
        [] => Err(PickError::Missing),
        [row] => Ok(row),
        _ => Err(typed::expected("a single row; the query gives several")),
    }
}

fn only<'r>(columns: &[String], row: &'r [Value]) -> Result<&'r Value, PickError> {
    match (columns, row) {
        ([_], [cell]) => Ok(cell),
        _ => Err(typed::expected("a single column; the query gives several")),
    }
}

fn each(
    rows: &[Vec<Value>],
    item: impl Fn(&[Value], &str) -> Result<Value, PickError>,
) -> Result<Value, PickError> {
    let items = rows.iter().enumerate().map(|(index, row)| item(row, &format!("/{index}")));
    items.collect::<Result<_, _>>().map(Value::List)
}

fn object(
    columns: &[String],
    row: &[Value],
    declared: &Type,
    at: &str,
) -> Result<Value, PickError> {
    let mut fields = BTreeMap::new();
    for (name, value) in columns.iter().zip(row) {
        let declared = property(typed::base(declared), name);
        let value = cell(value, declared, &format!("{at}/{}", escaped(name)))?;
        if fields.insert(name.clone(), value).is_some() {
            return Err(typed::expected("columns with different names; name them with `as`"));
        }
    }
    Ok(Value::Map(fields))
}

fn property<'t>(declared: &'t Type, name: &str) -> &'t Type {
    let Type::Object(object) = declared else { return &Type::Unknown };
    match object.properties.get(name) {
        Some((declared, _)) => declared,
        None => object.additional.as_ref().unwrap_or(&Type::Unknown),
    }
}

/// A cell as its storage has it, but for what SQLite has no storage for: 0 and 1
/// stand for a boolean, and text is JSON where an array or object is declared.
fn cell(value: &Value, declared: &Type, at: &str) -> Result<Value, PickError> {
    match (typed::base(declared), value) {
        (Type::Boolean, Value::Integer(bit @ (0 | 1))) => Ok(Value::Bool(*bit == 1)),
        (Type::Array(_) | Type::Object(_), Value::String(text)) => json::from_json(text.as_bytes())
            .map_err(|_| PickError::Invalid {
                pointer: at.to_owned(),
                expected: "text that is JSON, no key given twice".to_owned(),
            }),
        _ => Ok(value.clone()),
    }
}

/// A name inside a JSON Pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
