//! Auth: keys, workspaces, limits, repetitions.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{KEY, Platform, Reply, on_both_engines};

on_both_engines!(
    either_header_opens_either_surface,
    a_workspace_in_the_path_has_resources_of_its_own,
    a_key_may_ask_so_often_and_no_more,
    a_repeated_request_has_its_effect_once,
    a_request_that_is_still_being_answered_is_not_begun_again,
    a_platform_without_its_store_is_alive_and_not_ready,
    an_answer_is_kept_for_a_day_and_no_longer,
    the_analyzer_is_mounted_behind_the_same_door,
);

async fn with(platform: &Platform, header: (&str, &str), path: &str) -> Reply {
    platform.send(Request::get(path).header(header.0, header.1).body(Body::empty()).unwrap()).await
}

async fn either_header_opens_either_surface(platform: Platform) {
    let bearer = format!("bearer {KEY}");
    for header in [("authorization", bearer.as_str()), ("x-runagents-api-key", KEY)] {
        for path in ["/api/tools", "/api/v1/tools"] {
            with(&platform, header, path).await.expect(200);
        }
    }
    for header in [("authorization", KEY), ("authorization", "Bearer no"), ("x-other", KEY)] {
        with(&platform, header, "/api/tools").await.refused(401);
        with(&platform, header, "/nothing").await.refused(401);
    }
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        with(&platform, ("x-other", ""), path).await.expect(200);
    }
}

async fn a_workspace_in_the_path_has_resources_of_its_own(platform: Platform) {
    let tool = json!({"name": "a", "base_url": "https://a.io"});
    platform.post("/api/v1/workspaces/team-one/tools", tool).await.expect(201);
    assert_eq!(platform.get("/api/tools").await.expect(200), json!([]));
    assert_eq!(platform.get("/api/v1/workspaces/team-two/tools").await.expect(200), json!([]));
    platform.get("/api/v1/workspaces/team-one/tools/a").await.expect(200);
    platform.get("/api/v1/workspaces/Team/tools").await.refused(404);
}

async fn a_key_may_ask_so_often_and_no_more(platform: Platform) {
    let platform = platform.with(|config| config.limits.requests_per_minute = 50).await;
    for n in 0..50 {
        let reply = platform.get("/api/tools").await;
        reply.expect(200);
        assert_eq!(reply.header("ratelimit-policy"), "\"key\";q=50;w=60");
        assert!(
            reply.header("ratelimit").starts_with(&format!("\"key\";r={};t=", 49 - n)),
            "{}",
            reply.header("ratelimit")
        );
    }
    let reply = platform.get("/api/tools").await;
    assert!(reply.refused(429).starts_with("rate limit of 50 requests a minute exceeded"));
    assert_eq!(reply.header("retry-after"), "30");
    platform.world.advance(std::time::Duration::from_secs(30));
    platform.get("/api/tools").await.expect(200);
}

async fn a_repeated_request_has_its_effect_once(platform: Platform) {
    let send = async |key: &str, name: &str| {
        let body = json!({"name": name, "base_url": "https://a.io"}).to_string();
        let request = Request::post("/api/tools").header("authorization", format!("Bearer {KEY}"));
        platform.send(request.header("idempotency-key", key).body(Body::from(body)).unwrap()).await
    };
    let first = send("one", "a").await;
    let version = async || {
        let mut tx = platform.app.store().read().await.unwrap();
        tx.get::<platform_api::tools::ToolRecord>("default", "a").await.unwrap().unwrap().version
    };
    let again = send("one", "a").await;
    assert_eq!((first.expect(201), first.header("idempotent-replayed")), (again.expect(201), ""));
    assert_eq!((again.header("idempotent-replayed"), version().await), ("true", 1));
    send("two", "a").await.expect(201);
    assert_eq!(version().await, 2);
    assert!(send("one", "b").await.refused(422).contains("another request"));
    send("", "b").await.refused(400);
}

async fn a_request_that_is_still_being_answered_is_not_begun_again(platform: Platform) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (came, waits) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let slow = axum::Router::new().fallback(async move || {
        came.notify_one();
        waits.notified().await;
        "here"
    });
    tokio::spawn(async move { axum::serve(listener, slow).await });
    let send = async |platform: Platform| {
        let body = json!({"url": format!("http://{address}"), "topology": "Internal"}).to_string();
        let request = Request::post("/api/tools/probe").header("authorization", format!("Bearer {KEY}"));
        platform.send(request.header("idempotency-key", "slow").body(Body::from(body)).unwrap()).await
    };
    let second = async {
        arrived.notified().await;
        let refused = send(platform.clone()).await;
        go_on.notify_one();
        refused
    };
    let (first, second) = tokio::join!(send(platform.clone()), second);
    let text = "a request with this Idempotency-Key is still being answered; try again in a moment";
    assert_eq!(second.refused(409), text);
    let third = send(platform.clone()).await;
    assert_eq!((first.expect(200), "true"), (third.expect(200), third.header("idempotent-replayed")));
}

async fn a_platform_without_its_store_is_alive_and_not_ready(platform: Platform) {
    platform.get("/readyz").await.expect(200);
    platform.app.store().close().await;
    assert_eq!(platform.get("/readyz").await.refused(503), "the store does not answer; try again in a moment");
    platform.get("/healthz").await.expect(200);
    assert_eq!(platform.get("/api/tools").await.refused(500), "internal error");
}

async fn an_answer_is_kept_for_a_day_and_no_longer(platform: Platform) {
    let send = async |name: &str| {
        let body = json!({"name": name}).to_string();
        let request = Request::post("/api/v1/auth/api-keys").header("authorization", format!("Bearer {KEY}"));
        platform.send(request.header("idempotency-key", "one").body(Body::from(body)).unwrap()).await
    };
    let kept = async || {
        platform_api::jobs::tick(&platform.app).await.unwrap();
        let mut tx = platform.app.store().read().await.unwrap();
        tx.unseal::<serde_json::Value>("default", "reply", "key-preset:one").await.unwrap().is_some()
    };
    let token = send("ci").await.expect(201)["token"].clone();
    platform.world.advance(std::time::Duration::from_secs(23 * 3600));
    assert_eq!((send("ci").await.expect(201)["token"].clone(), kept().await), (token, true));
    platform.world.advance(std::time::Duration::from_secs(2 * 3600));
    assert!(!kept().await);
    send("another").await.expect(201);
}

async fn the_analyzer_is_mounted_behind_the_same_door(platform: Platform) {
    let body = json!({"files": {"agent.py": "import requests\nrequests.get('https://api.github.com/user')\n"}});
    let analysis = platform.post("/ingestion/analyze", body.clone()).await.expect(201);
    assert_eq!(analysis["tools"][0]["name"], "github-api");
    platform.as_caller("no").post("/ingestion/analyze", body).await.refused(401);
    platform
        .get(&format!("/api/v1/workspaces/default/analysis/{}", analysis["id"].as_str().unwrap()))
        .await
        .expect(200);
}
