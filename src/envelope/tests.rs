use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn about() -> About {
    About { pipeline: "p".into(), run_id: "r".into(), attempt: 1, step: "s".into(), instance: None }
}

/// RFC 9180, A.2.1: base mode of this suite, the first three messages.
#[test]
fn the_vectors_of_the_rfc_open() {
    let private = bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
    let key = bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
    let info = bytes("4f6465206f6e2061204772656369616e2055726e");
    let private = HpkePrivateKey::from(private);
    let mut context = SUITE.setup_opener(&EncapsulatedSecret(key), &info, &private).unwrap();
    for (index, sealed) in [
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e85285337cc95ba5f59992dc98c",
        "71146bd6795ccc9c49ce25dda112a48f202ad220559502cef1f34271e0cb4b02b4f10ecac6f48c32f878fae86b",
    ]
    .into_iter()
    .enumerate()
    {
        let plain = context.open(format!("Count-{index}").as_bytes(), &bytes(sealed)).unwrap();
        assert_eq!(plain, b"Beauty is truth, truth beauty");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test looks whether the bytes came back")]
fn an_answer_opens_with_its_key_about_its_run_and_in_its_order_alone() {
    let own = OwnKey::generate().unwrap();
    let mut sealing = PublicKey::new(own.public()).unwrap().begin().unwrap();
    let key = sealing.encapsulated_key().to_vec();
    let first = sealing.seal(&about(), "a", b"one").unwrap();
    let second = sealing.seal(&about(), "b", b"two").unwrap();
    let mut opening = own.begin(&key).unwrap();
    assert_eq!(opening.open(&about(), "a", &first).unwrap().expose(), b"one");
    assert_eq!(opening.open(&about(), "b", &second).unwrap().expose(), b"two");
    let refused = |about: &About, name: &str, sealed: &[u8]| {
        assert!(own.begin(&key).unwrap().open(about, name, sealed).is_err(), "{about:?} {name}");
    };
    refused(&about(), "b", &second);
    refused(&about(), "b", &first);
    for other in [
        About { pipeline: "q".into(), ..about() },
        About { run_id: "q".into(), ..about() },
        About { attempt: 2, ..about() },
        About { step: "q".into(), ..about() },
        About { instance: Some(0), ..about() },
    ] {
        refused(&other, "a", &first);
    }
    for index in 0..first.len() {
        let mut changed = first.clone();
        changed[index] ^= 1;
        refused(&about(), "a", &changed);
    }
    refused(&about(), "a", &first[1..]);
    refused(&about(), "a", b"");
    let stranger = OwnKey::generate().unwrap();
    assert!(stranger.begin(&key).unwrap().open(&about(), "a", &first).is_err());
}

#[test]
fn keys_that_are_none_are_refused() {
    for length in [0, 31, 33] {
        assert_eq!(PublicKey::new(&vec![9; length]).err(), Some(BadKey));
    }
    // RFC 7748, section 6.1: their shared secret is zero, whoever has them.
    for weak in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        assert_eq!(PublicKey::new(&bytes(weak)).unwrap().begin().err(), Some(BadKey), "{weak}");
    }
}
