//! Reader of `paramd.yaml`.

mod listen;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{KeyFiles, KeyPlace, Limits, LogForm, ServerSettings, SourceEntry, limits, observe};
use crate::credential::Credential;
use crate::definition::grant::{self, Known};
use crate::definition::groups::{self, Groups};
use crate::jwt;
use crate::name::SourceName;
use crate::source::{Kind, registry};
use crate::value::Value;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields, listed};
use crate::yaml::{Entry, Node, NodeKind, Scalar, Spanned};

/// The most sources.
const MAX_SOURCES: usize = 1_000;
/// The longest budget of a resolution.
const MAX_RESOLVE_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Reads the settings from the file's tree; `base` is its directory. What isn't
/// there, or can't be read, has its default; problems are told. Looks only at
/// what is written: no file is opened.
pub(in crate::definition) fn read(
    node: &Node,
    base: &Path,
    known: &Known,
    problems: &mut Problems,
) -> Option<ServerSettings> {
    let mut settings = defaults(base);
    if matches!(&node.kind, NodeKind::Scalar(Scalar { value: Value::Null, .. })) {
        return Some(settings);
    }
    let mut keys = Fields::of(node, "`paramd.yaml`", problems)?;
    let listen = keys.optional("listen");
    let tls = keys.entry("tls");
    let store = keys.optional("store");
    let key_files = keys.optional("keys");
    let tokens = keys.optional("tokens");
    let issuers = keys.optional("jwt");
    let lifetime = keys.optional("lifetime");
    let timeout = keys.optional("resolve_timeout");
    let bounds = keys.optional("limits");
    let (metrics, traces) = (keys.optional("metrics"), keys.optional("traces"));
    let log = keys.optional("log");
    let groups = keys.optional("groups");
    let sources = keys.optional("sources");
    keys.finish(problems);

    listen::read(listen, tls, base, &mut settings, problems);
    if let Some(node) = store {
        read_store(node, base, &mut settings.store, problems);
    }
    if let Some(node) = key_files {
        read_keys(node, base, &mut settings.keys, problems);
    }
    if let Some(found) = tokens.and_then(|node| path(node, "tokens", base, problems)) {
        settings.tokens = found;
    }
    refuse_same_files(&settings, (store, key_files, tokens), problems);
    if let Some(node) = issuers {
        let told = problems.list.len();
        settings.jwt = jwt::read(node, base, problems);
        // A key or a token may have been pasted there.
        problems.blank_from(told);
    }
    if let Some(node) = lifetime {
        read_lifetime(node, &mut settings, problems);
    }
    if let Some(node) = timeout {
        read_timeout(node, &mut settings, problems);
    }
    if let Some(node) = bounds {
        limits::read(node, &mut settings.limits, problems);
    }
    settings.metrics = metrics.and_then(|node| observe::metrics(node, problems));
    settings.traces = traces.and_then(|node| observe::traces(node, problems));
    settings.log = log.and_then(|node| observe::log(node, problems)).unwrap_or(settings.log);
    settings.groups = groups.map(|node| groups::read(node, problems)).unwrap_or_default();
    if let Some(node) = sources {
        settings.sources = read_sources(node, base, known, problems);
    }
    Some(settings)
}

/// What holds where nothing is said.
pub(in crate::definition) fn defaults(base: &Path) -> ServerSettings {
    ServerSettings {
        listen: vec![super::Listen::Unix(base.join("run/paramd.sock"))],
        store: base.join("state/paramd.db"),
        keys: KeyFiles {
            sealing: KeyPlace::File(base.join("state/sealing.key")),
            fingerprints: KeyPlace::File(base.join("state/fingerprints.key")),
            tokens: KeyPlace::File(base.join("state/tokens.key")),
        },
        tls: None,
        tokens: base.join("state/tokens.yaml"),
        jwt: BTreeMap::new(),
        default_lifetime: Duration::from_secs(24 * 3_600),
        maximum_lifetime: Duration::from_secs(7 * 24 * 3_600),
        resolve_timeout: Duration::from_secs(30),
        limits: Limits::default(),
        metrics: None,
        traces: None,
        log: LogForm::Text,
        groups: Groups::new(),
        sources: BTreeMap::new(),
    }
}

fn path(node: &Node, key: &str, base: &Path, problems: &mut Problems) -> Option<PathBuf> {
    fields::path(node, key, problems).map(|path| base.join(path.value))
}

fn read_store(node: &Node, base: &Path, store: &mut PathBuf, problems: &mut Problems) {
    let Some(mut keys) = Fields::of(node, "`store`", problems) else { return };
    let sqlite = keys.required("sqlite");
    keys.finish(problems);
    if let Some(found) = sqlite.and_then(|node| path(node, "sqlite", base, problems)) {
        *store = found;
    }
}

fn read_keys(node: &Node, base: &Path, files: &mut KeyFiles, problems: &mut Problems) {
    let Some(mut keys) = Fields::of(node, "`keys`", problems) else { return };
    let slots = [
        ("sealing", &mut files.sealing),
        ("fingerprints", &mut files.fingerprints),
        ("tokens", &mut files.tokens),
    ];
    for (key, slot) in slots {
        let node = keys.optional(key);
        if let Some(found) = node.and_then(|node| key_place(node, key, base, problems)) {
            *slot = found;
        }
    }
    keys.finish(problems);
}

