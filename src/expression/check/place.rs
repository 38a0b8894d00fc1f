//! Names, properties and indexes.

use minijinja::machinery::ast::{Expr, GetAttr, GetItem};

use super::super::tree::{Name, Node, Op};
use super::Checker;
use crate::name::{MatrixName, ParameterName, nearest};
use crate::schema::{ObjectType, Type, unify};
use crate::value::Value;

const IN_SCOPE: &str =
    "in scope are `params.NAME`, `environment`, `pipeline`, `run` and, in steps, `matrix.NAME`";
const RUN: &str = "`run` has `id`, `attempt`, `started_at` and `logical_date`";

impl Checker<'_> {
    pub(super) fn variable(&mut self, expr: &Expr<'_>, id: &str) -> Option<Node> {
        match id {
            "environment" => {
                self.references.environment = true;
                Some(self.named(expr, Name::Environment, Type::String, "environment"))
            }
            "pipeline" => {
                self.references.pipeline = true;
                Some(self.named(expr, Name::Pipeline, Type::String, "pipeline"))
            }
            "params" => {
                self.refuse(expr, "`params` can't be used whole", Some("name one: `params.NAME`"))
            }
            "run" => self.refuse(expr, "`run` can't be used whole", Some(RUN)),
            "matrix" => {
                self.refuse(expr, "`matrix` can't be used whole", Some("name one: `matrix.NAME`"))
            }
            _ if self.names.parameter(id).is_some() || self.names.parameter_is_broken(id) => {
                let help = format!("a parameter is read as `params.{id}`");
                self.refuse(expr, "there is no such name", Some(&help))
            }
            _ => self.refuse(expr, "there is no such name", Some(IN_SCOPE)),
        }
    }

    pub(super) fn attribute(&mut self, expr: &Expr<'_>, attribute: &GetAttr<'_>) -> Option<Node> {
        match &attribute.expr {
            Expr::Var(var) if var.id == "params" => self.parameter(expr, attribute.name),
            Expr::Var(var) if var.id == "matrix" => self.matrix_item(expr, attribute.name),
            Expr::Var(var) if var.id == "run" => self.run(expr, attribute.name),
            base => {
                let base = self.node(base)?;
                self.property(expr, base, attribute.name)
            }
        }
    }

    fn parameter(&mut self, expr: &Expr<'_>, id: &str) -> Option<Node> {
        let declared = self.names.parameter(id).cloned();
        match (declared, ParameterName::parse(id)) {
            (Some(of), Ok(name)) => {
                self.references.parameters.insert(name.clone());
                Some(self.named(expr, Name::Parameter(name), of, &format!("params.{id}")))
            }
            _ if self.names.parameter_is_broken(id) => None,
            _ => {
                let meant = nearest(id, self.names.parameters())
                    .map(|meant| format!("did you mean `params.{meant}`?"));
                self.refuse(expr, "there is no such parameter", meant.as_deref())
            }
        }
    }

    fn matrix_item(&mut self, expr: &Expr<'_>, id: &str) -> Option<Node> {
        if !self.matrix {
            return self.refuse(
                expr,
                "`matrix` can't be read here",
                Some("it can in a step's `run`, `env` and `files`"),
            );
        }
        let declared = self.names.matrix(id).cloned();
        match (declared, MatrixName::parse(id)) {
            (Some(of), Ok(name)) => {
                self.references.matrix.insert(name.clone());
                Some(self.named(expr, Name::Matrix(name), of, &format!("matrix.{id}")))
            }
            _ if self.names.matrix_is_broken(id) => None,
            _ => self.refuse(
                expr,
                "there is no such matrix list here",
                Some("a step names its lists under `matrix`"),
            ),
        }
    }

    fn run(&mut self, expr: &Expr<'_>, id: &str) -> Option<Node> {
        let path = format!("run.{id}");
        let (name, of) = match id {
            "id" => {
                self.references.run_id = true;
                (Name::RunId, Type::String)
            }
            "attempt" => {
                self.references.run_attempt = true;
                (Name::RunAttempt, Type::Integer)
            }
            "started_at" => {
                self.references.run_started_at = true;
                (Name::RunStartedAt, Type::String)
            }
            "logical_date" => {
                self.references.run_logical_date = true;
                (Name::RunLogicalDate, Type::String)
            }
            _ => return self.refuse(expr, "`run` has no such property", Some(RUN)),
        };
        Some(self.named(expr, name, of, &path))
    }

    fn named(&self, expr: &Expr<'_>, name: Name, of: Type, path: &str) -> Node {
        Node { path: Some(path.to_owned()), ..self.made(expr, Op::Name(name), of) }
    }

    fn property(&mut self, expr: &Expr<'_>, base: Node, name: &str) -> Option<Node> {
        let of = match base.of.plain() {
            Type::Object(object) => match (object.properties.get(name), &object.additional) {
                (Some((of, _)), _) | (None, Some(of)) => of.clone(),
                (None, None) => {
                    let help = undeclared(name, object);
                    return self.refuse(expr, "there is no such property", help.as_deref());
                }
            },
            other => return self.no_inside(expr, other, "a property"),
        };
        let path = base.path.as_ref().map(|path| format!("{path}.{name}"));
        let op = Op::Property(Box::new(base), name.to_owned());
        Some(Node { path, ..self.made(expr, op, of) })
    }

    fn no_inside(&mut self, expr: &Expr<'_>, of: &Type, what: &str) -> Option<Node> {
        if *of == Type::Unknown {
            return self.refuse(
                expr,
                "a value of undeclared type can only be used whole",
                Some("declare its `properties` or `items`"),
            );
        }
        self.refuse(expr, &format!("this has not got {what}: {}", of.words()), None)
    }

    pub(super) fn item(&mut self, expr: &Expr<'_>, item: &GetItem<'_>) -> Option<Node> {
        if let Expr::Var(var) = &item.expr
            && matches!(var.id, "params" | "run" | "matrix")
        {
            let help = format!("write `{}.NAME`", var.id);
            return self.refuse(expr, "a name in scope can't be computed", Some(&help));
        }
        let base = self.node(&item.expr);
        let index = self.node(&item.subscript_expr);
        let (base, index) = (base?, index?);
        if let Op::Literal(Value::String(name)) = &index.op {
            let name = name.clone();
            return self.property(expr, base, &name);
        }
        let of = match (base.of.plain(), index.of.plain()) {
            (Type::Array(item), Type::Integer) => item.as_ref().clone(),
            (Type::Object(object), Type::String) => match any_property(object) {
                Some(of) => of,
                None => {
                    return self.refuse(
                        expr,
                        "the name of a property can't be computed here",
                        Some("its properties aren't all of one declared type"),
                    );
                }
            },
            (Type::Array(_), _) => return self.refuse(expr, "an index is an integer", None),
            (Type::Object(_), _) => {
                return self.refuse(expr, "the name of a property is text", None);
            }
            (other, _) => {
                let other = other.clone();
                return self.no_inside(expr, &other, "items");
            }
        };
        let path = base.path.as_ref().map(|path| match (&index.op, &index.path) {
            (Op::Literal(Value::Integer(place)), _) => format!("{path}[{place}]"),
            (_, Some(index)) => format!("{path}[{index}]"),
            _ => format!("{path}[…]"),
        });
        let op = Op::Index(Box::new(base), Box::new(index));
        Some(Node { path, ..self.made(expr, op, of) })
    }
}

/// The one type of all properties, declared or not.
fn any_property(object: &ObjectType) -> Option<Type> {
    let mut types = object.properties.values().map(|(of, _)| of).chain(object.additional.as_ref());
    let first = types.next()?.clone();
    types.try_fold(first, |of, next| if of == *next { Some(of) } else { unify(&of, next) })
}

fn undeclared(name: &str, object: &ObjectType) -> Option<String> {
    let names = || object.properties.keys().map(String::as_str);
    match nearest(name, names()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if object.properties.is_empty() => None,
        None => Some(format!("declared are {}", names().collect::<Vec<_>>().join(", "))),
    }
}
