//! The listener for metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;

use super::DaemonError;
use crate::engine::Engine;
use crate::telemetry::{measure, scrape};

/// Listens where `paramd.yaml` says, if it does.
pub(super) async fn listen(
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, DaemonError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error: std::io::Error| DaemonError::Metrics { address, why: error.kind() };
    scrape::bind(address).await.map(Some).map_err(failed)
}

/// Counts, and serves what was counted, where somebody may ask.
pub(super) async fn serve(listener: Option<TcpListener>, engine: Arc<Engine>) {
    let Some(listener) = listener else { return };
    let Some(handle) = measure::install() else {
        tracing::error!("metrics can't be counted");
        return;
    };
    measure::bundle_taken(Timestamp::now().as_second());
    scrape::serve(listener, handle, Arc::new(move || engine.count_open_runs())).await;
}
