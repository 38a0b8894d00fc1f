use super::super::listing::select;
use super::*;

/// Runs made one after the other, each with a label.
fn fill(store: &SqliteStore, ids: impl IntoIterator<Item = String>) {
    for id in ids {
        let labels = [("id".to_owned(), id.clone())].into();
        create(store, NewRun { labels, ..new_run(&id) });
    }
}

fn ids(page: &RunPage) -> Vec<String> {
    page.runs.iter().map(|(_, run)| run.frozen.key.run_id.to_string()).collect()
}

fn query(limit: usize) -> RunQuery {
    RunQuery { limit, ..RunQuery::default() }
}

/// All pages, as the caller goes from one to the next; how many they were.
fn walk(store: &SqliteStore, mut query: RunQuery) -> (Vec<String>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.runs(&query).unwrap();
        (pages, query.before) = (pages + 1, page.next);
        found.extend(ids(&page));
        if page.next.is_none() {
            return (found, pages);
        }
    }
}

fn letters(from: u8, to: u8) -> Vec<String> {
    (from..=to).map(|letter| char::from(letter).to_string()).collect()
}

#[test]
fn pages_hold_their_place_while_runs_arrive_and_end() {
    let home = Home::new();
    let store = home.open();
    assert!(store.runs(&query(10)).unwrap().runs.is_empty());
    fill(&store, letters(b'a', b'g'));
    let first = store.runs(&query(3)).unwrap();
    assert_eq!(ids(&first), ["g", "f", "e"]);
    // Between two pages: new ones, and one of the next page ends.
    fill(&store, letters(b'h', b'k'));
    wait(store.end_run(run_key("c", 1), RunEnd::Failed, Box::new(|_, _| vec![]))).unwrap();
    let second = store.runs(&RunQuery { before: first.next, ..query(3) }).unwrap();
    assert_eq!(ids(&second), ["d", "c", "b"]);
    assert!(second.runs[1].1.end.is_some());
    let last = store.runs(&RunQuery { before: second.next, ..query(3) }).unwrap();
    assert_eq!((ids(&last), last.next), (vec!["a".to_owned()], None));
    let mut all = letters(b'a', b'k');
    all.reverse();
    assert_eq!(walk(&store, query(1)).0, all);
    assert_eq!(walk(&store, query(4)).0, all);
}

#[test]
fn a_filter_that_few_fit_finds_them_in_bounded_pages() {
    let home = Home::new();
    let store = home.open();
    fill(&store, (0..130).map(|number| format!("r{number}")));
    let labelled =
        |id: &str| RunQuery { labels: [("id".to_owned(), id.to_owned())].into(), ..query(10) };
    // In the midst of page upon page of runs that don't fit.
    assert_eq!(walk(&store, labelled("r3")), (vec!["r3".to_owned()], 3));
    assert_eq!(walk(&store, labelled("r129")), (vec!["r129".to_owned()], 3));
    assert_eq!(walk(&store, labelled("none")), (vec![], 3));
    // A label's value is no part of a query's text.
    assert_eq!(walk(&store, labelled("r3' or 1 --")).0, Vec::<String>::new());
    let by_name =
        RunQuery { pipeline: Some("churn".into()), run_id: Some("r3".into()), ..query(10) };
    assert_eq!(walk(&store, by_name), (vec!["r3".to_owned()], 1));
}

#[test]
fn a_row_that_somebody_changed_hides_no_other() {
    let home = Home::new();
    let store = home.open();
    fill(&store, letters(b'a', b'd'));
    home.tamper("update runs set environment = 'NO NAME' where run_id = 'b'");
    home.tamper("update runs set run_id = char(10) where run_id = 'c'");
    assert_eq!(walk(&store, query(1)).0, ["d", "a"]);
    assert_eq!(walk(&store, query(10)).0, ["d", "a"]);
}

#[test]
fn states_are_told_apart() {
    let home = Home::new();
    let store = home.open();
    fill(&store, letters(b'a', b'c'));
    create(&store, NewRun { expires: store.now(), ..new_run("d") });
    fill(&store, letters(b'e', b'e'));
    for (id, end) in [
        ("a", RunEnd::Succeeded),
        ("b", RunEnd::Failed),
        ("c", RunEnd::Cancelled),
        ("d", RunEnd::Expired),
    ] {
        wait(store.end_run(run_key(id, 1), end, Box::new(|_, _| vec![]))).unwrap();
    }
    let found =
        |states: &[RunState]| walk(&store, RunQuery { states: states.into(), ..query(10) }).0;
    assert_eq!(found(&[RunState::Open]), ["e"]);
    assert_eq!(found(&[RunState::Completed]), ["c", "b", "a"]);
    assert_eq!(found(&[RunState::Expired]), ["d"]);
    assert_eq!(found(&[RunState::Expired, RunState::Open]), ["e", "d"]);
}

