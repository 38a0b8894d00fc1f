//! `policies/roles.yaml`.

use super::{Mapping, Row, Values, all, long, quoted, row, values};

const fn mapping(
    label: &'static str,
    around: (&'static str, &'static str),
    beside: &'static [(&'static str, &'static str)],
) -> Mapping {
    Mapping { label, file: "policies/roles.yaml", around, beside }
}

pub(super) const MAPPINGS: [Mapping; 3] = [
    mapping("a role that is given", ("[{ ", " }]"), &[("role", "owner"), ("to", "{ group: g }")]),
    mapping("`to`", ("[{ role: owner, to: { ", " } }]"), &[]),
    mapping("`for`", ("[{ role: owner, to: { group: g }, for: { ", " } }]"), &[("pipeline", "p")]),
];

pub(super) fn rows() -> Vec<Row> {
    let role = "a role that is given";
    let words = |fit: &[&str]| values(all(fit), all(&["Zq!hunter2", "1", "[owner]", "{}", "\"\""]));
    let mapping =
        |fit: &[&str]| values(all(fit), all(&["1", "\"Zq!hunter2\"", "[]", "{}", "null"]));
    vec![
        row(role, "role", words(&["owner", "executor", "trigger", "auditor", "admin"])),
        row(role, "to", mapping(&["{ group: g }", "{ principal: \"uid:1\" }"])),
        row(role, "for", mapping(&["{ pipeline: p }", "{ pipeline: p, step: main }"])),
        row(role, "id", texts(128).and(&["\"a b\""], &["dev", "\"ä\""])),
        // The id is made of the names, and so they have less room than elsewhere.
        row("`to`", "group", texts(121).and(&["\"a b\""], &["\"ä\""])),
        row("`to`", "principal", texts(121).and(&["\"CN=a,O=b\""], &["\"a\\nb\""])),
        row("`for`", "pipeline", words(&["p"])),
        row("`for`", "step", words(&["main"])),
    ]
}

fn texts(most: usize) -> Values {
    let of = |length: usize| quoted(&"a".repeat(length));
    values(vec![of(1), of(most - 1), of(most)], vec![of(0), of(most + 1), long(100_000)])
        .and(&[], &["1", "null", "[]", "{}"])
}
