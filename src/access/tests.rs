//! Decisions as tables: a policy, questions, and what must come out.

use std::sync::Arc;

use proptest::prelude::*;

use super::vocabulary::{ACTIONS, VOCABULARY};
use super::*;
use crate::audit::PrincipalKind;
use crate::definition::Member;
use crate::load::Compiled;
use crate::name::{RunId, RunKey, StepName};
use crate::resolve::testing::compile;
use crate::yaml::FileId;

fn file(index: u32, text: &str) -> PolicyFile {
    PolicyFile { file: FileId(index), name: format!("file{index}"), text: Arc::from(text) }
}

pub(super) fn read(texts: &[&str]) -> (Policies, Problems) {
    let files: Vec<PolicyFile> = (0..).zip(texts).map(|(index, text)| file(index, text)).collect();
    let mut problems = Problems::default();
    let policies = Policies::read(&files, &mut problems);
    (policies, problems)
}

pub(super) fn policies(text: &str) -> Policies {
    let (policies, problems) = read(&[text]);
    assert!(problems.list.is_empty(), "{:?}", problems.list);
    policies
}

/// A question with everything owned, as short to write as a table's row.
#[derive(Debug)]
pub(super) struct Ask {
    principal: Principal,
    token: Option<StepKey>,
    action: Action,
    what: &'static str,
    environment: Option<&'static str>,
    preset: Option<&'static str>,
    groups: Vec<String>,
    overridden: Vec<ParameterName>,
    time: Timestamp,
}

/// `what` is empty for the daemon, else `PIPELINE[/RUN[/STEP[/ITEM[<SECRET,…]]]]`.
pub(super) fn ask(uid: u32, action: Action, what: &'static str) -> Ask {
    let principal = Principal::unix_user(uid);
    Ask {
        principal,
        token: None,
        action,
        what,
        environment: None,
        preset: None,
        groups: Vec::new(),
        overridden: Vec::new(),
        time: Timestamp::UNIX_EPOCH,
    }
}

impl Ask {
    /// Asked with a token of the first attempt of `train/1`, for its step `fit`.
    fn with_token(mut self) -> Self {
        let run = RunKey {
            pipeline: PipelineName::parse("train").unwrap(),
            run_id: RunId::parse("1").unwrap(),
            attempt: 1,
        };
        self.token = Some(StepKey { run, step: StepName::parse("fit").unwrap() });
        self.principal.kind = PrincipalKind::StepToken;
        self
    }

    fn in_groups(mut self, groups: &[&str]) -> Self {
        self.groups = groups.iter().map(ToString::to_string).collect();
        self
    }

    fn overriding(mut self, names: &[&str]) -> Self {
        self.overridden = names.iter().map(|name| name.parse().unwrap()).collect();
        self
    }

    pub(super) fn at(mut self, time: &str) -> Self {
        self.time = time.parse().unwrap();
        self
    }

    fn within(mut self, environment: &'static str) -> Self {
        self.environment = Some(environment);
        self
    }

    fn with_preset(mut self, preset: &'static str) -> Self {
        self.preset = Some(preset);
        self
    }

    pub(super) fn decide(&self, policies: &Policies) -> Result<Permit, Denied> {
        let (path, secrets) = self.what.split_once('<').unwrap_or((self.what, ""));
        let secrets: Vec<ParameterName> = secrets
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| ParameterName::parse(name).unwrap())
            .collect();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let name = parts.first().map(|name| PipelineName::parse(name).unwrap());
        let resource = match (&name, parts.as_slice()) {
            (Some(pipeline), [_]) => Resource::Pipeline(pipeline),
            (Some(pipeline), [_, run_id]) => Resource::Run { pipeline, run_id },
            (Some(pipeline), [_, run_id, step]) => Resource::Step { pipeline, run_id, step },
            (Some(pipeline), [_, run_id, step, item]) => {
                Resource::Parameter { pipeline, run_id, step, item, secrets: &secrets }
            }
            _ => Resource::Daemon,
        };
        let environment = self.environment.map(|name| EnvironmentName::parse(name).unwrap());
        let preset = self.preset.map(|name| PresetName::parse(name).unwrap());
        policies.decide(&Request {
            principal: &self.principal,
            groups: &self.groups,
            step: self.token.as_ref(),
            action: self.action,
            resource,
            environment: environment.as_ref(),
            preset: preset.as_ref(),
            overridden: &self.overridden,
            time: self.time,
        })
    }
}

