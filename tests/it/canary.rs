//! No secret byte where it doesn't belong: secrets are planted in every source,
//! every rpc and command is driven through success and failure at TRACE, and all
//! that was written is searched for them, in every form. Leaks that are planted
//! into what was written, one of each form in each place, must all be found.
//!
//! `PARAMD_CANARY_LONG=1` plants twice as many and calls the commands with
//! all of them.

mod drive;
mod forms;
mod literals;
mod memory;
mod pipelines;
mod plant;
mod search;
mod secret;
mod sinks;
mod wire;

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use self::drive::{Drive, commands, misplaced, processes, rpcs, sources, tokens};
use self::forms::FORMS;
use self::plant::{Planted, SOURCES, Servers};
use self::search::Searcher;
use self::secret::Secret;
use self::sinks::Sinks;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::jwt::Issuer;
use crate::support::otlp::Receiver;
use crate::support::{free_port, root};

/// Asks for the long form.
const LONG: &str = "PARAMD_CANARY_LONG";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_it_does_not_belong() {
    let begun = Instant::now();
    let each = if std::env::var_os(LONG).is_some() { 128 } else { 64 };
    let mut planted = Planted::new(each);
    let servers = Servers::start().await;
    let config = plant::configure(&servers, &mut planted).await;
    let (port, receiver) = (free_port(), Receiver::start().await);
    let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
    let told =
        format!("metrics: \"127.0.0.1:{port}\"\ntraces: {{ otlp: \"{}\" }}\n", receiver.address());
    config.write("paramd.yaml", told + Issuer::SETTINGS + &settings);
    let jwt = Issuer::new(&config.path).token("canary");
    // The rest says who and until when, and is good for nothing without it.
    planted.add("jwt", jwt.rsplit('.').next().unwrap());
    let manager = UnixDatagram::bind(config.around().join("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();

    let first = launch(&config, &planted, config.around()).start().await;
    let token = tokens::made(&config);
    keys(&config, &token, &mut planted);
    let mut sinks = Sinks::new();
    let mut drive = Drive::new(&planted, &mut sinks);
    tokens::live(&mut drive, &first, &config, &token).await;
    tokens::signed(&mut drive, &first, &jwt).await;
    until_an_abort(&mut drive, first, &config, port).await;
    assert!(servers.postgres.log().contains("told: "), "PostgreSQL was told to speak of values");
    let second = started_again(&config, &planted).await;
    until_a_fault(&mut drive, second, &config, servers, port).await;
    receiver.wait_for("RevealSecrets").await;
    drive.sinks.add("spans", receiver.bytes());
    let is_key = |name: &str| name.ends_with(".key");
    let state = config.path.join("state");
    sinks::files(&state, drive.sinks, "the store's folder after a crash", &is_key);
    sources::broken_store(&mut drive, &config);
    processes::left(&mut drive, &config, "files that are left");
    let mut message = [0; 4_096];
    while let Ok(length) = manager.recv(&mut message) {
        drive.sinks.add("words to the service manager", &message[..length]);
    }
    drive.note_served();
    drive.check();
    let driven = drive.counts();
    sinks.check();
    let drove = begun.elapsed();
    let counts = search(&planted, &mut sinks);
    let all = [driven, counts].concat();
    println!(
        "canary: {}; drove {:.0} s, searched {:.0} s",
        all.join(", "),
        drove.as_secs_f64(),
        (begun.elapsed() - drove).as_secs_f64()
    );
    told_on_the_page(&all);
}

/// A daemon's life with sources that live.
async fn until_an_abort(drive: &mut Drive<'_>, daemon: Daemon, config: &Config, metrics: u16) {
    let state = config.path.join("state");
    rpcs::services(drive, &daemon).await;
    rpcs::write_ahead_log(drive, &daemon, &state).await;
    misplaced::everywhere(drive, &daemon).await;
    commands::all(drive, &daemon, config);
    processes::of_commands(drive, &daemon, config);
    processes::of_daemon(drive, &daemon);
    processes::panics(drive);
    for write in [literals::refused, literals::literal] {
        let bad = Config::copy(&config.path);
        write(&bad, drive.planted);
        commands::literals(drive, &daemon, &bad);
    }
    sinks::store(&state, drive.sinks);
    rpcs::ends(drive, &daemon).await;
    rpcs::write_ahead_log(drive, &daemon, &state).await;
    rpcs::audit(drive, &daemon).await;
    rpcs::reflected(drive, &daemon).await;
    sources::refuse_a_bundle(drive, &daemon, config).await;
    drive.sinks.add("metrics", scraped(metrics).await);
    let log = daemon.log();
    processes::crash(drive, daemon, config, Signal::ABORT);
    heard(&log);
    drive.sinks.add("the daemon's log as text", log);
}

/// A second one, on a store in which a run was changed.
async fn started_again(config: &Config, planted: &Planted) -> Daemon {
    sources::tamper(&config.path.join("state"));
    let folder = config.around().join("second");
    std::fs::create_dir(&folder).unwrap();
    let mut launch = launch(config, planted, &folder);
    launch.words = vec!["--log-format".into(), "json".into()];
    launch.start().await
}

/// Its life, in which the sources die.
async fn until_a_fault(
    drive: &mut Drive<'_>,
    daemon: Daemon,
    config: &Config,
    servers: Servers,
    metrics: u16,
) {
    sources::after_an_abort(drive, &daemon).await;
    sources::dead(drive, &daemon, servers).await;
    rpcs::audit(drive, &daemon).await;
    drive.sinks.add("metrics", scraped(metrics).await);
    drive.sinks.add("the daemon's log as JSON", daemon.log());
    processes::crash(drive, daemon, config, Signal::SEGV);
}

/// The daemon with all it has to say, and with what sources read of its variables.
fn launch(config: &Config, planted: &Planted, folder: &Path) -> Launch {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let each = names.map(|name| format!("{}=trace", name.replace('-', "_")));
    let everything = ["trace".to_owned()].into_iter().chain(each).collect::<Vec<_>>().join(",");
    let mut launch = Launch::plain(&config.path, folder)
        .env("PARAMD_LOG", &everything)
        .env("RUST_LOG", &everything)
        .env("RUST_BACKTRACE", "full")
        .env("NOTIFY_SOCKET", config.around().join("notify").to_str().unwrap())
        .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    launch.before = "ulimit -c unlimited; ";
    for (name, value) in planted.variables() {
        launch = launch.env(&name, &value);
    }
    launch
}

async fn scraped(port: u16) -> String {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/metrics")).await.unwrap();
    answer.text().await.unwrap()
}

/// The crates through whose hands secrets pass were asked for all that they have
/// to say, and those that may not speak were silent.
fn heard(log: &str) {
    let mut spoke = BTreeSet::new();
    for line in log.lines() {
        let target =
            line.split_whitespace().find(|word| word.contains("::") && word.ends_with(':'));
        spoke.extend(target.and_then(|target| target.split("::").next()));
    }
    for target in ["h2", "hyper_util", "reqwest", "tonic", "paramd"] {
        assert!(spoke.contains(target), "{target} said nothing: {spoke:?}");
    }
    for silenced in ["vaultrs", "rustify", "sqlx"] {
        assert!(!log.contains(silenced), "{silenced} spoke");
    }
}

/// The daemon's own keys are secrets too, and so is a bearer token.
fn keys(config: &Config, token: &str, planted: &mut Planted) {
    for name in ["sealing", "fingerprints", "tokens"] {
        let path = config.path.join(format!("state/{name}.key"));
        let line = std::fs::read_to_string(path).unwrap();
        let (_, digits) = line.trim().rsplit_once(':').unwrap();
        planted.add(&format!("{name} key"), hex::decode(digits).unwrap());
    }
    let random = token.rsplit('_').next().unwrap();
    planted.add("bearer token's random part", random);
    planted.add_after(token.len() - random.len(), "bearer token", token);
}

/// Searches all places for all secrets, and for a leak of each form that is put
/// into the midst of each: those are found, and nothing else is. The counts.
fn search(planted: &Planted, sinks: &mut Sinks) -> Vec<String> {
    let mut secrets = planted.all();
    let real = secrets.len();
    for sink in sinks.all_mut() {
        let mut leaks = Vec::new();
        for form in &FORMS {
            let secret = Secret::of_control();
            leaks.push(b'\n');
            leaks.extend((form.leaked)(&secret.bytes));
            leaks.push(b'\n');
            secrets.push(secret);
        }
        let middle = sink.bytes.len() / 2;
        sink.bytes.splice(middle..middle, leaks);
    }
    let searcher = Searcher::new(&secrets);
    let (mut leaks, mut found, mut bytes) = (Vec::new(), BTreeSet::new(), 0);
    let places = sinks.all().len();
    for (place, (name, sink)) in sinks.all().enumerate() {
        bytes += sink.bytes.len();
        for hit in searcher.search(&sink.bytes, sink.is_text) {
            let form = FORMS[usize::from(hit.form)].name;
            match (hit.secret as usize).checked_sub(real) {
                None => {
                    leaks.push(format!("{} as {form} in {name}", secrets[hit.secret as usize].name))
                }
                Some(control) => {
                    assert_eq!(
                        control / FORMS.len(),
                        place,
                        "a leak of another place is in {name}"
                    );
                    if control % FORMS.len() == usize::from(hit.form) {
                        found.insert(control);
                    }
                }
            }
        }
    }
    for control in 0..places * FORMS.len() {
        let (place, form) = (control / FORMS.len(), &FORMS[control % FORMS.len()]);
        let place = sinks.all().nth(place).unwrap().0;
        assert!(found.contains(&control), "a leak as {} in {place} is not found", form.name);
    }
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
    vec![
        format!("{} secrets ({} of each of {} sources)", real, planted.each, SOURCES.len()),
        format!("{places} places"),
        format!("{} MB", bytes / 1_000_000),
        format!("{} forms", FORMS.len()),
        format!("{} patterns", searcher.patterns()),
        format!("{} hits", leaks.len()),
        format!("{} of {} planted leaks found", found.len(), places * FORMS.len()),
    ]
}

/// The page on the proofs has these counts, but for those that vary.
fn told_on_the_page(counts: &[String]) {
    if std::env::var_os(LONG).is_some() {
        return;
    }
    let page = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    for count in counts {
        let varies = count.ends_with(" MB") || count.ends_with(" patterns");
        assert!(varies || page.contains(count), "docs/testing.md doesn't say {count}");
    }
}
