//! What the daemon keeps for itself when it shuts itself in: the paths and ports of
//! its configuration, and what the system's libraries read.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::{ServeOptions, addresses};
use crate::definition::ServerSettings;
use crate::definition::settings::{Listen, TlsFiles};
use crate::process::sandbox::{Access, Enforced, Needs, Sandbox};

/// The folders and files of a bundle.
const FOLDERS: [&str; 3] = ["environments", "pipelines", "policies"];
const FILES: [&str; 2] = ["paramd.yaml", "global.yaml"];
/// What libraries read: names, certificates, time zones, the modules that look names
/// up, what the machine and the process are. Name servers are written by others, by
/// replacing files, so that it has to be their folders.
const SYSTEM: [&str; 13] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/nix/store",
    "/var/lib/ca-certificates",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/proc/self",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
];
/// Often a link to elsewhere.
const NAME_SERVERS: &str = "/etc/resolv.conf";
/// Name servers by TCP, where an answer is long.
const NAMES_PORT: u16 = 53;

/// All that the daemon needs from its start to its end. What it writes to is made,
/// for a rule needs a folder to hold for.
pub(super) fn needs(options: &ServeOptions, settings: &ServerSettings) -> Needs {
    let mut needs = of_bundle(options, settings);
    SYSTEM.iter().for_each(|path| needs.system(Path::new(path)));
    needs.file(Path::new(NAME_SERVERS), Access::Read);
    for path in &options.named {
        match path.is_dir() {
            true => needs.folder(path, Access::Read),
            false => needs.file(path, Access::Read),
        }
    }
    if options.abstract_sockets {
        needs.abstract_sockets();
    }
    needs.connect(NAMES_PORT);
    let keys = &settings.keys;
    let mut written = vec![settings.store.as_path()];
    written.extend([&keys.sealing, &keys.fingerprints].into_iter().filter_map(|key| key.file()));
    match (options.dev.is_some(), keys.tokens.file()) {
        // Tokens are those of the configuration, and nobody makes their key.
        (true, Some(file)) => needs.file(file, Access::Read),
        (false, Some(file)) => written.push(file),
        (_, None) => {}
    }
    for one in addresses(options, settings) {
        match one {
            Listen::Unix(path) => written.push(path),
            Listen::Tcp(address) => needs.bind(address.port()),
        }
    }
    for file in written {
        make_folder_of(file);
        needs.file(file, Access::Write);
    }
    needs.file(&settings.tokens, Access::Read);
    settings.metrics.iter().for_each(|address| needs.bind(address.port()));
    let receiver = settings.traces.as_ref().and_then(|url| url.parse::<http::Uri>().ok());
    if let Some(port) = receiver.and_then(|url| url.port_u16()) {
        needs.connect(port);
    }
    if let Some(dev) = &options.dev {
        needs.folder(&dev.temporary, Access::Tidy);
    }
    needs
}

/// What of it may differ from one bundle to the next.
pub(super) fn of_bundle(options: &ServeOptions, settings: &ServerSettings) -> Needs {
    let mut needs = of_directory(options);
    settings.tls.iter().flat_map(TlsFiles::all).for_each(|file| needs.file(file, Access::Read));
    settings.jwt.values().for_each(|issuer| issuer.needs(&mut needs));
    settings.sources.values().for_each(|source| source.settings.needs(&mut needs));
    needs
}

/// The configuration directory. Its files may be links to elsewhere.
pub(super) fn of_directory(options: &ServeOptions) -> Needs {
    let mut needs = Needs::default();
    let directory = &options.config;
    needs.folder(directory, Access::Read);
    let folders = FOLDERS.map(|name| directory.join(name));
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        needs.folder(folder, Access::Read);
    }
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let entries = entries.flatten().flatten().map(|entry| entry.path());
    for file in FILES.map(|name| directory.join(name)).into_iter().chain(entries) {
        needs.file(&file, Access::Read);
    }
    needs
}

/// Makes the folder of a file that is written, as whoever writes it would. Where
/// that fails he has the words for it.
fn make_folder_of(file: &Path) {
    if let Some(folder) = file.parent() {
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
}

/// Tells what is in force, so that nobody has to guess why a path is closed.
pub(super) fn tell(sandbox: &Sandbox) {
    let (listens, connects) = sandbox.ports();
    let (reads, writes) = (sandbox.paths(Access::Read), sandbox.paths(Access::Write));
    let version = match sandbox.enforced() {
        Enforced::Nothing(why) => {
            tracing::warn!(
                "the daemon isn't confined by Landlock ({why}): what its user may read and write, it may"
            );
            return;
        }
        Enforced::Fully(version) | Enforced::Partially(version) => version,
    };
    tracing::info!(landlock = version, reads, writes, listens, connects, "confined");
    if matches!(sandbox.enforced(), Enforced::Partially(_)) {
        tracing::warn!(
            "this kernel's Landlock knows a part of it alone: before Linux 6.7 no ports are closed, before 6.12 no sockets without a path"
        );
    }
    for path in sandbox.absent() {
        tracing::warn!(
            path = %path.display(),
            "this folder isn't there: what is made in its place can be read after a restart alone"
        );
    }
}

/// What these needs lack, each with what to do.
pub(super) fn lacking(sandbox: &Sandbox, needs: &Needs) -> Vec<String> {
    let told = |lack: String| {
        format!(
            "{lack} isn't among what the daemon kept for itself at its start (Landlock), which takes a restart"
        )
    };
    sandbox.lacks(needs).into_iter().map(told).collect()
}
