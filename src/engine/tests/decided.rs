//! Every decision is recorded with the ids of the policies that made it, whatever the
//! rpc is.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::engine::{
    Begin, ContextAnswer, ExplainRequest, MintRequest, PageRequest, RunSelector, RunsRequest,
    WatchRequest,
};
use crate::store::EventQuery;
use crate::token::Holder;

/// Each rpc with the action that it is decided on.
const RPCS: [(&str, &str); 17] = [
    ("ResolveRun", "resolve"),
    ("ResolveRun of another's", "join"),
    ("ExplainRun", "explain"),
    ("GetRun", "read"),
    ("ListRuns", "read"),
    ("ListFailures", "read"),
    ("DiffRuns", "read"),
    ("GetContext", "read"),
    ("RevealSecrets", "reveal"),
    ("MintStepToken", "delegate"),
    ("ListPipelines", "read"),
    ("GetPipeline", "read"),
    ("ListEvents", "audit"),
    ("WatchEvents", "audit"),
    ("VerifyLog", "audit"),
    ("ExtendRun", "complete"),
    ("CompleteRun", "complete"),
];

/// Everybody may do all but see fingerprints, each action by a policy of its own, and
/// user 2 is forbidden each by another.
fn policies() -> String {
    let actions: BTreeSet<&str> = RPCS.iter().map(|(_, action)| *action).collect();
    let both = |action: &&str| {
        let scope = format!("action == Paramd::Action::\"{action}\", resource);");
        format!(
            "@id(\"may-{action}\") permit (principal, {scope}\n\
             @id(\"no-{action}\") forbid (principal == Paramd::Principal::\"uid:2\", {scope}\n"
        )
    };
    actions.iter().map(both).collect()
}

/// Calls one as a user; whether it went well.
async fn call(bench: &Bench, uid: u32, rpc: &str) -> bool {
    let (engine, by) = (&bench.engine, caller(uid));
    let named = |run_id: &str| RunSelector { run_id: run_id.into(), ..run("r") };
    match rpc {
        "ResolveRun" => {
            let mut asked = request(&[]);
            asked.run = named(&format!("of-{uid}"));
            engine.resolve(&by, asked).await.is_ok()
        }
        "ResolveRun of another's" => engine.resolve(&by, request(&[])).await.is_ok(),
        "ExplainRun" => {
            let asked = ExplainRequest {
                pipeline: "p".into(),
                environment: "dev".into(),
                preset: String::new(),
                overrides: crate::engine::Overrides::default(),
                logical_date: None,
                problems: Vec::new(),
            };
            engine.explain(&by, asked).await.is_ok()
        }
        "GetRun" => engine.get_run(&by, run("r")).await.is_ok(),
        "ListRuns" => engine.list_runs(&by, RunsRequest::default(), |_| 0).await.is_ok(),
        "ListFailures" => engine.list_failures(&by, run("r")).await.is_ok(),
        "DiffRuns" => engine.diff_runs(&by, run("r"), run("other")).await.is_ok(),
        "GetContext" => {
            matches!(bench.poll(uid, "main", None, "").await, Ok(ContextAnswer::Whole(_)))
        }
        "RevealSecrets" => bench.reveal(uid, "main", None, &["token"]).await.is_ok(),
        "MintStepToken" => {
            let asked = MintRequest {
                run: run("r"),
                step: "main".into(),
                holder: Some(Holder::Key([1; 32])),
                lifetime: Duration::from_secs(60),
                problems: Vec::new(),
            };
            engine.mint_step_token(&by, asked).await.is_ok()
        }
        "ListPipelines" => {
            let page = PageRequest { size: 0, token: String::new() };
            engine.list_pipelines(&by, page).await.is_ok()
        }
        "GetPipeline" => engine.get_pipeline(&by, "p".into()).await.is_ok(),
        "ListEvents" => engine.list_events(&by, page(0), |_| 0).await.is_ok(),
        "WatchEvents" => {
            let asked = WatchRequest {
                query: EventQuery::default(),
                begin: Begin::Next,
                problems: Vec::new(),
            };
            engine.watch_events(by, asked).await.is_ok()
        }
        "VerifyLog" => {
            let budget = Duration::from_secs(1);
            engine.verify_log(&by, String::new(), String::new(), budget).await.is_ok()
        }
        "ExtendRun" => engine.extend(&by, run("r"), Ok(Duration::from_mins(30))).await.is_ok(),
        "CompleteRun" => engine.complete(&by, run("r"), Ok(RunEnd::Failed)).await.is_ok(),
        _ => panic!("{rpc} isn't called"),
    }
}

/// The events of a user that a call adds.
async fn recorded(bench: &Bench, uid: u32, rpc: &str) -> (bool, Vec<crate::audit::EventDraft>) {
    let name = format!("uid:{uid}");
    bench.settle().await;
    let before = bench.events().len();
    let went_well = call(bench, uid, rpc).await;
    bench.settle().await;
    let drafts = bench.events().into_iter().skip(before).map(|event| event.draft);
    (went_well, drafts.filter(|draft| draft.principal.name == name).collect())
}

#[tokio::test]
async fn every_decision_is_recorded_with_the_policies_that_made_it() {
    let bench = Bench::under(&policies(), good());
    for run_id in ["r", "other"] {
        let mut asked = request(&[]);
        asked.run = run(run_id);
        bench.resolve(1, asked).await.unwrap();
    }
    for (rpc, action) in RPCS {
        for (uid, id) in [(2, format!("no-{action}")), (3, format!("may-{action}"))] {
            let (went_well, drafts) = recorded(&bench, uid, rpc).await;
            // A list has what the caller may see, which may be nothing.
            let is_list = ["ListRuns", "ListPipelines"].contains(&rpc);
            assert_eq!(went_well, uid == 3 || is_list, "{rpc} by {uid}");
            assert!(!drafts.is_empty(), "{rpc} by {uid}");
            for draft in drafts {
                let denied = uid == 2 && !is_list;
                let outcome = if denied { Outcome::Denied } else { Outcome::Succeeded };
                assert_eq!((draft.outcome, draft.policy_ids), (outcome, vec![id.clone()]), "{rpc}");
            }
        }
    }
}

/// A new rpc has to have its row.
#[test]
fn all_rpcs_are_called() {
    let contract = [
        include_str!("../../../proto/paramd/v1/audit.proto"),
        include_str!("../../../proto/paramd/v1/context.proto"),
        include_str!("../../../proto/paramd/v1/pipeline.proto"),
        include_str!("../../../proto/paramd/v1/run.proto"),
    ];
    let declared = contract.iter().flat_map(|file| file.split("\n  rpc ").skip(1));
    let declared: BTreeSet<_> = declared.filter_map(|rpc| Some(rpc.split_once('(')?.0)).collect();
    let called: BTreeSet<_> = RPCS.iter().map(|(rpc, _)| rpc.split(' ').next().unwrap()).collect();
    assert_eq!(called, declared);
}
