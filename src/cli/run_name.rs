//! `PIPELINE/RUN_ID`, and the names that we make up.

use crate::name::{PipelineName, RunId};
use crate::proto::v1;

use super::error::{CliError, Expected};
use super::exit::Exit;

/// What names a run on the command line, split at the first slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunPath {
    pipeline: PipelineName,
    run_id: RunId,
}

impl RunPath {
    /// Reads `PIPELINE/RUN_ID`. An error doesn't repeat the text.
    pub(crate) fn parse(text: &str) -> Result<Self, Expected> {
        let halves = text.split_once('/');
        let (pipeline, run_id) =
            halves.ok_or_else(|| Expected("a run is PIPELINE/RUN_ID".to_owned()))?;
        Ok(Self { pipeline: PipelineName::parse(pipeline)?, run_id: RunId::parse(run_id)? })
    }

    /// The contract's name; without an attempt the newest.
    pub(crate) fn name(&self, attempt: Option<u32>) -> v1::RunName {
        v1::RunName {
            pipeline: self.pipeline.to_string(),
            run_id: self.run_id.to_string(),
            attempt: attempt.unwrap_or_default(),
        }
    }
}

/// The run's name as commands take it.
pub(crate) fn path(name: &v1::RunName) -> String {
    format!("{}/{}", name.pipeline, name.run_id)
}

/// Makes up a run's name: the time, so that names sort, and eight random
/// digits.
pub(crate) fn made_up() -> Result<String, CliError> {
    let mut random = [0; 4];
    aws_lc_rs::rand::fill(&mut random)
        .map_err(|_| CliError::new(Exit::Failed, "no random numbers to be had"))?;
    let time = jiff::Timestamp::now().strftime("%Y%m%dt%H%M%Sz");
    Ok(format!("{time}-{}", hex::encode(random)))
}

/// Reads the number of an attempt.
pub(crate) fn attempt(text: &str) -> Result<u32, Expected> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| Expected("an attempt is a number from 1".to_owned()))
}

/// Reads the number of a step's instance.
pub(crate) fn instance(text: &str) -> Result<u32, Expected> {
    text.parse().map_err(|_| Expected("an instance is a number from 0".to_owned()))
}

/// A run and its attempt, as arguments of a command.
#[derive(clap::Args)]
pub(crate) struct RunArgs {
    /// The run.
    #[arg(value_name = "PIPELINE/RUN_ID", value_parser = RunPath::parse)]
    run: RunPath,
    /// The attempt, from 1; else the newest.
    #[arg(long, value_name = "N", value_parser = attempt)]
    attempt: Option<u32>,
}

impl RunArgs {
    /// The contract's name.
    pub(crate) fn name(&self) -> v1::RunName {
        self.run.name(self.attempt)
    }
}

/// A step of a run, as options.
#[derive(clap::Args)]
pub(crate) struct StepArgs {
    /// The run.
    #[arg(long, value_name = "PIPELINE/RUN_ID", value_parser = RunPath::parse)]
    run: RunPath,
    /// The attempt, from 1; else the newest.
    #[arg(long, value_name = "N", value_parser = attempt)]
    attempt: Option<u32>,
    /// The step; `main` in a pipeline that declares none.
    #[arg(long, value_parser = super::reveal::step_name)]
    pub(crate) step: String,
    /// The instance of the step's matrix, from 0.
    #[arg(long, value_name = "N", value_parser = instance)]
    pub(crate) instance: Option<u32>,
}

impl StepArgs {
    /// The contract's name of the run.
    pub(crate) fn run(&self) -> v1::RunName {
        self.run.name(self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_split_at_the_first_slash() {
        let name = RunPath::parse("churn/manual/2026 01").unwrap().name(None);
        assert_eq!((name.pipeline.as_str(), name.run_id.as_str()), ("churn", "manual/2026 01"));
        assert_eq!(name.attempt, 0);
        for bad in ["churn", "churn/", "/x", "Churn/x", "churn/\n"] {
            assert!(RunPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn made_up_names_are_names_and_differ() {
        let names = [made_up().unwrap(), made_up().unwrap()];
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| RunId::parse(name).is_ok()));
    }
}
