use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_key_is_made_once_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/sealing.key");
    let made = SealingKey::load_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    let again = SealingKey::load_or_create(&path).unwrap();
    assert_eq!(made.id(), again.id());
    assert_eq!(made.id().len(), 8);
    assert_eq!(made.derive(b"s", &[b"x"]), again.derive(b"s", &[b"x"]));
    assert_ne!(made.derive(b"s", &[b"x"]), made.derive(b"t", &[b"x"]));
    assert_ne!(made.derive(b"s", &[b"x"]), made.derive(b"s", &[b"y"]));
    assert_ne!(made.id(), SealingKey::generate().unwrap().id());
}

#[test]
fn derived_keys_are_those_of_hkdf() {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    fs::write(&path, format!("paramd-sealing-key-1:{}", "5c".repeat(32))).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let key = SealingKey::load_or_create(&path).unwrap();
    for salt in [&b""[..], b"salt", &[7; 32], &[7; 100]] {
        let prk = Salt::new(HKDF_SHA256, salt).extract(&[0x5c; 32]);
        let mut expected = [0; 32];
        let info: [&[u8]; 2] = [b"paramd sealing 1 ", b"info"];
        prk.expand(&info, HKDF_SHA256).unwrap().fill(&mut expected).unwrap();
        assert_eq!(*key.derive(salt, &[b"in", b"fo"]), expected);
    }
}

#[test]
fn the_file_is_one_line_and_the_key_is_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    let key = TokenKey::load_or_create(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let digits = text.strip_prefix("paramd-token-key-1:").unwrap().strip_suffix('\n').unwrap();
    assert_eq!(digits.len(), 64);
    assert!(!digits.contains(key.id()));
    assert_eq!(format!("{key:?}"), format!("Key(token {})", key.id()));
}

#[test]
fn a_key_that_others_can_use_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    SealingKey::load_or_create(&path).unwrap();
    for bits in [0o640, 0o604, 0o620, 0o601, 0o660] {
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        let error = SealingKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(SealingKey::load_or_create(&path).is_ok());
}

#[test]
fn what_is_not_a_key_of_the_purpose_is_refused_unquoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    FingerprintKey::load_or_create(&path).unwrap();
    assert!(matches!(SealingKey::load_or_create(&path), Err(KeyError::Format { .. })));
    let good = format!("paramd-sealing-key-1:{}", "5c".repeat(32));
    let refused = [
        String::new(),
        "hunter2".into(),
        good.trim_end_matches('c').into(),
        format!("{good}0"),
        format!("{good}\n\n"),
        format!(" {good}"),
        good.replace("-1:", "-2:"),
        good.replace("5c", "5g"),
        format!("{good}\n{}", "x".repeat(5000)),
    ];
    for text in refused {
        fs::write(&path, &text).unwrap();
        let error = SealingKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::Format { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2") && !error.to_string().contains("5c5c"));
    }
    fs::write(&path, &good).unwrap();
    assert!(SealingKey::load_or_create(&path).is_ok());
}

#[test]
fn what_is_not_a_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let error = SealingKey::load_or_create(folder.path()).unwrap_err();
    assert!(matches!(error, KeyError::NotAFile { .. }));
    let pipe = folder.path().join("pipe");
    let (kind, bits) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, bits, 0).unwrap();
    assert!(matches!(SealingKey::load_or_create(&pipe), Err(KeyError::NotAFile { .. })));
    let below_a_file = folder.path().join("pipe/k");
    assert!(matches!(SealingKey::load_or_create(&below_a_file), Err(KeyError::File { .. })));
}
