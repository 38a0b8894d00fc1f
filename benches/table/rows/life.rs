//! Processes: the daemon at rest, its start, and a command.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Options;
use crate::process::memory;
use crate::report::{Goal, Table, Unit};
use crate::stage::Stage;
use crate::support::client::{self, Client, channel};
use crate::support::config::Config;
use crate::support::daemon::Launch;

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn rows(options: &Options, table: &mut Table) {
    if options.wants("daemon at rest") {
        at_rest(options, table).await;
    }
    if options.wants("each further open run") {
        open_runs(options, table).await;
    }
    if options.wants("paramd context") {
        command(options, table).await;
    }
}

/// With one pipeline and its store made before.
async fn at_rest(options: &Options, table: &mut Table) {
    let text = "name: small\nparameters:\n  size: { type: integer, default: 1 }\n";
    let config = Config::new("", "small", text);
    Launch::plain(&config.path, config.around()).start().await.stop();
    let (mut resident, mut private, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let launch = Launch::plain(&config.path, config.around());
        let begun = Instant::now();
        let daemon = launch.spawn();
        while answers(daemon.socket()).await.is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        first.push(begun.elapsed().as_secs_f64() * 1e3);
        // What the start took is given back or not by now.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (rss, own) = memory(daemon.pid());
        resident.push(rss as f64 / MIB);
        private.push(own as f64 / MIB);
        daemon.stop();
    }
    let name = "daemon at rest: resident";
    table.number(name, Unit::MebiBytes, Goal::AtMost(20.0), &resident);
    table.number("daemon at rest: private", Unit::MebiBytes, Goal::AtMost(10.0), &private);
    let name = "daemon at rest: start to first answer";
    table.number(name, Unit::Milliseconds, Goal::AtMost(50.0), &first);
}

/// An answer of a service of ours.
async fn answers(socket: &std::path::Path) -> Option<()> {
    let client = Client::new(channel(socket).await.ok()?);
    let request = paramd::proto::v1::ListPipelinesRequest::default();
    client.pipelines.clone().list_pipelines(request).await.ok().map(drop)
}

async fn open_runs(options: &Options, table: &mut Table) {
    const RUNS: usize = 4_000;
    let mut each = Vec::new();
    for _ in 0..options.rounds {
        let stage = Stage::start().await;
        let mut made = 0;
        let mut resolve = async |count: usize| {
            for _ in 0..count {
                let name = format!("more-{made}");
                stage.client.resolve(client::resolve("thirty", &name)).await.unwrap();
                made += 1;
            }
            memory(stage.daemon.pid()).1 as f64
        };
        // What is allocated once, or kept of the first runs, is there by now.
        let before = resolve(1_000).await;
        let after = resolve(RUNS).await;
        each.push((after - before) / RUNS as f64 / 1024.0);
        stage.daemon.stop();
    }
    let name = "each further open run of 30 small parameters";
    table.number(name, Unit::KibiBytes, Goal::AtMost(2.0), &each);
}

async fn command(options: &Options, table: &mut Table) {
    let stage = Stage::start().await;
    let mut each = Vec::new();
    for _ in 0..options.rounds.max(5) {
        let mut took = Vec::new();
        for _ in 0..20 {
            let mut command = Command::new(env!("CARGO_BIN_EXE_paramd"));
            command.args(["context", "thirty/run-1", "main"]).env_clear();
            command.env("PARAMD_ENDPOINT", stage.daemon.endpoint());
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let begun = Instant::now();
            assert!(command.status().unwrap().success());
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        each.push(crate::report::median(&took));
    }
    let name = "`paramd context` as a process, start included";
    table.number(name, Unit::Milliseconds, Goal::AtMost(10.0), &each);
    stage.daemon.stop();
}
