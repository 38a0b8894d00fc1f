//! The file of tokens, and what files are as a whole.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use paramd::load::load;
use paramd::token::{MAX_TOKENS, TokenError, list};

use super::{BASE, errors, folder, loaded};
use crate::targets::MARK;

const MEBIBYTE: usize = 1 << 20;

/// How many tokens a file of this text has.
fn read(folder: &Path, text: &str) -> Result<usize, TokenError> {
    let path = folder.join("tokens.yaml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    list(&path).map(|entries| entries.len())
}

const SOUND: [(&str, &str); 5] = [
    ("name", "\"ci\""),
    ("key", "\"01234567\""),
    ("hash", "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""),
    ("created", "\"2026-01-02T03:04:05Z\""),
    ("expires", "\"2026-01-02T03:04:05Z\""),
];

fn token(at: usize, key: &str, value: &str) -> String {
    let name = format!("\"t{at}\"");
    let fields = SOUND.map(|(other, sound)| match other {
        _ if other == key => format!("{other}: {value}"),
        "name" => format!("{other}: {name}"),
        _ => format!("{other}: {sound}"),
    });
    format!("{{ {} }}", fields.join(", "))
}

fn of(tokens: &[String]) -> String {
    format!("tokens: [{}]\n", tokens.join(",\n"))
}

#[test]
fn every_key_of_a_token_keeps_to_its_limit() {
    let folder = crate::cases::folder();
    let long = |length: usize| format!("\"{}\"", "a".repeat(length));
    let time = |text: &str| format!("\"{text}\"");
    let times = |ends: [Option<&str>; 2]| ends.into_iter().flatten().map(time).collect::<Vec<_>>();
    let fit = [
        ("name", vec![long(1), long(62), long(63)]),
        ("key", vec![long(1), long(63), long(64)]),
        ("hash", vec![long(64)]),
        ("created", times([Some("9999-12-30T22:00:00Z"), Some("0001-01-02T00:00:00Z")])),
        ("expires", times([Some("9999-12-30T22:00:00Z"), None])),
    ];
    let dont = [
        ("name", vec![long(0), long(64), long(MEBIBYTE / 2), "\"A\"".into()]),
        ("key", vec![long(65), long(MEBIBYTE / 2)]),
        ("hash", vec![long(0), long(62), long(63), long(65), long(66), "\"Zq!hunter2\"".into()]),
        ("created", vec![long(0), "\"2026-13-01T00:00:00Z\"".into(), "\"Zq!hunter2\"".into()]),
        ("expires", vec![long(0), "null".into(), "\"10000-01-01T00:00:00Z\"".into()]),
    ];
    for (key, values) in &fit {
        for value in values {
            let found = read(folder.path(), &of(&[token(0, key, value)]));
            assert_eq!(found.ok(), Some(1), "{key}: {value}");
        }
    }
    for (key, values) in dont {
        for value in values.iter().map(String::as_str).chain(["1", "true", "[]", "{}"]) {
            let error = read(folder.path(), &of(&[token(0, key, value)])).err();
            let Some(TokenError::Format { problems, .. }) = error else {
                panic!("{key}: {:?}", value.get(..80));
            };
            assert!(problems.iter().all(|told| !told.contains(MARK) && told.len() < 500));
        }
    }
}

#[test]
fn a_file_has_so_many_tokens_and_no_more() {
    let folder = crate::cases::folder();
    let many = |count: usize| of(&(0..count).map(|at| token(at, "", "")).collect::<Vec<_>>());
    for count in [0, 1, MAX_TOKENS - 1, MAX_TOKENS] {
        assert_eq!(read(folder.path(), &many(count)).ok(), Some(count));
    }
    assert!(read(folder.path(), &many(MAX_TOKENS + 1)).is_err());
}

/// What is over the limit isn't cut off: a token whose `expires` was cut off
/// would be good for ever.
#[test]
fn a_file_of_tokens_that_is_too_long_is_refused_whole() {
    let folder = crate::cases::folder();
    let fields = SOUND.map(|(key, value)| format!("  {key}: {value}\n"));
    let before = format!("tokens:\n-\n{}", fields[..4].concat());
    let padded = |length: usize| {
        let comment = "#".repeat(length - before.len() - fields[4].len() - 1);
        format!("{before}{comment}\n{}", fields[4])
    };
    assert_eq!(read(folder.path(), &padded(MEBIBYTE)).ok(), Some(1));
    for over in [1, fields[4].len(), MEBIBYTE] {
        assert!(read(folder.path(), &padded(MEBIBYTE + over)).is_err(), "{over} more");
    }
}

/// A text of just this length, by what a comment is there.
fn padded(text: &str, comment: &str, length: usize) -> String {
    let blanks = " ".repeat(length - text.len() - comment.len());
    format!("{text}{comment}{blanks}")
}

#[test]
fn every_file_has_a_mebibyte_at_most_and_policies_a_quarter() {
    let folder = folder();
    for (file, text) in &*BASE {
        let (comment, most) =
            if file.ends_with(".cedar") { ("//", MEBIBYTE / 4) } else { ("#", MEBIBYTE) };
        for (length, fits) in [(most - 1, true), (most, true), (most + 1, false), (2 * most, false)]
        {
            let loaded = loaded(folder.path(), file, &padded(text, comment, length));
            assert_eq!(errors(&loaded).is_empty(), fits, "{file} of {length}");
        }
        for bytes in ["\0", "\u{1}\0", "a: [\n"] {
            let loaded = loaded(folder.path(), file, &format!("{text}{bytes}"));
            assert!(!errors(&loaded).is_empty(), "{file} with {bytes:?}");
        }
    }
}

#[test]
fn a_file_has_so_many_nodes_and_levels() {
    let folder = folder();
    // Two nodes besides: the mapping and its key. Over, the file isn't read at all.
    let nodes = |count: usize| format!("values: [{}]", vec!["1"; count - 3].join(","));
    let levels = |count: usize| format!("values: {}1{}", "[".repeat(count), "]".repeat(count));
    for (text, code, fits) in [
        (nodes(99_999), "yaml_too_large", true),
        (nodes(100_000), "yaml_too_large", true),
        (nodes(100_001), "yaml_too_large", false),
        (levels(30), "yaml_too_deep", true),
        (levels(31), "yaml_too_deep", true),
        (levels(32), "yaml_too_deep", false),
        (levels(10_000), "yaml_too_deep", false),
    ] {
        for file in ["global.yaml", "environments/dev.yaml", "pipelines/p.yaml", "paramd.yaml"] {
            let loaded = loaded(folder.path(), file, &text);
            // Far over it, the parser is the first to stop.
            let told = errors(&loaded).iter().any(|one| [code, "yaml_syntax"].contains(&one.code));
            assert_eq!(!told, fits, "{file}: {code}");
        }
    }
}

#[test]
fn a_policy_has_so_many_signs_and_its_id_so_many_characters() {
    let folder = folder();
    let id = |length: usize| {
        format!("@id(\"{}\") permit (principal, action, resource);", "a".repeat(length))
    };
    let inside = |text: String| format!("permit (principal, action, resource) when {{ {text} }};");
    let brackets =
        |depth: usize| inside(format!("{}true{}", "(".repeat(depth - 1), ")".repeat(depth - 1)));
    // Nine signs besides: `(`, `,`, `,`, `)`, `{`, `}`, `;` and those of `true`.
    let signs = |count: usize| inside(format!("true{}", " && true".repeat(count / 2 - 4)));
    for (text, fits) in [
        (id(1), true),
        (id(127), true),
        (id(128), true),
        (id(129), false),
        (id(0), false),
        (brackets(23), true),
        (brackets(24), true),
        (brackets(25), false),
        (signs(998), true),
        (signs(1_010), false),
    ] {
        let loaded = loaded(folder.path(), "policies/all.cedar", &text);
        let shown: String = text.chars().take(60).collect();
        assert_eq!(errors(&loaded).is_empty(), fits, "{shown} of {}", text.len());
    }
}

#[test]
fn a_folder_has_so_many_files() {
    let folder = folder();
    let name = |at: usize| folder.path().join(format!("policies/p{at}.cedar"));
    // One is there.
    (1..10_000).for_each(|at| std::fs::write(name(at), "").unwrap());
    assert!(errors(&load(folder.path())).is_empty());
    std::fs::write(name(10_000), "").unwrap();
    let loaded = load(folder.path());
    assert!(errors(&loaded).iter().any(|problem| problem.code == "too_many"));
}
