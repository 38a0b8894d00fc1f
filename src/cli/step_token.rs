//! The step token that a step's secrets are revealed with: made for one job, bound
//! to a key that stays in this process, and handed to nobody. What a step is given
//! can't reveal another step's secrets.

use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

use super::client::{Daemon, incomplete, send};
use super::error::CliError;
use super::exit::Exit;
use crate::proto::v1;
use crate::proto::v1::mint_step_token_request::Holder;
use crate::token::proof::{Asked, PROOF, ProofKey};

/// A step token with the key that proves whose it is.
pub(crate) struct StepToken {
    token: Zeroizing<String>,
    bearer: MetadataValue<Ascii>,
    key: ProofKey,
}

impl StepToken {
    /// Has one made for a step.
    pub(crate) async fn mint(
        daemon: &Daemon,
        run: v1::RunName,
        step: &str,
    ) -> Result<Self, CliError> {
        let key =
            ProofKey::generate().map_err(|_| CliError::new(Exit::Failed, "no random bytes"))?;
        let request = v1::MintStepTokenRequest {
            run: Some(run),
            step: step.to_owned(),
            holder: Some(Holder::PublicKey(key.public().to_vec())),
            lifetime: None,
        };
        let answer = send(request, |request| {
            let mut client = daemon.runs();
            async move { client.mint_step_token(request).await }
        });
        let token = Zeroizing::new(answer.await.map_err(with_way_out)?.token);
        let text = Zeroizing::new(format!("Bearer {}", *token));
        let mut bearer = MetadataValue::try_from(text.as_str()).map_err(|_| incomplete())?;
        bearer.set_sensitive(true);
        Ok(Self { token, bearer, key })
    }

    /// Shows it with a request, and proves that it is sent by its holder.
    pub(crate) fn show<Q>(&self, request: &mut Request<Q>, about: Asked<'_>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let proof = self.key.prove(self.token.as_bytes(), about, now);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.bearer.clone());
        // What it is made of is text that metadata can hold.
        if let Ok(proof) = proof.parse() {
            metadata.insert(PROOF, proof);
        }
    }
}

fn with_way_out(error: CliError) -> CliError {
    match error.exit {
        Exit::Denied => error.with_help(
            "a step's secrets are revealed with a token for that step alone: a policy has to \
             permit the action `delegate` on it",
        ),
        _ => error,
    }
}
