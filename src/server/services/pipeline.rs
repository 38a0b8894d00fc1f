//! `PipelineService`.

use tonic::{Request, Response, Status, async_trait};

use super::Edge;
use crate::proto::server::pipeline_service_server::PipelineService;
use crate::proto::v1::{
    GetPipelineRequest, GetPipelineResponse, ListPipelinesRequest, ListPipelinesResponse,
};
use crate::server::convert::pipeline;

#[async_trait]
impl PipelineService for Edge {
    async fn list_pipelines(
        &self,
        request: Request<ListPipelinesRequest>,
    ) -> Result<Response<ListPipelinesResponse>, Status> {
        self.answer("ListPipelines", request, async |caller, message| {
            let page = pipeline::page(message);
            Ok(pipeline::listed(self.engine.list_pipelines(&caller, page).await?))
        })
        .await
    }

    async fn get_pipeline(
        &self,
        request: Request<GetPipelineRequest>,
    ) -> Result<Response<GetPipelineResponse>, Status> {
        self.answer("GetPipeline", request, async |caller, message| {
            Ok(pipeline::write(self.engine.get_pipeline(&caller, message.pipeline).await?))
        })
        .await
    }
}
