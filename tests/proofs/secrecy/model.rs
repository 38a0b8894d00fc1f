//! Pipelines as the proof makes them up: its own types, values and expressions.

use std::collections::BTreeMap;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum V {
    Null,
    Bool(bool),
    Int(i64),
    Num(f64),
    Str(String),
    List(Vec<V>),
    Map(BTreeMap<String, V>),
}

/// A type that a parameter may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum T {
    Str,
    Int,
    Bool,
    Num,
    Strs,
    Ints,
    /// An object with `host` and `port`.
    Obj,
    /// A text or null.
    May,
}

pub(super) const TYPES: [T; 8] =
    [T::Str, T::Int, T::Bool, T::Num, T::Strs, T::Ints, T::Obj, T::May];

impl T {
    /// Its word in addresses, by which the world knows what to answer.
    pub(super) fn tag(self) -> &'static str {
        match self {
            T::Str => "str",
            T::Int => "int",
            T::Bool => "bool",
            T::Num => "num",
            T::Strs => "strs",
            T::Ints => "ints",
            T::Obj => "obj",
            T::May => "may",
        }
    }

    pub(super) fn of_tag(tag: &str) -> T {
        *TYPES.iter().find(|one| one.tag() == tag).expect("a tag of ours")
    }
}

/// An expression. Parameters go by number.
#[derive(Debug, Clone)]
pub(super) enum E {
    Lit(V),
    Param(usize),
    Environment,
    Pipeline,
    RunId,
    RunAttempt,
    RunStarted,
    Matrix,
    List(Vec<E>),
    /// `.host` or `.port`.
    Property(Box<E>, &'static str),
    Index(Box<E>, i64),
    If(Box<E>, Box<E>, Box<E>),
    Not(Box<E>),
    /// `and`, `or`.
    Both(&'static str, Box<E>, Box<E>),
    Compare(&'static str, Box<E>, Box<E>),
    In(Box<E>, Box<E>),
    IsNone(Box<E>),
    Negate(Box<E>),
    Arithmetic(&'static str, Box<E>, Box<E>),
    Join(Box<E>, Box<E>),
    Filter(&'static str, Box<E>, Vec<E>),
    /// `date_add` by days and, where it isn't a date alone, seconds.
    DateAdd(Box<E>, i64, Option<i64>),
}

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(String),
    Expression(E),
}

pub(super) type Template = Vec<Part>;

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Env,
    File,
    Sql,
    Vault,
}

/// A binding to a source.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    pub(super) of: T,
    /// There is no such value.
    pub(super) gone: bool,
    /// The part of an address that varies.
    pub(super) at: Template,
    /// The binds of a query.
    pub(super) binds: Vec<Template>,
    /// A field that the grant declassifies.
    pub(super) public: bool,
}

/// What a layer binds a parameter to.
#[derive(Debug, Clone)]
pub(super) enum Binding {
    Literal(V),
    Template(Template),
    Ask(Ask),
}

/// How far up a parameter may be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Override {
    Unsaid,
    None,
    Environment,
    Run,
}

/// A parameter, and what each layer binds it to.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) of: T,
    pub(super) secret: Option<bool>,
    pub(super) bindable: Override,
    pub(super) beside_secrets: bool,
    pub(super) choices: Vec<V>,
    pub(super) default: Option<V>,
    pub(super) from: Option<Binding>,
    /// By [`Place`], lowest first.
    pub(super) layers: BTreeMap<Place, Binding>,
}

/// A place in a layer: the file (`None` is `global.yaml`), and whether it stands
/// under the pipeline's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) environment: Option<&'static str>,
    pub(super) own: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) when: Option<E>,
    /// The list of the matrix `m`.
    pub(super) matrix: Option<usize>,
    pub(super) params: Vec<usize>,
    pub(super) run: Vec<Template>,
    pub(super) env: Vec<Template>,
    pub(super) files: Vec<Template>,
}

#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    /// Those that there are.
    pub(super) all: Vec<&'static str>,
    /// Those of them that it may run in.
    pub(super) environments: Vec<&'static str>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) presets: Vec<BTreeMap<usize, V>>,
    pub(super) rules: Vec<E>,
    pub(super) steps: Vec<Step>,
    /// A secret is read where none may be, or stands written out: it must be
    /// refused.
    pub(super) contradicts: bool,
}

/// All parameters that an expression names, in branches not taken too.
pub(super) fn named(expression: &E, found: &mut Vec<usize>) {
    let mut all = |many: &[&E]| many.iter().for_each(|one| named(one, found));
    match expression {
        E::Param(index) => found.push(*index),
        E::Lit(_)
        | E::Environment
        | E::Pipeline
        | E::RunId
        | E::RunAttempt
        | E::RunStarted
        | E::Matrix => {}
        E::List(items) => items.iter().for_each(|item| named(item, found)),
        E::Property(a, _)
        | E::Index(a, _)
        | E::Not(a)
        | E::IsNone(a)
        | E::Negate(a)
        | E::DateAdd(a, ..) => named(a, found),
        E::Both(_, a, b)
        | E::Compare(_, a, b)
        | E::In(a, b)
        | E::Arithmetic(_, a, b)
        | E::Join(a, b) => all(&[a, b]),
        E::If(a, b, c) => all(&[a, b, c]),
        E::Filter(_, a, more) => {
            named(a, found);
            more.iter().for_each(|one| named(one, found));
        }
    }
}

pub(super) fn named_in(template: &Template) -> Vec<usize> {
    let mut found = Vec::new();
    for part in template {
        if let Part::Expression(expression) = part {
            named(expression, &mut found);
        }
    }
    found
}

impl Binding {
    /// What it is computed from, addresses and binds included.
    pub(super) fn named(&self) -> Vec<usize> {
        match self {
            Binding::Literal(_) => Vec::new(),
            Binding::Template(template) => named_in(template),
            Binding::Ask(ask) => ask.binds.iter().chain([&ask.at]).flat_map(named_in).collect(),
        }
    }
}

impl Parameter {
    /// The bindings of all layers and environments.
    pub(super) fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.from.iter().chain(self.layers.values())
    }
}
