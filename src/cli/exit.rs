//! Exit codes: part of the command line's contract, in
//! `docs/command-line.md`.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Success,
    /// It was tried and failed, or a check found something.
    Failed,
    /// The command line can't be understood.
    Usage,
    /// No daemon answers at the endpoint.
    Unreachable,
    /// The caller isn't permitted, or isn't known.
    Denied,
    /// The daemon refuses the request: a value, a name, a flag.
    Invalid,
    /// There is no such pipeline, environment, run or step.
    NotFound,
    /// The run stands in the way: it has ended, or its name is another's.
    Conflict,
    /// A source, the store or the log isn't ready; later it may work.
    Unavailable,
    /// The status of a step's process, as a shell would give it.
    Step(u8),
}

impl Exit {
    /// The process's exit status.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Denied => 4,
            Self::Invalid => 5,
            Self::NotFound => 6,
            Self::Conflict => 7,
            Self::Unavailable => 8,
            Self::Step(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_row_for_each_status() {
        let page = include_str!("../../docs/command-line.md");
        let table = page.split_once("## Exit status\n").unwrap().1;
        let table = table.trim_start().split_once("\n\n").unwrap().0;
        let first = |line: &str| line.split('|').nth(1).unwrap().trim().to_owned();
        let told: Vec<String> = table.lines().skip(2).map(first).collect();
        let all = [
            Exit::Success,
            Exit::Failed,
            Exit::Usage,
            Exit::Unreachable,
            Exit::Denied,
            Exit::Invalid,
            Exit::NotFound,
            Exit::Conflict,
            Exit::Unavailable,
        ];
        // A new one has to be in the list above.
        let word = |exit: &Exit| match exit {
            Exit::Success
            | Exit::Failed
            | Exit::Usage
            | Exit::Unreachable
            | Exit::Denied
            | Exit::Invalid
            | Exit::NotFound
            | Exit::Conflict
            | Exit::Unavailable => exit.code().to_string(),
            Exit::Step(_) => "any".to_owned(),
        };
        let kept: Vec<String> = all.iter().chain([&Exit::Step(0)]).map(word).collect();
        assert_eq!(told, kept);
    }
}
