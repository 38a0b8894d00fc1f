//! Seeds the servers of a case as its `seed.yaml` says.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::support::bao::Bao;
use crate::support::config::Config;
use crate::support::{free_port, yaml};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seed {
    vault: Option<Vault>,
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vault {
    #[serde(default)]
    mounts: BTreeMap<String, String>,
    policy: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    kv: Vec<Write>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    mount: String,
    path: String,
    data: Value,
    then: Option<String>,
}

impl Seed {
    /// The KV mounts of the case.
    pub(super) fn mounts(&self) -> Vec<String> {
        let further = self.vault.iter().flat_map(|vault| vault.mounts.keys().cloned());
        further.chain(["secret".to_owned()]).collect()
    }
}

pub(super) fn read(folder: &Path) -> Seed {
    serde_json::from_value(yaml::read(&folder.join("seed.yaml"))).unwrap()
}

/// Starts OpenBao where the case needs it, and fills in the placeholders.
pub(super) async fn fill(config: &Config, seed: &Seed) -> Option<Bao> {
    let vault = seed.vault.as_ref()?;
    let bao = Bao::start().await;
    for (name, kind) in &vault.mounts {
        bao.mount(name, kind).await;
    }
    if let Some(policy) = &vault.policy {
        bao.policy(policy).await;
    }
    for write in &vault.kv {
        let version_2 = vault.mounts.get(&write.mount).is_none_or(|kind| kind == "kv-v2");
        bao.write(&write.mount, &write.path, write.data.clone(), version_2).await;
        if let Some(how) = &write.then {
            bao.remove(&write.mount, &write.path, how).await;
        }
    }
    let (role, secret) = bao.role().await;
    config.write_secret("vault-role-id", role);
    config.write_secret("vault-secret-id", secret);
    let dead = format!("https://127.0.0.1:{}", free_port());
    let ca = bao.ca().display().to_string();
    let pairs = [("@VAULT_ADDR@", bao.address()), ("@VAULT_CA@", ca), ("@DEAD_ADDR@", dead)];
    let pairs: Vec<_> = pairs.iter().map(|(from, to)| (*from, to.as_str())).collect();
    config.replace("paramd.yaml", &pairs);
    Some(bao)
}
