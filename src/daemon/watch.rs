//! Tells when the files of a configuration directory change, or certificates that
//! it names: by the kernel's word, and by looking every few seconds where that is
//! silent.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How often to look where the kernel says nothing: some network file systems
/// never do.
const POLL: Duration = Duration::from_secs(5);
/// How long it has to be quiet before the files are looked at.
const QUIET: Duration = Duration::from_millis(200);
/// How long to wait for that at most.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// The folders of a bundle.
const FOLDERS: [&str; 3] = ["environments", "pipelines", "policies"];

/// What tells one state of the files from another, without reading them.
type Stamp = Vec<(PathBuf, [i64; 4], [u64; 3])>;

/// Watches a configuration directory.
pub(super) struct Watch {
    directory: PathBuf,
    /// Further files, wherever they are.
    files: Vec<PathBuf>,
    seen: Stamp,
    /// The folders that are watched, with what tells each from another.
    watched: Vec<(PathBuf, u64, u64)>,
    watcher: Option<RecommendedWatcher>,
    wake: mpsc::Sender<()>,
    woken: mpsc::Receiver<()>,
}

impl Watch {
    /// Begins to watch. What changes from now on is told.
    pub(super) async fn new(directory: &Path) -> Self {
        // One is enough: it says that there is something to look at.
        let (wake, woken) = mpsc::channel(1);
        let mut watch = Self {
            directory: absolute(directory),
            files: Vec::new(),
            seen: Stamp::new(),
            watched: Vec::new(),
            watcher: None,
            wake,
            woken,
        };
        watch.arm();
        watch.seen = watch.stamp().await;
        watch
    }

    /// Watches these files beside the directory.
    pub(super) fn also(&mut self, files: Vec<PathBuf>) {
        self.files = files.iter().map(|file| absolute(file)).collect();
        self.arm();
    }

    /// Resolves once files have changed and it is quiet again.
    pub(super) async fn changed(&mut self) {
        loop {
            if timeout(POLL, self.woken.recv()).await.is_ok() {
                self.quiet().await;
            }
            self.arm();
            let now = self.stamp().await;
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Waits until nothing has changed for a moment.
    async fn quiet(&mut self) {
        let quiet = async { while timeout(QUIET, self.woken.recv()).await.is_ok() {} };
        // Over the limit it is looked at all the same.
        let _ = timeout(LONGEST_WAIT, quiet).await;
    }

    /// Watches the folders that are there now: any of them may have been
    /// replaced by another one of its name.
    fn arm(&mut self) {
        let wanted = self.folders();
        if wanted == self.watched && self.watcher.is_some() {
            return;
        }
        let (wake, mut ours) = (self.wake.clone(), self.outside());
        ours.push(self.directory.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // The folder around may be full of what is none of ours.
            let is_ours = |event: notify::Event| {
                let under = |path: &PathBuf| ours.iter().any(|folder| path.starts_with(folder));
                !is_reading(event.kind) && event.paths.iter().any(under)
            };
            if event.is_ok_and(is_ours) {
                // Full: somebody is woken already.
                let _ = wake.try_send(());
            }
        });
        let Ok(mut watcher) = watcher else {
            if self.watched.is_empty() {
                tracing::warn!("files can't be watched; they are looked at every few seconds");
            }
            self.watched = wanted;
            return;
        };
        for (folder, ..) in &wanted {
            if watcher.watch(folder, RecursiveMode::NonRecursive).is_err() {
                tracing::debug!(folder = %folder.display(), "a folder can't be watched");
            }
        }
        self.watched = wanted;
        self.watcher = Some(watcher);
    }

    fn folders(&self) -> Vec<(PathBuf, u64, u64)> {
        let mut folders = vec![self.directory.clone()];
        // The directory itself may be replaced, or a link to it.
        folders.extend(self.directory.parent().filter(|path| path.is_dir()).map(Path::to_owned));
        folders.extend(FOLDERS.map(|folder| self.directory.join(folder)));
        folders.extend(self.outside());
        let known = |path: PathBuf| {
            let found = path.metadata().ok()?;
            found.is_dir().then(|| (path, found.dev(), found.ino()))
        };
        folders.into_iter().filter_map(known).collect()
    }

    /// The folders of the further files: a file is often replaced by another one
    /// of its name.
    fn outside(&self) -> Vec<PathBuf> {
        let mut folders: Vec<_> =
            self.files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    async fn stamp(&self) -> Stamp {
        let (directory, files) = (self.directory.clone(), self.files.clone());
        tokio::task::spawn_blocking(move || stamp(&directory, files)).await.unwrap_or_default()
    }
}

/// What the kernel tells is absolute.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Our own looking at the files is no news.
fn is_reading(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

fn stamp(directory: &Path, files: Vec<PathBuf>) -> Stamp {
    let mut paths = files;
    paths.extend(["paramd.yaml", "global.yaml"].map(|file| directory.join(file)));
    for folder in FOLDERS {
        let entries = std::fs::read_dir(directory.join(folder)).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()));
    }
    paths.sort();
    let one = |path: PathBuf| {
        let found = path.metadata().ok()?;
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        Some((path, times, [found.dev(), found.ino(), found.len()]))
    };
    paths.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_relative_directory_is_watched_by_the_kernel() {
        let folder = tempfile::tempdir_in("target").unwrap();
        let relative = Path::new("target").join(folder.path().file_name().unwrap());
        let outside = tempfile::tempdir_in("target").unwrap();
        let beside = Path::new("target").join(outside.path().file_name().unwrap()).join("ca.pem");
        std::fs::write(&beside, "one").unwrap();
        let mut watch = Watch::new(&relative).await;
        watch.also(vec![beside.clone()]);
        for file in [relative.join("paramd.yaml"), beside] {
            std::fs::write(file, "two two").unwrap();
            let told = timeout(POLL - Duration::from_secs(1), watch.changed()).await;
            assert!(told.is_ok(), "nothing was told before the next look");
        }
    }
}
