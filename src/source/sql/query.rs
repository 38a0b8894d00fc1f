//! Finds the `:name` binds of a query, and refuses what isn't one statement with
//! named binds.
//!
//! It knows strings, quoted identifiers, comments, `::` casts and dollar quotes
//! as far as is needed to tell a bind from what only looks like one. What a
//! database then reads differently is caught where the statement is prepared: its
//! binds are counted again there.

mod mysql;

use std::collections::BTreeMap;

/// The most bytes of a query.
const MAX_QUERY: usize = 64 * 1024;
/// What the name of a bind looks like.
pub(super) const BIND_NAME: &str = "1 to 63 of `A-Z a-z 0-9 _`, no digit first";

/// A query that may be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query<'q> {
    /// The binds' names, each with the byte of its first colon.
    pub(super) binds: BTreeMap<&'q str, usize>,
    /// All places of binds, in the order of the text.
    places: Vec<(usize, &'q str)>,
    /// The byte of its `;`, or that after its last.
    end: usize,
}

/// The statement, without a `;`, with `$1` for the first of the binds by name, `$2` for the second.
pub(super) fn numbered(text: &str) -> Result<String, QueryError> {
    let query = parse(text)?;
    let mut numbered = String::with_capacity(text.len() + 4 * query.places.len());
    let mut taken = 0;
    for (at, name) in &query.places {
        let number = query.binds.keys().take_while(|known| *known != name).count() + 1;
        numbered += text.get(taken..*at).unwrap_or_default();
        // Apart from what stands beside it: `a$1` would be a name.
        numbered += &format!(" ${number} ");
        taken = at + 1 + name.len();
    }
    numbered += text.get(taken..query.end).unwrap_or_default();
    Ok(numbered)
}

/// The statement, without a `;`, with a `?` for each bind, and their names in the
/// order of the text. It is one that MySQL reads as we do.
pub(super) fn positional(text: &str) -> Result<(String, Vec<&str>), QueryError> {
    let query = parse_as(text, Dialect::MySql)?;
    let mut positional = String::with_capacity(text.len() + query.places.len());
    let mut names = Vec::with_capacity(query.places.len());
    let mut taken = 0;
    for (at, name) in &query.places {
        positional += text.get(taken..*at).unwrap_or_default();
        positional += " ? ";
        names.push(*name);
        taken = at + 1 + name.len();
    }
    positional += text.get(taken..query.end).unwrap_or_default();
    Ok((positional, names))
}

/// What MySQL would read differently in a query; nothing: all is the same.
pub(super) fn foreign_to_mysql(text: &str) -> Option<&'static str> {
    parse_as(text, Dialect::MySql).err().map(|error| error.problem)
}

/// Why a text isn't a query that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueryError {
    /// From which byte on.
    pub(super) at: usize,
    /// What is wrong.
    pub(super) problem: &'static str,
    /// What to do about it.
    pub(super) help: &'static str,
}

const NAMED: &str = "write `:name`, and give it a value under `bind`";

/// Whose text it is, as far as that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// That of any database.
    Any,
    /// MySQL's, of which what means something else there is refused.
    MySql,
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query<'_>, QueryError> {
    parse_as(text, Dialect::Any)
}

fn parse_as(text: &str, dialect: Dialect) -> Result<Query<'_>, QueryError> {
    if text.len() > MAX_QUERY {
        return Err(error(0, "the query has more than 64 KiB", "make a view of it"));
    }
    if let Some(at) = text.find('\0') {
        return Err(error(at, "the query has a NUL byte", "remove it"));
    }
    let mut lexer = Lexer { text, dialect, at: 0, binds: BTreeMap::new(), places: Vec::new() };
    let mut started = false;
    let mut end = None;
    while lexer.at < text.len() {
        let at = lexer.at;
        match lexer.token()? {
            Token::Blank => {}
            Token::End if started && end.is_none() => end = Some(at),
            Token::End => return Err(error(at, "a statement is empty", "remove the `;`")),
            Token::Word | Token::Other if end.is_some() => {
                return Err(error(at, "a second statement", "one query is one statement"));
            }
            Token::Word if !started => {
                started = true;
                lexer.check_first(at)?;
            }
            Token::Word | Token::Other => started = true,
        }
    }
    if started {
        Ok(Query { binds: lexer.binds, places: lexer.places, end: end.unwrap_or(text.len()) })
    } else {
        Err(error(0, "the query is empty", SELECT))
    }
}

const SELECT: &str = "a query starts with `select`, `with` or `values`";

fn error(at: usize, problem: &'static str, help: &'static str) -> QueryError {
    QueryError { at, problem, help }
}

