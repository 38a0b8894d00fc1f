//! Operators, comparisons and `if`.

use minijinja::machinery::ast::{BinOp, BinOpKind, Compare, CompareOpKind, Expr, IfExpr};

use super::super::tree::{Arithmetic, Comparison, Node, Op};
use super::Checker;
use crate::schema::{Type, unify};

impl Checker<'_> {
    pub(super) fn binary(&mut self, expr: &Expr<'_>, binary: &BinOp<'_>) -> Option<Node> {
        if let BinOpKind::Sub = binary.op
            && self.is_alias_with_dash(binary)
        {
            return self.refuse::<Node>(
                expr,
                "this is a subtraction of a name that doesn't exist",
                Some("names in expressions have no `-`: use the declared name of the parameter, not its alias"),
            );
        }
        let left = self.boxed(&binary.left);
        let right = self.boxed(&binary.right);
        self.combine(expr, binary.op, left?, right?)
    }

    #[expect(clippy::boxed_local, reason = "what recurses keeps its frames small")]
    fn combine(
        &mut self,
        expr: &Expr<'_>,
        op: BinOpKind,
        left: Box<Node>,
        right: Box<Node>,
    ) -> Option<Node> {
        let (left, right) = (*left, *right);
        match op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let (left, right) = (self.boolean(left), self.boolean(right));
                let (left, right) = (Box::new(left?), Box::new(right?));
                let op = match op {
                    BinOpKind::ScAnd => Op::And(left, right),
                    _ => Op::Or(left, right),
                };
                Some(self.made(expr, op, Type::Boolean))
            }
            BinOpKind::Eq => self.comparison(expr, Comparison::Equal, left, right),
            BinOpKind::Ne => self.comparison(expr, Comparison::Unequal, left, right),
            BinOpKind::Lt => self.comparison(expr, Comparison::Less, left, right),
            BinOpKind::Lte => self.comparison(expr, Comparison::LessOrEqual, left, right),
            BinOpKind::Gt => self.comparison(expr, Comparison::Greater, left, right),
            BinOpKind::Gte => self.comparison(expr, Comparison::GreaterOrEqual, left, right),
            BinOpKind::Add => self.arithmetic(expr, Arithmetic::Add, left, right),
            BinOpKind::Sub => self.arithmetic(expr, Arithmetic::Subtract, left, right),
            BinOpKind::Mul => self.arithmetic(expr, Arithmetic::Multiply, left, right),
            BinOpKind::Div => self.arithmetic(expr, Arithmetic::Divide, left, right),
            BinOpKind::FloorDiv => self.arithmetic(expr, Arithmetic::FloorDivide, left, right),
            BinOpKind::Rem => self.arithmetic(expr, Arithmetic::Remainder, left, right),
            BinOpKind::Concat => {
                let (left, right) = (self.with_text(left), self.with_text(right));
                let op = Op::Concatenate(Box::new(left?), Box::new(right?));
                Some(self.made(expr, op, Type::String))
            }
            BinOpKind::In => self.contained(expr, left, right),
            BinOpKind::Pow => self.refuse(expr, "`**` can't be used", None),
        }
    }

    /// Whether it is `params.git-url`, where `url` is no name.
    fn is_alias_with_dash(&self, binary: &BinOp<'_>) -> bool {
        let Expr::GetAttr(left) = &binary.left else { return false };
        let params = matches!(&left.expr, Expr::Var(var) if var.id == "params");
        let mut right = &binary.right;
        let right = loop {
            match right {
                Expr::Filter(filter) => match &filter.expr {
                    Some(inner) => right = inner,
                    None => break None,
                },
                Expr::GetAttr(attribute) => right = &attribute.expr,
                Expr::Var(var) => break Some(var.id),
                _ => break None,
            }
        };
        params
            && right.is_some_and(|id| {
                !matches!(id, "environment" | "pipeline" | "params" | "run" | "matrix")
            })
    }

    pub(super) fn chain(&mut self, expr: &Expr<'_>, compare: &Compare<'_>) -> Option<Node> {
        let first = self.node(&compare.expr);
        let rest: Vec<Option<Node>> = compare.ops.iter().map(|op| self.node(&op.expr)).collect();
        let first = first?;
        let rest: Vec<Node> = rest.into_iter().collect::<Option<_>>()?;
        let mut links = Vec::with_capacity(rest.len());
        for (op, node) in compare.ops.iter().zip(rest) {
            let how = match op.op {
                CompareOpKind::Eq => Comparison::Equal,
                CompareOpKind::Ne => Comparison::Unequal,
                CompareOpKind::Lt => Comparison::Less,
                CompareOpKind::Lte => Comparison::LessOrEqual,
                CompareOpKind::Gt => Comparison::Greater,
                CompareOpKind::Gte => Comparison::GreaterOrEqual,
                CompareOpKind::In | CompareOpKind::NotIn => {
                    return self.refuse(
                        expr,
                        "`in` can't be chained with other comparisons",
                        Some("put brackets around one of them"),
                    );
                }
            };
            let left = links.last().map_or(&first, |(_, node)| node);
            if let Err(message) = comparable(how, left, &node) {
                return self.refuse(expr, &message, None);
            }
            links.push((how, node));
        }
        Some(self.made(expr, Op::Compare(Box::new(first), links), Type::Boolean))
    }

    fn comparison(
        &mut self,
        expr: &Expr<'_>,
        how: Comparison,
        left: Node,
        right: Node,
    ) -> Option<Node> {
        if let Err(message) = comparable(how, &left, &right) {
            return self.refuse(expr, &message, None);
        }
        let op = Op::Compare(Box::new(left), vec![(how, right)]);
        Some(self.made(expr, op, Type::Boolean))
    }

    fn contained(&mut self, expr: &Expr<'_>, item: Node, whole: Node) -> Option<Node> {
        let fits = match whole.of.plain() {
            Type::String => *item.of.plain() == Type::String,
            Type::Array(_) if is_empty_list(&whole) => item.of.is_known(),
            Type::Array(inner) => unify(&item.of, inner).is_some_and(|both| both.is_known()),
            Type::Unknown => false,
            other => {
                let message =
                    format!("`in` looks into arrays and text, and this is: {}", other.words());
                return self.refuse(expr, &message, None);
            }
        };
        if !fits {
            let message = differ("in", &item.of, &whole.of);
            return self.refuse(expr, &message, None);
        }
        Some(self.made(expr, Op::In(Box::new(item), Box::new(whole)), Type::Boolean))
    }

    fn arithmetic(
        &mut self,
        expr: &Expr<'_>,
        how: Arithmetic,
        left: Node,
        right: Node,
    ) -> Option<Node> {
        let of = match (left.of.plain(), right.of.plain()) {
            (Type::Integer, Type::Integer) if how != Arithmetic::Divide => Some(Type::Integer),
            (Type::Integer | Type::Number, Type::Integer | Type::Number) => Some(Type::Number),
            (Type::Array(_), Type::Array(_)) if how == Arithmetic::Add => {
                unify_nodes(&left, &right).map(|both| both.plain().clone())
            }
            _ => None,
        };
        let Some(of) = of else {
            let both = |of: &Type| *left.of.plain() == *of && *right.of.plain() == *of;
            let help = both(&Type::String).then_some("texts are put together with `~`");
            let lists = if how == Arithmetic::Add { " and lists of one type" } else { "" };
            let message = format!(
                "`{}` is for numbers{lists}, and these are: {} and {}",
                how.sign(),
                left.of.words(),
                right.of.words()
            );
            return self.refuse(expr, &message, help);
        };
        let op = Op::Arithmetic(how, Box::new(left), Box::new(right));
        Some(self.made(expr, op, of))
    }

    pub(super) fn negate(&mut self, expr: &Expr<'_>, inner: Box<Node>) -> Option<Node> {
        let of = inner.of.plain().clone();
        if !matches!(of, Type::Integer | Type::Number) {
            let message = format!("`-` is for numbers, and this is: {}", of.words());
            return self.refuse(expr, &message, None);
        }
        Some(self.made(expr, Op::Negate(inner), of))
    }

    pub(super) fn choice(&mut self, expr: &Expr<'_>, choice: &IfExpr<'_>) -> Option<Node> {
        let value = self.boxed(&choice.true_expr);
        let test = self.boxed(&choice.test_expr);
        let Some(other) = &choice.false_expr else {
            return self.refuse(
                expr,
                "an `if` needs an `else`",
                Some("`value if condition else none` gives null where it doesn't hold"),
            );
        };
        let other = self.boxed(other);
        self.choose(expr, value?, test?, other?)
    }

    #[expect(clippy::boxed_local, reason = "what recurses keeps its frames small")]
    fn choose(
        &mut self,
        expr: &Expr<'_>,
        value: Box<Node>,
        test: Box<Node>,
        other: Box<Node>,
    ) -> Option<Node> {
        let test = self.boolean(*test)?;
        let of = match (&value.of, &other.of) {
            (Type::Null, of) | (of, Type::Null) if *of != Type::Unknown => {
                Some(of.clone().nullable())
            }
            _ => unify_nodes(&value, &other),
        };
        let Some(of) = of else {
            let message = differ("if", &value.of, &other.of);
            return self.refuse(expr, &message, None);
        };
        let op = Op::If { test: Box::new(test), value, other };
        Some(self.made(expr, op, of))
    }
}

