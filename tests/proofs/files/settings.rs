//! `paramd.yaml`.

use super::{
    Mapping, Row, Values, all, lists, long, maps, numbers, paths, quoted, row, spans, values, words,
};

const YEARS: u64 = 3_650 * 86_400;

pub(super) const fn mapping(
    label: &'static str,
    around: (&'static str, &'static str),
    beside: &'static [(&'static str, &'static str)],
) -> Mapping {
    Mapping { label, file: "paramd.yaml", around, beside }
}

const ENV: (&str, &str) = ("env", "{ names: [A] }");
const VAULT: [(&str, &str); 3] =
    [("address", "'https://v'"), ("mounts", "{ m: kv-v2 }"), ("auth", "{ token: { env: T } }")];

pub(super) const MAPPINGS: [Mapping; 19] = [
    mapping("settings", ("{ ", " }"), &[]),
    mapping("store", ("{ store: { ", " } }"), &[]),
    mapping("keys", ("{ keys: { ", " } }"), &[]),
    mapping(
        "tls",
        ("{ listen: ['127.0.0.1:1'], tls: { ", " } }"),
        &[("certificate", "c"), ("key", "k")],
    ),
    mapping(
        "a trust domain",
        (
            "{ listen: ['127.0.0.1:1'], tls: { certificate: c, key: k, trust_domains: { d: { ",
            " } } } }",
        ),
        &[],
    ),
    mapping("lifetime", ("{ lifetime: { ", " } }"), &[]),
    mapping("limits", ("{ limits: { ", " } }"), &[]),
    mapping("principal", ("{ limits: { principal: { ", " } } }"), &[]),
    mapping("all", ("{ limits: { all: { ", " } } }"), &[]),
    mapping("traces", ("{ traces: { ", " } }"), &[]),
    mapping("a source", ("{ sources: { s: { ", " } } }"), &[ENV, ("grants", "[]")]),
    mapping(
        "a grant",
        ("{ sources: { s: { env: { names: [A] }, grants: [{ ", " }] } } }"),
        &[("pipelines", "[p]")],
    ),
    mapping("env", ("{ sources: { s: { grants: [], env: { ", " } } } }"), &[("names", "[A]")]),
    mapping("file", ("{ sources: { s: { grants: [], file: { ", " } } } }"), &[("root", "r")]),
    mapping(
        "sql",
        ("{ sources: { s: { grants: [], sql: { ", " } } } }"),
        &[("url", "'postgres://u@127.0.0.1/d'")],
    ),
    mapping("vault", ("{ sources: { s: { grants: [], vault: { ", " } } } }"), &VAULT),
    mapping(
        "auth",
        (
            "{ sources: { s: { grants: [], vault: { address: 'https://v', mounts: { m: kv-v2 }, \
             auth: { ",
            " } } } } }",
        ),
        &[],
    ),
    mapping(
        "approle",
        (
            "{ sources: { s: { grants: [], vault: { address: 'https://v', mounts: { m: kv-v2 }, \
             auth: { approle: { ",
            " } } } } } }",
        ),
        &[("role_id", "{ env: R }"), ("secret_id", "{ env: S }")],
    ),
    mapping(
        "a credential",
        (
            "{ sources: { s: { grants: [], sql: { url: 'postgres://u@127.0.0.1/d', password: { ",
            " } } } } }",
        ),
        &[],
    ),
];

pub(super) fn rows() -> Vec<Row> {
    [daemon(), limits(), sources(), kinds()].into_iter().flatten().collect()
}

fn daemon() -> Vec<Row> {
    let mapping = |fit: &[&str]| values(all(fit), all(&["1", "\"Zq!hunter2\"", "[1]", "true"]));
    let listen = lists(1, 16, |at| format!("\"unix:s{at}\""));
    let unix = |length: usize| format!("[{}]", quoted(&format!("unix:{}", "a".repeat(length))));
    let listen = listen.and(
        &[&unix(4_095), &unix(4_096), "[\"127.0.0.1:1\"]", "[\"[::1]:65535\"]"],
        &[&unix(4_097), "[\"unix:\"]", "[\"127.0.0.1:65536\"]", "[\"Zq!hunter2\"]", "[1]"],
    );
    vec![
        row("settings", "listen", listen),
        row("settings", "store", mapping(&["{ sqlite: a }"])),
        row("settings", "keys", mapping(&["{}", "{ sealing: a }"])),
        row("settings", "tokens", paths()),
        row("settings", "tls", mapping(&[])),
        row("settings", "lifetime", mapping(&["{}", "{ default: 1h }"])),
        row("settings", "resolve_timeout", spans(3_600)),
        row("settings", "limits", mapping(&["{}", "{ all: {} }", "{ principal: {}, all: {} }"])),
        row("settings", "metrics", address(&["\"127.0.0.1:1\"", "\"[::1]:65535\""])),
        row("settings", "traces", mapping(&["{ otlp: 'http://a:1' }"])),
        row("settings", "log", words(&["text", "json"])),
        row("settings", "groups", groups()),
        row(
            "settings",
            "sources",
            maps(0, 1_000, |at| format!("s{at}: {{ env: {{ names: [] }}, grants: [] }}")),
        ),
        row("store", "sqlite", paths()),
        row("keys", "sealing", keys()),
        row("keys", "fingerprints", keys()),
        row("keys", "tokens", keys()),
        row("tls", "certificate", paths()),
        row("tls", "key", paths()),
        row("tls", "client_ca", paths()),
        row("tls", "trust_domains", maps(1, 100, |at| format!("d{at}.e: {{ bundle: b }}"))),
        row("a trust domain", "bundle", paths()),
        row("lifetime", "default", spans(7 * 86_400)),
        row("lifetime", "maximum", spans(YEARS)),
        row("traces", "otlp", receiver()),
    ]
}

