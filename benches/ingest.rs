//! What a request costs, in process: the same again, the same content spelt anew, and something new.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use analyzer_core::Analysis;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use divan::Bencher;
use ingestion_server::web::World;
use ingestion_server::{Config, Ingestion};
use tokio::runtime::Runtime;
use tower::ServiceExt;

const BYTES: [usize; 3] = [1_000, 100_000, 10_000_000];

fn main() {
    divan::main();
}

/// The rim alone: the analyzer says nothing at once.
fn server() -> (Runtime, Router) {
    let analyzer = Arc::new(|_: &_, _: &_| Analysis { id: "analysis-00".into(), ..Analysis::default() });
    let runtime = Runtime::new().expect("threads can be had");
    (runtime, Ingestion::with_analyzer(&Config::default(), World::Real, analyzer).alone(None))
}

fn body(bytes: usize, salt: usize) -> String {
    let text = format!("# {salt}\n{}", "value = compute(1, 2)\n".repeat(bytes / 22));
    serde_json::json!({ "files": { "agent.py": text } }).to_string()
}

fn ask(runtime: &Runtime, router: &Router, body: impl Into<Body>) {
    let request = Request::post("/analyze").body(body.into()).expect("a sound request");
    let response = runtime.block_on(router.clone().oneshot(request)).expect("routers do not fail");
    assert_eq!(response.status(), 201);
}

#[divan::bench(args = BYTES)]
fn the_same_again(bencher: Bencher<'_, '_>, bytes: usize) {
    let (runtime, router) = server();
    let body = bytes::Bytes::from(body(bytes, 0));
    bencher.bench(|| ask(&runtime, &router, body.clone()));
}

#[divan::bench(args = BYTES)]
fn the_same_content_spelt_anew(bencher: Bencher<'_, '_>, bytes: usize) {
    let (runtime, router) = server();
    let body = body(bytes, 0);
    let spaces = AtomicUsize::new(0);
    let anew = || format!("{}{body}", " ".repeat(spaces.fetch_add(1, Ordering::Relaxed)));
    bencher.with_inputs(anew).bench_values(|body| ask(&runtime, &router, body));
}

#[divan::bench(args = BYTES)]
fn something_new(bencher: Bencher<'_, '_>, bytes: usize) {
    let (runtime, router) = server();
    let salt = AtomicUsize::new(0);
    let new = || body(bytes, salt.fetch_add(1, Ordering::Relaxed));
    bencher.with_inputs(new).bench_values(|body| ask(&runtime, &router, body));
}

/// Cold: the real analyzer behind the same rim, on a real agent of ours that is new each time.
#[divan::bench]
fn an_agent_analyzed(bencher: Bencher<'_, '_>) {
    let runtime = Runtime::new().expect("threads can be had");
    let router = Ingestion::new(&Config::default(), World::Real, None).alone(None);
    let agent = include_str!("../fixtures/agents/quickstart-echo/input/agent.py");
    let salt = AtomicUsize::new(0);
    let new = || {
        let text = format!("{agent}# {}\n", salt.fetch_add(1, Ordering::Relaxed));
        serde_json::json!({ "files": { "agent.py": text } }).to_string()
    };
    bencher.with_inputs(new).bench_values(|body| ask(&runtime, &router, body));
}
