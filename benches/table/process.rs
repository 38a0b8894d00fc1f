//! What a process has used, as the kernel tells.

use std::time::Duration;

/// Time on a processor, of all threads that the process has now.
pub(crate) fn cpu(pid: u32) -> Duration {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        // One that has just ended has no such file any more.
        let told = std::fs::read_to_string(thread.unwrap().path().join("schedstat"));
        let first = told.ok().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        nanoseconds += first.unwrap_or(0);
    }
    Duration::from_nanos(nanoseconds)
}

/// Resident memory, and that of it which is its own and can't be read from a file
/// again, in bytes.
pub(crate) fn memory(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    };
    (field("Rss:"), field("Private_Dirty:"))
}
