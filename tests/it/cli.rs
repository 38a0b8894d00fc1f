//! The command line, by what it really writes.

mod access;
mod check;
mod commands;
mod exec;
mod flags;
mod golden;
mod live;
mod mask;
mod run;
mod tail;
mod terminal;

use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};

const SOURCES: &str = r#"  local: { file: { root: files }, grants: [{ pipelines: ["*"], paths: ["*"] }] }
"#;

/// Steps are shell scripts that the tests put where the command is called.
const PIPELINE: &str = r#"name: shell
description: What the tests of the command line need
parameters:
  epochs: { type: integer, default: 10, minimum: 1, maximum: 500, group: Training, description: Passes over the data }
  learning_rate: { type: number, default: 0.1, group: Training }
  optimizer: { type: string, default: adam, enum: [adam, sgd], group: Training }
  layers: { type: array, items: { type: integer }, default: [64, 32] }
  output: { type: string, default: here, description: Named as an option is }
  fail: { type: boolean, default: false }
  slow: { type: boolean, default: false }
  extra: { type: boolean, default: true }
  token: { type: string, secret: true, override: run, from: { file: { path: token } } }
  header: { type: string, from: { template: "Bearer {{ params.token }}" } }
presets:
  quick: { epochs: 1 }
steps:
  - name: first
    run: [sh, ./first.sh, "{{ params.epochs }}", "{{ params.layers | flag('--layer') }}"]
    env: { HEADER: "{{ params.header }}", SLOW: "{{ params.slow }}" }
    files: { token.txt: { template: "{{ params.token }}", mode: "0440" } }
  - name: extra
    needs: [first]
    when: params.extra
    run: [sh, ./extra.sh]
  - name: last
    needs: [first, extra]
    run: [sh, ./last.sh, "{{ params.fail }}"]
"#;

/// Writes the secret whole, split over two writes, and what it was given.
const FIRST: &str = r#"
echo "arguments: $*"
echo "header: $HEADER"
half=$(printf %s "$HEADER" | cut -c1-20)
rest=$(printf %s "$HEADER" | cut -c21-)
printf 'split: %s' "$half"
sleep 0.3
printf '%s\n' "$rest"
echo "folder: $PARAMD_FILES"
echo "mode: $(stat -c %a "$PARAMD_FILES/token.txt") $(stat -c %a "$PARAMD_FILES")"
cmp -s "$PARAMD_FILES/token.txt" files-token && echo "file: same"
echo "left: $(env | grep -c '^PARAMD_')"
echo "own: $OWN"
if [ "$SLOW" = true ]; then
    trap 'echo "first: told to stop"; exit 143' TERM
    touch first-runs
    while true; do sleep 0.05; done
fi
"#;

const TOKEN: &str = "tok-0d7c5be1a49f4b5c88aa-shell";

/// A daemon, and a folder to call commands in.
struct Stage {
    daemon: Daemon,
    config: Config,
}

/// A configuration with [`PIPELINE`], and the scripts of its steps around it.
fn shell() -> Config {
    let config = Config::new(SOURCES, "shell", PIPELINE);
    config.write_secret("files/token", TOKEN);
    for (name, text) in [
        ("first.sh", FIRST),
        ("extra.sh", "echo extra ran\n"),
        ("last.sh", "echo last; [ \"$1\" = false ] || exit 37\n"),
        ("files-token", TOKEN),
    ] {
        std::fs::write(config.around().join(name), text).unwrap();
    }
    config
}

async fn stage() -> Stage {
    let config = shell();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    Stage { daemon, config }
}
