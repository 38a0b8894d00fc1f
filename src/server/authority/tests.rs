use proptest::prelude::*;

use super::*;

const PREFACE_TEXT: &[u8; PREFACE] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    frame.extend_from_slice(payload);
    frame
}

/// A field whose name is at `index` of the static table, and a plain value.
fn field(index: u8, value: &str) -> Vec<u8> {
    let mut field = vec![0x40 | index];
    match u8::try_from(value.len()) {
        Ok(length) if length < 127 => field.push(length),
        Ok(length) => field.extend([127, length - 127]),
        Err(_) => panic!("too long for this test"),
    }
    field.extend_from_slice(value.as_bytes());
    field
}

/// What comes out of `frames` when they come in pieces of `piece` bytes.
fn passed(frames: &[Vec<u8>], piece: usize) -> Vec<u8> {
    let mut bytes = PREFACE_TEXT.to_vec();
    bytes.extend(frames.concat());
    let mut state = Frames::new();
    bytes.chunks_mut(piece).for_each(|piece| state.pass(piece));
    bytes.split_off(PREFACE)
}

fn block(authority: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    block.extend(field(4, "/paramd.v1.RunService/GetRun"));
    block.extend(field(1, authority));
    // A name that isn't in the table, and a value with what h2 minds elsewhere.
    block.extend(b"\x40\x04team\x05a%2/b");
    block
}

#[test]
fn a_path_becomes_an_authority_and_nothing_else_changes() {
    for piece in [1, 2, 7, 4_096] {
        for (sent, wanted) in [
            ("tmp%2Fparamd%2Fs", "tmp-2Fparamd-2Fs"),
            ("/run/paramd.sock", "-run-paramd.sock"),
            ("localhost", "localhost"),
            (&"%2F".repeat(50), &"-2F".repeat(50)),
        ] {
            let sent =
                [frame(4, 0, b"%/%/%/"), frame(HEADERS, 4, &block(sent)), frame(0, 1, b"%/")];
            let wanted =
                [frame(4, 0, b"%/%/%/"), frame(HEADERS, 4, &block(wanted)), frame(0, 1, b"%/")];
            assert_eq!(passed(&sent, piece), wanted.concat());
        }
    }
}

#[test]
fn a_name_that_is_spelt_out_is_known_too() {
    let spelt = |name: &str, value: &str| {
        let mut block = vec![0x40, u8::try_from(name.len()).unwrap()];
        block.extend_from_slice(name.as_bytes());
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value.as_bytes());
        [frame(HEADERS, 4, &block)]
    };
    for piece in [1, 4_096] {
        let passed_on = passed(&spelt(":authority", "a%2Fb"), piece);
        assert_eq!(passed_on, spelt(":authority", "a-2Fb").concat());
        for other in [":authoritz", ":authorit", ":authority2", "xauthority"] {
            let sent = spelt(other, "a%2Fb");
            assert_eq!(passed(&sent, piece), sent.concat(), "{other}");
        }
    }
}

#[test]
fn padding_priority_and_continuations_are_seen_through() {
    let framed = |authority: &str| {
        let block = block(authority);
        let (one, other) = block.split_at(block.len() - 20);
        let mut payload = vec![3, 0, 0, 0, 0, 16];
        payload.extend_from_slice(one);
        payload.extend_from_slice(b"%%%");
        vec![frame(HEADERS, PADDED | PRIORITY, &payload), frame(CONTINUATION, 4, other)]
    };
    for piece in [1, 5, 4_096] {
        assert_eq!(passed(&framed("a%2Fb"), piece), framed("a-2Fb").concat());
    }
}

proptest! {
    #[test]
    fn any_bytes_pass_with_the_same_length(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = bytes;
        let before = bytes.clone();
        let mut frames = Frames::new();
        bytes.chunks_mut(13).for_each(|piece| frames.pass(piece));
        for (now, then) in bytes.iter().zip(&before) {
            prop_assert!(now == then || (*now == b'-' && matches!(*then, b'%' | b'/')));
        }
    }

    #[test]
    fn any_header_block_passes_in_any_pieces(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        flags in any::<u8>(),
        piece in 1_usize..50,
    ) {
        let frames = [frame(HEADERS, flags, &payload), frame(HEADERS, 4, &block("a%b"))];
        prop_assert_eq!(passed(&frames, piece), passed(&frames, 4_096));
    }
}
