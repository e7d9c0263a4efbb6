//! Operations: what is answered later, whatever happens meanwhile.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::routing::post;
use axum::{Json, Router};
use platform_api::jobs;
use platform_api::store::OperationRow;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::staged::{deploy, runs};
use crate::support::{KEY, Platform, on_both_engines};

on_both_engines!(
    an_operation_is_answered_when_it_is_done,
    each_way_to_ask_for_it_is_understood,
    what_waits_is_not_done_for_a_key_that_was_taken_away,
    what_nobody_is_at_any_more_has_failed,
    what_was_cut_off_has_failed_and_what_waited_is_taken_up,
    an_operation_is_cancelled_once,
    what_ended_long_ago_is_forgotten,
);

/// An agent that answers once the gate is open.
fn gated(gate: watch::Receiver<bool>) -> Router {
    let answer = move |Json(body): Json<Value>| {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open).await;
            Json(json!({"response": format!("heard {}", body["message"].as_str().unwrap())}))
        }
    };
    Router::new().route("/invoke", post(answer))
}

async fn ask(platform: &Platform, query: &str) -> String {
    let body = json!({"query": query, "async": true});
    let accepted = platform.post("/v1/agents/support/invoke", body).await;
    let check = accepted.header("location").to_string();
    assert_eq!(accepted.expect(202)["check_url"], check);
    check
}

