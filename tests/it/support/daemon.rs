//! The daemon as a child process.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::{Client, channel};
use super::wait_until;

const READY: Duration = Duration::from_secs(30);
const STOPPED: Duration = Duration::from_secs(30);
/// The bytes of a daemon's output that a failed test shows: its end.
const SHOWN: usize = 64 << 10;

/// How to start the daemon.
pub(crate) struct Launch {
    /// `--config`.
    pub(crate) config: PathBuf,
    /// A folder of the test for the socket and the output.
    pub(crate) folder: PathBuf,
    /// With `--dev` on a socket in the folder; else as `paramd.yaml` says.
    pub(crate) dev: bool,
    /// The daemon's environment, whole.
    pub(crate) env: Vec<(String, OsString)>,
    /// A shell's words that come before the daemon.
    pub(crate) before: &'static str,
    /// Further words of the command line.
    pub(crate) words: Vec<String>,
}

impl Launch {
    /// `serve --dev` with nothing in the environment.
    pub(crate) fn dev(config: &Path, folder: &Path) -> Self {
        Self {
            config: config.into(),
            folder: folder.into(),
            dev: true,
            env: Vec::new(),
            before: "",
            words: Vec::new(),
        }
    }

    /// `serve` as `paramd.yaml` says, on its own store and keys.
    pub(crate) fn plain(config: &Path, folder: &Path) -> Self {
        Self { dev: false, ..Self::dev(config, folder) }
    }

    /// With `--listen` once more.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.words.extend(["--listen".into(), address.into()]);
        self
    }

    /// With a variable more.
    pub(crate) fn env(self, name: &str, value: &str) -> Self {
        self.raw_env(name, value.into())
    }

    /// With a variable more, which need not be text.
    pub(crate) fn raw_env(mut self, name: &str, value: OsString) -> Self {
        self.env.push((name.into(), value));
        self
    }

    /// Where it will listen.
    pub(crate) fn socket(&self) -> PathBuf {
        if self.dev {
            self.folder.join("run/paramd.sock")
        } else {
            self.config.join("run/paramd.sock")
        }
    }

    /// Starts the process and doesn't wait until it serves.
    pub(crate) fn spawn(&self) -> Daemon {
        let socket = self.socket();
        private_folder(socket.parent().unwrap());
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{}exec \"$@\"", self.before)).arg("sh");
        command.arg(env!("CARGO_BIN_EXE_paramd"));
        command.arg("serve").arg("--config").arg(&self.config);
        if self.dev {
            command.arg("--dev").arg("--listen").arg(format!("unix:{}", socket.display()));
        }
        command.args(&self.words);
        let output = self.folder.join("daemon.out");
        let errors = self.folder.join("daemon.err");
        let child = command
            .env_clear()
            .env("TMPDIR", &self.folder)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(append(&output))
            .stderr(append(&errors))
            .spawn()
            .expect("the daemon's binary runs");
        Daemon { child, socket, output, errors, stopped: false }
    }

    /// Starts the daemon and waits until it serves.
    pub(crate) async fn start(&self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.ready().await;
        daemon
    }
}

/// Makes a folder that only its owner may enter.
pub(crate) fn private_folder(path: &Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).unwrap();
}

fn append(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

/// A running daemon. Killed when it is dropped.
pub(crate) struct Daemon {
    child: Child,
    socket: PathBuf,
    output: PathBuf,
    errors: PathBuf,
    stopped: bool,
}

impl Daemon {
    /// Waits until it serves.
    pub(crate) async fn ready(&mut self) {
        let socket = self.socket.clone();
        wait_until("the daemon serves", READY, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.stopped = true;
                panic!("the daemon ended with {status}:\n{}", self.log());
            }
            serves(&socket).await.then_some(())
        })
        .await;
    }

    /// A client of the caller's uid.
    pub(crate) async fn client(&self) -> Client {
        Client::new(channel(&self.socket).await.expect("the daemon listens"))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// `--endpoint` for the command line.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// All that it wrote so far.
    pub(crate) fn log(&self) -> String {
        // Gone with its folder where a test has failed.
        let read = |path| std::fs::read(path).unwrap_or_default();
        let bytes = [read(&self.output), read(&self.errors)].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process.
    pub(crate) fn child(&self) -> &Child {
        &self.child
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the process to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = super::wait_for("the daemon ends", STOPPED, || self.child.try_wait().unwrap());
        self.stopped = true;
        status
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "the daemon ended with {status}:\n{}", self.log());
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            // A line for each of a million requests would hide what failed.
            let log = self.log();
            eprintln!(
                "--- the daemon wrote\n{}",
                &log[log.ceil_char_boundary(log.len().saturating_sub(SHOWN))..]
            );
        }
    }
}

async fn serves(socket: &Path) -> bool {
    let Ok(channel) = channel(socket).await else { return false };
    let request = HealthCheckRequest { service: String::new() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.is_ok_and(|answer| answer.get_ref().status == ServingStatus::Serving as i32)
}
