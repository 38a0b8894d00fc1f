//! Policy files to a checked set: syntax, ids, and strict validation against the
//! shipped schema, each problem with its place and in our own words.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::str::FromStr as _;

use cedar_policy::{
    Effect, Policy, PolicyId, PolicySet, SlotId, Template, ValidationError, ValidationMode,
    ValidationWarning,
};
use miette::Diagnostic;

use super::limits::{self, Excess};
use super::roles::{self, Role};
use super::timed::Timed;
use super::vocabulary::{ACTIONS, VOCABULARY};
use super::{Action, DEV_POLICY, STEP_TOKEN_POLICY};
use crate::definition::{PolicyFile, RoleLink};
use crate::name::nearest;
use crate::yaml::Place;
use crate::yaml::diagnostic::{Problem, Problems, Severity};

/// A policy's text and file, to find the place of a problem in it.
struct Written<'a> {
    file: &'a PolicyFile,
    span: Range<usize>,
}

impl<'a> Written<'a> {
    fn text(&self) -> &'a str {
        self.file.text.get(self.span.clone()).unwrap_or(&self.file.text)
    }
}

/// Policies that passed every check.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// The policies.
    pub(super) set: PolicySet,
    /// What they decide by the time.
    pub(super) timed: Timed,
    /// Where each is written, by its id.
    pub(super) places: BTreeMap<String, Place>,
}

/// What was read so far.
#[derive(Default)]
pub(super) struct Reader<'a> {
    pub(super) set: PolicySet,
    pub(super) timed: Timed,
    /// Where each policy is written, by its id.
    pub(super) places: BTreeMap<String, Place>,
    /// What may be given, by name.
    pub(super) roles: BTreeMap<String, Role<'a>>,
    /// The texts of policies and templates, by their ids.
    written: BTreeMap<String, Written<'a>>,
}

/// Reads all files and gives the roles; an error in any of them gives the empty set.
pub(super) fn read(files: &[PolicyFile], links: &[RoleLink], problems: &mut Problems) -> Checked {
    let before = problems.list.len();
    let mut reader = Reader { roles: roles::shipped(), ..Reader::default() };
    for file in files {
        reader.file(file, problems);
    }
    reader.give(links, problems);
    reader.validate(problems);
    let failed = problems.list.iter().skip(before).any(|p| p.severity == Severity::Error);
    let Reader { set, timed, places, .. } = reader;
    if failed { Checked::default() } else { Checked { set: with_shipped(set), timed, places } }
}

/// What every set has beside the policies of files. What a step token is good for is
/// bounded before any policy is asked (`is_within`).
const SHIPPED: &str = r#"
    permit (principal, action in [Paramd::Action::"read", Paramd::Action::"reveal"], resource)
    when { principal.kind == "step_token" };
"#;

fn with_shipped(mut set: PolicySet) -> PolicySet {
    // A test says that it can be read; without it step tokens are good for less.
    if let Ok(policy) = Policy::parse(Some(PolicyId::new(STEP_TOKEN_POLICY)), SHIPPED) {
        let _ = set.add(policy);
    }
    set
}

impl<'a> Reader<'a> {
    fn file(&mut self, file: &'a PolicyFile, problems: &mut Problems) {
        if let Err(excess) = limits::check(&file.text) {
            return report_excess(file, excess, problems);
        }
        let parsed = match PolicySet::from_str(&file.text) {
            Ok(parsed) => parsed,
            Err(errors) => return report_syntax(file, &errors, problems),
        };
        for template in parsed.templates() {
            let span = span_of(file, template.as_ref().loc().map(|loc| range(loc.span)));
            self.template(Written { file, span }, template, problems);
        }
        let mut policies: Vec<(Range<usize>, &Policy)> = parsed
            .policies()
            .map(|policy| (span_of(file, policy.as_ref().loc().map(|loc| range(loc.span))), policy))
            .collect();
        policies.sort_by_key(|(span, _)| span.start);
        for (index, (span, policy)) in policies.into_iter().enumerate() {
            self.policy(Written { file, span }, index + 1, policy, problems);
        }
    }

    /// A template is a role, by its `@id`, which `policies/roles.yaml` gives.
    fn template(&mut self, written: Written<'a>, template: &Template, problems: &mut Problems) {
        let at = place(written.file, written.span.clone());
        let has_principal = template.slots().any(|slot| *slot == SlotId::principal());
        let Some(name) = template.annotation("id").filter(|id| is_id(id) && has_principal) else {
            problems
                .error("policy_template", &at, "a policy template is a role, and this can't be one")
                .help("give it an `@id`, the role's name, and say `principal in ?principal`");
            return;
        };
        let id = roles::template_id(name);
        let named = template.new_id(id.clone());
        if self.roles.contains_key(name) || self.set.add_template(named).is_err() {
            problems
                .error("policy_id", &at, "another role has the same id")
                .help("roles that ship are in docs/access.md");
            return;
        }
        let role = Role::new(template.clone(), written.text(), Some(at));
        self.roles.insert(name.to_owned(), role);
        self.written.insert(id.to_string(), written);
    }

