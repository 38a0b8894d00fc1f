//! Reading sources: each equal read once a run, with a time limit and bounded,
//! jittered retries, within the run's budget.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use crate::name::SourceName;
use crate::source::{Answer, Cause, FailureClass, Read, Source, SourceError};
use crate::telemetry::{measure, spans};

/// The most times that a source is asked for one thing.
const MAX_ATTEMPTS: u32 = 3;
/// The longest that one call of a source may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The first pause before a source is asked again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause that a source may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The sources of a bundle, by name.
pub type Sources = BTreeMap<SourceName, Arc<dyn Source>>;

/// What became of a read. Shared by all parameters that use it.
pub struct Outcome {
    /// The answer.
    pub answer: Result<Answer, SourceError>,
    /// How often the source was asked.
    pub attempts: u32,
    /// When it answered.
    pub time: Timestamp,
}

/// The reads of one run.
pub struct Fetcher<'a> {
    sources: &'a Sources,
    deadline: Instant,
    reads: Mutex<Vec<Entry>>,
}

struct Entry {
    source: SourceName,
    read: Read,
    outcome: Arc<OnceCell<Outcome>>,
}

impl<'a> Fetcher<'a> {
    /// Reads of one run that end at `deadline` at the latest.
    pub fn new(sources: &'a Sources, deadline: Instant) -> Self {
        Self { sources, deadline, reads: Mutex::new(Vec::new()) }
    }

    /// Reads, or waits for the same read that is under way.
    pub async fn read(&self, source: &SourceName, read: Read) -> Arc<OnceCell<Outcome>> {
        let cell = self.cell(source, &read);
        cell.get_or_init(|| self.traced(source, &read)).await;
        cell
    }

    fn cell(&self, source: &SourceName, read: &Read) -> Arc<OnceCell<Outcome>> {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = reads.iter().find(|entry| entry.source == *source && entry.read == *read);
        if let Some(entry) = known {
            return entry.outcome.clone();
        }
        let outcome = Arc::new(OnceCell::new());
        reads.push(Entry { source: source.clone(), read: read.clone(), outcome: outcome.clone() });
        outcome
    }

    async fn traced(&self, source: &SourceName, read: &Read) -> Outcome {
        let span = spans::source_read(source.as_str());
        let outcome = self.ask(source, read).instrument(span.clone()).await;
        span.record("paramd.outcome", word(&outcome.answer));
        span.record("paramd.attempts", outcome.attempts);
        if outcome.answer.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        outcome
    }

    async fn ask(&self, name: &SourceName, read: &Read) -> Outcome {
        let mut attempts = 0;
        let mut pause = FIRST_PAUSE;
        let Some(source) = self.sources.get(name) else {
            return outcome(Err(Cause::Unreachable.into()), attempts);
        };
        loop {
            attempts += 1;
            let begun = Instant::now();
            let answer = self.call(source.as_ref(), read).await;
            measure::source_read(name, word(&answer), attempts > 1, begun.elapsed());
            let error = match answer {
                Ok(answer) => return outcome(Ok(answer), attempts),
                Err(error) => error,
            };
            let wait = error.retry_after.unwrap_or_else(|| jittered(pause));
            let transient = error.cause.class() == FailureClass::Unavailable;
            // Who asks for a longer pause isn't asked before it is over.
            let too_long = wait > LONGEST_PAUSE || Instant::now() + wait >= self.deadline;
            if !transient || attempts == MAX_ATTEMPTS || too_long {
                return outcome(Err(error), attempts);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    async fn call(&self, source: &dyn Source, read: &Read) -> Result<Answer, SourceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left.min(CALL_TIMEOUT), source.read(read)).await {
            Ok(answer) => answer,
            Err(_) => Err(Cause::Timeout.into()),
        }
    }
}

/// How an answer is called in metrics and spans.
fn word(answer: &Result<Answer, SourceError>) -> &'static str {
    match answer {
        Ok(Answer::Found { .. }) => "found",
        Ok(Answer::Missing) => "missing",
        Ok(Answer::Gone) => "gone",
        Err(error) => error.cause.word(),
    }
}

fn outcome(answer: Result<Answer, SourceError>, attempts: u32) -> Outcome {
    Outcome { answer, attempts, time: Timestamp::now() }
}

/// Between half of a pause and all of it, so that those who failed together
/// don't come back together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0_u8; 1];
    // Without randomness the pause is merely not jittered.
    let _ = aws_lc_rs::rand::fill(&mut random);
    let [byte] = random;
    pause / 2 + pause * u32::from(byte) / 512
}
