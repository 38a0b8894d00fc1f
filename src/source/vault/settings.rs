//! What `paramd.yaml` says of a Vault.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::client::{Api, Trust};
use super::login::{Login, Store};
use super::{Engine, MOUNT, VERSION, check_path};
use crate::credential::{Credential, whole_file};
use crate::process::sandbox::{Access, Needs};
use crate::source::{ConnectError, Environment, Read, Settings, Source};
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{Fields, duration, mapping, path, text};
use crate::yaml::{Node, Spanned};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_MOUNTS: usize = 100;
/// The most bytes of a mount.
const MAX_MOUNT: usize = 256;

/// A Vault as `paramd.yaml` describes it. It knows where credentials are, and
/// none of them.
#[derive(Debug)]
pub(super) struct VaultSettings {
    /// Scheme, host and port.
    pub(super) address: Url,
    /// The one CA to trust; none: the system's.
    pub(super) ca: Option<PathBuf>,
    /// The namespace that everything is in, the login too; none: the root.
    pub(super) namespace: Option<String>,
    /// The mounts that may be asked.
    pub(super) mounts: BTreeMap<String, Engine>,
    /// How to log in.
    pub(super) login: Login,
    /// For each request: to connect, and in total.
    pub(super) timeout: Duration,
}

impl Settings for VaultSettings {
    fn connect(&self, environment: &Environment) -> Result<Arc<dyn Source>, ConnectError> {
        let trust = match &self.ca {
            None => Trust::System,
            Some(file) => Trust::Only(read_ca(file)?),
        };
        let api = Api::new(&self.address, self.namespace.clone(), trust, self.timeout)?;
        let store = Store::new(api, self.login.clone(), self.mounts.clone(), environment.clone());
        Ok(Arc::new(store))
    }

    fn files(&self) -> Vec<&Path> {
        self.ca.as_deref().into_iter().collect()
    }

    fn needs(&self, needs: &mut Needs) {
        self.address.port_or_known_default().into_iter().for_each(|port| needs.connect(port));
        self.ca.iter().for_each(|ca| needs.file(ca, Access::Read));
        match &self.login {
            Login::Token(token) => token.needs(needs),
            Login::AppRole { role_id, secret_id } => {
                role_id.needs(needs);
                secret_id.needs(needs);
            }
        }
    }

    fn refuses(&self, read: &Read) -> Option<&'static str> {
        let mount = read.address.get(MOUNT)?;
        match self.mounts.get(mount) {
            None => Some("the source doesn't list this mount under `mounts`"),
            Some(Engine::Kv1) if read.address.contains_key(VERSION) => {
                Some("the mount is of KV version 1, which keeps no versions: leave `version` out")
            }
            Some(_) => None,
        }
    }
}

/// The most MiB of a CA file.
const MAX_CA_MIB: u64 = 4;

fn read_ca(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let failed = |why: String| {
        ConnectError(format!("the CA file `{}` can't be read: {why}", path.display()))
    };
    whole_file(path, MAX_CA_MIB).map_err(failed)
}

/// Reads what is under `vault:`.
pub(super) fn read(node: &Node, base: &Path, problems: &mut Problems) -> Option<VaultSettings> {
    let before = problems.list.len();
    let mut fields = Fields::of(node, "a `vault` source", problems)?;
    let address = fields.required("address");
    let ca = fields.optional("ca");
    let mounts = fields.required("mounts");
    let auth = fields.required("auth");
    let timeout = fields.optional("timeout");
    let namespace = fields.optional("namespace");
    fields.finish(problems);
    let address = address
        .and_then(|node| text(node, "address", problems))
        .and_then(|text| read_address(&text, problems));
    let ca = ca.and_then(|node| path(node, "ca", problems)).map(|path| base.join(path.value));
    let namespace = namespace.and_then(|node| read_namespace(node, problems));
    let mounts = mounts.and_then(|node| read_mounts(node, problems));
    let login = auth.and_then(|node| read_auth(node, base, problems));
    let timeout = timeout.and_then(|node| duration(node, "timeout", problems));
    (problems.list.len() == before).then_some(())?;
    Some(VaultSettings {
        address: address?,
        ca,
        namespace,
        mounts: mounts?,
        login: login?,
        timeout: timeout.map_or(DEFAULT_TIMEOUT, |timeout| timeout.value),
    })
}

