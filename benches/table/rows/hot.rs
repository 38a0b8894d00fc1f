//! What a run is asked for once it is open.

use std::path::{Path, PathBuf};

use paramd::proto::v1::context_service_client::ContextServiceClient;
use serde_json::json;

use crate::Options;
use crate::baseline::Baseline;
use crate::load::{Ghz, H2load, Target, channels, keep_alive, rate};
use crate::report::{Goal, Sample, Table, Unit};
use crate::stage::{self, Stage};
use crate::support::bao::{Bao, ROOT};
use crate::support::root;

/// An rpc, as the clients have to know it.
struct Rpc {
    service: &'static str,
    method: &'static str,
    /// The files of its request and of its answer, without what they end in.
    files: (&'static str, &'static str),
}

const CONTEXT: Rpc = Rpc {
    service: "paramd.v1.ContextService",
    method: "GetContext",
    files: ("context", "context"),
};
const RESOLVE: Rpc =
    Rpc { service: "paramd.v1.RunService", method: "ResolveRun", files: ("resolve", "resolved") };
const REVEAL: Rpc = Rpc {
    service: "paramd.v1.ContextService",
    method: "RevealSecrets",
    files: ("reveal", "revealed"),
};

const SEALED: Rpc = Rpc { files: ("sealed", "sealed"), ..REVEAL };

/// Who asks.
#[derive(Clone, Copy, PartialEq)]
enum By {
    H2load,
    Tonic,
    Ghz,
}

/// A row: an rpc, so many in flight, against a baseline.
struct Row {
    rpc: &'static Rpc,
    in_flight: usize,
    by: By,
    goal: f64,
}

const ROWS: [Row; 10] = [
    Row { rpc: &CONTEXT, in_flight: 64, by: By::H2load, goal: 0.9 },
    Row { rpc: &CONTEXT, in_flight: 1, by: By::Tonic, goal: 0.95 },
    Row { rpc: &RESOLVE, in_flight: 64, by: By::H2load, goal: 0.8 },
    Row { rpc: &REVEAL, in_flight: 1, by: By::Tonic, goal: 0.8 },
    Row { rpc: &REVEAL, in_flight: 16, by: By::H2load, goal: 0.8 },
    Row { rpc: &REVEAL, in_flight: 64, by: By::H2load, goal: 0.8 },
    Row { rpc: &SEALED, in_flight: 64, by: By::H2load, goal: 0.7 },
    Row { rpc: &CONTEXT, in_flight: 64, by: By::Ghz, goal: 0.9 },
    Row { rpc: &RESOLVE, in_flight: 64, by: By::Ghz, goal: 0.8 },
    Row { rpc: &REVEAL, in_flight: 64, by: By::Ghz, goal: 0.8 },
];

/// What wiping costs: rows against the same daemon whose allocator wipes nothing.
const WIPING: [Row; 3] = [
    Row { rpc: &CONTEXT, in_flight: 64, by: By::H2load, goal: 0.9 },
    Row { rpc: &RESOLVE, in_flight: 64, by: By::H2load, goal: 0.9 },
    Row { rpc: &REVEAL, in_flight: 64, by: By::H2load, goal: 0.9 },
];

const VAULT: &str = "RevealSecrets of 5, 16 in flight, beside OpenBao (h2load)";

impl Row {
    fn name(&self) -> String {
        let what = match self.rpc.files.0 {
            "context" => "GetContext of 30",
            "resolve" => "ResolveRun replayed",
            "sealed" => "RevealSecrets of 5 sealed",
            _ => "RevealSecrets of 5",
        };
        let by = match self.by {
            By::H2load => "h2load",
            By::Tonic => "tonic client",
            By::Ghz => "ghz",
        };
        format!("{what}, {} in flight ({by})", self.in_flight)
    }

    /// The baseline that it is measured against.
    fn kind(&self) -> &'static str {
        match self.rpc.files.0 {
            "reveal" => "durable",
            "sealed" => "sealing",
            _ => "ready",
        }
    }

    fn connections(&self) -> usize {
        self.in_flight.min(4)
    }
}

