use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;

struct Home {
    _folder: tempfile::TempDir,
    path: PathBuf,
    key: PathBuf,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/tokens.yaml");
        let key = folder.path().join("state/tokens.key");
        Self { _folder: folder, path, key }
    }

    #[expect(clippy::disallowed_methods, reason = "a test shows the token that it made")]
    fn make(&self, name: &str, expires: Option<Timestamp>) -> Result<Vec<u8>, TokenError> {
        let name = TokenName::parse(name).unwrap();
        let made = create(&self.path, &self.key.clone().into(), &name, Timestamp::now(), expires)?;
        Ok(made.expose().to_vec())
    }

    /// Who has not looked at the file yet.
    fn owner(&self, token: &[u8]) -> Result<String, Refused> {
        let tokens = Tokens::new(self.path.clone(), self.key.clone());
        tokens.owner(token).map(|name| name.to_string())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

#[test]
fn a_token_is_its_owners_until_it_is_revoked() {
    let home = Home::new();
    let (ci, other) = (home.make("ci", None).unwrap(), home.make("other", None).unwrap());
    assert_eq!(home.owner(&ci), Ok("ci".into()));
    assert_eq!(home.owner(&other), Ok("other".into()));
    assert!(matches!(home.make("ci", None), Err(TokenError::Taken(_))));
    revoke(&home.path, &TokenName::parse("ci").unwrap()).unwrap();
    assert_eq!(home.owner(&ci), Err(Refused::Unknown));
    assert_eq!(home.owner(&other), Ok("other".into()));
    let again = revoke(&home.path, &TokenName::parse("ci").unwrap());
    assert!(matches!(again, Err(TokenError::Missing(_))));
}

#[test]
fn a_token_ends_at_its_time() {
    let home = Home::new();
    let past = Timestamp::now() - Duration::from_secs(1);
    let token = home.make("ci", Some(past)).unwrap();
    assert_eq!(home.owner(&token), Err(Refused::Expired));
}

#[test]
fn only_the_whole_token_is_good() {
    let home = Home::new();
    let token = home.make("ci", None).unwrap();
    let text = std::str::from_utf8(&token).unwrap();
    assert!(text.starts_with("paramd_token_") && text.len() == PREFIX.len() + 64);
    let hash =
        hex::encode(home.text().split("hash: \"").nth(1).unwrap().split('"').next().unwrap());
    for wrong in [
        text.strip_suffix(|_| true).unwrap().to_owned(),
        format!("{text} "),
        text.to_uppercase(),
        PREFIX.to_owned(),
        format!("{PREFIX}{hash}"),
        String::new(),
        "x".repeat(5_000),
    ] {
        assert!(home.owner(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn the_file_holds_a_keyed_hash_that_only_the_owner_can_read() {
    let home = Home::new();
    let token = home.make("ci", None).unwrap();
    let text = home.text();
    assert!(!text.contains(std::str::from_utf8(&token[PREFIX.len()..]).unwrap()));
    let plain = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &token);
    assert!(!text.contains(&hex::encode(plain)));
    let mode = std::fs::metadata(&home.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Under another key nothing is known.
    std::fs::remove_file(&home.key).unwrap();
    assert_eq!(home.owner(&token), Err(Refused::Unknown));
    assert!(!format!("{:?}", list(&home.path).unwrap()).contains(text.get(100..140).unwrap()));
}

#[test]
fn a_file_that_cannot_be_trusted_makes_no_token_good() {
    let home = Home::new();
    let token = home.make("ci", None).unwrap();
    let good = home.text();
    for mode in [0o620, 0o602] {
        let bits = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&home.path, bits).unwrap();
        assert_eq!(home.owner(&token), Err(Refused::Unreadable));
    }
    std::fs::set_permissions(&home.path, std::fs::Permissions::from_mode(0o600)).unwrap();
    for broken in [
        good.replace("tokens:", "token:"),
        good.replace("hash: \"", "hash: \"zz"),
        good.replace(" }", ", expires: \"soon\" }"),
        good.replace(" }", ", more: \"x\" }"),
        good.replace("name: \"ci\"", "name: \"CI!\""),
        format!("{good}{}", good.lines().last().unwrap()),
        "hunter2".into(),
    ] {
        std::fs::write(&home.path, &broken).unwrap();
        assert_eq!(home.owner(&token), Err(Refused::Unreadable), "{broken}");
        let error = list(&home.path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    std::fs::write(&home.path, good).unwrap();
    assert_eq!(home.owner(&token), Ok("ci".into()));
}

#[test]
fn a_daemon_that_serves_sees_the_change() {
    let home = Home::new();
    let tokens = Tokens::new(home.path.clone(), home.key.clone());
    assert_eq!(tokens.owner(b"paramd_token_x"), Err(Refused::Unknown));
    let token = home.make("ci", None).unwrap();
    let until = |wanted: bool| {
        let start = std::time::Instant::now();
        while tokens.owner(&token).is_ok() != wanted {
            assert!(start.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    until(true);
    revoke(&home.path, &TokenName::parse("ci").unwrap()).unwrap();
    until(false);
}
