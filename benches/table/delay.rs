//! A way to a server on which each answer comes so long after its question.
//!
//! Threads that block: a timer of the runtime would be a millisecond off.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// Listens on a port of its own, and gives it.
pub(crate) fn delayed(server: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            pass(client, server, delay);
        }
    });
    port
}

fn pass(client: TcpStream, server: TcpStream, delay: Duration) {
    let asked = Arc::new(Mutex::new(Instant::now()));
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let when = asked.clone();
    spawn(move || copy(from, to, || *when.lock().unwrap() = Instant::now()));
    spawn(move || {
        copy(server, client, || {
            let due = *asked.lock().unwrap() + delay;
            sleep(due.saturating_duration_since(Instant::now()));
        });
    });
}

/// Passes all on; `before` each part that is passed.
fn copy(mut from: TcpStream, mut to: TcpStream, mut before: impl FnMut()) {
    let mut part = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut part) {
        before();
        if to.write_all(&part[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
