//! `paramd check` on files that nobody would write on purpose.

use crate::support::command::paramd;
use crate::support::config::Config;

const GOOD: &str = "name: good\nparameters: { n: { type: integer, default: 1 } }\n";

/// Fails unless `check` refuses the file, names it and quotes nothing of it.
#[track_caller]
fn check(file: &str, bytes: impl AsRef<[u8]>) {
    let config = Config::new("", "good", GOOD);
    config.write(file, bytes);
    let ended = paramd(["check", config.path.to_str().unwrap()]).ended();
    assert_eq!(ended.status, Some(1), "{file}: {ended:#?}");
    let name = file.rsplit('/').next().unwrap();
    ended.says(&[name]).hides(&["hunter2", "panicked"]);
}

#[test]
fn text_that_is_no_text_is_refused() {
    check("global.yaml", b"values: { n: \xff\xfe }\n");
    check("global.yaml", b"values: { n: \"a\0b\" }\n");
    check("global.yaml", b"values: { n: [1, 2 }\n");
    check("environments/dev.yaml", b"\xef\xbb\xbf{}\n--- \n{}\n");
    check("policies/all.cedar", b"permit (\xff);");
}

#[test]
fn bombs_are_refused() {
    check("global.yaml", format!("values: {}{}\n", "[".repeat(20_000), "]".repeat(20_000)));
    check("global.yaml", format!("values: {{ n: {} }}\n", "9".repeat(3 << 20)));
    check("global.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nvalues: { n: *b }\n");
    let template = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let text = format!(
        "name: deep\nparameters: {{ n: {{ type: integer, from: {{ template: \"{{{{ {template} }}}}\" }} }} }}\n"
    );
    check("pipelines/deep.yaml", text);
}

#[test]
fn names_that_are_no_names_are_refused() {
    check("pipelines/other.yaml", "name: another\n");
    check("pipelines/Upper.yaml", "name: Upper\n");
    check("environments/--help.yaml", "{}\n");
    for name in ["../good", "--help", "a b", "ä", "-x", ""] {
        check(
            "pipelines/odd.yaml",
            format!("name: odd\nparameters: {{ {name:?}: {{ type: string }} }}\n"),
        );
    }
    let long = "n".repeat(64);
    check(
        "pipelines/odd.yaml",
        format!("name: odd\nparameters: {{ {long}: {{ type: string }} }}\n"),
    );
}

#[test]
fn addresses_that_leave_their_root_are_refused() {
    let sources =
        "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"], paths: [\"*\"] }] }\n";
    for path in ["../state/sealing.key", "a/../../b", "/etc/passwd", "a//b", "a\\u0000b"] {
        let text = format!(
            "name: odd\nparameters:\n  a: {{ type: string, from: {{ file: {{ path: \"{path}\" }} }} }}\n"
        );
        let config = Config::new(sources, "odd", &text);
        std::fs::create_dir(config.path.join("files")).unwrap();
        let ended = paramd(["check", config.path.to_str().unwrap()]).ended();
        assert_eq!(ended.status, Some(1), "{path}: {ended:#?}");
        ended.says(&["odd.yaml:3:"]);
    }
}

#[test]
fn a_misplaced_password_is_not_quoted() {
    check(
        "pipelines/odd.yaml",
        "name: odd\nparameters: { n: { type: integer, default: hunter2 } }\n",
    );
    check("global.yaml", "values: { n: hunter2 }\n");
    check(
        "pipelines/odd.yaml",
        "name: odd\nparameters: { p: { type: string, secret: true, default: hunter2 } }\n",
    );
}

#[test]
fn what_is_not_there_is_an_error() {
    let ended = paramd(["check", "/nowhere/at-all"]).ended();
    assert_ne!(ended.status, Some(0));
    ended.says(&["/nowhere/at-all"]);
}
