//! Floods of HTTP/2 and slow clients, while one who behaves goes on being served:
//! how often beside each attack is compared with how often without.

mod crowds;
mod frames;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use paramd::proto::v1::{GetContextRequest, GetContextResponse};
use tonic::Request;

use crate::support::client::{Client, channel, resolve, run};
use crate::support::command::paramd;
use crate::support::config::Config;
use crate::support::daemon::{Daemon, Launch};
use crate::support::frames::Raw;

/// How long the client is counted without and beside an attack.
const SPAN: Duration = Duration::from_millis(600);
/// The least share of its answers that it gets beside one, in the best of so many
/// rounds: the attackers take their time on the same processors.
const FLOOR: f64 = 0.2;
const ROUNDS: usize = 5;
/// How long a newcomer may take to be served.
const NEWCOMER: Duration = Duration::from_secs(5);
const PIPELINE: &str = "name: small
parameters:
  epochs: { type: integer, default: 10 }
  note: { type: string, default: \"@NOTE@\" }
steps: [{ name: go, params: [epochs, note], run: [echo] }]
";

/// An attack.
struct Attack {
    name: &'static str,
    /// Goes on until told to stop.
    work: fn(&Arena),
    /// Each connection has to be ended by the daemon.
    ends: bool,
    /// By how many MiB the daemon's memory may grow.
    growth: u64,
}

/// Where an attack goes on, and what came of it.
struct Arena {
    socket: PathBuf,
    over: AtomicBool,
    connections: AtomicUsize,
    ended: AtomicUsize,
    frames: AtomicUsize,
}

impl Arena {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn sent(&self, frames: usize) {
        self.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// Goes on with `more` on one connection after the other.
    fn on_each(
        &self,
        settings: &[u8],
        more: impl Fn(&mut Raw, &mut u32) -> std::io::Result<usize>,
    ) {
        while !self.is_over() {
            // Refused at the door: another one later.
            let Ok(mut raw) = Raw::open(&self.socket, settings) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            self.connections.fetch_add(1, Ordering::Relaxed);
            let mut id = 1;
            while !self.is_over() && !raw.is_ended() {
                match more(&mut raw, &mut id) {
                    Ok(frames) => self.sent(frames),
                    Err(_) => break,
                }
            }
            // The end may be on its way.
            let begun = Instant::now();
            while !raw.is_ended() && begun.elapsed() < Duration::from_millis(500) {
                std::thread::sleep(Duration::from_millis(1));
            }
            if raw.is_ended() {
                self.ended.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A daemon, and one who behaves.
struct Stage {
    config: Config,
    daemon: Daemon,
    client: Client,
    bearer: String,
    expected: GetContextResponse,
}

impl Stage {
    async fn new() -> Self {
        let config = Config::new("", "small", &PIPELINE.replace("@NOTE@", &"n".repeat(2_000)));
        // A build for debugging is some ten times as slow as one that is shipped.
        let settings = std::fs::read_to_string(config.path.join("paramd.yaml")).unwrap();
        let limits = "limits: { principal: { requests: 500 } }\n";
        config.write("paramd.yaml", format!("{settings}{limits}"));
        let directory = config.path.to_str().unwrap().to_owned();
        let made = paramd(["token", "create", "good", "--config", &directory]).ok();
        let bearer = format!("Bearer {}", made.out.trim());
        let daemon = Launch::plain(&config.path, config.around()).start().await;
        let client = daemon.client().await;
        client.resolve(resolve("small", "a")).await.unwrap();
        let mut stage = Self { config, daemon, client, bearer, expected: <_>::default() };
        let answer = stage.client.context.clone().get_context(stage.asks()).await;
        stage.expected = answer.unwrap().into_inner();
        stage
    }

    /// The attackers are the socket's uid, so this one is somebody else.
    fn asks(&self) -> Request<GetContextRequest> {
        let mut request = Request::new(GetContextRequest {
            run: Some(run("small", "a")),
            step: "go".into(),
            ..GetContextRequest::default()
        });
        request.metadata_mut().insert("authorization", self.bearer.parse().unwrap());
        request
    }

    /// How many answers the client gets in a while, each the right one.
    async fn served(&self) -> f64 {
        let (begun, mut served) = (Instant::now(), 0.0);
        let mut context = self.client.context.clone();
        while begun.elapsed() < SPAN {
            let answer = context.get_context(self.asks()).await.expect("it goes on being served");
            assert_eq!(answer.into_inner(), self.expected);
            served += 1.0;
        }
        served
    }

    /// One who connects now is served too.
    async fn newcomer(&self, name: &str) {
        let served = tokio::time::timeout(NEWCOMER, async {
            loop {
                // Somebody else may have taken the place of one who says nothing yet.
                let Ok(channel) = channel(self.daemon.socket()).await else { continue };
                let answer = Client::new(channel).context.get_context(self.asks()).await;
                if let Ok(answer) = answer {
                    return answer.into_inner();
                }
            }
        });
        let served = served.await.unwrap_or_else(|_| panic!("{name}: no newcomer is served"));
        assert_eq!(served, self.expected);
    }

    fn memory(&self, line: &str) -> u64 {
        let status = format!("/proc/{}/status", self.daemon.pid());
        let text = std::fs::read_to_string(status).unwrap();
        let line = text.lines().find_map(|one| one.strip_prefix(line)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10
    }

    /// Tries an attack: how much of its answers the client got beside it.
    async fn attacked(&self, attack: &Attack) {
        // What the daemon has had at most is counted anew.
        std::fs::write(format!("/proc/{}/clear_refs", self.daemon.pid()), "5").unwrap();
        let before = self.memory("VmRSS:");
        let mut best = 0.0_f64;
        let mut told = String::new();
        for _ in 0..ROUNDS {
            let calm = self.served().await;
            let arena = Arc::new(Arena {
                socket: self.daemon.socket().to_owned(),
                over: AtomicBool::new(false),
                connections: AtomicUsize::new(0),
                ended: AtomicUsize::new(0),
                frames: AtomicUsize::new(0),
            });
            let attacker = std::thread::spawn({
                let (arena, work) = (Arc::clone(&arena), attack.work);
                move || work(&arena)
            });
            let begun = Instant::now();
            while arena.connections.load(Ordering::Relaxed) == 0 {
                assert!(begun.elapsed() < NEWCOMER, "{}: nobody attacks", attack.name);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let beside = self.served().await;
            self.newcomer(attack.name).await;
            arena.over.store(true, Ordering::Relaxed);
            tokio::task::spawn_blocking(|| attacker.join().unwrap()).await.unwrap();
            let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
            let (connections, ended) = (count(&arena.connections), count(&arena.ended));
            if attack.ends {
                assert!(ended > 0, "{}: none of {connections} was ended", attack.name);
            }
            best = best.max(beside / calm);
            told = format!(
                "{connections} connections, {ended} ended, {} frames; {beside:.0} answers beside \
                 it, {calm:.0} without",
                count(&arena.frames)
            );
            if best >= FLOOR {
                break;
            }
        }
        let growth = self.memory("VmHWM:").saturating_sub(before);
        println!("{}: {told}: {best:.2}; {growth} MiB more", attack.name);
        assert!(best >= FLOOR, "{}: {told}: {best:.2}", attack.name);
        assert!(growth <= attack.growth, "{}: {growth} MiB more", attack.name);
    }
}

async fn all(attacks: &[Attack]) {
    let stage = Stage::new().await;
    for attack in attacks {
        stage.attacked(attack).await;
    }
    let log = stage.daemon.log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(Path::new(&stage.config.path).exists());
    stage.daemon.stop();
}
