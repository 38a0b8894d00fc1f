//! What will run: every step's context is asked for and checked before the
//! first step starts and before any secret is revealed.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::Shared;
use super::files::is_file_name;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{context, document, render};
use crate::proto::v1::{self, StepAction, content::Place};

/// A step of the run.
#[derive(Debug)]
pub(super) struct Step {
    /// Its name.
    pub(super) name: String,
    /// The steps that must be done before it.
    pub(super) needs: Vec<String>,
    /// What to do.
    pub(super) work: Work,
}

/// What to do with a step.
#[derive(Debug)]
pub(super) enum Work {
    /// Nothing, and why.
    Skip(String),
    /// Its instances, all at the same time.
    Run(Vec<Job>),
}

/// One instance of a step.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The step.
    pub(super) step: String,
    /// The instance, where the step has a matrix.
    pub(super) instance: Option<u32>,
    /// What its lines and messages call it, such as `train[2]`.
    pub(super) title: String,
    /// The items of its matrix in words; empty without one.
    pub(super) items: String,
    /// The program.
    pub(super) program: OsString,
    /// Its arguments.
    pub(super) arguments: Vec<OsString>,
    /// The variables to set.
    pub(super) env: BTreeMap<String, Filling>,
    /// The files to write, each with its mode.
    pub(super) files: BTreeMap<String, (Filling, u32)>,
    /// The step's secrets, by the names to ask for.
    pub(super) secrets: Vec<String>,
}

/// What goes into a variable or a file.
#[derive(Debug, Clone)]
pub(super) enum Filling {
    /// These bytes, which are public.
    Public(Vec<u8>),
    /// The secret of this name.
    Secret(String),
}

/// Asks for all contexts and checks them.
pub(super) async fn prepare(
    shared: &Shared,
    decisions: &[v1::StepDecision],
) -> Result<Vec<Step>, CliError> {
    let mut steps = Vec::new();
    for decided in decisions {
        let decision = decided.decision.clone().unwrap_or_default();
        let work = match StepAction::try_from(decision.action) {
            Ok(StepAction::Skip) => Work::Skip(render::why(&decision)),
            Ok(StepAction::Run) => Work::Run(jobs(&whole_context(shared, decided).await?)?),
            _ => {
                return Err(newer(&decided.step, "what to do with it"));
            }
        };
        steps.push(Step { name: decided.step.clone(), needs: decided.needs.clone(), work });
    }
    refuse_without_command(&steps)?;
    Ok(steps)
}

/// A step's context; instance by instance where it is too large for one answer.
async fn whole_context(
    shared: &Shared,
    decided: &v1::StepDecision,
) -> Result<v1::Context, CliError> {
    let ask = |instance| context::call(&shared.daemon, shared.run.clone(), &decided.step, instance);
    match ask(None).await {
        Err(error) if error.reason == "ANSWER_TOO_LARGE" && decided.instance_count > 1 => {}
        answer => return answer,
    }
    let mut whole = ask(Some(0)).await?;
    for index in 1..decided.instance_count {
        whole.instances.extend(ask(Some(index)).await?.instances);
    }
    Ok(whole)
}

/// What a step's context says is to be done.
pub(super) fn work(context: &v1::Context) -> Result<Work, CliError> {
    let decision = context.decision.clone().unwrap_or_default();
    match StepAction::try_from(decision.action) {
        Ok(StepAction::Skip) => Ok(Work::Skip(render::why(&decision))),
        _ => Ok(Work::Run(jobs(context)?)),
    }
}

fn jobs(context: &v1::Context) -> Result<Vec<Job>, CliError> {
    let action = context.decision.as_ref().map(|decision| decision.action);
    if action != Some(i32::from(StepAction::Run)) {
        return Err(newer(&context.step, "what to do with it"));
    }
    context.instances.iter().map(|instance| job(context, instance)).collect()
}

