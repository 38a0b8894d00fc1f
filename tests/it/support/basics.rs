//! Where things are, and waiting for what is asked for.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Python with the pinned packages of `scripts/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    let venv = std::env::var_os("PARAMD_TEST_VENV")
        .map_or_else(|| root().join("target/test-tools/venv"), PathBuf::from);
    let python = venv.join("bin/python");
    assert!(python.exists(), "no {}: scripts/test makes it", python.display());
    python
}

/// Asks `ready` until it answers, at most `limit` long.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ready() {
            return answer;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Asks `ready` until it answers, at most `limit` long.
pub(crate) async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut ready: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ready().await {
            return answer;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port of the loopback that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
