//! Log: one line per request, with its id, and nothing of bodies, headers, keys or source text.

use std::io::IsTerminal;

use axum::http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use tracing::{error, info};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::traces::{TARGET, Traces};
use super::world::World;

/// How the log is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// For people or for programs.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, or a filter such as `info,ingestion_server=debug`.
    pub level: String,
}

/// The two ways to write a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts the log of this process on standard error, for standard output belongs to the banner; and its traces.
pub fn start(config: &LogConfig, traces: Option<&Traces>) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| format!("log.level: {error}"))?;
    let log = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let log = match config.format {
        LogFormat::Text => log.boxed(),
        LogFormat::Json => log.json().flatten_event(true).boxed(),
    };
    // Who is interested in spans is asked once, where they are made: with nobody there, they cost nothing.
    let log = log.with_filter(filter.and(filter_fn(|about| about.target() != TARGET)));
    let spans = traces.map(|traces| {
        let layer =
            tracing_opentelemetry::layer().with_tracer(traces.tracer()).with_location(false).with_threads(false);
        layer.with_filter(filter_fn(|about| about.target() == TARGET))
    });
    tracing_subscriber::registry().with(log).with(spans).init();
    // A panic's message may quote the text it failed on.
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(at) => error!(file = at.file(), line = at.line(), "panic"),
        None => error!("panic"),
    }));
    Ok(())
}

/// The caller's request id, or a new one.
pub fn request_id(headers: &HeaderMap, world: &World) -> HeaderValue {
    match headers.get("x-request-id") {
        Some(id) if is_sound(id) => id.clone(),
        _ => HeaderValue::from_str(&world.id("req")).expect("made of letters, digits and a hyphen"),
    }
}

/// An id that cannot disturb a log or a header.
fn is_sound(id: &HeaderValue) -> bool {
    let sound = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
    (1..=128).contains(&id.len()) && id.as_bytes().iter().all(sound)
}

/// What is said about a request. The route, not the path: a path may hold what its sender mistook for a place.
#[derive(Debug)]
pub struct Line<'a> {
    /// The id that the answer carries too.
    pub id: &'a HeaderValue,
    /// The trace that the request belongs to, where there are traces.
    pub trace: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The route's pattern.
    pub route: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// Until the first byte of the answer was there.
    pub micros: u64,
}

impl Line<'_> {
    /// Writes it.
    pub fn write(&self) {
        let id = self.id.to_str().unwrap_or_default();
        let Line { trace, method, route, status, micros, .. } = self;
        info!(request.id = id, trace.id = trace, method, route, status, micros, "request");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_when_it_is_harmless() {
        let world = World::staged();
        let of = |id: &str| {
            let headers = HeaderMap::from_iter([("x-request-id".parse().unwrap(), HeaderValue::from_str(id).unwrap())]);
            request_id(&headers, &world).to_str().unwrap().to_string()
        };
        assert_eq!(of("abc-123"), "abc-123");
        assert_eq!(of("a b"), "req-1");
        assert_eq!(of(&"x".repeat(129)), "req-2");
    }
}