#[test]
fn a_longer_life_is_written_with_its_record_and_a_shorter_one_is_not() {
    let home = Home::new();
    let store = home.open();
    create(&store, new_run("r"));
    let first = store.run(&run_key("r", 1)).unwrap().unwrap().frozen;
    let extend = |id: &str, hours: i64, record: &[u8], expected: Option<RunEnd>| {
        let events: EventsWhere = Box::new(move |end| {
            assert_eq!(end, expected);
            vec![draft("a longer life")]
        });
        let expires = first.created + jiff::SignedDuration::from_hours(hours);
        wait(store.extend_run(run_key(id, 1), expires, record.to_vec(), events))
    };
    let longer = extend("r", 5, b"five", None).unwrap().run.frozen;
    assert_eq!(longer.expires, first.created + jiff::SignedDuration::from_hours(5));
    for (hours, record) in [(5, b"again"), (2, b"short")] {
        let same = extend("r", hours, record, None).unwrap().run.frozen;
        assert_eq!((same.expires, same.record), (longer.expires, b"five".to_vec()));
    }
    let stored = store.run(&run_key("r", 1)).unwrap().unwrap().frozen;
    assert_eq!((stored.expires, stored.record), (longer.expires, b"five".to_vec()));
    assert_eq!(stored.sealed, first.sealed);
    // What has ended, and what is over without anyone having noticed.
    create(&store, new_run("ended"));
    wait(store.end_run(run_key("ended", 1), RunEnd::Failed, Box::new(|_, _| vec![]))).unwrap();
    let overdue = store.now() - jiff::SignedDuration::from_secs(1);
    create(&store, NewRun { expires: overdue, ..new_run("overdue") });
    for (id, end) in [("ended", RunEnd::Failed), ("overdue", RunEnd::Expired)] {
        let before = format!("{:?}", store.run(&run_key(id, 1)).unwrap());
        assert_eq!(extend(id, 9, b"nine", Some(end)).unwrap().end, Some(end));
        assert_eq!(format!("{:?}", store.run(&run_key(id, 1)).unwrap()), before);
    }
    assert!(extend("none", 9, b"nine", None).is_err());
    let told = all_events(&store);
    let lives = reasons(&told).into_iter().filter(|reason| reason.contains("longer")).count();
    assert_eq!(lives, 5, "each call has its event");
}

/// How SQLite goes about a page of these runs.
fn plan(home: &Home, query: &RunQuery) -> String {
    let (sql, values) = select(query, 0, 100, 10);
    let connection = schema::reader(&home.path).unwrap();
    let mut statement = connection.prepare(&format!("explain query plan {sql}")).unwrap();
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(3)).unwrap();
    rows.map(Result::<String, _>::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_page_is_found_from_its_place_on_and_sorted_by_nobody() {
    let home = Home::new();
    let _store = home.open();
    let text = |text: &str| Some(text.to_owned());
    let any = RunQuery::default;
    for query in [
        any(),
        RunQuery { pipeline: text("churn"), ..any() },
        RunQuery { pipeline: text("churn"), states: vec![RunState::Open], ..any() },
        RunQuery { states: vec![RunState::Open], ..any() },
        RunQuery { states: vec![RunState::Completed, RunState::Expired], ..any() },
        RunQuery { run_id: text("r"), ..any() },
        RunQuery { environment: text("prod"), ..any() },
        RunQuery { from: Some(Timestamp::UNIX_EPOCH), ..any() },
        RunQuery { labels: [("team".to_owned(), "ml".to_owned())].into(), ..any() },
    ] {
        let plan = plan(&home, &query);
        assert!(plan.starts_with("SEARCH runs USING INTEGER PRIMARY KEY"), "{query:?}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{query:?}: {plan}");
    }
    let attempts = RunQuery { pipeline: text("churn"), run_id: text("r"), ..any() };
    let plan = plan(&home, &attempts);
    assert!(plan.contains("(pipeline=? AND run_id=?"), "{plan}");
}
