//! Runs page by page: what one page may cost.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::engine::testing::loaded;
use crate::engine::{EventsRequest, PageRequest, RunsRequest, Weigh};
use crate::store::{EventQuery, NewRun, RunQuery, StoredRun};

async fn many(bench: &Bench, count: usize) {
    let runs = (0..count).map(|number| {
        let frozen = loaded(&format!("r{number}"), 0).run.frozen.clone();
        bench.store.create_run(NewRun { sealed: vec![1], ..frozen }, Vec::new())
    });
    for created in futures_util::future::join_all(runs).await {
        created.unwrap();
    }
}

/// How many runs each page has.
async fn pages(bench: &Bench, uid: u32, size: i32, query: RunQuery) -> Vec<usize> {
    weighed(bench, uid, size, query, |_| 0).await
}

/// The same with runs that take so many bytes.
async fn weighed(
    bench: &Bench,
    uid: u32,
    size: i32,
    query: RunQuery,
    weigh: Weigh<StoredRun>,
) -> Vec<usize> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = PageRequest { size, token };
        let request = RunsRequest { query: query.clone(), page, problems: Vec::new() };
        let answer = bench.engine.list_runs(&caller(uid), request, weigh).await.unwrap();
        pages.push(answer.runs.len());
        if answer.next_token.is_empty() {
            return pages;
        }
        token = answer.next_token;
    }
}

/// A window of the store is 50 runs in tests.
#[tokio::test]
async fn a_page_looks_through_a_part_of_the_store_alone() {
    let bench = Bench::new(good());
    many(&bench, 300).await;
    let labels = [("team".to_owned(), "none has it".to_owned())].into();
    let rare = RunQuery { labels, ..RunQuery::default() };
    let rare = pages(&bench, 1, 50, rare).await;
    assert!(rare.len() > 1 && rare.iter().all(|count| *count == 0), "{rare:?}");
    let all = pages(&bench, 1, 300, RunQuery::default()).await;
    assert!(all.len() > 1 && all.iter().sum::<usize>() == 300, "{all:?}");
}

#[tokio::test]
async fn who_may_see_nothing_is_told_so_bit_by_bit() {
    let bench = Bench::under("", good());
    many(&bench, 300).await;
    let pages = pages(&bench, 1, 1, RunQuery::default()).await;
    assert!(pages.len() > 1 && pages.iter().all(|count| *count == 0), "{pages:?}");
}

fn count(told: &[String], action: &str) -> usize {
    told.iter().filter(|line| line.starts_with(action)).count()
}

#[tokio::test]
async fn what_does_not_fit_an_answer_is_on_no_record_of_it() {
    let bench = Bench::new(good());
    many(&bench, 5).await;
    let runs = weighed(&bench, 1, 50, RunQuery::default(), |_| 1 << 20).await;
    assert_eq!(runs, [2, 2, 1]);
    assert_eq!(count(&bench.told().await, "Read"), 3, "each page is one access");
    let (mut sequences, mut token) = (Vec::new(), String::new());
    for newest_first in [false, true] {
        bench.settle().await;
        loop {
            let query = EventQuery { newest_first, ..EventQuery::default() };
            let page = PageRequest { size: 50, token };
            let asked = EventsRequest { page, query, problems: Vec::new() };
            let answer = bench.engine.list_events(&caller(1), asked, |_| 1 << 20).await.unwrap();
            assert!((1..=2).contains(&answer.events.len()));
            sequences.extend(answer.events.iter().map(|event| event.sequence));
            token = answer.next_token;
            if token.is_empty() {
                break;
            }
        }
    }
    assert_eq!(sequences, [1, 2, 3, 5, 4, 3, 2, 1]);
    assert_eq!(count(&bench.told().await, "Audit"), 5, "each page is one access");
}

#[tokio::test]
async fn a_run_that_is_asked_for_by_name_is_named_where_it_is_known() {
    let bench = Bench::new(good());
    many(&bench, 1).await;
    let text = |text: &str| Some(text.to_owned());
    for (run_id, known) in [("r0", true), ("absent", false)] {
        let query = RunQuery { pipeline: text("p"), run_id: text(run_id), ..RunQuery::default() };
        pages(&bench, 1, 50, query).await;
        let query =
            EventQuery { pipeline: text("p"), run_id: text(run_id), ..EventQuery::default() };
        let asked = EventsRequest { query, ..EventsRequest::default() };
        bench.engine.list_events(&caller(1), asked, |_| 0).await.unwrap();
        bench.settle().await;
        for event in bench.events().iter().rev().take(2) {
            let named = event.draft.run.as_ref().map(|(run_id, _)| run_id.as_str());
            assert_eq!(named, known.then_some("r0"), "{event:?}");
            assert_eq!(event.draft.unknown_names, u32::from(!known), "{event:?}");
        }
    }
}

#[tokio::test]
async fn a_token_does_not_tell_how_many_runs_there_are() {
    let bench = Bench::new(good());
    many(&bench, 3).await;
    let page = PageRequest { size: 1, token: String::new() };
    let request = RunsRequest { page, ..RunsRequest::default() };
    let token = async || {
        let answer = bench.engine.list_runs(&caller(1), request.clone(), |_| 0).await.unwrap();
        URL_SAFE_NO_PAD.decode(answer.next_token).unwrap()
    };
    let (one, again) = (token().await, token().await);
    let zeros = |bytes: &[u8]| bytes.windows(6).any(|window| window == [0; 6]);
    assert!(!zeros(&one), "no small number is in it: {one:?}");
    assert_ne!(one, again);
}
