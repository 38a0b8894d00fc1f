//! The parser's tree to our own: every node is listed, typed and checked here,
//! and whatever isn't listed is refused.

mod call;
mod operator;
mod place;

use minijinja::machinery::ast::{Expr, UnaryOp, UnaryOpKind};
use minijinja::value::ValueKind;

use super::tree::{Node, Op};
use super::{CompileError, Names, References, parse};
use crate::schema::{Type, unify};
use crate::value::Value;

pub(super) use operator::unify_nodes;

/// Checks the expressions of one text.
pub(super) struct Checker<'a> {
    names: &'a dyn Names,
    /// Whether `matrix` may be read.
    matrix: bool,
    /// The expression at hand, and where in the text it begins.
    source: String,
    base: usize,
    references: References,
    errors: Vec<CompileError>,
}

impl<'a> Checker<'a> {
    /// A checker; `matrix` says whether `matrix.NAME` can stand there.
    pub(super) fn new(names: &'a dyn Names, matrix: bool) -> Self {
        Self {
            names,
            matrix,
            source: String::new(),
            base: 0,
            references: References::default(),
            errors: Vec::new(),
        }
    }

    /// What was built of the checked nodes, and what they read.
    ///
    /// # Errors
    /// All that was wrong; nothing where they only read what is broken.
    pub(super) fn finish<T>(self, built: Option<T>) -> Result<(T, References), Vec<CompileError>> {
        match built {
            Some(built) if self.errors.is_empty() => Ok((built, self.references)),
            _ => Err(self.errors),
        }
    }

