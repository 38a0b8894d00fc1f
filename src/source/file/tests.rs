//! Tests, on real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::source::testing::{ask, found, locate, schema, settings, source, wrong};

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("sub")).unwrap();
    fs::write(root.join("sub/a.txt"), "text \n").unwrap();
    fs::write(folder.path().join("outside"), "outside").unwrap();
    folder
}

async fn read(folder: &TempDir, path: &str) -> Result<Answer, Cause> {
    let source = source(&File, "{ root: root }", folder.path());
    let located = locate(&File, &ask(&[("path", path)], &[])).unwrap();
    assert_eq!((located.location.as_str(), located.grant_path.as_deref()), (path, Some(path)));
    source.read(&located.read).await.map_err(|error| error.cause)
}

fn pick(bytes: &[u8], path: &str, declared: &str) -> Result<Value, PickError> {
    File.pick(&Raw::Bytes(bytes.into()), &ask(&[("path", path)], &[]), &schema(declared))
}

const TEXT: &str = r#"{"type":"string"}"#;
const LIST: &str = r#"{"type":"array","items":{"type":"integer"}}"#;

#[tokio::test]
async fn a_file_is_read_to_the_byte_with_its_hash() {
    let (raw, version) = found(read(&folder(), "sub/a.txt").await.unwrap());
    let value = File.pick(&raw, &ask(&[("path", "sub/a.txt")], &[]), &schema(TEXT));
    assert_eq!(value, Ok(Value::String("text \n".into())));
    assert_eq!(
        version.as_deref(),
        Some("sha256:ebc66cf391e12aa7c2759f0954075528e0bec9c45446db47b3e0b46698332614")
    );
}

#[tokio::test]
async fn no_file_is_a_missing_value_and_no_root_is_not() {
    let folder = folder();
    assert!(matches!(read(&folder, "sub/b.txt").await, Ok(Answer::Missing)));
    assert!(matches!(read(&folder, "sub/a.txt/x").await, Ok(Answer::Missing)));
    fs::remove_dir_all(folder.path().join("root")).unwrap();
    assert_eq!(read(&folder, "sub/a.txt").await.err(), Some(Cause::Unreachable));
}

#[tokio::test]
async fn links_lead_nowhere_but_below_the_root() {
    let folder = folder();
    let root = folder.path().join("root");
    symlink("sub/a.txt", root.join("inside")).unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink(folder.path(), root.join("up")).unwrap();
    symlink("/etc/hostname", root.join("absolute")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    assert!(matches!(read(&folder, "inside").await, Ok(Answer::Found { .. })));
    for path in ["out", "up/outside", "absolute", "loop"] {
        assert_eq!(read(&folder, path).await.err(), Some(Cause::Refused), "{path}");
    }
}

#[tokio::test]
async fn only_regular_files_up_to_one_mebibyte_are_read() {
    let folder = folder();
    let root = folder.path().join("root");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for path in ["fifo", "socket", "sub"] {
        assert_eq!(read(&folder, path).await.err(), Some(Cause::BadAnswer), "{path}");
    }
    fs::write(root.join("most"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(root.join("more"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(matches!(read(&folder, "most").await, Ok(Answer::Found { .. })));
    assert_eq!(read(&folder, "more").await.err(), Some(Cause::TooLarge));
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_refused() {
    let folder = folder();
    let file = folder.path().join("root/sub/a.txt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything: then there is nothing that refuses.
    let expected = fs::File::open(&file).err().map(|_| Cause::Refused);
    assert_eq!(read(&folder, "sub/a.txt").await.err(), expected);
}

#[test]
fn a_path_has_one_spelling_below_the_root() {
    let long = "x/".repeat(600);
    for bad in ["", "/a", "a//b", "a/", "./a", "a/.", "../a", "a/../b", "a\0b", "a\nb", &long] {
        assert!(locate(&File, &ask(&[("path", bad)], &[])).is_err(), "{bad:?}");
    }
    for good in ["a", "..a", "a..", ".hidden", "a b/ä.json", "..."] {
        assert!(locate(&File, &ask(&[("path", good)], &[])).is_ok(), "{good}");
    }
}

#[test]
fn content_is_read_by_the_declared_type() {
    let bytes = r#"{"type":"string","contentEncoding":"base64"}"#;
    assert_eq!(pick(b"\xff\n", "x", bytes), Ok(Value::Bytes(b"\xff\n".to_vec())));
    assert_eq!(wrong(pick(b"\xff", "x", TEXT)).1, "UTF-8 text");
    assert_eq!(pick(b" 7\r\n", "x", r#"{"type":"integer"}"#), Ok(Value::Integer(7)));
    assert_eq!(pick(b"true\n", "x", r#"{"type":"boolean"}"#), Ok(Value::Bool(true)));
    assert_eq!(pick(b"null\n", "x", r#"{"type":["integer","null"]}"#), Ok(Value::Null));
    wrong(pick(b"no\n", "x", r#"{"type":"boolean"}"#));
    wrong(pick(b"", "x", r#"{"type":"integer"}"#));
}

#[test]
fn arrays_and_objects_are_json_or_yaml() {
    let list = Ok(Value::List(vec![Value::Integer(1), Value::Integer(2)]));
    assert_eq!(pick(b"[1, 2]\n", "x.json", LIST), list);
    assert_eq!(pick(b"- 1\n- 2\n", "x.yaml", LIST), list);
    assert_eq!(pick(b"- 1\n- 2\n", "x.yml", LIST), list);
    assert_eq!(pick(b"- 1\n- 2\n", "list", LIST), list);
    assert_eq!(pick(b"[1, 2]", "list", LIST), list);
    wrong(pick(b"- 1\n", "x.json", LIST));
    assert_eq!(wrong(pick(b"[1, true]", "x.json", LIST)).0, "/1");
    wrong(pick(b"{a: 1}", "x.yaml", LIST));
}

#[test]
fn a_key_given_twice_is_refused_in_both() {
    let object = r#"{"type":"object","additionalProperties":{"type":"integer"}}"#;
    for path in ["x.json", "x.yaml", "x"] {
        wrong(pick(br#"{"a": 1, "a": 2}"#, path, object));
        assert!(pick(br#"{"a": 1, "b": 2}"#, path, object).is_ok());
    }
    wrong(pick(b"a: &x 1\nb: *x\n", "x.yaml", object));
}

#[test]
fn settings_name_one_root() {
    for bad in ["{}", "{ root: '' }", "{ root: [a] }", "{ root: a, roots: b }", "x"] {
        assert!(settings(&File, bad, Path::new("/")).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_path_that_passes_leaves_the_root(path in "[a./ ]{0,12}") {
        if locate(&File, &ask(&[("path", &path)], &[])).is_ok() {
            let joined = Path::new("/base").join(&path);
            prop_assert!(joined.starts_with("/base"));
            let leads_up = joined.components().any(|part| part == std::path::Component::ParentDir);
            prop_assert!(!leads_up);
            prop_assert_eq!(joined, std::path::PathBuf::from(format!("/base/{path}")));
        }
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for (path, declared) in [("x", LIST), ("x.yaml", LIST), ("x.json", LIST), ("x", TEXT)] {
            let _ = pick(&bytes, path, declared);
        }
    }
}
