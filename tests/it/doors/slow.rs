//! Clients that wait hold up nobody.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{House, address, ask, tcp};

/// The beginning of a TLS client's hello.
const HALF_A_HELLO: [u8; 8] = [0x16, 3, 1, 2, 0, 1, 0, 1];

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_half_a_hello_or_nothing_hold_up_nobody_and_are_ended() {
    let house = House::new();
    let daemon = house.open().await;
    let endpoint = tcp(&daemon);
    let mut waiting = Vec::new();
    // More than there are places: the oldest of them give way.
    for index in 0..450 {
        let mut stream = TcpStream::connect(address(&endpoint)).await.unwrap();
        if index % 2 == 0 {
            stream.write_all(&HALF_A_HELLO).await.unwrap();
        }
        waiting.push(stream);
    }
    let begun = Instant::now();
    let token = format!("Bearer {}", house.token("ci"));
    assert_eq!(ask(&house.client(&endpoint, None).await, &[&token]).await.unwrap(), 1);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    for mut stream in waiting {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest));
        // Ended in whatever way.
        let _ = ended.await.expect("the connection is ended");
    }
    daemon.stop();
}
