//! `PipelineService`.

use tonic::{Request, Response, Status, async_trait};

use super::Edge;
use crate::engine::PageRequest;
use crate::proto::server::pipeline_service_server::PipelineService;
use crate::proto::v1::{
    GetPipelineRequest, GetPipelineResponse, ListPipelinesRequest, ListPipelinesResponse,
};
use crate::server::convert::pipeline;
use crate::server::status;

#[async_trait]
impl PipelineService for Edge {
    async fn list_pipelines(
        &self,
        request: Request<ListPipelinesRequest>,
    ) -> Result<Response<ListPipelinesResponse>, Status> {
        self.answer("ListPipelines", request, async |caller, message| {
            let mut page = pipeline::page(message);
            loop {
                let found = self.engine.list_pipelines(&caller, page.clone()).await?;
                let count = found.pipelines.len();
                let answer = pipeline::listed(found);
                match smaller(&answer, &page, count) {
                    Some(next) => page = next,
                    None => return Ok(answer),
                }
            }
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

/// A page of half the size, where `count` entries are more than an answer holds.
pub(super) fn smaller(
    answer: &impl prost::Message,
    page: &PageRequest,
    count: usize,
) -> Option<PageRequest> {
    let too_large = count > 1 && status::fits(answer).is_err();
    let size = i32::try_from(count / 2).unwrap_or(1);
    too_large.then(|| PageRequest { size, token: page.token.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_over_the_limit_is_asked_for_again_by_half() {
        let page = PageRequest { size: 0, token: "t".to_owned() };
        let big = ListPipelinesResponse {
            next_page_token: "x".repeat(4 << 20),
            ..ListPipelinesResponse::default()
        };
        let next = smaller(&big, &page, 500).unwrap();
        assert_eq!((next.size, next.token.as_str()), (250, "t"));
        assert!(smaller(&big, &page, 1).is_none());
        assert!(smaller(&ListPipelinesResponse::default(), &page, 500).is_none());
    }
}
