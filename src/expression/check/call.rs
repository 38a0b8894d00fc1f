//! Filters and the test `none`.

use minijinja::machinery::ast::{CallArg, Expr, Filter as Call, Test};

use super::super::filter::{Filter, UNITS};
use super::super::tree::{Node, Op};
use super::Checker;
use crate::name::nearest;
use crate::schema::Type;
use crate::value::Value;

impl Checker<'_> {
    pub(super) fn filter(&mut self, expr: &Expr<'_>, call: &Call<'_>) -> Option<Node> {
        let input = match &call.expr {
            Some(input) => self.boxed(input),
            None => None,
        };
        self.call(expr, call, input)
    }

    fn call(&mut self, expr: &Expr<'_>, call: &Call<'_>, input: Option<Box<Node>>) -> Option<Node> {
        let Some(filter) = Filter::named(call.name) else {
            self.arguments(expr, &call.args);
            let help = match nearest(call.name, Filter::names()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are {}", Filter::names().collect::<Vec<_>>().join(", ")),
            };
            return self.refuse(expr, "there is no such filter", Some(&help));
        };
        let arguments = match filter {
            Filter::DateAdd => self.units(expr, &call.args),
            _ => self.arguments(expr, &call.args),
        };
        let (input, arguments) = (input?, arguments?);
        if !filter.takes(arguments.len()) {
            let message = format!("`{}` takes another number of arguments", filter.name());
            let help = format!("as in `| {}`", filter.usage());
            return self.refuse(expr, &message, Some(&help));
        }
        match filter.result(&input, &arguments) {
            Ok(of) => {
                let op = Op::Filter(filter, input, arguments);
                Some(self.made(expr, op, of))
            }
            Err(message) => {
                let help = format!("as in `| {}`", filter.usage());
                self.refuse(expr, &message, Some(&help))
            }
        }
    }

    fn arguments(&mut self, expr: &Expr<'_>, arguments: &[CallArg<'_>]) -> Option<Vec<Node>> {
        let mut nodes = Some(Vec::new());
        for argument in arguments {
            let node = match argument {
                CallArg::Pos(value) => self.node(value),
                CallArg::Kwarg(_, value) => {
                    self.node(value);
                    self.refuse(expr, "this filter's arguments have no names", None)
                }
                CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                    self.node(value);
                    self.refuse(expr, "`*` and `**` can't stand before an argument", None)
                }
            };
            match (node, &mut nodes) {
                (Some(node), Some(nodes)) => nodes.push(node),
                (None, _) => nodes = None,
                (Some(_), None) => {}
            }
        }
        nodes
    }

    /// The arguments of `date_add`, each once and by its name.
    fn units(&mut self, expr: &Expr<'_>, arguments: &[CallArg<'_>]) -> Option<Vec<Node>> {
        let mut given: [Option<Node>; 4] = [None, None, None, None];
        let mut fine = !arguments.is_empty();
        for argument in arguments {
            let (name, value) = match argument {
                CallArg::Kwarg(name, value) => (*name, value),
                CallArg::Pos(value) | CallArg::PosSplat(value) | CallArg::KwargSplat(value) => {
                    ("", value)
                }
            };
            let node = self.node(value);
            let slot = UNITS.iter().position(|unit| *unit == name);
            match (slot.and_then(|slot| given.get_mut(slot)), node) {
                (Some(slot @ None), Some(node)) => *slot = Some(node),
                (Some(_), None) => return None,
                _ => fine = false,
            }
        }
        if !fine {
            let help = format!("as in `| {}`", Filter::DateAdd.usage());
            let message = "`date_add` takes `days`, `hours`, `minutes` and `seconds`, each by its name and at most once";
            return self.refuse(expr, message, Some(&help));
        }
        let zero = self.made(expr, Op::Literal(Value::Integer(0)), Type::Integer);
        Some(given.into_iter().map(|node| node.unwrap_or_else(|| zero.clone())).collect())
    }

    pub(super) fn test(&mut self, expr: &Expr<'_>, test: &Test<'_>) -> Option<Node> {
        let inner = self.node(&test.expr);
        if test.name != "none" || !test.args.is_empty() {
            return self.refuse(
                expr,
                "the only test is `none`",
                Some("as in `x is none` and `x is not none`"),
            );
        }
        let inner = inner?;
        if inner.of == Type::Unknown {
            return self.refuse(expr, "a value of undeclared type can only be used whole", None);
        }
        Some(self.made(expr, Op::IsNone(Box::new(inner)), Type::Boolean))
    }
}
