//! Does nothing but seal: one setup for an answer, one message for each secret, by
//! the crate that the daemon seals with.

use paramd::envelope::{About, PublicKey};
use paramd::proto::v1::reveal_secrets_response::Secrets;
use paramd::proto::v1::{
    RevealSecretsRequest, RevealSecretsResponse, SealedSecret, SealedSecrets, SealingSuite,
};
use prost::Message as _;

pub(super) fn seal(
    request: RevealSecretsRequest,
    revealed: &RevealSecretsResponse,
) -> RevealSecretsResponse {
    let Some(Secrets::Plain(plain)) = &revealed.secrets else { panic!("the answer is plain") };
    let run = request.run.unwrap();
    let about = About {
        pipeline: run.pipeline,
        run_id: run.run_id,
        attempt: run.attempt,
        step: request.step,
        instance: request.instance,
    };
    let key = PublicKey::new(&request.recipient.unwrap().public_key).unwrap();
    let mut sealing = key.begin().unwrap();
    let secrets = plain.secrets.iter().map(|secret| {
        let payload = secret.payload.as_ref().unwrap().encode_to_vec();
        let ciphertext = sealing.seal(&about, &secret.name, &payload).unwrap();
        SealedSecret { name: secret.name.clone(), version: secret.version.clone(), ciphertext }
    });
    let secrets = secrets.collect();
    RevealSecretsResponse {
        secrets: Some(Secrets::Sealed(SealedSecrets {
            suite: SealingSuite::X25519Chacha20Poly1305.into(),
            encapsulated_key: sealing.encapsulated_key().to_vec(),
            attempt: about.attempt,
            secrets,
        })),
    }
}
