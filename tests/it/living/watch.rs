//! The ways in which files change.

use std::os::unix::fs::symlink;

use super::{PIPELINE, config, reloads, taken, wait_for_reload};
use crate::support::config::{Config, copy_folder};
use crate::support::daemon::{Daemon, Launch};

async fn started(config: &Config) -> Daemon {
    Launch::dev(&config.path, config.around()).start().await
}

fn text(n: i32) -> String {
    PIPELINE.replace("default: 1", &format!("default: {n}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_replaces_a_file_by_another() {
    let config = config();
    let daemon = started(&config).await;
    config.write("pipelines/.p.yaml.swp", "half of");
    std::fs::write(config.around().join("new"), text(2)).unwrap();
    std::fs::rename(config.around().join("new"), config.path.join("pipelines/p.yaml")).unwrap();
    assert!(taken(&wait_for_reload(&daemon, 1).await));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_goes_and_comes_back() {
    let config = config();
    let daemon = started(&config).await;
    let folder = config.path.join("pipelines");
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(taken(&wait_for_reload(&daemon, 1).await), "no pipeline is a bundle too");
    config.write("pipelines/p.yaml", text(3));
    assert!(taken(&wait_for_reload(&daemon, 2).await));
    // The new folder is watched as the old one was.
    config.write("pipelines/p.yaml", text(4));
    assert!(taken(&wait_for_reload(&daemon, 3).await));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_are_swapped_at_once_by_a_link() {
    // As Kubernetes lays out a volume.
    let config = config();
    let first = config.around().join("first");
    std::fs::rename(&config.path, &first).unwrap();
    std::fs::create_dir(&config.path).unwrap();
    let data = config.path.join("..data");
    symlink(&first, &data).unwrap();
    for name in ["paramd.yaml", "global.yaml", "environments", "policies", "pipelines"] {
        symlink(format!("..data/{name}"), config.path.join(name)).unwrap();
    }
    let daemon = started(&config).await;
    let mut known = Vec::new();
    for round in 1..4 {
        let next = config.around().join(format!("next-{round}"));
        copy_folder(&first, &next);
        std::fs::write(next.join("pipelines/p.yaml"), text(round)).unwrap();
        std::fs::write(next.join("global.yaml"), format!("# {round}\n{{}}\n")).unwrap();
        let link = config.path.join("..data_tmp");
        symlink(&next, &link).unwrap();
        std::fs::rename(&link, &data).unwrap();
        let event = wait_for_reload(&daemon, known.len() + 1).await;
        assert!(taken(&event), "{}", daemon.log());
        known.push(event.bundle);
    }
    assert_eq!(reloads(&daemon).await.len(), 3, "no mixture of two was taken");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_itself_is_a_link_to_the_newest() {
    let config = config();
    let first = config.around().join("first");
    std::fs::rename(&config.path, &first).unwrap();
    symlink(&first, &config.path).unwrap();
    let daemon = started(&config).await;
    let next = config.around().join("second");
    copy_folder(&first, &next);
    std::fs::write(next.join("pipelines/p.yaml"), text(7)).unwrap();
    let link = config.around().join("link");
    symlink(&next, &link).unwrap();
    std::fs::rename(&link, &config.path).unwrap();
    assert!(taken(&wait_for_reload(&daemon, 1).await));
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_written_is_waited_for() {
    let config = config();
    let daemon = started(&config).await;
    // Written in pieces, each of which alone would be a smaller bundle or a
    // broken one, for longer than the daemon waits before it looks.
    use std::io::Write as _;
    let mut file = std::fs::File::create(config.path.join("pipelines/p.yaml")).unwrap();
    for piece in text(5).into_bytes().chunks(16) {
        file.write_all(piece).unwrap();
        file.sync_all().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
    drop(file);
    let event = wait_for_reload(&daemon, 1).await;
    assert!(taken(&event), "{}", daemon.log());
    assert_eq!(reloads(&daemon).await.len(), 1);
    daemon.stop();
}
