//! Agents without code: the platform asks their model and makes the calls that it wants.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::quiet::Stage;
use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_model_is_asked_and_its_calls_are_made_until_it_answers,
    what_a_question_says_of_the_models_answers_reaches_it,
    who_follows_hears_each_step,
    what_a_policy_refuses_the_model_is_told,
    a_call_that_needs_a_person_ends_the_answer_and_pauses_the_run,
    a_model_that_does_not_answer_fails_the_run,
    what_is_no_question_is_refused,
);

/// What a model says, in order; and what it was asked.
type Script = Arc<Mutex<(Vec<Value>, Vec<Value>)>>;

async fn says(State(script): State<Script>, body: String) -> Response {
    let mut script = script.lock().unwrap();
    script.1.push(serde_json::from_str(&body).unwrap());
    if script.0.is_empty() {
        return (StatusCode::BAD_REQUEST, "{\"error\": {\"message\": \"it has nothing more to say\"}}").into_response();
    }
    let message = script.0.remove(0);
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let reply = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage});
    axum::Json(reply).into_response()
}

fn text(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

fn call(id: &str, function: &str, arguments: Value) -> Value {
    let function = json!({"name": function, "arguments": arguments.to_string()});
    json!({"role": "assistant", "content": null,
        "tool_calls": [{"id": id, "type": "function", "function": function}]})
}

/// A platform with an agent that is words alone, and its model's words.
async fn stage(platform: Platform, words: Vec<Value>) -> (Stage, Script) {
    let script: Script = Arc::new(Mutex::new((words, Vec::new())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/chat/completions", post(says)).with_state(Arc::clone(&script));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let stage = Stage::over(platform.app.store().clone(), |_| {}).await;
    stage.platform.post("/api/starter-kit", json!({})).await.expect(200);
    let provider = json!({"name": "main", "provider": "openai", "endpoint": endpoint, "models": ["gpt-4o-mini"],
        "credentials": {"api_key": "the-providers-key"}});
    stage.platform.delete("/api/model-providers/playground-llm").await;
    stage.platform.post("/api/model-providers", provider).await.expect(201);
    let agent = json!({"agent_name": "words", "source_files": {"README.md": "It echoes.\n"},
        "required_tools": ["echo-tool"], "system_prompt": "Be brief.",
        "llm_configs": [{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}]});
    stage.platform.post("/api/deploy", agent).await.expect(201);
    (stage, script)
}

async fn invoke(stage: &Stage, path: &str, body: Value) -> crate::support::Reply {
    stage.platform.post(&format!("/api/v1/agents/words/{path}"), body).await
}

/// What the platform calls the echo tool's one capability.
const ECHO: &str = "echo-tool__echo";

async fn a_model_is_asked_and_its_calls_are_made_until_it_answers(platform: Platform) {
    let (stage, script) = stage(platform, Vec::new()).await;
    script.lock().unwrap().0 = vec![call("call_1", ECHO, json!({"message": "ping"})), text("pong")];
    let history = json!([{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}]);
    let reply = invoke(&stage, "invoke", json!({"message": "ping", "history": history})).await;
    let answer = reply.expect(200);
    assert_eq!([&answer["response"], &answer["model"]], ["pong", "gpt-4o-mini"]);
    assert_eq!(answer["usage"]["total_tokens"], 20);
    assert_eq!(answer["tool_calls_made"][0]["function"], ECHO);
    let asked = script.lock().unwrap().1.clone();
    let roles = |body: &Value| {
        let messages = body["messages"].as_array().unwrap().iter();
        messages.map(|message| message["role"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(roles(&asked[0]), ["system", "user", "assistant", "user"]);
    assert_eq!(roles(&asked[1]), ["system", "user", "assistant", "user", "assistant", "tool"]);
    assert!(asked[1]["messages"][5]["content"].as_str().unwrap().contains("ping"), "{}", asked[1]);
    assert_eq!(asked[0]["tools"][0]["function"]["name"], ECHO);
    let run = reply.header("x-run-id").to_string();
    let run = stage.platform.get(&format!("/runs/{run}")).await.expect(200);
    assert_eq!(run["status"], "COMPLETED");
    let events = stage.platform.get(&format!("/runs/{}/events", run["id"].as_str().unwrap())).await.expect(200);
    let count = |kind: &str| events.as_array().unwrap().iter().filter(|event| event["type"] == kind).count();
    assert_eq!((count("LLM_CALL"), count("TOOL_CALLED")), (2, 1), "{events:#}");
}

async fn what_a_question_says_of_the_models_answers_reaches_it(platform: Platform) {
    let (stage, script) = stage(platform, vec![text("pong")]).await;
    let body = json!({"query": "ping", "parameters": {"temperature": 0.7, "max_tokens": 150}});
    let answer = stage.platform.post("/v1/agents/words/invoke", body).await.expect(200);
    assert_eq!((&answer["data"]["result"], &answer["usage"]["total_tokens"]), (&json!("pong"), &json!(10)), "{answer}");
    let asked = script.lock().unwrap().1[0].clone();
    assert_eq!((&asked["temperature"], &asked["max_tokens"]), (&json!(0.7), &json!(150)), "{asked}");
}

async fn who_follows_hears_each_step(platform: Platform) {
    let (stage, script) = stage(platform, Vec::new()).await;
    script.lock().unwrap().0 = vec![call("call_1", ECHO, json!({"message": "ping"})), text("pong")];
    let reply = invoke(&stage, "invoke/stream", json!({"message": "ping"})).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "text/event-stream"));
    let body = String::from_utf8(reply.body.to_vec()).unwrap();
    let lines: Vec<&str> = body.split("\n\n").filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(lines.last(), Some(&"[DONE]"));
    let events: Vec<Value> = lines[..lines.len() - 1].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["tool_call", "tool_result", "content", "done"]);
    assert_eq!([&events[0]["tool"], &events[2]["delta"]], [ECHO, "pong"]);
    let run = stage.platform.get(&format!("/runs/{}", reply.header("x-run-id"))).await.expect(200);
    assert_eq!(run["status"], "COMPLETED");
}

async fn what_a_policy_refuses_the_model_is_told(platform: Platform) {
    let (stage, script) = stage(platform, Vec::new()).await;
    let base = stage.platform.get("/api/tools/echo-tool").await.expect(200)["base_url"].as_str().unwrap().to_string();
    let rules = json!([{"permission": "deny", "resource": format!("{base}/*")}]);
    stage.platform.post("/api/policies", json!({"name": "never", "rules": rules})).await.expect(201);
    let bound = json!({"name": "never", "policy": "never", "subjects": [{"name": "words"}]});
    stage.platform.post("/api/policy-bindings", bound).await.expect(201);
    script.lock().unwrap().0 =
        vec![call("call_1", ECHO, json!({})), call("call_2", "nowhere__x", json!({})), text("I may not")];
    let answer = invoke(&stage, "invoke", json!({"message": "ping"})).await.expect(200);
    assert_eq!(answer["response"], "I may not");
    let last = script.lock().unwrap().1[2]["messages"].clone();
    let told = |at: usize| last[at]["content"].as_str().unwrap().to_string();
    assert!(told(3).contains("HTTP 403") && told(3).contains("POLICY_DENIED"), "{}", told(3));
    assert!(told(5).contains("HTTP 404") && told(5).contains("nowhere"), "{}", told(5));
}

async fn a_call_that_needs_a_person_ends_the_answer_and_pauses_the_run(platform: Platform) {
    let (stage, script) = stage(platform, Vec::new()).await;
    let base = stage.platform.get("/api/tools/echo-tool").await.expect(200)["base_url"].as_str().unwrap().to_string();
    let rules = json!([{"permission": "approval_required", "resource": format!("{base}/*")}]);
    stage.platform.post("/api/policies", json!({"name": "ask", "rules": rules})).await.expect(201);
    let bound = json!({"name": "ask", "policy": "ask", "subjects": [{"name": "words"}]});
    stage.platform.post("/api/policy-bindings", bound).await.expect(201);
    script.lock().unwrap().0 = vec![call("call_1", ECHO, json!({"message": "x"})), text("never said")];
    let reply = invoke(&stage, "invoke", json!({"message": "ping"})).await;
    let answer = reply.expect(200);
    assert_eq!(
        [&answer["approval_required"]["code"], &answer["approval_required"]["tool"]],
        ["APPROVAL_REQUIRED", "echo-tool"]
    );
    assert!(answer["response"].as_str().unwrap().contains("waits for a person"), "{answer}");
    let run = stage.platform.get(&format!("/runs/{}", reply.header("x-run-id"))).await.expect(200);
    assert_eq!(run["status"], "PAUSED_APPROVAL");
    assert_eq!(script.lock().unwrap().1.len(), 1, "the model is not asked on");
    script.lock().unwrap().0 = vec![call("call_1", ECHO, json!({"message": "x"}))];
    let reply = invoke(&stage, "invoke/stream", json!({"message": "another"})).await;
    let body = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(body.contains("\"type\":\"approval_required\"") && body.ends_with("data: [DONE]\n\n"), "{body}");
}

async fn a_model_that_does_not_answer_fails_the_run(platform: Platform) {
    let (stage, script) = stage(platform, Vec::new()).await;
    let reply = invoke(&stage, "invoke", json!({"message": "ping"})).await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(body["error"], "LLM Gateway returned 502");
    assert!(body["detail"].as_str().unwrap().contains("nothing more to say"), "{body}");
    let run = stage.platform.get(&format!("/runs/{}", reply.header("x-run-id"))).await.expect(200);
    assert_eq!(run["status"], "FAILED");
    // A model that never answers without a call is asked ten times.
    let wants = call("call_1", "echo-tool__anything", json!({"path": "/echo", "message": "ping"}));
    script.lock().unwrap().0 = vec![wants; 12];
    let answer = invoke(&stage, "invoke", json!({"message": "ping"})).await.expect(200);
    assert!(answer["response"].as_str().unwrap().starts_with("I reached the maximum number"), "{answer}");
    assert_eq!(answer["tool_calls_made"].as_array().unwrap().len(), 10);
}

async fn what_is_no_question_is_refused(platform: Platform) {
    let (stage, script) = stage(platform, vec![text("hi")]).await;
    let reply = invoke(&stage, "invoke", json!({"text": "ping"})).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap()["error"], "message is required");
    assert!(script.lock().unwrap().1.is_empty());
}
