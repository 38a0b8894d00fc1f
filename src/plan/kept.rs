//! What is kept of a plan with a run: as much of it as another attempt needs to
//! repeat the run exactly, whatever the definition has become by then.
//!
//! Public values are in the run's record. So only the bindings of secrets are
//! kept, and what the steps are handed, as they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::text::Types;
use super::{
    Common, Interface, LayerBinding, Plan, PlannedBinding, PlannedEntry, PlannedParameter,
    PlannedSource, PlannedStep, Plans,
};
use crate::definition::Broken;
use crate::expression::{Expression, References, Template};
use crate::name::{EnvironmentName, MatrixName, ParameterName, PipelineName, SourceName, StepName};
use crate::provenance::{Layer, SourceKind};
use crate::schema::Type;
use crate::source::registry;

/// What is kept of a plan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptPlan {
    lifetime_seconds: u64,
    /// Of secrets alone: the bindings that won below preset and run.
    bindings: BTreeMap<ParameterName, KeptBinding>,
    steps: Vec<KeptStep>,
}

/// A binding as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum KeptBinding {
    Template(String),
    Source { kind: SourceKind, source: SourceName, address: BTreeMap<String, String> },
}

/// What a step is handed, as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptStep {
    name: StepName,
    needs: Vec<StepName>,
    sees: BTreeSet<ParameterName>,
    matrix: Vec<(MatrixName, String)>,
    run: Vec<String>,
    env: Vec<KeptEntry>,
    files: Vec<(KeptEntry, u32)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeptEntry {
    name: String,
    template: String,
    secrets: BTreeSet<ParameterName>,
}

/// The run that a plan was kept with.
pub struct KeptWith<'a> {
    /// Its pipeline.
    pub pipeline: &'a PipelineName,
    /// Its environment.
    pub environment: &'a EnvironmentName,
    /// The revision that was frozen.
    pub revision: &'a str,
    /// The bundle of the plan.
    pub bundle: &'a str,
    /// What could be passed to it.
    pub interface: &'a Arc<Interface>,
    /// For each secret, the secret ones that it is computed from.
    pub secret_origins: &'a BTreeMap<ParameterName, BTreeSet<ParameterName>>,
    /// The secrets that are to be had again: the layer that bound each, and the
    /// version that its source gave.
    pub wanted: BTreeMap<ParameterName, (Layer, Option<String>)>,
}

/// This release can't read what an earlier one kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was kept of the plan can't be read")]
pub struct Unrestorable;

impl KeptPlan {
    /// What is to be kept of a plan.
    pub fn of(plan: &Plan) -> Self {
        let secrets =
            plan.parameters.iter().filter(|(name, _)| plan.common.interface.is_secret(name));
        let bindings = secrets.filter_map(|(name, parameter)| {
            Some((name.clone(), KeptBinding::of(&parameter.bindings.last()?.binding)?))
        });
        Self {
            lifetime_seconds: plan.common.lifetime.as_secs(),
            bindings: bindings.collect(),
            steps: plan.common.steps.iter().map(KeptStep::of).collect(),
        }
    }

    /// Whether a secret's binding was kept.
    pub fn binds(&self, name: &ParameterName) -> bool {
        self.bindings.contains_key(name)
    }

    /// The plan again, in which each secret is bound to the version that was read.
    /// Its steps have neither conditions nor lists: how they were decided is in
    /// the record. What is granted is today's.
    ///
    /// # Errors
    /// [`Unrestorable`].
    pub fn restore(&self, with: &KeptWith<'_>, today: &Plans) -> Result<Plan, Unrestorable> {
        let mut types = types(with.interface);
        let mut parameters = BTreeMap::new();
        for name in with.interface.parameters.keys() {
            let mut bindings = Vec::new();
            if let (Some(kept), Some((layer, version))) =
                (self.bindings.get(name), with.wanted.get(name))
            {
                let binding = kept.restore(version.as_deref(), &types)?;
                let grants = match &binding {
                    PlannedBinding::Source(source) => {
                        let kind = source.kind.kind();
                        today.granted(&source.source, kind, with.pipeline, with.environment)
                    }
                    _ => Vec::new(),
                };
                let (layer, binding, place) = (*layer, Arc::new(binding), String::new());
                bindings.push(LayerBinding { layer, binding, grants, locked: false, place });
            }
            let parameter = PlannedParameter { bindings, standby: None, lock: None };
            parameters.insert(name.clone(), parameter);
        }
        let steps: Result<_, _> = self.steps.iter().map(|step| step.restore(&mut types)).collect();
        Ok(Plan {
            pipeline: with.pipeline.clone(),
            environment: with.environment.clone(),
            revision: with.revision.to_owned(),
            bundle: with.bundle.to_owned(),
            common: Arc::new(Common {
                interface: with.interface.clone(),
                declared: BTreeMap::new(),
                presets: BTreeMap::new(),
                rules: Vec::new(),
                steps: steps?,
                lifetime: Duration::from_secs(self.lifetime_seconds),
                secret_origins: with.secret_origins.clone(),
                run_texts: BTreeSet::new(),
            }),
            parameters,
        })
    }
}

