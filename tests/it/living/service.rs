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
