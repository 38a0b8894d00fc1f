//! What each role permits, as a table; and roles of policy files.

use super::ROLES;
use crate::access::tests::{Ask, ask, denied, permitted};
use crate::access::vocabulary::ACTIONS;
use crate::access::{Action, Policies};
use crate::load::Compiled;
use crate::resolve::testing::compile;

const PIPELINE: &str = "name: train\nsteps: [{ name: fit }, { name: test }]\n";

fn given(roles: &str, policies: &str) -> Policies {
    let files = [
        ("pipelines/train.yaml", PIPELINE),
        ("policies/own.cedar", policies),
        ("policies/roles.yaml", roles),
        ("paramd.yaml", "groups: { team: ['uid:1'] }\n"),
    ];
    let Compiled { policies, .. } = compile(&files);
    policies
}

#[track_caller]
fn check(policies: &Policies, ask: &Ask, expected: Option<&str>) {
    let decided = ask.decide(policies).map(|permit| permit.policy_ids().to_vec());
    match expected {
        Some(id) => assert_eq!(decided, permitted(&[id]), "{ask:?}"),
        None => assert_eq!(decided, denied(&[]), "{ask:?}"),
    }
}

/// What is asked for with each action, and what with the same action elsewhere.
const ASKED: [(&str, &[&str]); 5] = [
    ("daemon", &[""]),
    ("pipeline", &["train"]),
    ("run", &["train/1"]),
    ("step", &["train/1/fit", "train/fit/fit"]),
    ("item", &["train/1/fit/pw<pw"]),
];

/// Each role with the actions that it permits, and whether secrets leave in the open.
const PERMITTED: [(&str, &[&str], bool); 6] = [
    (
        "owner",
        &[
            "resolve",
            "join",
            "explain",
            "read",
            "reveal",
            "complete",
            "audit",
            "fingerprints",
            "delegate",
        ],
        true,
    ),
    ("executor", &["read", "reveal"], false),
    ("trigger", &["explain", "resolve", "read", "complete"], false),
    ("runner", &["explain", "resolve", "read", "delegate", "complete"], false),
    ("auditor", &["audit"], false),
    ("admin", &["explain", "read", "complete", "audit", "fingerprints"], false),
];

#[test]
fn each_role_permits_what_it_is_for_and_no_more() {
    let listed: Vec<&str> = ROLES.split("@id(\"").skip(1).collect();
    assert_eq!(listed.len(), PERMITTED.len(), "a role has no row");
    for (role, actions, open) in PERMITTED {
        let roles =
            format!("[{{ role: {role}, to: {{ group: team }}, for: {{ pipeline: train }} }}]");
        let policies = given(&roles, "");
        let id = format!("{role}(team on train)");
        for action in ACTIONS.into_iter().chain([Action::RevealSealed]) {
            let may = actions.contains(&action.name()) && (open || action != Action::Reveal);
            for (kind, whats) in ASKED {
                for what in whats {
                    let inside = may && kind != "daemon";
                    check(&policies, &ask(1, action, what), inside.then_some(&id));
                    check(&policies, &ask(2, action, what), None);
                }
            }
            check(&policies, &ask(1, action, "other/1/fit"), None);
        }
    }
}

#[test]
fn a_role_is_for_everything_a_pipeline_or_a_step() {
    let policies = given(
        r#"
        - { role: auditor, to: { principal: "uid:7" } }
        - { role: executor, to: { principal: "uid:8" }, for: { pipeline: train, step: fit } }
        - { role: executor, to: { principal: "uid:8" }, for: { pipeline: train, step: test }, id: tester }
        "#,
        "",
    );
    check(&policies, &ask(7, Action::Audit, ""), Some("auditor(uid:7)"));
    check(&policies, &ask(7, Action::Audit, "train"), Some("auditor(uid:7)"));
    check(&policies, &ask(8, Action::Read, "train/1/fit"), Some("executor(uid:8 on train/fit)"));
    check(&policies, &ask(8, Action::Read, "train/1/test"), Some("tester"));
    check(&policies, &ask(8, Action::RevealSealed, "train/1/test/x"), Some("tester"));
    check(&policies, &ask(8, Action::Read, "train/1"), None);
}

#[test]
fn a_template_of_a_policy_file_is_a_role_too() {
    let policies = given(
        r#"
        - { role: night shift, to: { group: team } }
        - { role: closed, to: { group: team }, for: { pipeline: train } }
        "#,
        r#"
        @id("night shift") permit (principal in ?principal, action == Paramd::Action::"read", resource)
        when { context.time.toTime() < duration("6h") };
        @id("closed") forbid (principal in ?principal, action == Paramd::Action::"read", resource in ?resource)
        when { resource has step && resource.step == "test" };
        "#,
    );
    check(&policies, &ask(1, Action::Read, "train/1"), Some("night shift(team)"));
    check(&policies, &ask(1, Action::Read, "train/1").at("2026-03-01T06:00:00Z"), None);
    let closed = ask(1, Action::Read, "train/1/test").decide(&policies);
    assert_eq!(closed.unwrap_err().policy_ids, ["closed(team on train)"]);
    assert!(policies.is_timed(Action::Read) && !policies.is_timed(Action::Audit));
}

#[test]
fn every_role_that_ships_is_in_the_documentation() {
    let page = include_str!("../../../docs/access.md");
    for (role, ..) in PERMITTED {
        assert!(page.contains(&format!("| `{role}` |")), "{role}");
    }
}
