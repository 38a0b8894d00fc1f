//! What a person sees on a terminal: live rows, colours, widths.

use paramd::proto::v1::RunOutcome;

use super::run::outcome;
use super::{SOURCES, Stage, TOKEN, stage};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::terminal::{OnTerminal, Sent, on_terminal, paramd_on_terminal};

const USUAL: (u16, u16) = (80, 24);

fn run(stage: &Stage, size: (u16, u16), events: &[(&str, &str)]) -> OnTerminal {
    paramd_on_terminal(size, events).at(&stage.daemon).inside(stage.config.around())
}

/// The rows about these steps, which must be the last but the run's own line.
#[track_caller]
fn rows<const N: usize>(sent: &Sent, steps: [&str; N]) -> [String; N] {
    let text = sent.text();
    assert!(!text.contains(TOKEN), "{text}");
    let lines: Vec<&str> = text.lines().rev().skip(1).take(N).collect();
    let lines: Vec<String> = lines.into_iter().rev().map(str::to_owned).collect();
    for (line, step) in lines.iter().zip(steps) {
        assert!(line.starts_with(&format!("{step} ")), "no row of {step}: {text}");
    }
    lines.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_run_has_a_row_on_a_terminal() {
    let stage = stage().await;
    let sent = run(&stage, USUAL, &[]).args(["run", "shell", "--extra", "false"]).ended();
    assert_eq!(sent.status, Some(0), "{}", sent.text());
    let [first, extra, last] = rows(&sent, ["first", "extra", "last"]);
    assert!(first.starts_with("first  succeeded after "), "{first}");
    assert_eq!(extra, "extra  skipped: `params.extra` is false (params.extra = false)");
    assert!(last.starts_with("last   succeeded after "), "{last}");
    let raw = sent.raw();
    for earlier in ["first  \x1b[36mrunning for 0 s", "last   \x1b[2mwaiting for first, extra"] {
        assert!(raw.contains(earlier), "no `{earlier}` in {raw}");
    }
    assert!(!raw.contains(TOKEN) && !raw.contains("started"), "{raw}");
    let text = sent.text();
    assert_eq!(text.matches("first  ").count(), 1, "one row a step: {text}");
    assert!(text.contains("first | mode: 440 700\n"), "{text}");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_the_steps_have_plain_lines() {
    let stage = stage().await;
    let plain = |command: OnTerminal| {
        let sent = command.args(["run", "shell"]).ended();
        let raw = sent.raw();
        assert!(!sent.has_escapes(), "{raw}");
        assert!(raw.contains("first started") && raw.contains("first succeeded after"), "{raw}");
    };
    plain(run(&stage, USUAL, &[]).env("TERM", "dumb"));
    plain(run(&stage, USUAL, &[]).without("TERM"));
    plain(run(&stage, USUAL, &[]).env("CI", "true").env("NO_COLOR", "1"));
    let piped = paramd(["run", "shell"]).at(&stage.daemon).inside(stage.config.around());
    let piped = piped.env("TERM", "xterm").ok();
    piped.says(&["first started", "first succeeded after"]).hides(&["\x1b"]);
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_on_a_resized_terminal_loses_no_line_and_leaves_the_terminal_as_it_was() {
    let stage = stage().await;
    let slow = "echo a-line; touch first-runs; trap 'echo told to stop; exit 1' TERM INT
        number=0; while sleep 0.02; do number=$((number + 1)); echo \"line $number of some length\"; done\n";
    std::fs::write(stage.config.around().join("first.sh"), slow).unwrap();
    let events = [
        ("line 10 ", "30x8"),
        ("line 20 ", "100x5"),
        ("line 30 ", "80x24"),
        ("running for 2 s", "interrupt"),
    ];
    let words = ["run", "shell", "--run-id", "a", "--slow", "true"];
    let sent = run(&stage, USUAL, &events).args(words).ended();
    let text = sent.text();
    assert_eq!(sent.status, Some(130), "{text}");
    assert_eq!(outcome(&stage, "a").await, RunOutcome::Cancelled);
    let [first, ..] = rows(&sent, ["first", "extra", "last"]);
    assert!(first.starts_with("first  failed with exit status 1 after "), "{first}");
    assert!(text.contains("told to stop\n"), "{text}");
    let numbers: Vec<usize> = text
        .lines()
        .filter_map(|line| line.strip_prefix("first | line ")?.split(' ').next()?.parse().ok())
        .collect();
    let all: Vec<usize> = (1..=*numbers.last().unwrap()).collect();
    assert_eq!(numbers, all, "{text}");
    assert!(all.len() > 40, "{text}");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_plays_with_the_terminal_plays_with_its_own_text_alone() {
    let stage = stage().await;
    let wild = r"printf '\033[?1049h\033[?25l\033[2J\033[H\033[1;3r\033(0\033[31mwild\033]0;title'; echo
        printf '\033[99Adone\n'
        printf 'unfinished \033[44m'
        ";
    std::fs::write(stage.config.around().join("extra.sh"), wild).unwrap();
    let sent = run(&stage, USUAL, &[]).args(["run", "shell"]).env("NO_COLOR", "1").ended();
    let text = sent.text();
    assert_eq!(sent.status, Some(0), "{text}");
    rows(&sent, ["first", "extra", "last"]);
    assert!(
        text.contains("extra | wild\nextra | done\nextra | unfinished \nlast | last\n"),
        "{text}"
    );
    let terminal = sent.terminal();
    let screen = terminal.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    assert_eq!(screen.bgcolor(), vt100::Color::Default);
    stage.daemon.stop();
}

/// A folder with a file that `check` refuses.
fn broken() -> Config {
    Config::new(SOURCES, "broken", "name: broken\nparameters: { a: { type: strin } }\n")
}

#[test]
fn colours_are_for_terminals_that_know_them_unless_they_are_refused() {
    let config = broken();
    // Standard output has the problems, standard error what is wrong with a word.
    for words in [["check", config.path.to_str().unwrap()], ["check", "--wrong"]] {
        let colours = |change: fn(OnTerminal) -> OnTerminal| {
            change(paramd_on_terminal(USUAL, &[])).args(words).ended().has_escapes()
        };
        assert!(colours(|command| command), "{words:?}");
        assert!(colours(|command| command.env("NO_COLOR", "")), "an empty one refuses nothing");
        assert!(!colours(|command| command.env("NO_COLOR", "1")), "{words:?}");
        assert!(!colours(|command| command.env("NO_COLOR", "0")), "whatever it is");
        assert!(!colours(|command| command.env("TERM", "dumb")), "{words:?}");
        assert!(!colours(|command| command.without("TERM")), "{words:?}");
        let piped = paramd(words).env("TERM", "xterm").ended();
        piped.hides(&["\x1b"]).says(&["error"]);
    }
}

#[test]
fn each_stream_is_judged_by_itself() {
    let config = broken();
    let folder = config.path.to_str().unwrap();
    let file = config.around().join("kept");
    let program = env!("CARGO_BIN_EXE_paramd");
    // What goes to the file, and whether what goes to the terminal has colours.
    let kept = |script: &str, words: [&str; 2]| {
        let shell = on_terminal(USUAL, &[], "sh").env("KEPT", file.to_str().unwrap());
        let sent = shell.args(["-c", script, program]).args(words).ended();
        (std::fs::read_to_string(&file).unwrap(), sent.has_escapes())
    };
    let (out, _) = kept("exec \"$0\" \"$@\" > \"$KEPT\"", ["check", folder]);
    assert!(out.contains("strin") && !out.contains('\x1b'), "{out}");
    let (_, coloured) = kept("exec \"$0\" \"$@\" > \"$KEPT\"", ["check", "--wrong"]);
    assert!(coloured, "standard error is a terminal still");
    let (err, _) = kept("exec \"$0\" \"$@\" 2> \"$KEPT\"", ["check", "--wrong"]);
    assert!(err.starts_with("error: ") && !err.contains('\x1b'), "{err}");
    let (_, coloured) = kept("exec \"$0\" \"$@\" 2> \"$KEPT\"", ["check", folder]);
    assert!(coloured, "standard output is a terminal still");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stay_where_only_the_steps_output_goes_to_a_file() {
    let stage = stage().await;
    let script = "exec \"$0\" \"$@\" > kept";
    let shell = on_terminal(USUAL, &[], "sh").at(&stage.daemon).inside(stage.config.around());
    let words = ["-c", script, env!("CARGO_BIN_EXE_paramd"), "run", "shell"];
    let sent = shell.args(words).ended();
    let text = sent.text();
    assert!(text.contains("first  succeeded after ") && !text.contains("extra ran"), "{text}");
    let kept = std::fs::read_to_string(stage.config.around().join("kept")).unwrap();
    assert!(kept.contains("extra | extra ran\n") && !kept.contains('\x1b'), "{kept}");
    stage.daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_with_wide_letters_and_show_what_would_move_the_cursor() {
    let stage = stage().await;
    let wild = format!("{}\x1b[2J\u{202e}\u{9b}A🎉👍🏽e\u{301}", "漢字".repeat(50));
    for columns in [40, 57, 80, 132] {
        let value = format!("output={wild}");
        let words = ["explain", "shell", "--param", &value];
        let sent = run(&stage, (columns, 24), &[]).args(words).ended();
        let raw = sent.raw();
        assert_eq!(sent.status, Some(0), "{raw}");
        assert!(!raw.contains(['\x1b', '\u{202e}', '\u{9b}']), "{raw}");
        assert!(raw.contains("漢字"), "{raw}");
        let terminal = sent.terminal();
        let lines = terminal.screen().rows(0, columns).enumerate();
        let tables = lines.skip_while(|(_, line)| !line.contains('─'));
        let mut rows = tables.map(|(row, _)| u16::try_from(row).unwrap());
        let wrapped = rows.find(|row| terminal.screen().row_wrapped(*row));
        assert_eq!(wrapped, None, "{columns} columns: {raw}");
    }
    let sent = run(&stage, USUAL, &[]).args(["explain", "shell", "--param", "a\x1b[2J=1"]).ended();
    assert!(!sent.raw().contains("\x1b[2J"), "an error repeats nothing that moves the cursor");
    stage.daemon.stop();
}

/// Secrets of which something is too short to be masked.
const SHORT: &str = r#"name: short
parameters:
  pin: { type: string, secret: true, from: { file: { path: pin } } }
  account: { type: object, secret: true, properties: { user: { type: string }, key: { type: string } }, from: { file: { path: account.json } } }
  fine: { type: string, secret: true, from: { file: { path: fine } } }
  sizes: { type: array, items: { type: integer }, default: [1, 2] }
steps:
  - name: each
    matrix: { size: params.sizes }
    params: [pin, account, fine]
    run: [echo, "{{ matrix.size }}"]
  - { name: last, needs: [each], params: [pin], run: [echo, last] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_short_to_be_masked_is_told_once_a_step() {
    let config = Config::new(SOURCES, "short", SHORT);
    config.write_secret("files/pin", "4711\n");
    config.write_secret("files/account.json", r#"{"user": "eve", "key": "long-enough-key"}"#);
    config.write_secret("files/fine", "long-enough-secret");
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    let ended = paramd(["run", "short"]).at(&daemon).ok();
    let mut told: Vec<&str> = ended.err.lines().filter(|line| line.contains("short to")).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "warning: in part too short to be masked in the output of `each`: `account`",
            "warning: too short to be masked in the output of `each`: `pin`",
            "warning: too short to be masked in the output of `last`: `pin`",
        ],
        "{ended:#?}"
    );
    ended.hides(&["4711", "eve", "long-enough"]);
    daemon.stop();
}
