//! What is listened on. A Unix socket is made in a directory of our own, so that
//! nobody else is ever in its backlog, and removed at the end; TCP has TLS.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::tls::Tls;

/// How long a socket that is there may take to show that somebody answers.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Why a socket can't be listened on, in our own words.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another daemon answers there.
    #[error("another daemon answers on `{}`; stop it, or listen elsewhere", .0.display())]
    InUse(PathBuf),
    /// Something else than a socket is there.
    #[error("`{}` is there and is not a socket; it was left alone: listen elsewhere", .0.display())]
    NotSocket(PathBuf),
    /// The directory could be changed by others.
    #[error("the directory `{}` {why}; a socket's directory must be the daemon's own", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path doesn't fit into a socket's address.
    #[error("the path `{}` is longer than the 107 bytes that a socket's may have", .0.display())]
    TooLong(PathBuf),
    /// The system refused an address of TCP.
    #[error("can't listen on `{address}`: {why}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        why: io::ErrorKind,
    },
    /// The system refused.
    #[error("can't {doing} `{}`: {why}", .path.display())]
    System {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's reason.
        why: io::ErrorKind,
    },
}

/// What is listened on. A socket's file goes when this goes, if it is still the
/// one that was made here.
#[derive(Debug)]
pub struct BoundListener {
    listener: Listener,
    file: Option<SocketFile>,
    shown: String,
}

/// The kinds of listeners.
#[derive(Debug)]
pub(super) enum Listener {
    /// A Unix socket.
    Unix(UnixListener),
    /// TCP; without TLS on the loopback alone.
    Tcp(TcpListener, Option<Arc<Tls>>),
}

impl BoundListener {
    /// Listens on TCP, with TLS where it is given. Whoever calls without looks
    /// that the address is this machine's own.
    ///
    /// # Errors
    /// The system refuses the address.
    pub async fn tcp(address: SocketAddr, tls: Option<Arc<Tls>>) -> Result<Self, ListenError> {
        let failed = |error: io::Error| ListenError::Tcp { address, why: error.kind() };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shown = format!("{scheme}://{bound}");
        Ok(Self { listener: Listener::Tcp(listener, tls), file: None, shown })
    }

    /// Listens on a Unix socket at `path`. A missing directory is made with mode
    /// 0700; a socket on which nobody answers is replaced.
    ///
    /// # Errors
    /// [`ListenError`]; nothing that was there before is gone then, but for a
    /// dead socket.
    pub async fn unix(path: &Path) -> Result<Self, ListenError> {
        if path.as_os_str().len() > 107 {
            return Err(ListenError::TooLong(path.to_owned()));
        }
        let directory = prepare_directory(path)?;
        // Until the socket is there: two that start together would each take the
        // other's new socket for the dead one, and remove it.
        let _turn = turn(directory, path).await?;
        clear_dead_socket(path).await?;
        let listener =
            UnixListener::bind(path).map_err(|error| system("listen on", path, &error))?;
        let file = SocketFile::of(path)?;
        let shown = format!("unix:{}", path.display());
        Ok(Self { listener: Listener::Unix(listener), file: Some(file), shown })
    }

    /// Where it listens, as an endpoint: `unix:PATH`, or `https://` and the
    /// address that the system gave.
    pub fn endpoint(&self) -> &str {
        &self.shown
    }

    pub(super) fn into_parts(self) -> (Listener, Option<SocketFile>) {
        (self.listener, self.file)
    }
}

/// The file of a socket that was made here.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> Result<Self, ListenError> {
        let identity = identity(path).map_err(|error| system("look at", path, &error))?;
        Ok(Self { path: path.to_owned(), identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // Who can't remove it can't do more about it; the next start will.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What tells one file from another at the same path.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn prepare_directory(path: &Path) -> Result<&Path, ListenError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| system("make the directory", directory, &error))?;
    let found = fs::metadata(directory).map_err(|error| system("look at", directory, &error))?;
    let refused = |why| Err(ListenError::Directory { path: directory.to_owned(), why });
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refused("belongs to somebody else");
    }
    if found.mode() & 0o022 != 0 {
        return refused("can be written by others");
    }
    Ok(directory)
}

/// Waits until no other daemon looks for its place in the directory.
async fn turn(directory: &Path, path: &Path) -> Result<fs::File, ListenError> {
    let failed = |error: &io::Error| system("look at", directory, error);
    let file = fs::File::open(directory).map_err(|error| failed(&error))?;
    let waiting = async {
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => tokio::time::sleep(Duration::from_millis(1)).await,
                outcome => return outcome,
            }
        }
    };
    match tokio::time::timeout(2 * ANSWER_LIMIT, waiting).await {
        Ok(outcome) => outcome.map_err(|error| failed(&error.into()))?,
        Err(_) => return Err(ListenError::InUse(path.to_owned())),
    }
    Ok(file)
}

async fn clear_dead_socket(path: &Path) -> Result<(), ListenError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system("look at", path, &error)),
    };
    if !found.file_type().is_socket() {
        return Err(ListenError::NotSocket(path.to_owned()));
    }
    match tokio::time::timeout(ANSWER_LIMIT, UnixStream::connect(path)).await {
        // A full backlog is somebody too.
        Ok(Ok(_)) | Err(_) => Err(ListenError::InUse(path.to_owned())),
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::WouldBlock => Err(ListenError::InUse(path.to_owned())),
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::ConnectionRefused => fs::remove_file(path)
                .map_err(|error| system("remove the dead socket", path, &error)),
            _ => Err(system("find out who answers on", path, &error)),
        },
    }
}

fn system(doing: &'static str, path: &Path, error: &io::Error) -> ListenError {
    ListenError::System { doing, path: path.to_owned(), why: error.kind() }
}

#[cfg(test)]
mod tests;
