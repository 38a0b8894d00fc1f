//! The listener for metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;

use super::DaemonError;
use crate::engine::Engine;
use crate::telemetry::measure::{self, Counted};
use crate::telemetry::scrape;

/// Where metrics are asked for, and what is counted.
pub(super) struct Observed {
    listener: TcpListener,
    counted: Counted,
}

/// Listens where `paramd.yaml` says, if it does, and counts from now on.
pub(super) async fn listen(address: Option<SocketAddr>) -> Result<Option<Observed>, DaemonError> {
    let Some(address) = address else { return Ok(None) };
    let failed = |error: std::io::Error| DaemonError::Metrics { address, why: error.kind() };
    let listener = scrape::bind(address).await.map_err(failed)?;
    let Some(counted) = measure::install() else {
        tracing::error!("nothing can be counted, so no metrics are served");
        return Ok(None);
    };
    measure::bundle_taken(Timestamp::now().as_second());
    Ok(Some(Observed { listener, counted }))
}

/// Serves what was counted, where somebody may ask.
pub(super) async fn serve(observed: Option<Observed>, engine: Arc<Engine>) {
    if let Some(Observed { listener, counted }) = observed {
        let count = Arc::new(move || engine.count_open_runs());
        tokio::join!(counted.clone().take_in(), scrape::serve(listener, counted, count));
    }
}
