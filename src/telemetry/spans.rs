//! OpenTelemetry: spans of requests, reads of sources and commits, sent where
//! `traces` of `paramd.yaml` says. A span's attributes are names of rpcs, steps,
//! sources and outcomes; no event and no other crate's span goes out.

use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The target of all spans here, and of nothing else.
pub const TARGET: &str = "paramd_spans";
/// How long one export may take.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);
/// How long what is left may take at the end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Sends spans, apart from those who make them: what can't be sent is dropped.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Makes ready to send to an OTLP receiver at `endpoint`; whether one is
    /// there shows later, and harms nobody. None where it can't be an address.
    pub fn to(endpoint: &str) -> Option<Self> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_LIMIT)
            .build()
            .ok()?;
        let resource = Resource::builder_empty()
            .with_attribute(KeyValue::new("service.name", "paramd"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            // Who calls decides; a trace that begins here is kept.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_resource(resource)
            .build();
        Some(Self(provider))
    }

    /// Makes the spans.
    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("paramd")
    }

    /// Sends what is left, for a moment.
    pub async fn end(self) {
        let sent =
            tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(SHUTDOWN_LIMIT));
        if !matches!(sent.await, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be sent");
        }
    }
}

/// The span of a request; `parent` is the caller's `traceparent`, well formed.
pub fn request(rpc: &'static str, parent: Option<&str>) -> Span {
    let span = tracing::info_span!(
        target: TARGET, "request", otel.name = rpc, otel.kind = "server",
        rpc.system = "grpc", rpc.method = rpc, paramd.code = Empty, paramd.reason = Empty,
        paramd.step = Empty, otel.status_code = Empty
    );
    if let Some(parent) = parent.and_then(remote) {
        // Not configured: there is no span to have one.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span
}

/// The span of one read of a source.
pub fn source_read(source: &str) -> Span {
    tracing::info_span!(
        target: TARGET, "source read", otel.kind = "client", paramd.source = source,
        paramd.outcome = Empty, paramd.attempts = Empty, otel.status_code = Empty
    )
}

/// The span of a commit, from being asked for to being on disk.
pub fn commit() -> Span {
    tracing::info_span!(target: TARGET, "store commit")
}

/// The trace that a span belongs to; empty where none is made.
pub fn trace_id(span: &Span) -> String {
    let context = span.context();
    let context = context.span().span_context().clone();
    if context.is_valid() { context.trace_id().to_string() } else { String::new() }
}

/// The caller's span in a `traceparent`.
fn remote(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace = TraceId::from_hex(parts.next()?).ok()?;
    let span = SpanId::from_hex(parts.next()?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(parts.next()?, 16).ok()?);
    Some(SpanContext::new(trace, span, flags & TraceFlags::SAMPLED, true, TraceState::default()))
}
