//! The contract's table of errors against what leaves the daemon: every reason by
//! every rpc that answers with it, and no other.

mod broken;
mod plain;

use std::collections::{BTreeMap, BTreeSet};

use tonic::{Response, Status};

use super::errors::check_row;
use crate::support::root;
use crate::support::status::Problem;

/// Reasons that nothing can bring about yet.
const LATER: [(&str, &str); 2] = [
    ("INTERNAL", "a fault of paramd: whoever finds a way to one mends it"),
    ("POSITION_GONE", "nothing is removed from the log yet: there is no retention"),
];

/// What was reached.
#[derive(Default)]
struct Reached {
    /// Reasons, by the rpc that answered with them.
    reasons: BTreeMap<String, BTreeSet<&'static str>>,
    /// Reasons of problems.
    problems: BTreeSet<String>,
}

impl Reached {
    /// Notes an error, which has to be as its row of the table says.
    #[track_caller]
    fn note<T>(
        &mut self,
        rpc: &'static str,
        reason: &str,
        answer: Result<Response<T>, Status>,
    ) -> Option<Problem> {
        let Err(status) = answer else { panic!("{rpc} answers, and not with {reason}") };
        let problem = check_row(&status, reason);
        self.reasons.entry(reason.to_owned()).or_default().insert(rpc);
        self.problems.extend(problem.violations.iter().map(|one| one.reason.clone()));
        Some(problem)
    }
}

/// A table of `proto/README.md`: the cells of the lines after `header`.
fn table(header: &str) -> Vec<Vec<String>> {
    let page = std::fs::read_to_string(root().join("proto/README.md")).unwrap();
    let mut lines = page.lines().skip_while(|line| !line.starts_with(header)).skip(2).peekable();
    assert!(lines.peek().is_some(), "no table `{header}`");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// The names in a cell.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words in capitals that a function of `refusal.rs` gives.
fn words(function: &str) -> BTreeSet<String> {
    let source = std::fs::read_to_string(root().join("src/refusal.rs")).unwrap();
    let body = source.split(function).nth(1).expect("the function is there");
    let body = body.split("\n    }\n").next().unwrap();
    let quoted = body.split('"').skip(1).step_by(2);
    quoted.filter(|word| *word == word.to_uppercase()).map(str::to_owned).collect()
}

fn errors() -> BTreeMap<String, BTreeSet<String>> {
    let rows = table("| code | reason |");
    rows.iter().map(|row| (row[1].replace('`', ""), names(&row[2]))).collect()
}

fn problems() -> BTreeSet<String> {
    table("| reason of a problem |").iter().flat_map(|row| names(&row[0])).collect()
}

#[test]
fn no_other_reason_can_leave() {
    let table: BTreeSet<String> = errors().into_keys().collect();
    assert!(table.len() >= 27, "the table is read");
    let told = words("pub fn reason(&self)");
    assert_eq!(told, table);
    let mut of_problems = problems();
    assert!(of_problems.len() >= 17, "the table is read");
    // The names that a reveal refuses.
    of_problems.insert("ACCESS_DENIED".to_owned());
    assert_eq!(words("pub fn word(self)"), of_problems);
    // There is one place that puts a reason into an answer.
    let one = [std::path::PathBuf::from("server/status/details.rs")];
    assert_eq!(crate::architecture::files_with("set_error_info("), one);
    for other in ["with_error_info(", "ErrorInfo::new(", "ErrorInfo {"] {
        assert!(crate::architecture::files_with(other).is_empty(), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_is_reached() {
    let mut reached = Reached::default();
    plain::names_and_requests(&mut reached).await;
    plain::runs_and_attempts(&mut reached).await;
    plain::problems(&mut reached).await;
    plain::sealing(&mut reached).await;
    broken::sources(&mut reached).await;
    broken::answers_too_large(&mut reached).await;
    broken::records(&mut reached).await;
    broken::a_stopping_daemon(&mut reached).await;
    broken::a_full_disk(&mut reached).await;
    for (reason, rpcs) in errors() {
        let by = reached.reasons.remove(&reason).unwrap_or_default();
        if let Some((_, why)) = LATER.iter().find(|(later, _)| *later == reason) {
            assert!(by.is_empty(), "{reason} is reached by {by:?}: no longer {why}");
            continue;
        }
        // One of them stands for all.
        if rpcs.is_empty() {
            assert!(!by.is_empty(), "{reason} is not reached");
            continue;
        }
        let by: BTreeSet<String> = by.into_iter().map(str::to_owned).collect();
        assert_eq!(by, rpcs, "{reason}");
    }
    assert!(reached.reasons.is_empty(), "not in the table: {:?}", reached.reasons);
    let mut expected = problems();
    expected.insert("ACCESS_DENIED".to_owned());
    assert_eq!(reached.problems, expected);
}
