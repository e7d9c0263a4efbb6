//! Any body is answered, with success or a refusal that is JSON; never with a fault of the server.
#![no_main]

use std::sync::{Arc, LazyLock};

use analyzer_core::analyze;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use ingestion_server::web::World;
use ingestion_server::{Config, Ingestion};
use libfuzzer_sys::fuzz_target;
use tower::ServiceExt;

static SERVER: LazyLock<(tokio::runtime::Runtime, Router)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let router = {
        let _inside = runtime.enter();
        Ingestion::with_analyzer(&Config::default(), World::Real, Arc::new(analyze)).alone(None)
    };
    (runtime, router)
});

const PATHS: &[&str] = &["/analyze", "/ingestion/analyze", "/analyze/batch", "/ingestion/analyze/batch"];

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let (runtime, router) = &*SERVER;
    let path = PATHS[usize::from(*choice) % PATHS.len()];
    let kind = if choice & 64 == 0 { "application/json" } else { "application/octet-stream" };
    let request = Request::post(path).header("content-type", kind).body(Body::from(body.to_vec())).expect("a request");
    runtime.block_on(async {
        let answer = router.clone().oneshot(request).await.expect("every request is answered");
        let status = answer.status();
        assert!(!status.is_server_error() || status.as_u16() == 503, "{status}");
        let body = to_bytes(answer.into_body(), 64 << 20).await.expect("a body");
        assert!(body.is_empty() || body[0] == b'{' || body[0] == b'[', "{status}");
    });
});
