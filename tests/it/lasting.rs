//! What was answered lasts: through `kill -9`, an ill disk, changed bytes.
//!
//! Each proof has a short form, which always runs, and a long one with
//! `PARAMD_CASES`; docs/testing.md lists them.

mod disk;
mod kills;
mod load;
mod once;

/// How many tries: of `PARAMD_CASES`, else the short form's.
fn count(short: usize) -> usize {
    std::env::var("PARAMD_CASES").map_or(short, |text| text.parse().unwrap())
}

/// Bits that nobody foresees; what they decided is printed by whoever asks.
fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u64::from_ne_bytes(bytes)
}
