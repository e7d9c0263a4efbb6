//! What operators see: health, metrics, request ids, and a log without what it must not hold.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use tracing_subscriber::fmt::MakeWriter;

use crate::app::{App, files};

#[tokio::test]
async fn a_server_that_stops_is_healthy_but_not_ready() {
    let app = App::new();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(app.get(path).await.text(), r#"{"status":"ok"}"#);
    }
    app.ingestion.stop();
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/readyz").await.error(), (503, "the server is stopping".into()));
}

#[tokio::test]
async fn metrics_tell_requests_and_where_answers_came_from() {
    let app = App::new();
    app.analyze("x = 1").await;
    app.analyze("x = 1").await;
    app.post("/analyze", r#"{ "files": {"agent.py": "x = 1"}}"#).await;
    app.get("/no/such/path").await;
    app.send(Request::builder().method("BREW").uri("/analyze").body(Body::empty()).unwrap()).await;
    let reply = app.get("/metrics").await;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, media_type));
    for line in [
        r#"http_requests_total{method="POST",route="/analyze",status="201"} 3"#,
        r#"http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"http_requests_total{method="other",route="/analyze",status="405"} 1"#,
        r#"ingestion_answers_total{origin="analysis"} 1"#,
        r#"ingestion_answers_total{origin="body"} 1"#,
        r#"ingestion_answers_total{origin="content"} 1"#,
        r#"ingestion_analyses_total{outcome="done"} 1"#,
        "ingestion_running 0",
    ] {
        assert!(reply.text().lines().any(|found| found == line), "{line}\n{}", reply.text());
    }
}

#[tokio::test]
async fn a_request_keeps_the_id_it_came_with_and_gets_one_otherwise() {
    let app = App::new();
    assert_eq!(app.get("/healthz").await.header("x-request-id"), "req-1");
    let request = Request::get("/nothing").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.header("x-request-id"), "mine-1");
    let request = Request::get("/healthz").header("x-request-id", "not mine").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.header("x-request-id"), "req-2");
}

/// Everything that is logged, as a test can read it.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// At the finest level, as JSON.
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt().with_writer(self.clone()).with_max_level(tracing::Level::TRACE).json().finish()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_has_a_line_per_request_and_nothing_of_its_content() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.subscriber());
    let app = App::with(
        |_| {},
        Arc::new(|sources, _| match sources.files()[0].text.contains("panic") {
            true => panic!("{}", sources.files()[0].text),
            false => crate::app::analysis(sources),
        }),
    );
    for body in [
        files([("hush.py", "hush")]),
        files([("hush.py", "panic hush")]),
        files([("../hush.py", "hush")]),
        r#"{"files": "hush"}"#.into(),
        "hush".into(),
    ] {
        let request = Request::post("/analyze?hush=1").header("authorization", "Bearer hush").header("x-hush", "hush");
        app.send(request.body(body.into()).unwrap()).await;
    }
    app.get("/analysis/hush").await;
    app.get("/hush").await;
    drop(guard);
    let log = log.text();
    assert_eq!(log.matches(r#""message":"request""#).count(), 7, "{log}");
    assert_eq!(log.matches(r#""message":"internal error""#).count(), 1, "{log}");
    assert!(log.contains(r#""request.id":"req-1""#) && log.contains(r#""route":"/analysis/{id}""#), "{log}");
    assert!(!log.contains("hush"), "{log}");
}
