//! No secret byte where it doesn't belong: secrets are planted in every source,
//! every rpc and command is driven through success and failure at TRACE, and
//! all that was written is searched for them.

mod drive;
mod forms;
mod plant;

use std::path::Path;

use self::forms::Searcher;
use self::plant::Planted;
use crate::support::bao::Bao;
use crate::support::config::Config;
use crate::support::daemon::Launch;
use crate::support::free_port;
use crate::support::otlp::Receiver;
use crate::support::postgres::Postgres;

/// A place that may hold no secret, and all that was written there.
struct Sink {
    name: &'static str,
    bytes: Vec<u8>,
}

impl Sink {
    fn new(name: &'static str) -> Self {
        Self { name, bytes: Vec::new() }
    }

    fn add(&mut self, bytes: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(bytes.as_ref());
        self.bytes.push(b'\n');
    }
}

/// All sinks.
struct Sinks {
    errors: Sink,
    answers: Sink,
    audit: Sink,
    commands: Sink,
    log: Sink,
    store: Sink,
    metrics: Sink,
    spans: Sink,
}

impl Sinks {
    fn new() -> Self {
        Self {
            errors: Sink::new("errors, their details and trailers"),
            answers: Sink::new("contexts, explanations and records"),
            audit: Sink::new("the audit log"),
            commands: Sink::new("what commands wrote"),
            log: Sink::new("the daemon's log"),
            store: Sink::new("the store's files"),
            metrics: Sink::new("the metrics"),
            spans: Sink::new("the spans"),
        }
    }

    fn all(&self) -> [&Sink; 8] {
        let Self { errors, answers, audit, commands, log, store, metrics, spans } = self;
        [errors, answers, audit, commands, log, store, metrics, spans]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_it_does_not_belong() {
    let bao = Bao::start().await;
    let mut planted = plant::plant(&bao).await;
    let server = Postgres::start().await;
    let config = plant::configure(&bao, &server, &mut planted).await;
    let (port, receiver) = (free_port(), Receiver::start().await);
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let told =
        format!("metrics: \"127.0.0.1:{port}\"\ntraces: {{ otlp: \"{}\" }}\n", receiver.address());
    config.write("paramd.yaml", told + &settings);
    let everything = "trace,vaultrs=trace,rustify=trace,sqlx=trace,sqlx_core=trace,sqlx_postgres=trace,sqlx_mysql=trace,reqwest=trace,hyper=trace,h2=trace";
    let mut launch = Launch::plain(&config.path, config.around())
        .env("PARAMD_LOG", everything)
        .env("RUST_LOG", everything)
        .env("RUST_BACKTRACE", "full")
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    for (name, value) in planted.variables() {
        launch = launch.env(&name, &value);
    }
    let daemon = launch.start().await;
    let mut sinks = Sinks::new();
    keys(&config.path.join("state"), &mut planted);
    drive::services(&daemon, &planted, &mut sinks).await;
    drive::metadata(&daemon, &planted, &mut sinks).await;
    let token = drive::token(&daemon, &config, &mut sinks).await;
    planted.add("bearer token", token.clone().into_bytes());
    planted.add("bearer token's random part", token.rsplit('_').next().unwrap().into());
    drive::commands(&daemon, &config, &planted, &mut sinks);
    store(&config.path.join("state"), &mut sinks.store);
    for write in [plant::refused, plant::literal] {
        let bad = Config::copy(&config.path);
        write(&bad, &planted);
        drive::literals(&daemon, &bad, &mut sinks);
    }
    drive::ends(&daemon, &planted, &mut sinks).await;
    store(&config.path.join("state"), &mut sinks.store);
    let scraped = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap();
    sinks.metrics.add(scraped.text().await.unwrap());
    receiver.wait_for("RevealSecrets").await;
    sinks.spans.add(receiver.bytes());
    sinks.log.add(daemon.log());
    heard(&daemon.log());
    assert!(server.log().contains("told: "), "PostgreSQL was told to speak of values");
    let line = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    sinks.commands.add(line);
    daemon.kill();
    nothing_else_is_left(config.around());
    store(&config.path.join("state"), &mut sinks.store);

    let searcher = Searcher::new(&planted.secrets);
    control(&searcher, &planted, &sinks);
    let mut found = Vec::new();
    for sink in sinks.all() {
        found.extend(
            searcher.search(&sink.bytes).into_iter().map(|leak| format!("{leak} in {}", sink.name)),
        );
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "{} leaks:\n{}", found.len(), found.join("\n"));
}

/// The crates through whose hands secrets pass were asked for all that they have
/// to say, and those that may not speak were silent.
fn heard(log: &str) {
    for target in ["h2::", "hyper", "reqwest", "paramd::"] {
        let spoke = log.lines().any(|line| {
            line.split_whitespace().any(|word| word.starts_with(target) && word.ends_with(':'))
        });
        assert!(spoke, "{target} said nothing");
    }
    for silenced in ["vaultrs", "rustify", "sqlx"] {
        assert!(!log.contains(silenced), "{silenced} spoke");
    }
}

/// `TMPDIR` is this folder: no file is left that the sinks don't have.
fn nothing_else_is_left(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = ["config", "daemon.out", "daemon.err", "leak.sh"].contains(&name.as_str());
        assert!(known || name.starts_with("override-"), "{name} is left");
    }
}

/// The daemon's own keys are secrets too, as bytes and as they are written.
fn keys(state: &Path, planted: &mut Planted) {
    for name in ["sealing", "fingerprints", "tokens"] {
        let line = std::fs::read_to_string(state.join(format!("{name}.key"))).unwrap();
        let (_, digits) = line.trim().rsplit_once(':').unwrap();
        planted.add(&format!("{name} key"), hex::decode(digits).unwrap());
    }
}

/// A planted leak in each sink, in each form, must be found: else the search
/// counts for nothing.
fn control(searcher: &Searcher, planted: &Planted, sinks: &Sinks) {
    for sink in sinks.all() {
        assert!(!sink.bytes.is_empty(), "nothing was written to {}", sink.name);
        for (index, secret) in planted.secrets.iter().enumerate() {
            let forms = forms::of(&secret.bytes);
            let form = &forms[index % forms.len()];
            // In the midst of what was really written there.
            let middle = sink.bytes.len() / 2;
            let before = &sink.bytes[middle.saturating_sub(4_096)..middle];
            let after = &sink.bytes[middle..(middle + 4_096).min(sink.bytes.len())];
            let leaked = [before, &form.bytes, after].concat();
            let wanted = format!("{} as {}", secret.name, form.name);
            let found = searcher.search(&leaked);
            assert!(found.contains(&wanted), "{wanted}: not found in {}", sink.name);
        }
    }
}

/// Adds all files below a folder.
fn store(folder: &Path, sink: &mut Sink) {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            store(&path, sink);
        } else if path.extension().is_none_or(|ending| ending != "key") {
            count += 1;
            sink.add(std::fs::read(path).unwrap());
        }
    }
    assert!(count > 0, "the store has files");
}