    /// An expression that begins at a byte of the text.
    pub(super) fn expression(&mut self, source: &str, at: usize) -> Option<Node> {
        source.clone_into(&mut self.source);
        self.base = at;
        match parse::parse(source, at) {
            Ok(expr) => self.node(&expr),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    /// An expression inside a text.
    pub(super) fn text_expression(&mut self, source: &str, at: usize) -> Option<Node> {
        let node = self.expression(source, at)?;
        self.with_text(node)
    }

    /// An expression that has to be a boolean.
    pub(super) fn condition(&mut self, source: &str) -> Option<Node> {
        let node = self.expression(source, 0)?;
        if *node.of.plain() == Type::Boolean {
            return Some(node);
        }
        let start = source.len() - source.trim_start().len();
        self.errors.push(CompileError {
            span: start..start + source.trim().len(),
            message: format!("a condition has to be a boolean, and this is: {}", node.of.words()),
            help: Some("compare it with something".to_owned()),
        });
        None
    }

    /// A node whose value has a text form.
    fn with_text(&mut self, node: Node) -> Option<Node> {
        if node.of.has_text() {
            return Some(node);
        }
        let help = match node.of.plain() {
            Type::Array(_) => "use `| join(' ')` or `| json`",
            Type::Object(_) => "use one of its properties, or `| json`",
            Type::Bytes => "use `| b64`",
            Type::Null => "leave it out",
            _ => "a value of undeclared type can only be used whole, as `{{ … }}` and nothing else",
        };
        let message = format!("a value of this type can't stand in text: {}", node.of.words());
        let at = node.at;
        self.refuse_at(at, message, Some(help.to_owned()))
    }

    fn node(&mut self, expr: &Expr<'_>) -> Option<Node> {
        match expr {
            Expr::Var(var) => self.variable(expr, var.id),
            Expr::Const(constant) => self.constant(expr, &constant.value, false),
            Expr::UnaryOp(unary) => self.unary(expr, unary),
            Expr::BinOp(binary) => self.binary(expr, binary),
            Expr::Compare(compare) => self.chain(expr, compare),
            Expr::IfExpr(choice) => self.choice(expr, choice),
            Expr::Filter(filter) => self.filter(expr, filter),
            Expr::Test(test) => self.test(expr, test),
            Expr::GetAttr(attribute) => self.attribute(expr, attribute),
            Expr::GetItem(item) => self.item(expr, item),
            Expr::List(list) => self.list(expr, &list.items),
            Expr::Slice(slice) => {
                self.node(&slice.expr);
                self.refuse(expr, "slices can't be used", Some("use `first`, `last` or `[index]`"))
            }
            Expr::Call(_) => self.refuse(
                expr,
                "functions and methods can't be called",
                Some("filters are written `value | filter`"),
            ),
            Expr::Map(_) => self.refuse(expr, "maps can't be written", None),
            Expr::Tuple(_) => {
                self.refuse(expr, "tuples can't be written", Some("a list has square brackets"))
            }
        }
    }

    fn unary(&mut self, expr: &Expr<'_>, unary: &UnaryOp<'_>) -> Option<Node> {
        match (&unary.op, &unary.expr) {
            (UnaryOpKind::Neg, Expr::Const(constant)) => self.constant(expr, &constant.value, true),
            (UnaryOpKind::Neg, inner) => {
                let inner = self.boxed(inner)?;
                self.negate(expr, inner)
            }
            (UnaryOpKind::Not, inner) => {
                let inner = self.boxed(inner)?;
                self.not(expr, inner)
            }
        }
    }

    #[expect(clippy::boxed_local, reason = "what recurses keeps its frames small")]
    fn not(&mut self, expr: &Expr<'_>, inner: Box<Node>) -> Option<Node> {
        let inner = self.boolean(*inner)?;
        Some(self.made(expr, Op::Not(Box::new(inner)), Type::Boolean))
    }

    /// A node on the heap: what recurses keeps its frames small.
    fn boxed(&mut self, expr: &Expr<'_>) -> Option<Box<Node>> {
        self.node(expr).map(Box::new)
    }

    fn constant(
        &mut self,
        expr: &Expr<'_>,
        value: &minijinja::Value,
        negated: bool,
    ) -> Option<Node> {
        let (value, of) = match value.kind() {
            ValueKind::None if !negated => (Value::Null, Type::Null),
            ValueKind::Bool if !negated => (Value::Bool(value.is_true()), Type::Boolean),
            ValueKind::String if !negated => {
                (Value::String(value.as_str().unwrap_or_default().to_owned()), Type::String)
            }
            ValueKind::Number if value.is_integer() => {
                let exact = i128::try_from(value.clone()).ok();
                let exact = exact
                    .and_then(|number| i64::try_from(if negated { -number } else { number }).ok());
                match exact {
                    Some(number) => (Value::Integer(number), Type::Integer),
                    None => {
                        return self.refuse(expr, "the integer is beyond 64 bits", None);
                    }
                }
            }
            ValueKind::Number => match f64::try_from(value.clone()) {
                Ok(number) if number.is_finite() => {
                    (Value::Number(if negated { -number } else { number }), Type::Number)
                }
                _ => return self.refuse(expr, "the number is beyond the range of numbers", None),
            },
            _ => return self.refuse(expr, "`-` is for numbers", None),
        };
        Some(self.made(expr, Op::Literal(value), of))
    }

    fn list(&mut self, expr: &Expr<'_>, items: &[Expr<'_>]) -> Option<Node> {
        let nodes: Vec<Option<Node>> = items.iter().map(|item| self.node(item)).collect();
        let nodes: Vec<Node> = nodes.into_iter().collect::<Option<_>>()?;
        let mut of: Option<Type> = None;
        for node in &nodes {
            let next = match &of {
                None if node.of == Type::Unknown => None,
                None => Some(node.of.clone()),
                Some(of) => unify(of, &node.of),
            };
            if next.is_none() {
                return self.refuse_at(
                    node.at,
                    format!("the items of a list have one type, and this is: {}", node.of.words()),
                    None,
                );
            }
            of = next;
        }
        let of = Type::Array(Box::new(of.unwrap_or(Type::Unknown)));
        Some(self.made(expr, Op::List(nodes), of))
    }

    fn boolean(&mut self, node: Node) -> Option<Node> {
        if *node.of.plain() == Type::Boolean {
            return Some(node);
        }
        let words = node.of.words();
        self.refuse_at(
            node.at,
            format!("`and`, `or`, `not` and `if` are for booleans, and this is: {words}"),
            Some("compare it with something, as in `params.n > 0`".to_owned()),
        )
    }

    fn made(&self, expr: &Expr<'_>, op: Op, of: Type) -> Node {
        Node { op, of, at: self.base + self.start(expr), path: None }
    }

    fn refuse<T>(&mut self, expr: &Expr<'_>, message: &str, help: Option<&str>) -> Option<T> {
        let start = self.base + self.start(expr);
        let end = (self.base + expr.span().end_offset as usize).max(start);
        self.errors.push(CompileError {
            span: start..end,
            message: message.to_owned(),
            help: help.map(str::to_owned),
        });
        None
    }

    fn refuse_at<T>(&mut self, at: usize, message: String, help: Option<String>) -> Option<T> {
        // The token that begins there is a good place to point at.
        let rest = self.source.get(at.saturating_sub(self.base)..).unwrap_or_default();
        let token = rest
            .find(|letter: char| !letter.is_alphanumeric() && !"_.".contains(letter))
            .unwrap_or(rest.len())
            .max(rest.chars().next().map_or(0, char::len_utf8));
        self.errors.push(CompileError { span: at..at + token, message, help });
        None
    }

    /// Where a node begins in its expression. The parser's own spans of what has
    /// a left side begin at a token before or after that.
    fn start(&self, expr: &Expr<'_>) -> usize {
        match expr {
            Expr::GetAttr(inner) => self.start(&inner.expr),
            Expr::GetItem(inner) => self.start(&inner.expr),
            Expr::Slice(inner) => self.start(&inner.expr),
            Expr::Call(inner) => self.start(&inner.expr),
            Expr::BinOp(inner) => self.start(&inner.left),
            Expr::Compare(inner) => self.start(&inner.expr),
            Expr::IfExpr(inner) => self.start(&inner.true_expr),
            Expr::Test(inner) => self.start(&inner.expr),
            Expr::Filter(inner) => {
                inner.expr.as_ref().map_or(inner.span().start_offset as usize, |e| self.start(e))
            }
            Expr::UnaryOp(inner) => {
                let own = inner.span().start_offset as usize;
                let rest = self.source.get(own..).unwrap_or_default();
                if rest.starts_with('-') || rest.starts_with("not") {
                    own
                } else {
                    self.start(&inner.expr)
                }
            }
            other => other.span().start_offset as usize,
        }
    }
}
