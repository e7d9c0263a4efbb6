//! The second system's published Python client, over a real listener.

use std::path::Path;

use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use ingestion_server::web::serve;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::staged::{deploy, runs};
use crate::support::{KEY, Platform, on_both_engines};

on_both_engines!(arguments_reach_the_agent_and_values_come_back, entry_points_are_those_of_the_analysis,);

/// An agent that gives back what it was asked, or does what it says.
fn agent() -> Router {
    let whole = async |Json(body): Json<Value>| match body["message"].as_str().unwrap() {
        "fail" => {
            (axum::http::StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": "no time today"}))).into_response()
        }
        "list" => Json(json!({"response": [1, 2.5, null, {"a": true}]})).into_response(),
        "body" => Json(json!({"response": body})).into_response(),
        text => Json(json!({"response": format!("heard {text}")})).into_response(),
    };
    let stream = async |Json(body): Json<Value>| {
        let text = match body["message"].as_str().unwrap() {
            "fail" => "data: {\"type\":\"error\",\"message\":\"no time today\"}\n\n".to_string(),
            text => format!(
                "data: {{\"type\":\"content\",\"delta\":\"heard \"}}\n\ndata: {{\"type\":\"content\",\"delta\":\"{text}\"}}\n\n"
            ),
        };
        ([("content-type", "text/event-stream")], text)
    };
    Router::new().route("/invoke", post(whole)).route("/invoke/stream", post(stream))
}

async fn arguments_reach_the_agent_and_values_come_back(platform: Platform) {
    deploy(&platform, "support").await;
    let platform = runs(&platform, "one", agent()).await;
    let run = async |body| platform.post("/api/v1/agents/support/run", body).await;
    let ok = run(json!({"entrypoint_tag": "handler", "input_args": ["me"]})).await.expect(200);
    assert_eq!((&ok["success"], &ok["error"]), (&json!(true), &Value::Null));
    assert_eq!(ok["data"], json!(r#"{"type":"string","payload":"\"heard me\""}"#));
    let body = json!({"entrypoint_tag": "handler", "input_kwargs": {"message": "body", "n": 3}, "user_id": "u"});
    let data = run(body).await.expect(200)["data"].as_str().unwrap().to_string();
    let data: Value = serde_json::from_str(&data).unwrap();
    let heard: Value = serde_json::from_str(data["payload"].as_str().unwrap()).unwrap();
    assert_eq!((&data["type"], &heard["n"], &heard["user_id"]), (&json!("object"), &json!(3), &json!("u")));
    assert_eq!(heard["input_kwargs"], json!({"message": "body", "n": 3}));
    let later = json!({"entrypoint_tag": "handler", "input_args": ["me"], "async_execution": true});
    assert_eq!(run(later).await.expect(202)["success"], true);
    for (body, status, code, field) in [
        (json!({"input_args": ["me"]}), 400, "INVALID_INPUT", "entrypoint_tag"),
        (json!({"entrypoint_tag": "handler"}), 400, "INVALID_INPUT", "input_args"),
        (json!({"entrypoint_tag": "handler_stream", "input_args": ["me"]}), 400, "INVALID_INPUT", "entrypoint_tag"),
        (json!({"entrypoint_tag": "other", "input_args": ["me"]}), 404, "ENTRYPOINT_NOT_FOUND", "entrypoint_tag"),
        (json!({"entrypoint_tag": "handler", "input_args": "me"}), 400, "INVALID_FIELD_TYPE", "input_args"),
    ] {
        let refused = run(body).await.expect(status);
        assert_eq!((&refused["success"], &refused["error"]["code"]), (&json!(false), &json!(code)), "{refused}");
        assert_eq!(refused["error"]["field"], field, "{refused}");
    }
    let failed = run(json!({"entrypoint_tag": "handler", "input_args": ["fail"]})).await.expect(502);
    assert_eq!(failed["error"]["message"], "the agent answered 500: no time today");
    let unknown = platform.as_caller("nobody's").post("/api/v1/agents/support/run", json!({})).await.expect(401);
    assert_eq!((&unknown["success"], &unknown["error"]["code"]), (&json!(false), &json!("INVALID_API_KEY")));
    let plain = platform.get("/api/v1/agents/support/run-stream").await.expect(400);
    assert!(plain["error"]["message"].as_str().unwrap().starts_with("this path is for WebSockets"), "{plain}");
    // The key in the address is for sockets alone.
    let token = |path: &str| format!("/api/v1/agents/support{path}?token={KEY}");
    assert_eq!(platform.as_caller("nobody's").get(&token("/run-stream")).await.status, 400);
    assert_eq!(platform.as_caller("nobody's").get(&token("/architecture")).await.status, 401);
}

async fn entry_points_are_those_of_the_analysis(platform: Platform) {
    let of = async |name: &str, code: &str| {
        let files = json!({"agent.py": code});
        platform.post("/api/deploy", json!({"name": name, "files": files})).await.expect(200);
        let shown = platform.get(&format!("/api/v1/agents/{name}/architecture")).await.expect(200);
        shown["data"]["entrypoints"].clone()
    };
    let entries = |file: &str, name: &str| {
        json!([{"file": file, "module": name, "tag": name},
            {"file": file, "module": name, "tag": format!("{name}_stream")}])
    };
    let handler = "def main():\n    pass\n\ndef handler(request):\n    return 'x'\n";
    assert_eq!(of("one", handler).await, entries("agent.py", "handler"));
    let graph =
        "from langgraph.prebuilt import create_react_agent\n\ngraph = create_react_agent('openai:gpt-4o', [])\n";
    assert_eq!(of("two", graph).await, entries("agent.py", "graph"));
}

/// What `RunAgentClient` does with us, against agents of the test.
#[tokio::test]
#[ignore = "needs the second system's client; `cargo xtask test` installs it"]
async fn the_published_client_runs_agents_and_hears_streams() {
    let platform = Platform::on_sqlite().await;
    deploy(&platform, "support").await;
    let platform = runs(&platform, "one", agent()).await;
    let listener = serve::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (router, http) = (platform.router.clone(), platform.app.config().http.clone());
    tokio::spawn(async move { serve::serve(listener, router, &http, None, std::future::pending()).await });
    let test = std::env::current_exe().unwrap();
    let python = test.ancestors().nth(3).unwrap().join("second/bin/python");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("second-client");
    std::fs::create_dir_all(&home).unwrap();
    let mut command = Command::new(python);
    command.env_clear().env("HOME", &home).env("RUNAGENT_BASE_URL", &address).env("RUNAGENT_API_KEY", KEY);
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir(&home);
    let output = command.arg("-c").arg(include_str!("../second.py")).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("all of it\n"), "{out}{err}");
}
