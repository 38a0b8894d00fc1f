//! Step tokens as an executor has them, by the contract's words alone.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use paramd::proto::v1::mint_step_token_request::Holder;
use paramd::proto::v1::{MintStepTokenRequest, MintStepTokenResponse, RunName};
use tonic::{Request, Status};

use super::client::Client;

/// A key of an executor's own.
pub(crate) struct Executor(Ed25519KeyPair);

impl Executor {
    pub(crate) fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    /// How a token is bound to the key.
    pub(crate) fn holder(&self) -> Holder {
        Holder::PublicKey(self.0.public_key().as_ref().to_vec())
    }

    /// The proof of a request at a time that is so many seconds from now.
    pub(crate) fn proof(&self, token: &str, rpc: &str, recipient: &[u8], shift: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time = now.checked_add_signed(shift).unwrap().to_string();
        let parts = ["paramd.v1.StepToken", rpc, token, &time, &hex::encode(recipient)];
        let signature = self.0.sign(parts.join("\0").as_bytes());
        format!("{time}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A request that shows a token with its proof.
    pub(crate) fn show<Q>(
        &self,
        token: &str,
        rpc: &str,
        recipient: &[u8],
        message: Q,
    ) -> Request<Q> {
        with_proof(token, &self.proof(token, rpc, recipient, 0), message)
    }
}

/// A request that shows a token and no proof.
pub(crate) fn shown<Q>(token: &str, message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

/// A request that shows a token with this for its proof.
pub(crate) fn with_proof<Q>(token: &str, proof: &str, message: Q) -> Request<Q> {
    let mut request = shown(token, message);
    request.metadata_mut().append("paramd-proof", proof.parse().unwrap());
    request
}

/// Has a token made; `lifetime` in seconds, 0 for none.
pub(crate) async fn mint(
    client: &Client,
    run: &RunName,
    step: &str,
    holder: Holder,
    lifetime: i64,
) -> Result<MintStepTokenResponse, Status> {
    let lifetime = (lifetime > 0).then_some(prost_types::Duration { seconds: lifetime, nanos: 0 });
    let request = MintStepTokenRequest {
        run: Some(run.clone()),
        step: step.into(),
        holder: Some(holder),
        lifetime,
    };
    Ok(client.runs.clone().mint_step_token(request).await?.into_inner())
}
