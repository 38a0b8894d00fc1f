//! Pages whose programs and commands are run as they stand.

use std::path::Path;
use std::process::Command;

use crate::example::example;
use crate::readme::same;
use crate::support::bao::{self, Bao};
use crate::support::command::paramd;
use crate::support::config::{Config, copy_folder};
use crate::support::daemon::Launch;
use crate::support::postgres::{self, Postgres};
use crate::support::tls::Authority;
use crate::support::{free_port, python, root};

/// A part of a page, in its order.
enum Part {
    /// A file to write, by its name.
    File(String, String),
    /// Commands to run.
    Commands(String),
    /// What the commands before it printed.
    Output(String),
}

/// The parts of a page: a block of `sh` is run, a block of `text` is what that
/// printed, and any other is a file if the text before it ends with its name
/// and a colon.
fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut before = "";
    let mut rest = page;
    while let Some((text, block)) = rest.split_once("\n```") {
        let (language, block) = block.split_once('\n').unwrap();
        let (block, after) = block.split_once("\n```\n").unwrap();
        let block = format!("{block}\n");
        before = if text.trim().is_empty() { before } else { text };
        match language {
            "sh" => parts.push(Part::Commands(block)),
            "text" => parts.push(Part::Output(block)),
            _ => parts.extend(file_name(before).map(|name| Part::File(name.into(), block))),
        }
        before = "";
        rest = after;
    }
    parts
}

fn file_name(before: &str) -> Option<&str> {
    before.trim_end().strip_suffix("`:")?.rsplit('`').next()
}

/// Between what the commands of two blocks print.
const MARK: &str = "=== the page's next commands ===\n";

/// Goes through a page in a folder, in one shell; what its commands print must
/// be what the page says.
fn play(page: &str, folder: &Path, environment: &[(&str, &str)]) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let parts = parts(&text);
    let mut script = String::new();
    for part in &parts {
        match part {
            Part::File(name, text) => std::fs::write(folder.join(name), text).unwrap(),
            Part::Commands(commands) => script += &format!("printf %s \"{MARK}\"\n{commands}"),
            Part::Output(_) => {}
        }
    }
    let printed = run(&script, folder, environment);
    let mut printed = printed.split(MARK).skip(1);
    let (mut last, mut ran) = ("", 0);
    for part in &parts {
        match part {
            Part::File(..) => {}
            Part::Commands(_) => {
                last = printed.next().unwrap();
                ran += 1;
            }
            Part::Output(expected) => {
                assert!(same(last, expected), "{page} says\n{expected}and it is\n{last}");
            }
        }
    }
    assert!(ran > 0, "{page} has no commands");
}

fn run(script: &str, folder: &Path, environment: &[(&str, &str)]) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_paramd")).parent().unwrap();
    let tools = root().join("target/test-tools/bin");
    let (venv, bao, psql) = (python(), bao::binary(), postgres::binary("psql"));
    let folders: [&Path; 5] = [binary, &tools, parent(&venv), parent(&bao), parent(&psql)];
    let mut path: Vec<_> = folders.map(|folder| folder.display().to_string()).into();
    path.push(std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path.join(":"))
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    assert!(output.status.success(), "{out}\n{}", String::from_utf8_lossy(&err));
    out
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap()
}

/// A folder as the page on clients has it: the example and the contract.
fn clients_folder() -> Config {
    let config = example();
    copy_folder(&root().join("proto"), &config.around().join("proto"));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_python_go_and_shell_run_a_step() {
    let config = clients_folder();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    play("docs/clients.md", config.around(), &[("PARAMD_ENDPOINT", &daemon.endpoint())]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_in_python_go_and_shell_run_a_step_over_tls_with_a_token() {
    let config = clients_folder();
    let authority = Authority::new(&config.path.join("tls"), "authority");
    authority.server("server");
    let settings = config.path.join("paramd.yaml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let port = free_port();
    let doors = format!(
        "listen: [\"unix:run/paramd.sock\", \"127.0.0.1:{port}\"]\n\
         tls: {{ certificate: tls/server.pem, key: tls/server.key }}\n"
    );
    let others = text.lines().filter(|line| !line.starts_with("listen:"));
    let others: String = others.map(|line| format!("{line}\n")).collect();
    std::fs::write(&settings, doors + &others).unwrap();
    let policy = "permit (principal == Paramd::Principal::\"token:ci\", action, resource);\n";
    config.write("policies/ci.cedar", policy);
    let directory = config.path.to_str().unwrap();
    let token = paramd(["token", "create", "ci", "--config", directory]).ok().out;
    let file = config.around().join("ci.token");
    std::fs::write(&file, token).unwrap();
    let daemon = Launch::plain(&config.path, config.around()).start().await;
    let endpoint = format!("https://localhost:{port}");
    let ca = config.path.join("tls/authority.pem");
    let environment = [
        ("PARAMD_ENDPOINT", endpoint.as_str()),
        ("PARAMD_CA", ca.to_str().unwrap()),
        ("PARAMD_TOKEN_FILE", file.to_str().unwrap()),
    ];
    play("docs/clients.md", config.around(), &environment);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_compared_and_extended_as_their_page_says() {
    let config = example();
    let daemon = Launch::dev(&config.path, config.around()).start().await;
    play("docs/runs.md", config.around(), &[("PARAMD_ENDPOINT", &daemon.endpoint())]);
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn getting_started_gets_to_a_run_with_vault_and_postgresql_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (bao, postgres) = (Bao::bare().await, Postgres::start().await);
    let (bao_ca, postgres_ca) = (bao.ca(), postgres.ca());
    let (address, port, own) =
        (bao.address(), postgres.port().to_string(), free_port().to_string());
    let environment = [
        ("BAO_ADDR", address.as_str()),
        ("BAO_TOKEN", bao::ROOT),
        ("BAO_CACERT", bao_ca.to_str().unwrap()),
        ("PGHOST", "127.0.0.1"),
        ("PGPORT", &port),
        ("PGUSER", "postgres"),
        ("PGPASSWORD", postgres::ROOT),
        ("PGDATABASE", "features"),
        ("PGCERT", postgres_ca.to_str().unwrap()),
        ("PORT", &own),
    ];
    play("docs/getting-started.md", folder.path(), &environment);
    let log = std::fs::read_to_string(folder.path().join("paramd.log")).unwrap();
    assert!(!log.contains("correct-horse-battery"));
}