/// Waits until an operation is in one of these states.
async fn until(platform: &Platform, check: &str, states: &[&str]) -> Value {
    loop {
        let shown = platform.get(check).await.expect(200);
        if states.contains(&shown["status"].as_str().unwrap()) {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

async fn an_operation_is_answered_when_it_is_done(platform: Platform) {
    deploy(&platform, "support").await;
    let (open, gate) = watch::channel(false);
    let platform = runs(&platform, "one", gated(gate)).await;
    let check = ask(&platform, "me").await;
    let shown = until(&platform, &check, &["running"]).await;
    assert_eq!((shown.get("data"), &shown["agent_id"]), (None, &json!("support")));
    open.send(true).unwrap();
    let shown = until(&platform, &check, &["success", "failed"]).await;
    assert_eq!(shown["data"]["result"], "heard me", "{shown}");
    let run = shown["data"]["metadata"]["run_id"].as_str().unwrap();
    assert_eq!(platform.get(&format!("/runs/{run}")).await.expect(200)["status"], "COMPLETED");

    let body = json!({"async": true, "batch": [{"query": "1"}, {}, {"query": "3"}]});
    let accepted = platform.post("/v1/agents/support/invoke", body).await.expect(202);
    let shown = until(&platform, accepted["check_url"].as_str().unwrap(), &["success"]).await;
    assert_eq!(shown["data"][0]["result"], "heard 1");
    assert_eq!(shown["data"][1]["error"]["details"]["field"], "batch.1.query");
    assert_eq!(shown["data"][2]["result"], "heard 3");

    let list = platform.get("/v1/operations?limit=1").await.expect(200);
    assert_eq!((&list["pagination"]["total"], &list["data"][0]["status"]), (&json!(2), &json!("success")));
    // Another workspace finds nothing of it.
    let other = platform.post("/api/v1/workspaces/other/auth/api-keys", json!({"name": "k"})).await.expect(201);
    let other = platform.as_caller(other["token"].as_str().unwrap());
    assert_eq!(other.get(&check).await.expect(404)["error"]["code"], "OPERATION_NOT_FOUND");
    assert_eq!(other.delete(&check).await.expect(404)["error"]["code"], "OPERATION_NOT_FOUND");
}

async fn each_way_to_ask_for_it_is_understood(platform: Platform) {
    deploy(&platform, "support").await;
    let body = json!({"query": "q", "async_execution": true});
    // What nobody here could take is refused as it would be at once.
    let refused = platform.post("/v1/agents/support/invoke", body.clone()).await.expect(502);
    assert_eq!(refused["error"]["code"], "AGENT_UNAVAILABLE");
    let (_open, gate) = watch::channel(true);
    let platform = runs(&platform, "one", gated(gate)).await;
    platform.post("/v1/agents/support/invoke", body).await.expect(202);
    let request = Request::post("/v1/agents/support/invoke").header("authorization", format!("Bearer {KEY}"));
    let request = request.header("prefer", "wait=5, respond-async").body(Body::from(r#"{"query": "q"}"#)).unwrap();
    platform.send(request).await.expect(202);
    let wrong = platform.post("/v1/agents/support/invoke", json!({"query": "q", "async": "yes"})).await.expect(400);
    assert_eq!(wrong["error"]["code"], "INVALID_FIELD_TYPE");
    // What is wrong with a question is said at once.
    platform.post("/v1/agents/support/invoke", json!({"async": true})).await.expect(400);
}

async fn what_waits_is_not_done_for_a_key_that_was_taken_away(platform: Platform) {
    deploy(&platform, "support").await;
    let made = platform.post("/api/v1/auth/api-keys", json!({"name": "once", "scopes": ["deploy"]})).await.expect(201);
    let (id, token) = (made["key"]["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let (open, gate) = watch::channel(false);
    let here = runs(&platform, "one", gated(gate)).await;
    for n in 0..32 {
        let check = ask(&here, &n.to_string()).await;
        until(&here, &check, &["running"]).await;
    }
    // There is room for no more, so these wait.
    let refused = ask(&here.as_caller(token), "refused").await;
    let answered = ask(&here, "answered").await;
    here.delete(&format!("/api/v1/auth/api-keys/{id}")).await.expect(200);
    open.send(true).unwrap();
    let refused = until(&here, &refused, &["failed", "success"]).await;
    assert_eq!((&refused["status"], &refused["error"]["code"]), (&json!("failed"), &json!("INVALID_API_KEY")));
    let answered = until(&here, &answered, &["failed", "success"]).await;
    assert_eq!(answered["status"], "success", "{answered}");
}

/// Its end could not be written, however often that was tried: the store still says that this process is at it.
async fn what_nobody_is_at_any_more_has_failed(platform: Platform) {
    deploy(&platform, "support").await;
    let (_open, gate) = watch::channel(true);
    let here = runs(&platform, "one", gated(gate)).await;
    let now = platform.world.now();
    let row = OperationRow {
        id: "op_lost".into(),
        workspace: "default".into(),
        agent_id: "support".into(),
        kind: "invoke".into(),
        status: "running".into(),
        replica: Some("one".into()),
        created_at: now,
        started_at: Some(now),
        ended_at: None,
    };
    let mut tx = platform.app.store().begin().await.unwrap();
    tx.add_operation(&row).await.unwrap();
    tx.commit().await.unwrap();
    jobs::tick(&here.app).await.unwrap();
    assert_eq!(here.get("/v1/operations/op_lost").await.expect(200)["status"], "running", "it may just begin");
    platform.world.advance(Duration::from_secs(61));
    jobs::tick(&here.app).await.unwrap();
    let shown = here.get("/v1/operations/op_lost").await.expect(200);
    assert_eq!((&shown["status"], &shown["error"]["code"]), (&json!("failed"), &json!("OPERATION_LOST")));
}

async fn what_was_cut_off_has_failed_and_what_waited_is_taken_up(platform: Platform) {
    deploy(&platform, "support").await;
    let (_shut, gate) = watch::channel(false);
    let first = runs(&platform, "one", gated(gate)).await;
    let mut checks = Vec::new();
    for n in 0..33 {
        let check = ask(&first, &n.to_string()).await;
        if n < 32 {
            until(&first, &check, &["running"]).await;
        }
        checks.push(check);
    }
    // The process is gone: nothing of it is heard any more.
    let mut tx = platform.app.store().begin().await.unwrap();
    tx.forget_silent(platform.world.now() + 1).await.unwrap();
    tx.commit().await.unwrap();
    let (_open, gate) = watch::channel(true);
    let second = runs(&platform, "two", gated(gate)).await;
    jobs::tick(&second.app).await.unwrap();
    for check in &checks[..32] {
        let shown = second.get(check).await.expect(200);
        assert_eq!(
            (&shown["status"], &shown["error"]["code"]),
            (&json!("failed"), &json!("OPERATION_LOST")),
            "{shown}"
        );
    }
    let shown = until(&second, &checks[32], &["success", "failed"]).await;
    assert_eq!(shown["data"]["result"], "heard 32", "{shown}");
}

async fn an_operation_is_cancelled_once(platform: Platform) {
    deploy(&platform, "support").await;
    let (open, gate) = watch::channel(false);
    let platform = runs(&platform, "one", gated(gate.clone())).await;
    let check = ask(&platform, "never").await;
    until(&platform, &check, &["running"]).await;
    let running = async || platform.get("/runs?status=RUNNING").await.expect(200).as_array().unwrap().len();
    while running().await == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(platform.delete(&check).await.expect(200)["status"], "cancelled");
    // The agent is not heard any more, and its run says so.
    while running().await > 0 {
        tokio::task::yield_now().await;
    }
    open.send(true).unwrap();
    let again = platform.post(&format!("{check}/cancel"), json!({})).await.expect(409);
    assert_eq!(again["error"]["message"], "this operation has ended already: it is cancelled");
    assert_eq!(platform.get(&check).await.expect(200)["status"], "cancelled");

    // One that another replica is at is stopped there.
    open.send(false).unwrap();
    let check = ask(&platform, "elsewhere").await;
    until(&platform, &check, &["running"]).await;
    let other = runs(&platform, "two", gated(gate)).await;
    other.delete(&check).await.expect(200);
    assert_eq!(platform.app.operations().count(), 1);
    jobs::tick(&platform.app).await.unwrap();
    while platform.app.operations().count() > 0 {
        tokio::task::yield_now().await;
    }
}

async fn what_ended_long_ago_is_forgotten(platform: Platform) {
    deploy(&platform, "support").await;
    let (_open, gate) = watch::channel(true);
    let platform = runs(&platform, "one", gated(gate)).await;
    let check = ask(&platform, "me").await;
    until(&platform, &check, &["success"]).await;
    platform.world.advance(Duration::from_secs(7 * 86_400));
    jobs::tick(&platform.app).await.unwrap();
    platform.get(&check).await.expect(200);
    platform.world.advance(Duration::from_secs(1));
    jobs::tick(&platform.app).await.unwrap();
    platform.get(&check).await.expect(404);
}
