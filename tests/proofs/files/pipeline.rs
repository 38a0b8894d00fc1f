//! Pipelines and layers.

use super::{
    Mapping, Row, Values, all, flags, lists, long, maps, names, quoted, row, spans, texts, values,
    words,
};

const fn mapping(
    label: &'static str,
    around: (&'static str, &'static str),
    beside: &'static [(&'static str, &'static str)],
) -> Mapping {
    Mapping { label, file: "pipelines/p.yaml", around, beside }
}

const fn layer(
    label: &'static str,
    file: &'static str,
    around: (&'static str, &'static str),
) -> Mapping {
    Mapping { label, file, around, beside: &[] }
}

/// The keys of a declaration that aren't of its schema.
pub(super) const OWN_KEYS: [&str; 8] =
    ["default", "from", "secret", "override", "group", "aliases", "deprecated", "beside_secrets"];

const OF_X: &str = "{ name: p, parameters: { t: { type: string, default: x }, x: { ";

pub(super) const MAPPINGS: [Mapping; 13] = [
    mapping("a pipeline", ("{ ", " }"), &[("name", "p")]),
    mapping(
        "a rule",
        ("{ name: p, parameters: { n: { type: integer, default: 1 } }, rules: [{ ", " }] }"),
        &[("assert", "params.n > 0"), ("message", "m")],
    ),
    mapping(
        "a step",
        (
            "{ name: p, parameters: { n: { type: integer, default: 1 }, list: { type: array, \
             items: { type: integer }, default: [1] } }, steps: [{ ",
            " }] }",
        ),
        &[("name", "main")],
    ),
    mapping(
        "a file",
        ("{ name: p, steps: [{ name: main, files: { f: { ", " } } }] }"),
        &[("template", "x")],
    ),
    mapping("a binding", ("{ name: p, parameters: { x: { type: string, from: { ", " } } } }"), &[]),
    mapping(
        "a variable",
        ("{ name: p, parameters: { x: { type: string, from: { env: { ", " } } } } }"),
        &[("name", "TOKEN")],
    ),
    mapping(
        "a file's content",
        ("{ name: p, parameters: { x: { type: string, from: { file: { ", " } } } } }"),
        &[("path", "f")],
    ),
    mapping(
        "a query's answer",
        ("{ name: p, parameters: { x: { type: integer, from: { sql: { ", " } } } } }"),
        &[("query", "select 1")],
    ),
    mapping(
        "a secret's field",
        ("{ name: p, parameters: { x: { type: string, from: { vault: { ", " } } } } }"),
        &[("mount", "m"), ("path", "p"), ("field", "f")],
    ),
    layer("a layer", "global.yaml", ("{ ", " }")),
    layer("a layer of an environment", "environments/dev.yaml", ("{ ", " }")),
    layer("a layer of one", "global.yaml", ("{ pipelines: { p: { ", " } } }")),
    layer("one of an environment", "environments/dev.yaml", ("{ pipelines: { p: { ", " } } }")),
];

/// Their readers don't list the keys that they know: `KEYWORDS` does.
pub(super) const DECLARATIONS: [Mapping; 4] = [
    mapping("a declaration of text", (OF_X, " } } }"), &[("type", "string"), ("default", "a")]),
    mapping(
        "a declaration of a number",
        (OF_X, " } } }"),
        &[("type", "integer"), ("default", "1")],
    ),
    mapping("a declaration of a list", (OF_X, " } } }"), &[("type", "array"), ("default", "[]")]),
    mapping(
        "a declaration of an object",
        (OF_X, " } } }"),
        &[
            ("type", "object"),
            ("default", "{}"),
            ("properties", "{ a: { type: string }, b: { type: string } }"),
        ],
    ),
];

pub(super) fn rows() -> Vec<Row> {
    let layers =
        ["a layer", "a layer of an environment", "a layer of one", "one of an environment"];
    let layers = layers.into_iter().flat_map(layer_rows);
    [pipeline(), steps(), bindings(), declarations(), schemas()]
        .into_iter()
        .flatten()
        .chain(layers)
        .collect()
}

