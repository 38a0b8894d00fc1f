//! The closed list of filters: their arguments and the types of their results.

pub(super) mod apply;

use super::date;
use super::tree::{Node, Op};
use crate::schema::{Type, unify};
use crate::value::Value;

/// A filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Lower,
    Upper,
    Trim,
    Replace,
    Split,
    Join,
    Length,
    First,
    Last,
    Sort,
    Unique,
    Default,
    Urlencode,
    Json,
    B64,
    Basename,
    /// Its arguments are always days, hours, minutes and seconds, in that order.
    DateAdd,
    DateFormat,
    Flag,
}

/// What a filter is called, and how few and how many arguments it takes.
struct Signature {
    name: &'static str,
    filter: Filter,
    least: usize,
    most: usize,
    usage: &'static str,
}

const fn takes(
    name: &'static str,
    filter: Filter,
    (least, most): (usize, usize),
    usage: &'static str,
) -> Signature {
    Signature { name, filter, least, most, usage }
}

const SIGNATURES: [Signature; 19] = [
    takes("lower", Filter::Lower, (0, 0), "lower"),
    takes("upper", Filter::Upper, (0, 0), "upper"),
    takes("trim", Filter::Trim, (0, 0), "trim"),
    takes("replace", Filter::Replace, (2, 2), "replace('from', 'to')"),
    takes("split", Filter::Split, (0, 1), "split(',')"),
    takes("join", Filter::Join, (0, 1), "join(',')"),
    takes("length", Filter::Length, (0, 0), "length"),
    takes("first", Filter::First, (0, 0), "first"),
    takes("last", Filter::Last, (0, 0), "last"),
    takes("sort", Filter::Sort, (0, 0), "sort"),
    takes("unique", Filter::Unique, (0, 0), "unique"),
    takes("default", Filter::Default, (1, 1), "default('x')"),
    takes("urlencode", Filter::Urlencode, (0, 0), "urlencode"),
    takes("json", Filter::Json, (0, 0), "json"),
    takes("b64", Filter::B64, (0, 0), "b64"),
    takes("basename", Filter::Basename, (0, 0), "basename"),
    takes("date_add", Filter::DateAdd, (4, 4), "date_add(days=1, hours=0, minutes=0, seconds=0)"),
    takes("date_format", Filter::DateFormat, (1, 1), "date_format('%Y-%m-%d')"),
    takes("flag", Filter::Flag, (1, 1), "flag('--name')"),
];

/// What `date_add` may be given, in the order of its arguments.
pub(super) const UNITS: [&str; 4] = ["days", "hours", "minutes", "seconds"];

