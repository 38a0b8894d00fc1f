//! Tests of what is written about a Vault: addresses and settings.

use std::collections::BTreeMap;
use std::path::Path;

use super::token;
use crate::source::testing::{ask, environment, locate, schema, settings};
use crate::source::vault::Vault;
use crate::source::{Kind as _, Raw};
use crate::value::Value;

#[test]
fn an_address_has_one_spelling() {
    let place = |mount: &str, path: &str| {
        locate(&Vault, &ask(&[("mount", mount), ("path", path), ("field", "f")], &[]))
            .map(|located| (located.location, located.grant_path))
    };
    let expected = ("secret/ml/dev/db#f".to_owned(), Some("secret/ml/dev/db".to_owned()));
    assert_eq!(place("secret", "ml/dev/db"), Ok(expected));
    for bad in [
        "", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a%2fb", "a%2e%2e", "a?b", "a#b",
        "a\\b", "a\0", "a\nb", "a\u{7f}", "e\u{301}",
    ] {
        assert!(place("secret", bad).is_err(), "{bad:?}");
        assert!(place(bad, "a").is_err(), "{bad:?}");
    }
    assert!(place("secret", &"a/".repeat(400)).is_err());
    for bad in ["0", "01", "-1", "1.0", "x", "", "9999999999"] {
        let asked = ask(&[("mount", "m"), ("path", "p"), ("version", bad)], &[]);
        assert!(locate(&Vault, &asked).is_err(), "{bad}");
    }
    let asked = ask(&[("mount", "m"), ("path", "p"), ("field", "a\n")], &[]);
    assert!(locate(&Vault, &asked).is_err());
}

#[test]
fn fields_of_one_secret_are_one_read_and_versions_are_not() {
    let read = |field, version: Option<&str>| {
        let mut address = vec![("mount", "m"), ("path", "p"), ("field", field)];
        address.extend(version.map(|version| ("version", version)));
        locate(&Vault, &ask(&address, &[])).unwrap().read
    };
    assert!(read("a", None) == read("b", None));
    assert!(read("a", None) != read("a", Some("1")));
}

#[test]
fn an_object_takes_the_whole_secret() {
    let fields = BTreeMap::from([("a".to_owned(), Value::Integer(1))]);
    let raw = Raw::Value(Value::Map(fields.clone()));
    let object = r#"{"type":"object","additionalProperties":{"type":"integer"}}"#;
    let whole = Vault.pick(&raw, &ask(&[], &[]), &schema(object));
    assert_eq!(whole, Ok(Value::Map(fields)));
    let asked = ask(&[("mount", "m"), ("path", "p")], &[]);
    assert_eq!(Vault.declassified_name(&asked.address), None);
}

#[test]
fn settings_hold_no_credential_and_no_plain_way_to_another_machine() {
    let read = |yaml: &str| settings(&Vault, yaml, Path::new("/etc/paramd"));
    let rest = "mounts: { secret: kv-v2 }, auth: { token: { file: t } }";
    for good in [
        "https://vault.example:8200",
        "http://127.0.0.1:8200",
        "http://[::1]:1",
        "http://localhost",
    ] {
        assert!(read(&format!("{{ address: '{good}', {rest} }}")).is_ok(), "{good}");
    }
    for bad in [
        "http://vault.example",
        "http://10.0.0.1",
        "http://127.0.0.1.example",
        "ftp://x",
        "x",
        "https://u:hunter2@x",
        "https://x/v1",
        "https://x?y",
        "https://x#y",
        "http://0.0.0.0",
    ] {
        let problems = read(&format!("{{ address: '{bad}', {rest} }}")).unwrap_err();
        assert!(!problems.concat().contains("hunter2"));
    }
    let with = |rest: &str| read(&format!("{{ address: 'https://x', {rest} }}"));
    for good in ["kv", "a/b-c_d.e"] {
        let rest =
            format!("mounts: {{ kv: kv-v1 }}, auth: {{ token: {{ file: t }} }}, namespace: {good}");
        assert!(with(&rest).is_ok(), "{good}");
    }
    for bad in
        ["", "/a", "a/", "a//b", "..", "a\\nX-Vault-Token: hunter2", "a b", "\\u00e9", "a%2fb"]
    {
        let rest = format!(
            "mounts: {{ kv: kv-v1 }}, auth: {{ token: {{ file: t }} }}, namespace: \"{bad}\""
        );
        let problems = with(&rest).unwrap_err();
        assert!(!problems.concat().contains("hunter2"), "{bad}");
    }
    for bad in [
        "mounts: {}, auth: { token: { file: t } }",
        "mounts: { 'a/../b': kv-v2 }, auth: { token: { file: t } }",
        "mounts: { secret: kv-v2 }, auth: { token: hunter2 }",
        "mounts: { secret: kv-v2 }, auth: {}",
        "mounts: { secret: kv-v2 }, auth: { approle: { role_id: { file: r } } }",
        "mounts: { secret: kv-v2 }, auth: { token: { file: t }, approle: {} }",
        "mounts: { secret: kv-v3 }, auth: { token: { file: t } }",
        "mounts: { secret: kv-v2 }, auth: { token: { file: t } }, skip_verify: true",
        "mounts: { secret: kv-v2 }",
    ] {
        let problems = with(bad).unwrap_err();
        assert!(!problems.concat().contains("hunter2"), "{bad}");
    }
}

#[test]
fn a_version_is_refused_where_the_mount_keeps_none() {
    let yaml = "{ address: 'https://x', mounts: { one: kv-v1, two: kv-v2 }, auth: { token: { file: t } } }";
    let settings = settings(&Vault, yaml, Path::new("/")).unwrap();
    for (mount, version, refused) in
        [("one", None, false), ("one", Some("1"), true), ("two", Some("1"), false)]
    {
        let mut address = vec![("mount", mount), ("path", "p")];
        address.extend(version.map(|version| ("version", version)));
        let read = locate(&Vault, &ask(&address, &[])).unwrap().read;
        assert_eq!(settings.refuses(&read).is_some(), refused, "{mount} {version:?}");
    }
}

#[test]
fn a_ca_file_that_is_none_keeps_the_source_from_being_made() {
    let folder = token();
    let rest = "mounts: { secret: kv-v2 }, auth: { token: { file: t } }, ca: ca.pem";
    let settings = settings(&Vault, &format!("{{ address: 'https://x', {rest} }}"), folder.path());
    let settings = settings.unwrap();
    let connect = || settings.connect(&environment(&[])).map(|_| ()).unwrap_err().0;
    assert!(connect().contains("can't be read"));
    std::fs::write(folder.path().join("ca.pem"), "not a certificate").unwrap();
    assert!(connect().contains("no certificate"));
}
