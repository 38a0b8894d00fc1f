//! Variables that may have served as secrets are wiped where the kernel shows
//! them: in the block that `/proc/PID/environ` reads.
//!
//! The block is overwritten through `/proc/self/mem`, which needs no `unsafe`, but
//! changes memory that the C library reads. So it is done while there is one
//! thread, and only values are overwritten, by NUL bytes: each stays a string.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use zeroize::Zeroizing;

/// Variables that libraries look up while the process runs. Each is public.
const READ_LATER: [&str; 33] = [
    "CREDENTIALS_DIRECTORY",
    "GLIBC_TUNABLES",
    "HOME",
    "HOSTALIASES",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LANGUAGE",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOCALDOMAIN",
    "LOGNAME",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "PARAMD_ENDPOINT",
    "PARAMD_LOG",
    "PATH",
    "PWD",
    "RES_OPTIONS",
    "RUNTIME_DIRECTORY",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STATE_DIRECTORY",
    "TERM",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "USER",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];
/// And those that begin so.
const READ_LATER_WITH: [&str; 4] = ["LC_", "LD_", "OTEL_", "XDG_"];

/// Whether a variable stays readable in a daemon's `/proc/PID/environ`.
pub fn stays(name: &[u8]) -> bool {
    READ_LATER.iter().any(|known| known.as_bytes() == name)
        || READ_LATER_WITH.iter().any(|start| name.starts_with(start.as_bytes()))
}

/// Overwrites the values of those variables of the process's first environment
/// that `is_wiped` says. Whoever needs one has a copy of it.
///
/// # Errors
/// The kernel gives no way to the block: `/proc` isn't there, or is closed.
pub fn wipe(is_wiped: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let block = block(&std::fs::read_to_string("/proc/self/stat")?)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let memory = OpenOptions::new().read(true).write(true).open("/proc/self/mem")?;
    let length = usize::try_from(block.end.saturating_sub(block.start)).unwrap_or(0);
    let mut bytes = Zeroizing::new(vec![0; length]);
    memory.read_exact_at(&mut bytes, block.start)?;
    for value in values(&bytes, is_wiped) {
        overwrite(&memory, block.start, value)?;
    }
    Ok(())
}

/// Where the block is: the fields `env_start` and `env_end` of proc(5). The
/// second may be any text in parentheses.
fn block(stat: &str) -> Option<Range<u64>> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(47);
    let start: u64 = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (start != 0 && start <= end).then_some(start..end)
}

/// Where in the block the values of these variables are.
fn values(block: &[u8], is_wiped: impl Fn(&[u8]) -> bool) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut found = Vec::new();
    for entry in block.split(|byte| *byte == 0) {
        let end = at + entry.len();
        if let Some(name) = entry.iter().position(|byte| *byte == b'=')
            && entry.get(..name).is_some_and(&is_wiped)
        {
            found.push(at + name + 1..end);
        }
        at = end + 1;
    }
    found
}

fn overwrite(memory: &File, start: u64, value: Range<usize>) -> io::Result<()> {
    let at = start.saturating_add(value.start as u64);
    memory.write_all_at(&vec![0; value.len()], at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_found_behind_any_name() {
        let fields: Vec<_> = (3..=52).map(|number| number.to_string()).collect();
        let stat = format!("1 (a) (b)) {}", fields.join(" "));
        assert_eq!(block(&stat), Some(50..51));
        assert_eq!(block(&stat.replace(" 50 ", " 0 ")), None);
        assert_eq!(block("1 (a) S 2"), None);
    }

    #[test]
    fn values_are_found_and_nothing_around_them() {
        let block = b"A=one\0TOKEN=s=e\0EMPTY=\0no-equals\0TOKENS=x\0";
        let found = values(block, |name| name == b"TOKEN" || name == b"EMPTY");
        assert_eq!(found, [12..15, 22..22]);
        assert_eq!(&block[12..15], b"s=e");
    }

    #[test]
    fn what_libraries_read_stays() {
        for name in ["PATH", "TZ", "LC_ALL", "LD_LIBRARY_PATH", "NOTIFY_SOCKET"] {
            assert!(stays(name.as_bytes()), "{name}");
        }
        for name in ["PARAMD_TOKEN", "VAULT_TOKEN", "PATHS", "", "DATABASE_PASSWORD"] {
            assert!(!stays(name.as_bytes()), "{name}");
        }
    }
}
