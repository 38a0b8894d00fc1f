//! All metrics, each with labels of a closed set: what callers, runs and
//! parameters are called is in none.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use crate::name::SourceName;

const REQUESTS: &str = "paramd_requests_total";
const IN_FLIGHT: &str = "paramd_requests_in_flight";
const REQUEST_SECONDS: &str = "paramd_request_duration_seconds";
const RESOLUTIONS: &str = "paramd_resolutions_total";
const RESOLUTION_SECONDS: &str = "paramd_resolution_duration_seconds";
const READS: &str = "paramd_source_reads_total";
const READ_SECONDS: &str = "paramd_source_read_duration_seconds";
const RETRIES: &str = "paramd_source_retries_total";
const REVEALED: &str = "paramd_secrets_revealed_total";
const COMMITS: &str = "paramd_store_commits_total";
const COMMIT_SECONDS: &str = "paramd_store_commit_duration_seconds";
const WAITING: &str = "paramd_audit_events_waiting";
const OPEN_RUNS: &str = "paramd_open_runs";
const RELOADS: &str = "paramd_reloads_total";
const CURRENT: &str = "paramd_bundle_current";
const TAKEN: &str = "paramd_bundle_taken_timestamp_seconds";
const BUILD: &str = "paramd_build_info";
const RESIDENT: &str = "process_resident_memory_bytes";
const FILES: &str = "process_open_fds";

/// How often what was timed is taken into its buckets.
const UPKEEP: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 5 });

/// The upper ends of the histograms' buckets, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// What requests are counted with; nothing before [`install`].
static OF_REQUESTS: OnceLock<OfRequests> = OnceLock::new();

/// Handles that are found once: to look one up by its labels costs more than to
/// count.
struct OfRequests {
    in_flight: Gauge,
    by_answer: RwLock<HashMap<[&'static str; 3], (Counter, Histogram)>>,
}

impl OfRequests {
    /// The count of these answers, and the times of the rpc.
    fn answered(
        &self,
        rpc: &'static str,
        code: &'static str,
        reason: &'static str,
    ) -> (Counter, Histogram) {
        let key = [rpc, code, reason];
        let known =
            self.by_answer.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let made = (
                counter!(REQUESTS, "rpc" => rpc, "code" => code, "reason" => reason),
                histogram!(REQUEST_SECONDS, "rpc" => rpc),
            );
            let mut all = self.by_answer.write().unwrap_or_else(PoisonError::into_inner);
            all.insert(key, made.clone());
            made
        })
    }
}

/// All that was counted.
#[derive(Clone)]
pub struct Counted(PrometheusHandle);

impl Counted {
    /// Takes what was timed into its buckets again and again: until then each time
    /// is kept by itself, and nobody may ask for a long while.
    pub async fn take_in(self) {
        loop {
            self.0.run_upkeep();
            tokio::time::sleep(UPKEEP).await;
        }
    }

