//! The table "Fast": what the daemon does, beside programs that do no more than
//! they must, in the same round and by the same client.
//!
//!     scripts/bench [--quick] [--rounds N] [--seconds S] [--markdown] [NAME…]
//!
//! A row is run whose name has one of the words in it; without words, all are.
//! Daemon, baseline and client are processes of their own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a benchmark falls over on purpose, and prints its table"
)]

mod baseline;
mod delay;
mod load;
mod process;
mod report;
mod rows;
mod stage;
mod support;

use std::process::ExitCode;
use std::time::Duration;

use paramd::cli::Environment;
use report::Table;

/// How the table is made.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Interleaved repetitions of each row.
    pub(crate) rounds: usize,
    /// How long one side of a repetition lasts where it is a matter of rate.
    pub(crate) span: Duration,
    /// Whether the table is told as a page has it.
    markdown: bool,
    /// Words of the rows that are wanted; none: all.
    wanted: Vec<String>,
}

impl Options {
    fn read(arguments: impl Iterator<Item = String>) -> Self {
        let span = Duration::from_millis(1_500);
        let mut options = Self { rounds: 5, span, markdown: false, wanted: Vec::new() };
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut number = |name: &str| -> f64 {
                let text = arguments.next().unwrap_or_else(|| panic!("{name} needs a number"));
                text.parse().unwrap_or_else(|_| panic!("{name} needs a number"))
            };
            match argument.as_str() {
                // Cargo's own word.
                "--bench" => {}
                "--quick" => {
                    options.rounds = 1;
                    options.span = Duration::from_millis(500);
                }
                "--markdown" => options.markdown = true,
                "--rounds" => options.rounds = number("--rounds") as usize,
                "--seconds" => options.span = Duration::from_secs_f64(number("--seconds")),
                word => options.wanted.push(word.to_owned()),
            }
        }
        options
    }

    /// Whether a row of this name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| name.contains(word.as_str()))
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == "baseline").is_some() {
        baseline::main(arguments);
        return ExitCode::SUCCESS;
    }
    if arguments.next_if(|first| first == "paramd").is_some() {
        // The daemon with this program's allocator, which wipes nothing.
        let words = std::env::args_os().skip(1).collect();
        return paramd::cli::main(words, Environment::new(std::env::vars_os()));
    }
    // One thread: the client must not take what the server needs.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = Options::read(arguments);
    let mut table = Table::new();
    runtime.block_on(rows::all(&options, &mut table));
    if options.markdown {
        println!("{}", table.markdown());
    } else {
        println!("{table}");
    }
    ExitCode::SUCCESS
}
