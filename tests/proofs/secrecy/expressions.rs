//! Makes expressions up, of the types that the language gives them.

use super::model::{E, Parameter, Part, T, Template, V};
use crate::draw::Draw;

const TEXTS: [&str; 12] = [
    "a",
    "b-1",
    "x.y",
    "Mixed Case",
    "a,b,a",
    "a/b/c/",
    " pad ",
    "\u{e4}\u{1f600}",
    "it's",
    "50%",
    "",
    "12",
];

/// A value written out.
pub(super) fn literal(draw: &mut Draw<'_>, of: T) -> V {
    let text = |draw: &mut Draw<'_>| V::Str((*draw.pick(&TEXTS)).to_owned());
    let int = |draw: &mut Draw<'_>| V::Int(*draw.pick(&[1, 2, 0, 7, -3, 100, 4_000_000_000]));
    match of {
        T::Str => text(draw),
        T::Int => int(draw),
        T::Bool => V::Bool(!draw.chance(40)),
        T::Num => V::Num(*draw.pick(&[1.5, 0.25, 3.0, -2.5, 1000.125])),
        T::Strs => V::List((0..draw.within(1, 3)).map(|_| text(draw)).collect()),
        T::Ints => V::List((0..draw.within(1, 3)).map(|_| int(draw)).collect()),
        T::Obj => V::Map([("host".into(), text(draw)), ("port".into(), int(draw))].into()),
        T::May if draw.chance(40) => V::Null,
        T::May => text(draw),
    }
}

/// A template over the parameters before.
pub(super) fn template(draw: &mut Draw<'_>, of: T, before: &[Parameter], matrix: bool) -> Template {
    let types: Vec<Option<T>> = before.iter().map(|one| Some(one.of)).collect();
    template_of(draw, of, &types, matrix)
}

/// The same over parameters of these types; those of none may not be read.
pub(super) fn template_of(
    draw: &mut Draw<'_>,
    of: T,
    types: &[Option<T>],
    matrix: bool,
) -> Template {
    if of != T::Str || draw.chance(40) {
        return vec![Part::Expression(of_type(draw, of, 3, types, matrix))];
    }
    let mut parts = Vec::new();
    for _ in 0..draw.within(1, 3) {
        if draw.chance(50) {
            parts.push(Part::Text((*draw.pick(&["x", "-", " / ", "://"])).to_owned()));
        }
        parts.push(Part::Expression(scalar(draw, 2, types, matrix)));
    }
    if parts.len() == 1 {
        // Alone it would keep its type.
        parts.push(Part::Text("!".to_owned()));
    }
    parts
}

fn scalar(draw: &mut Draw<'_>, depth: usize, types: &[Option<T>], matrix: bool) -> E {
    let of = *draw.pick(&[T::Str, T::Str, T::Int, T::Bool, T::Num]);
    of_type(draw, of, depth, types, matrix)
}

/// An expression of a type.
pub(super) fn of_type(
    draw: &mut Draw<'_>,
    of: T,
    depth: usize,
    types: &[Option<T>],
    matrix: bool,
) -> E {
    let mut made = Maker { draw, types, matrix };
    made.expression(of, depth)
}

struct Maker<'d, 'b, 't> {
    draw: &'d mut Draw<'b>,
    types: &'t [Option<T>],
    matrix: bool,
}

