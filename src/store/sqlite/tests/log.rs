use super::*;
use crate::audit::verify::ChainDefect;

fn accessed(parameter: &str) -> EventDraft {
    let access = ParameterAccess {
        name: ItemName::from_record(parameter.into()),
        source: None,
        source_name: None,
        location: String::new(),
        version: None,
        fingerprint: None,
        violated_keyword: "",
    };
    EventDraft { parameters: vec![access].into(), ..draft(parameter) }
}

fn store_of(home: &Home, count: usize) -> SqliteStore {
    let store = home.open();
    wait(store.record(drafts(count))).unwrap();
    store
}

#[test]
fn events_are_chained_and_come_back_as_they_were() {
    let home = Home::new();
    let given = vec![draft("a"), accessed("p"), draft("c")];
    let store = home.open();
    assert_eq!(wait(store.record(given.clone())).unwrap().sequence(), 3);
    let events = all_events(&store);
    assert_eq!(events.iter().map(|event| event.draft.clone()).collect::<Vec<_>>(), given);
    assert_eq!(events[0].previous_hash, [0; 32]);
    assert_eq!(events[2].previous_hash, events[1].hash);
    assert_eq!(events[2].chain.len(), 16);
    let report = check(&store);
    assert_eq!((report.last_good_sequence, report.head_hash), (3, Some(events[2].hash)));
    assert_eq!((report.chain, report.defect), (events[0].chain.clone(), None));
}

#[test]
fn tampering_is_found_where_it_was_done() {
    let changed = Some(ChainDefect::Changed);
    let missing = Some(ChainDefect::Missing);
    let misplaced = Some(ChainDefect::Misplaced);
    let cases = [
        (
            "update events set canonical = zeroblob(length(canonical)) where sequence = 4",
            3,
            changed,
        ),
        ("update events set hash = zeroblob(32) where sequence = 4", 3, changed),
        ("update events set hash = x'00' where sequence = 4", 3, changed),
        ("update events set outcome = 1 where sequence = 4", 3, changed),
        ("update events set principal = 'uid:0' where sequence = 4", 3, changed),
        ("update events set time = time + 1 where sequence = 1", 0, changed),
        ("update events set run_id = 'r' where sequence = 4", 3, changed),
        ("delete from events where sequence = 4", 3, missing),
        ("delete from events where sequence = 1", 0, missing),
        ("delete from events where sequence > 4", 4, missing),
        ("delete from events", 0, missing),
        (
            "update events set sequence = -4 where sequence = 4;
             update events set sequence = 4 where sequence = 5;
             update events set sequence = 5 where sequence = -4",
            3,
            misplaced,
        ),
        (
            "insert into events select -1, canonical, previous, hash, time, action, outcome, \
             principal, pipeline, run_id, environment, step from events where sequence = 1",
            0,
            misplaced,
        ),
        (
            "insert into events select 7, canonical, previous, hash, time, action, outcome, \
             principal, pipeline, run_id, environment, step from events where sequence = 6",
            6,
            misplaced,
        ),
        (
            "update chains set count = 4, head = (select hash from events where sequence = 4)",
            4,
            misplaced,
        ),
        ("update chains set head = zeroblob(32)", 5, changed),
    ];
    for (sql, good, defect) in cases {
        let home = Home::new();
        let store = store_of(&home, 6);
        home.tamper(sql);
        let report = check(&store);
        assert_eq!((report.last_good_sequence, report.defect), (good, defect), "{sql}");
    }
}

#[test]
fn the_log_goes_on_after_damage_without_hiding_it() {
    let home = Home::new();
    drop(store_of(&home, 6));
    home.tamper("delete from events where sequence = 6");
    let store = home.open();
    assert_eq!(wait(store.record(drafts(1))).unwrap().sequence(), 7);
    let report = check(&store);
    assert_eq!((report.last_good_sequence, report.defect), (5, Some(ChainDefect::Missing)));
}

#[test]
fn a_check_that_ran_out_of_time_goes_on_later() {
    let home = Home::new();
    let store = store_of(&home, 1500);
    let mut request = VerifyRequest { chain: None, after: None, deadline: Instant::now() };
    let mut firsts = Vec::new();
    loop {
        let verified = store.verify(&request).unwrap();
        firsts.push(verified.chains[0].first_sequence);
        assert_eq!(verified.chains[0].defect, None);
        request.after = verified.next;
        if request.after.is_none() {
            assert_eq!(verified.chains[0].last_good_sequence, 1500);
            break;
        }
    }
    assert_eq!(firsts, [1, 513, 1025]);

    request.after = Some((513, [1; 32]));
    let report = &store.verify(&request).unwrap().chains[0];
    assert_eq!((report.last_good_sequence, report.defect), (512, Some(ChainDefect::Changed)));
    request.after = Some((9_999, [1; 32]));
    let report = &store.verify(&request).unwrap().chains[0];
    assert_eq!(report.defect, Some(ChainDefect::Missing));
    request.chain = Some("another".into());
    assert!(store.verify(&request).unwrap().chains.is_empty());
}

