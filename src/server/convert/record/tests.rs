use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::name::{EnvironmentName, ParameterName, PipelineName, RunId};
use crate::provenance::{Layer, SourceKind};
use crate::store::NewRun;
use crate::value::{PublicValue, Value};

/// A run `p/r` in `dev`, for the tests of this and other conversions.
pub(in crate::server::convert) fn stored(end: Option<RunEnd>) -> StoredRun {
    let created = "2026-01-02T03:04:05Z".parse().unwrap();
    StoredRun {
        frozen: NewRun {
            key: RunKey {
                pipeline: PipelineName::parse("p").unwrap(),
                run_id: RunId::parse("r").unwrap(),
                attempt: 1,
            },
            environment: EnvironmentName::parse("dev").unwrap(),
            preset: None,
            owner: Principal::unix_user(7),
            revision: "re".into(),
            bundle: "bu".into(),
            logical_date: None,
            mode: None,
            labels: BTreeMap::new(),
            created,
            expires: created,
            record: Vec::new(),
            sealed: Vec::new(),
        },
        end: end.map(|end| (end, created)),
    }
}

/// A snapshot of `public` (5), `secret` and `unneeded`, without steps.
pub(in crate::server::convert) fn frozen() -> Snapshot {
    let provenance = Provenance {
        layer: Layer::Definition,
        source: SourceKind::Vault,
        source_name: None,
        location: "é".repeat(2_000),
        version: Some("7".into()),
        fetched: None,
        computed_from: Default::default(),
        default_used: false,
    };
    let contents = [
        ("public", FrozenContent::Public(PublicValue::declared_public(Value::Integer(5)))),
        ("secret", FrozenContent::Secret(SecretMark { fingerprint: [9; 16], maskable: true })),
        ("unneeded", FrozenContent::NotNeeded),
    ];
    let parameters = contents.map(|(name, content)| {
        let provenance = Some(provenance.clone()).filter(|_| name != "unneeded");
        (ParameterName::parse(name).unwrap(), FrozenParameter { content, provenance })
    });
    Snapshot {
        format: crate::snapshot::FORMAT,
        parameters: parameters.into(),
        steps: Vec::new(),
        warnings: Vec::new(),
        secret_origins: std::collections::BTreeMap::new(),
    }
}

fn view(fingerprints: bool) -> RunView {
    RunView { run: Arc::new(stored(None)), snapshot: Arc::new(frozen()), fingerprints }
}

#[test]
fn fingerprints_are_for_those_who_may_see_them() {
    let shown = |fingerprints| {
        let answer = viewed(&view(fingerprints));
        match answer.snapshot.unwrap().parameters[1].content.clone() {
            Some(Content::Redacted(redacted)) => redacted.fingerprint,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown(false), Vec::<u8>::new());
    assert_eq!(shown(true), vec![9; 16]);
}

#[test]
fn what_was_not_needed_says_so_and_has_no_provenance() {
    let answer = viewed(&view(false));
    let unneeded = answer.snapshot.unwrap().parameters[2].clone();
    assert_eq!(unneeded.content, Some(Content::NotNeeded(v1::NotNeeded {})));
    assert_eq!(unneeded.provenance, None);
}

#[test]
fn a_long_place_is_cut_at_a_character() {
    let answer = viewed(&view(false));
    let provenance = answer.snapshot.unwrap().parameters[0].provenance.clone().unwrap();
    assert_eq!(provenance.location, "é".repeat(1_024));
}

#[test]
fn a_run_tells_how_it_stands() {
    let told = |end| {
        let run = run(&stored(end));
        (run.state(), run.outcome(), run.end_time.is_some())
    };
    use v1::{RunOutcome as O, RunState as S};
    assert_eq!(told(None), (S::Open, O::Unspecified, false));
    assert_eq!(told(Some(RunEnd::Failed)), (S::Completed, O::Failed, true));
    assert_eq!(told(Some(RunEnd::Expired)), (S::Expired, O::Unspecified, true));
}

#[test]
fn a_replay_is_told_from_a_creation() {
    let told = |created| resolved(&view(false), created, true).result();
    assert_eq!(told(true), v1::ResolveResult::Created);
    assert_eq!(told(false), v1::ResolveResult::Replayed);
}

#[test]
fn the_numbers_are_the_contracts() {
    use crate::audit::PrincipalKind;
    use crate::snapshot::{DecisionReason, StepAction};
    assert_eq!(v1::Layer::EnvironmentPipeline as i32, Layer::EnvironmentPipeline as i32);
    assert_eq!(v1::Layer::Override as i32, Layer::Override as i32);
    assert_eq!(v1::SourceKind::Plugin as i32, SourceKind::Plugin as i32);
    assert_eq!(v1::SourceKind::Sql as i32, SourceKind::Sql as i32);
    assert_eq!(v1::PrincipalKind::UnixUser as i32, PrincipalKind::UnixUser as i32);
    assert_eq!(v1::StepAction::Unknown as i32, StepAction::Unknown as i32);
    assert_eq!(v1::DecisionReason::MatrixEmpty as i32, DecisionReason::MatrixEmpty as i32);
    assert_eq!(v1::WarningKind::AliasUsed as i32, crate::snapshot::WarningKind::AliasUsed as i32);
    assert_eq!(v1::SecretEncoding::Binary as i32, crate::snapshot::SecretEncoding::Binary as i32);
    assert_eq!(v1::CandidateFate::Standby as i32, crate::engine::CandidateFate::Standby as i32);
    assert_eq!(v1::SecrecyReason::Computed as i32, crate::plan::SecrecyReason::Computed as i32);
    assert_eq!(
        v1::ChainDefect::Misplaced as i32,
        crate::audit::verify::ChainDefect::Misplaced as i32
    );
}
