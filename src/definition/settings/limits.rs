//! `limits` of `paramd.yaml`: how much each principal may ask for, and all
//! together.

use crate::yaml::Node;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};

/// The highest that a limit may be set to.
const MOST: u32 = 1_000_000;

/// How much may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// By each principal.
    pub principal: Bounds,
    /// By all together.
    pub all: Bounds,
}

/// The limits of one principal, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Requests a second; for a moment twice as many.
    pub requests: u32,
    /// Requests that wait for their answers.
    pub requests_at_once: u32,
    /// Requests a second for secrets; for a moment twice as many.
    pub reveals: u32,
    /// Runs made a second; for a moment ten times as many.
    pub new_runs: u32,
    /// Runs that are being made: each may ask sources for as long as
    /// `resolve_timeout`, whether its caller waits or not.
    pub new_runs_at_once: u32,
    /// Open streams of events.
    pub streams: u32,
}

impl Default for Limits {
    /// What no team's work comes near to, and what leaves a daemon on two cores
    /// room for others.
    fn default() -> Self {
        Self {
            principal: Bounds {
                requests: 5_000,
                requests_at_once: 1_024,
                reveals: 1_000,
                new_runs: 100,
                new_runs_at_once: 1_024,
                streams: 32,
            },
            all: Bounds {
                requests: 20_000,
                requests_at_once: 4_096,
                reveals: 5_000,
                new_runs: 500,
                new_runs_at_once: 4_096,
                streams: 256,
            },
        }
    }
}

impl Bounds {
    /// Each limit by its key.
    fn slots(&mut self) -> [(&'static str, &mut u32); 6] {
        [
            ("requests", &mut self.requests),
            ("requests_at_once", &mut self.requests_at_once),
            ("reveals", &mut self.reveals),
            ("new_runs", &mut self.new_runs),
            ("new_runs_at_once", &mut self.new_runs_at_once),
            ("streams", &mut self.streams),
        ]
    }
}

/// Reads `limits`. Where only one of the two is said, the other one's default
/// gives way.
pub(super) fn read(node: &Node, limits: &mut Limits, problems: &mut Problems) {
    let Some(mut keys) = Fields::of(node, "`limits`", problems) else { return };
    let principal = keys.optional("principal");
    let all = keys.optional("all");
    keys.finish(problems);
    let own = read_bounds(principal, "`principal`", &mut limits.principal, problems);
    let total = read_bounds(all, "`all`", &mut limits.all, problems);
    let pairs = limits.principal.slots().into_iter().zip(limits.all.slots());
    for (((key, own_limit), (_, limit_of_all)), (own, total)) in pairs.zip(own.iter().zip(&total)) {
        match (own, total) {
            _ if *own_limit <= *limit_of_all => {}
            (Some(own), Some(_)) => {
                let message =
                    format!("a principal's `{key}` are more than those of all, {limit_of_all}");
                problems
                    .error("limit_over_all", &own.place, message)
                    .help("lower this one, or raise the one below `all`");
            }
            (Some(_), None) => *limit_of_all = *own_limit,
            (None, _) => *own_limit = *limit_of_all,
        }
    }
}

/// Reads what is said of these bounds; gives where each is said.
fn read_bounds<'n>(
    node: Option<&'n Node>,
    what: &str,
    bounds: &mut Bounds,
    problems: &mut Problems,
) -> [Option<&'n Node>; 6] {
    let mut keys = node.and_then(|node| Fields::of(node, what, problems));
    let said = bounds.slots().map(|(key, slot)| {
        let node = keys.as_mut()?.optional(key)?;
        *slot = number(node, key, problems)?;
        Some(node)
    });
    if let Some(keys) = keys {
        keys.finish(problems);
    }
    said
}

fn number(node: &Node, key: &str, problems: &mut Problems) -> Option<u32> {
    let found = fields::integer(node, key, problems)?;
    let number = u32::try_from(found.value).ok().filter(|number| (1..=MOST).contains(number));
    if number.is_none() {
        let told = format!("`{key}` must be from 1 to {MOST}");
        problems.error("out_of_range", &found.place, told);
    }
    number
}
