//! `RevealSecrets`: the one answer with secret bytes in it.

use super::{invalid, request};
use crate::engine::{RevealRequest, Revealed, RevealedSecret};
use crate::proto::v1;
use crate::proto::v1::reveal_secrets_response::Secrets;

/// `RevealSecrets`.
pub(in crate::server) fn read(message: v1::RevealSecretsRequest) -> RevealRequest {
    let mut problems = Vec::new();
    let mut names = message.names;
    if names.len() > request::MAX_NAMES {
        problems.push(invalid("names", "expected at most 1,000 names"));
        names.truncate(request::MAX_NAMES);
    }
    RevealRequest {
        run: request::selector(message.run),
        step: message.step,
        instance: message.instance,
        names,
        all: message.all,
        sealed: message.recipient.is_some(),
        problems,
    }
}

/// The answer in plain.
pub(in crate::server) fn write(revealed: Revealed) -> v1::RevealSecretsResponse {
    let secrets = revealed.secrets.into_iter().map(secret).collect();
    v1::RevealSecretsResponse { secrets: Some(Secrets::Plain(v1::PlainSecrets { secrets })) }
}

fn secret(secret: RevealedSecret) -> v1::PlainSecret {
    #[expect(clippy::disallowed_methods, reason = "the door by which a reveal leaves the daemon")]
    let data = secret.bytes.expose().to_vec();
    v1::PlainSecret {
        name: secret.name,
        version: secret.version,
        payload: Some(v1::SecretPayload { data, encoding: secret.encoding as i32 }),
    }
}
