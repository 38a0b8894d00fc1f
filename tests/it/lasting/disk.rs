//! A disk that is full, read-only, broken, slow, or that changed what it holds:
//! a clear refusal, never a wrong answer.

use std::path::Path;
use std::time::{Duration, Instant};

use paramd::proto::v1::{ResolveResult, Snapshot};
use tonic::{Code, Status};

use super::kills::{TOKEN, config, verify};
use super::{count, random};
use crate::support::client::{Client, resolve, run};
use crate::support::daemon::{Daemon, Launch};
use crate::support::disk::{Disk, Fate, SYNC, WRITE};
use crate::support::status::problem;
use crate::support::{wait_for, wait_until};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
/// How long the daemon waits for a commit.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

async fn token(client: &Client, id: &str) -> Result<Vec<u8>, Status> {
    let secrets = client.reveal_all(&run("small", id), "go", None).await?;
    Ok(secrets[0].payload.as_ref().unwrap().data.clone())
}

async fn made(client: &Client, id: &str) -> Snapshot {
    let answer = client.resolve(resolve("small", id)).await.unwrap();
    assert_eq!(answer.result(), ResolveResult::Created, "{id} was kept already");
    answer.snapshot.unwrap()
}

async fn found(client: &Client, id: &str, frozen: &Snapshot) {
    let answer = client.resolve(resolve("small", id)).await.unwrap();
    assert_eq!(answer.result(), ResolveResult::Replayed, "{id} is lost");
    assert_eq!(answer.snapshot.as_ref(), Some(frozen), "{id} changed");
    assert_eq!(token(client, id).await.unwrap(), TOKEN.as_bytes());
}

