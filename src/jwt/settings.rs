//! What `paramd.yaml` says of issuers of JWTs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::claims::{Claim, GroupRule, Naming, Required, is_printable};
use super::{Algorithm, MAX_GROUP};
use crate::name::IssuerName;
use crate::process::sandbox::{Access, Needs};
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields, duration, list, mapping, path, text, texts};
use crate::yaml::{Entry, Node, NodeKind, Spanned};

/// The most issuers.
const MAX_ISSUERS: usize = 50;
/// The most bytes of an issuer, an audience and an address.
const MAX_TEXT: usize = 1_024;
const MAX_AUDIENCES: usize = 20;
/// The most rules of a kind.
const MAX_RULES: usize = 50;
/// The most values of a rule.
const MAX_VALUES: usize = 1_000;
/// The most bytes of a claim's name and of a claim's value.
const MAX_CLAIM: usize = 256;
/// The most names on the way to a claim.
const MAX_WAY: usize = 4;
const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(120);
const DEFAULT_REFRESH: Duration = Duration::from_secs(300);
const MAX_REFRESH: Duration = Duration::from_secs(3_600);

/// An issuer whose tokens are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What it is called here; the principals are `jwt:NAME:SUBJECT`.
    pub name: IssuerName,
    /// What it calls itself, to the letter.
    pub issuer: String,
    /// What this daemon is called in its tokens: one of these.
    pub audiences: Vec<String>,
    /// Where its keys are.
    pub keys: KeyPlace,
    /// How its tokens may be signed.
    pub algorithms: BTreeSet<Algorithm>,
    /// How far its clock may be from ours.
    pub leeway: Duration,
    /// The claim that names whom a token is about.
    pub subject: Claim,
    /// What its tokens have to say to be good.
    pub require: Vec<Required>,
    /// What makes groups of what they say.
    pub groups: Vec<GroupRule>,
}

/// Where an issuer's public keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a file, which is looked at again.
    File(PathBuf),
    /// At an address, which is asked again.
    Url {
        /// The address.
        url: Url,
        /// The authorities to trust; none: the system's.
        ca: Option<PathBuf>,
        /// How often it is asked.
        refresh: Duration,
    },
}

impl IssuerSettings {
    /// The address, where it is one without TLS: of this machine.
    pub fn plain_address(&self) -> Option<&str> {
        match &self.keys {
            KeyPlace::Url { url, .. } if url.scheme() == "http" => Some(url.as_str()),
            _ => None,
        }
    }

    /// What of the world its keys take.
    pub fn needs(&self, needs: &mut Needs) {
        match &self.keys {
            KeyPlace::File(file) => needs.file(file, Access::Read),
            KeyPlace::Url { url, ca, .. } => {
                url.port_or_known_default().into_iter().for_each(|port| needs.connect(port));
                ca.iter().for_each(|ca| needs.file(ca, Access::Read));
            }
        }
    }

    /// The file of authorities, which is read when it is put in force.
    pub fn ca(&self) -> Option<&Path> {
        match &self.keys {
            KeyPlace::Url { ca, .. } => ca.as_deref(),
            KeyPlace::File(_) => None,
        }
    }
}

/// Reads what is under `jwt`; `base` is where a relative path starts.
pub fn read(
    node: &Node,
    base: &Path,
    problems: &mut Problems,
) -> BTreeMap<IssuerName, Arc<IssuerSettings>> {
    let mut found: BTreeMap<IssuerName, Arc<IssuerSettings>> = BTreeMap::new();
    for entry in mapping(node, "jwt", MAX_ISSUERS, problems).unwrap_or_default() {
        let name = fields::name::<IssuerName>(&entry.key, problems);
        let Some(read) = read_issuer(entry, name, base, problems) else { continue };
        if found.values().any(|other| other.issuer == read.issuer) {
            problems
                .error("duplicate_issuer", &entry.key.place, "two of `jwt` are one issuer")
                .help("a token tells its issuer by `issuer` alone: give each one of its own");
        }
        found.insert(read.name.clone(), Arc::new(read));
    }
    found
}