fn pipeline() -> Vec<Row> {
    let rule = |_| "{ assert: 1 < 2, message: m }".to_owned();
    let presets = maps(0, 200, |at| format!("p{at}: {{}}")).and(
        &["{ 9-z: {} }"],
        &["{ A: {} }", "{ a_b: {} }", "{ \"Zq!hunter2\": {} }", "{ a: 1 }", "{ a: [] }"],
    );
    let declared = maps(0, 1_000, |at| format!("p{at}: {{ type: string, default: x }}")).and(
        &[],
        &["{ A: { type: string } }", "{ a-b: { type: string } }", "{ a: 1 }", "{ a: {} }"],
    );
    vec![
        row("a pipeline", "name", names(&[]).only(&["p"])),
        row("a pipeline", "description", texts(4_096)),
        row(
            "a pipeline",
            "environments",
            lists(1, 1_000, |at| format!("e{at}")).and(&["[dev]"], &["[A]", "[1]"]).by_count(),
        ),
        row("a pipeline", "lifetime", spans(7 * 86_400)),
        row("a pipeline", "parameters", declared),
        row("a pipeline", "presets", presets),
        row("a pipeline", "rules", lists(0, 200, rule).and(&[], &["[1]", "[{}]"])),
        row("a pipeline", "steps", lists(0, 200, |at| format!("{{ name: s{at} }}"))),
        row("a rule", "assert", expressions("params.n >= ", "1")),
        row("a rule", "message", texts(4_096)),
    ]
}

/// An expression of up to 4,096 characters, made long by blanks.
fn expressions(begins: &str, ends: &str) -> Values {
    let of = |length: usize| {
        let blanks = " ".repeat(length - begins.len() - ends.len());
        quoted(&format!("{begins}{blanks}{ends}"))
    };
    values(vec![of(20), of(4_095), of(4_096)], vec![of(4_097), of(100_000)])
        .and(&[], &["\"\"", "\"Zq!hunter2\"", "1", "true", "[]", "{}", "null"])
}

/// A text with an expression of up to 4,096 characters.
fn templates() -> Values {
    let of = |length: usize| {
        let blanks = " ".repeat(length - "'a'".len());
        quoted(&format!("x{{{{'a'{blanks}}}}}"))
    };
    values(vec![quoted(""), long(100_000), of(4_095), of(4_096)], vec![of(4_097)])
        .and(&[], &["\"{{ Zq!hunter2 }}\"", "1", "true", "[]", "{}", "null"])
}

fn steps() -> Vec<Row> {
    let variable = |length: usize| format!("{{ {}: x }}", "A".repeat(length));
    let env = maps(0, 1_000, |at| format!("A{at}: x")).and(
        &[&variable(254), &variable(255)],
        &[&variable(256), "{ 1A: x }", "{ \"\": x }", "{ PARAMD_X: x }", "{ A: 1 }"],
    );
    let file = |length: usize| format!("{{ {}: {{ template: x }} }}", "a".repeat(length));
    let files = maps(0, 1_000, |at| format!("f{at}: {{ template: x }}")).and(
        &[&file(63), &file(64)],
        &[&file(65), "{ .a: { template: x } }", "{ \"a/b\": { template: x } }", "{ a: x }"],
    );
    let matrix = maps(0, 8, |at| format!("m{at}: params.list"))
        .and(&[], &["{ A: params.list }", "{ a: 1 }", "{ a: params.n }"]);
    let modes = values(
        all(&["\"000\"", "\"0000\"", "\"0400\"", "\"0777\"", "\"777\""]),
        all(&["\"\"", "\"00\"", "\"1000\"", "\"0888\"", "\"00400\"", "256", "\"Zq!hunter2\""]),
    );
    vec![
        row("a step", "name", names(&["main"])),
        row(
            "a step",
            "needs",
            lists(0, 200, |at| format!("s{at}")).and(&[], &["[A]", "[1]"]).by_count(),
        ),
        row("a step", "when", expressions("params.n >= ", "1")),
        row("a step", "matrix", matrix),
        row(
            "a step",
            "params",
            lists(0, 1_000, |at| format!("p{at}")).and(&["[n]"], &["[A]", "[1]"]).by_count(),
        ),
        row("a step", "run", lists(0, 1_000, |_| "x".to_owned()).and(&[], &["[1]", "[[]]"])),
        row("a step", "env", env),
        row("a step", "files", files),
        row("a file", "template", templates()),
        row("a file", "mode", modes),
    ]
}

