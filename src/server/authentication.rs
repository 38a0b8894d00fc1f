//! Who calls: the kernel's word on the peer of the Unix socket.

use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::server::UdsConnectInfo;

use crate::audit::Principal;

/// The caller of a request; none where nothing tells who it is. Who shows a
/// bearer token wants to be taken for its owner, not for the socket's peer; this
/// daemon knows no tokens, so none is good.
pub(super) fn principal<T>(request: &Request<T>) -> Option<Principal> {
    if request.metadata().contains_key("authorization") {
        return None;
    }
    let peer = request.extensions().get::<UdsConnectInfo>()?.peer_cred?;
    Some(Principal::unix_user(peer.uid()))
}

/// The trace id of a W3C `traceparent`; empty where there is none or it isn't
/// well formed.
pub(super) fn trace_id(metadata: &MetadataMap) -> String {
    traceparent(metadata).map(trace_of).unwrap_or_default().to_owned()
}

/// The W3C `traceparent`, where there is one and it is well formed.
pub(super) fn traceparent(metadata: &MetadataMap) -> Option<&str> {
    let text = metadata.get("traceparent")?.to_str().ok()?;
    well_formed(text).map(|_| text)
}

/// The trace id of a well formed `traceparent`.
pub(super) fn trace_of(traceparent: &str) -> &str {
    well_formed(traceparent).unwrap_or_default()
}

fn well_formed(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    let known = version != "00" || parts.next().is_none();
    let shaped = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    let zero = |text: &str| text.bytes().all(|b| b == b'0');
    (known && shaped && version != "ff" && !zero(trace) && !zero(span)).then_some(trace)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn found(traceparent: &str) -> String {
        let mut metadata = MetadataMap::new();
        metadata.insert("traceparent", traceparent.parse().unwrap());
        trace_id(&metadata)
    }

    #[test]
    fn a_well_formed_traceparent_gives_its_trace() {
        assert_eq!(found(&format!("00-{TRACE}-00f067aa0ba902b7-01")), TRACE);
        assert_eq!(found(&format!("01-{TRACE}-00f067aa0ba902b7-01-more")), TRACE);
    }

    #[test]
    fn anything_else_gives_none() {
        for text in [
            String::new(),
            "hunter2".to_owned(),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
        ] {
            assert_eq!(found(&text), "", "{text}");
        }
        assert_eq!(trace_id(&MetadataMap::new()), "");
    }

    #[test]
    fn without_a_socket_nobody_calls() {
        assert!(principal(&Request::new(())).is_none());
    }
}
