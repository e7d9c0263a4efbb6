//! A model provider in a test's hands, in the words of OpenAI and of Anthropic. It answers `pong: ` and what it was told
//! last; where it is offered tools and none has answered yet, it calls the first.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// The key that the platform shows it, and agents never see.
pub const KEY: &str = "sk-the-providers-own-key";

/// A provider that listens.
#[derive(Clone)]
pub struct Model {
    pub address: SocketAddr,
    /// Each request's path and body.
    pub asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Model {
    pub async fn start() -> Model {
        let asked = Arc::default();
        let routes = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/messages", post(messages))
            .route("/v1/embeddings", post(embeddings))
            .with_state(Arc::clone(&asked));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Model { address, asked }
    }
}

type Asked = State<Arc<Mutex<Vec<(String, Value)>>>>;

/// The last thing that was said, whatever form it has.
fn last(body: &Value) -> String {
    let content = &body["messages"].as_array().unwrap().last().unwrap()["content"];
    let of = |part: &Value| {
        let text = part["text"].as_str().or(part["content"].as_str()).unwrap_or_default();
        text.to_string()
    };
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(of).collect(),
        _ => String::new(),
    }
}

async fn chat(State(asked): Asked, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    asked.lock().unwrap().push(("/v1/chat/completions".into(), body.clone()));
    if headers.get("authorization").is_none_or(|shown| shown != &format!("Bearer {KEY}")) {
        return (axum::http::StatusCode::UNAUTHORIZED, Json(json!({"error": {"message": "wrong key"}})))
            .into_response();
    }
    let answered = body["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool");
    let tool = body["tools"][0]["function"]["name"].as_str().filter(|_| !answered);
    let message = match tool {
        Some(tool) => {
            let arguments = json!({"message": last(&body)}).to_string();
            json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}]})
        }
        None => json!({"role": "assistant", "content": format!("pong: {}", last(&body))}),
    };
    let reason = if tool.is_some() { "tool_calls" } else { "stop" };
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let base = json!({"id": "chatcmpl-1", "created": 1, "model": body["model"]});
    if body["stream"] == true {
        let chunk = |delta: Value, reason: Value| {
            let mut chunk = base.clone();
            chunk["object"] = "chat.completion.chunk".into();
            chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
            format!("data: {chunk}\n\n")
        };
        let text = message["content"].as_str().unwrap_or_default().to_string();
        let (first, second) = text.split_at(text.len() / 2);
        let mut end = base.clone();
        (end["object"], end["choices"], end["usage"]) = ("chat.completion.chunk".into(), json!([]), usage);
        let body = [
            chunk(json!({"role": "assistant", "content": first}), Value::Null),
            chunk(json!({"content": second}), Value::Null),
            chunk(json!({}), "stop".into()),
            format!("data: {end}\n\ndata: [DONE]\n\n"),
        ];
        return ([("content-type", "text/event-stream")], body.concat()).into_response();
    }
    let mut reply = base;
    reply["object"] = "chat.completion".into();
    reply["choices"] = json!([{"index": 0, "message": message, "finish_reason": reason}]);
    reply["usage"] = usage;
    Json(reply).into_response()
}

async fn messages(State(asked): Asked, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    asked.lock().unwrap().push(("/v1/messages".into(), body.clone()));
    if headers.get("x-api-key").is_none_or(|shown| shown != KEY) {
        let error = json!({"type": "error", "error": {"type": "authentication_error", "message": "wrong key"}});
        return (axum::http::StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    Json(json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
        "content": [{"type": "text", "text": format!("pong: {}", last(&body))}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }))
    .into_response()
}

async fn embeddings(State(asked): Asked, Json(body): Json<Value>) -> Response {
    asked.lock().unwrap().push(("/v1/embeddings".into(), body.clone()));
    Json(json!({
        "object": "list", "model": body["model"], "usage": {"prompt_tokens": 2, "total_tokens": 2},
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}],
    }))
    .into_response()
}
