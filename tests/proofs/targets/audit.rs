//! The audit log: no damage to a chain is overseen, and an event has one form.

use paramd::audit::canonical::{self, Hash};
use paramd::audit::verify::{Head, Row, Verifier};
use paramd::audit::{Action, EventDraft, Outcome as Ended, Principal};

use super::{Target, holds};
use crate::cases::Outcome;
use crate::draw::Draw;

pub(super) const EVENTS: Target =
    Target { name: "audit_events", seeds: event_seeds, words: &[], run: events };
pub(super) const CHAIN: Target =
    Target { name: "audit_chain", seeds: chain_seeds, words: &[], run: chain };

const NAME: &str = "c0ffee";

fn draft(index: usize) -> EventDraft {
    let time = "2026-01-02T03:04:05.6Z".parse().unwrap();
    let actions = [Action::Resolve, Action::Reveal, Action::Read];
    let who = Principal::unix_user(7);
    let mut draft = EventDraft::new(time, who, actions[index % actions.len()], Ended::Denied);
    draft.reason = format!("REASON_{index}");
    draft.pipeline = index.is_multiple_of(2).then(|| "train".parse().unwrap());
    draft.run = index.is_multiple_of(3).then(|| ("r 1".parse().unwrap(), 1));
    draft.instance = index.is_multiple_of(4).then_some(3);
    draft.policy_ids = vec!["own".to_owned(); index % 3];
    draft
}

fn event_seeds() -> Vec<Vec<u8>> {
    (0..6).map(|index| canonical::encode(NAME, index as u64 + 1, &draft(index))).collect()
}

/// Bytes that are an event are the one form of it.
fn events(bytes: &[u8]) -> Outcome {
    if let Ok(event) = canonical::decode(bytes) {
        let again = canonical::encode(&event.chain, event.sequence, &event.draft);
        holds(again == bytes, "an event has two forms")?;
        let read = canonical::decode(&again);
        holds(read.as_ref() == Ok(&event), "an event isn't what it was")?;
    }
    Ok(1)
}

fn chain_seeds() -> Vec<Vec<u8>> {
    (0..12).map(|damage| vec![4, damage, 2, damage, 1, 9, 40, damage, 77, 3]).collect()
}

fn whole(length: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for index in 0..length {
        let sequence = index as u64 + 1;
        let previous: Hash = rows.last().map_or(canonical::NO_HASH, |row| row.hash);
        let canonical = canonical::encode(NAME, sequence, &draft(index));
        let hash = canonical::hash(&previous, &canonical);
        rows.push(Row { sequence, canonical, previous, hash });
    }
    rows
}

/// A chain that is damaged somehow: what is before the damage is good, and the
/// rest is not.
fn chain(bytes: &[u8]) -> Outcome {
    let mut draw = Draw::new(bytes);
    let good = whole(draw.within(1, 8));
    let head =
        good.last().map_or(Head::EMPTY, |row| Head { sequence: row.sequence, hash: row.hash });
    let mut rows = good.clone();
    for _ in 0..draw.within(0, 3) {
        damage(&mut draw, &mut rows);
    }
    let same = |a: &Row, b: &Row| {
        a.sequence == b.sequence
            && a.canonical == b.canonical
            && a.previous == b.previous
            && a.hash == b.hash
    };
    let sound = rows.iter().zip(&good).take_while(|(a, b)| same(a, b)).count();
    let intact = sound == good.len() && rows.len() == good.len();

    let mut verifier = Verifier::new(NAME.to_owned(), Head::EMPTY);
    let broken = rows.iter().any(|row| verifier.feed(row, head, |_| true).is_break());
    let report = verifier.finish((!broken).then_some(head));
    holds(
        report.defect.is_none() == intact,
        format!("{:?}, and intact is {intact}", report.defect),
    )?;
    // An event that was made anew with a hash that fits is found by the one after it.
    let found = report.last_good_sequence;
    let right = found == sound as u64 || found == sound as u64 + 1;
    holds(right, format!("good up to {found}, and should be to {sound}"))?;
    Ok(1)
}

fn damage(draw: &mut Draw<'_>, rows: &mut Vec<Row>) {
    if rows.is_empty() {
        return;
    }
    let at = draw.below(rows.len());
    let how = draw.below(10);
    let other = draw.below(rows.len());
    let byte = draw.byte();
    let place = draw.below(256);
    let row = &mut rows[at];
    match how {
        0 => {
            let place = place % row.canonical.len().max(1);
            if let Some(found) = row.canonical.get_mut(place) {
                *found ^= byte;
            }
        }
        1 => row.hash[place % 32] ^= byte,
        2 => row.previous[place % 32] ^= byte,
        3 => drop(rows.remove(at)),
        4 => rows.swap(at, other),
        5 => {
            let copy = rows[at].clone();
            rows.insert(other, copy);
        }
        6 => rows.truncate(at),
        7 => row.sequence = row.sequence.wrapping_add(u64::from(byte)),
        8 => {
            // Made anew, with a hash that fits, by one who can't change what follows.
            row.canonical = canonical::encode(NAME, row.sequence, &draft(place));
            row.hash = canonical::hash(&row.previous, &row.canonical);
        }
        _ => {
            let end = place % (row.canonical.len() + 1);
            row.canonical.truncate(end);
        }
    }
}
