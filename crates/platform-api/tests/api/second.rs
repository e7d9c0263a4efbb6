//! The second system's surface, over agents in the test's hands.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use platform_api::agents::AgentRecord;
use serde_json::{Map, Value, json};
use std::time::Duration;

use crate::documents::are_as_documented;
use crate::staged::{deploy, runs};
use crate::support::{KEY, Platform, on_both_engines};

on_both_engines!(
    every_example_of_the_overview_is_answered_as_documented,
    a_batch_keeps_its_order_and_one_failure_does_not_fail_the_rest,
    everything_that_was_sent_reaches_the_agent,
    health_says_why,
    whatever_is_refused_is_refused_in_the_envelope,
);

/// An agent that does what its query says, and a number of tokens of a model for it.
async fn agent(State(app): State<Platform>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let query = body["message"].as_str().unwrap();
    match query.split_once(' ') {
        Some(("fail", why)) => return (StatusCode::BAD_REQUEST, Json(json!({"error": why}))).into_response(),
        Some(("body", _)) => return Json(json!({"response": body})).into_response(),
        Some(("say", text)) => return Json(json!({"response": text})).into_response(),
        _ => {}
    }
    app.world.advance(Duration::from_millis(1_230));
    let run = app.app.running().unwrap();
    let calls = run.invocation("default", "support", &headers).unwrap();
    let Value::Object(tokens) = json!({"input_tokens": 100, "output_tokens": 50}) else { unreachable!() };
    calls.note(app.world.now(), "LLM_CALL", None, tokens);
    calls.note(app.world.now(), "TOOL_CALLED", None, Map::new());
    Json(json!({"response": "Agent response here"})).into_response()
}

/// A process that runs agents of that kind, one of which is deployed.
async fn with_agent(platform: &Platform) -> Platform {
    deploy(platform, "support").await;
    // The agent itself notes at the process that runs it, which is known only afterwards.
    let (tell, told) = tokio::sync::watch::channel(None::<Platform>);
    let handler = move |headers: HeaderMap, body: Json<Value>| {
        let told = told.borrow().clone().unwrap();
        agent(State(told), headers, body)
    };
    let agent = Router::new().route("/invoke", post(handler.clone())).route("/invoke/stream", post(handler));
    let running = runs(platform, "one", agent).await;
    tell.send(Some(running.clone())).unwrap();
    running
}