#[test]
fn pages_do_not_shift_while_events_arrive() {
    let home = Home::new();
    for newest_first in [true, false] {
        let store = store_of(&home, 10);
        let before = all_events(&store).len() as u64;
        let mut query = EventQuery { newest_first, limit: 3, ..EventQuery::default() };
        let mut seen = Vec::new();
        loop {
            let page = store.events(&query).unwrap();
            query.at_most.get_or_insert(page.newest);
            seen.extend(page.events.iter().map(|event| event.sequence));
            wait(store.record(drafts(2))).unwrap();
            match page.next {
                Some(next) => query.beyond = Some(next),
                None => break,
            }
        }
        let mut expected: Vec<_> = (1..=before).collect();
        if newest_first {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_page_that_is_exactly_the_last_says_so() {
    let home = Home::new();
    let store = store_of(&home, 6);
    for newest_first in [true, false] {
        let mut query = EventQuery { newest_first, limit: 3, ..EventQuery::default() };
        query.beyond = store.events(&query).unwrap().next;
        assert!(query.beyond.is_some());
        let page = store.events(&query).unwrap();
        assert_eq!((page.events.len(), page.next), (3, None));
    }
    assert_eq!(Home::new().open().events(&EventQuery::default()).unwrap().next, None);
}

/// All that fit, page by page, and how many pages that took.
fn listed(store: &SqliteStore, mut query: EventQuery) -> (Vec<u64>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.events(&query).unwrap();
        pages += 1;
        found.extend(page.events.iter().map(|event| event.sequence));
        match page.next {
            Some(next) => query.beyond = Some(next),
            None => return (found, pages),
        }
    }
}

#[test]
fn filters_find_what_fits_in_pages_of_bounded_work() {
    let home = Home::new();
    let store = store_of(&home, 100);
    let mut special = accessed("password");
    special.pipeline = Some(PipelineName::parse("churn").unwrap());
    special.run = Some((RunId::parse("r").unwrap(), 2));
    special.environment = Some("prod".parse().unwrap());
    special.step = Some("train".parse().unwrap());
    special.principal = Principal::unix_user(7);
    special.action = Action::Explain;
    special.outcome = Outcome::Succeeded;
    special.time = "2020-01-01T00:00:00.5Z".parse().unwrap();
    wait(store.record(vec![special])).unwrap();
    wait(store.record(drafts(99))).unwrap();

    let text = |text: &str| Some(text.to_owned());
    let any = || EventQuery { limit: 10, ..EventQuery::default() };
    let queries = [
        EventQuery { pipeline: text("churn"), ..any() },
        EventQuery { run_id: text("r"), ..any() },
        EventQuery { environment: text("prod"), ..any() },
        EventQuery { step: text("train"), ..any() },
        EventQuery { parameter: text("password"), ..any() },
        EventQuery { principal: text("uid:7"), ..any() },
        EventQuery { actions: vec![Action::Read, Action::Explain], ..any() },
        EventQuery { outcomes: vec![Outcome::Succeeded], ..any() },
        EventQuery { until: Some("2020-01-01T00:00:00.500000001Z".parse().unwrap()), ..any() },
    ];
    for query in queries {
        for newest_first in [false, true] {
            let query = EventQuery { newest_first, ..query.clone() };
            let (found, pages) = listed(&store, query.clone());
            assert_eq!(found, [101], "{query:?}");
            assert_eq!(pages > 1, query.run_id.is_none(), "{query:?}");
        }
    }
    let none = EventQuery { until: Some("2020-01-01T00:00:00.5Z".parse().unwrap()), ..any() };
    assert!(listed(&store, none).0.is_empty());
    let from = EventQuery { from: Some("2020-01-01T00:00:01Z".parse().unwrap()), ..any() };
    assert_eq!(listed(&store, from).0.len(), 199);
    let other = EventQuery { pipeline: text("churn' or 1=1 --"), ..any() };
    assert!(listed(&store, other).0.is_empty());
}