pub(super) fn permitted(ids: &[&str]) -> Result<Vec<String>, Denied> {
    Ok(ids.iter().map(ToString::to_string).collect())
}

pub(super) fn denied(ids: &[&str]) -> Result<Vec<String>, Denied> {
    Err(Denied { policy_ids: ids.iter().map(ToString::to_string).collect(), errors: false })
}

#[track_caller]
fn check(policies: &Policies, ask: &Ask, expected: Result<Vec<String>, Denied>) {
    let what = format!("{:?} {:?} on `{}`", ask.principal, ask.action, ask.what);
    let decide = || ask.decide(policies).map(|permit| permit.policy_ids().to_vec());
    assert_eq!(decide(), expected, "{what}");
    assert_eq!(decide(), expected, "{what}, remembered");
}

use Action::{
    Audit, Complete, Delegate, Explain, Fingerprints, Join, Read, Resolve, Reveal, RevealSealed,
};

pub(super) const ALL: &str = r#"@id("all") permit (principal, action, resource);"#;

#[test]
fn the_shipped_schema_is_good() {
    assert!(VOCABULARY.is_some());
}

#[test]
fn what_nobody_permits_is_denied() {
    for action in ACTIONS {
        for what in ["", "train", "train/1", "train/1/fit", "train/1/fit/pw<pw"] {
            check(&Policies::default(), &ask(0, action, what), denied(&[]));
        }
    }
    assert!(Policies::default().is_empty());
    assert!(!policies(ALL).is_empty());
}

#[test]
fn forbid_beats_permit_and_the_deciding_policies_are_named() {
    let set = policies(
        r#"
        @id("all") permit (principal, action, resource);
        permit (principal, action == Paramd::Action::"read", resource);
        @id("no-prints") forbid (principal, action == Paramd::Action::"fingerprints", resource);
        "#,
    );
    check(&set, &ask(1, Read, "train/1"), permitted(&["all", "file0#2"]));
    check(&set, &ask(1, Resolve, "train/1"), permitted(&["all"]));
    check(&set, &ask(1, Fingerprints, "train/1"), denied(&["no-prints"]));
}

#[test]
fn a_step_token_is_good_for_its_step_alone_whatever_the_policies_permit() {
    let set = policies(ALL);
    for action in ACTIONS {
        for what in ["", "train", "train/1", "train/1/fit", "train/1/fit/pw<pw"] {
            let inside = what.starts_with("train/1/fit");
            let good = inside && matches!(action, Read | Reveal | Fingerprints);
            let applies = ask(0, action, what).decide(&set).is_ok();
            let asked = ask(0, action, what).with_token();
            assert_eq!(asked.decide(&set).is_ok(), good && applies, "{action:?} on `{what}`");
        }
        for what in ["train/1/eval", "train/2/fit", "other/1/fit", "train/1/eval/pw<pw"] {
            check(&set, &ask(0, action, what).with_token(), denied(&[]));
        }
    }
}

#[test]
fn a_group_is_who_is_written_and_who_has_a_credential_of_it() {
    let members = |names: &[Member]| ("platform".to_owned(), names.to_vec());
    let named = Member::Named("uid:1".into());
    let begun = Member::Beginning("uid:20".into());
    let set = policies(
        r#"@id("platform")
        permit (principal in Paramd::Group::"platform", action, resource)
        unless { principal in Paramd::Group::"lent" };"#,
    )
    .with_groups(&Groups::from([members(&[named, begun])]));
    let read = |uid| ask(uid, Read, "train");
    check(&set, &read(1), permitted(&["platform"]));
    check(&set, &read(2001), permitted(&["platform"]));
    check(&set, &read(11), denied(&[]));
    check(&set, &read(2), denied(&[]));
    check(&set, &read(2).in_groups(&["other", "platform"]), permitted(&["platform"]));
    check(&set, &read(2).in_groups(&["platform "]), denied(&[]));
    check(&set, &read(1).in_groups(&["lent"]), denied(&[]));
}

