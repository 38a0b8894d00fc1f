//! The generated code of `proto/`, and the encoded form of kept answers.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, skip_field};

/// Package `paramd.v1`: messages and clients.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated from proto/, where the comments are"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/messages/paramd.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/redacted_debug.rs"));
}

/// Package `paramd.v1`: servers.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated from proto/, where the comments are"
)]
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/servers/paramd.v1.rs"));
}

/// The encoded descriptors of every served message, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// An answer that was encoded once and is sent as it is.
///
/// It stands for `GetContextResponse` and `ResolveRunResponse` in the servers.
/// It can't be decoded: unknown fields are what the daemon would make of it.
#[derive(Clone, Default)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Encodes `message` once.
    pub fn new(message: &impl prost::Message) -> Self {
        Self(message.encode_to_vec().into())
    }

    /// Takes what [`prost::Message::encode_to_vec`] made of such a message.
    pub fn from_bytes(encoded: Bytes) -> Self {
        Self(encoded)
    }

    /// How many bytes the answer has on the wire.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the answer is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoded({} bytes)", self.0.len())
    }
}

impl prost::Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put(self.0.clone());
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0 = Bytes::new();
    }
}

#[cfg(test)]
mod tests;
