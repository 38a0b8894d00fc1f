//! `paramd exec`: one step of a run, in the place of its command.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use paramd::proto::v1::{GetRunRequest, RunState};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{PIPELINE, SOURCES, Stage, TOKEN, stage};
use crate::support::client::run as run_name;
use crate::support::command::{Ended, Paramd, paramd};
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::{python, root, wait_for, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

async fn resolved(words: &[&str]) -> Stage {
    let stage = stage().await;
    let mut resolve = paramd(["resolve", "shell", "--run-id", "a"]).at(&stage.daemon);
    for word in words {
        resolve = resolve.arg(word);
    }
    resolve.ok();
    stage
}

fn exec(stage: &Stage, step: &str) -> Paramd {
    paramd(["exec", "--run", "shell/a", "--step", step])
        .at(&stage.daemon)
        .inside(stage.config.around())
}

/// The first step with a script in the place of its own.
fn script(stage: &Stage, text: &str) -> Paramd {
    exec(stage, "first").arg("--").arg("sh").arg("-c").arg(text)
}

fn piped(command: Paramd) -> Child {
    let mut command = command.into_command();
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Reads until the text has come.
fn read_until(child: &mut Child, text: &str) {
    let out = child.stdout.as_mut().unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let mut byte = [0];
        assert_eq!(out.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&read));
        read.extend(byte);
    }
}

/// Waits for its end, not for ever.
#[track_caller]
fn ended(child: Child) -> Ended {
    let pid = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    let waiting = std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    let output = receiver.recv_timeout(LIMIT).unwrap_or_else(|_| {
        let _ = kill_process(pid, Signal::KILL);
        panic!("it didn't end")
    });
    waiting.join().unwrap().unwrap();
    Ended::from(output)
}

#[track_caller]
fn folder_is_gone(ended: &Ended) {
    let text = ended.all();
    let folder = text.lines().find_map(|line| line.split_once("folder: ")).unwrap().1.to_owned();
    assert!(!std::path::Path::new(folder.trim()).exists(), "{folder} is left");
}

