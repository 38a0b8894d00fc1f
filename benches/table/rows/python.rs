//! What a script of one's own would do instead, kept warm.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::baseline::bare::Work;
use crate::support::root;

const SCRIPT: &str = include_str!("python.py");

/// The script, which works when it is told to.
pub(crate) struct Script {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Script {
    pub(crate) fn start(work: &Work, fields: &[(&str, &[&str])]) -> Self {
        let python = root().join("target/test-tools/bench/bin/python");
        assert!(python.exists(), "no {}: scripts/bench makes it", python.display());
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let paths: Vec<_> = fields.iter().map(|(path, _)| format!("bench/{path}")).collect();
        writeln!(input, "{}", serde_json::json!({ "work": work, "paths": paths })).unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut script = Self { child, input, output };
        script.round(20);
        script
    }

    /// The time of one of so many, the middle one, in milliseconds.
    pub(crate) fn round(&mut self, calls: usize) -> f64 {
        writeln!(self.input, "{calls}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().parse().expect("the script tells a time")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