    fn policy(
        &mut self,
        written: Written<'a>,
        number: usize,
        policy: &Policy,
        problems: &mut Problems,
    ) {
        let at = place(written.file, written.span.clone());
        let id = match policy.annotation("id") {
            Some(id) if is_id(id) => id.to_owned(),
            Some(_) => {
                problems
                    .error("policy_id", &at, "the `@id` of this policy isn't a policy id")
                    .help("use 1 to 128 printable ASCII characters, and neither `dev` nor `step-token`");
                return;
            }
            None => default_id(written.file, number),
        };
        if self.written.contains_key(&id) {
            problems
                .error("policy_id", &at, "another policy has the same id")
                .help("ids tell policies apart in the audit log: give this one another `@id`");
            return;
        }
        // Fails only for an id that is taken, which was looked for above.
        if self.set.add(policy.new_id(PolicyId::new(&id))).is_err() {
            problems.error("policy_id", &at, "another policy has the same id");
            return;
        }
        self.timed.add(policy, written.text());
        self.places.insert(id.clone(), at);
        self.written.insert(id, written);
    }

    fn validate(&self, problems: &mut Problems) {
        let Some(vocabulary) = VOCABULARY.as_ref() else {
            problems.list.push(Problem {
                severity: Severity::Error,
                code: "policy_schema",
                message: "the shipped policy schema can't be read".into(),
                place: None,
                help: Some("this is a fault of paramd: report it".into()),
                sensitive: false,
            });
            return;
        };
        let result = vocabulary.validator.validate(&self.set, ValidationMode::Strict);
        let refused: BTreeSet<&PolicyId> =
            result.validation_errors().map(ValidationError::policy_id).collect();
        // A warning about a policy with an error only follows from it.
        let warnings =
            result.validation_warnings().filter(|warning| !refused.contains(warning.policy_id()));
        let mut found: Vec<Problem> = result
            .validation_errors()
            .map(|error| self.error(error))
            .chain(warnings.map(|warning| self.warning(warning)))
            .collect();
        // Cedar checks each combination of types, and finds a problem in each.
        found.sort_by(|a, b| order(a).cmp(&order(b)));
        found.dedup_by(|a, b| order(a) == order(b));
        problems.list.extend(found);
    }

    fn error(&self, error: &ValidationError) -> Problem {
        let (message, candidates): (&str, &[&str]) = match error {
            ValidationError::UnrecognizedEntityType(_) => ("there is no such type", TYPES),
            ValidationError::UnrecognizedActionId(_) => {
                ("there is no such action", &ACTIONS.map(Action::name))
            }
            ValidationError::UnsafeAttributeAccess(_) => {
                ("not everything that this policy can apply to has this attribute", ATTRIBUTES)
            }
            ValidationError::UnsafeOptionalAttributeAccess(_) => {
                ("this may be absent: ask `context has …` first", &[])
            }
            ValidationError::InvalidActionApplication(_) => {
                ("no such action applies to such a principal and resource", &[])
            }
            ValidationError::UnexpectedType(_) => ("this has the wrong type", &[]),
            ValidationError::IncompatibleTypes(_) => ("these types can't be compared", &[]),
            ValidationError::HierarchyNotRespected(_) => {
                ("such a thing is never in the other", &[])
            }
            ValidationError::UndefinedFunction(_) => ("there is no such function", &[]),
            _ => ("this doesn't fit the policy schema", &[]),
        };
        let id = error.policy_id().as_ref();
        let at = self.at(id, error);
        let help = self.help(error, at.as_ref(), candidates);
        Problem {
            severity: Severity::Error,
            code: "policy_invalid",
            message: message.to_owned(),
            place: self.place(id, at),
            help: Some(help),
            sensitive: false,
        }
    }