/// The most bytes of a namespace.
const MAX_NAMESPACE: usize = 256;

/// A namespace goes into a header of each request, so it is one plain word, or
/// several between slashes.
fn read_namespace(node: &Node, problems: &mut Problems) -> Option<String> {
    let name = text(node, "namespace", problems)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    if name.value.len() <= MAX_NAMESPACE
        && name.value.bytes().all(plain)
        && check_path(&name.value).is_ok()
    {
        return Some(name.value);
    }
    problems
        .error("invalid_namespace", &name.place, "`namespace` isn't the path of a namespace")
        .sensitive()
        .help("1 to 256 of `A-Z a-z 0-9 _ . - /`, such as `teams/ml`, without a slash at an end");
    None
}

/// The most bytes of an address: any host's name is shorter.
const MAX_ADDRESS: usize = 1_024;

fn read_address(text: &Spanned<String>, problems: &mut Problems) -> Option<Url> {
    let problem = match Url::parse(&text.value) {
        _ if text.value.len() > MAX_ADDRESS => "`address` has more than 1,024 bytes",
        Err(_) => "`address` isn't a URL",
        Ok(url) if !matches!(url.scheme(), "https" | "http") => "`address` must be `https://…`",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "`address` must have no user and no password"
        }
        Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "`address` is a scheme, a host and a port, and nothing after them"
        }
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            "`http://` is for this machine alone: what Vault answers would cross the network in plain"
        }
        Ok(url) => return Some(url),
    };
    problems
        .error("invalid_address", &text.place, problem)
        .sensitive()
        .help("such as `https://vault.example:8200`");
    None
}

/// Whether the host is this machine, whatever a name server says.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read_mounts(node: &Node, problems: &mut Problems) -> Option<BTreeMap<String, Engine>> {
    let mut mounts = BTreeMap::new();
    for entry in mapping(node, "mounts", MAX_MOUNTS, problems)? {
        // With a path behind it, it has to fit what is asked for.
        let checked = match entry.key.value.as_str() {
            mount if mount.len() > MAX_MOUNT => Err("a mount has more than 256 bytes"),
            mount => check_path(mount),
        };
        if let Err(problem) = checked {
            problems.error("invalid_mount", &entry.key.place, problem).sensitive();
        }
        let Some(engine) = text(&entry.value, "mounts", problems) else { continue };
        let known = match engine.value.as_str() {
            "kv-v1" => Engine::Kv1,
            "kv-v2" => Engine::Kv2,
            _ => {
                let problem = "the engine of a mount is `kv-v1` or `kv-v2`";
                problems.error("invalid_engine", &engine.place, problem).sensitive();
                continue;
            }
        };
        mounts.insert(entry.key.value.clone(), known);
    }
    if mounts.is_empty() {
        problems.error("no_mounts", &node.place, "`mounts` names no mount that can be read");
    }
    Some(mounts)
}

fn read_auth(node: &Node, base: &Path, problems: &mut Problems) -> Option<Login> {
    let mut fields = Fields::of(node, "`auth` of a `vault` source", problems)?;
    let token = fields.optional("token");
    let approle = fields.optional("approle");
    fields.finish(problems);
    match (token, approle) {
        (Some(token), None) => Some(Login::Token(Credential::read_node(token, base, problems)?)),
        (None, Some(approle)) => {
            let mut fields = Fields::of(approle, "`approle`", problems)?;
            let role_id = fields.required("role_id");
            let secret_id = fields.required("secret_id");
            fields.finish(problems);
            let role_id = Credential::read_node(role_id?, base, problems);
            let secret_id = Credential::read_node(secret_id?, base, problems);
            Some(Login::AppRole { role_id: role_id?, secret_id: secret_id? })
        }
        _ => {
            problems
                .error("invalid_auth", &node.place, "`auth` needs one of `token` and `approle`")
                .help("such as `auth: { token: { file: vault-token } }`");
            None
        }
    }
}