/// What a piece of the text is, as far as it matters.
enum Token {
    /// White space or a comment.
    Blank,
    /// A word: a keyword, an identifier, a number.
    Word,
    /// A `;`.
    End,
    /// Anything else.
    Other,
}

struct Lexer<'q> {
    text: &'q str,
    dialect: Dialect,
    at: usize,
    binds: BTreeMap<&'q str, usize>,
    places: Vec<(usize, &'q str)>,
}

impl<'q> Lexer<'q> {
    fn rest(&self) -> &'q str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&mut self) -> Result<Token, QueryError> {
        let rest = self.rest();
        if self.dialect == Dialect::MySql
            && let Some((problem, help)) = mysql::foreign(rest)
        {
            return Err(error(self.at, problem, help));
        }
        let mut characters = rest.chars();
        let first = characters.next().unwrap_or_default();
        let second = characters.next().unwrap_or_default();
        match (first, second) {
            _ if first.is_whitespace() => self.pass(Token::Blank, first.len_utf8()),
            ('-', '-') => self.pass(Token::Blank, rest.find('\n').unwrap_or(rest.len())),
            ('/', '*') => self.comment(),
            ('\'' | '"' | '`', _) => self.quoted(first),
            (';', _) => self.pass(Token::End, 1),
            (':', ':') => self.pass(Token::Other, 2),
            (':', _) => self.bind(second),
            ('$', _) => self.dollar(second),
            ('?', _) => Err(error(self.at, "`?` is no bind here", NAMED)),
            ('@', _) if second == '@' || in_word(second) => {
                Err(error(self.at, "`@name` is no bind here", NAMED))
            }
            _ if in_word(first) => {
                // `a$1` is one identifier where databases allow `$` in names.
                let word = rest.find(|c| !in_word(c) && c != '$').unwrap_or(rest.len());
                self.pass(Token::Word, word)
            }
            _ => self.pass(Token::Other, first.len_utf8()),
        }
    }

    fn pass(&mut self, token: Token, bytes: usize) -> Result<Token, QueryError> {
        self.at += bytes;
        Ok(token)
    }

    /// A comment, which may hold others.
    fn comment(&mut self) -> Result<Token, QueryError> {
        let start = self.at;
        let mut depth = 0_u32;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return Ok(Token::Blank);
                }
            } else if let Some(next) = rest.chars().next() {
                self.at += next.len_utf8();
            } else {
                return Err(error(start, "a comment doesn't end", "end it with `*/`"));
            }
        }
    }

    /// A string or a quoted identifier; the quote stands in it twice.
    fn quoted(&mut self, quote: char) -> Result<Token, QueryError> {
        let start = self.at;
        self.at += 1;
        loop {
            let Some(end) = self.rest().find(quote) else {
                return Err(error(start, "a quote isn't closed", "write a quote in a text twice"));
            };
            self.at += end + 1;
            if !self.rest().starts_with(quote) {
                return Ok(Token::Other);
            }
            self.at += 1;
        }
    }

    fn bind(&mut self, second: char) -> Result<Token, QueryError> {
        if second.is_ascii_digit() {
            return Err(error(self.at, "a bind has a name, not a number", NAMED));
        }
        let name = self.rest().get(1..).unwrap_or_default();
        let end = name.find(|c| !in_word(c)).unwrap_or(name.len());
        let name = name.get(..end).unwrap_or_default();
        if name.is_empty() {
            return self.pass(Token::Other, 1);
        }
        if name.len() > 63 || !name.is_ascii() {
            return Err(error(self.at, "not the name of a bind", BIND_NAME));
        }
        self.binds.entry(name).or_insert(self.at);
        self.places.push((self.at, name));
        self.pass(Token::Other, 1 + end)
    }

    /// `$tag$ … $tag$` is a string; `$1` and `$name` are other ways to bind.
    fn dollar(&mut self, second: char) -> Result<Token, QueryError> {
        let rest = self.rest();
        let tag_end = rest.get(1..).and_then(|tag| tag.find(|c| !in_word(c)));
        let tag = tag_end
            .and_then(|end| rest.get(..end + 2))
            .filter(|tag| tag.ends_with('$') && !second.is_ascii_digit());
        let Some(tag) = tag else {
            return Err(error(self.at, "`$1` is no bind here", NAMED));
        };
        let body = rest.get(tag.len()..).unwrap_or_default();
        match body.find(tag) {
            Some(end) => self.pass(Token::Other, tag.len() + end + tag.len()),
            None => Err(error(self.at, "a dollar quote isn't closed", "end it with its tag")),
        }
    }

    /// Early word on what the database would refuse: a source only reads.
    fn check_first(&self, at: usize) -> Result<(), QueryError> {
        let word = self.text.get(at..self.at).unwrap_or_default();
        let reads = ["select", "with", "values"];
        if reads.iter().any(|known| word.eq_ignore_ascii_case(known)) {
            Ok(())
        } else {
            Err(error(at, "the statement isn't a query", SELECT))
        }
    }
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn binds(text: &str) -> Vec<&str> {
        parse(text).unwrap().binds.into_keys().collect()
    }

    fn problem(text: &str) -> (&'static str, usize) {
        let error = parse(text).unwrap_err();
        (error.problem, error.at)
    }

    #[test]
    fn binds_are_found_and_only_they() {
        assert_eq!(binds("select :b, :a, :b from t where x=:_c1"), ["_c1", "a", "b"]);
        let none: [&str; 0] = [];
        for text in [
            "select ':a' , 'it''s :a'",
            "select \":a\"\":a\", `:a` from t",
            "select 1 -- :a ; ?\n",
            "select 1 -- :a",
            "select /* :a /* ; ? */ $1 */ 1",
            "select x::text, y::int[] from t",
            "select $$:a ? ;$$, $tag$ :a $$ $tag$",
            "select '{}' @> x, a$1 from t",
            "with x as (select 1) select * from x ; -- the end\n /* really */ ",
            "(select 1)",
            "VALUES (1)",
        ] {
            assert_eq!(binds(text), none, "{text}");
        }
        assert_eq!(binds("select :a::text || ':b' /* :c */"), ["a"]);
    }

    #[test]
    fn a_bind_has_its_first_place() {
        assert_eq!(parse("select :x + :x").unwrap().binds, BTreeMap::from([("x", 7)]));
    }

    #[test]
    fn binds_are_numbered_by_name_and_nothing_else_changes() {
        let text = "select :b, ':b', t.a:a, :b::text -- :a\n/* :b */ from t where x = :c";
        let expected =
            "select  $2 , ':b', t.a $1 ,  $2 ::text -- :a\n/* :b */ from t where x =  $3 ";
        assert_eq!(numbered(text).unwrap(), expected);
        assert_eq!(
            numbered("select 'ä:x', \":y\", $$:z$$").unwrap(),
            "select 'ä:x', \":y\", $$:z$$"
        );
        assert_eq!(numbered("select :a ; -- :b").unwrap(), "select  $1  ");
        assert!(numbered("select $1").is_err());
    }

    #[test]
    fn other_ways_to_bind_are_refused_with_their_place() {
        assert_eq!(problem("select ?"), ("`?` is no bind here", 7));
        assert_eq!(problem("select ?1"), ("`?` is no bind here", 7));
        assert_eq!(problem("select $1"), ("`$1` is no bind here", 7));
        assert_eq!(problem("select $x"), ("`$1` is no bind here", 7));
        assert_eq!(problem("select $1$ x $1$"), ("`$1` is no bind here", 7));
        assert_eq!(problem("select @x"), ("`@name` is no bind here", 7));
        assert_eq!(problem("select @@x"), ("`@name` is no bind here", 7));
        assert_eq!(problem("select :1"), ("a bind has a name, not a number", 7));
        assert_eq!(problem("select :ä"), ("not the name of a bind", 7));
    }

    #[test]
    fn anything_but_one_statement_is_refused() {
        assert_eq!(problem("select 1; select 2"), ("a second statement", 10));
        assert_eq!(problem("select 1; 'x'"), ("a second statement", 10));
        assert_eq!(problem("select 1;;"), ("a statement is empty", 9));
        assert_eq!(problem("; select 1"), ("a statement is empty", 0));
        assert_eq!(problem(" -- nothing"), ("the query is empty", 0));
        assert_eq!(problem(""), ("the query is empty", 0));
        assert_eq!(problem("delete from t"), ("the statement isn't a query", 0));
        assert_eq!(problem("select 'a"), ("a quote isn't closed", 7));
        assert_eq!(problem("select /* /* */ 1"), ("a comment doesn't end", 7));
        assert_eq!(problem("select $a$ $b$"), ("a dollar quote isn't closed", 7));
        assert_eq!(problem("select 1\0"), ("the query has a NUL byte", 8));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_within_it(text in "[ -~äλ\n]{0,80}") {
            match parse(&text) {
                Ok(query) => for (name, at) in query.binds {
                    let colon = format!(":{name}");
                    prop_assert_eq!(text.get(at..at + colon.len()), Some(colon.as_str()));
                },
                Err(error) => prop_assert!(error.at <= text.len()),
            }
        }

        #[test]
        fn a_bind_is_found_after_any_quoted_text(quoted in "[ -~]{0,40}") {
            let text = format!("select '{}', :after", quoted.replace('\'', "''"));
            prop_assert_eq!(binds(&text), ["after"]);
        }
    }
}