fn job(context: &v1::Context, instance: &v1::StepInstance) -> Result<Job, CliError> {
    let step = &context.step;
    let index = (!instance.matrix.is_empty()).then_some(instance.index);
    let items = instance.matrix.iter();
    let mut command = instance.run.iter().map(OsString::from);
    let mut env = BTreeMap::new();
    for (name, content) in &instance.env {
        env.insert(variable_name(step, name)?, filling(step, Some(content))?);
    }
    let mut files = BTreeMap::new();
    for (name, file) in &instance.files {
        if !is_file_name(name) || file.mode > 0o777 {
            return Err(newer(step, "one of its files"));
        }
        files.insert(name.clone(), (filling(step, file.content.as_ref())?, file.mode));
    }
    Ok(Job {
        step: step.clone(),
        instance: index,
        title: index.map_or_else(|| step.clone(), |index| format!("{step}[{index}]")),
        items: items
            .map(|(name, value)| format!("{name} = {}", document::value_text(value)))
            .collect::<Vec<_>>()
            .join(", "),
        program: command.next().unwrap_or_default(),
        arguments: command.collect(),
        env,
        files,
        secrets: context.secrets.keys().cloned().collect(),
    })
}

fn variable_name(step: &str, name: &str) -> Result<String, CliError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(newer(step, "the name of one of its variables"));
    }
    Ok(name.to_owned())
}

fn filling(step: &str, content: Option<&v1::Content>) -> Result<Filling, CliError> {
    match content.and_then(|content| content.place.clone()) {
        Some(Place::Text(text)) => Ok(Filling::Public(text.into_bytes())),
        Some(Place::Binary(bytes)) => Ok(Filling::Public(bytes)),
        Some(Place::Secret(name)) => Ok(Filling::Secret(name)),
        None => Err(newer(step, "where a content is")),
    }
}

fn newer(step: &str, what: &str) -> CliError {
    CliError::new(Exit::Failed, format!("step `{step}` isn't run: {what} isn't understood"))
        .with_help("the daemon is newer than this client")
}

/// An executor of another kind has its own command; this one has none.
fn refuse_without_command(steps: &[Step]) -> Result<(), CliError> {
    let lacking = steps.iter().filter(|step| match &step.work {
        Work::Run(jobs) => jobs.iter().any(|job| job.program.is_empty()),
        Work::Skip(_) => false,
    });
    let names: Vec<&str> = lacking.map(|step| step.name.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(refused_without_command(names))
}

/// The refusal of a run, with the way out.
pub(super) fn refused_without_command(names: Vec<&str>) -> CliError {
    without_command(names)
        .with_help("give the step a `run`, or resolve the run and execute it by")
        .with_help("`paramd exec --run RUN --step STEP -- COMMAND`")
}

/// Says what is missing.
pub(super) fn without_command(names: Vec<&str>) -> CliError {
    let names = crate::cli::text::ticked(names);
    CliError::new(Exit::Invalid, format!("no `run` says what to execute for {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(instance: v1::StepInstance) -> v1::Context {
        v1::Context {
            step: "train".into(),
            decision: Some(v1::Decision {
                action: StepAction::Run.into(),
                ..v1::Decision::default()
            }),
            instances: vec![instance],
            ..v1::Context::default()
        }
    }

    fn step(instance: v1::StepInstance) -> Step {
        let work = Work::Run(jobs(&context(instance)).unwrap());
        Step { name: "train".into(), needs: Vec::new(), work }
    }

    #[test]
    fn a_step_without_a_command_is_refused_with_the_way_out() {
        let command = v1::StepInstance { run: vec!["true".into()], ..v1::StepInstance::default() };
        assert!(refuse_without_command(&[step(command)]).is_ok());
        let error = refuse_without_command(&[step(v1::StepInstance::default())]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`train`") && text.contains("paramd exec"), "{text}");
    }

    #[test]
    fn a_content_of_a_newer_daemon_is_not_run() {
        let env = [("A".to_owned(), v1::Content { place: None })].into();
        let instance = v1::StepInstance { env, ..v1::StepInstance::default() };
        assert!(jobs(&context(instance)).is_err());
    }

    #[test]
    fn an_action_of_a_newer_daemon_is_not_run() {
        let mut newer = context(v1::StepInstance::default());
        newer.decision = Some(v1::Decision { action: 99, ..v1::Decision::default() });
        assert!(jobs(&newer).is_err());
    }

    #[test]
    fn files_do_not_leave_their_folder() {
        let content = Some(v1::Content { place: Some(Place::Text("x".into())) });
        let file = v1::StepFile { content, mode: 0o400 };
        let files = [("../x".to_owned(), file)].into();
        let instance = v1::StepInstance { files, ..v1::StepInstance::default() };
        assert!(jobs(&context(instance)).is_err());
    }
}
