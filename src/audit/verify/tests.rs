use super::*;
use crate::audit::{Action, EventDraft, Outcome, Principal};

const CHAIN: &str = "c0ffee";

fn draft(reason: &str) -> EventDraft {
    let time = "2026-01-02T03:04:05Z".parse().unwrap();
    let mut draft = EventDraft::new(time, Principal::unix_user(1), Action::Reveal, Outcome::Denied);
    draft.reason = reason.into();
    draft
}

fn row(previous: Head, reason: &str) -> Row {
    let sequence = previous.sequence + 1;
    let canonical = canonical::encode(CHAIN, sequence, &draft(reason));
    let hash = canonical::hash(&previous.hash, &canonical);
    Row { sequence, canonical, previous: previous.hash, hash }
}

fn head_of(rows: &[Row]) -> Head {
    rows.last().map_or(Head::EMPTY, |row| Head { sequence: row.sequence, hash: row.hash })
}

fn chain(length: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for index in 0..length {
        rows.push(row(head_of(&rows), &format!("R{index}")));
    }
    rows
}

fn check(rows: &[Row], head: Head) -> (u64, Option<ChainDefect>) {
    let mut verifier = Verifier::new(CHAIN.into(), Head::EMPTY);
    let broken = rows.iter().any(|row| verifier.feed(row, head, |_| true).is_break());
    let report = verifier.finish((!broken).then_some(head));
    assert_eq!(report.first_sequence, 1);
    assert_eq!(report.head_hash.is_some(), report.last_good_sequence > 0);
    (report.last_good_sequence, report.defect)
}

#[test]
fn a_whole_chain_is_good() {
    let rows = chain(5);
    assert_eq!(check(&rows, head_of(&rows)), (5, None));
    assert_eq!(check(&[], Head::EMPTY), (0, None));
}

#[test]
fn each_kind_of_damage_is_found_at_its_event() {
    let found = |damage: fn(&mut Vec<Row>)| {
        let mut rows = chain(5);
        let head = head_of(&rows);
        damage(&mut rows);
        check(&rows, head)
    };
    let changed = Some(ChainDefect::Changed);
    let missing = Some(ChainDefect::Missing);
    let misplaced = Some(ChainDefect::Misplaced);
    assert_eq!(found(|rows| *rows[2].canonical.last_mut().unwrap() ^= 1), (2, changed));
    assert_eq!(found(|rows| rows[2].canonical = vec![]), (2, changed));
    assert_eq!(found(|rows| rows[2].hash[0] ^= 1), (2, changed));
    assert_eq!(found(|rows| rows[0].previous[0] ^= 1), (0, misplaced));
    assert_eq!(found(|rows| drop(rows.remove(2))), (2, missing));
    assert_eq!(found(|rows| rows.truncate(3)), (3, missing));
    assert_eq!(found(Vec::clear), (0, missing));
    assert_eq!(found(|rows| rows.push(row(head_of(rows), "more"))), (5, misplaced));
    assert_eq!(
        found(|rows| rows.insert(0, Row { sequence: 0, ..rows[0].clone() })),
        (0, misplaced)
    );
}

#[test]
fn events_that_changed_places_are_found() {
    let mut rows = chain(5);
    let head = head_of(&rows);
    let (second, third) = (rows[1].clone(), rows[2].clone());
    rows[1] = Row { sequence: 2, ..third };
    rows[2] = Row { sequence: 3, ..second };
    assert_eq!(check(&rows, head), (1, Some(ChainDefect::Misplaced)));
}

#[test]
fn an_event_made_anew_with_its_hash_is_found_at_the_next_or_by_the_head() {
    let mut rows = chain(5);
    let head = head_of(&rows);
    rows[2] = row(head_of(&rows[..2]), "forged");
    assert_eq!(check(&rows, head), (3, Some(ChainDefect::Misplaced)));
    let mut rows = chain(5);
    rows[4] = row(head_of(&rows[..4]), "forged");
    assert_eq!(check(&rows, head), (4, Some(ChainDefect::Changed)));
}

#[test]
fn an_event_of_another_chain_is_misplaced() {
    let mut rows = chain(2);
    let head = head_of(&rows);
    let canonical = canonical::encode("other", 2, &draft("R1"));
    let hash = canonical::hash(&rows[0].hash, &canonical);
    rows[1] = Row { canonical, hash, ..rows[1].clone() };
    assert_eq!(check(&rows, head), (1, Some(ChainDefect::Misplaced)));
}

#[test]
fn columns_that_say_something_else_are_a_change() {
    let rows = chain(2);
    let mut verifier = Verifier::new(CHAIN.into(), Head::EMPTY);
    let head = head_of(&rows);
    assert!(verifier.feed(&rows[0], head, |_| true).is_continue());
    assert!(verifier.feed(&rows[1], head, |_| false).is_break());
    assert_eq!(verifier.finish(None).defect, Some(ChainDefect::Changed));
}

#[test]
fn a_check_goes_on_where_it_was_broken_off() {
    let rows = chain(4);
    let head = head_of(&rows);
    let mut verifier = Verifier::new(CHAIN.into(), Head::EMPTY);
    rows[..2].iter().for_each(|row| assert!(verifier.feed(row, head, |_| true).is_continue()));
    let good = verifier.good();
    assert_eq!(verifier.finish(None).defect, None);
    let mut verifier = Verifier::new(CHAIN.into(), good);
    rows[2..].iter().for_each(|row| assert!(verifier.feed(row, head, |_| true).is_continue()));
    let report = verifier.finish(Some(head));
    assert_eq!((report.first_sequence, report.last_good_sequence), (3, 4));
    assert_eq!(report.defect, None);
}
