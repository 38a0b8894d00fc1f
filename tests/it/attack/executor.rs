//! `paramd run` among others of its machine: what is left of a run, and what
//! anyone sees of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::{Ended, paramd};
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::wait_for;

const SECRET: &str = "tok-77ab10dd95f14d0c-of-a-file";

/// A step that tells where its files are and waits to be stopped.
const WAITS: &str = r#"
tr '\0' ' ' < /proc/$PPID/cmdline > seen-cmdline
cat /proc/self/limits > seen-limits
stat -c %u /proc/$PPID/environ > seen-owner
grep NoNewPrivs /proc/self/status > seen-privileges
printf '%s' "$PARAMD_FILES" > folder.new && mv folder.new folder
while true; do sleep 0.05; done
"#;

const PIPELINE: &str = "name: waits
parameters:
  token: { type: string, secret: true, from: { file: { path: token } } }
steps:
  - name: go
    run: [sh, ./waits.sh]
    env: { TOKEN: \"{{ params.token }}\" }
    files: { key: { template: \"{{ params.token }}\" } }
";

struct Stage {
    config: Config,
    daemon: Daemon,
    temporary: PathBuf,
}

async fn stage(script: &str) -> Stage {
    let source = "  local: { file: { root: files }, grants: [{ pipelines: [\"*\"] }] }\n";
    let config = Config::new(source, "waits", PIPELINE);
    config.write_secret("files/token", SECRET);
    std::fs::write(config.around().join("waits.sh"), script).unwrap();
    let temporary = config.around().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o1777)).unwrap();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    Stage { config, daemon, temporary }
}

impl Stage {
    fn started(&self) -> Child {
        let mut command = paramd(["run", "waits"])
            .at(&self.daemon)
            .env("TMPDIR", self.temporary.to_str().unwrap())
            .inside(self.config.around())
            .into_command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn seen(&self, file: &str) -> String {
        std::fs::read_to_string(self.config.around().join(file)).unwrap()
    }
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_signal_but_kill_leaves_a_file_behind() {
    for signal in [Signal::QUIT, Signal::HUP, Signal::INT, Signal::TERM] {
        let stage = stage(WAITS).await;
        let child = stage.started();
        let told = stage.config.around().join("folder");
        wait_for("the step runs", Duration::from_secs(30), || told.exists().then_some(()));
        let folder = PathBuf::from(stage.seen("folder"));
        assert!(folder.starts_with(&stage.temporary));
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read(folder.join("key")).unwrap(), SECRET.as_bytes());
        // What everybody sees of the executor, and what nobody may.
        assert!(!stage.seen("seen-cmdline").contains(SECRET));
        assert_eq!(stage.seen("seen-owner").trim(), "0");
        // A step may have a use for `sudo`.
        assert_eq!(stage.seen("seen-privileges").split_whitespace().nth(1), Some("0"));
        let limits = stage.seen("seen-limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("1"), "{core}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.status, Some(128 + signal.as_raw()), "{ended:#?}");
        ended.hides(&[SECRET]);
        assert!(is_empty(&stage.temporary), "{signal:?} left files");
        stage.daemon.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_moves_its_files_away_keeps_none() {
    let stage = stage("mv \"$PARAMD_FILES\" ./moved; chmod 500 ./moved\n").await;
    let ended = Ended::from(stage.started().wait_with_output().unwrap());
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    assert!(stage.config.around().join("moved").exists());
    assert!(!stage.config.around().join("moved/key").exists());
    assert!(is_empty(&stage.temporary));
    stage.daemon.stop();
}