pub(crate) async fn rows(options: &Options, table: &mut Table) {
    let wanted: Vec<_> = ROWS.iter().filter(|row| options.wants(&row.name())).collect();
    if wanted.is_empty() && !options.wants(VAULT) {
        return;
    }
    let stage = Stage::start().await;
    let ready = Baseline::start("ready", stage.folder.path()).await;
    let durable = Baseline::start("durable", stage.folder.path()).await;
    let sealing = Baseline::start("sealing", stage.folder.path()).await;
    for row in wanted {
        let baseline = match row.kind() {
            "ready" => &ready,
            "sealing" => &sealing,
            _ => &durable,
        };
        let (ours, base) = (stage.target(), target(baseline));
        let rounds = match row.by {
            By::Tonic => one_by_one(options, row, &ours, &base).await,
            By::H2load => {
                rounds(options, |at, calls| h2load(row, &stage).run(at, calls), &ours, &base)
            }
            By::Ghz => {
                let program = ghz();
                rounds(
                    options,
                    |at, calls| ghz_of(row, &stage, &program).run(at, calls),
                    &ours,
                    &base,
                )
            }
        };
        let against = format!("`{}`", row.kind());
        table.compare(&row.name(), &against, Unit::PerSecond, Goal::AtLeast(row.goal), &rounds);
    }
    if options.wants(VAULT) {
        vault(options, table, &stage).await;
    }
    stage.daemon.stop();
}

fn target(baseline: &Baseline) -> Target<'_> {
    Target { socket: baseline.socket(), pid: baseline.pid() }
}

/// `GetContext` at 64 in flight of a stage, beside another one.
pub(super) fn contexts(options: &Options, ours: &Stage, base: &Stage) -> Vec<(Sample, Sample)> {
    let row = &ROWS[0];
    let run = |at: &Target<'_>, calls| {
        let stage = if at.pid == ours.target().pid { ours } else { base };
        h2load(row, stage).run(at, calls)
    };
    rounds(options, run, &ours.target(), &base.target())
}

/// Both sides by turns; which of them begins changes from round to round.
fn rounds(
    options: &Options,
    run: impl Fn(&Target<'_>, u64) -> Sample,
    ours: &Target<'_>,
    base: &Target<'_>,
) -> Vec<(Sample, Sample)> {
    // So many that each takes about as long as is wanted; the first warm it.
    let calls = |at: &Target<'_>| {
        run(at, 640);
        let rate = run(at, 2_000).value;
        // A multiple of every number in flight.
        ((rate * options.span.as_secs_f64()) as u64).next_multiple_of(64)
    };
    let (ours_calls, base_calls) = (calls(ours), calls(base));
    let one = |round: usize| {
        if round.is_multiple_of(2) {
            let ours = run(ours, ours_calls);
            (ours, run(base, base_calls))
        } else {
            let base = run(base, base_calls);
            (run(ours, ours_calls), base)
        }
    };
    (0..options.rounds).map(one).collect()
}

struct Bodies {
    body: PathBuf,
    answer_bytes: usize,
}

fn bodies(row: &Row, stage: &Stage, ending: &str) -> Bodies {
    let (request, answer) = row.rpc.files;
    Bodies {
        body: stage.path(&format!("{request}.{ending}")),
        answer_bytes: stage.framed_bytes(&format!("{answer}.bin")),
    }
}

fn h2load(row: &Row, stage: &Stage) -> H2load {
    let Bodies { body, answer_bytes } = bodies(row, stage, "frame");
    let path = format!("/{}/{}", row.rpc.service, row.rpc.method);
    H2load { path, body, answer_bytes, connections: row.connections(), in_flight: row.in_flight }
}