fn read_issuer(
    entry: &Entry,
    name: Option<Spanned<IssuerName>>,
    base: &Path,
    problems: &mut Problems,
) -> Option<IssuerSettings> {
    let before = problems.list.len();
    let mut keys = Fields::of(&entry.value, "an issuer of `jwt`", problems)?;
    let issuer = keys.required("issuer");
    let audiences = keys.required("audiences");
    let jwks = keys.required("jwks");
    let algorithms = keys.optional("algorithms");
    let leeway = keys.optional("leeway");
    let subject = keys.optional("subject");
    let require = keys.optional("require");
    let groups = keys.optional("groups");
    keys.finish(problems);
    let issuer = issuer.and_then(|node| plain(node, "issuer", MAX_TEXT, problems));
    let audiences = audiences.map(|node| plains(node, "audiences", MAX_AUDIENCES, problems));
    let jwks = jwks.and_then(|node| read_keys(node, base, problems));
    let algorithms = algorithms.map(|node| read_algorithms(node, problems));
    let leeway = leeway.and_then(|node| at_most(node, "leeway", MAX_LEEWAY, problems));
    let subject = subject.and_then(|node| read_claim(node, "subject", problems));
    let require = require.map(|node| rules(node, "require", problems, read_required));
    let groups = groups.map(|node| rules(node, "groups", problems, read_group));
    // Half of what was meant could let in whom nobody meant.
    (problems.list.len() == before).then_some(())?;
    Some(IssuerSettings {
        name: name?.value,
        issuer: issuer?,
        audiences: audiences?,
        keys: jwks?,
        algorithms: algorithms.unwrap_or_else(|| Algorithm::ALL.into()),
        leeway: leeway.unwrap_or(DEFAULT_LEEWAY),
        subject: subject.unwrap_or_else(|| Claim(vec!["sub".to_owned()])),
        require: require.unwrap_or_default(),
        groups: groups.unwrap_or_default(),
    })
}

/// A text that is compared to the letter: 1 to `most` printable characters.
fn plain(node: &Node, key: &str, most: usize, problems: &mut Problems) -> Option<String> {
    let found = text(node, key, problems)?;
    if is_printable(&found.value) && found.value.len() <= most {
        return Some(found.value);
    }
    let message = format!("`{key}` isn't 1 to {most} printable ASCII characters");
    problems
        .error("invalid_text", &found.place, message)
        .sensitive()
        .help("without a blank at its beginning or end");
    None
}

/// At least one such text, each once.
fn plains(node: &Node, key: &str, most: usize, problems: &mut Problems) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for item in list(node, key, most, problems).unwrap_or_default() {
        match plain(item, key, MAX_TEXT, problems) {
            Some(text) if found.contains(&text) => {
                problems.error("duplicate_text", &item.place, format!("`{key}` has this twice"));
            }
            more => found.extend(more),
        }
    }
    refuse_empty(node, key, problems);
    found
}

/// A list without items would be no rule at all, or one that nothing keeps to.
fn refuse_empty(node: &Node, key: &str, problems: &mut Problems) {
    let is_empty = match &node.kind {
        NodeKind::Sequence(items) => items.is_empty(),
        NodeKind::Mapping(entries) => entries.is_empty(),
        NodeKind::Scalar(_) => false,
    };
    if is_empty {
        problems.error("empty", &node.place, format!("`{key}` needs at least one entry"));
    }
}

fn at_most(node: &Node, key: &str, most: Duration, problems: &mut Problems) -> Option<Duration> {
    let found = duration(node, key, problems)?;
    if found.value > most {
        let message = format!("`{key}` is at most {}s", most.as_secs());
        problems.error("invalid_duration", &found.place, message);
        return None;
    }
    Some(found.value)
}

fn read_algorithms(node: &Node, problems: &mut Problems) -> BTreeSet<Algorithm> {
    let mut found = BTreeSet::new();
    for word in texts(node, "algorithms", Algorithm::ALL.len(), problems) {
        let Some(algorithm) = Algorithm::of_token(&word.value) else {
            problems
                .error("invalid_algorithm", &word.place, "not an algorithm that is taken")
                .sensitive()
                .help("one of `RS256`, `ES256`, `EdDSA`");
            continue;
        };
        if !found.insert(algorithm) {
            problems.error("duplicate_text", &word.place, "`algorithms` has this twice");
        }
    }
    refuse_empty(node, "algorithms", problems);
    found
}

