//! The rows, by what they need.

mod cold;
mod hot;
mod life;
mod masker;
mod policies;
mod python;
mod stored;

use std::time::Instant;

use crate::Options;
use crate::process;
use crate::report::{Sample, Table, median};

/// Every row that is wanted.
pub(crate) async fn all(options: &Options, table: &mut Table) {
    hot::rows(options, table).await;
    hot::wiping(options, table).await;
    policies::rows(options, table).await;
    cold::rows(options, table).await;
    life::rows(options, table).await;
    masker::rows(options, table);
    stored::rows(options, table).await;
}

/// The time of one call, the middle one of many, in milliseconds.
async fn timed(pid: Option<u32>, calls: usize, mut call: impl AsyncFnMut(usize)) -> Sample {
    let cpu = pid.map(process::cpu);
    let mut took = Vec::with_capacity(calls);
    for index in 0..calls {
        let begun = Instant::now();
        call(index).await;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let cpu_us = pid
        .zip(cpu)
        .map(|(pid, before)| (process::cpu(pid) - before).as_secs_f64() * 1e6 / calls as f64);
    Sample { value: median(&took), cpu_us }
}
