//! `RevealSecrets`: the one answer with secret bytes in it.

use prost::Message as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{invalid, request};
use crate::engine::{Refusal, RevealRequest, Revealed, RevealedSecret, Violation, ViolationReason};
use crate::envelope::{About, BadKey, Form, PublicKey, Sealing, Unsealable};
use crate::proto::v1;
use crate::proto::v1::reveal_secrets_response::Secrets;
use crate::server::status::fault;

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
        form: form(message.recipient, &mut problems),
        problems,
    }
}

/// How the answer is to leave.
fn form(recipient: Option<v1::Recipient>, problems: &mut Vec<Violation>) -> Form {
    let Some(v1::Recipient { suite, public_key }) = recipient else { return Form::Plain };
    match v1::SealingSuite::try_from(suite) {
        Err(_) => Form::Unknown,
        Ok(v1::SealingSuite::Unspecified) => {
            let reason = ViolationReason::MissingField;
            problems.push(Violation { reason, ..invalid("recipient.suite", "required") });
            Form::Unknown
        }
        Ok(v1::SealingSuite::X25519Chacha20Poly1305) => match PublicKey::new(&public_key) {
            Ok(key) => Form::Sealed(key),
            Err(BadKey) => {
                problems.push(invalid("recipient.public_key", "expected 32 bytes"));
                Form::Unknown
            }
        },
    }
}

/// The answer, in plain or sealed.
///
/// # Errors
/// The library could not seal.
pub(in crate::server) fn write(revealed: Revealed) -> Result<v1::RevealSecretsResponse, Refusal> {
    let Revealed { about, sealing, secrets } = revealed;
    let secrets = match sealing {
        None => {
            let secrets = secrets.into_iter().map(plain).collect();
            Secrets::Plain(v1::PlainSecrets { secrets })
        }
        Some(sealing) => Secrets::Sealed(
            sealed(&about, sealing, secrets)
                .map_err(|Unsealable| fault("an answer could not be sealed"))?,
        ),
    };
    Ok(v1::RevealSecretsResponse { secrets: Some(secrets) })
}

fn plain(secret: RevealedSecret) -> v1::PlainSecret {
    let payload = Some(payload(&secret));
    v1::PlainSecret { name: secret.name, version: secret.version, payload }
}

fn sealed(
    about: &About,
    mut sealing: Sealing,
    secrets: Vec<RevealedSecret>,
) -> Result<v1::SealedSecrets, Unsealable> {
    let one = |secret: RevealedSecret| {
        let mut payload = payload(&secret);
        let plain = Zeroizing::new(payload.encode_to_vec());
        payload.data.zeroize();
        let ciphertext = sealing.seal(about, &secret.name, &plain)?;
        Ok(v1::SealedSecret { name: secret.name, version: secret.version, ciphertext })
    };
    let secrets = secrets.into_iter().map(one).collect::<Result<_, _>>()?;
    Ok(v1::SealedSecrets {
        suite: v1::SealingSuite::X25519Chacha20Poly1305.into(),
        encapsulated_key: sealing.encapsulated_key().to_vec(),
        attempt: about.attempt,
        secrets,
    })
}

fn payload(secret: &RevealedSecret) -> v1::SecretPayload {
    #[expect(clippy::disallowed_methods, reason = "the door by which a reveal leaves the daemon")]
    let data = secret.bytes.expose().to_vec();
    v1::SecretPayload { data, encoding: secret.encoding as i32 }
}
