use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::name::{EnvironmentName, PipelineName, SourceName, StepName};

const DOCUMENT: &str = include_str!("../../../docs/audit.md");

fn actions() -> impl Strategy<Value = Action> {
    use Action::{
        Audit, Authenticate, Complete, Expire, Explain, Fingerprints, Join, Read, Reload, Resolve,
        Reveal, Start, Stop,
    };
    prop::sample::select(vec![
        Authenticate,
        Resolve,
        Join,
        Explain,
        Read,
        Reveal,
        Complete,
        Audit,
        Fingerprints,
        Start,
        Stop,
        Reload,
        Expire,
    ])
}

fn principals() -> impl Strategy<Value = Principal> {
    use PrincipalKind::{Anonymous, Certificate, Daemon, Jwt, StepToken, Token, UnixUser};
    let kinds = vec![Anonymous, Daemon, UnixUser, Certificate, Token, Jwt, StepToken];
    (".{0,20}", prop::sample::select(kinds)).prop_map(|(name, kind)| Principal { name, kind })
}

fn accesses() -> impl Strategy<Value = ParameterAccess> {
    use SourceKind::{Env, File, Literal, Plugin, Sql, Template, Vault};
    let sources = prop::sample::select(vec![Literal, Template, Env, File, Sql, Vault, Plugin]);
    let keywords = prop::sample::select(vec!["", "pattern", "type", "other"]);
    (
        ".{0,12}",
        option::of(sources),
        option::of("[a-z][a-z0-9_-]{0,8}"),
        ".{0,20}",
        option::of(".{0,6}"),
        option::of(any::<[u8; 16]>()),
        keywords,
    )
        .prop_map(|(name, source, source_name, location, version, fingerprint, keyword)| {
            ParameterAccess {
                name: ItemName::from_record(name),
                source,
                source_name: source_name.map(|name| SourceName::parse(&name).unwrap()),
                location,
                version,
                fingerprint,
                violated_keyword: keyword,
            }
        })
}

fn times() -> impl Strategy<Value = Timestamp> {
    let (least, most) = (Timestamp::MIN.as_nanosecond(), Timestamp::MAX.as_nanosecond());
    (least..=most).prop_map(|nanos| Timestamp::from_nanosecond(nanos).unwrap())
}

fn drafts() -> impl Strategy<Value = EventDraft> {
    use Outcome::{Denied, Failed, Succeeded};
    let names = (
        option::of("[a-z0-9][a-z0-9-]{0,8}"),
        option::of(("[ -~]{1,12}", any::<u32>())),
        option::of("[a-z0-9][a-z0-9-]{0,8}"),
        option::of("[a-z0-9][a-z0-9-]{0,8}"),
        option::of(any::<u32>()),
    );
    let who =
        (times(), principals(), actions(), prop::sample::select(vec![Succeeded, Denied, Failed]));
    let rest = (
        vec(accesses(), 0..4),
        any::<u32>(),
        any::<bool>(),
        vec(".{0,8}", 0..3),
        vec(".{0,8}", 4..=4),
    );
    (who, names, rest).prop_map(|((time, principal, action, outcome), names, rest)| {
        let (pipeline, run, environment, step, instance) = names;
        let (parameters, unknown_names, sealed, policy_ids, texts) = rest;
        EventDraft {
            reason: texts[0].clone(),
            pipeline: pipeline.map(|name| PipelineName::parse(&name).unwrap()),
            run: run.map(|(run_id, attempt)| (RunId::parse(&run_id).unwrap(), attempt)),
            bundle: texts[1].clone(),
            environment: environment.map(|name| EnvironmentName::parse(&name).unwrap()),
            step: step.map(|name| StepName::parse(&name).unwrap()),
            instance,
            parameters: parameters.into(),
            unknown_names,
            sealed,
            policy_ids,
            trace_id: texts[2].clone(),
            fingerprint_key: texts[3].clone(),
            ..EventDraft::new(time, principal, action, outcome)
        }
    })
}

