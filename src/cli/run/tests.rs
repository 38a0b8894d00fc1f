//! The executor with real child processes; what comes from the daemon is given.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::plan::{Filling, Job, Step, Work};
use super::signals::Stop;
use super::*;
use crate::cli::client::Endpoint;

/// A run whose jobs have no secrets, so that no daemon is asked.
fn shared(variables: &[(&str, &str)]) -> Arc<Shared> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let path = ("PATH".into(), "/usr/bin:/bin".into());
    let environment = Environment::new(variables.chain([path]));
    Arc::new(Shared {
        daemon: Endpoint::choose(Some("unix:/nowhere"), &environment).unwrap().lazy(),
        run: v1::RunName::default(),
        place: Place::Beside,
        environment,
        output: Output::kept(),
        groups: Groups::default(),
        told_short: Mutex::default(),
    })
}

fn job(step: &str, program: &str, arguments: &[&str]) -> Job {
    Job {
        step: step.into(),
        instance: None,
        title: step.into(),
        items: String::new(),
        program: program.into(),
        arguments: arguments.iter().map(|one| (*one).into()).collect(),
        env: [].into(),
        files: [].into(),
        secrets: Vec::new(),
    }
}

fn shell(name: &str, needs: &[&str], script: &str) -> Step {
    step(name, needs, job(name, "sh", &["-c", script]))
}

fn step(name: &str, needs: &[&str], job: Job) -> Step {
    let needs = needs.iter().map(|need| (*need).into()).collect();
    Step { name: name.into(), needs, work: Work::Run(vec![job]) }
}

