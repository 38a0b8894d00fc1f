//! `MintStepToken`.

use std::time::Duration;

use super::{invalid, record, request, time};
use crate::engine::{
    MAX_STEP_TOKEN_LIFETIME, MintRequest, StepTokenAnswer, Violation, ViolationReason,
};
use crate::proto::v1::{self, mint_step_token_request::Holder as Asked};
use crate::token::Holder;

/// The shortest life of a step token.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// `MintStepToken`.
pub(in crate::server) fn read(message: v1::MintStepTokenRequest) -> MintRequest {
    let mut problems = Vec::new();
    MintRequest {
        run: request::selector(message.run),
        step: message.step,
        holder: holder(message.holder, &mut problems),
        lifetime: lifetime(message.lifetime, &mut problems),
        problems,
    }
}

fn holder(asked: Option<Asked>, problems: &mut Vec<Violation>) -> Option<Holder> {
    let (field, bytes) = match &asked {
        None => {
            let reason = ViolationReason::MissingField;
            let description = "give certificate_sha256 or public_key";
            problems.push(Violation { reason, ..invalid("holder", description) });
            return None;
        }
        Some(Asked::CertificateSha256(bytes)) => ("certificate_sha256", bytes),
        Some(Asked::PublicKey(bytes)) => ("public_key", bytes),
    };
    let Ok(bytes) = bytes.as_slice().try_into() else {
        problems.push(invalid(field, "expected 32 bytes"));
        return None;
    };
    Some(match asked {
        Some(Asked::PublicKey(_)) => Holder::Key(bytes),
        _ => Holder::Certificate(bytes),
    })
}

fn lifetime(span: Option<prost_types::Duration>, problems: &mut Vec<Violation>) -> Duration {
    let Some(span) = span else { return MAX_STEP_TOKEN_LIFETIME };
    let found = time::read_span(span)
        .filter(|span| (MIN_LIFETIME..=MAX_STEP_TOKEN_LIFETIME).contains(span));
    found.unwrap_or_else(|| {
        problems.push(invalid("lifetime", "expected 1 second to 1 hour"));
        MAX_STEP_TOKEN_LIFETIME
    })
}

/// The answer, which is the only place that has the token.
pub(in crate::server) fn write(minted: &StepTokenAnswer) -> v1::MintStepTokenResponse {
    #[expect(clippy::disallowed_methods, reason = "who had the token made is told it this once")]
    let token = String::from_utf8_lossy(minted.token.expose()).into_owned();
    v1::MintStepTokenResponse {
        token,
        expire_time: Some(time::write(minted.expires)),
        run: Some(record::run_name(&minted.run)),
    }
}
