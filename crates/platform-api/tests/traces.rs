//! Traces of the running binary: a collector that is configured gets spans, and the log names their trace.

mod binary;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use binary::{KEY, Platform};
use http_body_util::BodyExt;
use serde_json::Value;

/// A trace that a caller begins.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What a collector was sent: path, media type, body.
type Sent = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

async fn collector() -> (String, Sent) {
    let sent = Sent::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let kept = sent.clone();
    let router = axum::Router::new().fallback(async move |request: Request<Body>| {
        let (parts, body) = request.into_parts();
        let kind = parts.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_string();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        kept.lock().unwrap().push((parts.uri.path().to_string(), kind, body));
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, sent)
}

/// A platform that is asked once within a trace, and ended as a service manager does: the log lines of its requests.
async fn one_request(name: &str, change: impl FnOnce(&mut Command)) -> Vec<Value> {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.log"));
    let file = std::fs::File::create(&log).unwrap();
    let mut platform = Platform::start(name, |command| {
        command.env("PLATFORM_LOG_FORMAT", "json").stderr(Stdio::from(file));
        change(command);
    });
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["-sf", "-o", "/dev/null", "-H", &format!("Authorization: Bearer {KEY}")]);
    curl.args(["-H", &format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01"), "-H", "X-Request-Id: a-request"]);
    curl.args(["-d", r#"{"name": "crm", "base_url": "https://a-host.example.com"}"#]);
    assert!(curl.arg(format!("{}/api/v1/tools", platform.address)).status().await.unwrap().success());
    // The collector is served by this runtime, which must not be waited on.
    let ended = tokio::task::spawn_blocking(move || {
        assert!(Command::new("kill").arg(platform.child.id().to_string()).status().unwrap().success());
        platform.child.wait().unwrap()
    });
    assert_eq!(ended.await.unwrap().code(), Some(0));
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == "request").collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl; `cargo xtask test` installs it"]
async fn a_collector_gets_the_spans_of_a_request_and_the_log_names_their_trace() {
    let (address, sent) = collector().await;
    let lines = one_request("traces", |command| {
        command.env("PLATFORM_TRACES_ENDPOINT", &address);
    })
    .await;
    assert_eq!([&lines[0]["request.id"], &lines[0]["trace.id"]], ["a-request", TRACE]);

    let sent = sent.lock().unwrap();
    assert!(!sent.is_empty() && sent.iter().all(|(path, ..)| path == "/v1/traces"), "{}", sent.len());
    assert_eq!(sent[0].1, "application/x-protobuf");
    let bytes: Vec<u8> = sent.iter().flat_map(|(.., body)| body.clone()).collect();
    let trace: Vec<u8> = (0..16).map(|n| u8::from_str_radix(&TRACE[2 * n..2 * n + 2], 16).unwrap()).collect();
    let parts: [&[u8]; 6] =
        [&trace, b"platform-api", b"POST /api/v1/tools", b"http.response.status_code", b"a-request", b"store.write"];
    for part in parts {
        assert!(holds(&bytes, part), "{}", String::from_utf8_lossy(part));
    }
    // Neither what was sent nor who sent it.
    assert!(!holds(&bytes, KEY.as_bytes()) && !holds(&bytes, b"a-host.example.com"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl; `cargo xtask test` installs it"]
async fn the_fields_own_variable_names_a_collector_too() {
    let (address, sent) = collector().await;
    let lines = one_request("traces-variable", |command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{address}/"));
    })
    .await;
    assert_eq!(lines[0]["trace.id"], TRACE);
    assert!(sent.lock().unwrap().iter().any(|(path, ..)| path == "/v1/traces"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl; `cargo xtask test` installs it"]
async fn without_a_collector_there_are_no_traces() {
    let lines = one_request("no-traces", |_| {}).await;
    assert_eq!((&lines[0]["request.id"], lines[0].get("trace.id")), (&"a-request".into(), None));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl; `cargo xtask test` installs it"]
async fn a_collector_that_is_not_there_holds_nobody_up() {
    let lines = one_request("traces-nowhere", |command| {
        command.env("PLATFORM_TRACES_ENDPOINT", "http://127.0.0.1:9");
    })
    .await;
    assert_eq!(lines[0]["status"], 201);
}
