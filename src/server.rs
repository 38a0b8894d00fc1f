//! The gRPC edge: who calls, what the messages mean, how refusals are told.

mod accept;
mod authentication;
mod authority;
mod certificate;
mod convert;
mod gate;
mod limits;
mod listen;
mod patience;
mod pulse;
mod services;
mod status;
mod step;
mod strangers;
mod tls;
mod trust;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::engine::Engine;
use crate::proto;
use gate::Gate;
use patience::Patience;

pub use authentication::Bearers;
pub use limits::Limits;
pub use listen::{BoundListener, ListenError};
pub use tls::{Files as TlsFiles, Tls, TlsError};

/// How long connections may take to close when nothing is begun on them any
/// more. A stream of health or reflection may be open on one.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The health service that tells whether the bundle on disk is the one in force;
/// the others tell whether requests are answered.
pub const BUNDLE: &str = "paramd.bundle";

/// The most requests at a time on one connection.
const MAX_STREAMS: u32 = 256;
/// The most bytes of a request's headers.
const MAX_HEADERS: u32 = 16 << 10;
/// The most bytes of a frame: HTTP/2's own default.
const MAX_FRAME: u32 = 16 << 10;
/// The most bytes on their way that nobody has read, of a request and of a
/// connection.
const WINDOW: u32 = 1 << 20;
/// The most streams that a client took back before they were looked at.
const MAX_PENDING_RESETS: usize = 32;
/// The most streams of a connection that we end for the client's errors.
const MAX_ERROR_RESETS: usize = 256;

/// Why the edge can't serve, in our own words.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is nothing to listen on.
    #[error("there is no address to listen on; `listen` in paramd.yaml needs one")]
    NoListener,
    /// The descriptors of the contract are broken: a fault of the build.
    #[error("reflection can't be served: the contract's descriptors can't be read")]
    Reflection,
    /// The transport gave up.
    #[error("the gRPC server gave up")]
    Transport,
}

/// Serves until `shutdown`, and then what was begun for at most `limits.drain`;
/// new requests are answered `NOT_SERVING` meanwhile. The sockets' files are gone
/// at the end. `bundle` says whether what is on disk is in force.
///
/// # Errors
/// Nothing was served, or the transport gave up.
pub async fn serve(
    engine: Arc<Engine>,
    bearers: Bearers,
    listeners: Vec<BoundListener>,
    bundle: watch::Receiver<bool>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_routes(services::routes(engine, bearers), listeners, bundle, limits, shutdown).await
}

async fn serve_routes(
    routes: Routes,
    listeners: Vec<BoundListener>,
    bundle: watch::Receiver<bool>,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    if listeners.is_empty() {
        return Err(ServeError::NoListener);
    }
    let health = HealthReporter::new();
    report(&health, ServingStatus::Serving).await;
    // Known before the first caller is, who may ask at once.
    health.set_service_status(BUNDLE, ServingStatus::Serving).await;
    let routes = with_standard_services(routes, &health)?;
    let gate = Gate::new(limits.others);
    let (listeners, files): (Vec<_>, Vec<_>) =
        listeners.into_iter().map(BoundListener::into_parts).unzip();

    let (close, closing) = oneshot::channel::<()>();
    let server = limited(&limits).layer(Patience::new(&limits)).layer(gate.clone());
    let served = server.serve_with_incoming_shutdown(
        routes.prepare(),
        accept::incoming(listeners, &limits),
        async {
            // Dropped or sent to, it is time to close.
            let _ = closing.await;
        },
    );
    let stopped = async {
        shutdown.await;
        tracing::info!(begun = gate.begun(), "stopping: no new requests are taken");
        report(&health, ServingStatus::NotServing).await;
        if tokio::time::timeout(limits.drain, gate.close()).await.is_err() {
            tracing::warn!(begun = gate.begun(), "stopping before all requests were answered");
        }
        drop(close);
        tokio::time::sleep(CLOSE_LIMIT).await;
    };
    let result = tokio::select! {
        served = served => served.map_err(|_| ServeError::Transport),
        () = stopped => Ok(()),
        () = report_bundle(&health, bundle) => Ok(()),
    };
    drop(files);
    result
}

/// tonic leaves some of HTTP/2's limits out unless told: each is set.
fn limited(limits: &Limits) -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .max_frame_size(MAX_FRAME)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_max_local_error_reset_streams(Some(MAX_ERROR_RESETS))
        .http2_adaptive_window(Some(false))
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive_answer))
        .max_connection_age(limits.connection_age)
        .max_connection_age_grace(limits.connection_age)
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for name in services::NAMES {
        health.set_service_status(name, status).await;
    }
}

/// Says for ever whether the bundle on disk is the one in force.
async fn report_bundle(health: &HealthReporter, mut bundle: watch::Receiver<bool>) {
    loop {
        let status = if *bundle.borrow_and_update() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        health.set_service_status(BUNDLE, status).await;
        if bundle.changed().await.is_err() {
            // Nobody looks at the files any more: it stays as it is.
            std::future::pending::<()>().await;
        }
    }
}

/// Health and reflection: they need no principal and tell nothing of pipelines.
fn with_standard_services(routes: Routes, health: &HealthReporter) -> Result<Routes, ServeError> {
    let health = tonic_health::server::HealthService::from_health_reporter(health.clone());
    let health = tonic_health::pb::health_server::HealthServer::new(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that a client that knows nothing can read the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    // Python's client speaks v1alpha alone.
    let v1 = reflection().build_v1().map_err(|_| ServeError::Reflection)?;
    let v1alpha = reflection().build_v1alpha().map_err(|_| ServeError::Reflection)?;
    Ok(routes.add_service(health).add_service(v1).add_service(v1alpha))
}

#[cfg(test)]
mod tests;
