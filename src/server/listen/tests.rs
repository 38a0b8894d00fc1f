use std::os::unix::fs::PermissionsExt as _;

use super::*;

async fn refused(path: &Path) -> String {
    BoundListener::unix(path).await.expect_err("was listened on").to_string()
}

#[tokio::test]
async fn a_missing_directory_is_made_for_us_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("run/paramd/paramd.sock");
    let bound = BoundListener::unix(&path).await.unwrap();
    for made in ["run", "run/paramd"] {
        let mode = fs::metadata(home.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    assert_eq!(bound.endpoint(), format!("unix:{}", path.display()));
}

#[tokio::test]
async fn a_directory_that_others_may_write_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for mode in [0o777, 0o770, 0o722] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let words = refused(&home.path().join("s")).await;
        assert!(words.contains("can be written by others"), "{words}");
    }
}

#[tokio::test]
async fn a_socket_that_answers_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s");
    let first = BoundListener::unix(&path).await.unwrap();
    let words = refused(&path).await;
    assert!(words.contains("another daemon answers on") && words.contains(path.to_str().unwrap()));
    assert!(path.exists());
    drop(first);
}

#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s");
    // std's listener leaves its file behind, as a killed daemon does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let bound = BoundListener::unix(&path).await.unwrap();
    UnixStream::connect(&path).await.unwrap();
    drop(bound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_several_that_start_together_one_has_the_socket() {
    for _ in 0..200 {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let starting: Vec<_> = (0..6)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { BoundListener::unix(&path).await })
            })
            .collect();
        let mut bound = Vec::new();
        for one in starting {
            bound.extend(one.await.unwrap());
        }
        assert_eq!(bound.len(), 1);
        UnixStream::connect(&path).await.expect("it is the one that is there");
    }
}

#[tokio::test]
async fn what_is_not_a_socket_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s");
    fs::write(&path, "mine").unwrap();
    assert!(refused(&path).await.contains("is not a socket"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(refused(&link).await.contains("is not a socket"));
    assert!(link.is_symlink());
}

#[tokio::test]
async fn the_file_goes_at_the_end_unless_it_is_another_by_then() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s");
    drop(BoundListener::unix(&path).await.unwrap());
    assert!(!path.exists());

    let bound = BoundListener::unix(&path).await.unwrap();
    fs::rename(&path, home.path().join("moved")).unwrap();
    fs::write(&path, "another's").unwrap();
    drop(bound);
    assert!(path.exists());
}

#[tokio::test]
async fn a_path_that_fits_no_address_is_refused_in_words() {
    let words = refused(Path::new(&format!("/tmp/{}", "x".repeat(120)))).await;
    assert!(words.contains("107 bytes"));
}
