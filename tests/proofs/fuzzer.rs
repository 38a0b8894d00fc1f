//! The program of `fuzz/`: all targets in one, which builds once: `PARAMD_FUZZ_TARGET` says
//! which. Where `PARAMD_FUZZ_SEEDS` names a folder, its seeds are put there first.
#![no_main]
#![allow(dead_code, unused_imports, reason = "what the tests alone use is here too")]

mod cases;
mod draw;
mod masker;
mod secrecy;
mod targets;

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&targets::Target> = LazyLock::new(|| {
    let name = std::env::var("PARAMD_FUZZ_TARGET").unwrap_or_default();
    targets::named(&name)
});

fn begin() {
    let Some(folder) = std::env::var_os("PARAMD_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (index, seed) in (TARGET.seeds)().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{index}")), seed).unwrap();
    }
    let quoted = |word: &&str| {
        let escaped = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        format!("\"{escaped}\"\n")
    };
    let words: String = TARGET.words.iter().map(quoted).collect();
    std::fs::write(folder.with_extension("dict"), words).unwrap();
}

fuzz_target!(init: begin(), |data: &[u8]| {
    if let Err(why) = (TARGET.run)(data) {
        panic!("{}: {why}", TARGET.name);
    }
});
