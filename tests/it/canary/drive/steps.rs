//! The commands that run steps, whose output is masked, and those that mask.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::Drive;
use super::commands::Stage;
use crate::canary::pipelines::overrides_of_leaking;
use crate::canary::secret::LARGE;
use crate::support::{python, root};

/// What a step of the pipeline does: it prints its secrets, as they are and in
/// each form that masking promises to hide.
const LEAK: &str = r#"import base64, json, os, sys, urllib.parse
out = sys.stdout.buffer
put = lambda data: out.write(data + b"\n")
put(os.environb.get(b"ALL", b""))
put(os.environb.get(b"ESCAPED", b""))
folder = os.environ["PARAMD_FILES"]
for name in sorted(os.listdir(folder)):
    data = open(os.path.join(folder, name), "rb").read()
    # What is shorter is not hidden, and says so.
    if len(data) < 8:
        continue
    put(data)
    if len(data) > 300:
        continue
    for before in range(3):
        put(base64.b64encode(b"." * before + data + b".."))
        put(base64.urlsafe_b64encode(b"." * before + data + b".."))
    put(data.hex().encode())
    put(data.hex().upper().encode())
    put(urllib.parse.quote(data, safe="").encode())
    put(urllib.parse.quote(data).encode())
    put(urllib.parse.quote_plus(data).encode())
    try:
        put(json.dumps({"key": data.decode()}).encode())
        put(json.dumps({"key": data.decode()}, ensure_ascii=False).encode())
    except UnicodeDecodeError:
        pass
out.flush()
"#;

/// Writes what a step does.
pub(super) fn write(folder: &Path) {
    std::fs::write(folder.join("leak.py"), LEAK).unwrap();
}

/// A command that takes its time, and what it writes.
pub(super) struct Slow {
    words: [&'static str; 5],
    child: Child,
    out: File,
    err: File,
}

/// Begins what makes many masks, or large ones: meanwhile others go on.
pub(super) fn begin(stage: &Stage<'_>) -> Vec<Slow> {
    let many = ["exec", "--run", "canary/b", "--step", "go-vault"];
    let large = ["exec", "--run", "canary/c", "--step", "large-file"];
    let begin = |words: [&'static str; 5]| {
        let [out, err] = [0, 1].map(|_| tempfile::tempfile().unwrap());
        let mut command = stage.command(&words, &[]);
        command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
        Slow { words, child: command.spawn().unwrap(), out, err }
    };
    [many, large].map(begin).into()
}

/// Waits for them.
pub(super) fn end(drive: &mut Drive<'_>, slow: Vec<Slow>) {
    for Slow { words, mut child, out, err } in slow {
        let status = child.wait().unwrap();
        let [stdout, stderr] = [out, err].map(|mut file| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        });
        drive.ended(&words, Output { status, stdout: stdout.clone(), stderr }, true);
        redacts(&stdout);
    }
}

#[track_caller]
fn redacts(output: &[u8]) {
    let mark = paramd::mask::REPLACEMENT;
    assert!(output.windows(mark.len()).any(|window| window == mark), "it printed secrets");
}

/// A step that prints its secrets, in every way to run one, and text with secrets.
pub(super) fn all(drive: &mut Drive<'_>, stage: &Stage<'_>) {
    let secrets: Vec<_> =
        overrides_of_leaking().map(|index| stage.secrets[index].clone()).collect();
    drive.call(stage, &["run", "leaking", "--run-id", "f"], &secrets, true);
    drive.call(stage, &["run", "canary", "--help"], &[], true);
    drive.call(stage, &["run", "broken-env", "--run-id", "g"], &[], false);
    on_terminal(drive, stage, &secrets);
    let exec = ["exec", "--run", "leaking/f2", "--step", "go"];
    drive.call(stage, &["resolve", "leaking", "--run-id", "f2"], &secrets, true);
    drive.call(stage, &exec, &[], true);
    // Another program in its place: in pieces on one stream, in one on the other.
    let script = "printf '%s\\n' \"$ESCAPED\" \"$ALL\" >&2; cd \"$PARAMD_FILES\"; \
                  for f in *; do test $(wc -c < $f) -lt 8 || dd if=$f bs=7 status=none; done";
    let other = ["--", "sh", "-c", script].map(str::to_owned);
    drive.call(stage, &exec, &other, true);
    for words in [
        &["exec", "--run", "canary/none", "--step", "go-env"][..],
        &["exec", "--run", "leaking/f2", "--step", "none"],
        &["mask"],
    ] {
        drive.call(stage, words, &[], false);
    }
    masks(drive, stage);
}

fn on_terminal(drive: &mut Drive<'_>, stage: &Stage<'_>, secrets: &[String]) {
    let shown = Command::new(python())
        .arg(root().join("tests/python/terminal.py"))
        .args(["80", env!("CARGO_BIN_EXE_paramd"), "run", "leaking", "--run-id", "g"])
        .args(secrets)
        .env_clear()
        .env("PARAMD_ENDPOINT", stage.daemon.endpoint())
        .env("TMPDIR", stage.folder.join("tmp"))
        .env("TERM", "xterm-256color")
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(stage.folder)
        .output()
        .unwrap();
    assert!(shown.status.success(), "a run on a terminal");
    redacts(&shown.stdout);
    drive.sinks.add("progress on a terminal", shown.stdout);
}

/// Texts with secrets in them, through the filter that knows them.
fn masks(drive: &mut Drive<'_>, stage: &Stage<'_>) {
    let own: Vec<_> = (0..drive.planted.each)
        .filter(|index| *index != LARGE)
        .map(|index| format!("--secret=file:override-{index}"))
        .collect();
    let of_step = ["--run", "leaking/f2", "--step", "go"].map(str::to_owned);
    let leaking = |name: &String| std::fs::read(stage.folder.join(name)).unwrap();
    let its_own: Vec<_> = overrides_of_leaking().map(|at| format!("override-{at}")).collect();
    let all: Vec<_> = (0..drive.planted.each)
        .filter(|index| *index != LARGE)
        .map(|index| format!("override-{index}"))
        .collect();
    for (words, names) in [(own, all), (of_step.into(), its_own)] {
        let text: Vec<_> = names.iter().map(leaking).filter(|text| text.len() >= 8).collect();
        let input = text.join(&b" and "[..]);
        let mut command = stage.command(&["mask"], &words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || to.write_all(&input));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let passed = String::from_utf8_lossy(&output.stdout).matches(" and ").count();
        assert_eq!(passed, text.len() - 1, "the text has passed");
        drive.ended(&["mask"], output, true);
    }
}

/// A secret in the words of these commands.
pub(super) fn misplaced(drive: &mut Drive<'_>, stage: &Stage<'_>, text: &str) {
    let exec = ["exec", "--run", "leaking/f2", "--step", "go"];
    for words in [
        &["run", "canary", "--lifetime", text][..],
        &["exec", "--run", text, "--step", text],
        &["exec", "--run", "leaking/f2", "--step", text],
        &["exec", "--run", "leaking/f2", text],
        &[&exec[..], &["--", text]].concat(),
        &[&exec[..], &["--instance", text]].concat(),
        &["exec", "--run", "leaking/none", "--step", "go", "--", text],
        &["mask", "--secret", text],
    ] {
        drive.call(stage, words, &[], false);
    }
}
