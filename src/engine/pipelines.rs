//! `ListPipelines` and `GetPipeline`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::access::well_formed;
use super::pages::{Bound, Room, page_size};
use super::{
    Caller, Engine, InForce, PageRequest, PipelinePage, PipelineSummary, PipelineView, Refusal,
    StepView,
};
use crate::access::{Action, Resource};
use crate::audit;
use crate::definition::Bindable;
use crate::name::{EnvironmentName, ParameterName, PipelineName, PresetName};
use crate::plan::{Common, PlannedPipeline};
use crate::value::PublicValue;

impl Engine {
    /// The pipelines that the caller may see, ordered by name.
    ///
    /// # Errors
    /// The common ones.
    pub async fn list_pipelines(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<PipelinePage, Refusal> {
        let mut event = self.event(caller, audit::Action::Read);
        let bound = Bound::to(["ListPipelines", &caller.principal.name]);
        let (size, position) = (page_size(page.size, 50, 500), bound.position(&page.token));
        let (Ok(size), Ok(position)) = (size.clone(), position.clone()) else {
            let violations = size.err().into_iter().chain(position.err()).collect();
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let after = position.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let in_force = self.in_force();
        let visible = in_force
            .plans
            .pipelines
            .values()
            .filter(|pipeline| after.as_deref().is_none_or(|after| pipeline.name.as_str() > after))
            .map(|pipeline| (pipeline, may_read(&in_force, caller, &pipeline.name)));
        let mut policy_ids = BTreeSet::new();
        let (mut pipelines, mut room) = (Vec::<PipelineSummary>::new(), Room::default());
        let mut more = false;
        for (PlannedPipeline { name, description, .. }, decided) in visible {
            let ids = match decided {
                Ok(ids) => ids,
                Err(ids) => {
                    policy_ids.extend(ids);
                    continue;
                }
            };
            more = pipelines.len() == size || !room.takes(name.as_str().len() + description.len());
            if more {
                break;
            }
            policy_ids.extend(ids);
            pipelines
                .push(PipelineSummary { name: name.clone(), description: description.clone() });
        }
        let last = pipelines.last().filter(|_| more);
        let next_token = last.map(|last| bound.token(last.name.as_str().as_bytes()));
        event.policy_ids = policy_ids.into_iter().collect();
        self.record_soon(event)?;
        Ok(PipelinePage { pipelines, next_token: next_token.unwrap_or_default() })
    }

    /// One pipeline, with the JSON Schema of its parameters.
    ///
    /// # Errors
    /// As the contract says of `GetPipeline`.
    pub async fn get_pipeline(
        &self,
        caller: &Caller,
        pipeline: String,
    ) -> Result<PipelineView, Refusal> {
        let mut event = self.event(caller, audit::Action::Read);
        let mut violations = Vec::new();
        let name = well_formed("pipeline", &pipeline, PipelineName::parse, &mut violations);
        let Some(name) = name else {
            return Err(self.refuse(event, Refusal::Invalid(violations)).await);
        };
        let in_force = self.in_force();
        let known = in_force.name_pipeline(&name, &mut event);
        match may_read(&in_force, caller, &name) {
            Ok(policy_ids) => event.policy_ids = policy_ids,
            Err(policy_ids) => {
                event.policy_ids = policy_ids;
                let refusal = Refusal::AccessDenied { fields: Vec::new() };
                return Err(self.refuse(event, refusal).await);
            }
        }
        let Some(known) = known else {
            return Err(self.refuse(event, Refusal::PipelineNotFound { pipeline }).await);
        };
        self.record_soon(event)?;
        Ok(view(&in_force, caller, known))
    }
}

/// A pipeline may be seen by whoever may read it in any environment, or as such.
/// Gives the policies that decided.
fn may_read(
    in_force: &InForce,
    caller: &Caller,
    pipeline: &PipelineName,
) -> Result<Vec<String>, Vec<String>> {
    let resource = Resource::Pipeline(pipeline);
    let environments = in_force.plans.environments.iter().map(Some);
    let mut denied = Vec::new();
    for environment in std::iter::once(None).chain(environments) {
        match in_force.decide(caller, Action::Read, resource, environment, None) {
            Ok(permit) => return Ok(permit.policy_ids().to_vec()),
            Err(why) => denied.extend(why.policy_ids),
        }
    }
    denied.sort_unstable();
    denied.dedup();
    Err(denied)
}

fn view(in_force: &InForce, caller: &Caller, pipeline: &PlannedPipeline) -> PipelineView {
    let common = &pipeline.common;
    let environments = pipeline
        .plans
        .iter()
        .filter(|(environment, _)| may_resolve(in_force, caller, &pipeline.name, environment))
        .map(|(environment, plan)| (environment.clone(), plan.revision.clone()))
        .collect();
    PipelineView {
        name: pipeline.name.clone(),
        description: pipeline.description.clone(),
        parameters_schema: schema(pipeline).to_string(),
        presets: presets(common),
        steps: common
            .steps
            .iter()
            .map(|step| StepView {
                name: step.name.clone(),
                needs: step.needs.clone(),
                condition: step.when.as_ref().map(|(_, text)| text.clone()),
                parameters: step.sees.iter().cloned().collect(),
                matrix: step.matrix.iter().map(|(name, _)| name.to_string()).collect(),
                has_run: !step.run.is_empty(),
            })
            .collect(),
        environments,
        lifetime: common.lifetime,
        bundle: in_force.plans.bundle.clone(),
    }
}

/// A run that isn't there yet has any name: one that no policy names is asked
/// for.
fn may_resolve(
    in_force: &InForce,
    caller: &Caller,
    pipeline: &PipelineName,
    environment: &EnvironmentName,
) -> bool {
    let resource = Resource::Run { pipeline, run_id: "new" };
    in_force.decide(caller, Action::Resolve, resource, Some(environment), None).is_ok()
}

/// The values of a preset are public: of a secret it can hold null alone.
fn presets(common: &Common) -> BTreeMap<PresetName, BTreeMap<ParameterName, PublicValue>> {
    common
        .presets
        .iter()
        .map(|(name, values)| {
            let values = values
                .iter()
                .map(|(name, value)| (name.clone(), PublicValue::declared_public(value.clone())))
                .collect();
            (name.clone(), values)
        })
        .collect()
}

/// One JSON Schema of an object, with a property for each parameter.
fn schema(pipeline: &PlannedPipeline) -> Json {
    let common = &pipeline.common;
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, parameter) in &common.interface.parameters {
        let mut property = match parameter.schema.json() {
            Json::Object(fields) => fields.clone(),
            _ => Map::new(),
        };
        let Some(declared) = common.declared.get(name) else { continue };
        if parameter.secret {
            property.insert("secret".into(), json!(true));
            property.insert("writeOnly".into(), json!(true));
        }
        let bindable = match declared.bindable {
            Bindable::Definition => "none",
            Bindable::Environment => "environment",
            Bindable::Run => "run",
        };
        property.insert("override".into(), json!(bindable));
        if let Some(group) = &declared.group {
            property.insert("group".into(), json!(group));
        }
        if let Some(deprecated) = &declared.deprecated {
            property.insert("deprecated".into(), json!(deprecated));
        }
        if let Some(default) = declared.default.as_ref().filter(|_| !parameter.secret) {
            property.insert("default".into(), crate::value::json::to_serde(default));
        }
        let aliases: Vec<&str> = common
            .interface
            .aliases
            .iter()
            .filter(|(_, declared)| *declared == name)
            .map(|(alias, _)| alias.as_str())
            .collect();
        if !aliases.is_empty() {
            property.insert("aliases".into(), json!(aliases));
        }
        let bound = |plan: &Arc<crate::plan::Plan>| {
            plan.parameters.get(name).is_some_and(|one| !one.bindings.is_empty())
        };
        if !pipeline.plans.values().all(bound) {
            required.push(name.as_str());
        }
        properties.insert(name.to_string(), Json::Object(property));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": pipeline.name.as_str(),
        "description": pipeline.description,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
