//! What the daemon refuses to serve with, in words.

use super::House;
use crate::support::daemon::Launch;

/// How the daemon ends that can't serve with this.
fn refusal(house: &House) -> String {
    let mut daemon = Launch::plain(&house.config.path, house.config.around()).spawn();
    assert!(!daemon.wait().success());
    daemon.log()
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let house = House::new();
    let key = house.config.path.join("tls/server.key");
    for mode in [0o644, 0o640] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let told = refusal(&house);
        assert!(told.contains("the TLS key") && told.contains("chmod 600"), "{told}");
    }
}

#[test]
fn files_that_do_not_go_together_are_refused() {
    let house = House::new();
    let tls = house.config.path.join("tls");
    let copy = |from: &str, to: &str| {
        std::fs::copy(tls.join(from), tls.join(to)).unwrap();
    };
    house.authority.server("other");
    copy("other.key", "server.key");
    assert!(refusal(&house).contains("doesn't go with the certificate"));

    house.authority.expired_server("server");
    assert!(refusal(&house).contains("expired at 2002-01-01"));

    std::fs::write(tls.join("server.pem"), "hunter2").unwrap();
    let told = refusal(&house);
    assert!(told.contains("holds no certificate in PEM") && !told.contains("hunter2"), "{told}");

    house.authority.server("server");
    std::fs::write(tls.join("server.key"), "hunter2").unwrap();
    let told = refusal(&house);
    assert!(told.contains("holds no private key in PEM") && !told.contains("hunter2"), "{told}");

    house.authority.server("server");
    std::fs::remove_file(tls.join("ca.pem")).unwrap();
    let told = refusal(&house);
    assert!(told.contains("the client CA") && told.contains("can't be read"), "{told}");
}

#[test]
fn tcp_without_tls_is_refused_but_under_dev() {
    let house = House::new();
    house.without_doors("listen: [\"127.0.0.1:0\"]\n");
    assert!(refusal(&house).contains("would be TCP without TLS"));
    house.without_doors("listen: [\"0.0.0.0:0\"]\n");
    let told = refusal(&house);
    assert!(told.contains("paramd.yaml:1:10") && told.contains("TCP needs TLS"), "{told}");
    house.without_doors("");
    let launch = Launch::dev(&house.config.path, house.config.around());
    let mut daemon = launch.listen("0.0.0.0:0").spawn();
    assert!(!daemon.wait().success());
    assert!(daemon.log().contains("would be TCP without TLS"), "{}", daemon.log());
}

#[test]
fn under_dev_tls_opens_no_door_to_others() {
    let house = House::new();
    let launch = Launch::dev(&house.config.path, house.config.around());
    let mut daemon = launch.listen("0.0.0.0:0").spawn();
    assert!(!daemon.wait().success());
    assert!(daemon.log().contains("on the loopback alone"), "{}", daemon.log());
}