    /// A `permit` that never applies gives too little; a `forbid` that never
    /// applies protects nothing, and whoever wrote it thinks that it does.
    fn warning(&self, warning: &ValidationWarning) -> Problem {
        let impossible = matches!(
            warning,
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_)
        );
        let policy = self.set.policy(warning.policy_id()).map(Policy::effect);
        let effect =
            policy.or_else(|| self.set.template(warning.policy_id()).map(Template::effect));
        let forbids = effect == Some(Effect::Forbid);
        let (severity, code, message, help) = match (impossible, forbids) {
            (true, true) => (
                Severity::Error,
                "policy_invalid",
                "this `forbid` can never apply, so it protects nothing",
                Some("which action is asked of what is in docs/access.md".to_owned()),
            ),
            (true, false) => {
                (Severity::Warning, "policy_doubtful", "this policy can never apply", None)
            }
            (false, _) => (
                Severity::Warning,
                "policy_doubtful",
                "this text can be mistaken for another",
                None,
            ),
        };
        let id = warning.policy_id().as_ref();
        let at = self.at(id, warning);
        Problem {
            severity,
            code,
            message: message.to_owned(),
            place: self.place(id, at),
            help,
            sensitive: false,
        }
    }

    /// The place of a problem: in a policy's text, or where a role is given.
    fn place(&self, id: &str, at: Option<(&PolicyFile, Range<usize>)>) -> Option<Place> {
        at.map(|(file, span)| place(file, span)).or_else(|| self.places.get(id).cloned())
    }

    /// Where a problem is: what Cedar points at, else the whole policy.
    fn at(&self, id: &str, problem: &dyn Diagnostic) -> Option<(&'a PolicyFile, Range<usize>)> {
        let written = self.written.get(id)?;
        let span = label(problem)
            .filter(|span| fits(written.file, span))
            .unwrap_or_else(|| written.span.clone());
        Some((written.file, span))
    }

    fn help(
        &self,
        error: &ValidationError,
        at: Option<&(&PolicyFile, Range<usize>)>,
        candidates: &[&str],
    ) -> String {
        let text = at.and_then(|(file, span)| file.text.get(span.clone())).unwrap_or_default();
        let word = text
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .find(|word| !word.is_empty())
            .unwrap_or_default();
        match nearest(word, candidates.iter().copied()).filter(|near| *near != word) {
            Some(near) => format!("did you mean `{near}`?"),
            None if matches!(error, ValidationError::UnsafeAttributeAccess(_)) => {
                "narrow the policy with `resource is Paramd::…` to what has it".into()
            }
            None => "the types, attributes and actions are in docs/access.md".into(),
        }
    }
}

const TYPES: &[&str] =
    &["Principal", "Group", "Daemon", "Pipeline", "Run", "Step", "Parameter", "Action"];

const ATTRIBUTES: &[&str] = &[
    "kind",
    "pipeline",
    "run_id",
    "step",
    "name",
    "environment",
    "preset",
    "time",
    "overridden",
    "sealed",
];

fn report_excess(file: &PolicyFile, excess: Excess, problems: &mut Problems) {
    let (message, help, span) = match excess {
        Excess::File => (
            "this file of policies is too large",
            format!("split it: a file has at most {} KiB", limits::FILE_BYTES / 1024),
            0..0,
        ),
        Excess::Policy(span) => (
            "this policy is too deep or too long",
            format!("split it: brackets and `if` go at most {} deep", limits::DEPTH),
            span,
        ),
    };
    problems.error("policy_too_large", &place(file, span), message).help(help);
}

fn report_syntax(file: &PolicyFile, errors: &cedar_policy::ParseErrors, problems: &mut Problems) {
    for error in errors.iter() {
        let span = span_of(file, label(error));
        problems
            .error("policy_syntax", &place(file, span), "this isn't a Cedar policy")
            .help("a policy is `permit (principal, action, resource) when { … };`");
    }
}

/// The first place that Cedar points at.
fn label(problem: &dyn Diagnostic) -> Option<Range<usize>> {
    problem.labels()?.next().map(|label| range(*label.inner()))
}

fn range(span: miette::SourceSpan) -> Range<usize> {
    span.offset()..span.offset().saturating_add(span.len())
}

fn fits(file: &PolicyFile, span: &Range<usize>) -> bool {
    file.text.get(span.clone()).is_some()
}

fn span_of(file: &PolicyFile, span: Option<Range<usize>>) -> Range<usize> {
    span.filter(|span| fits(file, span)).unwrap_or(0..file.text.len())
}

fn place(file: &PolicyFile, span: Range<usize>) -> Place {
    Place { file: file.file, span }
}

fn order(problem: &Problem) -> (Option<(u32, usize, usize)>, &str) {
    let at = problem.place.as_ref().map(|p| (p.file.0, p.span.start, p.span.end));
    (at, &problem.message)
}

pub(super) fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|b| (0x20..=0x7e).contains(&b))
        && ![DEV_POLICY, STEP_TOKEN_POLICY].contains(&id)
}

/// The file's name and the policy's number in it, without control characters:
/// ids are logged.
fn default_id(file: &PolicyFile, number: usize) -> String {
    let name: String = file.name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    format!("{name}#{number}")
}
