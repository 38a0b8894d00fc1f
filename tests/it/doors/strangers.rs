//! A crowd that nobody knows: it is refused at little cost, and those who are
//! known go on being served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::stream::{self, StreamExt as _};
use paramd::proto::v1::Action;
use tonic::Code;

use super::{House, ask, tcp};
use crate::support::status::check_reason;

const CALLS: usize = 3_000;
/// What one place may have at once and each second: `docs/listening.md`.
const AT_ONCE: usize = 30;
const A_SECOND: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_failed_logins_is_refused_without_a_record_of_each() {
    let house = House::new();
    let daemon = house.open().await;
    let bearer = format!("Bearer {}", house.token("ci"));
    let stranger = house.client(&tcp(&daemon), None).await;
    let known = house.client(&tcp(&daemon), None).await;
    let over = Arc::new(AtomicBool::new(false));
    let served = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut served = 0;
            while !over.load(Ordering::Relaxed) || served == 0 {
                ask(&known, &[&bearer]).await.unwrap();
                served += 1;
            }
            served
        }
    });
    let begun = Instant::now();
    let answers: Vec<_> = stream::iter(0..CALLS)
        .map(|number| {
            let credential = format!("Bearer guess-{number}");
            let stranger = &stranger;
            async move { ask(stranger, &[&credential]).await.unwrap_err() }
        })
        .buffer_unordered(64)
        .collect()
        .await;
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap();
    over.store(true, Ordering::Relaxed);
    let served: usize = served.await.unwrap();
    let (told, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|status| status.code() == Code::Unauthenticated);
    assert!(told.len() >= AT_ONCE, "{}", told.len());
    assert!(told.len() <= AT_ONCE + A_SECOND * (seconds + 1), "{} in {seconds} s", told.len());
    for status in &refused {
        let problem = check_reason(status, "RATE_LIMITED");
        assert_eq!(problem.metadata["limit"], "failed_logins");
        assert_eq!(problem.metadata["of"], "place");
        assert!(problem.retry);
    }
    let events = daemon.client().await.events().await;
    let count = |reason: &str| {
        let fits = |action, of: &str| action == Action::Authenticate && of == reason;
        events.iter().filter(|event| fits(event.action(), &event.reason)).count()
    };
    assert_eq!(count("UNAUTHENTICATED"), told.len());
    assert!((1..=2).contains(&count("RATE_LIMITED")), "{} of them", count("RATE_LIMITED"));
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains("RATE_LIMITED")).count();
    assert!(lines <= 2, "each refusal has its line in the log");
    println!("{} told, {} refused; {served} calls of one who is known", told.len(), refused.len());
    daemon.stop();
}
