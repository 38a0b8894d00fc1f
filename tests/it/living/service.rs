//! What the service manager is told.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::process::Signal;

use super::{config, wait_for_reload};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::root;

/// A socket as systemd gives it to a service.
struct Manager(UnixDatagram);

impl Manager {
    fn at(config: &Config) -> (Self, String) {
        let path = config.around().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (Self(socket), path.display().to_string())
    }

    /// The next message with this line in it.
    fn next(&self, wanted: &str) -> Vec<String> {
        let mut bytes = [0; 4096];
        loop {
            let length = self.0.recv(&mut bytes).unwrap_or_else(|_| panic!("no {wanted} came"));
            let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            if lines.iter().any(|line| line == wanted) {
                return lines;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_hears_of_start_reload_and_end() {
    let config = config();
    let (manager, path) = Manager::at(&config);
    let launch = Launch::dev(&config.path, config.around())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    // The shell becomes the daemon, so its pid is the daemon's.
    let launch = Launch { before: "export WATCHDOG_PID=$$; ", ..launch };
    let mut daemon = launch.start().await;
    let status = |lines: &[String]| {
        lines.iter().find_map(|line| line.strip_prefix("STATUS=")).unwrap().to_owned()
    };
    let ready = status(&manager.next("READY=1"));
    assert!(ready.starts_with("serving the bundle "), "{ready}");
    manager.next("WATCHDOG=1");
    manager.next("WATCHDOG=1");

    config.write("pipelines/p.yaml", "name: q");
    daemon.signal(Signal::HUP);
    let reloading = manager.next("RELOADING=1");
    let time = reloading.iter().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(time.parse::<u64>().unwrap() > 0);
    let refused = status(&manager.next("READY=1"));
    assert!(refused.starts_with("what is on disk is refused"), "{refused}");
    wait_for_reload(&daemon, 1).await;

    daemon.signal(Signal::TERM);
    manager.next("STOPPING=1");
    assert!(daemon.wait().success());
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    let unit = root().join("packaging/paramd.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    for line in ["Type=notify-reload", "NoNewPrivileges=yes", "ProtectSystem=strict"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

/// What systemd says of the unit, in figures: from 0, which is best, to 10.
#[test]
fn the_unit_is_rated_two_or_better_and_has_what_the_daemon_needs() {
    let unit = root().join("packaging/paramd.service");
    let mut rate = std::process::Command::new("systemd-analyze");
    let rated = rate.args(["security", "--offline=true", "--no-pager"]).arg(&unit).output();
    let rated = rated.expect("systemd-analyze is there: scripts/test installs it");
    let text = String::from_utf8(rated.stdout).unwrap();
    let (_, rest) = text.split_once("Overall exposure level for paramd.service: ").unwrap();
    let level: f64 = rest.split_whitespace().next().unwrap().parse().unwrap();
    assert!(level <= 2.0, "{text}");
    // The control: one without any of it.
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("bare.service");
    std::fs::write(&bare, "[Service]\nExecStart=/bin/true\n").unwrap();
    let mut rate = std::process::Command::new("systemd-analyze");
    rate.args(["security", "--offline=true", "--no-pager", "--threshold=20"]);
    assert!(!rate.arg(&bare).output().unwrap().status.success(), "all are rated well");

    let unit = std::fs::read_to_string(unit).unwrap();
    let lines: Vec<_> = unit.lines().collect();
    for line in [
        "LimitMEMLOCK=infinity",
        "LoadCredential=sealing.key:/etc/paramd-credentials/sealing.key",
        "LoadCredential=fingerprints.key:/etc/paramd-credentials/fingerprints.key",
        "SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
}

/// As the page for operators has it, with the file as systemd makes it: root's, and
/// with an access list that shows as a group's right.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_systemd_hands_over_are_used_and_never_made() {
    use std::os::unix::fs::PermissionsExt as _;
    let config = config();
    let handed_over = config.around().join("credentials");
    std::fs::create_dir(&handed_over).unwrap();
    let keys = "keys: { sealing: { credential: sealing.key }, fingerprints: { credential: fingerprints.key }, tokens: state/tokens.key }";
    config.replace(
        "paramd.yaml",
        &[("keys: { sealing: state/sealing.key, fingerprints: state/fingerprints.key, tokens: state/tokens.key }", keys)],
    );
    let launch = Launch::plain(&config.path, config.around());
    let refused = |launch: &Launch, told: &str| {
        let mut daemon = launch.spawn();
        assert!(!daemon.wait().success());
        assert!(daemon.log().contains(told), "{told}: {}", daemon.log());
    };
    refused(&launch, "systemd passed no credentials, so there is no `sealing.key`");
    let launch = launch.env("CREDENTIALS_DIRECTORY", handed_over.to_str().unwrap());
    refused(&launch, "is there a LoadCredential for it in the unit?");
    let digits = "5e".repeat(32);
    for (file, purpose) in [("sealing.key", "sealing"), ("fingerprints.key", "fingerprint")] {
        let path = handed_over.join(file);
        std::fs::write(&path, format!("paramd-{purpose}-key-1:{digits}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).unwrap();
    }
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(crate::support::client::resolve("p", "a")).await.unwrap();
    let mut made: Vec<_> = std::fs::read_dir(config.path.join("state"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".key"))
        .collect();
    made.sort();
    assert_eq!(made, ["tokens.key"]);
    assert!(!daemon.log().contains(&digits[..16]));
    daemon.stop();
    // It opens what was sealed with it.
    let daemon = launch.start().await;
    let client = daemon.client().await;
    client.resolve(crate::support::client::resolve("p", "a")).await.unwrap();
    daemon.stop();
}
