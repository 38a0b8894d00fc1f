//! Many who are slow, and many at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Arena, Attack, all};
use crate::support::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, Raw, SETTINGS, block, frame, message,
};

const PATH: &str = "/paramd.v1.ContextService/GetContext";
/// Health, which asks nobody who he is.
const OPEN: &str = "/grpc.health.v1.Health/Check";
/// The most bytes of a frame's payload.
const PIECE: usize = 16 << 10;
/// The most streams that a connection may have.
const STREAMS: u32 = 250;

const fn crowd(name: &'static str, growth: u64, work: fn(&Arena)) -> Attack {
    Attack { name, work, ends: false, growth }
}

const CROWDS: [Attack; 7] = [
    crowd("prefaces byte by byte", 64, slow_prefaces),
    crowd("headers byte by byte", 64, slow_headers),
    crowd("messages byte by byte", 64, slow_messages),
    crowd("answers that nobody takes", 64, no_window),
    crowd("connections that say nothing", 64, silent_connections),
    crowd("connections that are opened and kept", 64, kept_connections),
    crowd("large messages that never end", 96, large_messages),
];

/// Keeps so many connections, each begun with `first` and gone on with a byte of
/// `rest` now and then; those that are ended are begun anew.
fn dripping(arena: &Arena, count: usize, first: &[u8], rest: &[u8]) {
    let mut held: Vec<(Raw, usize)> = Vec::new();
    while !arena.is_over() {
        held.retain(|(raw, _)| {
            if raw.is_ended() {
                arena.ended.fetch_add(1, Ordering::Relaxed);
            }
            !raw.is_ended()
        });
        while held.len() < count && !arena.is_over() {
            let Ok(mut raw) = Raw::connect(&arena.socket, true) else { break };
            arena.connections.fetch_add(1, Ordering::Relaxed);
            if raw.send(first).is_ok() {
                held.push((raw, 0));
            }
        }
        for (raw, at) in &mut held {
            let byte = rest.get(*at..=*at).unwrap_or_default();
            if raw.send(byte).is_ok() {
                *at += 1;
                arena.sent(byte.len());
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

fn slow_prefaces(arena: &Arena) {
    dripping(arena, 100, b"", &opening());
}

fn slow_headers(arena: &Arena) {
    let headers = frame(HEADERS, END_HEADERS, 1, &block(PATH));
    dripping(arena, 100, &opening(), &headers);
}

fn slow_messages(arena: &Arena) {
    let headers = frame(HEADERS, END_HEADERS, 1, &block(PATH));
    let bytes: Vec<_> = (0..200).flat_map(|_| frame(DATA, 0, 1, b"x")).collect();
    let first = [opening(), headers, frame(DATA, 0, 1, &message(1_000, b""))].concat();
    dripping(arena, 100, &first, &bytes);
}

fn no_window(arena: &Arena) {
    // Streams begin with no window: their answers wait to be let go.
    let none = [0, 4, 0, 0, 0, 0];
    let requests: Vec<_> = (0..STREAMS)
        .flat_map(|number| {
            let id = 2 * number + 1;
            let headers = frame(HEADERS, END_HEADERS, id, &block(OPEN));
            [headers, frame(DATA, END_STREAM, id, &message(0, b""))].concat()
        })
        .collect();
    let first = [PREFACE, &frame(SETTINGS, 0, 0, &none), &requests].concat();
    dripping(arena, 10, &first, b"");
}

fn silent_connections(arena: &Arena) {
    dripping(arena, 450, b"", b"");
}

fn kept_connections(arena: &Arena) {
    dripping(arena, 450, &opening(), b"");
}

fn large_messages(arena: &Arena) {
    let headers: Vec<_> = (0..STREAMS)
        .flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &block(PATH)))
        .collect();
    let beginning: Vec<_> = (0..STREAMS)
        .flat_map(|number| frame(DATA, 0, 2 * number + 1, &message((4 << 20) - 1, b"")))
        .collect();
    arena.on_each(&[], |raw, id| {
        if *id == 1 {
            raw.send(&headers)?;
            raw.send(&beginning)?;
        }
        // As fast as the daemon lets it, and within what each stream may begin with.
        let sent = usize::try_from(*id).unwrap() * PIECE;
        let credit = 65_535 + raw.seen.credit.load(Ordering::Relaxed);
        let stream = 2 * (*id % STREAMS) + 1;
        if sent + 2 * PIECE > credit || *id / STREAMS > 60 {
            std::thread::sleep(Duration::from_millis(1));
            return Ok(0);
        }
        *id += 1;
        raw.send(&frame(DATA, 0, stream, &[b'm'; PIECE])).map(|()| 1)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn crowds_of_slow_clients_leave_one_that_behaves_its_answers() {
    all(&CROWDS).await;
}