fn read_keys(node: &Node, base: &Path, problems: &mut Problems) -> Option<KeyPlace> {
    let mut keys = Fields::of(node, "`jwks`", problems)?;
    let (file, url) = (keys.optional("file"), keys.optional("url"));
    let (ca, refresh) = (keys.optional("ca"), keys.optional("refresh"));
    keys.finish(problems);
    let of_url = ca.or(refresh);
    match (file, url) {
        (Some(file), None) if of_url.is_none() => {
            path(file, "file", problems).map(|path| KeyPlace::File(base.join(path.value)))
        }
        (None, Some(url)) => {
            let ca = ca.map(|node| path(node, "ca", problems));
            let refresh = refresh.map(|node| at_most(node, "refresh", MAX_REFRESH, problems));
            Some(KeyPlace::Url {
                url: read_url(url, problems)?,
                // One that can't be read is told; it must not pass for none.
                ca: ca.map_or(Some(None), |ca| ca.map(|ca| Some(base.join(ca.value))))?,
                refresh: refresh.unwrap_or(Some(DEFAULT_REFRESH))?,
            })
        }
        _ => {
            problems
                .error("invalid_jwks", &node.place, "`jwks` needs one of `file` and `url`")
                .help("`{ file: F }`, or `{ url: \"https://…\", ca: F, refresh: 5m }`");
            None
        }
    }
}

fn read_url(node: &Node, problems: &mut Problems) -> Option<Url> {
    let text = text(node, "url", problems)?;
    let problem = match Url::parse(&text.value) {
        _ if text.value.len() > MAX_TEXT => "`url` has more than 1,024 bytes",
        Err(_) => "`url` isn't a URL",
        Ok(url) if !matches!(url.scheme(), "https" | "http") => "`url` must be `https://…`",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "`url` must have no user and no password"
        }
        Ok(url) if url.fragment().is_some() => "`url` must have no `#`",
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            "`http://` is for this machine alone: who is on the way could put in keys of his own"
        }
        Ok(url) => return Some(url),
    };
    problems
        .error("invalid_address", &text.place, problem)
        .sensitive()
        .help("such as `https://idp.example/.well-known/jwks`");
    None
}

/// Whether the host is this machine, whatever a name server says.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_claim(node: &Node, key: &str, problems: &mut Problems) -> Option<Claim> {
    let before = problems.list.len();
    let way: Vec<String> = match &node.kind {
        NodeKind::Sequence(_) => {
            refuse_empty(node, key, problems);
            let names = list(node, key, MAX_WAY, problems).unwrap_or_default();
            names.iter().filter_map(|name| plain(name, key, MAX_CLAIM, problems)).collect()
        }
        _ => plain(node, key, MAX_CLAIM, problems).into_iter().collect(),
    };
    (problems.list.len() == before).then_some(Claim(way))
}

fn rules<T>(
    node: &Node,
    key: &str,
    problems: &mut Problems,
    read: fn(&Node, &mut Problems) -> Option<T>,
) -> Vec<T> {
    let items = list(node, key, MAX_RULES, problems).unwrap_or_default();
    items.iter().filter_map(|item| read(item, problems)).collect()
}

fn read_required(node: &Node, problems: &mut Problems) -> Option<Required> {
    let mut keys = Fields::of(node, "a rule of `require`", problems)?;
    let (claim, values) = (keys.required("claim"), keys.required("values"));
    keys.finish(problems);
    let claim = claim.and_then(|node| read_claim(node, "claim", problems));
    let values = values.map(|node| plains(node, "values", MAX_VALUES, problems));
    Some(Required { claim: claim?, values: values?.into_iter().collect() })
}

fn read_group(node: &Node, problems: &mut Problems) -> Option<GroupRule> {
    let mut keys = Fields::of(node, "a rule of `groups`", problems)?;
    let claim = keys.required("claim");
    let (prefix, values) = (keys.optional("prefix"), keys.optional("values"));
    keys.finish(problems);
    let claim = claim.and_then(|node| read_claim(node, "claim", problems));
    let naming = match (prefix, values) {
        (Some(prefix), None) => Naming::Prefix(plain(prefix, "prefix", MAX_GROUP / 2, problems)?),
        (None, Some(values)) => Naming::Values(read_names(values, problems)),
        _ => {
            problems
                .error("invalid_group", &node.place, "a rule needs one of `prefix` and `values`")
                .help("`prefix: \"repository:\"` before each value, or `values: { VALUE: GROUP }`");
            return None;
        }
    };
    Some(GroupRule { claim: claim?, naming })
}

fn read_names(node: &Node, problems: &mut Problems) -> BTreeMap<String, String> {
    refuse_empty(node, "values", problems);
    let entries = mapping(node, "values", MAX_VALUES, problems).unwrap_or_default();
    let mut names = BTreeMap::new();
    for Entry { key, value } in entries {
        if !is_printable(&key.value) || key.value.len() > MAX_TEXT {
            problems
                .error("invalid_text", &key.place, "a claim's value isn't printable ASCII")
                .sensitive();
        }
        let group = plain(value, "values", MAX_GROUP, problems);
        names.extend(group.map(|group| (key.value.clone(), group)));
    }
    names
}
