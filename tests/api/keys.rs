//! In the platform every path but health needs a key; metrics are also for collectors on the same machine.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::{HeaderValue, Request};
use ingestion_server::web::{Keys, Peer};

use crate::app::{App, files};

const KEY: &str = "ra_live_0123456789abcdef0123456789abcdef";

fn platform() -> App {
    let app = App::new();
    App { router: app.ingestion.alone(Some(Keys::new([Keys::hash(KEY)]))), ..app }
}

#[tokio::test]
async fn either_header_opens() {
    let app = platform();
    let bearer = format!("Bearer {KEY}");
    let lower = format!("bearer {KEY}");
    let cases: [(&[(&str, &str)], u16); 8] = [
        (&[("authorization", &bearer)], 201),
        (&[("authorization", &lower)], 201),
        (&[("x-runagents-api-key", KEY)], 201),
        (&[("authorization", "Bearer wrong"), ("x-runagents-api-key", KEY)], 201),
        (&[("authorization", KEY)], 401),
        (&[("authorization", "Bearer ")], 401),
        (&[("x-runagents-api-key", "ra_live_wrong")], 401),
        (&[], 401),
    ];
    for (headers, status) in cases {
        let mut request = Request::post("/ingestion/analyze");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let reply = app.send(request.body(files([("a.py", "")]).into()).unwrap()).await;
        assert_eq!(reply.status, status, "{headers:?}");
        if status == 401 {
            assert_eq!(reply.header("www-authenticate"), "Bearer");
            assert!(reply.error().1.starts_with("missing or unknown API key; send "));
        }
    }
}

#[tokio::test]
async fn a_key_may_be_any_text_that_a_header_can_hold() {
    let key = "sch\u{f6}ner schl\u{fc}ssel";
    let app = App::new();
    let app = App { router: app.ingestion.alone(Some(Keys::new([Keys::hash(key)]))), ..app };
    for (name, value) in [("authorization", format!("Bearer  {key} ")), ("x-runagents-api-key", key.to_string())] {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let request = Request::get("/metrics").header(name, value).body(Body::empty()).unwrap();
        assert_eq!(app.send(request).await.status, 200);
    }
}

#[tokio::test]
async fn without_a_key_only_health_answers() {
    let app = platform();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(app.get(path).await.status, 200);
    }
    for path in ["/metrics", "/analysis/analysis-00", "/nothing", "/", "/healthz/", "//healthz"] {
        assert_eq!(app.get(path).await.error().0, 401, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_for_collectors_on_this_machine() {
    let app = platform();
    let ask = |peer: &str, forwarded: Option<&str>| {
        let mut request = Request::get("/metrics").extension(Peer(peer.parse::<SocketAddr>().unwrap()));
        if let Some(address) = forwarded {
            request = request.header("x-forwarded-for", address);
        }
        app.send(request.body(Body::empty()).unwrap())
    };
    for local in ["127.0.0.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"] {
        assert_eq!(ask(local, None).await.status, 200, "{local}");
    }
    assert_eq!(ask("203.0.113.9:5000", None).await.status, 401);
    assert_eq!(ask("127.0.0.1:5000", Some("203.0.113.9")).await.status, 401);
}
