//! What is told of each policy, and of who could.

use jiff::Timestamp;

use super::*;
use crate::access::Action;
use crate::access::question::Subject;
use crate::access::tests::policies;
use crate::definition::{Groups, Member};

fn question(uid: u32, action: Action, subject: &str) -> Question {
    Question {
        principal: Principal::unix_user(uid),
        groups: Vec::new(),
        action,
        subject: Subject::parse(subject).unwrap(),
        environment: None,
        preset: None,
        overridden: Vec::new(),
        time: Timestamp::UNIX_EPOCH,
    }
}

const POLICIES: &str = r#"
@id("me") @note("by hand") permit (principal == Paramd::Principal::"uid:1", action, resource in Paramd::Pipeline::"train");
@id("team") permit (principal in Paramd::Group::"team", action == Paramd::Action::"read", resource is Paramd::Step);
@id("late") permit (principal, action == Paramd::Action::"read", resource) when { context.time > datetime("2026-01-01") };
@id("never") forbid (principal, action == Paramd::Action::"read", resource == Paramd::Pipeline::"closed");
@id("fails") forbid (principal, action == Paramd::Action::"audit", resource) when { 9223372036854775807 + 1 == 0 };
@id("tokens") permit (principal, action == Paramd::Action::"resolve", resource) when { principal.kind == "token" };
@id("like") permit (principal, action == Paramd::Action::"explain", resource) when { context has preset };
"#;

fn set() -> Policies {
    let members = vec![Member::Named("uid:2".into()), Member::Beginning("token:ci/".into())];
    policies(POLICIES).with_groups(&Groups::from([("team".to_owned(), members)]))
}

fn verdicts(why: &Why) -> Vec<(&str, &Verdict)> {
    why.policies.iter().map(|one| (one.id.as_str(), &one.verdict)).collect()
}

#[test]
fn each_policy_about_the_action_is_told_with_what_differs() {
    use Part::{Condition, Principal, Resource};
    let differs = |parts: &[Part]| Verdict::Differs(parts.to_vec());
    let why = set().why(&question(2, Action::Read, "train/1/fit"));
    assert!(why.permitted);
    assert_eq!(why.policy_ids, ["team"]);
    let expected = [
        ("late", &differs(&[Condition])),
        ("me", &differs(&[Principal])),
        ("never", &differs(&[Resource])),
        ("step-token", &differs(&[Condition])),
        ("team", &Verdict::Applies),
    ];
    assert_eq!(verdicts(&why), expected);
    let me = why.policies.iter().find(|one| one.id == "me").unwrap();
    assert_eq!(me.annotations, BTreeMap::from([("note".to_owned(), "by hand".to_owned())]));
    assert!(me.place.is_some() && !me.forbids);

    let why = set().why(&question(3, Action::Read, "closed"));
    assert_eq!((why.permitted, why.policy_ids.as_slice()), (false, &["never".to_owned()][..]));
    let both = differs(&[Principal, Resource]);
    let expected = [
        ("late", &differs(&[Condition])),
        ("me", &both),
        ("never", &Verdict::Applies),
        ("step-token", &differs(&[Condition])),
        ("team", &both),
    ];
    assert_eq!(verdicts(&why), expected);

    let why = set().why(&question(1, Action::Audit, "train"));
    assert!(why.errors && !why.permitted);
    assert_eq!(verdicts(&why), [("fails", &Verdict::Fails), ("me", &Verdict::Applies)]);
}

fn told(who: &Who) -> Vec<String> {
    let line = |could: &Could| {
        let Could { who, kinds, policy_ids } = could;
        format!("{who:?} {} {}", kinds.join("+"), policy_ids.join("+"))
    };
    who.permitted.iter().map(line).collect()
}

#[test]
fn all_who_are_named_are_asked_for() {
    let set = set();
    let others = ["token:a".to_owned()];
    let who = |action, subject| set.who(&question(0, action, subject), &others);
    let readers = who(Action::Read, "train/1/fit");
    let expected = [
        r#"Group("team")  team"#,
        r#"Principal("token:ci/*")  team"#,
        r#"Principal("uid:1")  me"#,
        r#"Principal("uid:2")  team"#,
    ];
    assert_eq!(told(&readers), expected);
    assert_eq!(readers.by_condition, ["late", "step-token"]);
    let starters = who(Action::Resolve, "train/1");
    assert_eq!(told(&starters), ["Anyone token tokens", r#"Principal("uid:1")  me"#]);
    assert!(starters.by_condition.is_empty());
    let explained = who(Action::Explain, "other");
    assert_eq!((told(&explained).len(), explained.by_condition), (0, vec!["like".to_owned()]));
    assert!(told(&who(Action::Audit, "daemon")).is_empty(), "what fails permits nobody");
}