async fn execute(shared: &Arc<Shared>, steps: Vec<Step>) -> Ending {
    let (_sender, mut signals) = Signals::sent();
    schedule::execute(shared, steps, &mut signals).await
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_run_in_the_order_of_their_needs_and_a_skipped_one_counts_as_done() {
    let shared = shared(&[]);
    let skipped =
        Step { name: "b".into(), needs: vec!["a".into()], work: Work::Skip("why not".into()) };
    let steps = vec![shell("a", &[], "echo one"), skipped, shell("c", &["b"], "echo two")];
    assert!(matches!(execute(&shared, steps).await, Ending::Succeeded));
    let text = shared.output.text();
    let places: Vec<_> =
        ["a started", "a | one", "a succeeded", "b skipped: why not", "c started", "c | two"]
            .iter()
            .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} isn't in\n{text}")))
            .collect();
    assert!(places.is_sorted(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_gives_its_status_and_stops_what_runs() {
    let shared = shared(&[]);
    let steps = vec![
        shell("long", &[], "exec sleep 60"),
        shell("bad", &[], "exit 3"),
        shell("after", &["bad"], "echo never"),
    ];
    let begun = Instant::now();
    assert!(matches!(execute(&shared, steps).await, Ending::Failed(Exit::Step(3))));
    assert!(begun.elapsed() < Duration::from_secs(20));
    let text = shared.output.text();
    assert!(text.contains("bad failed with exit status 3"), "{text}");
    assert!(text.contains("after not started") && !text.contains("never"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_steps_run_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared(&[("AT", folder.path().to_str().unwrap())]);
    // Each ends only once the other has begun.
    let meet = |own: &str, other: &str| {
        format!("touch \"$AT/{own}\"; until [ -e \"$AT/{other}\" ]; do sleep 0.01; done")
    };
    let steps = vec![shell("a", &[], &meet("a", "b")), shell("b", &[], &meet("b", "a"))];
    let ending = tokio::time::timeout(Duration::from_secs(60), execute(&shared, steps)).await;
    assert!(matches!(ending, Ok(Ending::Succeeded)), "{}", shared.output.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_a_signal_ended_is_128_and_the_signal() {
    let shared = shared(&[]);
    let ending = execute(&shared, vec![shell("a", &[], "kill -KILL $$")]).await;
    assert!(matches!(ending, Ending::Failed(Exit::Step(137))), "{ending:?}");
    let text = shared.output.text();
    assert!(text.contains("a was ended by signal 9"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_127() {
    let shared = shared(&[]);
    let steps = vec![step("a", &[], job("a", "/nowhere/program", &[]))];
    assert!(matches!(execute(&shared, steps).await, Ending::Failed(Exit::Step(127))));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_in_a_private_folder_that_is_gone_afterwards() {
    let base = tempfile::tempdir().unwrap();
    let shared = shared(&[("TMPDIR", base.path().to_str().unwrap())]);
    let script =
        "stat -c %a \"$PARAMD_FILES\" \"$PARAMD_FILES/key\"; cat \"$PARAMD_FILES/key\"; exit 4";
    let mut job = job("a", "sh", &["-c", script]);
    job.files = [("key".to_owned(), (Filling::Public(b"content\n".to_vec()), 0o400))].into();
    assert!(matches!(execute(&shared, vec![step("a", &[], job)]).await, Ending::Failed(_)));
    let text = shared.output.text();
    assert!(text.contains("700\n400\ncontent\n"), "{text}");
    assert_eq!(base.path().read_dir().unwrap().count(), 0, "also after a failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn children_get_our_environment_without_our_own_variables() {
    let shared = shared(&[("PARAMD_ENDPOINT", "unix:x"), ("COLOUR", "blue"), ("SIZE", "1")]);
    let mut job = job("a", "sh", &["-c", "echo \"<$PARAMD_ENDPOINT> $COLOUR $SIZE\""]);
    job.env = [("SIZE".to_owned(), Filling::Public(b"2".to_vec()))].into();
    assert!(matches!(execute(&shared, vec![step("a", &[], job)]).await, Ending::Succeeded));
    let text = shared.output.text();
    assert!(text.contains("<> blue 2\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_children_and_cancels_the_run() {
    let shared = shared(&[]);
    let (sender, mut signals) = Signals::sent();
    let script = "trap 'echo got it; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let steps = vec![shell("a", &[], script), shell("b", &["a"], "echo never")];
    let watched = Arc::clone(&shared);
    tokio::spawn(async move {
        while !watched.output.text().contains("ready") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sender.send(Stop(Signal::TERM)).unwrap();
        // Kept, so that the stream of signals doesn't end.
        std::future::pending::<()>().await;
    });
    let ending = schedule::execute(&shared, steps, &mut signals).await;
    let Ending::Cancelled(stop) = ending else { panic!("{ending:?}") };
    assert_eq!(stop.exit().code(), 143);
    let text = shared.output.text();
    assert!(text.contains("got it") && text.contains("b not started"), "{text}");
    assert!(!text.contains("never"), "{text}");
}

#[test]
fn an_ended_run_is_refused_with_the_way_out() {
    let open = v1::Run { state: RunState::Open.into(), ..v1::Run::default() };
    assert!(refuse_ended(&open).is_ok());
    for state in [RunState::Completed, RunState::Expired, RunState::Unspecified] {
        let run = v1::Run { state: state.into(), ..v1::Run::default() };
        let error = refuse_ended(&run).unwrap_err();
        assert_eq!(error.exit, Exit::Conflict);
        assert!(error.to_string().contains("another --run-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_no_daemon_took_is_told_with_the_way_to_record_it() {
    let shared = shared(&[]);
    let error = finish(&shared, Ending::Succeeded).await.unwrap_err();
    assert!(error.to_string().contains("`paramd complete RUN succeeded` ends it"), "{error}");
    let exit = finish(&shared, Ending::Failed(Exit::Step(3))).await.unwrap();
    assert_eq!(exit, Exit::Step(3));
    let text = shared.output.text();
    assert!(text.contains("`paramd complete RUN failed` ends it"), "{text}");
    let other = CliError::new(Exit::Conflict, "ended");
    assert_eq!(not_recorded(other.clone(), "a/b", "failed"), other);
}
