//! The targets of the fuzzer with changed seeds, the same ones each time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::cases::{Outcome, Random, number};
use crate::mutate::mutated;
use crate::targets::{TARGETS, named};

/// The longest that one input may take, without optimisation and on a machine
/// with other things to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most memory that this process may ever have had.
const MEMORY_KIB: u64 = 2 << 20;

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*

        #[test]
        fn every_target_has_its_test() {
            // Two have tests of their own, with cases of their own.
            let tested = [$(stringify!($name),)* "masker", "secrecy"];
            assert_eq!(TARGETS.map(|one| one.name), tested);
        }
    };
}

targets!(
    yaml,
    definitions,
    layers,
    settings,
    roles,
    templates,
    conditions,
    overrides_typed,
    overrides_text,
    names,
    policies,
    tokens,
    expectations,
    pipeline_service,
    run_service,
    context_service,
    audit_service,
    audit_events,
    audit_chain,
    records,
);

/// The seeds as they are, and then changed.
fn check(name: &'static str) {
    let target = named(name);
    let wanted = number("PARAMD_INPUTS").unwrap_or(20_000);
    let seed = number("PARAMD_SEED").unwrap_or(1);
    let begun = Instant::now();
    let seeds = (target.seeds)();
    let inputs = seeds
        .iter()
        .cloned()
        .chain((0..).map(|index| mutated(&mut Random::new(seed, index), &seeds, target.words)));
    let mut done = 0;
    for input in inputs {
        if done >= wanted {
            break;
        }
        let begun = Instant::now();
        let outcome = taken(target.run, &input);
        if let Err(why) = outcome {
            panic!("{name}: {why}\n{}", input.escape_ascii());
        }
        let took = begun.elapsed();
        assert!(took < PATIENCE, "{name}: {took:?}\n{}", input.escape_ascii());
        done += outcome.unwrap_or(1);
    }
    let peak = peak_kib();
    assert!(peak < MEMORY_KIB, "{name}: this process had {peak} KiB");
    println!("{name}: {done} inputs in {:.1} s (seed {seed})", begun.elapsed().as_secs_f64());
}

fn taken(run: fn(&[u8]) -> Outcome, input: &[u8]) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(input))).unwrap_or_else(|_| Err("a panic".to_owned()))
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