impl KeptBinding {
    /// A secret's literal is null, which the record tells; and a source without
    /// versions is never read again.
    fn of(binding: &PlannedBinding) -> Option<Self> {
        match binding {
            PlannedBinding::Literal(_) => None,
            PlannedBinding::Template { text, .. } => Some(Self::Template(text.clone())),
            PlannedBinding::Source(source) => {
                source.kind.version_field()?;
                let address = source.address.iter();
                Some(Self::Source {
                    kind: source.kind.kind(),
                    source: source.source.clone(),
                    address: address
                        .map(|(field, text)| ((*field).to_owned(), text.text().to_owned()))
                        .collect(),
                })
            }
        }
    }

    fn restore(
        &self,
        version: Option<&str>,
        types: &Types,
    ) -> Result<PlannedBinding, Unrestorable> {
        let (kind, source, address) = match self {
            Self::Template(text) => {
                let (template, text) = (compile(text, types)?, text.clone());
                return Ok(PlannedBinding::Template { template, text });
            }
            Self::Source { kind, source, address } => (*kind, source, address),
        };
        let kind = registry::by_kind(kind).ok_or(Unrestorable)?;
        let (mut templates, mut references) = (BTreeMap::new(), References::default());
        for (field, text) in address {
            let field = kind.fields().iter().find(|one| one.name == field.as_str());
            let template = compile(text, types)?;
            references.merge(template.references());
            templates.insert(field.ok_or(Unrestorable)?.name, template);
        }
        let pin = kind.version_field().ok_or(Unrestorable)?;
        templates.insert(pin, compile(version.ok_or(Unrestorable)?, types)?);
        Ok(PlannedBinding::Source(PlannedSource {
            kind,
            source: source.clone(),
            address: templates,
            texts: Arc::default(),
            binds: Vec::new(),
            references,
            location: String::new(),
            places: BTreeMap::new(),
        }))
    }
}

impl KeptStep {
    fn of(step: &PlannedStep) -> Self {
        let texts = |templates: &[Template]| {
            templates.iter().map(|template| template.text().to_owned()).collect()
        };
        let lists = step.matrix.iter();
        Self {
            name: step.name.clone(),
            needs: step.needs.clone(),
            sees: step.sees.clone(),
            matrix: lists.map(|(name, list)| (name.clone(), list.text().to_owned())).collect(),
            run: texts(&step.run),
            env: step.env.iter().map(KeptEntry::of).collect(),
            files: step.files.iter().map(|(entry, mode)| (KeptEntry::of(entry), *mode)).collect(),
        }
    }

    fn restore(&self, types: &mut Types) -> Result<PlannedStep, Unrestorable> {
        let mut items = BTreeMap::new();
        for (name, list) in &self.matrix {
            let list = Expression::compile(list, types).map_err(|_| Unrestorable)?;
            let Type::Array(item) = list.result() else { return Err(Unrestorable) };
            items.insert(name.as_str().to_owned(), item.as_ref().clone());
        }
        types.matrix = items;
        let entry = |entry: &KeptEntry| entry.restore(types);
        let run: Result<_, _> = self.run.iter().map(|text| compile(text, types)).collect();
        let env: Result<_, _> = self.env.iter().map(entry).collect();
        let files: Result<_, _> =
            self.files.iter().map(|(one, mode)| Ok((entry(one)?, *mode))).collect();
        Ok(PlannedStep {
            name: self.name.clone(),
            needs: self.needs.clone(),
            when: None,
            matrix: Vec::new(),
            sees: self.sees.clone(),
            run: run?,
            env: env?,
            files: files?,
        })
    }
}

impl KeptEntry {
    fn of(entry: &PlannedEntry) -> Self {
        Self {
            name: entry.name.clone(),
            template: entry.template.text().to_owned(),
            secrets: entry.secrets.clone(),
        }
    }

    fn restore(&self, types: &Types) -> Result<PlannedEntry, Unrestorable> {
        let template = compile(&self.template, types)?;
        Ok(PlannedEntry { name: self.name.clone(), template, secrets: self.secrets.clone() })
    }
}

fn compile(text: &str, types: &Types) -> Result<Template, Unrestorable> {
    Template::compile(text, types).map_err(|_| Unrestorable)
}

fn types(interface: &Interface) -> Types {
    let parameters = interface.parameters.iter();
    Types {
        parameters: parameters
            .map(|(name, one)| (name.as_str().to_owned(), one.schema.declared().clone()))
            .collect(),
        broken: Broken::default(),
        matrix: BTreeMap::new(),
        matrix_broken: false,
    }
}
