//! Queries to a SQL database: fixed text, values bound and never pasted in.

mod query;
mod rows;
mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Address, AddressError, Ask, BindingProblem, Cause, ConnectError, Environment, Field, Kind,
    Located, PickError, Raw, Read, Role, Settings, Source, SourceBinding, TemplateText, typed,
};
use crate::provenance::SourceKind;
use crate::schema::{Schema, Type};
use crate::value::{MAX_ITEMS, Value};
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{Fields, duration, integer, text};
use crate::yaml::{Node, Origin, Place, Spanned};

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
        let Raw::Rows { columns, rows } = raw else {
            return Err(PickError::Failed(Cause::BadAnswer));
        };
        let shape = rows::Shape::of(ask.texts.get(SHAPE).map(String::as_str));
        typed::typed(rows::pick(shape, columns, rows, schema.declared())?, schema)
    }

    fn read_settings(
        &self,
        node: &Node,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<Arc<dyn Settings>> {
        let before = problems.list.len();
        let mut fields = Fields::of(node, "a `sql` source", problems)?;
        let url = fields.required("url");
        let timeout = fields.optional("timeout");
        let max_rows = fields.optional("max_rows");
        fields.finish(problems);
        let timeout = timeout.and_then(|node| duration(node, "timeout", problems));
        let max_rows = max_rows.and_then(|node| integer(node, "max_rows", problems));
        let file = url
            .and_then(|node| text(node, "url", problems))
            .and_then(|url| sqlite_path(&url, problems));
        let limits = sqlite::Limits {
            time: timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.value),
            rows: max_rows.map_or(Some(MAX_ITEMS), |rows| row_limit(&rows, problems))?,
        };
        (problems.list.len() == before).then_some(())?;
        Some(Arc::new(Database { sqlite: sqlite::Sqlite::new(base.join(file?), limits) }))
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
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

fn row_limit(rows: &Spanned<i64>, problems: &mut Problems) -> Option<usize> {
    let limit = usize::try_from(rows.value).ok().filter(|limit| (1..=MAX_ITEMS).contains(limit));
    if limit.is_none() {
        problems.error("out_of_range", &rows.place, "`max_rows` must be from 1 to 10000");
    }
    limit
}

fn sqlite_path(url: &Spanned<String>, problems: &mut Problems) -> Option<String> {
    let (problem, help) = match url.value.split_once(':') {
        Some(("sqlite", path)) => match wrong_path(path) {
            None => return Some(path.to_owned()),
            Some(problem) => (problem, "such as `sqlite:warehouse.db`, relative to `paramd.yaml`"),
        },
        Some(("postgres" | "postgresql" | "mysql" | "mariadb", _)) => {
            ("this release asks SQLite only; PostgreSQL and MySQL come later", "use `sqlite:FILE`")
        }
        _ => ("`url` must be `sqlite:FILE`", "such as `sqlite:warehouse.db`"),
    };
    problems.error("invalid_url", &url.place, problem).sensitive().help(help);
    None
}

fn wrong_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("`sqlite:` needs the path of a file")
    } else if path.starts_with("//") || path.contains(['?', '#']) {
        Some("`sqlite:` is followed by a plain path, without `//` and without options")
    } else if path.starts_with(':') {
        Some("a database in memory has nothing to read")
    } else if path.contains(char::is_control) {
        Some("the path has a control character")
    } else {
        None
    }
}

/// A database and its limits.
#[derive(Debug)]
struct Database {
    sqlite: sqlite::Sqlite,
}

impl Settings for Database {
    fn connect(&self, _environment: &Environment) -> Result<Arc<dyn Source>, ConnectError> {
        Ok(Arc::new(self.sqlite.clone()))
    }
}

#[cfg(test)]
mod tests;
