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
use crate::support::daemon::Launch;

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
        }
    }

    fn all(&self) -> [&Sink; 6] {
        [&self.errors, &self.answers, &self.audit, &self.commands, &self.log, &self.store]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_it_does_not_belong() {
    let bao = Bao::start().await;
    let planted = plant::plant(&bao).await;
    let config = plant::configure(&bao, &planted).await;
    let everything = "trace,vaultrs=trace,rustify=trace,reqwest=trace,hyper=trace,h2=trace";
    let mut launch = Launch::plain(&config.path, config.around())
        .env("PARAMD_LOG", everything)
        .env("RUST_LOG", everything)
        .env("RUST_BACKTRACE", "full");
    for (name, value) in planted.variables() {
        launch = launch.env(&name, &value);
    }
    let daemon = launch.start().await;
    let mut sinks = Sinks::new();
    drive::services(&daemon, &planted, &mut sinks).await;
    drive::commands(&daemon, &config, &planted, &mut sinks);
    store(&config.path.join("state"), &mut sinks.store);
    drive::ends(&daemon, &mut sinks).await;
    store(&config.path.join("state"), &mut sinks.store);
    sinks.log.add(daemon.log());
    assert!(daemon.log().contains("TRACE"), "the daemon logs at TRACE when asked to");
    daemon.kill();
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

/// A planted leak in each sink, in each form, must be found: else the search
/// counts for nothing.
fn control(searcher: &Searcher, planted: &Planted, sinks: &Sinks) {
    for sink in sinks.all() {
        assert!(!sink.bytes.is_empty(), "nothing was written to {}", sink.name);
        for (index, secret) in planted.secrets.iter().enumerate() {
            let forms = forms::of(&secret.bytes);
            let form = &forms[index % forms.len()];
            let mut leaked = sink.bytes.clone();
            let middle = leaked.len() / 2;
            leaked.splice(middle..middle, form.bytes.iter().copied());
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
        } else {
            count += 1;
            sink.add(std::fs::read(path).unwrap());
        }
    }
    assert!(count > 0, "the store has files");
}
