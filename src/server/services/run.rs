//! `RunService`.

use prost::Message as _;
use tonic::{Request, Response, Status, async_trait};

use super::Edge;
use crate::proto::Encoded;
use crate::proto::server::run_service_server::RunService;
use crate::proto::v1::{
    CompleteRunRequest, CompleteRunResponse, DiffRunsRequest, DiffRunsResponse, ExplainRunRequest,
    ExplainRunResponse, ExtendRunRequest, ExtendRunResponse, GetRunRequest, GetRunResponse,
    ListFailuresRequest, ListFailuresResponse, ListRunsRequest, ListRunsResponse,
    MintStepTokenRequest, MintStepTokenResponse, ResolveRunRequest,
};
use crate::server::convert::{delegate, diff, explanation, record, request as requests, runs};

#[async_trait]
impl RunService for Edge {
    async fn resolve_run(
        &self,
        request: Request<ResolveRunRequest>,
    ) -> Result<Response<Encoded>, Status> {
        self.answer("ResolveRun", request, async |caller, message| {
            let resolved = self.engine.resolve(&caller, requests::resolve(message)).await?;
            let answer = resolved.encoded(|one| {
                record::resolved(&one.view, one.created, one.revision_changed)
                    .encode_to_vec()
                    .into()
            });
            Ok(Encoded::from_bytes(answer))
        })
        .await
    }

    async fn explain_run(
        &self,
        request: Request<ExplainRunRequest>,
    ) -> Result<Response<ExplainRunResponse>, Status> {
        self.answer("ExplainRun", request, async |caller, message| {
            let explained = self.engine.explain(&caller, requests::explain(message)).await?;
            Ok(explanation::write(&explained))
        })
        .await
    }

    async fn get_run(
        &self,
        request: Request<GetRunRequest>,
    ) -> Result<Response<GetRunResponse>, Status> {
        self.answer("GetRun", request, async |caller, message| {
            let run = requests::selector(message.run);
            Ok(record::viewed(&self.engine.get_run(&caller, run).await?))
        })
        .await
    }

    async fn list_runs(
        &self,
        request: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsResponse>, Status> {
        self.answer("ListRuns", request, async |caller, message| {
            let found = self.engine.list_runs(&caller, runs::read(message), runs::weigh).await?;
            Ok(runs::listed(&found))
        })
        .await
    }

    async fn list_failures(
        &self,
        request: Request<ListFailuresRequest>,
    ) -> Result<Response<ListFailuresResponse>, Status> {
        self.answer("ListFailures", request, async |caller, message| {
            let run = requests::selector(message.run);
            Ok(runs::failures(self.engine.list_failures(&caller, run).await?))
        })
        .await
    }

    async fn diff_runs(
        &self,
        request: Request<DiffRunsRequest>,
    ) -> Result<Response<DiffRunsResponse>, Status> {
        self.answer("DiffRuns", request, async |caller, message| {
            let (base, other) =
                (requests::selector(message.base), requests::selector(message.other));
            let [base, other] = self.engine.diff_runs(&caller, base, other).await?;
            Ok(diff::write(&base, &other))
        })
        .await
    }

    async fn extend_run(
        &self,
        request: Request<ExtendRunRequest>,
    ) -> Result<Response<ExtendRunResponse>, Status> {
        self.answer("ExtendRun", request, async |caller, message| {
            let run = requests::selector(message.run);
            let lifetime = runs::lifetime(message.lifetime);
            let extended = self.engine.extend(&caller, run, lifetime).await?;
            Ok(ExtendRunResponse { run: Some(record::run(&extended)) })
        })
        .await
    }

    async fn mint_step_token(
        &self,
        request: Request<MintStepTokenRequest>,
    ) -> Result<Response<MintStepTokenResponse>, Status> {
        self.answer("MintStepToken", request, async |caller, message| {
            let minted = self.engine.mint_step_token(&caller, delegate::read(message)).await?;
            Ok(delegate::write(&minted))
        })
        .await
    }

    async fn complete_run(
        &self,
        request: Request<CompleteRunRequest>,
    ) -> Result<Response<CompleteRunResponse>, Status> {
        self.answer("CompleteRun", request, async |caller, message| {
            let run = requests::selector(message.run);
            let end = requests::outcome(message.outcome);
            let ended = self.engine.complete(&caller, run, end).await?;
            Ok(CompleteRunResponse { run: Some(record::run(&ended)) })
        })
        .await
    }
}
