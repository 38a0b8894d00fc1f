//! The clients: each drives the daemon and the baseline alike, over as many
//! connections of its own to each.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tonic::transport::Channel;

use crate::process;
use crate::report::Sample;
use crate::support::client::channel;

/// A server that is measured.
pub(crate) struct Target<'a> {
    pub(crate) socket: &'a Path,
    pub(crate) pid: u32,
}

/// Connections to a server.
pub(crate) async fn channels(socket: &Path, count: usize) -> Vec<Channel> {
    join_all((0..count).map(|_| async { channel(socket).await.unwrap() })).await
}

/// Calls as fast as they are answered, so many at a time, for a while.
pub(crate) async fn rate<F: Future<Output = ()>>(
    target: &Target<'_>,
    channels: &[Channel],
    in_flight: usize,
    span: Duration,
    call: impl Fn(Channel) -> F,
) -> Sample {
    let (cpu, begun) = (process::cpu(target.pid), Instant::now());
    let worker = async |index: usize| {
        let channel = &channels[index % channels.len()];
        let mut calls = 0_u64;
        while begun.elapsed() < span {
            call(channel.clone()).await;
            calls += 1;
        }
        calls
    };
    let calls: u64 = join_all((0..in_flight).map(worker)).await.into_iter().sum();
    sample(calls, begun.elapsed(), process::cpu(target.pid) - cpu)
}

fn sample(calls: u64, took: Duration, cpu: Duration) -> Sample {
    let calls = calls as f64;
    Sample { value: calls / took.as_secs_f64(), cpu_us: Some(cpu.as_secs_f64() * 1e6 / calls) }
}

/// How h2load is to ask.
pub(crate) struct H2load {
    /// The rpc's path.
    pub(crate) path: String,
    /// A file with the request's message in its frame.
    pub(crate) body: PathBuf,
    /// The bytes of each answer's message in its frame.
    pub(crate) answer_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

impl H2load {
    /// Calls so often; each answer has come, and whole.
    pub(crate) fn run(&self, target: &Target<'_>, calls: u64) -> Sample {
        let in_each = (self.in_flight / self.connections).to_string();
        let base = format!("--base-uri=unix:{}", target.socket.display());
        let (body, url) =
            (self.body.display().to_string(), format!("http://localhost{}", self.path));
        let mut words = vec!["-m", &in_each, "-d", &body, &base, &url];
        words.extend(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
        h2load(self.connections, calls, self.answer_bytes, target.pid, &words)
    }
}

/// Reads of a URL over HTTP/1.1 and keep-alive, on as many connections.
pub(crate) fn keep_alive(
    url: &str,
    header: &str,
    connections: usize,
    answer_bytes: usize,
    pid: u32,
    calls: u64,
) -> Sample {
    h2load(connections, calls, answer_bytes, pid, &["--h1", "-H", header, url])
}

fn h2load(connections: usize, calls: u64, answer_bytes: usize, pid: u32, words: &[&str]) -> Sample {
    let cpu = process::cpu(pid);
    let output = Command::new("h2load")
        .args(["-t", "1", "-n", &calls.to_string(), "-c", &connections.to_string()])
        .args(words)
        .output()
        .expect("h2load runs: install nghttp2-client");
    let cpu = process::cpu(pid) - cpu;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains(&format!("{calls} done, {calls} succeeded, 0 failed")), "{told}");
    // Told in bytes and not rounded: an error would have no message.
    let data = calls * answer_bytes as u64;
    assert!(told.contains(&format!("({data}) data")), "not all answers were whole: {told}");
    let word = |after: &str| {
        let rest = told.split_once(after).unwrap().1;
        rest.split([',', ' ']).next().unwrap().to_owned()
    };
    sample(calls, Duration::from_secs_f64(seconds(&word("finished in "))), cpu)
}

/// `1.25s`, `250.10ms` or `90us`.
fn seconds(text: &str) -> f64 {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let scale = match &text[digits.len()..] {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" => 1e-6,
        unit => panic!("h2load tells a time in {unit}"),
    };
    digits.parse::<f64>().unwrap() * scale
}

/// A message in the frame that gRPC gives it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// A second client of HTTP/2, by other people and in another language.
pub(crate) struct Ghz<'a> {
    /// The program.
    pub(crate) program: &'a Path,
    /// The rpc, as `package.Service/Method`.
    pub(crate) call: String,
    /// A file with the contract's descriptors.
    pub(crate) contract: PathBuf,
    /// A file with the request's message.
    pub(crate) body: PathBuf,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
}

impl Ghz<'_> {
    /// Calls so often; each is answered.
    pub(crate) fn run(&self, target: &Target<'_>, calls: u64) -> Sample {
        let cpu = process::cpu(target.pid);
        let output = Command::new(self.program)
            .args(["--insecure", "--format=json", "--protoset"])
            .arg(&self.contract)
            .args(["--call", &self.call, "--total", &calls.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--concurrency", &self.in_flight.to_string(), "--binary-file"])
            .arg(&self.body)
            .arg(format!("unix:{}", target.socket.display()))
            .output()
            .expect("ghz runs");
        let cpu = process::cpu(target.pid) - cpu;
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let answered = told["statusCodeDistribution"]["OK"].as_u64();
        assert_eq!(answered, Some(calls), "not all calls were answered");
        sample(calls, Duration::from_nanos(told["total"].as_u64().unwrap()), cpu)
    }
}
