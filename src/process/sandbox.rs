//! The paths and ports that the process keeps for itself; the kernel refuses all
//! others, whatever runs in the process (Landlock).
//!
//! A rule holds for a directory and all that is below it, also what comes later,
//! and for no other directory that takes its place. It can't be widened again:
//! what a new configuration needs besides takes a restart.

mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use way::Way;

/// What the rules are written for; older kernels keep to a part of them.
const KNOWN: ABI = ABI::V7;

/// What may be done below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Empty folders are removed.
    Tidy,
    /// Files are read and folders listed.
    Read,
    /// And files, folders and sockets are made, changed and removed.
    Write,
}

/// What a process needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    places: BTreeMap<PathBuf, Access>,
    absent: BTreeSet<PathBuf>,
    binds: BTreeSet<u16>,
    connects: BTreeSet<u16>,
    abstract_sockets: bool,
}

impl Needs {
    /// A folder with all that is below it. Where it is a link, also what lies
    /// beside its target, which the link may be turned to.
    pub fn folder(&mut self, path: &Path, access: Access) {
        let Way { end, turns } = Way::of(path);
        if end.exists() {
            self.add(end, access);
        } else {
            self.absent.insert(path.to_owned());
        }
        turns.into_iter().for_each(|turn| self.add(turn, Access::Read));
    }

    /// A file, with its folder: a file is replaced by another one of its name. Where
    /// it is a link, also the folder of its target.
    pub fn file(&mut self, path: &Path, access: Access) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // All of the disk is more than a file has to do with.
        let is_top = |folder: &&Path| Way::of(folder).end.parent().is_none();
        if let Some(folder) = path.parent().filter(|folder| !is_top(folder)) {
            self.folder(folder, access);
        }
        let Way { end, turns } = Way::of(&path);
        turns.into_iter().for_each(|turn| self.add(turn, Access::Read));
        if end.exists() {
            self.add(end, access);
        }
    }

    /// A path of the system's that is read where it is there, and nothing beside.
    pub fn system(&mut self, path: &Path) {
        let Way { end, .. } = Way::of(path);
        if end.exists() {
            self.add(end, Access::Read);
        }
    }

    /// A port to listen on; 0: any that is free.
    pub fn bind(&mut self, port: u16) {
        self.binds.insert(port);
    }

    /// A port of others to connect to.
    pub fn connect(&mut self, port: u16) {
        self.connects.insert(port);
    }

    /// Sockets of others that have no path.
    pub fn abstract_sockets(&mut self) {
        self.abstract_sockets = true;
    }

    fn add(&mut self, place: PathBuf, access: Access) {
        let known = self.places.entry(place).or_insert(access);
        *known = access.max(*known);
    }
}

/// How much of it the kernel enforces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enforced {
    /// All, by this version of Landlock.
    Fully(String),
    /// A part of it: the kernel has an older version.
    Partially(String),
    /// Nothing, and why.
    Nothing(&'static str),
}

/// A place that is open to the process: what it is to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    device: u64,
    inode: u64,
    access: Access,
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct Sandbox {
    needs: Needs,
    open: Vec<Open>,
    enforced: Enforced,
}

/// Confines the calling thread, and those that it starts, to what it needs.
pub fn enter(needs: Needs) -> Sandbox {
    let mut open = Vec::new();
    let enforced = restrict(&needs, &mut open)
        .unwrap_or(Enforced::Nothing("the kernel, or what contains this process, refuses it"));
    Sandbox { needs, open, enforced }
}

fn restrict(needs: &Needs, open: &mut Vec<Open>) -> Result<Enforced, RulesetError> {
    let mut scope = Scope::from_all(KNOWN);
    if needs.abstract_sockets {
        scope.remove(Scope::AbstractUnixSocket);
    }
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(scope)?
        .create()?;
    for (place, access) in &needs.places {
        // Gone since it was looked for.
        let (Ok(about), Ok(opened)) = (place.metadata(), PathFd::new(place)) else { continue };
        let mut rights = rights(*access);
        if !about.is_dir() {
            rights &= AccessFs::from_file(KNOWN);
        }
        if rights.is_empty() {
            continue;
        }
        rules = rules.add_rule(PathBeneath::new(opened, rights))?;
        open.push(Open { device: about.dev(), inode: about.ino(), access: *access });
    }
    for port in &needs.binds {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in &needs.connects {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let status = rules.restrict_self()?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("{effective_abi:?}"),
        LandlockStatus::NotEnabled => return Ok(Enforced::Nothing("Landlock isn't switched on")),
        _ => return Ok(Enforced::Nothing("the kernel has no Landlock")),
    };
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Fully(version),
        RulesetStatus::PartiallyEnforced => Enforced::Partially(version),
        RulesetStatus::NotEnforced => Enforced::Nothing("the kernel enforces none of it"),
    })
}

/// What the kernel is asked for. Nothing may be executed.
fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match access {
        Access::Tidy => AccessFs::RemoveDir.into(),
        Access::Read => read,
        Access::Write => {
            read | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSock
                | AccessFs::RemoveFile
                | AccessFs::RemoveDir
        }
    }
}

impl Sandbox {
    /// How much of it the kernel enforces.
    pub fn enforced(&self) -> &Enforced {
        &self.enforced
    }

    /// Folders that weren't there: what is made in their place can't be read.
    pub fn absent(&self) -> impl Iterator<Item = &Path> {
        let absent = self.needs.absent.iter().map(PathBuf::as_path);
        absent.filter(|path| !self.is_open(path, Access::Read))
    }

    /// The paths that may be used so, for people.
    pub fn paths(&self, access: Access) -> String {
        let paths = self.needs.places.iter().filter(|(_, one)| **one == access);
        let paths: Vec<_> = paths.map(|(path, _)| path.display().to_string()).collect();
        paths.join(" ")
    }

    /// The ports that may be listened on and connected to, for people.
    pub fn ports(&self) -> (String, String) {
        let listed = |ports: &BTreeSet<u16>| {
            let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
            ports.join(" ")
        };
        (listed(&self.needs.binds), listed(&self.needs.connects))
    }

    /// What of these needs is refused now, in words; empty where nothing is.
    pub fn lacks(&self, needs: &Needs) -> Vec<String> {
        if matches!(self.enforced, Enforced::Nothing(_)) {
            return Vec::new();
        }
        let absent = needs.absent.iter().map(|path| (path.as_path(), Access::Read));
        let places = needs.places.iter().map(|(path, access)| (path.as_path(), *access));
        let closed = places.chain(absent).filter(|(path, access)| !self.is_open(path, *access));
        let closed = closed.map(|(path, _)| format!("the path `{}`", path.display()));
        let ports = needs.connects.difference(&self.needs.connects);
        closed.chain(ports.map(|port| format!("the port {port}"))).collect()
    }

    /// Whether a rule covers a place: one for it, or for a folder above it.
    fn is_open(&self, place: &Path, access: Access) -> bool {
        let Way { end, .. } = Way::of(place);
        let is_it = |about: std::fs::Metadata| {
            self.open.iter().any(|open| {
                open.access >= access && (open.device, open.inode) == (about.dev(), about.ino())
            })
        };
        end.ancestors().any(|folder| folder.metadata().is_ok_and(is_it))
    }
}