fn bindings() -> Vec<Row> {
    let of = |fit: &str| values(all(&[fit]), all(&["1", "\"Zq!hunter2\"", "[]", "{}", "null"]));
    let address = |most: usize, wrong: &[&str]| {
        values(vec![long(1), long(most - 1), long(most)], vec![long(most + 1), long(100_000)])
            .and(&[], &["\"\"", "true", "[]", "{}", "null"])
            .and(&[], wrong)
    };
    let paths = ["\"a//b\"", "\"../a\"", "\"/a\"", "\"a\\0\"", "\"a/\""];
    let query = |length: usize| quoted(&format!("select {}", "1".repeat(length - 7)));
    let queries = values(
        vec![query(8), query(65_535), query(65_536)],
        vec![query(65_537), quoted(""), quoted("delete from t"), quoted("select ?"), "1".into()],
    );
    let binds = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!(":b{at}")).collect();
        let given: Vec<String> = (0..count).map(|at| format!("b{at}: 1")).collect();
        format!("{{ {} }}, \"query\": \"select {}\"", given.join(", "), names.join("+"))
    };
    let one = |length: usize| {
        let name = "b".repeat(length);
        format!("{{ {name}: 1 }}, \"query\": \"select :{name}\"")
    };
    let bind = values(
        vec![binds(1), binds(99), binds(100), one(62), one(63)],
        vec![binds(101), one(64), "{ a: 1 }".into(), "{ \"\": 1 }".into(), "[1]".into()],
    );
    // The path is behind a mount and a slash.
    let path = address(698, &["\"a//b\"", "\"../a\"", "\"/a\"", "\"a\\0\"", "\"a%b\""]);
    let version = values(
        all(&["1", "999999999", "\"7\""]),
        all(&["0", "-1", "1000000000", "\"\"", "\"01\"", "1.5", "true", "\"Zq!hunter2\""]),
    );
    vec![
        row("a binding", "template", templates()),
        row("a binding", "env", of("{ name: TOKEN }")),
        row("a binding", "file", of("{ path: f }")),
        row("a binding", "sql", of("{ query: select 'a' }")),
        row("a binding", "vault", of("{ mount: m, path: p, field: f }")),
        row("a variable", "from", names(&[]).only(&["e"])),
        row("a variable", "name", variables()),
        row("a file's content", "from", names(&[]).only(&["f"])),
        row("a file's content", "path", address(1_024, &paths)),
        row("a query's answer", "from", names(&[]).only(&["s"])),
        row("a query's answer", "query", queries),
        row("a query's answer", "bind", bind),
        row("a query's answer", "shape", words(&["value"])),
        row("a secret's field", "from", names(&[]).only(&["v"])),
        row("a secret's field", "mount", words(&["m"])),
        row("a secret's field", "path", path),
        row("a secret's field", "field", address(256, &["\"a\\0\""])),
        row("a secret's field", "version", version),
    ]
}

/// The source lists those of 127 and 128 letters.
fn variables() -> Values {
    values(
        vec!["TOKEN".into(), long(127), long(128)],
        vec![long(129), long(126), quoted(""), quoted("1A"), quoted("A-B"), "true".into()],
    )
}

fn declarations() -> Vec<Row> {
    let text = "a declaration of text";
    let aliases = lists(0, 32, |at| format!("a{at}")).and(
        &["[a-b]", &format!("[{}]", long(63))],
        &["[A]", "[1]", "[\"\"]", &format!("[{}]", long(64)), "[a, a]", "[t]"],
    );
    // What a value may be stands in its own table.
    let defaults =
        values(vec![quoted(""), long(1_000_000)], all(&["1", "true", "null", "[]", "{}"]));
    vec![
        row(text, "default", defaults),
        row(text, "from", values(all(&["{ template: a }"]), all(&["1", "{}", "[]", "null"]))),
        row(text, "secret", flags().only(&["false"])),
        row(text, "override", words(&["none", "environment", "run"])),
        row(text, "group", texts(4_096)),
        row(text, "aliases", aliases),
        row(text, "deprecated", texts(4_096)),
        row(text, "beside_secrets", flags()),
    ]
}

