use proptest::prelude::*;

use super::*;
use crate::name::{PipelineName, RunId};

fn run(pipeline: &str, run_id: &str, attempt: u32) -> RunKey {
    RunKey {
        pipeline: PipelineName::parse(pipeline).unwrap(),
        run_id: RunId::parse(run_id).unwrap(),
        attempt,
    }
}

fn sealer() -> Sealer {
    Sealer::new(SealingKey::generate().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "a test looks whether the bytes came back")]
fn plain(secret: &SecretBytes) -> Vec<u8> {
    secret.expose().to_vec()
}

fn two_items() -> Vec<(String, &'static [u8])> {
    vec![("a".into(), b"hunter2-hunter2"), ("env.B".into(), b"")]
}

#[test]
fn what_was_sealed_comes_back_and_does_not_show() {
    let sealer = sealer();
    let key = run("p", "r", 1);
    let sealed = sealer.seal(&key, &two_items()).unwrap();
    assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    let opened = sealer.open(&key, &sealed).unwrap();
    let opened: Vec<_> = opened.iter().map(|(name, secret)| (&**name, plain(secret))).collect();
    assert_eq!(opened, [("a", b"hunter2-hunter2".to_vec()), ("env.B", vec![])]);
    assert_eq!(plain(&sealer.open_item(&key, &sealed, "a").unwrap()), b"hunter2-hunter2");
    assert_eq!(sealer.open_item(&key, &sealed, "b").err(), Some(Unreadable::NoSuchItem));
    assert_ne!(sealed, sealer.seal(&key, &two_items()).unwrap());
}

#[test]
fn a_short_length_does_not_show() {
    let sealer = sealer();
    let key = run("p", "r", 1);
    let size = |bytes| {
        let text = vec![b'x'; bytes];
        sealer.seal(&key, &[("a".to_owned(), text.as_slice())]).unwrap().len()
    };
    assert_eq!(size(0), size(28));
    assert!(size(29) > size(28));
}

#[test]
fn another_run_another_key_or_another_place_opens_nothing() {
    let sealer = sealer();
    let key = run("p", "r", 1);
    let sealed = sealer.seal(&key, &two_items()).unwrap();
    for other in [run("p", "r", 2), run("q", "r", 1), run("p", "r2", 1)] {
        assert_eq!(sealer.open(&other, &sealed).err(), Some(Unreadable::Changed));
    }
    let other = self::sealer();
    assert_eq!(other.open(&key, &sealed).err(), Some(Unreadable::KeyGone));
}

/// Names and ciphertexts.
type Items = Vec<(Vec<u8>, Vec<u8>)>;

/// Takes a sealed record apart and puts its items together in another way.
fn rebuilt(sealed: &[u8], change: impl FnOnce(&mut Items)) -> Vec<u8> {
    let mut reader = Reader::new(sealed);
    let mut out = reader.take(5 + SEED_BYTES).unwrap().to_vec();
    let count = reader.count().unwrap();
    let mut items: Items = (0..count)
        .map(|_| (reader.bytes().unwrap().to_vec(), reader.bytes().unwrap().to_vec()))
        .collect();
    change(&mut items);
    put_count(&mut out, items.len());
    for (name, cipher) in items {
        put_bytes(&mut out, &name);
        put_bytes(&mut out, &cipher);
    }
    out
}

#[test]
fn items_can_not_be_swapped_renamed_dropped_or_repeated() {
    let sealer = sealer();
    let key = run("p", "r", 1);
    let sealed = sealer.seal(&key, &[("a".into(), b"1"), ("b".into(), b"2")]).unwrap();
    assert_eq!(rebuilt(&sealed, |_| {}), sealed);
    let changes: [fn(&mut Items); 5] = [
        |items| items.swap(0, 1),
        |items| {
            let first = items[0].1.clone();
            items[0].1 = std::mem::replace(&mut items[1].1, first);
        },
        |items| items[0].0 = b"c".to_vec(),
        |items| drop(items.pop()),
        |items| items.push(items[0].clone()),
    ];
    for change in changes {
        let changed = rebuilt(&sealed, change);
        assert_eq!(sealer.open(&key, &changed).err(), Some(Unreadable::Changed));
    }
}

#[test]
fn a_flip_of_any_byte_is_noticed() {
    let sealer = sealer();
    let key = run("p", "r", 1);
    let sealed = sealer.seal(&key, &two_items()).unwrap();
    for index in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[index] ^= 1 << bit;
            assert!(sealer.open(&key, &flipped).is_err(), "byte {index}, bit {bit}");
        }
    }
    for length in 0..sealed.len() {
        assert!(sealer.open(&key, &sealed[..length]).is_err());
    }
}

#[test]
fn a_changed_record_or_one_of_another_run_is_noticed() {
    let sealer = sealer();
    let key = run("p", "r", 1);
    let tag = sealer.authenticate(&key, b"record");
    assert!(sealer.verify(&key, b"record", &tag));
    assert!(!sealer.verify(&key, b"Record", &tag));
    assert!(!sealer.verify(&run("p", "r", 2), b"record", &tag));
    assert!(!self::sealer().verify(&key, b"record", &tag));
    let mut other = tag;
    other[31] ^= 1;
    assert!(!sealer.verify(&key, b"record", &other));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let sealer = sealer();
        let key = run("p", "r", 1);
        prop_assert!(sealer.open(&key, &bytes).is_err());
        let own = [&[FORMAT][..], &sealer.id_bytes(), &bytes].concat();
        let _ = sealer.open(&key, &own);
    }

    #[test]
    fn any_items_come_back(
        items in proptest::collection::vec((".{0,8}", proptest::collection::vec(any::<u8>(), 0..80)), 0..5),
    ) {
        let sealer = sealer();
        let key = run("p", "r", 1);
        let given: Vec<_> = items.iter().map(|(n, b)| (n.clone(), b.as_slice())).collect();
        let opened = sealer.open(&key, &sealer.seal(&key, &given).unwrap()).unwrap();
        let opened: Vec<_> = opened.iter().map(|(n, s)| (n.clone(), plain(s))).collect();
        prop_assert_eq!(opened, items);
    }
}

#[test]
fn what_is_veiled_comes_back_whole_or_not_at_all() {
    let (sealer, other) = (sealer(), sealer());
    let veiled = sealer.veil(b"0123").unwrap();
    assert_eq!(sealer.unveil(&veiled).unwrap(), b"0123");
    assert!(!veiled.windows(4).any(|window| window == b"0123"));
    assert_ne!(veiled, sealer.veil(b"0123").unwrap());
    assert_eq!(other.unveil(&veiled), None);
    for index in 0..veiled.len() {
        let mut changed = veiled.clone();
        changed[index] ^= 1;
        assert_eq!(sealer.unveil(&changed), None);
        assert_eq!(sealer.unveil(&veiled[..index]), None);
    }
}
