//! Which events are wanted.

use crate::cli::document::audit_action;
use crate::cli::error::Expected;
use crate::cli::listing::named;
use crate::proto::v1;

/// What an event has to fit, every field of it.
#[derive(clap::Args)]
pub(super) struct Filter {
    /// Only events of this pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Only events of this run_id, all its attempts.
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
    /// Only events in this environment.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Only events of this step.
    #[arg(long, value_name = "NAME")]
    step: Option<String>,
    /// Only events that have this parameter among theirs.
    #[arg(long, value_name = "NAME")]
    parameter: Option<String>,
    /// Only events by this principal, such as `uid:1000`.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Only this action, such as `resolve` or `reveal`; may be repeated.
    #[arg(long, value_name = "WORD", value_parser = action)]
    action: Vec<v1::Action>,
    /// Only this outcome: `succeeded`, `denied`, `failed`; may be repeated.
    #[arg(long, value_name = "WORD", value_parser = outcome)]
    outcome: Vec<v1::EventOutcome>,
}

impl Filter {
    /// As the contract says it.
    pub(super) fn message(&self) -> v1::EventFilter {
        v1::EventFilter {
            pipeline: named(&self.pipeline),
            run_id: named(&self.run_id),
            environment: named(&self.environment),
            step: named(&self.step),
            parameter: named(&self.parameter),
            principal: named(&self.principal),
            actions: self.action.iter().map(|one| i32::from(*one)).collect(),
            outcomes: self.outcome.iter().map(|one| i32::from(*one)).collect(),
        }
    }
}

fn action(text: &str) -> Result<v1::Action, Expected> {
    let name = format!("ACTION_{}", text.to_ascii_uppercase());
    let known = v1::Action::from_str_name(&name).filter(|one| *one != v1::Action::Unspecified);
    known.ok_or_else(|| Expected(format!("an action is one of {}", actions().join(", "))))
}

/// The words for all actions.
fn actions() -> Vec<String> {
    (1..64).filter(|number| v1::Action::try_from(*number).is_ok()).map(audit_action).collect()
}

fn outcome(text: &str) -> Result<v1::EventOutcome, Expected> {
    let name = format!("EVENT_OUTCOME_{}", text.to_ascii_uppercase());
    let known = v1::EventOutcome::from_str_name(&name);
    known
        .filter(|one| *one != v1::EventOutcome::Unspecified)
        .ok_or_else(|| Expected("an outcome is succeeded, denied or failed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_and_outcomes_are_read_by_their_words() {
        assert_eq!(action("reveal"), Ok(v1::Action::Reveal));
        assert_eq!(outcome("denied"), Ok(v1::EventOutcome::Denied));
        assert!(action("unspecified").is_err() && outcome("hunter2").is_err());
    }
}
