//! Checking the chain from the store's own bytes.

use std::ops::ControlFlow;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::events::Columns;
use super::failure::Failure;
use super::schema;
use super::sequence::Sequence;
use super::{Verified, VerifyRequest};
use crate::audit::verify::{ChainDefect, ChainReport, Head, Row, Verifier};

/// Rows that are read together; the clock is looked at in between.
const CHUNK: u32 = 512;

/// Checks the store's chain.
pub(super) fn verify(
    connection: &mut Connection,
    chain: &str,
    request: &VerifyRequest,
) -> Result<Verified, Failure> {
    if request.chain.as_deref().is_some_and(|wanted| wanted != chain) {
        return Ok(Verified::default());
    }
    let after = request.after.map_or(Head::EMPTY, |(sequence, hash)| Head { sequence, hash });
    if let Some(defect) = gone(connection, after)? {
        return Ok(ended(cut_off(chain, after, defect)));
    }
    let mut verifier = Verifier::new(chain.to_owned(), after);
    loop {
        let (head, all_read) = match chunk(connection, &mut verifier)? {
            ControlFlow::Break(()) => return Ok(ended(verifier.finish(None))),
            ControlFlow::Continue(read) => read,
        };
        if all_read {
            return Ok(ended(verifier.finish(Some(head))));
        }
        if Instant::now() >= request.deadline {
            let good = verifier.good();
            let next = Some((good.sequence, good.hash));
            return Ok(Verified { chains: vec![verifier.finish(None)], next });
        }
    }
}

fn ended(report: ChainReport) -> Verified {
    Verified { chains: vec![report], next: None }
}

/// What is wrong with the event that an earlier call ended at; none: nothing.
fn gone(connection: &Connection, after: Head) -> Result<Option<ChainDefect>, Failure> {
    if after.sequence == 0 {
        return Ok(None);
    }
    let found: Option<Vec<u8>> = connection
        .prepare_cached("select hash from events where sequence = ?1")?
        .query_row([Sequence(after.sequence)], |row| row.get(0))
        .optional()?;
    Ok(match found {
        None => Some(ChainDefect::Missing),
        Some(hash) if hash != after.hash => Some(ChainDefect::Changed),
        Some(_) => None,
    })
}

/// The chain changed behind an earlier call: nothing before is sure any more.
fn cut_off(chain: &str, after: Head, defect: ChainDefect) -> ChainReport {
    ChainReport {
        chain: chain.to_owned(),
        first_sequence: after.sequence,
        last_good_sequence: after.sequence.saturating_sub(1),
        head_hash: None,
        defect: Some(defect),
    }
}

/// Checks some rows; where the chain stands, and whether these were all.
fn chunk(
    connection: &mut Connection,
    verifier: &mut Verifier,
) -> Result<ControlFlow<(), (Head, bool)>, Failure> {
    // One transaction, so that the rows and the store's own word on them fit.
    let transaction = connection.transaction()?;
    let (_, head) = schema::chain(&transaction)?;
    let mut statement = transaction.prepare_cached(
        "select sequence, canonical, previous, hash, time, action, outcome, principal, pipeline, \
         run_id, environment, step from events where sequence > coalesce(?1, -9223372036854775808) order by sequence limit ?2",
    )?;
    // From the very first row, also where somebody put one before the first.
    let good = Some(verifier.good().sequence).filter(|sequence| *sequence > 0).map(Sequence);
    let mut rows = statement.query(params![good, CHUNK])?;
    let mut read = 0;
    while let Some(found) = rows.next()? {
        read += 1;
        let Sequence(sequence) = found.get(0)?;
        let row = Row {
            sequence,
            canonical: bytes(found, 1)?,
            previous: hash(found, 2)?,
            hash: hash(found, 3)?,
        };
        // A column that can't be read isn't the event's either.
        let columns = Columns::read(found, 4).ok();
        let step = verifier.feed(&row, head, |event| columns == Some(Columns::of(&event.draft)));
        if step.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue((head, read < CHUNK)))
}

fn bytes(row: &rusqlite::Row<'_>, column: usize) -> Result<Vec<u8>, Failure> {
    Ok(row.get_ref(column)?.as_bytes().map_err(|_| Failure::Corrupt)?.to_vec())
}

/// A hash of another length fits nothing, as zeros do.
fn hash(row: &rusqlite::Row<'_>, column: usize) -> Result<[u8; 32], Failure> {
    Ok(bytes(row, column)?.try_into().unwrap_or_default())
}