/// Where a key is: a path, or what systemd hands over.
fn keys() -> Values {
    let given = |length: usize| format!("{{ credential: {} }}", quoted(&"c".repeat(length)));
    paths().and(
        &["{ file: a }", &given(1), &given(255)],
        &[&given(0), &given(256), "{ credential: Zq!hunter2 }", "{ env: KEY }", "{ file: '' }"],
    )
}

fn groups() -> Values {
    let name = |length: usize| format!("{{ {}: [] }}", quoted(&"g".repeat(length)));
    let member = |text: &str| format!("{{ g: [{}] }}", quoted(text));
    let of = |length: usize| member(&"ä".repeat(length));
    let names = values(
        vec![name(1), name(127), name(128), of(1), of(511), of(512), member("token:*")],
        vec![name(0), name(129), of(513), member(""), member("uid:1*"), member("*")],
    );
    let many = maps(0, 1_000, |at| format!("g{at}: []"));
    let members = lists(0, 1_000, |at| format!("\"uid:{at}\""));
    let within = |list: &String| format!("{{ g: {list} }}");
    let fit: Vec<String> = members.fit.iter().map(within).chain(many.fit).collect();
    let dont: Vec<String> = members.dont.iter().map(within).chain(many.dont).collect();
    values(fit, dont).and(&strs(&names.fit), &strs(&names.dont))
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn limits() -> Vec<Row> {
    let mapping = || values(all(&["{}", "{ streams: 1 }"]), all(&["1", "\"Zq!hunter2\"", "[1]"]));
    let mut rows = vec![row("limits", "principal", mapping()), row("limits", "all", mapping())];
    for of in ["principal", "all"] {
        for key in
            ["requests", "requests_at_once", "reveals", "new_runs", "new_runs_at_once", "streams"]
        {
            rows.push(row(of, key, numbers(1, 1_000_000)));
        }
    }
    rows
}

fn address(fit: &[&str]) -> Values {
    let dont = ["\"\"", "\"a:1\"", "\"127.0.0.1\"", "\"127.0.0.1:65536\"", "\"Zq!hunter2\"", "1"];
    values(all(fit), all(&dont)).and(&[], &[long(100_000).as_str()])
}

/// `http://HOST:1` of so many bytes.
pub(super) fn url(scheme: &str, behind: &str, length: usize) -> String {
    let host = "a".repeat(length - scheme.len() - behind.len());
    quoted(&format!("{scheme}{host}{behind}"))
}

fn receiver() -> Values {
    let of = |length| url("http://", ":1", length);
    values(vec![of(10), of(1_023), of(1_024)], vec![of(1_025), of(100_000)])
        .and(&["\"http://127.0.0.1:65535/\""], &["\"\"", "\"http://a\"", "\"https://a:1\""])
        .and(&[], &["\"http://u:Zq!hunter2@a:1\"", "\"http://a:65536\"", "\"http://a:1/p\"", "1"])
}

fn sources() -> Vec<Row> {
    // Each of these is one kind too many beside another; their keys are below.
    let other = || values(Vec::new(), all(&["1", "\"Zq!hunter2\"", "[]", "{}", "null"]));
    let env = values(all(&["{ names: [] }"]), all(&["1", "\"Zq!hunter2\"", "[]", "{}", "null"]));
    let globs = |least: usize| {
        let glob = |length: usize| format!("[{}]", quoted(&"*".repeat(length)));
        let found = lists(least, 1_000, |_| "p".to_owned());
        let dont = [glob(1_025), "[\"\"]".to_owned(), "[\"a\\0b\"]".to_owned(), "[1]".to_owned()];
        let mut found = found.and(&[], &[&dont[0], &dont[1], &dont[2], &dont[3]]);
        found.fit.extend([glob(1), glob(1_023), glob(1_024)]);
        found
    };
    vec![
        row("a source", "grants", lists(0, 1_000, |_| "{ pipelines: [p] }".to_owned())),
        row("a source", "env", env),
        row("a source", "file", other()),
        row("a source", "sql", other()),
        row("a source", "vault", other()),
        row("a grant", "pipelines", globs(0).and(&[], &["[A]", "[p/]"])),
        row(
            "a grant",
            "environments",
            lists(0, 1_000, |at| format!("e{at}")).and(&["[dev]"], &["[1]", "[A]"]).by_count(),
        ),
        row("a grant", "paths", globs(0)),
        row("a grant", "declassify", globs(0)),
    ]
}

fn kinds() -> Vec<Row> {
    let variable = |at: usize| format!("A{at}");
    let one = |length: usize| format!("[{}]", "A".repeat(length));
    let listed = lists(0, 1_000, variable)
        .and(&[&one(127), &one(128)], &[&one(129), "[\"\"]", "[1]", "[1A]", "[A-B]", "[A, A]"]);
    let sqlite = |length: usize| quoted(&format!("sqlite:{}", "a".repeat(length)));
    let server = |length: usize| url("postgres://u@127.0.0.1/", "", length + 23);
    let urls = values(
        vec![sqlite(1), sqlite(4_095), sqlite(4_096), server(1), server(254), server(255)],
        vec![sqlite(4_097), server(256), server(100_000)],
    )
    .and(&["\"mysql://u@[::1]:65535/d\""], &["\"\"", "\"postgres://u@h:65536/d\"", "\"sqlite:\""])
    .and(&[], &["\"postgres://u:Zq!hunter2@h/d\"", "\"Zq!hunter2\"", "1", "[]", "\"sqlite:\\0\""]);
    let vault = |length| url("https://", "", length);
    let addresses = values(vec![vault(9), vault(1_023), vault(1_024)], vec![vault(1_025)]).and(
        &["\"http://127.0.0.1:65535\""],
        &["\"\"", "\"http://v\"", "\"https://u:Zq!hunter2@v\"", "\"https://v/p\"", "1"],
    );
    let mount = |length: usize| format!("{{ {}: kv-v1 }}", "a".repeat(length));
    let mounts = maps(1, 100, |at| format!("m{at}: kv-v2")).and(
        &[&mount(255), &mount(256)],
        &[&mount(257), "{ \"\": kv-v2 }", "{ \"a/../b\": kv-v2 }", "{ m: kv }", "{ m: 2 }"],
    );
    let space = values(vec![long(1), long(255), long(256)], vec![long(257), quoted("")])
        .and(&["a/b"], &["/a", "a/", "\"a b\"", "\"a\\0\"", "\"Zq!hunter2\"", "1"]);
    let credential = || {
        values(all(&["{ env: T }", "{ file: f }", "{ credential: c }"]), Vec::new())
            .and(&[], &["\"Zq!hunter2\"", "{}", "1", "{ env: A, file: b }", "[]", "null"])
    };
    let approle = values(all(&["{ role_id: { env: R }, secret_id: { env: S } }"]), Vec::new())
        .and(&[], &["{}", "\"Zq!hunter2\"", "{ role_id: { env: R } }"]);
    let bytes = |more: &str| {
        values(vec![long(1), long(254), long(255)], vec![long(256), quoted("")])
            .and(&[], &[more, "\"a\\0\"", "\"a b!\"", "1", "[]", "null"])
    };
    vec![
        row("env", "names", listed),
        row("file", "root", paths()),
        row("sql", "url", urls),
        row("sql", "timeout", spans(YEARS)),
        row("sql", "max_rows", numbers(1, 10_000)),
        row("sql", "password", credential()),
        row("sql", "ca", paths()),
        row("sql", "tls", words(&["\"on\"", "\"off\""])),
        row("sql", "connections", numbers(1, 100)),
        row("vault", "address", addresses),
        row("vault", "ca", paths()),
        row("vault", "mounts", mounts),
        row("vault", "auth", values(all(&["{ token: { env: T } }"]), all(&["{}", "1", "null"]))),
        row("vault", "timeout", spans(YEARS)),
        row("vault", "namespace", space),
        row("auth", "token", credential()),
        row("auth", "approle", approle),
        row("approle", "role_id", credential()),
        row("approle", "secret_id", credential()),
        row("a credential", "file", paths()),
        row("a credential", "env", bytes("1A")),
        row("a credential", "credential", bytes("\"..\"")),
    ]
}