impl Filter {
    /// The filter of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        SIGNATURES.iter().find(|one| one.name == name).map(|one| one.filter)
    }

    /// The names of all filters.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        SIGNATURES.iter().map(|one| one.name)
    }

    fn signature(self) -> Option<&'static Signature> {
        SIGNATURES.iter().find(|one| one.filter == self)
    }

    /// How it is used.
    pub(super) fn usage(self) -> &'static str {
        self.signature().map_or("", |one| one.usage)
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        self.signature().map_or("", |one| one.name)
    }

    /// Whether it takes so many arguments.
    pub(super) fn takes(self, count: usize) -> bool {
        self.signature().is_some_and(|one| (one.least..=one.most).contains(&count))
    }

    /// The type of its result.
    ///
    /// # Errors
    /// What it is for, where the input or an argument isn't that.
    pub(super) fn result(self, input: &Node, arguments: &[Node]) -> Result<Type, String> {
        self.check_arguments(arguments)?;
        let of = input.of.plain();
        let item = match of {
            Type::Array(item) => Some(item.as_ref()),
            _ => None,
        };
        let result = match self {
            Self::Lower | Self::Upper | Self::Trim | Self::Replace | Self::Basename
                if *of == Type::String =>
            {
                Some(Type::String)
            }
            Self::DateAdd | Self::DateFormat if *of == Type::String => Some(Type::String),
            Self::Split if *of == Type::String => Some(Type::Array(Box::new(Type::String))),
            Self::Join if item.is_some_and(Type::has_text) => Some(Type::String),
            Self::Length if matches!(of, Type::String | Type::Array(_) | Type::Object(_)) => {
                Some(Type::Integer)
            }
            Self::First | Self::Last => item.cloned(),
            Self::Sort => item
                .filter(|item| matches!(item, Type::Integer | Type::Number | Type::String))
                .map(|_| of.clone()),
            Self::Unique => item.filter(|item| item.has_text()).map(|_| of.clone()),
            Self::Default => return default_result(input, arguments),
            Self::Urlencode if of.has_text() => Some(Type::String),
            Self::Json if !matches!(of, Type::Unknown | Type::Bytes) => Some(Type::String),
            Self::B64 if matches!(of, Type::String | Type::Bytes) => Some(Type::String),
            Self::Flag if item.is_some_and(Type::has_text) => {
                Some(Type::Array(Box::new(Type::String)))
            }
            _ => None,
        };
        result.ok_or_else(|| {
            format!("`{}` is for {}, and this is: {}", self.name(), self.input(), of.words())
        })
    }

    fn check_arguments(self, arguments: &[Node]) -> Result<(), String> {
        let wanted = match self {
            Self::Replace | Self::Split | Self::Join | Self::DateFormat | Self::Flag => {
                Type::String
            }
            Self::DateAdd => Type::Integer,
            _ => return Ok(()),
        };
        let name = self.name();
        if let Some(wrong) = arguments.iter().find(|argument| *argument.of.plain() != wanted) {
            let words = wrong.of.words();
            return Err(format!("`{name}` takes {}s, and this is: {words}", wanted.words()));
        }
        match (self, arguments) {
            (Self::DateFormat, [Node { op: Op::Literal(Value::String(pattern)), .. }])
                if !date::is_pattern(pattern) =>
            {
                Err("`date_format` knows %Y %m %d %H %M %S %j %% and no other".to_owned())
            }
            (
                Self::Replace | Self::Split,
                [Node { op: Op::Literal(Value::String(text)), .. }, ..],
            ) if text.is_empty() => {
                Err(format!("`{name}` needs a text to look for, and this is empty"))
            }
            _ => Ok(()),
        }
    }

    /// What it is for.
    fn input(self) -> &'static str {
        match self {
            Self::Lower | Self::Upper | Self::Trim | Self::Replace => "text",
            Self::Split | Self::Basename => "text",
            Self::DateAdd | Self::DateFormat => "dates and times as text",
            Self::Join | Self::Flag | Self::Unique => "arrays of text, numbers or booleans",
            Self::Length => "text, arrays and objects",
            Self::First | Self::Last => "arrays",
            Self::Sort => "arrays of text or numbers without null",
            Self::Default => "what can be null",
            Self::Urlencode => "text, numbers and booleans",
            Self::Json => "values of a declared type that aren't bytes",
            Self::B64 => "text and bytes",
        }
    }
}

fn default_result(input: &Node, arguments: &[Node]) -> Result<Type, String> {
    let [stand_in] = arguments else { return Err(String::new()) };
    let result = match (&input.of, &stand_in.of) {
        (Type::Unknown, _) | (_, Type::Unknown) => None,
        (Type::Null, other) => Some(other.clone()),
        _ => super::check::unify_nodes(input, stand_in).map(|both| match &stand_in.of {
            Type::Nullable(_) | Type::Null => both,
            _ => both.plain().clone(),
        }),
    };
    result.or_else(|| unify(&input.of, &stand_in.of)).ok_or_else(|| {
        format!(
            "the value that `default` puts in place of null is of another type: {} and {}",
            input.of.plain().words(),
            stand_in.of.words()
        )
    })
}
