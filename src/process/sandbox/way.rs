//! The way of a path through links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As the kernel has it: more are a loop.
const MAX_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The place itself, without links; it need not be there.
    pub(super) end: PathBuf,
    /// Where the path's last name is a link: the folders that the targets are in,
    /// on the way to the end. A link is turned to what lies beside its target.
    pub(super) turns: Vec<PathBuf>,
}

/// A step of the way.
enum Step {
    Name(OsString),
    /// The target of a link that may be turned follows.
    Turn,
}

impl Way {
    /// Follows a path as far as it goes.
    pub(super) fn of(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let (mut at, mut turns) = (PathBuf::from("/"), Vec::new());
        let mut steps: VecDeque<Step> = names(&absolute).map(Step::Name).collect();
        // Links on the way to the last name stay where they are.
        let mut before_last = steps.len().saturating_sub(1);
        let mut links = 0;
        while let Some(step) = steps.pop_front() {
            let Step::Name(name) = step else {
                // The whole disk is more than what lies beside.
                if at.parent().is_some() && !turns.contains(&at) {
                    turns.push(at.clone());
                }
                continue;
            };
            let is_last = before_last == 0;
            before_last = before_last.saturating_sub(1);
            let next = at.join(&name);
            let target = match std::fs::read_link(&next) {
                _ if name == ".." => {
                    at.pop();
                    continue;
                }
                Ok(target) if links < MAX_LINKS => target,
                _ => {
                    at = next;
                    continue;
                }
            };
            links += 1;
            let mut inserted: Vec<Step> = names(&target).map(Step::Name).collect();
            if target.is_absolute() {
                at = PathBuf::from("/");
            }
            if is_last {
                inserted.insert(inserted.len().saturating_sub(1), Step::Turn);
            } else {
                before_last += inserted.len();
            }
            inserted.into_iter().rev().for_each(|step| steps.push_front(step));
        }
        Self { end: at, turns }
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Ground {
        path: PathBuf,
        _folder: tempfile::TempDir,
    }

    impl Ground {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().canonicalize().unwrap();
            Self { path, _folder: folder }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.path.join(path)
        }

        fn folder(&self, path: &str) {
            std::fs::create_dir_all(self.at(path)).unwrap();
        }

        fn link(&self, target: &str, path: &str) {
            symlink(target, self.at(path)).unwrap();
        }

        #[track_caller]
        fn check(&self, path: &str, end: &str, turns: &[&str]) {
            let turns = turns.iter().map(|turn| self.at(turn)).collect();
            assert_eq!(Way::of(&self.at(path)), Way { end: self.at(end), turns }, "{path}");
        }
    }

    #[test]
    fn a_link_at_the_end_may_be_turned_and_one_on_the_way_is_followed() {
        let ground = Ground::new();
        ground.folder("releases/1/sub");
        ground.folder("etc");
        ground.link("releases/1", "current");
        ground.check("releases/1", "releases/1", &[]);
        ground.check("current", "releases/1", &["releases"]);
        ground.check("current/sub", "releases/1/sub", &[]);
        ground.check("current/sub/..", "releases/1", &[]);
        ground.check("not/there", "not/there", &[]);
        ground.check("current/new", "releases/1/new", &[]);
    }

    #[test]
    fn all_targets_of_a_chain_of_links_count() {
        let ground = Ground::new();
        // As Kubernetes mounts a ConfigMap, with its data elsewhere.
        ground.folder("mount");
        ground.folder("data/1");
        std::fs::write(ground.at("data/1/file"), "").unwrap();
        ground.link(ground.at("data/1").to_str().unwrap(), "mount/..data");
        ground.link("..data/file", "mount/file");
        ground.check("mount/file", "data/1/file", &["data", "data/1"]);
    }

    #[test]
    fn a_loop_ends() {
        let ground = Ground::new();
        ground.link("b", "a");
        ground.link("a", "b");
        assert_eq!(Way::of(&ground.at("a")).turns, [ground.at("")]);
    }
}
