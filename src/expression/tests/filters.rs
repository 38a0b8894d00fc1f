//! What each filter gives.

use super::{check, outcome, refused, world};

#[test]
fn text_filters() {
    check("{{ params.name | lower }}{{ params.name | upper }}", r#""ada lADA L""#);
    check("{{ ' a\\n' | trim }}", r#""a""#);
    check("{{ 'a-b-c' | replace('-', '_') }}", r#""a_b_c""#);
    refused("{{ 'a' | replace('', 'x') }}", "load: `replace` needs a text to look for");
    check("{{ 'a' | replace(params.empty, 'x') }}", "run: `replace` needs a text to look for");
    check("{{ 'a,b,,c' | split(',') }}", r#"["a","b","","c"]"#);
    check("{{ ' a  b ' | split }}", r#"["a","b"]"#);
    check("{{ params.name | urlencode }}", r#""Ada%20L""#);
    check("{{ 'aZ0-._~/?:@&=+$ä' | urlencode }}", r#""aZ0-._~%2F%3F%3A%40%26%3D%2B%24%C3%A4""#);
    check("{{ 'a/b/c.txt' | basename }}{{ 'd/' | basename }}", r#""c.txtd""#);
    check("{{ 'ä' | b64 }}", r#""w6Q=""#);
    check("{{ params.hyper | json }}", r#""{\"epochs\":3,\"lr\":0.5}""#);
    check("{{ params.maybe | json }}", r#""null""#);
    check("{{ params.anything | json }}", r#""{\"a\":[1,{\"b\":null}]}""#);
    refused("{{ params.blob | json }}", "load: `json` is for values");
    refused("{{ params.loose[0] | json }}", "load: `json` is for values");
    refused("{{ params.n | upper }}", "load: `upper` is for text, and this is: integer");
    check("{{ params.maybe | upper }}", "run: the value is null, where a value is needed");
}

#[test]
fn list_filters() {
    check("{{ params.words | join('+') }}", r#""b+a+b""#);
    check("{{ params.layers | join }}", r#""6432""#);
    check("{{ params.holes | join(',') }}", "run: null has no text form here");
    check(
        "{{ params.words | length }} {{ params.name | length }} {{ params.batch | length }}",
        r#""3 5 2""#,
    );
    check("{{ params.words | first }}{{ params.words | last }}", r#""bb""#);
    check("{{ params.none_yet | first }}", "run: `first` of an empty array");
    check("{{ params.words | sort }}", r#"["a","b","b"]"#);
    check("{{ ['b', 'B', 'a'] | sort }}", r#"["B","a","b"]"#);
    check("{{ [2, 1.5, 10] | sort }}", "[1.5,2,10]");
    check("{{ params.words | unique }}", r#"["b","a"]"#);
    check("{{ [1, 1.0, 2] | unique }}", "[1,2]");
    check("{{ params.holes | unique }}", r#"["a",null]"#);
    refused("{{ [[1]] | sort }}", "load: `sort` is for arrays");
    refused("{{ params.name | first }}", "load: `first` is for arrays");
    check("{{ params.layers | flag('--l') }}", r#"["--l","64","--l","32"]"#);
    check("{{ params.none_yet | flag('--l') }}", "[]");
    refused("{{ params.n | flag('--l') }}", "load: `flag` is for arrays");
    refused("{{ params.layers | flag(1) }}", "load: `flag` takes strings");
    refused("{{ params.loose | join(',') }}", "load: `join` is for arrays of text");
}

#[test]
fn default_replaces_null_and_nothing_else() {
    check("{{ params.maybe | default('d') }}", r#""d""#);
    check("{{ params.given | default('d') }}", r#""x""#);
    check("{{ params.empty | default('d') }}", r#""""#);
    check("{{ params.off | default(true) }}", "false");
    check("{{ params.hyper.note | default('d') }}", "run: there is no such property in the value");
    check("{{ params.maybe | default('d') | upper }}", r#""D""#);
    refused("{{ params.maybe | default(1) }}", "load: the value that `default` puts");
    refused("{{ params.maybe | default }}", "load: `default` takes another number of arguments");
    refused("{{ params.maybe | default('a', true) }}", "load: `default` takes another number");
}

#[test]
fn dates_keep_their_form() {
    check("{{ params.day | date_add(days=2) }}", r#""2024-03-01""#);
    check("{{ params.day | date_add(days=-59) }}", r#""2023-12-31""#);
    check(
        "{{ params.time | date_add(hours=1, minutes=-15, seconds=5) }}",
        r#""2027-01-01T00:15:05.25+02:00""#,
    );
    check("{{ params.time | date_add(days=params.n) }}", r#""2027-01-07T23:30:00.25+02:00""#);
    check(
        "{{ run.started_at | date_add(days=1) | date_format('%Y/%m/%d %H:%M:%S %j %%') }}",
        r#""2026/02/01 12:00:00 032 %""#,
    );
    check("{{ params.day | date_format('%H') }}", r#""00""#);
    check("{{ params.day | date_add(hours=24) }}", "run: a date without a time takes `days` alone");
    check("{{ '9999-12-31' | date_add(days=1) }}", "run: the date is beyond the years 1 to 9999");
    check(
        "{{ params.day | date_add(days=params.big) }}",
        "run: the date is beyond the years 1 to 9999",
    );
    for wrong in [
        "2024-2-3",
        "2023-02-29",
        "2024-01-01T00:00:00",
        "2024-01-01 00:00:00Z",
        "2024-01-01T23:59:60Z",
        "0000-01-01",
        "2024-01-01T00:00:00.Z",
        "x",
    ] {
        refused(&format!("{{{{ '{wrong}' | date_add(days=1) }}}}"), "run: not a date");
    }
    refused("{{ params.day | date_add(1) }}", "load: `date_add` takes `days`");
    refused("{{ params.day | date_add() }}", "load: `date_add` takes `days`");
    refused("{{ params.day | date_add(weeks=1) }}", "load: `date_add` takes `days`");
    refused("{{ params.day | date_add(days=1, days=2) }}", "load: `date_add` takes `days`");
    refused("{{ params.day | date_add(days=1.5) }}", "load: `date_add` takes integers");
    refused("{{ params.day | date_format('%B') }}", "load: `date_format` knows");
    check("{{ params.day | date_format(params.name) }}", r#""Ada L""#);
    check(
        "{{ params.day | date_format('%' ~ params.name) }}",
        "run: only %Y %m %d %H %M %S %j %% are known",
    );
}

/// The examples of the page for users, each `input` → `result`.
#[test]
fn the_documented_examples_give_what_they_say() {
    let page = include_str!("../../../docs/templates.md");
    let mut examples = 0;
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let Some((before, after)) = line.split_once("` → `") else { continue };
        let (_, input) = before.rsplit_once('`').unwrap();
        let (expect, _) = after.split_once('`').unwrap();
        let told = outcome(&format!("{{{{ {} }}}}", input.replace("\\|", "|")), &world());
        let text = told.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        assert_eq!(
            text.map_or(told.clone(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\")),
            expect,
            "{input}"
        );
        examples += 1;
    }
    assert_eq!(examples, 17);
}