proptest! {
    #[test]
    fn every_event_comes_back_as_it_was(chain in ".{0,20}", sequence: u64, draft in drafts()) {
        let decoded = decode(&encode(&chain, sequence, &draft)).unwrap();
        prop_assert_eq!(decoded, Canonical { chain, sequence, draft });
    }

    #[test]
    fn a_changed_byte_is_another_event_or_none(draft in drafts(), at: prop::sample::Index, to: u8) {
        let mut bytes = encode("c", 1, &draft);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(decoded) = decode(&bytes) {
            prop_assert_eq!(encode(&decoded.chain, decoded.sequence, &decoded.draft), bytes);
        }
    }

    #[test]
    fn a_cut_or_longer_form_is_refused(draft in drafts(), extra: u8) {
        let mut bytes = encode("c", 1, &draft);
        prop_assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(extra);
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = decode(&[&FORMAT.to_be_bytes()[..], &bytes].concat());
    }
}

#[test]
fn a_keyword_that_is_not_known_is_recorded_as_other() {
    let mut draft = example();
    let mut parameters = draft.parameters.to_vec();
    parameters[0].violated_keyword = "from a later release";
    draft.parameters = parameters.into();
    let decoded = decode(&encode("c", 1, &draft)).unwrap();
    assert_eq!(decoded.draft.parameters[0].violated_keyword, "other");
}

/// The worked example of the document.
fn example() -> EventDraft {
    let time = "2026-01-02T03:04:05.000000006Z".parse().unwrap();
    EventDraft {
        pipeline: Some(PipelineName::parse("churn-training").unwrap()),
        run: Some((RunId::parse("nightly-7").unwrap(), 1)),
        bundle: "ab".repeat(32),
        environment: Some(EnvironmentName::parse("prod").unwrap()),
        step: Some(StepName::parse("extract").unwrap()),
        parameters: vec![ParameterAccess {
            name: ItemName::from_record("db_password".into()),
            source: Some(SourceKind::Vault),
            source_name: Some(SourceName::parse("main").unwrap()),
            location: "secret/ml/prod/db#password".into(),
            version: Some("7".into()),
            fingerprint: Some(*b"0123456789abcdef"),
            violated_keyword: "",
        }]
        .into(),
        policy_ids: vec!["trainers".into()],
        fingerprint_key: "5ea1ab1e".into(),
        ..EventDraft::new(time, Principal::unix_user(1000), Action::Reveal, Outcome::Succeeded)
    }
}

/// What stands in the document's block of this language after a heading.
fn block(heading: &str, language: &str) -> String {
    let (_, section) = DOCUMENT.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, rest) = section.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_documents_example_is_what_the_code_makes() {
    let form = encode("c0ffee0123456789", 1, &example());
    let mut dump = String::new();
    for line in form.chunks(32) {
        writeln!(dump, "{}", hex::encode(line)).unwrap();
    }
    let hash = hex::encode(hash(&NO_HASH, &form));
    assert_eq!(block("Worked example", "text"), format!("{dump}\nhash {hash}\n"));
}

