//! `paramd audit verify`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::App;
use crate::cli::client::send;
use crate::cli::document::chain_defect;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::table::Sheet;
use crate::proto::v1;

/// The arguments.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this chain.
    #[arg(long, value_name = "NAME")]
    chain: Option<String>,
}

#[derive(Serialize)]
struct Document {
    intact: bool,
    chains: Vec<ChainDocument>,
}

#[derive(Serialize)]
struct ChainDocument {
    chain: String,
    first_sequence: u64,
    last_good_sequence: u64,
    head_hash: String,
    /// None: nothing is wrong.
    defect: Option<String>,
}

pub(super) async fn run(app: &App, args: &Args) -> Result<Exit, CliError> {
    let daemon = app.connect().await?;
    let mut request = v1::VerifyLogRequest {
        chain: args.chain.clone().unwrap_or_default(),
        page_token: String::new(),
    };
    let mut chains = BTreeMap::new();
    loop {
        let answer = send(request.clone(), |request| {
            let mut client = daemon.audit();
            async move { client.verify_log(request).await }
        })
        .await?;
        answer.chains.into_iter().for_each(|report| join(&mut chains, report));
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    // A daemon's start is an event: a log without a chain verifies nothing.
    if chains.is_empty() {
        return Err(match &args.chain {
            Some(_) => CliError::new(Exit::NotFound, "the log has no such chain")
                .with_help("without --chain all are verified, and told by their names"),
            None => CliError::new(Exit::Failed, "the log is empty: the daemon's start is missing"),
        });
    }
    let intact = chains.values().all(|report| report.defect == 0);
    print(app, intact, &chains);
    Ok(if intact { Exit::Success } else { Exit::Failed })
}

/// A chain that took several calls is one report: from the first sequence, to
/// where the last call came.
fn join(chains: &mut BTreeMap<String, v1::ChainReport>, report: v1::ChainReport) {
    match chains.get_mut(&report.chain) {
        Some(earlier) if earlier.defect == 0 => {
            let first_sequence = earlier.first_sequence;
            let nothing_new = report.last_good_sequence == 0;
            let (last, hash) = (earlier.last_good_sequence, std::mem::take(&mut earlier.head_hash));
            *earlier = v1::ChainReport { first_sequence, ..report };
            if nothing_new {
                (earlier.last_good_sequence, earlier.head_hash) = (last, hash);
            }
        }
        Some(_) => {}
        None => drop(chains.insert(report.chain.clone(), report)),
    }
}

fn print(app: &App, intact: bool, chains: &BTreeMap<String, v1::ChainReport>) {
    if app.wants_json() {
        let chains = chains.values().map(ChainDocument::new).collect();
        return app.printer.json(&Document { intact, chains });
    }
    let mut sheet =
        Sheet::new(app.printer.width(), ["chain", "from", "good up to", "its hash", "result"]);
    for report in chains.values() {
        sheet.row([
            &report.chain,
            &report.first_sequence.to_string(),
            &report.last_good_sequence.to_string(),
            &hex::encode(&report.head_hash),
            &verdict(report),
        ]);
    }
    app.printer.text(&sheet.text());
}

fn verdict(report: &v1::ChainReport) -> String {
    match report.defect {
        0 => "intact".to_owned(),
        defect => format!("event {}: {}", report.last_good_sequence + 1, chain_defect(defect)),
    }
}

impl ChainDocument {
    fn new(report: &v1::ChainReport) -> Self {
        Self {
            chain: report.chain.clone(),
            first_sequence: report.first_sequence,
            last_good_sequence: report.last_good_sequence,
            head_hash: hex::encode(&report.head_hash),
            defect: (report.defect != 0).then(|| chain_defect(report.defect)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(first: u64, last: u64, defect: i32) -> v1::ChainReport {
        v1::ChainReport {
            chain: "a".into(),
            first_sequence: first,
            last_good_sequence: last,
            head_hash: vec![0; 32],
            defect,
        }
    }

    #[test]
    fn the_reports_of_several_calls_become_one() {
        let mut chains = BTreeMap::new();
        for one in [report(1, 10, 0), report(11, 20, 0), report(21, 22, 2)] {
            join(&mut chains, one);
        }
        assert_eq!(chains["a"], report(1, 22, 2));
        assert_eq!(verdict(&chains["a"]), "event 23: missing");
    }

    #[test]
    fn a_defect_of_the_first_event_of_a_later_call_keeps_what_was_good() {
        let mut chains = BTreeMap::new();
        join(&mut chains, report(1, 10, 0));
        join(&mut chains, report(11, 0, 1));
        assert_eq!(chains["a"].last_good_sequence, 10);
        assert_eq!(verdict(&chains["a"]), "event 11: changed");
    }
}
