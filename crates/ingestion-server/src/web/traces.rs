//! Traces: spans of requests and of their slow parts, sent by OTLP to a collector where one is configured. Where none is,
//! nobody is interested in the spans, and they are never made.

use std::fmt;
use std::time::Duration;

use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use tokio::runtime::Handle;
use tracing::{Span, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::outbound::Outbound;

/// The target of all spans that are sent. Events and the spans of libraries have others, and stay here.
pub const TARGET: &str = "traces";

/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a collector's answer.
const MOST: usize = 64 << 10;

/// Where spans are sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// The collector's address, below which spans go to `/v1/traces`; empty: nowhere.
    pub endpoint: String,
}

/// What sends spans.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends spans of the program called `service` to a collector; none where no endpoint is given.
    pub fn start(endpoint: &str, service: &'static str, outbound: Outbound) -> Result<Option<Traces>, String> {
        let endpoint = endpoint.trim_end_matches('/');
        if endpoint.is_empty() {
            return Ok(None);
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { outbound, runtime: Handle::current() })
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()
            .map_err(|error| format!("traces.endpoint: {error}"))?;
        let resource = Resource::builder().with_service_name(service).build();
        Ok(Some(Traces(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())))
    }

    /// What makes the spans.
    pub(super) fn tracer(&self) -> opentelemetry_sdk::trace::SdkTracer {
        self.0.tracer("platform")
    }

    /// Sends what is still to be sent.
    pub async fn end(self) {
        // It waits for a thread of its own.
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        if !matches!(ended, Ok(Ok(()))) {
            warn!("the last spans were not sent");
        }
    }
}

/// The span of a request, within the trace that its caller names.
pub fn request(method: &'static str, route: &str, id: &str, headers: &HeaderMap) -> Span {
    let span = info_span!(
        target: TARGET, "request", otel.name = format_args!("{method} {route}"), otel.kind = "server",
        http.request.method = method, http.route = route, request.id = id,
        http.response.status_code = tracing::field::Empty, otel.status_code = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        // It fails only where nobody makes spans.
        let _ = span.set_parent(parent);
    }
    span
}

/// Notes how a request ended.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// The id of the trace that a span belongs to, if there is one.
pub fn id(span: &Span) -> Option<String> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Sends by our own client, from a thread of the exporter's on the threads of ours.
struct Sender {
    outbound: Outbound,
    runtime: Handle,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

impl HttpClient for Sender {
    fn send_bytes<'s, 'f>(&'s self, request: Request<Bytes>) -> BoxFuture<'f, Result<Response<Bytes>, HttpError>>
    where
        's: 'f,
        Self: 'f,
    {
        let outbound = self.outbound.clone();
        let sent = self.runtime.spawn(async move { outbound.send(request.map(Full::new), PATIENCE, MOST).await });
        async move { Ok(sent.await??) }.boxed()
    }
}
