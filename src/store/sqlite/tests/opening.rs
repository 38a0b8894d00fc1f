use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn refusal(home: &Home) -> OpenError {
    SqliteStore::open(&home.path, home.on_fatal()).unwrap_err()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_store_is_closed_to_others() {
    let home = Home::new();
    let store = home.open();
    wait(store.record(drafts(1))).unwrap();
    assert_eq!(mode(home.path.parent().unwrap()), 0o700);
    for entry in fs::read_dir(home.path.parent().unwrap()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    drop(store);
    fs::set_permissions(&home.path, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = home.open();
    assert_eq!(mode(&home.path), 0o600);
}

#[test]
fn a_second_daemon_is_refused_by_name() {
    let home = Home::new();
    let store = home.open();
    let told = refusal(&home).to_string();
    assert!(told.contains(&home.path.display().to_string()), "{told}");
    assert!(told.contains(&format!("pid {}", std::process::id())), "{told}");
    wait(store.record(drafts(1))).unwrap();
    drop(store);
    assert_eq!(check(&home.open()).last_good_sequence, 1);
}

#[test]
fn what_was_answered_survives_without_a_close() {
    let home = Home::new();
    let store = home.open();
    create(&store, new_run("r"));
    wait(store.record(drafts(20))).unwrap();
    // The files as they are on disk at this moment, as after a crash.
    let copy = Home::new();
    fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(file::beside(&home.path, suffix), file::beside(&copy.path, suffix)).unwrap();
    }
    let reopened = copy.open();
    assert_eq!(all_events(&reopened), all_events(&store));
    assert_eq!(check(&reopened), check(&store));
    assert!(reopened.run(&run_key("r", 1)).unwrap().is_some());
    assert_eq!(wait(reopened.record(drafts(1))).unwrap().sequence(), 22);
}

#[test]
fn a_wal_that_lost_its_end_loses_whole_commits_only() {
    let home = Home::new();
    let store = home.open();
    until("the first checkpoint is over", || home.wal_bytes() == 0);
    for _ in 0..5 {
        wait(store.record(drafts(3))).unwrap();
    }
    let wal = fs::read(file::beside(&home.path, "-wal")).unwrap();
    for cut in [wal.len(), wal.len() - 1, wal.len() / 2, 40, 0] {
        let copy = Home::new();
        fs::create_dir_all(copy.path.parent().unwrap()).unwrap();
        fs::copy(&home.path, &copy.path).unwrap();
        fs::write(file::beside(&copy.path, "-wal"), &wal[..cut]).unwrap();
        let report = check(&copy.open());
        assert_eq!((report.last_good_sequence % 3, report.defect), (0, None), "{cut}");
    }
}

#[test]
fn a_store_of_the_release_before_is_brought_up_and_read() {
    let home = Home::new();
    let store = home.open();
    let kept = NewRun { logical_date: None, mode: None, ..new_run("r") };
    create(&store, kept.clone());
    drop(store);
    home.tamper(
        "alter table runs drop column logical_date; alter table runs drop column mode; \
         drop table step_tokens; pragma user_version = 1",
    );
    for _ in 0..2 {
        let store = home.open();
        let found = store.run(&run_key("r", 1)).unwrap().unwrap().frozen;
        assert_eq!(
            (found.logical_date, found.mode, found.record),
            (None, None, kept.record.clone())
        );
        drop(store);
    }
    let store = home.open();
    create(&store, NewRun { key: run_key("r", 2), ..new_run("r") });
    let found = store.run(&run_key("r", 2)).unwrap().unwrap().frozen;
    assert_eq!((found.logical_date, found.mode), (new_run("r").logical_date, new_run("r").mode));
}

#[test]
fn a_later_schema_is_refused() {
    let home = Home::new();
    drop(home.open());
    home.tamper("pragma user_version = 4");
    let expected = OpenError::Newer { path: home.path.clone(), found: 4, known: 3 };
    assert_eq!(refusal(&home), expected);
}

#[test]
fn what_is_not_a_store_is_refused_and_left_alone() {
    let home = Home::new();
    fs::create_dir_all(home.path.parent().unwrap()).unwrap();
    for bytes in [Vec::new(), b"hunter2".to_vec(), vec![b'x'; 10_000]] {
        fs::write(&home.path, &bytes).unwrap();
        let error = refusal(&home);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(fs::read(&home.path).unwrap(), bytes);
    }
    fs::remove_file(&home.path).unwrap();
    home.tamper("create table t (x)");
    assert!(matches!(refusal(&home), OpenError::Damaged { .. }));

    let home = Home::new();
    fs::create_dir_all(&home.path).unwrap();
    assert!(matches!(refusal(&home), OpenError::Failed { .. } | OpenError::Damaged { .. }));
}

#[test]
fn a_lost_file_beside_its_wal_is_not_begun_anew() {
    let home = Home::new();
    drop(home.open());
    fs::remove_file(&home.path).unwrap();
    fs::write(file::beside(&home.path, "-wal"), b"frames").unwrap();
    assert!(matches!(refusal(&home), OpenError::Damaged { .. }));
}

#[test]
fn a_half_made_store_is_made_anew() {
    let home = Home::new();
    fs::create_dir_all(home.path.parent().unwrap()).unwrap();
    fs::write(file::beside(&home.path, ".new"), b"half").unwrap();
    let store = home.open();
    wait(store.record(drafts(1))).unwrap();
    assert!(!file::beside(&home.path, ".new").exists());
}

/// What a store answers after its file was changed: an error, a defect, or the
/// events as they were. Never others.
fn never_lies(home: &Home, events: &[Event], what: &str) {
    let Ok(store) = SqliteStore::open(&home.path, home.on_fatal()) else { return };
    let deadline = Instant::now() + Duration::from_secs(60);
    let request = VerifyRequest { chain: None, after: None, deadline };
    let Ok(verified) = store.verify(&request) else { return };
    if verified.chains[0].defect.is_none() {
        let query = EventQuery { limit: 1000, ..EventQuery::default() };
        if let Ok(page) = store.events(&query) {
            assert_eq!(page.events, events, "{what}");
        }
    }
}

#[test]
fn a_cut_or_flipped_file_is_refused_or_reported() {
    let home = Home::new();
    let store = home.open();
    create(&store, new_run("r"));
    wait(store.record(drafts(30))).unwrap();
    let events = all_events(&store);
    wait(store.close()).unwrap();
    drop(store);
    let whole = fs::read(&home.path).unwrap();
    for cut in (0..whole.len()).step_by(4096) {
        fs::write(&home.path, &whole[..cut]).unwrap();
        assert!(SqliteStore::open(&home.path, home.on_fatal()).is_err(), "cut at {cut}");
    }
    for at in (0..whole.len()).step_by(331) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x11;
        fs::write(&home.path, &flipped).unwrap();
        never_lies(&home, &events, &format!("flipped at {at}"));
        let _ = fs::remove_file(file::beside(&home.path, "-wal"));
        let _ = fs::remove_file(file::beside(&home.path, "-shm"));
    }
}
