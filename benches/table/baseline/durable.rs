//! One file that records are appended to, with group commit: what waits is
//! written and made durable together.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use tokio::sync::{mpsc, oneshot};

/// The bytes of a record.
const RECORD: usize = 300;

/// The file's writer.
pub(super) struct Log(mpsc::Sender<oneshot::Sender<()>>);

impl Log {
    pub(super) fn open(path: &Path) -> Self {
        let file = File::options().create(true).append(true).open(path).unwrap();
        let (sender, receiver) = mpsc::channel(1024);
        std::thread::spawn(move || write(file, receiver));
        Self(sender)
    }

    /// Appends a record; it is durable when this returns.
    pub(super) async fn append(&self) {
        let (done, durable) = oneshot::channel();
        self.0.send(done).await.unwrap();
        durable.await.unwrap();
    }
}

fn write(mut file: File, mut waiting: mpsc::Receiver<oneshot::Sender<()>>) {
    let mut taken = Vec::with_capacity(64);
    while waiting.blocking_recv_many(&mut taken, 64) > 0 {
        file.write_all(&vec![b'r'; RECORD * taken.len()]).unwrap();
        rustix::fs::fdatasync(&file).unwrap();
        for done in taken.drain(..) {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}
