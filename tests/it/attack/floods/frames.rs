//! Floods of frames.

use super::{Arena, Attack, all};
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, block, frame, message,
};

const PATH: &str = "/paramd.v1.ContextService/GetContext";
/// The most bytes of a frame's payload.
const LARGEST: usize = 16 << 10;

const fn flood(name: &'static str, ends: bool, work: fn(&Arena)) -> Attack {
    Attack { name, work, ends, growth: 64 }
}

const FLOODS: [Attack; 14] = [
    flood("streams that are reset at once (CVE-2023-44487)", true, rapid_reset),
    flood("requests that are sent whole and reset", false, reset_after_all),
    flood("errors that make the daemon reset (CVE-2025-8671)", true, made_you_reset),
    flood("updates of windows that make it reset", true, made_by_windows),
    flood("headers that go on without end", true, endless_headers),
    flood("headers in small pieces", true, small_continuations),
    flood("headers in empty pieces", true, empty_continuations),
    flood("headers that unfold (HPACK)", true, unfolding_headers),
    flood("headers without a request", true, empty_headers),
    flood("settings", false, settings),
    flood("pings", false, pings),
    flood("empty data", true, empty_data),
    flood("updates of windows", false, window_updates),
    flood("messages that are announced and don't come", false, announced),
];

fn odd(id: &mut u32) -> u32 {
    let this = *id;
    *id += 2;
    this
}

/// A whole request, which isn't a good one.
fn whole(id: u32) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, id, &block(PATH));
    [headers, frame(DATA, END_STREAM, id, &message(0, b""))].concat()
}

fn rapid_reset(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        let mut frames = Vec::new();
        for _ in 0..100 {
            let this = odd(id);
            frames.extend(frame(HEADERS, END_HEADERS, this, &block(PATH)));
            frames.extend(frame(RST_STREAM, 0, this, &8_u32.to_be_bytes()));
        }
        raw.send(&frames).map(|()| 200)
    });
}

fn reset_after_all(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        let first = *id;
        let requests: Vec<_> = (0..20).flat_map(|_| whole(odd(id))).collect();
        raw.send(&requests)?;
        // Long enough for the daemon to begin with them.
        std::thread::sleep(std::time::Duration::from_millis(1));
        let resets: Vec<_> = (first..*id)
            .step_by(2)
            .flat_map(|id| frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()))
            .collect();
        raw.send(&resets).map(|()| 60)
    });
}

fn made_you_reset(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        let mut frames = Vec::new();
        for _ in 0..20 {
            let this = odd(id);
            frames.extend(whole(this));
            // What comes after the end is an error of the stream.
            frames.extend(frame(DATA, END_STREAM, this, b"more"));
        }
        raw.send(&frames).map(|()| 60)
    });
}

fn made_by_windows(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        let mut frames = Vec::new();
        for _ in 0..20 {
            let this = odd(id);
            frames.extend(frame(HEADERS, END_HEADERS, this, &block(PATH)));
            frames.extend(frame(WINDOW_UPDATE, 0, this, &0x7fff_ffff_u32.to_be_bytes()));
        }
        raw.send(&frames).map(|()| 40)
    });
}

/// The beginning of a header whose value has a gigabyte.
fn gigabyte() -> Vec<u8> {
    [&[0x00, 1, b'x', 0x7f][..], &[0x80, 0x80, 0x80, 0x80, 4]].concat()
}

fn endless_headers(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        if *id == 1 {
            raw.send(&frame(HEADERS, 0, odd(id), &[&block(PATH)[..], &gigabyte()].concat()))?;
        }
        raw.send(&frame(CONTINUATION, 0, 1, &[b'v'; LARGEST])).map(|()| 1)
    });
}

fn small_continuations(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        if *id == 1 {
            raw.send(&frame(HEADERS, 0, odd(id), &block(PATH)))?;
        }
        // `accept: */*` would be one byte: each piece is a whole field.
        let piece = frame(CONTINUATION, 0, 1, &[0x90]);
        raw.send(&piece.repeat(200)).map(|()| 200)
    });
}

fn empty_continuations(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        if *id == 1 {
            raw.send(&frame(HEADERS, 0, odd(id), &block(PATH)))?;
        }
        raw.send(&frame(CONTINUATION, 0, 1, &[]).repeat(200)).map(|()| 200)
    });
}

fn unfolding_headers(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        // One field of 4,000 bytes goes into the table, and a byte stands for it.
        let long = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'v'; 4_000]].concat();
        let many = [0xbe; 12_000];
        let payload = [&block(PATH)[..], &long, &many].concat();
        raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, odd(id), &payload)).map(|()| 1)
    });
}

fn empty_headers(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        let one = |_| frame(HEADERS, END_HEADERS | END_STREAM, odd(id), &[]);
        let frames: Vec<_> = (0..50).flat_map(one).collect();
        raw.send(&frames).map(|()| 50)
    });
}

fn settings(arena: &Arena) {
    arena.on_each(&[], |raw, _| {
        let one = frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]);
        raw.send(&one.repeat(200)).map(|()| 200)
    });
}

fn pings(arena: &Arena) {
    arena.on_each(&[], |raw, _| raw.send(&frame(PING, 0, 0, &[7; 8]).repeat(200)).map(|()| 200));
}

fn empty_data(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        if *id == 1 {
            raw.send(&frame(HEADERS, END_HEADERS, odd(id), &block(PATH)))?;
        }
        raw.send(&frame(DATA, 0, 1, &[]).repeat(200)).map(|()| 200)
    });
}

fn window_updates(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        if *id == 1 {
            raw.send(&frame(HEADERS, END_HEADERS, odd(id), &block(PATH)))?;
        }
        let both = [0, 1].map(|id| frame(WINDOW_UPDATE, 0, id, &1_u32.to_be_bytes())).concat();
        raw.send(&both.repeat(100)).map(|()| 200)
    });
}

fn announced(arena: &Arena) {
    arena.on_each(&[], |raw, id| {
        let mut frames = Vec::new();
        for _ in 0..20 {
            let this = odd(id);
            frames.extend(frame(HEADERS, END_HEADERS, this, &block(PATH)));
            frames.extend(frame(DATA, END_STREAM, this, &message((4 << 20) - 1, b"")));
        }
        raw.send(&frames)?;
        // No more at a time than a connection may have.
        std::thread::sleep(std::time::Duration::from_millis(5));
        Ok(40)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_frames_leave_a_client_that_behaves_its_answers() {
    all(&FLOODS).await;
}