#[test]
fn a_decision_by_the_time_is_made_anew_each_time() {
    let set = policies(
        r#"@id("by-day") permit (principal, action == Paramd::Action::"reveal", resource)
        when { context.time >= datetime("2026-03-01T08:00:00Z")
            && context.time < datetime("2026-03-01T18:00:00.500Z") };
        @id("read") permit (principal, action == Paramd::Action::"read", resource);"#,
    );
    let reveal = |time| ask(1, Reveal, "train/1/fit").at(time);
    for _ in 0..2 {
        check(&set, &reveal("2026-03-01T07:59:59.999Z"), denied(&[]));
        check(&set, &reveal("2026-03-01T08:00:00Z"), permitted(&["by-day"]));
        check(&set, &reveal("2026-03-01T18:00:00.499999Z"), permitted(&["by-day"]));
        check(&set, &reveal("2026-03-01T18:00:00.5Z"), denied(&[]));
        check(&set, &reveal("2026-03-01T19:00:00.1+02:00"), permitted(&["by-day"]));
    }
    check(&set, &ask(1, Read, "train"), permitted(&["read"]));
    assert!(set.is_timed(Reveal) && set.is_timed(RevealSealed) && !set.is_timed(Read));
}

#[test]
fn the_names_that_a_run_overrides_decide_where_its_values_are_concerned() {
    let set = policies(&format!(
        r#"{ALL} @id("no-host") forbid (
            principal,
            action in [Paramd::Action::"resolve", Paramd::Action::"join",
                Paramd::Action::"explain", Paramd::Action::"reveal"],
            resource
        ) when {{ context.overridden.contains("db_host") }};
        @id("only") forbid (principal, action == Paramd::Action::"explain", resource)
        unless {{ ["n", "db_host"].containsAll(context.overridden) }};"#
    ));
    let pairs =
        [(Resolve, "train/1"), (Join, "train/1"), (Explain, "train"), (Reveal, "train/1/fit")];
    for (action, what) in pairs {
        let asked = || ask(1, action, what);
        check(&set, &asked(), permitted(&["all"]));
        check(&set, &asked().overriding(&["n"]), permitted(&["all"]));
        check(&set, &asked().overriding(&["db_host", "n"]), denied(&["no-host"]));
    }
    check(&set, &ask(1, Explain, "train").overriding(&["x"]), denied(&["only"]));
    check(&set, &ask(1, Read, "train/1").overriding(&["db_host"]), permitted(&["all"]));
    let told = r#"forbid (principal, action == Paramd::Action::"read", resource)
        when { context.overridden.contains("n") };"#;
    assert!(read(&[told]).1.has_errors(), "what is read doesn't depend on it");
}

#[test]
fn a_step_is_in_its_step_of_any_run_and_a_pipeline_in_the_daemon() {
    let set = policies(
        r#"@id("fit") permit (principal, action, resource in Paramd::Step::"train/fit");
        @id("all") permit (
            principal == Paramd::Principal::"uid:9",
            action,
            resource in Paramd::Daemon::"paramd"
        );"#,
    );
    check(&set, &ask(1, Read, "train/1/fit"), permitted(&["fit"]));
    check(&set, &ask(1, Reveal, "train/2/fit/pw<pw"), permitted(&["fit"]));
    for what in ["train/1/test", "train/fit/test", "score/1/fit", "train/fit", "train", ""] {
        check(&set, &ask(1, Read, what), denied(&[]));
    }
    for (action, what) in [(Audit, ""), (Audit, "train"), (Resolve, "train/1")] {
        check(&set, &ask(9, action, what), permitted(&["all"]));
    }
    check(&set, &ask(9, Reveal, "train/1/test/pw<pw"), permitted(&["all"]));
}

#[test]
fn a_step_token_needs_no_other_policy_and_a_forbid_holds_for_it() {
    let set = policies(
        r#"@id("no-key") forbid (principal, action, resource in Paramd::Parameter::"train/key");
        @id("sealed") forbid (principal, action == Paramd::Action::"reveal", resource)
        when { !context.sealed };"#,
    );
    let with_token = |action, what| ask(1, action, what).with_token();
    check(&set, &with_token(Read, "train/1/fit"), permitted(&["step-token"]));
    check(&set, &with_token(RevealSealed, "train/1/fit/pw<pw"), permitted(&["step-token"]));
    check(&set, &with_token(Reveal, "train/1/fit/pw<pw"), denied(&["sealed"]));
    check(&set, &with_token(RevealSealed, "train/1/fit/key<key"), denied(&["no-key"]));
    check(&set, &with_token(Fingerprints, "train/1/fit"), denied(&[]));
    check(&set, &with_token(Delegate, "train/1/fit"), denied(&[]));
    check(&set, &ask(1, Read, "train/1/fit"), denied(&[]));
    assert!(policies("").is_empty(), "nobody has a token where nobody may have one made");
}