async fn state(stage: &Stage) -> RunState {
    let request = GetRunRequest { run: Some(run_name("shell", "a")) };
    let answer = stage.daemon.client().await.runs.get_run(request).await.unwrap().into_inner();
    answer.run.unwrap().state()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_handed_what_run_hands_it_as_often_as_it_is_asked_for() {
    let stage = resolved(&["--epochs", "20"]).await;
    for _ in 0..2 {
        let ended = exec(&stage, "first").env("OWN", "inherited").ok();
        let said = ["arguments: 20 --layer 64", "mode: 440 700", "file: same", "own: inherited"];
        ended.says(&said).says(&["header: [REDACTED]", "split: [REDACTED]", "left: 1"]);
        ended.hides(&[TOKEN]);
        assert_eq!(ended.err, "", "nothing of our own stands between");
        folder_is_gone(&ended);
    }
    assert_eq!(state(&stage).await, RunState::Open, "ending the run is the orchestrator's");
    let log = paramd(["audit", "list", "--action", "reveal", "--output", "json"]).at(&stage.daemon);
    assert_eq!(log.ok().json()["events"].as_array().map(Vec::len), Some(2));
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_takes_the_place_of_run_and_its_status_is_ours() {
    let stage = resolved(&["--fail", "true"]).await;
    let text = "printf %s \"$HEADER\" | base64; cat \"$PARAMD_FILES/token.txt\"; exit 9";
    let own = script(&stage, text).ended();
    assert_eq!(own.status, Some(9), "{own:#?}");
    own.says(&["[REDACTED]"]).hides(&[TOKEN, "arguments:", "dG9rLTBkN2M1YmUx"]);
    assert_eq!(own.err, "");
    assert_eq!(exec(&stage, "last").ended().status, Some(37));
    assert_eq!(script(&stage, "kill -9 $$").ended().status, Some(137));
    let literal = exec(&stage, "first").arg("--").arg("echo").arg("{{ params.epochs }}").arg("--x");
    assert_eq!(literal.ok().out, "{{ params.epochs }} --x\n");
    let absent = exec(&stage, "first").arg("--").arg("no-such-program").ended();
    assert_eq!(absent.status, Some(127), "{absent:#?}");
    absent.says(&["error: the command of first can't be started: there is no such program"]);
    let folder = exec(&stage, "first").arg("--").arg("./").ended();
    assert_eq!(folder.status, Some(126), "{folder:#?}");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_step_runs_nothing_and_is_no_failure() {
    let stage = resolved(&["--extra", "false"]).await;
    let ended = exec(&stage, "extra").arg("--").arg("echo").arg("it ran").ok();
    assert_eq!(ended.out, "");
    ended.says(&["extra skipped", "params.extra", "false"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_reads_our_standard_input_and_a_prompt_appears_at_once() {
    let stage = resolved(&[]).await;
    let text = "printf 'name? '; read name; printf '%s\\n' \"<$name>\"; cat";
    let mut child = piped(script(&stage, text));
    read_until(&mut child, "name? ");
    child.stdin.as_mut().unwrap().write_all(b"ada\nthe rest\xff").unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"<ada>\nthe rest\xff");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_sigterm_no_file_is_left() {
    let stage = resolved(&["--slow", "true"]).await;
    let child = piped(exec(&stage, "first"));
    let running = stage.config.around().join("first-runs");
    wait_for("the step runs", LIMIT, || running.exists().then_some(()));
    signal(&child, Signal::TERM);
    let ended = ended(child);
    assert_eq!(ended.status, Some(143), "{ended:#?}");
    ended.says(&["first: told to stop"]).hides(&[TOKEN]);
    folder_is_gone(&ended);
    assert_eq!(state(&stage).await, RunState::Open);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_the_whole_group_and_the_command_decides_what_they_mean() {
    let stage = resolved(&[]).await;
    // A grandchild that the shell doesn't pass anything on to.
    let text = "trap : INT HUP USR1 USR2 TERM; sh -c 'trap \"echo below; exit\" TERM; echo ready; \
                while :; do sleep 0.05; done' & wait; wait; wait; wait; wait; echo above; exit 5";
    let mut child = piped(script(&stage, text));
    read_until(&mut child, "ready");
    signal(&child, Signal::TERM);
    let whole = ended(child);
    assert_eq!(whole.status, Some(5), "the status is the command's: {whole:#?}");
    whole.says(&["below", "above"]);
    for (one, name) in [
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ] {
        let text = format!(
            "trap 'echo got {name}; exit 0' {name}; echo ready; while :; do sleep 0.05; done"
        );
        let mut child = piped(script(&stage, &text));
        read_until(&mut child, "ready");
        signal(&child, one);
        let ended = ended(child);
        assert_eq!(ended.status, Some(0), "{ended:#?}");
        ended.says(&[&format!("got {name}")]);
    }
    let mut child = piped(script(&stage, "echo ready; exec sleep 60"));
    read_until(&mut child, "ready");
    signal(&child, Signal::HUP);
    assert_eq!(ended(child).status, Some(129));
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ignores_three_requests_to_end_is_killed_but_not_for_other_signals() {
    let stage = resolved(&[]).await;
    let text = "trap 'echo again' HUP; trap '' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = piped(script(&stage, text));
    read_until(&mut child, "ready");
    for _ in 0..4 {
        signal(&child, Signal::HUP);
        read_until(&mut child, "again");
    }
    // Signals of one kind that come together are one.
    let killed = wait_for("it is killed", LIMIT, || {
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        child.try_wait().unwrap()
    });
    assert_eq!(killed.code(), Some(137));
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_was_ignored_stays_ignored_and_children_are_still_waited_for() {
    let stage = resolved(&[]).await;
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP CHLD; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_paramd")]);
    command.args(["exec", "--run", "shell/a", "--step", "first", "--", "sh", "-c"]);
    command.arg("grep SigIgn /proc/self/status; exit 4");
    command.env("PARAMD_ENDPOINT", stage.daemon.endpoint());
    let ended = Ended::from(command.output().unwrap());
    assert_eq!(ended.status, Some(4), "{ended:#?}");
    let mask = ended.out.trim().rsplit_once('\t').unwrap().1;
    // A handler of ours would have made it the default for the command.
    assert_eq!(u64::from_str_radix(mask, 16).unwrap() & 1, 1, "SIGHUP: {ended:#?}");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_the_daemon_is_silent_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("silent.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let endpoint = format!("unix:{}", socket.display());
    let child = piped(
        paramd(["exec", "--run", "shell/a", "--step", "first", "--", "echo", "it ran"])
            .env("PARAMD_ENDPOINT", &endpoint),
    );
    let (mut silent, _) = listener.accept().unwrap();
    let mut begun = [0; 16];
    silent.read_exact(&mut begun).unwrap();
    signal(&child, Signal::TERM);
    let ended = ended(child);
    assert_eq!(ended.status, Some(143), "{ended:#?}");
    assert_eq!(ended.all(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_learns_that_nobody_reads_its_output() {
    let stage = resolved(&[]).await;
    let mut child = piped(exec(&stage, "first").arg("--").arg("yes"));
    read_until(&mut child, "y\ny\n");
    drop(child.stdout.take());
    let status = wait_for("it ends", LIMIT, || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(141), "as by SIGPIPE without us");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_background_child_keeps_nobody_waiting_and_no_byte_back() {
    let stage = resolved(&[]).await;
    // What could begin the secret is held back, but not for ever.
    let begun = &TOKEN[..9];
    let begin = Instant::now();
    let ended = script(&stage, &format!("sleep 60 & printf 'pid %s\\n{begun}' $!")).ok();
    assert!(begin.elapsed() < LIMIT, "it waited");
    assert!(ended.out.ends_with(begun), "{ended:#?}");
    let pid = ended.out.lines().next().unwrap().strip_prefix("pid ").unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    assert!(test_kill_process(pid).is_ok(), "what was left in the background stays");
    kill_process(pid, Signal::KILL).unwrap();
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_loses_nothing() {
    let stage = resolved(&[]).await;
    // More than the reader's pipe holds, and surely less than all on the way: the
    // command ends before its reader begins.
    let sizes = "head -c 100000 /dev/zero; touch written; echo last";
    let mut child = piped(script(&stage, sizes));
    let written = stage.config.around().join("written");
    wait_for("all is written", LIMIT, || written.exists().then_some(()));
    // Longer than what others left in the background is read.
    std::thread::sleep(Duration::from_secs(3));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    let ended = ended(child);
    assert_eq!(ended.status, Some(0), "{}", ended.err);
    assert_eq!(ended.out.len(), 100_005);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_with_a_matrix_needs_an_instance_and_one_without_run_a_command() {
    let stage = stage().await;
    stage.daemon.stop();
    stage.config.write(
        "pipelines/grid.yaml",
        "name: grid\nparameters: { seeds: { type: array, items: { type: integer }, default: [7, 8] }, \
         none: { type: array, items: { type: integer }, default: [] } }\nsteps:\n  \
         - { name: train, matrix: { seed: params.seeds }, run: [echo, \"seed {{ matrix.seed }}\"] }\n  \
         - { name: empty, matrix: { seed: params.none }, run: [echo, \"seed {{ matrix.seed }}\"] }\n  \
         - { name: theirs }\n",
    );
    let daemon = Launch::dev(&stage.config.path, stage.config.around()).start().await;
    paramd(["resolve", "grid", "--run-id", "a"]).at(&daemon).ok();
    let step = |name| paramd(["exec", "--run", "grid/a", "--step", name]).at(&daemon);
    let refused = step("train").ended();
    assert_eq!(refused.status, Some(2), "{refused:#?}");
    refused.says(&["a matrix of 2", "--instance N"]).hides(&["seed 7"]);
    assert_eq!(step("train").arg("--instance").arg("1").ok().out, "seed 8\n");
    assert_eq!(step("train").arg("--instance").arg("2").ended().status, Some(5));
    step("empty").ok().says(&["empty skipped"]);
    let refused = step("theirs").ended();
    assert_eq!(refused.status, Some(5), "{refused:#?}");
    refused.says(&["`theirs`", "COMMAND"]);
    step("theirs").arg("--").arg("echo").arg("mine").ok().says(&["mine"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_has_ended_is_told_in_one_error() {
    let stage = resolved(&[]).await;
    let endpoint = stage.daemon.endpoint();
    let at = |run: &str, step: &str| {
        paramd(["exec", "--run", run, "--step", step, "--", "echo", "it ran"])
            .env("PARAMD_ENDPOINT", &endpoint)
    };
    for (run, step, status, reason) in [
        ("shell/none", "first", 6, "RUN_NOT_FOUND"),
        ("nowhere/a", "first", 6, "RUN_NOT_FOUND"),
        ("shell/a", "nowhere", 6, "STEP_NOT_FOUND"),
    ] {
        let ended = at(run, step).ended();
        assert_eq!(ended.status, Some(status), "{ended:#?}");
        assert!(ended.out.is_empty() && ended.err.starts_with("error: "), "{ended:#?}");
        assert_eq!(ended.err.matches("error: ").count(), 1, "{ended:#?}");
        ended.says(&[reason]);
    }
    paramd(["resolve", "shell", "--run-id", "b"]).at(&stage.daemon).ok();
    paramd(["complete", "shell/b", "succeeded"]).at(&stage.daemon).ok();
    let ended = at("shell/b", "first").ended();
    assert_eq!(ended.status, Some(7), "{ended:#?}");
    ended.says(&["RUN_ENDED"]).hides(&["it ran"]);
    stage.daemon.stop();
    let gone = at("shell/b", "first").ended();
    assert_eq!(gone.status, Some(3), "{gone:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_run_runs_nothing() {
    let config = Config::new("", "brief", "name: brief\nlifetime: 2s\nparameters: {}\n");
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    paramd(["resolve", "brief", "--run-id", "a"]).at(&daemon).ok();
    let expired = wait_until("the run expires", LIMIT, async || {
        let words = ["exec", "--run", "brief/a", "--step", "main", "--", "echo", "it ran"];
        let ended = paramd(words).at(&daemon).ended();
        (ended.status != Some(0)).then_some(ended)
    });
    let expired = expired.await;
    assert_eq!(expired.status, Some(7), "{expired:#?}");
    expired.says(&["RUN_ENDED"]).hides(&["it ran"]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_reveal_runs_nothing() {
    let config = Config::new(SOURCES, "shell", PIPELINE);
    config.write_secret("files/token", TOKEN);
    let policy = "permit (principal, action in [Paramd::Action::\"resolve\", \
                  Paramd::Action::\"read\"], resource);\n";
    config.write("policies/all.cedar", policy);
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    paramd(["resolve", "shell", "--run-id", "a"]).at(&daemon).ok();
    let of = |step| {
        paramd(["exec", "--run", "shell/a", "--step", step, "--", "echo", "it ran"]).at(&daemon)
    };
    let refused = of("first").ended();
    assert_eq!(refused.status, Some(4), "{refused:#?}");
    refused.says(&["ACCESS_DENIED"]).hides(&["it ran", TOKEN]);
    assert_eq!(refused.err.matches("error: ").count(), 1, "{refused:#?}");
    // A step without secrets reveals none.
    assert_eq!(of("extra").ok().out, "it ran\n");
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_command_can_be_typed_to_and_interrupted() {
    let stage = resolved(&[]).await;
    let run = |typed: &str, text: &str| {
        let mut command = Command::new(python());
        command.arg(root().join("tests/python/typed.py")).arg(typed);
        command.arg(env!("CARGO_BIN_EXE_paramd")).args(["exec", "--run", "shell/a"]);
        command.args(["--step", "first", "--", "sh", "-c", text]);
        let command = command.env("PARAMD_ENDPOINT", stage.daemon.endpoint());
        Ended::from(command.output().unwrap())
    };
    let typed = run("ada\n", "printf 'ready? '; read name; echo \"hello $name\"");
    assert_eq!(typed.status, Some(0), "{typed:#?}");
    typed.says(&["hello ada"]);
    // Ctrl-C, once for the command and not once more by us: a second one has
    // time to come.
    let text = "trap 'echo stopped; n=x$n' INT; printf 'ready? '; \
                read a; sleep 1; read b; echo \"times: $n\"; exit 6";
    let interrupted = run("\u{3}\n\n", text);
    assert_eq!(interrupted.status, Some(6), "{interrupted:#?}");
    interrupted.says(&["stopped", "times: x\r"]);
    let killed = run("\u{3}", "printf 'ready? '; exec sleep 60");
    assert_eq!(killed.status, Some(130), "{killed:#?}");
    stage.daemon.stop();
}