/// What has to be on disk first is refused, and the caller told to come again.
async fn refuses(client: &Client, known: &str, new: &str) {
    let resolved = client.resolve(resolve("small", new));
    let revealed = token(client, known);
    let (resolved, revealed) = tokio::join!(resolved, revealed);
    let answers = [resolved.map(drop).unwrap_err(), revealed.map(drop).unwrap_err()];
    for (status, reason) in answers.iter().zip(["STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE"]) {
        let problem = problem(status);
        assert_eq!(status.code(), Code::Unavailable, "{problem:?}");
        assert_eq!(problem.reason, reason, "{problem:?}");
        assert!(problem.retry, "{problem:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_refuses_and_serves_again_when_it_is_well() {
    let config = config();
    let (disk, launch) = Disk::below(Launch::plain(&config.path, config.around()));
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let frozen = made(&client, "a").await;
    for errno in [ENOSPC, EIO, EROFS] {
        disk.falls_ill(WRITE, 0, Fate::Fail(errno));
        let new = format!("new-{errno}");
        refuses(&client, "a", &new).await;
        assert!(disk.happened() > 0);
        disk.heals();
        found(&client, "a", &frozen).await;
        made(&client, &new).await;
        verify(&client).await;
    }
    assert!(daemon.log().contains("a commit failed"), "{}", daemon.log());
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_audit_no_start() {
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    launch.start().await.stop();
    for (operations, errno) in [(WRITE, ENOSPC), (WRITE, EROFS), (SYNC, EIO)] {
        let (disk, launch) = Disk::below(Launch::plain(&config.path, config.around()));
        disk.falls_ill(operations, 0, Fate::Fail(errno));
        let mut daemon = launch.spawn();
        let status = daemon.wait();
        assert!(!status.success(), "it serves without a log: {}", daemon.log());
        assert!(daemon.log().contains("paramd.db") || daemon.log().contains("the store"));
        assert!(disk.happened() > 0);
    }
    Launch::plain(&config.path, config.around()).start().await.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fsync_ends_the_process_and_nothing_that_was_answered_is_lost() {
    let config = config();
    let (disk, launch) = Disk::below(Launch::plain(&config.path, config.around()));
    let mut daemon = launch.start().await;
    let client = daemon.client().await;
    let frozen = made(&client, "a").await;
    disk.falls_ill(SYNC, 0, Fate::Fail(EIO));
    client.resolve(resolve("small", "b")).await.unwrap_err();
    let status = daemon.wait();
    assert!(!status.success(), "{status}");
    assert_eq!(disk.happened(), 1, "a failed fsync was tried again");
    for told in ["SQLITE_IOERR_FSYNC", "paramd.db"] {
        assert!(daemon.log().contains(told), "{}", daemon.log());
    }
    disk.heals();
    let daemon = launch.start().await;
    let client = daemon.client().await;
    found(&client, "a", &frozen).await;
    verify(&client).await;
    daemon.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_holds_up_nobody_for_longer_than_the_limit() {
    let config = config();
    let (disk, launch) = Disk::below(Launch::plain(&config.path, config.around()));
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let frozen = made(&client, "a").await;
    disk.falls_ill(SYNC, 0, Fate::Wait(2 * WRITE_LIMIT.as_millis() as i64));
    let begun = Instant::now();
    let reads = async {
        // Reads that needn't be on disk first are served all the while.
        for _ in 0..20 {
            let one = Instant::now();
            client.context(&run("small", "a"), "go").await.unwrap();
            assert!(one.elapsed() < WRITE_LIMIT / 4, "a read waits for the disk");
        }
    };
    tokio::join!(refuses(&client, "a", "b"), reads);
    let waited = begun.elapsed();
    assert!(waited >= WRITE_LIMIT && waited < WRITE_LIMIT * 3 / 2, "{waited:?}");
    disk.heals();
    wait_until("the last slow commit is over", 3 * WRITE_LIMIT, async || {
        token(&client, "a").await.ok()
    })
    .await;
    found(&client, "a", &frozen).await;
    // What was refused may have been written; asked again, it is one and the same.
    let answer = client.resolve(resolve("small", "b")).await.unwrap();
    found(&client, "b", answer.snapshot.as_ref().unwrap()).await;
    verify(&client).await;
    daemon.stop();
}

/// What a daemon does on a store that somebody or something changed.
#[derive(Debug, PartialEq)]
enum Served {
    /// It doesn't start, and names the store.
    Refused,
    /// It says that something can't be read, or that the log was changed.
    Told,
    /// All answers are as they were.
    Whole,
}

async fn serves(launch: &Launch, frozen: &[(String, Snapshot)]) -> Served {
    let mut daemon = launch.spawn();
    let socket = daemon.socket().to_owned();
    let ready = wait_for("the daemon serves or ends", Duration::from_secs(30), || {
        if daemon.is_running() {
            std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(true)
        } else {
            Some(false)
        }
    });
    if !ready {
        assert!(!daemon.wait().success());
        assert!(daemon.log().contains("paramd.db"), "{}", daemon.log());
        return Served::Refused;
    }
    daemon.ready().await;
    let told = answers(&daemon, frozen).await;
    daemon.kill();
    if told { Served::Told } else { Served::Whole }
}

/// Whether anything is told to be damaged; what is answered must be true.
async fn answers(daemon: &Daemon, frozen: &[(String, Snapshot)]) -> bool {
    let client = daemon.client().await;
    let mut told = false;
    for (id, snapshot) in frozen {
        let context = client.context(&run("small", id), "go").await;
        let secret = token(&client, id).await;
        let again = client.resolve(resolve("small", id)).await;
        for status in [context.as_ref().err(), secret.as_ref().err(), again.as_ref().err()]
            .into_iter()
            .flatten()
        {
            let reason = problem(status).reason;
            let known = ["SNAPSHOT_UNREADABLE", "STORE_UNAVAILABLE", "AUDIT_UNAVAILABLE"];
            assert!(known.contains(&reason.as_str()), "{id}: {status:?}");
            told = true;
        }
        if let Ok(context) = context {
            assert_eq!(context.context.unwrap().instances[0].run, ["echo", id.as_str()], "{id}");
        }
        if let Ok(secret) = secret {
            assert_eq!(secret, TOKEN.as_bytes(), "{id}");
        }
        if let Ok(again) = again {
            assert_eq!(again.result(), ResolveResult::Replayed, "{id} was forgotten");
            assert_eq!(again.snapshot.as_ref(), Some(snapshot), "{id}");
        }
    }
    let mut audit = client.audit.clone();
    match audit.verify_log(paramd::proto::v1::VerifyLogRequest::default()).await {
        Ok(report) => told || report.into_inner().chains.iter().any(|chain| chain.defect != 0),
        Err(_) => true,
    }
}

fn changed(path: &Path, bytes: &[u8], round: usize) -> String {
    let mut bytes = bytes.to_vec();
    let at = (random() % bytes.len() as u64) as usize;
    let how = match round % 4 {
        0 => {
            bytes.truncate(at);
            format!("cut at {at}")
        }
        1 => {
            let end = bytes.len().min(at + 4096);
            bytes[at..end].fill(0);
            format!("zeroes at {at}")
        }
        _ => {
            let bit = random() % 8;
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of {at} flipped")
        }
    };
    std::fs::write(path, bytes).unwrap();
    how
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_bytes_were_changed_gives_no_wrong_answer() {
    let rounds = count(40);
    let config = config();
    let launch = Launch::plain(&config.path, config.around());
    let daemon = launch.start().await;
    let client = daemon.client().await;
    let mut frozen = Vec::new();
    for number in 0..12 {
        let id = format!("r{number}");
        frozen.push((id.clone(), made(&client, &id).await));
    }
    daemon.stop();
    let store = config.path.join("state/paramd.db");
    let whole = std::fs::read(&store).unwrap();
    let mut served = Vec::new();
    for round in 0..rounds {
        for beside in ["state/paramd.db-wal", "state/paramd.db-shm"] {
            let _ = std::fs::remove_file(config.path.join(beside));
        }
        let how = changed(&store, &whole, round);
        println!("{round}: {how}");
        served.push(serves(&launch, &frozen).await);
    }
    let times = |what| served.iter().filter(|served| **served == what).count();
    let [refused, told, unseen] = [Served::Refused, Served::Told, Served::Whole].map(times);
    println!("{rounds} changes: {refused} refused, {told} told, {unseen} of no effect");
    assert!(refused > 0 && told > 0, "the changes hit nothing");
}