    /// As Prometheus' text.
    pub(super) fn text(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Begins to count. None where something counts already, or the buckets are
/// wrong: both are faults of ours.
pub fn install() -> Option<Counted> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    describe();
    gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let in_flight = gauge!(IN_FLIGHT);
    OF_REQUESTS.set(OfRequests { in_flight, by_answer: RwLock::default() }).ok()?;
    Some(Counted(handle))
}

fn recorder() -> Option<PrometheusRecorder> {
    let suffix = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(suffix, &BUCKETS).ok()?;
    Some(builder.build_recorder())
}

fn describe() {
    describe_counter!(REQUESTS, "Requests that were answered, by rpc, code and reason.");
    describe_gauge!(IN_FLIGHT, "Requests that wait for their answers.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "From a request's arrival to its answer.");
    describe_counter!(RESOLUTIONS, "Runs that were resolved, or could not be.");
    describe_histogram!(RESOLUTION_SECONDS, Unit::Seconds, "How long resolving a run took.");
    describe_counter!(READS, "Reads of sources, retries included, by source and outcome.");
    describe_histogram!(READ_SECONDS, Unit::Seconds, "How long one call of a source took.");
    describe_counter!(RETRIES, "Calls of a source after the first for one read.");
    describe_counter!(REVEALED, "Secrets that were handed out.");
    describe_counter!(COMMITS, "Commits of the store, by outcome; an audit event is in one.");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "How long a commit took.");
    describe_gauge!(WAITING, "Audit events that wait for the next commit.");
    describe_gauge!(OPEN_RUNS, "Runs that are open.");
    describe_counter!(RELOADS, "Times that a bundle was taken in anew, or refused.");
    describe_gauge!(CURRENT, "1 while what is on disk is in force, 0 while it is refused.");
    describe_gauge!(TAKEN, Unit::Seconds, "When the bundle in force was taken.");
    describe_gauge!(BUILD, "1; the label tells the version.");
    describe_gauge!(RESIDENT, Unit::Bytes, "Resident memory.");
    describe_gauge!(FILES, "Open file descriptors.");
}

/// A request has come; [`request`] follows.
pub fn request_begun() {
    if let Some(requests) = OF_REQUESTS.get() {
        requests.in_flight.increment(1.0);
    }
}

/// A request was answered.
pub fn request(rpc: &'static str, code: &'static str, reason: &'static str, took: Duration) {
    if let Some(requests) = OF_REQUESTS.get() {
        requests.in_flight.decrement(1.0);
        let (answers, seconds) = requests.answered(rpc, code, reason);
        answers.increment(1);
        seconds.record(took);
    }
}

/// A run was resolved, or could not be.
pub fn resolution(succeeded: bool, took: Duration) {
    counter!(RESOLUTIONS, "outcome" => outcome(succeeded)).increment(1);
    histogram!(RESOLUTION_SECONDS).record(took);
}

/// A source was asked; `outcome` is found, missing, gone or a cause.
pub fn source_read(source: &SourceName, outcome: &'static str, is_retry: bool, took: Duration) {
    let name = source.as_str().to_owned();
    counter!(READS, "source" => name.clone(), "outcome" => outcome).increment(1);
    if is_retry {
        counter!(RETRIES, "source" => name.clone()).increment(1);
    }
    histogram!(READ_SECONDS, "source" => name).record(took);
}

/// Secrets were handed out.
pub fn revealed(count: usize) {
    counter!(REVEALED).increment(u64::try_from(count).unwrap_or(u64::MAX));
}

/// The store committed, or could not; so many events still wait.
pub fn commit(succeeded: bool, took: Duration, waiting: usize) {
    counter!(COMMITS, "outcome" => outcome(succeeded)).increment(1);
    histogram!(COMMIT_SECONDS).record(took);
    gauge!(WAITING).set(u32::try_from(waiting).unwrap_or(u32::MAX));
}

/// A bundle was taken at `time`, in seconds since 1970.
pub fn bundle_taken(time: i64) {
    gauge!(CURRENT).set(1.0);
    let seconds = u32::try_from(time).unwrap_or(u32::MAX);
    gauge!(TAKEN).set(seconds);
}

/// What was on disk was looked at while serving.
pub fn reload(succeeded: bool) {
    counter!(RELOADS, "outcome" => outcome(succeeded)).increment(1);
    if !succeeded {
        gauge!(CURRENT).set(0.0);
    }
}

/// So many runs are open.
pub fn open_runs(count: u64) {
    gauge!(OPEN_RUNS).set(u32::try_from(count).unwrap_or(u32::MAX));
}

/// What the process uses, as far as the system tells.
pub(super) fn process() {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u32>().ok());
    if let Some(pages) = pages {
        let page = u32::try_from(rustix::param::page_size()).unwrap_or(4_096);
        gauge!(RESIDENT).set(f64::from(pages) * f64::from(page));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge!(FILES).set(u32::try_from(files.count()).unwrap_or(u32::MAX));
    }
}

fn outcome(succeeded: bool) -> &'static str {
    if succeeded { "succeeded" } else { "failed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The resident memory of this process, in MiB.
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = text.split_whitespace().nth(1).unwrap().parse().unwrap();
        (pages * rustix::param::page_size()) >> 20
    }

    /// Each time that is kept by itself takes 16 bytes: these would be 480 MiB.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_timed_while_nobody_asks_takes_no_room() {
        let recorder = recorder().unwrap();
        let upkeep = tokio::spawn(Counted(recorder.handle()).take_in());
        let timed = metrics::with_local_recorder(&recorder, || histogram!(COMMIT_SECONDS));
        let before = resident();
        let times = tokio::task::spawn_blocking(move || {
            (0..30_000_000).for_each(|_| timed.record(0.004));
        });
        times.await.unwrap();
        let grown = resident().saturating_sub(before);
        upkeep.abort();
        assert!(grown < 240, "{grown} MiB");
    }
}