/// A path, or what systemd hands over. A variable is no place for a key: whoever
/// starts the daemon would have it too.
fn key_place(node: &Node, key: &str, base: &Path, problems: &mut Problems) -> Option<KeyPlace> {
    if !matches!(node.kind, NodeKind::Mapping(_)) {
        return path(node, key, base, problems).map(KeyPlace::File);
    }
    match Credential::read_node(node, base, problems)? {
        Credential::File(path) => Some(KeyPlace::File(path)),
        Credential::Systemd(name) => Some(KeyPlace::Credential(name)),
        Credential::Env(_) => {
            problems
                .error("invalid_key", &node.place, format!("`{key}` isn't read from a variable"))
                .sensitive()
                .help("it is the path of a file, or `{ credential: NAME }` as systemd passes it");
            None
        }
    }
}

/// Two uses of one file would each destroy what the other keeps there. Told
/// where one of the two is written.
fn refuse_same_files(
    settings: &ServerSettings,
    (store, keys, tokens): (Option<&Node>, Option<&Node>, Option<&Node>),
    problems: &mut Problems,
) {
    let (store_file, tokens_file) =
        (KeyPlace::File(settings.store.clone()), KeyPlace::File(settings.tokens.clone()));
    let files = [
        ("store", store, &store_file),
        ("keys.sealing", keys, &settings.keys.sealing),
        ("keys.fingerprints", keys, &settings.keys.fingerprints),
        ("keys.tokens", keys, &settings.keys.tokens),
        ("tokens", tokens, &tokens_file),
    ];
    for (index, (name, node, path)) in files.iter().enumerate() {
        let same = files.iter().take(index).find(|(_, _, other)| other == path);
        if let Some((other, other_node, _)) = same
            && let Some(node) = node.or(*other_node)
        {
            let message = format!("`{other}` and `{name}` are the same file");
            problems
                .error("same_file", &node.place, message)
                .help("each file has one use: give each a name of its own");
        }
    }
}

fn read_lifetime(node: &Node, settings: &mut ServerSettings, problems: &mut Problems) {
    let Some(mut keys) = Fields::of(node, "`lifetime`", problems) else { return };
    let default = keys.optional("default");
    let maximum = keys.optional("maximum");
    keys.finish(problems);
    let default = default.and_then(|node| fields::duration(node, "default", problems));
    let maximum = maximum.and_then(|node| fields::duration(node, "maximum", problems));
    if let Some(maximum) = &maximum {
        settings.maximum_lifetime = maximum.value;
        settings.default_lifetime = settings.default_lifetime.min(maximum.value);
    }
    if let Some(default) = default {
        settings.default_lifetime = default.value;
        if default.value > settings.maximum_lifetime {
            problems.error(
                "lifetime_over_maximum",
                &default.place,
                "the default lifetime is longer than the maximum",
            );
        }
    }
}

fn read_timeout(node: &Node, settings: &mut ServerSettings, problems: &mut Problems) {
    let Some(found) = fields::duration(node, "resolve_timeout", problems) else { return };
    if found.value > MAX_RESOLVE_TIMEOUT {
        problems.error("invalid_duration", &found.place, "`resolve_timeout` is at most 1h");
    }
    settings.resolve_timeout = found.value;
}

fn read_sources(
    node: &Node,
    base: &Path,
    known: &Known,
    problems: &mut Problems,
) -> BTreeMap<SourceName, SourceEntry> {
    let entries = fields::mapping(node, "sources", MAX_SOURCES, problems).unwrap_or_default();
    let mut sources = BTreeMap::new();
    for entry in entries {
        let name = fields::name::<SourceName>(&entry.key, problems);
        let source = read_source(entry, name, base, known, problems);
        sources.extend(source.map(|source| (source.name.clone(), source)));
    }
    sources
}

/// The kinds that stand in `paramd.yaml`: all but templates.
fn words() -> Vec<&'static str> {
    let kinds = registry::kinds().iter().map(|kind| kind.kind().word());
    kinds.filter(|word| *word != "template").collect()
}

fn read_source(
    entry: &Entry,
    name: Option<Spanned<SourceName>>,
    base: &Path,
    known: &Known,
    problems: &mut Problems,
) -> Option<SourceEntry> {
    let mut keys = Fields::of(&entry.value, "a source", problems)?;
    let grants = keys.required("grants");
    let found: Vec<(&'static dyn Kind, &Node)> = words()
        .into_iter()
        .filter_map(|word| Some((registry::by_word(word)?, keys.optional(word)?)))
        .collect();
    // A misspelt kind is told as an unknown key, and needs no second word.
    let misspelt = !keys.rest().is_empty();
    keys.finish(problems);
    let [(kind, section)] = found.as_slice() else {
        if found.len() > 1 || !misspelt {
            problems
                .error("invalid_source", &entry.key.place, "a source has exactly one kind")
                .help(format!("one of {}", listed(&words())));
        }
        return None;
    };
    let told = problems.list.len();
    let settings = kind.read_settings(section, base, problems);
    // A section may hold a misplaced credential, whatever else is wrong there.
    problems.blank_from(told);
    let grants = grants.map(|node| grant::read_all(node, *kind, known, problems));
    Some(SourceEntry {
        name: name?.value,
        kind: kind.kind(),
        settings: settings?,
        written: section.value(),
        grants: grants?,
        place: entry.key.place.clone(),
    })
}

#[cfg(test)]
mod tests;