fn ghz_of<'a>(row: &'a Row, stage: &Stage, program: &'a Path) -> Ghz<'a> {
    Ghz {
        program,
        call: format!("{}/{}", row.rpc.service, row.rpc.method),
        contract: stage.path("contract.bin"),
        body: bodies(row, stage, "message").body,
        connections: row.connections(),
        in_flight: row.in_flight,
    }
}

/// The program that `scripts/bench` installs.
fn ghz() -> PathBuf {
    let program = root().join("target/test-tools/bench/bin/ghz");
    assert!(program.exists(), "no {}: scripts/bench installs it", program.display());
    program
}

async fn one_by_one(
    options: &Options,
    row: &Row,
    ours: &Target<'_>,
    base: &Target<'_>,
) -> Vec<(Sample, Sample)> {
    let ours_at = channels(ours.socket, row.connections()).await;
    let base_at = channels(base.socket, row.connections()).await;
    let call = |channel| async {
        let mut client = ContextServiceClient::new(channel);
        if row.rpc.method == "GetContext" {
            client.get_context(stage::context()).await.unwrap();
        } else {
            client.reveal_secrets(stage::reveal()).await.unwrap();
        }
    };
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let ours = || rate(ours, &ours_at, row.in_flight, options.span, call);
        let base = || rate(base, &base_at, row.in_flight, options.span, call);
        rounds.push(if round % 2 == 0 {
            let ours = ours().await;
            (ours, base().await)
        } else {
            let base = base().await;
            (ours().await, base)
        });
    }
    rounds
}

/// The daemon beside itself with an allocator that wipes nothing.
pub(super) async fn wiping(options: &Options, table: &mut Table) {
    let name = |row: &Row| format!("{}, freed memory wiped", row.name());
    let wanted: Vec<_> = WIPING.iter().filter(|row| options.wants(&name(row))).collect();
    if wanted.is_empty() {
        return;
    }
    let (ours, unwiped) = (Stage::start().await, Stage::unwiped().await);
    for row in wanted {
        let run = |at: &Target<'_>, calls| {
            let stage = if at.pid == ours.daemon.pid() { &ours } else { &unwiped };
            h2load(row, stage).run(at, calls)
        };
        let rounds = rounds(options, run, &ours.target(), &unwiped.target());
        let against = "the same, nothing wiped";
        table.compare(&name(row), against, Unit::PerSecond, Goal::AtLeast(row.goal), &rounds);
    }
    ours.stop();
    unwiped.stop();
}

/// Beside the read of one secret of as many fields, by the same client. OpenBao
/// writes its record to a file and answers; ours is on disk before.
async fn vault(options: &Options, table: &mut Table, stage: &Stage) {
    const IN_FLIGHT: usize = 16;
    let bao = Bao::start().await;
    let fields: serde_json::Map<String, serde_json::Value> =
        (0..5).map(|index| (format!("s{index}"), json!(index.to_string().repeat(32)))).collect();
    bao.write("secret", "bench/five", fields.into(), true).await;
    let url = format!("{}/v1/secret/data/bench/five", bao.plain_address());
    let header = format!("X-Vault-Token: {ROOT}");
    let request = reqwest::Client::builder().no_proxy().build().unwrap().get(&url);
    let answer = request.header("X-Vault-Token", ROOT).send().await.unwrap();
    let answer_bytes = answer.error_for_status().unwrap().bytes().await.unwrap().len();
    let row = Row { rpc: &REVEAL, in_flight: IN_FLIGHT, by: By::H2load, goal: 3.0 };
    let base = Target { socket: Path::new(""), pid: bao.pid() };
    let run = |at: &Target<'_>, calls| match at.pid == bao.pid() {
        true => keep_alive(&url, &header, IN_FLIGHT, answer_bytes, at.pid, calls),
        false => h2load(&row, stage).run(at, calls),
    };
    let rounds = rounds(options, run, &stage.target(), &base);
    let against = "KV 2 read of OpenBao, audited, HTTP/1.1 keep-alive";
    table.compare(VAULT, against, Unit::PerSecond, Goal::AtLeast(row.goal), &rounds);
}