#[test]
fn an_owner_of_a_pipeline_has_that_pipeline_and_no_other() {
    let set = policies(
        r#"@id("owner") permit (
            principal == Paramd::Principal::"uid:1000",
            action,
            resource in Paramd::Pipeline::"train"
        );"#,
    );
    for (action, what) in [
        (Explain, "train"),
        (Resolve, "train/1"),
        (Join, "train/1"),
        (Complete, "train/1"),
        (Read, "train/1/fit"),
        (Reveal, "train/1/fit/pw<pw"),
        (Audit, "train"),
    ] {
        check(&set, &ask(1000, action, what), permitted(&["owner"]));
        check(&set, &ask(1001, action, what), denied(&[]));
    }
    check(&set, &ask(1000, Resolve, "train2/1"), denied(&[]));
    check(&set, &ask(1000, Audit, ""), denied(&[]));
}

#[test]
fn an_executor_of_one_step_has_that_step_in_every_run() {
    let set = policies(
        r#"@id("fit") permit (
            principal == Paramd::Principal::"uid:7",
            action in [Paramd::Action::"read", Paramd::Action::"reveal"],
            resource in Paramd::Pipeline::"train"
        ) when { resource has step && resource.step == "fit" };"#,
    );
    check(&set, &ask(7, Read, "train/any/fit"), permitted(&["fit"]));
    check(&set, &ask(7, Reveal, "train/any/fit/env.URL<pw"), permitted(&["fit"]));
    check(&set, &ask(7, Reveal, "train/any/test/env.URL<pw"), denied(&[]));
    check(&set, &ask(7, Read, "train/any"), denied(&[]));
    check(&set, &ask(7, Resolve, "train/any"), denied(&[]));
}

#[test]
fn the_environment_and_the_preset_decide_where_they_are_told() {
    let set = policies(
        r#"@id("smoke") permit (principal, action == Paramd::Action::"resolve", resource)
        when { context has environment && context.environment == "dev"
            && context has preset && context.preset == "smoke" };"#,
    );
    let resolve = || ask(1, Resolve, "train/1");
    check(&set, &resolve().within("dev").with_preset("smoke"), permitted(&["smoke"]));
    check(&set, &resolve().within("prod").with_preset("smoke"), denied(&[]));
    check(&set, &resolve().within("dev"), denied(&[]));
    check(&set, &resolve(), denied(&[]));
}

#[test]
fn a_forbid_on_a_secret_covers_every_text_made_of_it() {
    let set = policies(&format!(
        r#"{ALL} @id("no-pw") forbid (
            principal,
            action == Paramd::Action::"reveal",
            resource in Paramd::Parameter::"train/pw"
        );"#
    ));
    check(&set, &ask(1, Reveal, "train/1/fit/pw<pw"), denied(&["no-pw"]));
    check(&set, &ask(1, Reveal, "train/1/fit/env.URL<other,pw"), denied(&["no-pw"]));
    check(&set, &ask(1, Reveal, "train/1/fit/files.key<pw,url"), denied(&["no-pw"]));
    check(&set, &ask(1, Reveal, "train/1/fit/env.OTHER<other"), permitted(&["all"]));
    check(&set, &ask(1, Reveal, "score/1/fit/pw<pw"), permitted(&["all"]));
}

#[test]
fn a_kind_of_principal_can_be_asked_for() {
    let set = policies(
        r#"@id("local") permit (principal, action, resource)
        when { principal.kind == "unix_user" };"#,
    );
    check(&set, &ask(1, Read, "train"), permitted(&["local"]));
    let mut other = ask(1, Read, "train");
    other.principal = Principal { name: "uid:1".into(), kind: crate::audit::PrincipalKind::Token };
    check(&set, &other, denied(&[]));
}

#[test]
fn a_policy_that_fails_denies_whatever_the_others_say() {
    let set = policies(&format!(
        r#"{ALL} @id("overflow") permit (principal, action == Paramd::Action::"read", resource)
        when {{ 9223372036854775807 + 1 == 0 }};"#
    ));
    let failed = Denied { policy_ids: vec!["overflow".into()], errors: true };
    check(&set, &ask(1, Read, "train"), Err(failed));
    check(&set, &ask(1, Explain, "train"), permitted(&["all"]));
}

#[test]
fn the_dev_user_may_do_all_and_nobody_else_more_than_before() {
    let (set, _) = read(&["forbid (principal, action, resource);"]);
    let set = set.with_dev_user(5);
    check(&set, &ask(5, Fingerprints, "train/1"), permitted(&["dev"]));
    check(&set, &ask(6, Fingerprints, "train/1"), denied(&["file0#1"]));
    let mut token = ask(5, Read, "");
    token.principal.kind = crate::audit::PrincipalKind::Token;
    check(&set, &token, denied(&["file0#1"]));
    assert!(!Policies::default().with_dev_user(5).is_empty());
}

