//! The places that may hold no secret.

use std::collections::BTreeMap;
use std::path::Path;

/// A place that may hold no secret.
pub(super) struct Sink {
    /// Text in which a single letter is looked for, too: in bytes, chance writes it.
    pub(super) is_text: bool,
    /// What is in it if what should be looked at was.
    sign: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// All places by name: whether they are text, and a sign that each was looked at.
const PLACES: [(&str, bool, &str); 32] = [
    ("the daemon's log as text", true, "paramd::server::services: request rpc="),
    ("the daemon's log as JSON", true, "\"target\":\"paramd::server::services\""),
    ("messages of errors", true, "code: "),
    ("details of errors", false, "type.googleapis.com/google.rpc.ErrorInfo"),
    ("metadata of answers and errors", true, "content-type"),
    ("answers", false, "canary"),
    ("secrets sealed to a key", false, "vault_1"),
    ("requests and answers as Debug", true, "ResolveRunRequest"),
    ("the audit log as it is listed", true, "go-vault"),
    ("the audit log as it is watched", true, "go-vault"),
    ("reflection and health", true, "paramd.v1.RunService"),
    ("errors while the sources are dead", true, "SOURCE_UNAVAILABLE"),
    ("the store's file", false, "SQLite format 3"),
    ("the store's write-ahead log", false, "\u{7f}\u{6}"),
    ("the store's folder after a crash", false, "SQLite format 3"),
    ("what a crash leaves", true, "signal: 11"),
    ("words on a broken store", true, "error:"),
    ("words on a bundle that is refused", true, "the last good bundle stays in force"),
    ("a panic", true, "error: a fault of paramd at"),
    ("metrics", true, "paramd_"),
    ("spans", false, "RevealSecrets"),
    ("words to the service manager", true, "READY=1"),
    ("the daemon's /proc/PID/cmdline and environ", true, "PARAMD_LOG"),
    ("the daemon's /proc/PID/fd", false, "socket:"),
    ("/proc/PID of commands and their steps", true, "./wait.sh"),
    ("output of steps", true, "[REDACTED]"),
    ("progress on a terminal", true, "[REDACTED]"),
    ("output of commands as text", true, "[REDACTED]"),
    ("output of commands as JSON", true, "\"redacted\""),
    ("errors of commands", true, "error: "),
    ("completions", true, "_paramd"),
    ("files that are left", false, "override-0"),
];

/// All sinks, by name.
pub(super) struct Sinks(BTreeMap<&'static str, Sink>);

impl Sinks {
    pub(super) fn new() -> Self {
        let sink = |(name, is_text, sign)| (name, Sink { is_text, sign, bytes: Vec::new() });
        Self(PLACES.into_iter().map(sink).collect())
    }

    /// Adds to a sink, which has to be one.
    pub(super) fn add(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        let sink = self.0.get_mut(name).unwrap_or_else(|| panic!("no sink `{name}`"));
        sink.bytes.extend_from_slice(bytes.as_ref());
        sink.bytes.push(b'\n');
    }

    pub(super) fn all(&self) -> impl ExactSizeIterator<Item = (&'static str, &Sink)> {
        self.0.iter().map(|(name, sink)| (*name, sink))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Sink> {
        self.0.values_mut()
    }

    /// What each is to hold has come into it.
    pub(super) fn check(&self) {
        for (name, sink) in self.all() {
            let sign = sink.sign.as_bytes();
            let there = sink.bytes.windows(sign.len()).any(|window| window == sign);
            assert!(there, "`{}` isn't in {name}", sink.sign);
        }
    }
}

/// Adds all files below a folder, with their names, but those that are known to
/// hold secrets: `skip` says which, by the path inside the folder.
pub(super) fn files(folder: &Path, sinks: &mut Sinks, sink: &str, skip: &dyn Fn(&str) -> bool) {
    let mut open = vec![folder.to_path_buf()];
    while let Some(path) = open.pop() {
        for entry in std::fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(folder).unwrap().display().to_string();
            sinks.add(sink, &inside);
            if skip(&inside) {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.is_file() {
                sinks.add(sink, std::fs::read(path).unwrap());
            }
        }
    }
}

/// Adds the store's file.
pub(super) fn store(state: &Path, sinks: &mut Sinks) {
    sinks.add("the store's file", std::fs::read(state.join("paramd.db")).unwrap());
}