impl Maker<'_, '_, '_> {
    fn parameter(&mut self, of: T) -> Option<E> {
        let fit: Vec<usize> =
            (0..self.types.len()).filter(|at| self.types[*at] == Some(of)).collect();
        if fit.is_empty() { None } else { Some(E::Param(*self.draw.pick(&fit))) }
    }

    fn boxed(&mut self, of: T, depth: usize) -> Box<E> {
        Box::new(self.expression(of, depth))
    }

    fn word(&mut self, of: &[&str]) -> E {
        E::Lit(V::Str((*self.draw.pick(of)).to_owned()))
    }

    fn expression(&mut self, of: T, depth: usize) -> E {
        if depth == 0 || self.draw.chance(35) {
            return self.leaf(of);
        }
        let below = depth - 1;
        if self.draw.chance(15) {
            let test = self.boxed(T::Bool, below);
            let (a, b) = match of {
                T::Obj => match (self.parameter(of), self.parameter(of)) {
                    (Some(a), Some(b)) => (Box::new(a), Box::new(b)),
                    _ => return self.leaf(of),
                },
                T::May => (self.boxed(T::Str, below), Box::new(E::Lit(V::Null))),
                _ => (self.boxed(of, below), self.boxed(of, below)),
            };
            return E::If(test, a, b);
        }
        match of {
            T::Str => self.text(below),
            T::Int => self.integer(below),
            T::Bool => self.boolean(below),
            T::Num => self.number(below),
            T::Strs => self.texts(below),
            T::Ints => self.integers(below),
            T::Obj | T::May => self.leaf(of),
        }
    }

    fn leaf(&mut self, of: T) -> E {
        if self.draw.chance(75)
            && let Some(one) = self.parameter(of)
        {
            return one;
        }
        match of {
            T::Str => match self.draw.below(12) {
                1 | 2 => E::Environment,
                3 => E::Pipeline,
                4 => E::RunStarted,
                5 if self.draw.chance(20) => E::RunId,
                6 | 7 if self.matrix => E::Join(Box::new(E::Matrix), Box::new(self.word(&[""]))),
                _ => E::Lit(literal(self.draw, of)),
            },
            T::Int if self.draw.chance(20) => E::RunAttempt,
            // An object can't be written out, and null alone has a type of its own.
            T::Obj | T::May => match self.parameter(of) {
                Some(one) => one,
                None if of == T::May => E::If(
                    Box::new(E::Lit(V::Bool(true))),
                    Box::new(E::Lit(V::Str("x".into()))),
                    Box::new(E::Lit(V::Null)),
                ),
                // Of any type: the whole is refused, which is a case too.
                None => E::Lit(V::Int(0)),
            },
            _ => E::Lit(literal(self.draw, of)),
        }
    }

    fn text(&mut self, depth: usize) -> E {
        match self.draw.below(16) {
            0 => {
                let name = *self.draw.pick(&["lower", "upper", "trim", "basename", "b64"]);
                E::Filter(name, self.boxed(T::Str, depth), Vec::new())
            }
            1 => {
                let (from, to) = (self.word(&["a", "b", "/", "-"]), self.word(&["_", "", "aa"]));
                E::Filter("replace", self.boxed(T::Str, depth), vec![from, to])
            }
            2 | 3 => {
                let of = *self.draw.pick(&[T::Strs, T::Ints]);
                let between = self.word(&[",", "", "-"]);
                E::Filter("join", self.boxed(of, depth), vec![between])
            }
            4 => {
                let of = *self.draw.pick(&[T::Str, T::Int, T::Bool, T::Num]);
                E::Filter("urlencode", self.boxed(of, depth), Vec::new())
            }
            5 | 6 => {
                let of = *self.draw.pick(&[T::Strs, T::Str, T::Ints, T::Bool, T::Int, T::Num]);
                let object = self.parameter(T::Obj).map(Box::new);
                let inner = match object {
                    Some(object) if self.draw.chance(50) => object,
                    _ => self.boxed(of, depth),
                };
                E::Filter("json", inner, Vec::new())
            }
            7 => {
                let name = *self.draw.pick(&["first", "last"]);
                E::Filter(name, self.boxed(T::Strs, depth), Vec::new())
            }
            8 => {
                let stand_in = self.expression(T::Str, depth);
                E::Filter("default", self.boxed(T::May, depth), vec![stand_in])
            }
            9 => match self.parameter(T::Obj) {
                Some(object) => E::Property(Box::new(object), "host"),
                None => self.leaf(T::Str),
            },
            10 => match self.parameter(T::Strs) {
                Some(list) => E::Index(Box::new(list), *self.draw.pick(&[0, -1, 1])),
                None => self.leaf(T::Str),
            },
            11 => self.date(),
            12 => {
                let date = Box::new(self.date());
                let pattern = self.word(&["%Y-%m", "%j", "%d %H:%M:%S", "x%Y"]);
                E::Filter("date_format", date, vec![pattern])
            }
            _ => {
                let of = *self.draw.pick(&[T::Str, T::Int, T::Bool, T::Num]);
                let (a, b) = (self.boxed(T::Str, depth), self.boxed(of, depth));
                if self.draw.chance(50) { E::Join(a, b) } else { E::Join(b, a) }
            }
        }
    }

    fn date(&mut self) -> E {
        let days = *self.draw.pick(&[1, -1, 30, 366, -800]);
        match self.draw.below(3) {
            0 => E::DateAdd(Box::new(self.word(&["2024-02-28", "1999-12-31"])), days, None),
            1 => {
                let seconds = *self.draw.pick(&[1, -1, 86_399, -100_000]);
                let from = self.word(&["2024-02-28T23:59:59Z", "2000-01-01T00:00:00.5+02:00"]);
                E::DateAdd(Box::new(from), days, Some(seconds))
            }
            _ => E::DateAdd(Box::new(E::RunStarted), days, Some(5)),
        }
    }

    fn integer(&mut self, depth: usize) -> E {
        match self.draw.below(10) {
            0 | 1 => {
                let of = *self.draw.pick(&[T::Str, T::Strs, T::Ints]);
                let inner = match self.parameter(T::Obj) {
                    Some(object) if self.draw.chance(30) => Box::new(object),
                    _ => self.boxed(of, depth),
                };
                E::Filter("length", inner, Vec::new())
            }
            2 => E::Negate(self.boxed(T::Int, depth)),
            3 => match self.parameter(T::Obj) {
                Some(object) => E::Property(Box::new(object), "port"),
                None => self.leaf(T::Int),
            },
            4 => E::Filter("first", self.boxed(T::Ints, depth), Vec::new()),
            5 => match self.parameter(T::Ints) {
                Some(list) => E::Index(Box::new(list), *self.draw.pick(&[0, -1, 1])),
                None => self.leaf(T::Int),
            },
            _ => {
                let how = *self.draw.pick(&["+", "-", "*", "//", "%"]);
                E::Arithmetic(how, self.boxed(T::Int, depth), self.boxed(T::Int, depth))
            }
        }
    }

    fn boolean(&mut self, depth: usize) -> E {
        match self.draw.below(8) {
            0 => E::Not(self.boxed(T::Bool, depth)),
            1 | 2 => {
                let how = *self.draw.pick(&["and", "or"]);
                E::Both(how, self.boxed(T::Bool, depth), self.boxed(T::Bool, depth))
            }
            3 => E::In(self.boxed(T::Str, depth), self.boxed(T::Strs, depth)),
            4 => E::In(self.boxed(T::Str, depth), self.boxed(T::Str, depth)),
            5 => match self.parameter(T::May) {
                Some(one) if self.draw.chance(50) => E::IsNone(Box::new(one)),
                Some(one) => E::Compare("==", Box::new(one), Box::new(E::Lit(V::Null))),
                None => self.leaf(T::Bool),
            },
            _ => {
                let (a, b) = *self.draw.pick(&[
                    (T::Str, T::Str),
                    (T::Int, T::Int),
                    (T::Int, T::Num),
                    (T::Num, T::Num),
                ]);
                let how = *self.draw.pick(&["==", "!=", "<", "<=", ">", ">="]);
                E::Compare(how, self.boxed(a, depth), self.boxed(b, depth))
            }
        }
    }

    fn number(&mut self, depth: usize) -> E {
        let (how, a, b) = *self.draw.pick(&[
            ("/", T::Int, T::Int),
            ("+", T::Num, T::Int),
            ("*", T::Num, T::Num),
            ("//", T::Num, T::Int),
            ("%", T::Int, T::Num),
        ]);
        E::Arithmetic(how, self.boxed(a, depth), self.boxed(b, depth))
    }

    fn texts(&mut self, depth: usize) -> E {
        match self.draw.below(6) {
            0 => {
                let list = (0..self.draw.within(1, 3)).map(|_| self.expression(T::Str, depth));
                E::List(list.collect())
            }
            1 => {
                let at = if self.draw.chance(60) {
                    vec![self.word(&[",", "-", "/"])]
                } else {
                    Vec::new()
                };
                E::Filter("split", self.boxed(T::Str, depth), at)
            }
            2 => E::Filter("sort", self.boxed(T::Strs, depth), Vec::new()),
            3 => E::Filter("unique", self.boxed(T::Strs, depth), Vec::new()),
            4 => {
                let (of, name) = (*self.draw.pick(&[T::Strs, T::Ints]), self.word(&["--x", "-n"]));
                E::Filter("flag", self.boxed(of, depth), vec![name])
            }
            _ => E::Arithmetic("+", self.boxed(T::Strs, depth), self.boxed(T::Strs, depth)),
        }
    }

    fn integers(&mut self, depth: usize) -> E {
        match self.draw.below(4) {
            0 => {
                let list = (0..self.draw.within(1, 3)).map(|_| self.expression(T::Int, depth));
                E::List(list.collect())
            }
            1 => E::Filter("sort", self.boxed(T::Ints, depth), Vec::new()),
            2 => E::Filter("unique", self.boxed(T::Ints, depth), Vec::new()),
            _ => E::Arithmetic("+", self.boxed(T::Ints, depth), self.boxed(T::Ints, depth)),
        }
    }
}
