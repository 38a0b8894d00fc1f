//! `paramd mask`: a filter.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::Duration;

use super::{Stage, TOKEN, stage};
use crate::support::command::{Paramd, paramd};
use crate::support::daemon::Launch;
use crate::support::wait_for;

async fn resolved() -> Stage {
    let stage = stage().await;
    paramd(["resolve", "shell", "--run-id", "a", "--extra", "false"]).at(&stage.daemon).ok();
    stage
}

fn of_step(stage: &Stage, step: &str) -> Paramd {
    paramd(["mask", "--run", "shell/a", "--step", step]).at(&stage.daemon)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steps_secrets_are_hidden_and_the_rest_passes_to_the_byte() {
    let stage = resolved().await;
    let encoded = hex::encode(TOKEN);
    let input = format!("a\r\n{TOKEN} b {encoded} no end");
    let ended = of_step(&stage, "first").input(input.as_bytes()).ok();
    assert_eq!(ended.out, "a\r\n[REDACTED] b [REDACTED] no end");
    assert_eq!(ended.err, "");
    // A step without secrets, and one that is skipped.
    assert_eq!(of_step(&stage, "last").input(b"text").ok().out, "text");
    let skipped = of_step(&stage, "extra").input(b"text").ok();
    assert_eq!(skipped.out, "text");
    skipped.says(&["extra is skipped", "params.extra"]);
    // Of a step and of the caller's own.
    let both = of_step(&stage, "first").arg("--secret").arg("env:MINE").env("MINE", "mine-mine");
    let both = both.input(format!("{TOKEN} mine-mine").as_bytes()).ok();
    assert_eq!(both.out, "[REDACTED] [REDACTED]");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_two_writes_is_hidden_and_a_prompt_appears_at_once() {
    let stage = resolved().await;
    let mut command = of_step(&stage, "first").into_command();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (begin, rest) = TOKEN.split_at(12);
    let mut input = child.stdin.take().unwrap();
    write!(input, "password? {begin}").unwrap();
    let mut prompt = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut prompt).unwrap();
    assert_eq!(&prompt, b"password? ");
    write!(input, "{rest} and {begin}").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("[REDACTED] and {begin}"));
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_all_instances_are_hidden_or_of_one() {
    let stage = stage().await;
    stage.daemon.stop();
    stage.config.write(
        "pipelines/grid.yaml",
        "name: grid\nparameters:\n  seeds: { type: array, items: { type: integer }, default: [7, 8] }\n  \
         token: { type: string, secret: true, from: { file: { path: token } } }\nsteps:\n  \
         - { name: train, matrix: { seed: params.seeds }, env: { T: \"{{ matrix.seed }}-{{ params.token }}-end\" } }\n",
    );
    let daemon = Launch::dev(&stage.config.path, stage.config.around()).start().await;
    paramd(["resolve", "grid", "--run-id", "a"]).at(&daemon).ok();
    let mask = || paramd(["mask", "--run", "grid/a", "--step", "train"]).at(&daemon);
    let input = format!("7-{TOKEN}-end 8-{TOKEN}-end");
    let whole = mask().input(input.as_bytes()).ok();
    assert_eq!(whole.out, "[REDACTED] [REDACTED]");
    let one = mask().arg("--instance").arg("1").input(input.as_bytes()).ok();
    assert_eq!(one.out, "7-[REDACTED]-end [REDACTED]");
    daemon.stop();
}

#[test]
fn secrets_come_from_files_and_variables_and_what_is_too_short_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines");
    std::fs::write(&lines, "first secret\n\nshort\nhunter2hunter2\r\n").unwrap();
    let json = folder.path().join("json");
    std::fs::write(&json, r#"{"a": ["first secret", {"b": "hunter2hunter2"}]}"#).unwrap();
    let text = b"<first secret> <first%20secret> <68756E7465723268756E74657232> short";
    let short = folder.path().join("short");
    std::fs::write(&short, r#"{"a": ["first secret", {"b": "hunter2hunter2"}], "pin": "1234"}"#)
        .unwrap();
    let warning = "warning: in part too short to be masked: the secret of `--secret` number 1";
    for (file, warning) in [(lines, warning), (short, warning), (json, "")] {
        let from = format!("file:{}", file.display());
        let ended = paramd(["mask", "--secret", &from]).input(text).ok();
        assert_eq!(ended.out, "<[REDACTED]> <[REDACTED]> <[REDACTED]> short");
        assert_eq!(ended.err.trim_end(), warning);
    }
    let ended = paramd(["mask", "--secret", "env:A", "--secret=env:B"])
        .env("A", "first secret")
        .env("B", "68756E7465723268756E74657232")
        .input(text)
        .ok();
    assert_eq!(ended.out, "<[REDACTED]> <[REDACTED]> <[REDACTED]> short");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_secrets_nothing_passes() {
    let stage = resolved().await;
    let large = stage.config.around().join("large");
    std::fs::write(&large, vec![b'x'; (1 << 20) + 1]).unwrap();
    let large = format!("file:{}", large.display());
    for (words, status) in [
        (&["mask"][..], 2),
        (&["mask", "--run", "shell/a"], 2),
        (&["mask", "--step", "first", "--secret", "env:PATH"], 2),
        (&["mask", "--secret", "hunter2hunter2"], 2),
        (&["mask", "--secret", "-"], 2),
        (&["mask", "--secret", "env:NOT_SET"], 2),
        (&["mask", "--secret", "file:/nowhere/at-all"], 2),
        (&["mask", "--secret", &large], 2),
        (&["mask", "--secret", "env:PATH", "--output", "json"], 2),
        (&["mask", "--run", "shell/none", "--step", "first"], 6),
        (&["mask", "--run", "shell/a", "--step", "none"], 6),
        (&["mask", "--run", "shell/a", "--step", "first", "--endpoint", "unix:/none"], 3),
    ] {
        let ended = paramd(words.iter().copied()).at(&stage.daemon).input(b"text").ended();
        assert_eq!((ended.status, ended.out.as_str()), (Some(status), ""), "{words:?} {ended:#?}");
        assert_eq!(ended.err.matches("error: ").count(), 1, "{ended:#?}");
        ended.hides(&["hunter2", "/nowhere"]);
    }
    paramd(["complete", "shell/a", "failed"]).at(&stage.daemon).ok();
    let ended = of_step(&stage, "first").input(b"text").ended();
    assert_eq!((ended.status, ended.out.as_str()), (Some(7), ""), "{ended:#?}");
    stage.daemon.stop();
}

#[test]
fn it_ends_when_nobody_reads_it() {
    let mut command = paramd(["mask", "--secret", "env:PATH"]).into_command();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let status = wait_for("it ends", Duration::from_secs(30), || {
        let _ = input.write_all(b"text\n");
        child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
}
