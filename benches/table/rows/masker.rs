//! The masker, by itself on one core.

use paramd::mask::{Masker, SecretSet};
use paramd::secret::SecretBytes;

use crate::Options;
use crate::process::{cpu, memory};
use crate::report::{Goal, Sample, Table, Unit};

/// As a pipe gives it.
const WRITE: usize = 64 << 10;
const TEXT: usize = 32 << 20;

pub(crate) fn rows(options: &Options, table: &mut Table) {
    if !options.wants("masker") {
        return;
    }
    let secrets = secrets();
    let own = std::process::id();
    let before = memory(own).1;
    let set = SecretSet::new(&secrets);
    let bytes = (memory(own).1.saturating_sub(before)) as f64 / (1024.0 * 1024.0);
    let (clean, hits) = (text(None), text(Some(&secret(7))));
    let (mut built, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let begun = cpu(own);
        std::hint::black_box(SecretSet::new(&secrets));
        built.push((cpu(own) - begun).as_secs_f64() * 1e3);
        rates.push((rate(&set, &hits), rate(&set, &clean)));
    }
    let clean: Vec<f64> = rates.iter().map(|(_, clean)| clean.value).collect();
    let name = "masker: 50 secrets, clean text, one core";
    table.number(name, Unit::MegabytesPerSecond, Goal::AtLeast(250.0), &clean);
    table.number("masker: memory of its secrets", Unit::MebiBytes, Goal::AtMost(10.0), &[bytes]);
    table.number("masker: built in", Unit::Milliseconds, Goal::AtMost(15.0), &built);
    let name = "masker: a hit in 100 lines";
    let unit = Unit::MegabytesPerSecond;
    table.compare(name, "clean text", unit, Goal::AtLeast(0.85), &rates);
}

/// As many as a step may well have, of 32 letters and digits that nobody chose.
fn secrets() -> Vec<SecretBytes> {
    (0..50).map(|number| SecretBytes::new(secret(number).into_bytes())).collect()
}

fn secret(number: u64) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut state = number + 1;
    let mut letter = || {
        // Knuth's generator: the same secrets in every run.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(ALPHABET[(state >> 33) as usize % ALPHABET.len()])
    };
    (0..32).map(|_| letter()).collect()
}

/// Lines of a log; each hundredth has the hit.
fn text(hit: Option<&str>) -> Vec<u8> {
    let mut text = Vec::with_capacity(TEXT + 256);
    let mut line = 0;
    while text.len() < TEXT {
        let word = hit.filter(|_| line % 100 == 50).unwrap_or("loss=0.1234 accuracy=0.9876 done");
        let words =
            format!("2026-01-02T03:04:05Z INFO train: epoch {line} of 1000, batch 17/128 {word}\n");
        text.extend_from_slice(words.as_bytes());
        line += 1;
    }
    text
}

fn rate(set: &SecretSet, text: &[u8]) -> Sample {
    let mut masker = Masker::new(set.clone());
    let mut shown = Vec::with_capacity(2 * WRITE);
    // On a processor: others may be on it too.
    let begun = cpu(std::process::id());
    for part in text.chunks(WRITE) {
        shown.clear();
        masker.push(part, &mut shown);
        std::hint::black_box(&shown);
    }
    masker.finish(&mut shown);
    let seconds = (cpu(std::process::id()) - begun).as_secs_f64();
    Sample { value: text.len() as f64 / 1e6 / seconds, cpu_us: None }
}
