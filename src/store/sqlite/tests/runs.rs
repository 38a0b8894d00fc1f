use super::*;

#[test]
fn a_run_is_frozen_once_and_comes_back_as_it_was() {
    let home = Home::new();
    let store = home.open();
    let given = new_run("r");
    let Created::Created(recorded) = create(&store, given.clone()) else { panic!() };
    assert_eq!(recorded.sequence(), 1);
    let other = NewRun { record: b"another".to_vec(), ..given.clone() };
    assert!(matches!(create(&store, other), Created::Exists));
    assert_eq!(all_events(&store).len(), 1);

    drop(store);
    let store = home.open();
    let run = store.run(&given.key).unwrap().unwrap();
    assert!(run.end.is_none());
    assert_eq!(format!("{:?}", run.frozen), format!("{given:?}"));
    assert!(store.run(&run_key("r", 2)).unwrap().is_none());
    assert!(store.run(&run_key("R", 1)).unwrap().is_none());
}

#[test]
fn the_newest_attempt_is_found() {
    let home = Home::new();
    let store = home.open();
    let newest = || {
        let key = run_key("r", 1);
        store.newest_attempt(&key.pipeline, &key.run_id).unwrap()
    };
    assert_eq!(newest(), None);
    create(&store, new_run("r"));
    create(&store, NewRun { key: run_key("r", 12), ..new_run("r") });
    assert_eq!(newest(), Some(12));
}

#[test]
fn an_end_erases_what_is_sealed_and_is_idempotent() {
    let home = Home::new();
    let store = home.open();
    create(&store, new_run("r"));
    create(&store, new_run("stays"));
    let end = |end| {
        let events: EventsFor = Box::new(move |run, by_this_call| {
            assert_eq!(by_this_call, run.end.is_none());
            assert_eq!(by_this_call, !run.frozen.sealed.is_empty());
            vec![draft(if by_this_call { "ended" } else { "had ended" })]
        });
        wait(store.end_run(run_key("r", 1), end, events)).unwrap()
    };
    let ended = end(RunEnd::Cancelled);
    assert!(ended.by_this_call && ended.run.frozen.sealed.is_empty());
    let (how, when) = ended.run.end.unwrap();
    assert_eq!(how, RunEnd::Cancelled);
    assert!(when >= ended.run.frozen.created);

    let again = end(RunEnd::Failed);
    assert!(!again.by_this_call);
    assert_eq!(again.run.end, Some((RunEnd::Cancelled, when)));
    assert_eq!(again.recorded.sequence(), 4);
    assert_eq!(reasons(&all_events(&store)), ["created", "created", "ended", "had ended"]);

    let stored = store.run(&run_key("r", 1)).unwrap().unwrap();
    assert_eq!(stored.end, Some((RunEnd::Cancelled, when)));
    assert_eq!(stored.frozen.record, b"the record");
    assert!(stored.frozen.sealed.is_empty());
    assert!(!store.run(&run_key("stays", 1)).unwrap().unwrap().frozen.sealed.is_empty());
}

#[test]
fn erased_bytes_leave_the_file_and_the_wal_while_the_daemon_runs() {
    let home = Home::new();
    let store = home.open();
    let marked = |mark: &[u8]| NewRun { sealed: mark.repeat(3000), ..new_run("r") };
    create(&store, marked(b"CIPHERTEXT-OF-A-PASSWORD"));
    let contains = || {
        // The WAL first: a checkpoint between the two reads moves bytes to the file.
        [file::beside(&home.path, "-wal"), home.path.clone()].iter().any(|path| {
            let bytes = std::fs::read(path).unwrap();
            bytes.windows(15).any(|window| window == b"CIPHERTEXT-OF-A")
        })
    };
    assert!(contains());
    wait(store.end_run(run_key("r", 1), RunEnd::Succeeded, Box::new(|_, _| drafts(1)))).unwrap();
    until("the WAL is emptied", || home.wal_bytes() == 0);
    assert!(!contains());
    assert_eq!(all_events(&store).len(), 2);
}

#[test]
fn each_end_comes_back_as_it_was() {
    let home = Home::new();
    let store = home.open();
    for end in [RunEnd::Succeeded, RunEnd::Failed, RunEnd::Cancelled, RunEnd::Expired] {
        let expires = match end {
            RunEnd::Expired => store.now(),
            _ => new_run("r").expires,
        };
        let run = NewRun { expires, ..new_run(&format!("{end:?}")) };
        let key = run.key.clone();
        create(&store, run);
        wait(store.end_run(key.clone(), end, Box::new(|_, _| vec![]))).unwrap();
        assert_eq!(store.run(&key).unwrap().unwrap().end.unwrap().0, end);
    }
}

#[test]
fn a_run_expires_only_when_its_lifetime_is_over() {
    let home = Home::new();
    let store = home.open();
    create(&store, new_run("r"));
    let events: EventsFor = Box::new(|_, by_this_call| {
        assert!(!by_this_call);
        Vec::new()
    });
    let ended = wait(store.end_run(run_key("r", 1), RunEnd::Expired, events)).unwrap();
    assert!(!ended.by_this_call && ended.run.end.is_none());
    let stored = store.run(&run_key("r", 1)).unwrap().unwrap();
    assert!(stored.end.is_none() && !stored.frozen.sealed.is_empty());
}

#[test]
fn open_runs_past_their_lifetime_are_overdue() {
    let home = Home::new();
    let store = home.open();
    let now = store.now();
    let at = |run_id: &str, seconds| {
        let expires = now + jiff::SignedDuration::from_secs(seconds);
        create(&store, NewRun { expires, ..new_run(run_id) });
    };
    at("late", -1);
    at("later", -2);
    at("now", 0);
    at("not yet", 1);
    at("ended", -1);
    wait(store.end_run(run_key("ended", 1), RunEnd::Failed, Box::new(|_, _| vec![]))).unwrap();
    let ids = |limit| {
        let runs = store.overdue(now, limit).unwrap();
        runs.iter().map(|run| run.run_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(10), ["later", "late", "now"]);
    assert_eq!(ids(1), ["later"]);
    home.tamper("update runs set pipeline = 'NO NAME' where run_id = 'later'");
    assert_eq!(ids(10), ["late", "now"], "a row that makes no sense stops no other");
}

#[test]
fn the_latest_failures_of_each_run_are_kept() {
    let home = Home::new();
    let store = home.open();
    wait(store.record_failure(run_key("other", 1), vec![9], drafts(1))).unwrap();
    for index in 0..25 {
        wait(store.record_failure(run_key("r", 1), vec![index], drafts(1))).unwrap();
    }
    let kept = |run_id: &str| -> Vec<Vec<u8>> {
        let connection = schema::reader(&home.path).unwrap();
        let sql = "select failure from failures where run_id = ?1 order by id";
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([run_id], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(kept("r"), (5..25).map(|index| vec![index]).collect::<Vec<_>>());
    assert_eq!(kept("other"), [[9]]);
    assert_eq!(all_events(&store).len(), 26);
}
