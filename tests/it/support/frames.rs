//! HTTP/2 by hand, for clients that no library would be: frames are written as
//! they are asked for, and what comes back is only looked at.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

/// The headers of a gRPC request.
pub(crate) fn block(path: &str) -> Vec<u8> {
    // Fields that go into no table: each block stands for itself.
    let field = |index: u8, value: &str| {
        [&[index, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
    };
    let mut block = vec![0x83, 0x86];
    block.extend(field(0x04, path));
    block.extend(field(0x01, "a"));
    // `content-type` is 31 in the static table: 15 and 16 more.
    block.push(0x0f);
    block.extend(field(16, "application/grpc"));
    block
}

/// A message in gRPC's frame, which may say more than there is.
pub(crate) fn message(says: usize, bytes: &[u8]) -> Vec<u8> {
    [&[0], &u32::try_from(says).unwrap().to_be_bytes()[..], bytes].concat()
}

/// What came of a connection.
#[derive(Default)]
pub(crate) struct Seen {
    /// The daemon has ended it.
    pub(crate) ended: AtomicBool,
    /// It said so before.
    pub(crate) goaway: AtomicBool,
    /// Frames of headers: answers.
    pub(crate) answers: AtomicUsize,
    /// Bytes of data that the daemon has let the connection have beyond the first
    /// 65,535.
    pub(crate) credit: AtomicUsize,
}

/// A connection by hand.
pub(crate) struct Raw {
    stream: UnixStream,
    pub(crate) seen: Arc<Seen>,
    reader: Option<JoinHandle<()>>,
}

impl Raw {
    /// Connects and sends nothing. What comes is read where `reads` says so.
    pub(crate) fn connect(socket: &Path, reads: bool) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(Duration::from_millis(300)))?;
        let seen = Arc::<Seen>::default();
        let reader = reads.then(|| {
            let (stream, seen) = (stream.try_clone().unwrap(), Arc::clone(&seen));
            std::thread::spawn(move || read(stream, &seen))
        });
        Ok(Self { stream, seen, reader })
    }

    /// Opens HTTP/2 with these settings.
    pub(crate) fn open(socket: &Path, settings: &[u8]) -> std::io::Result<Self> {
        let mut raw = Self::connect(socket, true)?;
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat())?;
        Ok(raw)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Whether the daemon has ended it.
    pub(crate) fn is_ended(&self) -> bool {
        self.seen.ended.load(Ordering::Relaxed)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Reads until the end, frame by frame.
fn read(mut stream: UnixStream, seen: &Seen) {
    let mut rest = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        rest.extend_from_slice(&buffer[..read]);
        let mut at = 0;
        while let Some(head) = rest.get(at..at + 9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let end = at + 9 + usize::try_from(length).unwrap();
            if end > rest.len() {
                break;
            }
            match head[3] {
                GOAWAY => seen.goaway.store(true, Ordering::Relaxed),
                HEADERS => _ = seen.answers.fetch_add(1, Ordering::Relaxed),
                WINDOW_UPDATE if head[5..9] == [0; 4] && length == 4 => {
                    let more = u32::from_be_bytes(rest[at + 9..at + 13].try_into().unwrap());
                    seen.credit.fetch_add(usize::try_from(more).unwrap(), Ordering::Relaxed);
                }
                _ => {}
            }
            at = end;
        }
        rest.drain(..at);
    }
    seen.ended.store(true, Ordering::Relaxed);
}
