//! Queries to a SQL database: fixed text, values bound and never pasted in. One
//! file or folder a database; `settings.rs` chooses by the scheme of `url`.

mod cells;
mod login;
mod mysql;
mod postgres;
mod query;
mod rows;
mod settings;
mod sqlite;
mod url;

use std::path::Path;
use std::sync::Arc;

use super::{
    Address, AddressError, Ask, BindingProblem, Cause, Field, Kind, Located, PickError, Raw, Read,
    Role, Settings, SourceBinding, TemplateText, typed,
};
use crate::provenance::SourceKind;
use crate::schema::{Schema, Type};
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::{Node, Origin, Place};

const QUERY: &str = "query";
const SHAPE: &str = "shape";
const FIELDS: [Field; 3] = [
    Field { name: QUERY, role: Role::Text, required: true },
    Field { name: "bind", role: Role::Binds, required: false },
    Field { name: SHAPE, role: Role::Choice(&["value", "column", "row", "rows"]), required: false },
];

/// The kind `sql`.
pub(super) struct Sql;

impl Kind for Sql {
    fn kind(&self) -> SourceKind {
        SourceKind::Sql
    }

    fn fields(&self) -> &'static [Field] {
        &FIELDS
    }

    fn check(&self, binding: &SourceBinding, schema: &Schema) -> Vec<BindingProblem> {
        let mut problems = Vec::new();
        if let Some(query) = binding.texts.get(QUERY) {
            check_query(query, binding, &mut problems);
        }
        let shape = binding.texts.get(SHAPE);
        let place = shape.or(binding.texts.get(QUERY)).map(|text| text.place.clone());
        let shape = rows::Shape::of(shape.map(|text| text.text.as_str()));
        if let (Some(place), Some(problem)) = (place, misfit(shape, schema)) {
            problems.push(BindingProblem {
                place,
                message: problem.to_owned(),
                help: Some(SHAPES.to_owned()),
            });
        }
        problems
    }

    fn grants_have_paths(&self) -> bool {
        false
    }

    fn locate(&self, ask: &Ask) -> Result<Located, AddressError> {
        let query = ask.texts.get(QUERY).ok_or(AddressError("there is no query"))?;
        Ok(Located {
            location: String::new(),
            grant_path: None,
            read: Read {
                address: Address::new(),
                query: Some(query.clone()),
                binds: ask.binds.clone(),
            },
        })
    }

    fn pick(&self, raw: &Raw, ask: &Ask, schema: &Schema) -> Result<Value, PickError> {
        let Raw::Rows { columns, rows, typed } = raw else {
            return Err(PickError::Failed(Cause::BadAnswer));
        };
        let shape = rows::Shape::of(ask.texts.get(SHAPE).map(String::as_str));
        typed::typed(rows::pick(shape, columns, rows, declared(*typed, schema))?, schema)
    }

    fn read_settings(
        &self,
        node: &Node,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<Arc<dyn Settings>> {
        settings::read(node, base, problems)
    }
}

/// The columns' cells are of the types that the database has; where those are
/// fewer than ours, as they are declared.
fn declared(typed: bool, schema: &Schema) -> &Type {
    if typed { &Type::Unknown } else { schema.declared() }
}

const SHAPES: &str = "`value` is one cell, `column` an array of the one column's cells, `row` an \
     object by the columns' names, `rows` an array of such objects";

fn check_query(query: &TemplateText, binding: &SourceBinding, found: &mut Vec<BindingProblem>) {
    let parsed = match query::parse(&query.text) {
        Ok(parsed) => parsed,
        Err(error) => {
            return found.push(BindingProblem {
                place: point(query, error.at, 1),
                message: error.problem.to_owned(),
                help: Some(error.help.to_owned()),
            });
        }
    };
    for (name, at) in &parsed.binds {
        if !binding.binds.contains_key(*name) {
            found.push(BindingProblem {
                place: point(query, *at, name.len() + 1),
                message: format!("the query's `:{name}` has no value under `bind`"),
                help: Some(format!("add `{name}: …` under `bind`")),
            });
        }
    }
    for (name, bind) in &binding.binds {
        if !parsed.binds.contains_key(name.as_str()) {
            let place = match bind {
                super::Bind::Template(text) => text.place.clone(),
                super::Bind::Literal(value) => value.place.clone(),
            };
            let shown = crate::yaml::fields::shown(name);
            found.push(BindingProblem {
                place,
                message: match shown {
                    Some(name) => format!("the query doesn't use the bind `{name}`"),
                    None => "the query doesn't use this bind".to_owned(),
                },
                help: Some(format!("a query uses a bind as `:name`, {}", query::BIND_NAME)),
            });
        }
    }
}

/// The place of some bytes of a query, as near as the file tells.
fn point(query: &TemplateText, at: usize, bytes: usize) -> Place {
    match query.origin {
        Origin::Verbatim(start) => Place {
            file: query.place.file,
            span: start + at..start + (at + bytes).min(query.text.len()),
        },
        Origin::Inexact => query.place.clone(),
    }
}

/// Why a shape can't give the declared type; none: it can.
fn misfit(shape: rows::Shape, schema: &Schema) -> Option<&'static str> {
    let declared = typed::base(schema.declared());
    match (shape, declared) {
        (rows::Shape::Value, _)
        | (rows::Shape::Column, Type::Array(_))
        | (rows::Shape::Row, Type::Object(_)) => None,
        (rows::Shape::Rows, Type::Array(items)) => match typed::base(items) {
            Type::Object(_) | Type::Unknown => None,
            _ => Some("the shape `rows` gives objects, and the parameter's items are none"),
        },
        (rows::Shape::Column, _) => Some("the shape `column` is for an array"),
        (rows::Shape::Rows, _) => Some("the shape `rows` is for an array of objects"),
        (rows::Shape::Row, _) => Some("the shape `row` is for an object"),
    }
}

#[cfg(test)]
mod tests;