#[test]
fn a_permit_covers_its_action_and_item_alone() {
    let set = policies(ALL);
    let item = ask(1, Reveal, "train/1/fit/pw<pw").decide(&set).unwrap();
    assert!(item.covers(Reveal, Some("pw")));
    assert!(!item.covers(Reveal, Some("other")));
    assert!(!item.covers(Reveal, None));
    assert!(!item.covers(Read, Some("pw")));
    let step = ask(1, Reveal, "train/1/fit").decide(&set).unwrap();
    assert!(step.covers(Reveal, None));
    assert!(!step.covers(Reveal, Some("pw")));
    let pipeline = PipelineName::parse("train").unwrap();
    let about = |run_id| Resource::Step { pipeline: &pipeline, run_id, step: "fit" };
    assert!(step.is_about(&about("1")));
    assert!(!step.is_about(&about("2")));
    assert!(!item.is_about(&about("1")));
}

#[test]
fn every_policy_of_the_documentation_passes_the_check() {
    let page = include_str!("../../docs/access.md");
    let blocks = |language: &str| -> Vec<&str> {
        let fence = format!("```{language}\n");
        let begun = page.split(&fence).skip(1);
        begun.filter_map(|rest| Some(rest.split_once("```")?.0)).collect()
    };
    let yaml = |beginning: &str| {
        let found = blocks("yaml").into_iter().find(|block| block.starts_with(beginning));
        found.expect("such a block").to_owned()
    };
    assert!(blocks("cedar").len() >= 5);
    let (own, groups) = (blocks("cedar").concat(), yaml("groups:"));
    let roles = yaml("- { role") + "- { role: night-shift, to: { group: platform } }\n";
    let Compiled { policies: set, .. } = compile(&[
        ("pipelines/churn-training.yaml", "name: churn-training\nsteps: [{ name: train }]\n"),
        ("paramd.yaml", &groups),
        ("policies/own.cedar", &own),
        ("policies/roles.yaml", &roles),
    ]);
    let trained = ask(5, RevealSealed, "churn-training/1/train/pw").in_groups(&["trainers"]);
    let by_role = "executor(trainers on churn-training/train)";
    check(&set, &trained, permitted(&[by_role]));
    check(&set, &trained.at("2026-03-01T12:00:00Z"), permitted(&[by_role, "trainers-by-day"]));
    check(&set, &ask(2001, Reveal, "churn-training/1/train/pw"), permitted(&["train-executor"]));
    let password = "churn-training/1/extract/env.DATABASE_URL<db_password";
    check(&set, &ask(2003, Reveal, password), permitted(&["url-only"]));
    check(&set, &ask(2003, Reveal, password).within("prod"), denied(&["db-password"]));
    check(&set, &ask(3000, Audit, ""), permitted(&["auditor"]));
    check(&set, &ask(1000, Fingerprints, "churn-training/1"), denied(&["no-fingerprints"]));
}

proptest! {
    #[test]
    fn any_run_id_is_decided_without_an_error(
        run_id in "[ -~]{1,250}",
        item in "env\\.[ -~]{1,40}",
        name in "[ -~]{1,512}",
    ) {
        let set = policies(
            r#"@id("mine") permit (principal, action, resource in Paramd::Pipeline::"train")
            unless { resource in Paramd::Parameter::"train/pw" };"#,
        );
        let pipeline = PipelineName::parse("train").unwrap();
        let principal = Principal { name, kind: crate::audit::PrincipalKind::Token };
        let run_id = run_id.as_str();
        let pw = [ParameterName::parse("pw").unwrap()];
        let item = |secrets| {
            Resource::Parameter { pipeline: &pipeline, run_id, step: "fit", item: &item, secrets }
        };
        let request =
            |action, resource| Request::new(&principal, action, resource, Timestamp::UNIX_EPOCH);
        let run = request(Resolve, Resource::Run { pipeline: &pipeline, run_id });
        prop_assert!(set.decide(&run).is_ok());
        prop_assert!(set.decide(&request(Reveal, item(&[]))).is_ok());
        let denied = set.decide(&request(Reveal, item(&pw)));
        prop_assert_eq!(denied.err(), Some(Denied { policy_ids: vec![], errors: false }));
    }
}
