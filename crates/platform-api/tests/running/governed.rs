//! The governed call: what an agent asks of a tool is allowed exactly as far as its policies say, carries a key that the
//! agent never sees, waits for a person where it must, and is on the record.

use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::support::Host;

/// What a tool was asked: method, path with query, the key that it was shown, and the body.
pub type Asked = Arc<Mutex<Vec<(String, String, String, String)>>>;

/// A tool that says yes to whatever it is asked.
pub async fn tool() -> (String, Asked) {
    let asked: Asked = Arc::default();
    let routes = Router::new().fallback(answer).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (format!("http://{address}"), asked)
}

async fn answer(State(asked): State<Asked>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let shown = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_string());
    let path = parts.uri.path_and_query().unwrap().to_string();
    let body = String::from_utf8_lossy(&body).into_owned();
    asked.lock().unwrap().push((parts.method.to_string(), path, shown.unwrap_or_default(), body));
    Json(json!({"done": true}))
}

/// Its calls are in the code, so that its policies cover them: charges are read, refunds are made.
const BANKER: &str = "import json, os, requests\n\
    BASE = os.environ['TOOL_URL_BANK']\n\n\
    def refund(amount):\n    return requests.post(f'{BASE}/v1/refunds', json={'amount': amount})\n\n\
    def handler(request):\n    \
    wish = request['message']\n    \
    if wish == 'list':\n        answer = requests.get(f'{BASE}/v1/charges', params={'limit': 3})\n    \
    else:\n        answer = refund(int(wish))\n    \
    return json.dumps([answer.status_code, answer.json(), os.environ.get('BANK_KEY', 'none')])\n";

async fn banker(name: &str) -> (Host, Asked) {
    let host = Host::start(name).await;
    let asked = register(&host).await;
    (host, asked)
}

/// Registers that tool under the name `bank`.
pub async fn register(host: &Host) -> Asked {
    let (base, asked) = tool().await;
    let body = json!({"name": "bank", "credentials": {"api_key": "the-banks-own-key"}, "spec": {
        "connection": {"topology": "Internal", "baseUrl": base, "authentication": {"type": "APIKey"}},
        "governance": {"accessControl": {"mode": "Open"}}}});
    host.post("/api/tools", body).await.expect(201);
    asked
}

fn said(reply: &Value) -> Value {
    serde_json::from_str(reply["response"].as_str().unwrap()).unwrap()
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_call_carries_a_key_that_its_agent_never_sees_and_goes_no_further_than_its_code() {
    let (host, asked) = banker("governed-key").await;
    let deployed = host.deploy("banker", &[("agent.py", BANKER)], json!({"required_tools": ["bank"]})).await;
    assert_eq!(deployed.expect(200)["policies_created"], json!(["banker-bank-auto"]));
    host.until("banker", "Running").await;
    let reply = host.invoke("banker", "list").await;
    assert_eq!(said(&reply.expect(200)), json!([200, {"done": true}, "none"]));
    let calls = asked.lock().unwrap().clone();
    let (method, path, shown, _) = &calls[0];
    assert_eq!([method, path, shown], ["GET", "/v1/charges?limit=3", "Bearer the-banks-own-key"]);
    // Neither in what the agent found, nor in what is kept of its run.
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    let kept = json!(host.events(&run).await).to_string() + &host.logs("banker").await + &reply.text;
    assert!(!kept.contains("the-banks-own-key"));
    assert!(!kept.contains("limit=3"), "queries are not kept");

    // A policy that only logs stops nothing, and what it would have made of the call is on the record.
    let base = host.get("/api/tools/bank").await.expect(200)["base_url"].as_str().unwrap().to_string();
    let rules = json!([{"permission": "approval_required", "resource": format!("{base}/*")}]);
    let spec = json!({"policies": rules, "log_only": true});
    host.post("/api/v1/policies", json!({"name": "trial", "spec": spec})).await.expect(201);
    let bound = json!({"name": "trial", "policy": "trial", "subjects": [{"name": "banker"}]});
    host.post("/api/v1/policy-bindings", bound).await.expect(201);
    let reply = host.invoke("banker", "list").await;
    assert_eq!(said(&reply.expect(200))[0], 200);
    let events = host.events(reply.headers["x-run-id"].to_str().unwrap()).await;
    let called = events.iter().find(|event| event["type"] == "TOOL_CALLED").unwrap();
    let would = json!({"decision": "approval_required", "rule": {"policy": "trial", "index": 0}});
    assert_eq!([&called["data"]["decision"], &called["data"]["log_only"]], [&json!("allowed"), &would]);

    // It is the policy that lets the call through: without it nothing does.
    host.call("DELETE", "/api/v1/policies/banker-bank-auto", &[], None).await.expect(200);
    let reply = host.invoke("banker", "list").await;
    let refused = said(&reply.expect(200));
    assert_eq!([&refused[0], &refused[1]["code"]], [&json!(403), &json!("POLICY_DENIED")], "{refused}");
    assert_eq!(asked.lock().unwrap().len(), 2, "nothing more reached the tool");
    let events = host.events(reply.headers["x-run-id"].to_str().unwrap()).await;
    let called = events.iter().find(|event| event["type"] == "TOOL_CALLED").unwrap();
    assert_eq!([&called["data"]["decision"], &called["data"]["status_code"]], [&json!("denied"), &json!(403)]);
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_call_that_needs_a_person_waits_for_one_and_is_made_once() {
    let host = Host::start_with("governed-approval", &[("PLATFORM_APPROVALS_RESUMES", "caller")]).await;
    let asked = register(&host).await;
    host.deploy("banker", &[("agent.py", BANKER)], json!({"required_tools": ["bank"]})).await.expect(200);
    let base = host.get("/api/tools/bank").await.expect(200)["base_url"].as_str().unwrap().to_string();
    host.ask_first("banker", "POST", &format!("{base}/v1/refunds")).await;
    host.until("banker", "Running").await;

    let reply = host.invoke("banker", "20").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(asked.lock().unwrap().is_empty(), "nothing reached the tool");
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL");
    let pending = host.get("/governance/requests?status=PENDING").await.expect(200);
    let request = &pending[0];
    assert_eq!([&request["tool_id"], &request["agent_id"], &request["run_id"]], ["bank", "banker", run.as_str()]);
    assert_eq!(request["tool_method"], "POST");
    assert_eq!(request["payload_hash"].as_str().unwrap().len(), 64);

    // It is approved, and the run goes on when its caller says so.
    let id = request["id"].as_str().unwrap();
    host.post(&format!("/governance/requests/{id}/approve"), json!({})).await.expect(200);
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "RUNNING");
    let again = async |message: &str| {
        let headers = [("x-run-id", run.as_str())];
        host.call("POST", "/api/v1/agents/banker/invoke", &headers, Some(json!({"message": message}))).await
    };
    let reply = again("20").await;
    assert_eq!(said(&reply.expect(200))[0], 200, "{}", reply.text);
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(asked.lock().unwrap()[0].3, "{\"amount\": 20}");
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "COMPLETED");
    let types: Vec<String> =
        host.events(&run).await.iter().map(|event| event["type"].as_str().unwrap().to_string()).collect();
    for kind in ["APPROVAL_REQUIRED", "APPROVED", "TOOL_CALLED", "COMPLETED"] {
        assert!(types.iter().any(|own| own == kind), "{kind}: {types:?}");
    }

    // The same refund again is asked for again: the approval was for once.
    let reply = host.invoke("banker", "20").await;
    assert_eq!(reply.status, 200);
    assert_eq!(asked.lock().unwrap().len(), 1);
}
