//! Where a credential of the daemon's own is: in a file, in its environment or
//! handed over by systemd; never written in a definition.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroize as _;

use crate::process::sandbox::{Access, Needs};
use crate::secret::SecretBytes;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{is_path, text, unknown_key};
use crate::yaml::{Node, NodeKind};

/// The most bytes of a credential.
pub const MAX_CREDENTIAL_BYTES: usize = 64 * 1024;

const WAYS: &str =
    "`{ file: PATH }`, `{ env: NAME }` or `{ credential: NAME }` (as systemd passes it)";

/// Where a credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// In a file.
    File(PathBuf),
    /// In a variable of the daemon's environment.
    Env(String),
    /// In systemd's `$CREDENTIALS_DIRECTORY`, under this name.
    Systemd(String),
}

impl Credential {
    /// Reads `{ file: F }`, `{ env: NAME }` or `{ credential: NAME }`; `base` is
    /// where a relative path starts. A literal is refused, and never shown.
    pub fn read_node(node: &Node, base: &Path, problems: &mut Problems) -> Option<Self> {
        let NodeKind::Mapping(entries) = &node.kind else {
            problems
                .error("literal_credential", &node.place, "a credential is never written here")
                .sensitive()
                .help(format!("say where it is: {WAYS}"));
            return None;
        };
        let [entry] = entries.as_slice() else {
            problems
                .error("invalid_credential", &node.place, "a credential is in exactly one place")
                .sensitive()
                .help(WAYS);
            return None;
        };
        if !["file", "env", "credential"].contains(&entry.key.value.as_str()) {
            unknown_key(entry, "a credential", &["file", "env", "credential"], problems);
            return None;
        }
        let name = text(&entry.value, &entry.key.value, problems)?;
        let found = match entry.key.value.as_str() {
            "file" if is_path(&name.value) => Self::File(base.join(&name.value)),
            "env" if is_variable(&name.value) => Self::Env(name.value),
            "credential" if is_credential(&name.value) => Self::Systemd(name.value),
            key => {
                let expected = match key {
                    "file" => "`file` must be a path",
                    "env" => "`env` must be the name of a variable: `[A-Za-z_][A-Za-z0-9_]*`",
                    _ => "`credential` must be a name: `[A-Za-z0-9._-]+`",
                };
                problems.error("invalid_credential", &name.place, expected).sensitive();
                return None;
            }
        };
        Some(found)
    }

    /// The paths that reading it needs; systemd's folder is the process's own.
    pub(crate) fn needs(&self, needs: &mut Needs) {
        if let Self::File(path) = self {
            needs.file(path, Access::Read);
        }
    }

    /// Reads it, without one line end at its end. `environment` is the daemon's
    /// as it was at its start.
    ///
    /// # Errors
    /// Says what is missing or wrong, in our own words and without a byte of it.
    pub fn load(&self, environment: &BTreeMap<String, SecretBytes>) -> Result<SecretBytes, String> {
        let (bytes, from) = match self {
            Self::File(path) => (read_file(path)?, format!("the file `{}`", path.display())),
            Self::Env(name) => (variable(environment, name)?, format!("the variable `{name}`")),
            Self::Systemd(name) => {
                let path = handed_over(name, environment)?;
                (read_file(&path)?, format!("systemd's credential `{name}`"))
            }
        };
        trimmed(bytes).map_err(|wrong| format!("{from} {wrong}"))
    }
}

/// Where systemd has put the credential of this name.
///
/// # Errors
/// It has passed none.
pub fn handed_over(
    name: &str,
    environment: &BTreeMap<String, SecretBytes>,
) -> Result<PathBuf, String> {
    let directory = variable(environment, "CREDENTIALS_DIRECTORY")
        .map_err(|_| format!("systemd passed no credentials, so there is no `{name}`"))?;
    let directory = String::from_utf8(directory)
        .map_err(|_| "`CREDENTIALS_DIRECTORY` isn't UTF-8".to_owned())?;
    Ok(Path::new(&directory).join(name))
}

fn trimmed(mut bytes: Vec<u8>) -> Result<SecretBytes, &'static str> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let wrong = if bytes.is_empty() {
        Some("is empty")
    } else if bytes.iter().any(|b| matches!(b, 0 | b'\n' | b'\r')) {
        Some("has a NUL byte or more than one line")
    } else {
        None
    };
    match wrong {
        Some(wrong) => {
            bytes.zeroize();
            Err(wrong)
        }
        None => Ok(SecretBytes::new(bytes)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a credential is copied to be trimmed, and wrapped again"
)]
fn variable(environment: &BTreeMap<String, SecretBytes>, name: &str) -> Result<Vec<u8>, String> {
    environment
        .get(name)
        .map(|bytes| bytes.expose().to_vec())
        .ok_or_else(|| format!("the variable `{name}` isn't set in the daemon's environment"))
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let failed =
        |error: std::io::Error| format!("the file `{shown}` can't be read: {}", error.kind());
    let Some(file) = regular_file(path).map_err(failed)? else {
        return Err(format!("`{shown}` isn't a regular file"));
    };
    let limit = MAX_CREDENTIAL_BYTES + 1;
    // With its capacity from the start, no half-grown copy stays behind.
    let mut bytes = Vec::with_capacity(limit);
    file.take(limit as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() == limit {
        bytes.zeroize();
        return Err(format!("the file `{shown}` has more than 64 KiB"));
    }
    Ok(bytes)
}

/// All of a regular file. One that is longer is refused: what is cut off would
/// be missing without a word.
///
/// # Errors
/// Says why, without the path.
pub(crate) fn whole_file(path: &Path, most_mib: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| error.kind().to_string();
    let file = regular_file(path).map_err(unreadable)?.ok_or("not a file")?;
    let most = most_mib << 20;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(format!("it has more than {most_mib} MiB"));
    }
    Ok(bytes)
}

