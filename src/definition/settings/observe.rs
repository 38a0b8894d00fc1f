//! Reader of what `paramd.yaml` says of metrics, traces and the log.

use std::net::SocketAddr;

use super::LogForm;
use crate::yaml::Node;
use crate::yaml::diagnostic::Problems;
use crate::yaml::fields::{self, Fields};

/// Where metrics are served.
pub(super) fn metrics(node: &Node, problems: &mut Problems) -> Option<SocketAddr> {
    let text = fields::text(node, "metrics", problems)?;
    let address = text.value.parse().ok();
    if address.is_none() {
        problems
            .error("invalid_address", &text.place, "`metrics` must be an address and a port")
            .sensitive()
            .help("such as `\"127.0.0.1:9464\"`");
    }
    address
}

/// Where spans are sent.
pub(super) fn traces(node: &Node, problems: &mut Problems) -> Option<String> {
    let mut keys = Fields::of(node, "`traces`", problems)?;
    let otlp = keys.required("otlp");
    keys.finish(problems);
    let text = fields::text(otlp?, "otlp", problems)?;
    if !is_receiver(&text.value) {
        problems
            .error("invalid_address", &text.place, "`otlp` must be `http://HOST:PORT`")
            .sensitive()
            .help("such as `\"http://127.0.0.1:4317\"`, a collector that speaks OTLP over gRPC");
        return None;
    }
    Some(text.value)
}

/// The most bytes of an address: any host's name is shorter.
const MAX_ADDRESS: usize = 1_024;

fn is_receiver(text: &str) -> bool {
    if text.len() > MAX_ADDRESS {
        return false;
    }
    let Ok(url) = text.parse::<http::Uri>() else { return false };
    let bare = url.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    url.scheme_str() == Some("http")
        && bare
        && url.port_u16().is_some()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
}

/// The form of the log.
pub(super) fn log(node: &Node, problems: &mut Problems) -> Option<LogForm> {
    let text = fields::text(node, "log", problems)?;
    match text.value.as_str() {
        "text" => Some(LogForm::Text),
        "json" => Some(LogForm::Json),
        _ => {
            problems.error("invalid_log", &text.place, "`log` is `text` or `json`").sensitive();
            None
        }
    }
}
