//! What a source keeps when a bundle is taken in anew.

use super::{taken, wait_for_reload};
use crate::runs::vault::{filled, vaulted};
use crate::support::client::resolve;
use crate::support::daemon::Launch;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_keeps_its_login_until_something_of_it_changes() {
    let bao = filled().await;
    let config = vaulted(&bao, &bao.address()).await;
    let ca = config.around().join("ca.pem");
    std::fs::copy(bao.ca(), &ca).unwrap();
    config.replace("paramd.yaml", &[(bao.ca().to_str().unwrap(), ca.to_str().unwrap())]);
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let client = daemon.client().await;
    let mark = bao.mark();
    client.resolve(resolve("vaulted", "a")).await.unwrap();
    assert_eq!(bao.logins_since(mark), 1);

    // Grants, and where in the file the source is written, are no part of it.
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let moved = format!("# more\n{}", settings.replace("[vaulted]", "[vaulted*]"));
    config.write("paramd.yaml", &moved);
    assert!(taken(&wait_for_reload(&daemon, 1).await), "{}", daemon.log());
    client.resolve(resolve("vaulted", "b")).await.unwrap();
    assert_eq!(bao.logins_since(mark), 1, "the login was kept");

    // The file of its authority is, and it is watched.
    let text = std::fs::read_to_string(&ca).unwrap();
    std::fs::write(&ca, format!("{text}\n{text}")).unwrap();
    assert!(taken(&wait_for_reload(&daemon, 2).await), "{}", daemon.log());
    client.resolve(resolve("vaulted", "c")).await.unwrap();
    assert_eq!(bao.logins_since(mark), 2, "a new source logs in");

    config.write("paramd.yaml", moved.replace("auth:", "timeout: 4s, auth:"));
    assert!(taken(&wait_for_reload(&daemon, 3).await), "{}", daemon.log());
    client.resolve(resolve("vaulted", "d")).await.unwrap();
    assert_eq!(bao.logins_since(mark), 3);
    daemon.stop();
}