/// Opens a file, if it is a regular one; opening a pipe would wait for its
/// writer, and hold the daemon.
pub(crate) fn regular_file(path: &Path) -> std::io::Result<Option<std::fs::File>> {
    let no_waiting = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = std::fs::File::options().read(true).custom_flags(no_waiting).open(path)?;
    let is_file = file.metadata()?.is_file();
    Ok(is_file.then_some(file))
}

fn is_variable(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_credential(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=255).contains(&text.len()) && text.bytes().all(fits) && !matches!(text, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::FileId;

    fn read(text: &str) -> (Option<Credential>, Problems) {
        let mut problems = Problems::default();
        let node = crate::yaml::parse(FileId(0), text, &mut problems).unwrap();
        (Credential::read_node(&node, Path::new("/etc/paramd"), &mut problems), problems)
    }

    #[expect(clippy::disallowed_methods, reason = "a test compares")]
    fn load(credential: &Credential, environment: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
        let environment = environment
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), SecretBytes::new(bytes.to_vec())))
            .collect();
        credential.load(&environment).map(|bytes| bytes.expose().to_vec())
    }

    #[test]
    fn the_three_ways_are_read() {
        assert_eq!(read("{ file: role }").0, Some(Credential::File("/etc/paramd/role".into())));
        assert_eq!(read("{ file: /role }").0, Some(Credential::File("/role".into())));
        assert_eq!(read("{ env: TOKEN }").0, Some(Credential::Env("TOKEN".into())));
        assert_eq!(read("{ credential: t.x }").0, Some(Credential::Systemd("t.x".into())));
    }

    #[test]
    fn a_literal_is_refused_and_not_quoted() {
        for text in ["hunter2", "[hunter2]", "{ value: hunter2 }", "{ env: 'hunter2 x' }", "{}"] {
            let (found, problems) = read(text);
            assert_eq!(found, None);
            assert!(problems.has_errors());
            assert!(problems.list.iter().all(|p| p.sensitive && !p.message.contains("hunter2")));
        }
    }

    #[test]
    fn one_line_end_is_trimmed_and_more_is_refused() {
        let env = Credential::Env("T".into());
        assert_eq!(load(&env, &[("T", b"abc\n")]), Ok(b"abc".to_vec()));
        assert_eq!(load(&env, &[("T", b"abc\r\n")]), Ok(b"abc".to_vec()));
        assert_eq!(load(&env, &[("T", b" abc ")]), Ok(b" abc ".to_vec()));
        for bad in [&b""[..], b"\n", b"abc\n\n", b"a\nb", b"a\0b"] {
            let error = load(&env, &[("T", bad)]).unwrap_err();
            assert!(error.starts_with("the variable `T` "), "{error}");
        }
        assert!(load(&env, &[]).is_err());
    }

    #[test]
    fn files_and_systemd_are_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t"), "abc\n").unwrap();
        let directory = folder.path().to_str().unwrap().as_bytes();
        let systemd = Credential::Systemd("t".into());
        assert_eq!(load(&systemd, &[("CREDENTIALS_DIRECTORY", directory)]), Ok(b"abc".to_vec()));
        assert!(load(&systemd, &[]).is_err());
        assert!(load(&Credential::File(folder.path().into()), &[]).is_err());
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let error = load(&Credential::File(pipe), &[]).unwrap_err();
        assert!(error.ends_with("isn't a regular file"), "{error}");
        std::fs::write(folder.path().join("t"), vec![b'x'; MAX_CREDENTIAL_BYTES + 1]).unwrap();
        assert!(load(&Credential::File(folder.path().join("t")), &[]).is_err());
    }

    #[test]
    fn a_whole_file_is_read_to_its_limit_and_refused_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let length = |bytes: usize| {
            std::fs::write(&path, vec![b'x'; bytes]).unwrap();
            whole_file(&path, 1).map(|read| read.len())
        };
        assert_eq!(length(1 << 20), Ok(1 << 20));
        assert_eq!(length((1 << 20) + 1), Err("it has more than 1 MiB".to_owned()));
        assert_eq!(whole_file(folder.path(), 1), Err("not a file".to_owned()));
    }
}
