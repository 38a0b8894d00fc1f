//! What is kept of a step token, and what it tells.

use super::*;
use crate::audit::PrincipalKind;
use crate::name::{PipelineName, RunId, RunKey};

fn tokens() -> StepTokens {
    StepTokens::new(TokenKey::generate().unwrap())
}

fn grant() -> Grant {
    let run = RunKey {
        pipeline: PipelineName::parse("train").unwrap(),
        run_id: RunId::parse("1").unwrap(),
        attempt: 2,
    };
    Grant {
        step: StepKey { run, step: StepName::parse("fit").unwrap() },
        holder: Holder::Key([7; 32]),
        minter: Principal { name: "token:ci".into(), kind: PrincipalKind::Token },
        expires: Timestamp::from_second(1_764_000_000).unwrap(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a test shows the token that it made")]
fn bytes(minted: &Minted) -> &[u8] {
    minted.token.expose()
}

#[test]
fn a_token_is_found_and_tells_what_it_is_good_for() {
    let tokens = tokens();
    let minted = tokens.mint(&grant()).unwrap();
    assert_eq!(tokens.find(bytes(&minted)), Some(minted.kept.hash));
    assert_eq!(tokens.grant(minted.kept), Some(grant()));
}

#[test]
fn the_store_holds_nothing_that_could_be_shown() {
    let minted = tokens().mint(&grant()).unwrap();
    let token = bytes(&minted);
    let digits = &token[STEP_PREFIX.len()..];
    let random = hex::decode(digits).unwrap();
    for kept in [&minted.kept.hash[..], &minted.kept.record] {
        for form in [token, digits, &random] {
            assert!(!kept.windows(8).any(|part| form.windows(8).any(|other| other == part)));
        }
    }
}

#[test]
fn what_was_changed_in_the_store_is_good_for_nothing() {
    let tokens = tokens();
    let kept = tokens.mint(&grant()).unwrap().kept;
    let other_run = |change: fn(&mut RunKey)| {
        let mut other = kept.clone();
        change(&mut other.run);
        other
    };
    let mut changed = vec![
        other_run(|run| run.pipeline = PipelineName::parse("other").unwrap()),
        other_run(|run| run.run_id = RunId::parse("2").unwrap()),
        other_run(|run| run.attempt = 1),
        StoredStepToken { expires: Timestamp::MAX, ..kept.clone() },
        StoredStepToken { hash: [1; 32], ..kept.clone() },
        StoredStepToken { record: Vec::new(), ..kept.clone() },
    ];
    for at in 0..kept.record.len() {
        let mut other = kept.clone();
        other.record[at] ^= 1;
        changed.push(other);
    }
    for other in changed {
        assert_eq!(tokens.grant(other), None);
    }
    assert!(self::tokens().grant(kept).is_none(), "under another key");
}

#[test]
fn only_its_form_is_looked_for() {
    let tokens = tokens();
    let digits = "a".repeat(64);
    assert!(tokens.find(format!("{STEP_PREFIX}{digits}").as_bytes()).is_some());
    for other in [
        format!("{STEP_PREFIX}{digits}a"),
        format!("paramd_token_{digits}"),
        STEP_PREFIX.to_owned(),
        String::new(),
    ] {
        assert_eq!(tokens.find(other.as_bytes()), None);
    }
}
