//! `paramd check --live`: asks the sources whether the bindings could be read,
//! and reads no value of a server.

use std::collections::BTreeMap;

use serde::Serialize;

use super::App;
use super::serve::variables;
use crate::definition::settings::SourceEntry;
use crate::load::Compiled;
use crate::plan::{Asked, Site};
use crate::source::{ABSENT, Environment, Probe};
use crate::yaml::diagnostic::Problems;

/// What was asked of a source.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    /// The bindings that it was asked about, under each preset that bears on them.
    checked: usize,
    /// Those of which what another source answers decides where they read.
    not_known: usize,
    /// Those that it gave no answer about.
    not_answered: usize,
}

/// By source.
pub(super) type Counted = BTreeMap<String, Counts>;

/// Asks all sources of a configuration without errors.
pub(super) async fn ask(app: &App, compiled: &Compiled, problems: &mut Problems) -> Counted {
    let environment = variables(app);
    let mut counted = Counted::new();
    for (name, entry) in &compiled.bundle.settings.sources {
        let of_it = |site: &&Site| site.source() == Some(name);
        let sites: Vec<&Site> = compiled.plans.sites.iter().filter(of_it).collect();
        let asked: Vec<Asked<'_>> = sites.iter().filter_map(|site| site.asked()).collect();
        let mut counts = Counts { not_known: sites.len() - asked.len(), ..Counts::default() };
        if ask_one(entry, &environment, &asked, problems).await {
            counts.checked = asked.len();
        } else {
            counts.not_answered = asked.len();
        }
        counted.insert(name.to_string(), counts);
    }
    counted
}

/// Tells what one source has against the bindings; whether it answered.
async fn ask_one(
    entry: &SourceEntry,
    environment: &Environment,
    asked: &[Asked<'_>],
    problems: &mut Problems,
) -> bool {
    let Some(first) = asked.first() else { return true };
    let place = &first.site().place;
    let source = match entry.settings.connect(environment) {
        Ok(source) => source,
        Err(error) => {
            let message = format!("the source `{}` can't be made ready: {error}", entry.name);
            problems.error("live", place, message).help("mend it in paramd.yaml");
            return false;
        }
    };
    let probes: Vec<Probe<'_>> = asked.iter().map(Asked::probe).collect();
    let told = match source.check_all(&probes).await {
        Ok(told) => told,
        Err(error) => {
            let message =
                format!("the source `{}` gives no answer: {}", entry.name, error.cause.word());
            problems
                .error("live", place, message)
                .help("run this where the daemon runs, with its environment");
            return false;
        }
    };
    for (asked, told) in asked.iter().zip(told) {
        let site = asked.site();
        for why in told {
            let preset = site.preset.as_ref();
            let preset = preset.map(|name| format!(" with `{name}`")).unwrap_or_default();
            let message = format!(
                "`{}` of `{}` can't be read from `{}` in `{}`{preset}: {why}",
                site.parameter, site.pipeline, entry.name, site.environment
            );
            let problem = if why == ABSENT && site.has_default {
                problems.warning("live", &site.place, message)
            } else {
                problems.error("live", &site.place, message)
            };
            problem.help("mend the binding or the source");
        }
    }
    true
}

/// The closing lines.
pub(super) fn text(counted: &Counted) -> String {
    let lines = counted.iter().map(|(name, counts)| {
        let mut line = format!("{name}: {} checked", counts.checked);
        if counts.not_answered > 0 {
            line += &format!(", {} without an answer", counts.not_answered);
        }
        if counts.not_known > 0 {
            line += &format!(
                ", {} not checked: what another source answers decides their address",
                counts.not_known
            );
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}