/// As [`unify`]; an empty list is of the other's type.
pub(in super::super) fn unify_nodes(left: &Node, right: &Node) -> Option<Type> {
    match (left.of.plain(), right.of.plain()) {
        (Type::Array(_), Type::Array(_)) if is_empty_list(left) => Some(right.of.clone()),
        (Type::Array(_), Type::Array(_)) if is_empty_list(right) => Some(left.of.clone()),
        _ => unify(&left.of, &right.of),
    }
}

fn is_empty_list(node: &Node) -> bool {
    matches!(&node.op, Op::List(items) if items.is_empty())
}

fn comparable(how: Comparison, left: &Node, right: &Node) -> Result<(), String> {
    let both = unify_nodes(left, right).filter(Type::is_known);
    let Some(both) = both else { return Err(differ(how.sign(), &left.of, &right.of)) };
    let ordered = matches!(both.plain(), Type::Integer | Type::Number | Type::String);
    if how.is_equality() || ordered {
        return Ok(());
    }
    Err(format!("`{}` is for numbers and text, and these are: {}", how.sign(), both.words()))
}

fn differ(sign: &str, left: &Type, right: &Type) -> String {
    if left.is_known() && right.is_known() {
        return format!(
            "the two sides of `{sign}` differ in type: {} and {}",
            left.words(),
            right.words()
        );
    }
    format!(
        "`{sign}` can't be used where a type isn't declared: such a value can only be used whole"
    )
}
