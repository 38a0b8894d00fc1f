//! Who asks too much is refused, and nobody else.

use super::*;

fn one(uid: u32) -> Principal {
    Principal::unix_user(uid)
}

fn bounds(number: u32) -> Bounds {
    Bounds {
        requests: number,
        requests_at_once: number,
        reveals: number,
        new_runs: number,
        new_runs_at_once: number,
        streams: number,
    }
}

fn limits(principal: u32, all: u32) -> Limits {
    Limits { principal: bounds(principal), all: bounds(all) }
}

fn told(over: Over) -> (Limit, &'static str) {
    (over.limit, over.of)
}

#[test]
fn what_is_under_way_is_bounded_until_it_ends() {
    for (ask, limit) in [
        (Ask::Request, Limit::RequestsAtOnce),
        (Ask::Reveal, Limit::RequestsAtOnce),
        (Ask::NewRun, Limit::NewRunsAtOnce),
        (Ask::Stream, Limit::Streams),
    ] {
        let mut limits = limits(2, 3);
        limits.principal.requests = 1_000;
        limits.principal.reveals = 1_000;
        limits.all.requests = 1_000;
        limits.all.reveals = 1_000;
        let allowance = Allowance::new(limits);
        let first = allowance.admit(&one(1), ask).unwrap();
        let _second = allowance.admit(&one(1), ask).unwrap();
        let over = allowance.admit(&one(1), ask).unwrap_err();
        assert_eq!(told(over), (limit, "principal"));
        assert_eq!(over.wait, AT_ONCE_WAIT);
        let third = allowance.admit(&one(2), ask).unwrap();
        assert_eq!(told(allowance.admit(&one(2), ask).unwrap_err()), (limit, "all"));
        drop(third);
        // What was refused doesn't count.
        let third = allowance.admit(&one(2), ask).unwrap();
        drop(first);
        let _fourth = allowance.admit(&one(2), ask).unwrap();
        drop(third);
    }
}

#[test]
fn rates_are_bounded_each_by_itself() {
    let mut wide = limits(1_000, 10_000);
    wide.principal.requests = 5;
    wide.principal.reveals = 2;
    wide.principal.new_runs = 1;
    for (ask, most, limit) in [
        (Ask::Request, 10, Limit::Requests),
        (Ask::Stream, 10, Limit::Requests),
        (Ask::Reveal, 4, Limit::Reveals),
        (Ask::NewRun, 10, Limit::NewRuns),
    ] {
        let allowance = Allowance::new(wide);
        let answers: Vec<_> = (0..most + 20).map(|_| allowance.admit(&one(1), ask)).collect();
        let good = answers.iter().take_while(|answer| answer.is_ok()).count();
        // A machine that pauses gives one more.
        assert!((most..most + 3).contains(&good), "{ask:?}: {good}");
        let over = answers.into_iter().find_map(Result::err).unwrap();
        assert_eq!(told(over), (limit, "principal"));
        assert!(over.wait <= Duration::from_secs(1), "{:?}", over.wait);
        assert!(allowance.admit(&one(2), ask).is_ok());
    }
}

#[test]
fn all_together_have_their_own_rate() {
    let mut limits = limits(1_000, 1_000);
    limits.all.requests = 50;
    let allowance = Allowance::new(limits);
    let answers: Vec<_> = (0..200).map(|uid| allowance.admit(&one(uid), Ask::Request)).collect();
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((100..150).contains(&good), "{good}");
    let over = answers.into_iter().find_map(Result::err).unwrap();
    assert_eq!(told(over), (Limit::Requests, "all"));
}

#[test]
fn a_limit_is_told_once_a_minute_for_each_principal() {
    let allowance = Allowance::new(limits(1, 100));
    let _one = allowance.admit(&one(1), Ask::Stream).unwrap();
    let _two = allowance.admit(&one(2), Ask::Stream).unwrap();
    let tells = |uid| allowance.admit(&one(uid), Ask::Stream).unwrap_err().tell;
    assert!(tells(1));
    assert!(!tells(1) && !tells(1));
    assert!(tells(2));
    let _run = allowance.admit(&one(1), Ask::NewRun).unwrap();
    assert!(allowance.admit(&one(1), Ask::NewRun).unwrap_err().tell, "another limit");
}

#[test]
fn other_limits_hold_at_once_and_what_is_under_way_counts() {
    let allowance = Allowance::new(limits(100, 100));
    let begun: Vec<_> = (0..4).map(|_| allowance.admit(&one(1), Ask::Stream).unwrap()).collect();
    allowance.put_in_force(limits(4, 100));
    assert!(allowance.admit(&one(1), Ask::Stream).is_err());
    drop(begun);
    let _again: Vec<_> = (0..4).map(|_| allowance.admit(&one(1), Ask::Stream).unwrap()).collect();
    assert!(allowance.admit(&one(1), Ask::Stream).is_err());
    allowance.put_in_force(limits(5, 100));
    assert!(allowance.admit(&one(1), Ask::Stream).is_ok());
}

#[test]
fn many_principals_take_no_more_than_their_room() {
    let most = u32::try_from(MAX_ACCOUNTS).unwrap();
    let allowance = Allowance::new(limits(2, 1_000_000));
    let _long = allowance.admit(&one(0), Ask::Stream).unwrap();
    for uid in 0..2 * most {
        // Those beyond share one account, and are held to its limits.
        let answer = allowance.admit(&one(uid), Ask::Request);
        assert!(answer.is_ok() || uid >= most);
    }
    let known = |allowance: &Allowance| allowance.0.read().unwrap().known.len();
    assert_eq!(known(&allowance), MAX_ACCOUNTS);
    let late = |allowance: &Allowance| {
        let mut accounts = allowance.0.write().unwrap();
        accounts.forgotten = Instant::now().checked_sub(QUIET).unwrap();
    };
    // Of those that nobody heard of for a while, who has something open is kept.
    for newcomer in [2 * most, 2 * most + 1] {
        late(&allowance);
        let _ = allowance.admit(&one(newcomer), Ask::Request);
    }
    assert_eq!(known(&allowance), 2);
    assert!(allowance.0.read().unwrap().known.contains_key(&one(0)));
}
