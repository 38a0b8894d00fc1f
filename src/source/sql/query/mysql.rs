//! What MySQL and MariaDB read differently from other databases, though their
//! sessions have standard quotes.

use super::in_word;

type Foreign = (&'static str, &'static str);

/// What is wrong where a token begins.
pub(super) fn foreign(rest: &str) -> Option<Foreign> {
    let first = rest.chars().next()?;
    match first {
        '#' => Some(("in MySQL, `#` begins a comment", "write a comment as `/* … */`")),
        '-' if rest.starts_with("--") && !ends_dashes(rest) => {
            Some(("in MySQL, `--` without a space after it is no comment", "add the space"))
        }
        '/' if rest.starts_with("/*") => comment(rest),
        '$' => Some(("MySQL has no dollar quotes", "write a text in single quotes")),
        '@' => Some(("MySQL keeps values under `@`", "write `:name`, and bind it")),
        _ => {
            let word = rest.split(|c| !in_word(c) && c != '$').next()?;
            let into = word.eq_ignore_ascii_case("into");
            into.then_some(("MySQL's `into` writes files and variables", "take it out"))
        }
    }
}

/// Whether two dashes begin a comment: white space, a control character or
/// nothing follows.
fn ends_dashes(rest: &str) -> bool {
    rest.chars().nth(2).is_none_or(|third| third.is_ascii_whitespace() || third.is_ascii_control())
}

fn comment(rest: &str) -> Option<Foreign> {
    let inside = rest.get(2..)?;
    if inside.starts_with(['!', '+']) || inside.get(..2).is_some_and(|two| two == "M!") {
        return Some(("MySQL does what a comment of this kind says", "take it out"));
    }
    let end = inside.find("*/").unwrap_or(inside.len());
    let nested = inside.get(..end).is_some_and(|inside| inside.contains("/*"));
    nested.then_some(("MySQL's comments hold no others", "end the first one before the second"))
}

#[cfg(test)]
mod tests {
    use super::super::{foreign_to_mysql, parse, positional};

    #[test]
    fn binds_are_questions_in_the_order_of_the_text() {
        let text = "select :b, ':b', \"x:b\", `:b`, :a -- :b\n, :b /* :a ? */ from t ; ";
        let (statement, names) = positional(text).unwrap();
        assert_eq!(
            statement,
            "select  ? , ':b', \"x:b\", `:b`,  ?  -- :b\n,  ?  /* :a ? */ from t "
        );
        assert_eq!(names, ["b", "a", "b"]);
    }

    #[test]
    fn what_mysql_reads_differently_is_refused() {
        for (text, word) in [
            ("select 1 # :a", "`#`"),
            ("select 1--:a", "without a space"),
            ("select 1 --:a\n", "without a space"),
            ("select /*! 1, */ 2", "this kind"),
            ("select /*!99999 1, */ 2", "this kind"),
            ("select /*M! 1, */ 2", "this kind"),
            ("select /*+ max_execution_time(0) */ 2", "this kind"),
            ("select /* /* */ 1 */", "hold no others"),
            ("select $$:a$$", "dollar"),
            ("select @'x'", "`@`"),
            ("select @\"x\"", "`@`"),
            ("select 1 into outfile '/tmp/x'", "`into`"),
            ("select 1 InTo @x", "`into`"),
        ] {
            let problem = foreign_to_mysql(text).unwrap_or_else(|| panic!("{text}"));
            assert!(problem.contains(word), "{text}: {problem}");
            assert!(positional(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_it_reads_the_same_is_taken() {
        for text in [
            "select 1 -- a comment with # and /*! and /*\n",
            "select 1 --",
            "select 1 --\t:a\n",
            "select '#', '--x', '/*!', '$$', '@x', 'into', '\\'",
            "select \"into\", `#` from t",
            "select a$1, intox, _into from t /* # -- @x ' */",
            "select 5 - -1, 5-1, doc->'$.a' from t",
            "values (1)",
        ] {
            assert_eq!(foreign_to_mysql(text), None, "{text}");
            let (statement, names) = positional(text).unwrap();
            assert_eq!(statement, text, "nothing changes");
            assert!(names.is_empty() && parse(text).unwrap().binds.is_empty());
        }
    }
}
