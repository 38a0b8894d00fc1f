//! Proof that a step token is sent by its holder: a signature over the request's
//! name, the token, the time and the key that the answer is to be sealed to. The
//! form is in `proto/README.md`, "Step tokens".

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::TokenError;

/// The metadata that a proof is sent in.
pub const PROOF: &str = "paramd-proof";
/// How far a proof's time may be from the daemon's clock, in seconds.
pub const WINDOW: u64 = 60;
/// The most bytes of a proof that is looked at.
const MAX_PROOF: usize = 128;

/// What a proof is about.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The rpc's name, such as `RevealSecrets`.
    pub rpc: &'static str,
    /// The key that the answer is to be sealed to; empty: none.
    pub recipient: &'a [u8],
}

impl Asked<'_> {
    /// What is signed. It holds the token, so it is wiped.
    fn text(&self, token: &[u8], time: u64) -> Zeroizing<Vec<u8>> {
        let (time, recipient) = (time.to_string(), hex::encode(self.recipient));
        let parts = [
            b"paramd.v1.StepToken",
            self.rpc.as_bytes(),
            token,
            time.as_bytes(),
            recipient.as_bytes(),
        ];
        Zeroizing::new(parts.join(&0))
    }
}

/// Whether a proof is the holder's, for this request, and of `now` (seconds since
/// 1970).
pub fn is_good(proof: &[u8], holder: &[u8; 32], token: &[u8], about: Asked<'_>, now: u64) -> bool {
    let Some((time, signature)) = parts(proof) else { return false };
    let text = about.text(token, time);
    let key = UnparsedPublicKey::new(&ED25519, holder);
    time.abs_diff(now) <= WINDOW && key.verify(&text, &signature).is_ok()
}

/// `TIME.SIGNATURE`, in one form alone.
fn parts(proof: &[u8]) -> Option<(u64, Vec<u8>)> {
    let text = std::str::from_utf8(proof.get(..MAX_PROOF.min(proof.len()))?).ok()?;
    let (time, signature) = text.split_once('.')?;
    let seconds: u64 = time.parse().ok()?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    (seconds.to_string() == time).then_some((seconds, signature))
}

/// A holder's key, made for one token.
pub struct ProofKey(Ed25519KeyPair);

impl ProofKey {
    /// Makes one.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate() -> Result<Self, TokenError> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| TokenError::Random)
    }

    /// The public key, which a token can be bound to.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The proof of a request at `now` (seconds since 1970), as it is sent.
    pub fn prove(&self, token: &[u8], about: Asked<'_>, now: u64) -> String {
        let signature = self.0.sign(&about.text(token, now));
        format!("{now}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_764_000_000;
    const ASKED: Asked<'_> = Asked { rpc: "RevealSecrets", recipient: &[7; 32] };
    const TOKEN: &[u8] = b"paramd_step_x";

    fn holder(key: &ProofKey) -> [u8; 32] {
        key.public().try_into().unwrap()
    }

    #[test]
    fn a_proof_is_good_for_what_it_was_made_for_alone() {
        let (key, other) = (ProofKey::generate().unwrap(), ProofKey::generate().unwrap());
        let proof = key.prove(TOKEN, ASKED, NOW);
        let good = |holder: &[u8; 32], token: &[u8], about, now| {
            is_good(proof.as_bytes(), holder, token, about, now)
        };
        let own = holder(&key);
        assert!(good(&own, TOKEN, ASKED, NOW));
        assert!(good(&own, TOKEN, ASKED, NOW + WINDOW) && good(&own, TOKEN, ASKED, NOW - WINDOW));
        assert!(!good(&own, TOKEN, ASKED, NOW + WINDOW + 1));
        assert!(!good(&own, TOKEN, ASKED, NOW - WINDOW - 1));
        assert!(!good(&holder(&other), TOKEN, ASKED, NOW));
        assert!(!good(&own, b"paramd_step_y", ASKED, NOW));
        assert!(!good(&own, TOKEN, Asked { rpc: "GetContext", ..ASKED }, NOW));
        assert!(!good(&own, TOKEN, Asked { recipient: &[8; 32], ..ASKED }, NOW));
        assert!(!good(&own, TOKEN, Asked { recipient: &[], ..ASKED }, NOW));
    }

    #[test]
    fn the_form_is_as_the_contract_says() {
        let key = ProofKey::generate().unwrap();
        let proof = key.prove(TOKEN, Asked { rpc: "GetContext", recipient: &[1, 0xab] }, NOW);
        let (time, signature) = proof.split_once('.').unwrap();
        let signed = format!("paramd.v1.StepToken\0GetContext\0paramd_step_x\0{time}\x0001ab");
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&ED25519, key.public());
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
    }

    proptest! {
        #[test]
        fn no_other_bytes_are_a_proof(
            change in any::<prop::sample::Index>(), to: u8, junk in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let key = ProofKey::generate().unwrap();
            let own = holder(&key);
            let mut proof = key.prove(TOKEN, ASKED, NOW).into_bytes();
            prop_assert!(!is_good(&junk, &own, TOKEN, ASKED, NOW));
            let at = change.index(proof.len());
            let same = std::mem::replace(&mut proof[at], to) == to;
            prop_assert_eq!(is_good(&proof, &own, TOKEN, ASKED, NOW), same);
        }
    }
}