async fn every_example_of_the_overview_is_answered_as_documented(platform: Platform) {
    let platform = with_agent(&platform).await;
    let mut tx = platform.app.store().begin().await.unwrap();
    let agent = tx.get::<AgentRecord>("default", "support").await.unwrap().unwrap().value;
    for n in 1..100 {
        let agent = AgentRecord { name: format!("agent-{n:02}"), ..agent.clone() };
        tx.put("default", &agent, platform.world.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
    are_as_documented(&platform, "second").await;
}

async fn a_batch_keeps_its_order_and_one_failure_does_not_fail_the_rest(platform: Platform) {
    let platform = with_agent(&platform).await;
    let mut batch: Vec<Value> = (0..20).map(|n| json!({"query": format!("say {n}")})).collect();
    batch[7] = json!({"query": "fail no time today"});
    batch[11] = json!({"question": "what?"});
    batch[13] = json!("what?");
    let answer = platform.post("/v1/agents/support/invoke", json!({"batch": batch})).await.expect(200);
    assert_eq!(answer["status"], "success");
    for (n, one) in answer["data"].as_array().unwrap().iter().enumerate() {
        match n {
            7 => {
                assert_eq!(one["error"]["code"], "AGENT_EXECUTION_FAILED", "{one}");
                assert_eq!(one["error"]["message"], "the agent answered 400: no time today");
            }
            11 => assert_eq!(one["error"]["details"], json!({"field": "batch.11.query", "reason": "missing"})),
            13 => assert_eq!(one["error"]["code"], "INVALID_FIELD_TYPE"),
            _ => assert_eq!(one["data"]["result"], n.to_string(), "{one}"),
        }
    }
    for wrong in [json!({"batch": []}), json!({"batch": "all"}), json!({"batch": vec![json!({"query": "q"}); 101]})] {
        let refused = platform.post("/v1/agents/support/invoke", wrong).await.expect(400);
        assert_eq!(refused["error"]["details"]["field"], "batch", "{refused}");
    }
}

async fn everything_that_was_sent_reaches_the_agent(platform: Platform) {
    let platform = with_agent(&platform).await;
    let parameters = json!({"temperature": 0.2, "max_tokens": 5, "context": {"user": "u"}, "own": [1, 2]});
    let body = json!({"query": "body please", "parameters": parameters, "session_id": "s-1"});
    let answer = platform.post("/v1/agents/support/invoke", body).await.expect(200);
    assert_eq!(answer["result"]["parameters"], parameters);
    assert_eq!(answer["result"]["session_id"], "s-1");
    // It is a run like any other.
    let run = platform.get(&format!("/runs/{}", answer["metadata"]["run_id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&run["status"], &run["conversation_id"]), (&json!("COMPLETED"), &json!("s-1")));
}

async fn health_says_why(platform: Platform) {
    let platform = with_agent(&platform).await;
    let path = "/v1/agents/support/health";
    let health = platform.get(path).await.expect(200);
    assert_eq!((&health["status"], &health["checks"]["agent"]["status"]), (&json!("unhealthy"), &json!("fail")));
    let mut tx = platform.app.store().begin().await.unwrap();
    let mut agent = tx.get::<AgentRecord>("default", "support").await.unwrap().unwrap().value;
    agent.status.phase = platform_api::agents::Phase::Running;
    tx.put("default", &agent, platform.world.now()).await.unwrap();
    agent.required_tools = vec!["crm".into()];
    agent.name = "lacking".into();
    tx.put("default", &agent, platform.world.now()).await.unwrap();
    tx.commit().await.unwrap();
    platform.world.advance(Duration::from_secs(90));
    let health = platform.get(path).await.expect(200);
    assert_eq!((&health["status"], &health["uptime"]), (&json!("healthy"), &json!(90)), "{health}");
    assert_eq!(health.get("last_request"), None);
    platform.post("/v1/agents/support/invoke", json!({"query": "say hi"})).await.expect(200);
    assert_eq!(platform.get(path).await.expect(200)["last_request"], "2026-02-23T10:17:00Z");
    let lacking = platform.get("/v1/agents/lacking/health").await.expect(200);
    assert_eq!(
        (&lacking["status"], &lacking["warnings"]),
        (&json!("degraded"), &json!(["tool \"crm\" is not registered"]))
    );
}

async fn whatever_is_refused_is_refused_in_the_envelope(platform: Platform) {
    let platform = with_agent(&platform).await;
    let made = json!({"name": "short", "expiresInDays": 1, "scopes": ["read"]});
    let key = platform.post("/api/v1/auth/api-keys", made).await.expect(201);
    let reader = platform.as_caller(key["token"].as_str().unwrap());
    let told = |reply: &Value| reply["error"]["code"].as_str().unwrap_or_default().to_string();
    let query = || json!({"query": "say hi"});
    for (reply, status, code) in [
        (platform.get("/v1/agents/support/nothing").await, 404, "NOT_FOUND"),
        (platform.delete("/v1/agents").await, 405, "METHOD_NOT_ALLOWED"),
        (platform.get("/v1/agents?page=0").await, 400, "INVALID_INPUT"),
        (platform.post("/v1/agents/nobody/invoke", query()).await, 404, "AGENT_NOT_FOUND"),
        (platform.post("/v1/agents/support/invoke", json!(["q"])).await, 400, "INVALID_INPUT"),
        (platform.post("/v1/agents/support/invoke", json!({"query": ["q"]})).await, 400, "INVALID_FIELD_TYPE"),
        (reader.post("/v1/agents/support/invoke", query()).await, 403, "FORBIDDEN"),
        (platform.as_caller("nobody's").get("/v1/agents").await, 401, "INVALID_API_KEY"),
    ] {
        let body = reply.expect(status);
        assert_eq!((told(&body).as_str(), &body["status"]), (code, &json!("error")), "{body}");
        assert_eq!(body["error"]["request_id"], reply.header("x-request-id"));
    }
    platform.world.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(told(&reader.get("/v1/agents").await.expect(401)), "EXPIRED_API_KEY");
    // Beside this surface errors are what they were.
    assert!(platform.get("/v1/nothing").await.refused(404).contains("not found"));
    assert!(reader.get("/api/v1/agents").await.refused(401).starts_with("this API key has expired"));
    assert!(platform.as_caller(KEY).get("/v1/models").await.expect(200)["data"].is_array());
}
