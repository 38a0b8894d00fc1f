//! What `paramd.yaml` says of issuers of JWTs.

use super::settings::{mapping, url};
use super::{
    Mapping, NO_TEXT, Row, Values, all, lists, long, maps, paths, quoted, row, spans, values, words,
};

const ISSUER: [(&str, &str); 3] =
    [("issuer", "'https://i'"), ("audiences", "[a]"), ("jwks", "{ file: f }")];

pub(super) const MAPPINGS: [Mapping; 4] = [
    mapping("an issuer", ("{ jwt: { i: { ", " } } }"), &ISSUER),
    mapping(
        "jwks",
        ("{ jwt: { i: { issuer: 'https://i', audiences: [a], jwks: { ", " } } } }"),
        &[("url", "'https://i'")],
    ),
    mapping(
        "a rule of require",
        ("{ jwt: { i: { issuer: i, audiences: [a], jwks: { file: f }, require: [{ ", " }] } } }"),
        &[("claim", "c"), ("values", "[v]")],
    ),
    mapping(
        "a rule of groups",
        ("{ jwt: { i: { issuer: i, audiences: [a], jwks: { file: f }, groups: [{ ", " }] } } }"),
        &[("claim", "c"), ("prefix", "p")],
    ),
];

/// Printable ASCII of up to so many characters.
fn plain(most: usize) -> Values {
    values(
        vec![quoted("a"), quoted("a b"), long(most - 1), long(most)],
        vec![quoted(""), long(most + 1), long(100_000)],
    )
    .and(&[], &["\" a\"", "\"a \"", "\"\u{e4}\"", "\"a\\nb\"", "\"a\\0b\""])
}

/// A claim: its name, or up to four on the way to it.
fn claim() -> Values {
    let way = lists(1, 4, |at| format!("c{at}"));
    let mut found = plain(256).and(&[], &["1", "true", "null", "{}", "[1]", "[\"\"]"]);
    found.fit.extend(way.fit);
    found.dont.extend(way.dont.into_iter().filter(|value| value.starts_with('[')));
    found
}

pub(super) fn rows() -> Vec<Row> {
    let issuers = maps(0, 50, |at| {
        format!("i{at}: {{ issuer: 'https://i{at}', audiences: [a], jwks: {{ file: f }} }}")
    });
    let addresses = values(
        vec![url("https://", "", 9), url("https://", "/k?a=b", 1_023), url("https://", "", 1_024)],
        vec![url("https://", "", 1_025)],
    )
    .and(&["\"http://127.0.0.1:65535/keys\"", "\"http://localhost/keys\""], &["\"\""])
    .and(&[], &["\"http://v\"", "\"https://u:Zq!hunter2@v\"", "\"https://v/#p\"", "\"ftp://v\""])
    .and(&[], &NO_TEXT);
    let places = values(all(&["{ file: f }", "{ url: 'https://i' }"]), all(&["{}", "1", "null"]))
        .and(&[], &["{ file: f, url: 'https://i' }", "{ file: f, ca: c }", "\"Zq!hunter2\"", "[]"]);
    let require = |at: usize| format!("{{ claim: c{at}, values: [v] }}");
    let groups = |at: usize| format!("{{ claim: c{at}, prefix: p }}");
    let texts = |most: usize| lists(1, most, |at| format!("a{at}")).and(&[], &["[a, a]", "[1]"]);
    let names = maps(1, 1_000, |at| format!("v{at}: g"))
        .and(&[], &["{ a: 1 }", "{ a: \"\" }", "{ \" a\": b }", "{ \"a\\nb\": c }"]);
    // Each of these is one way too many beside the other, or is none.
    let either = |found: Values| Values { fit: Vec::new(), ..found };
    vec![
        row("settings", "jwt", issuers),
        row("an issuer", "issuer", plain(1_024).and(&[], &NO_TEXT)),
        row("an issuer", "audiences", texts(20)),
        row("an issuer", "jwks", places),
        row(
            "an issuer",
            "algorithms",
            values(
                all(&["[RS256]", "[ES256, EdDSA, RS256]"]),
                all(&["[]", "[HS256]", "[none]", "[RS256, RS256]", "RS256", "[rs256]", "[1]"]),
            ),
        ),
        row("an issuer", "leeway", spans(120)),
        row("an issuer", "subject", claim()),
        row("an issuer", "require", lists(0, 50, require).and(&[], &["[1]", "[{}]"])),
        row("an issuer", "groups", lists(0, 50, groups).and(&[], &["[1]", "[{}]"])),
        row("jwks", "file", either(words(&[]))),
        row("jwks", "url", addresses),
        row("jwks", "ca", paths()),
        row("jwks", "refresh", spans(3_600)),
        row("a rule of require", "claim", claim()),
        row("a rule of require", "values", texts(1_000)),
        row("a rule of groups", "claim", claim()),
        row("a rule of groups", "prefix", plain(128).and(&[], &NO_TEXT)),
        row("a rule of groups", "values", either(names)),
    ]
}