/// The JSON form of the contract's Event, as the canonical mapping of protobuf
/// writes it.
fn json(event: &Event) -> serde_json::Value {
    const OUTCOMES: [&str; 4] =
        ["", "EVENT_OUTCOME_SUCCEEDED", "EVENT_OUTCOME_DENIED", "EVENT_OUTCOME_FAILED"];
    use base64::Engine as _;
    let b64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let access = |access: &ParameterAccess| {
        serde_json::json!({
            "name": access.name.as_str(),
            "source": access.source.map_or(0, |kind| kind as i32),
            "sourceName": access.source_name.as_ref().map_or("", |name| name.as_str()),
            "location": access.location,
            "version": access.version,
            "fingerprint": b64(access.fingerprint.as_ref().map_or(&[], |bytes| bytes.as_slice())),
            "violatedKeyword": access.violated_keyword,
        })
    };
    let draft = &event.draft;
    let kind = match draft.principal.kind.number() {
        3 => serde_json::json!("PRINCIPAL_KIND_UNIX_USER"),
        number => number.into(),
    };
    let mut json = serde_json::json!({
        "chain": event.chain,
        "sequence": event.sequence.to_string(),
        "time": draft.time.to_string(),
        "action": draft.action.number(),
        "outcome": OUTCOMES[draft.outcome as usize],
        "reason": draft.reason,
        "principal": { "name": draft.principal.name, "kind": kind },
        "bundle": draft.bundle,
        "environment": draft.environment,
        "step": draft.step,
        "instance": draft.instance,
        "parameters": draft.parameters.iter().map(access).collect::<Vec<_>>(),
        "unknownNames": draft.unknown_names,
        "sealed": draft.sealed,
        "policyIds": draft.policy_ids,
        "traceId": draft.trace_id,
        "fingerprintKey": draft.fingerprint_key,
        "format": event.format,
        "previousHash": b64(&event.previous_hash),
        "hash": b64(&event.hash),
    });
    if draft.pipeline.is_some() || draft.run.is_some() {
        let (run_id, attempt) = draft.run.clone().unzip();
        json["run"] = serde_json::json!({
            "pipeline": draft.pipeline, "runId": run_id, "attempt": attempt.unwrap_or(0)
        });
    }
    // Fields at their default are left out, as protobuf does.
    json.as_object_mut().unwrap().retain(|_, value| {
        !value.is_null() && *value != "" && *value != 0 && *value != serde_json::json!([])
    });
    json
}

fn chained(drafts: Vec<EventDraft>) -> Vec<Event> {
    let mut previous = NO_HASH;
    let chain = |(index, draft): (usize, EventDraft)| {
        let sequence = index as u64 + 1;
        let hash = hash(&previous, &encode("c0ffee0123456789", sequence, &draft));
        let before = std::mem::replace(&mut previous, hash);
        let chain = "c0ffee0123456789".to_owned();
        Canonical { chain, sequence, draft }.into_event(before, hash)
    };
    drafts.into_iter().enumerate().map(chain).collect()
}

/// Runs the document's program on pages of events.
fn recompute(pages: &[&[serde_json::Value]]) -> (bool, String) {
    let mut child = Command::new("python3")
        .args(["-c", &block("An auditor's own check", "python")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed to try the document's program");
    let mut stdin = child.stdin.take().unwrap();
    for page in pages {
        writeln!(stdin, "{}", serde_json::json!({ "events": page })).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

fn sampled_drafts() -> Vec<EventDraft> {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    // Python's dates begin with the year 1.
    let since_year_one = |draft: &EventDraft| draft.time > "0001-01-02T00:00:00Z".parse().unwrap();
    let sample = (0..60).map(|_| drafts().new_tree(&mut runner).unwrap().current());
    std::iter::once(example()).chain(sample.filter(since_year_one)).collect()
}

#[test]
fn the_documents_program_recomputes_a_chain() {
    let events: Vec<_> = chained(sampled_drafts()).iter().map(json).collect();
    let (first, second) = events.split_at(20);
    let (good, said) = recompute(&[first, second]);
    assert!(good, "{said}");
    let head = events.last().unwrap()["hash"].as_str().unwrap();
    assert!(said.contains(&format!("events 1 to {} are good", events.len())), "{said}");
    use base64::Engine as _;
    let head = base64::engine::general_purpose::STANDARD.decode(head).unwrap();
    assert!(said.contains(&hex::encode(head)), "{said}");
}

#[test]
fn the_documents_program_finds_what_was_done_to_a_chain() {
    let events: Vec<_> = chained(sampled_drafts()).iter().map(json).collect();
    let changes: [fn(&mut Vec<serde_json::Value>); 4] = [
        |events| events[4]["reason"] = "x".into(),
        |events| drop(events.remove(4)),
        |events| events.swap(4, 5),
        |events| events.insert(4, events[3].clone()),
    ];
    for change in changes {
        let mut changed = events.clone();
        change(&mut changed);
        let (good, said) = recompute(&[&changed]);
        assert!(!good && said.contains("event 5"), "{said}");
    }
}
