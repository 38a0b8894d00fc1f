//! `listen` and `tls`: where the daemon is reached, and how that is kept safe.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::path;
use crate::definition::settings::{Listen, ServerSettings, TlsFiles};
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};
use crate::yaml::{Entry, Node, NodeKind, Place};

/// The most addresses to listen at.
const MAX_LISTEN: usize = 16;
/// The most trust domains.
const MAX_DOMAINS: usize = 100;

/// Reads both keys: TCP needs TLS, and TLS is for TCP.
pub(super) fn read(
    listen: Option<&Node>,
    tls: Option<&Entry>,
    base: &Path,
    settings: &mut ServerSettings,
    problems: &mut Problems,
) {
    let mut open_doors = Vec::new();
    let mut certain = true;
    if let Some(node) = listen {
        let told = problems.list.len();
        let found = addresses(node, base, problems);
        certain = problems.list.len() == told;
        open_doors = found
            .iter()
            .filter_map(|(address, place)| match address {
                Listen::Tcp(address) => Some((*address, place.clone())),
                Listen::Unix(_) => None,
            })
            .collect();
        settings.listen = found.into_iter().map(|(address, _)| address).collect();
    }
    match tls {
        Some(entry) => {
            settings.tls = read_tls(&entry.value, base, problems);
            if certain && open_doors.is_empty() {
                problems
                    .error(
                        "tls_without_tcp",
                        &entry.key.place,
                        "`tls` is for TCP, and `listen` has no TCP address",
                    )
                    .help("add an address such as `0.0.0.0:7443` to `listen`, or take `tls` out");
            }
        }
        None => open_doors.iter().for_each(|(address, place)| {
            if address.ip().is_loopback() {
                problems
                    .warning(
                        "tcp_without_tls",
                        place,
                        "TCP without TLS: only `paramd serve --dev` listens here",
                    )
                    .help("say with `tls` which certificate and key to use");
            } else {
                problems
                    .error(
                        "tcp_without_tls",
                        place,
                        "TCP needs TLS: tokens and secrets would go over the network in the clear",
                    )
                    .help("say with `tls` which certificate and key to use");
            }
        }),
    }
}

fn addresses(node: &Node, base: &Path, problems: &mut Problems) -> Vec<(Listen, Place)> {
    let found = fields::texts(node, "listen", MAX_LISTEN, problems);
    if matches!(&node.kind, NodeKind::Sequence(items) if items.is_empty()) {
        problems
            .error("no_listener", &node.place, "a daemon that listens nowhere serves nobody")
            .help("leave `listen` out for `unix:run/paramd.sock`");
    }
    let mut listen: Vec<(Listen, Place)> = Vec::new();
    for text in found {
        let Some(address) = Listen::parse(&text.value, base) else {
            problems
                .error("invalid_listener", &text.place, "not an address to listen at")
                .sensitive()
                .help(
                    "write `unix:PATH`, or an IP address and a port: `0.0.0.0:7443`, `[::]:7443`",
                );
            continue;
        };
        if listen.iter().any(|(other, _)| *other == address) {
            problems.error("duplicate_listener", &text.place, "this stands twice");
        }
        listen.push((address, text.place));
    }
    listen
}

fn read_tls(node: &Node, base: &Path, problems: &mut Problems) -> Option<TlsFiles> {
    let mut keys = Fields::of(node, "`tls`", problems)?;
    let certificate = keys.required("certificate");
    let key = keys.required("key");
    let client_ca = keys.optional("client_ca");
    let domains = keys.optional("trust_domains");
    keys.finish(problems);
    let certificate = certificate.and_then(|node| path(node, "certificate", base, problems));
    let key = key.and_then(|node| path(node, "key", base, problems));
    let client_ca = client_ca.map(|node| path(node, "client_ca", base, problems));
    let domains = domains.map(|node| read_domains(node, base, problems));
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
        // One that can't be read is told; it must not pass for none.
        client_ca: client_ca.map_or(Some(None), |found| found.map(Some))?,
        trust_domains: domains.unwrap_or(Some(BTreeMap::new()))?,
    })
}

/// The bundle of each trust domain. All or none: without one that can't be read the
/// rest could mean something else.
fn read_domains(
    node: &Node,
    base: &Path,
    problems: &mut Problems,
) -> Option<BTreeMap<String, PathBuf>> {
    let before = problems.list.len();
    let mut domains = BTreeMap::new();
    let entries = fields::mapping(node, "trust_domains", MAX_DOMAINS, problems)?;
    if entries.is_empty() {
        problems
            .error("empty", &node.place, "`trust_domains` needs at least one entry")
            .help("leave it out, and `client_ca` vouches for workloads too");
    }
    for entry in entries {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
        let name = &entry.key.value;
        if !(1..=255).contains(&name.len()) || !name.bytes().all(letter) {
            problems
                .error("invalid_name", &entry.key.place, "not the name of a trust domain")
                .sensitive()
                .help("1 to 255 of `a-z 0-9 . - _`, such as `example.org`");
        }
        let Some(mut keys) = Fields::of(&entry.value, "a trust domain", problems) else { continue };
        let bundle = keys.required("bundle");
        keys.finish(problems);
        let bundle = bundle.and_then(|node| path(node, "bundle", base, problems));
        domains.extend(bundle.map(|bundle| (name.clone(), bundle)));
    }
    (problems.list.len() == before).then_some(domains)
}
