//! `ContextService`.

use tonic::{Request, Response, Status, async_trait};

use super::Edge;
use crate::proto::Encoded;
use crate::proto::server::context_service_server::ContextService;
use crate::proto::v1::{GetContextRequest, RevealSecretsRequest, RevealSecretsResponse};
use crate::server::convert::{context, request as requests, reveal};
use crate::token::proof::Asked;

#[async_trait]
impl ContextService for Edge {
    async fn get_context(
        &self,
        request: Request<GetContextRequest>,
    ) -> Result<Response<Encoded>, Status> {
        self.answer("GetContext", request, async |caller, message| {
            let asked = requests::context(message);
            let answer = self.engine.context(&caller, asked, &context::encode).await?;
            Ok(Encoded::from_bytes(context::answer(answer)))
        })
        .await
    }

    async fn reveal_secrets(
        &self,
        request: Request<RevealSecretsRequest>,
    ) -> Result<Response<RevealSecretsResponse>, Status> {
        let recipient = request.get_ref().recipient.as_ref().map(|to| to.public_key.clone());
        let recipient = recipient.unwrap_or_default();
        let about = Asked { rpc: "RevealSecrets", recipient: &recipient };
        self.answer_to(about, request, async |caller, message| {
            reveal::write(self.engine.reveal(&caller, reveal::read(message)).await?)
        })
        .await
    }
}