fn schemas() -> Vec<Row> {
    let (text, number) = ("a declaration of text", "a declaration of a number");
    let (list, object) = ("a declaration of a list", "a declaration of an object");
    let types = values(
        all(&["string", "[string, \"null\"]"]),
        all(&["text", "1", "[]", "[string]", "[string, integer]", "\"null\"", "{}", "null"]),
    );
    let counts = || values(all(&["0", "1"]), all(&["-1", "1.5", "\"1\"", "true", "null", "[]"]));
    let patterns = values(
        vec![quoted("^a$"), format!("\"^{}$\"", "a?".repeat(499))],
        vec![
            format!("\"^{}$\"", "a".repeat(1_000)),
            quoted("("),
            quoted("(?=a)"),
            quoted("(a)\\1"),
        ],
    )
    .and(&[], &["\"^(((a{9}){9}){9}){9}$\"", "1", "[]", "null"]);
    let bounds = |fit: &[&str]| values(all(fit), all(&["\"1\"", "true", "null", "[]", "{}"]));
    let nested = |levels: usize| {
        let (open, shut) = ("{ type: array, items: ".repeat(levels - 1), " }".repeat(levels - 1));
        format!("{open}{{ type: integer }}{shut}")
    };
    let items = values(vec![nested(1), nested(14), nested(15)], vec![nested(16), nested(17)])
        .and(&[], &["1", "[]", "{ typ: a }"]);
    let properties = maps(0, 1_000, |at| format!("a{at}: {{ type: string }}"));
    let required =
        lists(0, 1_000, |at| format!("a{at}")).and(&[], &["[1]", "[a, a]", "[zzz]"]).by_count();
    let texts_of =
        |count| lists(1, count, |at| if at == 0 { "a".into() } else { format!("a{at}") });
    vec![
        row(text, "type", types),
        row(text, "enum", texts_of(1_000).and(&[], &["[a, 1]", "[a, a]"])),
        row(text, "const", values(all(&["a"]), all(&["1", "[]"]))),
        row(text, "examples", texts_of(1_000).and(&[], &["[1]"])),
        row(text, "minLength", counts()),
        row(text, "maxLength", counts().only(&["1", "9223372036854775807"])),
        row(text, "pattern", patterns),
        row(text, "format", words(&["hostname"])),
        row(text, "contentEncoding", words(&["base64"]).only(&[])),
        row(text, "title", texts(4_096)),
        row(text, "description", texts(4_096)),
        row(number, "minimum", bounds(&["1", "-9223372036854775808", "0.5"])),
        row(number, "maximum", bounds(&["1", "9223372036854775807", "1.5"])),
        row(number, "exclusiveMinimum", bounds(&["0", "-9223372036854775808"])),
        row(number, "exclusiveMaximum", bounds(&["2", "9223372036854775807"])),
        row(number, "multipleOf", bounds(&["1", "0.5"]).and(&[], &["0", "-1"])),
        row(list, "items", items),
        row(list, "minItems", counts().only(&["0"])),
        row(list, "maxItems", counts().and(&["9223372036854775807"], &[])),
        row(list, "uniqueItems", flags()),
        row(object, "properties", properties),
        row(object, "required", required),
        row(
            object,
            "additionalProperties",
            values(all(&["true", "false", "{ type: string }"]), all(&["1", "\"a\"", "[]"])),
        ),
    ]
}

fn layer_rows(label: &'static str) -> Vec<Row> {
    let counted = |found: Values| found.and(&[], &["{ \"Zq!hunter2\": x }", "[]"]).by_count();
    let level = |levels: usize| {
        let (open, shut) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!("{{ any: {{ a: {open}1{shut} }} }}")
    };
    let items = |count: usize| format!("{{ any: {{ a: [{}] }} }}", vec!["1"; count].join(","));
    let bytes = |count: usize| format!("{{ t: {} }}", long(count));
    let mut given = values(
        vec![level(15), level(16), items(9_999), items(10_000), bytes(1_000_000)],
        vec![level(17), items(10_001)],
    );
    given = given.and(&["{}", "{ n: 9223372036854775807 }"], &["{ n: 9223372036854775808 }", "1"]);
    let many = |count: usize| {
        let entries: Vec<String> = (0..count).map(|at| format!("v{at}: 1")).collect();
        format!("{{ {} }}", entries.join(", "))
    };
    given.dont.push(many(1_001));
    let from = maps(0, 1_000, |at| format!("f{at}: {{ template: x }}"));
    let locked = lists(0, 1_000, |at| format!("l{at}")).and(&[], &["[1]", "[zzz]"]).by_count();
    let mut rows = vec![
        row(label, "values", given),
        row(label, "from", counted(from)),
        row(label, "locked", locked),
    ];
    if label.starts_with("a layer") && label != "a layer of one" {
        let named = maps(0, 10_000, |at| format!("p{at}: {{}}"));
        rows.push(row(label, "pipelines", named.and(&["{ p: {} }"], &["{ A: {} }"]).by_count()));
    }
    rows
}

impl Values {
    /// Of what fits only this, as there is more to it than its form.
    fn only(self, fit: &[&str]) -> Self {
        Self { fit: all(fit), ..self }
    }
}
