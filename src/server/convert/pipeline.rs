//! Pipelines as they are defined.

use super::{time, value};
use crate::engine::{PageRequest, PipelinePage, PipelineView, StepView};
use crate::proto::v1;

/// `ListPipelines`.
pub(in crate::server) fn page(message: v1::ListPipelinesRequest) -> PageRequest {
    PageRequest { size: message.page_size, token: message.page_token }
}

/// A page of pipelines.
pub(in crate::server) fn listed(page: PipelinePage) -> v1::ListPipelinesResponse {
    let pipelines = page.pipelines.into_iter().map(|summary| v1::PipelineSummary {
        name: summary.name.to_string(),
        description: summary.description,
    });
    v1::ListPipelinesResponse { pipelines: pipelines.collect(), next_page_token: page.next_token }
}

/// `GetPipeline`.
pub(in crate::server) fn write(view: PipelineView) -> v1::GetPipelineResponse {
    let presets = view.presets.iter().map(|(name, values)| v1::Preset {
        name: name.to_string(),
        values: values.iter().map(|(name, item)| (name.to_string(), value::write(item))).collect(),
    });
    let environments = view
        .environments
        .into_iter()
        .map(|(name, revision)| v1::PipelineEnvironment { name: name.to_string(), revision });
    let pipeline = v1::Pipeline {
        name: view.name.to_string(),
        description: view.description,
        parameters_schema: view.parameters_schema,
        presets: presets.collect(),
        steps: view.steps.into_iter().map(step).collect(),
        environments: environments.collect(),
        lifetime: Some(time::write_span(view.lifetime)),
    };
    v1::GetPipelineResponse { pipeline: Some(pipeline), bundle: view.bundle }
}

fn step(step: StepView) -> v1::StepDefinition {
    v1::StepDefinition {
        name: step.name.to_string(),
        needs: step.needs.iter().map(ToString::to_string).collect(),
        condition: step.condition,
        parameters: step.parameters.iter().map(ToString::to_string).collect(),
        matrix: step.matrix,
        has_run: Some(step.has_run),
    }
}
