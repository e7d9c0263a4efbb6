//! The second system's surface with the started binary: what is asked reaches handlers whole, and what was acknowledged ends
//! truly and is told, however often the platform is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use ingestion_server::web::Outbound;
use serde_json::{Value, json};

use crate::binary::{KEY, Platform};
use crate::governed::register;
use crate::model::Model;
use crate::support::Host;

const NAMES: [&str; 4] = ["parameters", "session_id", "input_args", "input_kwargs"];

/// Handlers that say what else they were asked.
const IN_PYTHON: &str = "import json\n\nNAMES = ['parameters', 'session_id', 'input_args', 'input_kwargs', 'user_id']\n\n\
    def handler(request):\n    return json.dumps({name: request[name] for name in NAMES if name in request})\n";
const IN_TYPESCRIPT: &str = "const NAMES = ['parameters', 'session_id', 'input_args', 'input_kwargs'];\n\n\
    export function handler(request: Record<string, unknown>): string {\n  \
    return JSON.stringify(Object.fromEntries(NAMES.filter((name) => name in request).map((name) => [name, request[name]])));\n}\n";

#[tokio::test]
#[ignore = "needs uv and node; `cargo xtask test` installs what they need"]
async fn what_is_asked_beside_the_text_reaches_handlers() {
    // The runtime is started in one way where its network is its own, and where it is the host's.
    for isolation in ["netns", "advisory"] {
        reaches_handlers(isolation).await;
    }
}

async fn reaches_handlers(isolation: &str) {
    let variables = [("PLATFORM_RUNNER_AT_MOST", isolation)];
    let host = Host::start_with(&format!("second-parameters-{isolation}"), &variables).await;
    host.deploy("py", &[("agent.py", IN_PYTHON)], json!({})).await.expect(200);
    host.deploy("ts", &[("agent.ts", IN_TYPESCRIPT)], json!({})).await.expect(200);
    for agent in ["py", "ts"] {
        host.until(agent, "Running").await;
        let parameters = json!({"temperature": 0.7, "max_tokens": 150, "context": {"user": "u"}});
        let body = json!({"query": "q", "parameters": parameters, "session_id": "s-1", "user_id": "forged"});
        let said = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
        let answer = host.post(&format!("/v1/agents/{agent}/invoke"), body.clone()).await.expect(200);
        let expected = json!({"parameters": parameters, "session_id": "s-1"});
        assert_eq!(said(&answer["data"]["result"]), expected, "{agent}");
        // Heard as it speaks, the same.
        let heard = host.post(&format!("/v1/agents/{agent}/stream"), body).await;
        let chunk = heard.text.lines().filter_map(|line| line.strip_prefix("data: ")).nth(1).unwrap();
        let chunk: Value = serde_json::from_str(chunk).unwrap();
        assert_eq!(said(&chunk["content"]), expected, "{agent}");
        // Nothing is left of one question in the next.
        let answer = host.post(&format!("/v1/agents/{agent}/invoke"), json!({"query": "q"})).await.expect(200);
        assert_eq!(said(&answer["data"]["result"]), json!({"parameters": {}}), "{agent}");
        // The published client's arguments.
        let call = json!({"entrypoint_tag": "handler", "input_args": ["me", 2], "input_kwargs": {"deep": {"n": 3}}});
        let answer = host.post(&format!("/api/v1/agents/{agent}/run"), call).await.expect(200);
        let data: Value = said(&answer["data"]);
        let text: Value = said(&data["payload"]);
        let heard = said(&text);
        assert_eq!((&heard["input_args"], &heard["input_kwargs"]), (&json!(["me", 2]), &json!({"deep": {"n": 3}})));
        assert!(heard.as_object().unwrap().keys().all(|name| NAMES.contains(&name.as_str())), "{heard}");
    }
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn parameters_are_there_again_when_a_run_goes_on() {
    let host = Host::start("second-resumed").await;
    let _asked = register(&host).await;
    let code = "import os, requests\n\n\
        def handler(request):\n    \
        answer = requests.post(os.environ['TOOL_URL_BANK'] + '/v1/refunds', json=request['parameters'])\n    \
        return f\"{answer.status_code} {request['parameters']['amount']} {request.get('user_id')}\"\n";
    host.deploy("clerk", &[("agent.py", code)], json!({"required_tools": ["bank"]})).await.expect(200);
    let base = host.get("/api/tools/bank").await.expect(200)["base_url"].as_str().unwrap().to_string();
    host.ask_first("clerk", "POST", &format!("{base}/v1/refunds")).await;
    host.until("clerk", "Running").await;
    let body = json!({"query": "refund", "parameters": {"amount": 20}, "user_id": "forged"});
    let answer = host.post("/v1/agents/clerk/invoke", body).await.expect(200);
    let run = answer["metadata"]["run_id"].as_str().unwrap();
    let pending = host.get("/governance/requests?status=PENDING").await.expect(200);
    let request = format!("/governance/requests/{}/approve", pending[0]["id"].as_str().unwrap());
    host.post(&request, json!({})).await.expect(200);
    host.until_run(run, "COMPLETED").await;
    let answer = host.get(&format!("/runs/{run}/answer")).await.expect(200);
    assert_eq!(answer["body"]["response"], "200 20 None", "{answer}");
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn deployments_are_told_with_how_their_agents_are_doing() {
    let host = Host::start("second-deployments").await;
    // Nobody is there; what it would be told is in its log.
    let hook = host.post("/v1/webhooks", json!({"url": "https://webhook.invalid/", "events": ["*"]})).await.expect(201);
    let log = format!("/v1/webhooks/{}/deliveries?limit=100", hook["data"]["id"].as_str().unwrap());
    let code = "def handler(request):\n    return 'here'\n";
    host.deploy("told", &[("agent.py", code)], json!({})).await.expect(200);
    host.until("told", "Running").await;
    let broken = "raise RuntimeError('not today')\n\ndef handler(request):\n    return 'here'\n";
    host.deploy("told", &[("agent.py", broken)], json!({})).await.expect(200);
    host.until("told", "Failed").await;
    host.call("DELETE", "/api/v1/agents/told", &[], None).await.expect(200);
    let told = host.get(&log).await.expect(200)["data"].as_array().unwrap().clone();
    let of =
        |kind: &str| told.iter().rev().map(|one| &one["body"]).filter(|one| one["type"] == kind).collect::<Vec<_>>();
    for (kind, count) in [("deployment.created", 1), ("deployment.updated", 1), ("deployment.deleted", 1)] {
        let all = of(kind);
        assert_eq!(all.len(), count, "{kind}: {told:#?}");
        assert!(all[0]["agent_id"] == "told" && all[0]["deployment_id"].is_string(), "{}", all[0]);
    }
    let health: Vec<[&str; 2]> = of("deployment.health_changed")
        .iter()
        .map(|one| ["previous", "status"].map(|name| one["data"][name].as_str().unwrap()))
        .collect();
    assert!(health.contains(&["pending", "healthy"]), "{health:?}");
    assert_eq!(health.last().map(|pair| pair[1]), Some("unhealthy"), "{health:?}");
}

/// As many as one process is at, at a time.
const AT_ONCE: usize = 32;

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn operations_end_truly_when_the_platform_is_killed() {
    let host = Host::start("second-kill").await;
    let slow = "import time\n\ndef handler(request):\n    time.sleep(float(request['message']))\n    return 'slept'\n";
    host.deploy("slow", &[("agent.py", slow)], json!({})).await.expect(200);
    host.until("slow", "Running").await;
    // Nobody is there; what it would be told is in its log.
    let hook = json!({"url": "https://webhook.invalid/", "events": ["operation.completed", "operation.failed"]});
    let hook = host.post("/v1/webhooks", hook).await.expect(201)["data"]["id"].as_str().unwrap().to_string();
    let ask = async |seconds: &str| {
        let body = json!({"query": seconds, "async": true});
        host.post("/v1/agents/slow/invoke", body).await.expect(202)["check_url"].as_str().unwrap().to_string()
    };
    let mut cut_off = Vec::new();
    for _ in 0..AT_ONCE {
        cut_off.push(ask("600").await);
    }
    let heard = first_event(&host, "/v1/agents/slow/stream?query=600").await;
    cut_off.push(format!("/v1/operations/{}", heard.split_once(':').unwrap().0));
    while host.get("/runs?status=RUNNING").await.expect(200).as_array().unwrap().len() < cut_off.len() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let waiting = [ask("0").await, ask("0.1").await];
    assert_eq!(host.get(&waiting[0]).await.expect(200)["status"], "pending");

    let host = host.again("second-kill").await;
    for check in &cut_off {
        let ended = until_ended(&host, check).await;
        assert_eq!(
            (&ended["status"], &ended["error"]["code"]),
            (&json!("failed"), &json!("OPERATION_LOST")),
            "{ended}"
        );
    }
    for check in &waiting {
        let ended = until_ended(&host, check).await;
        assert_eq!((&ended["status"], &ended["data"]["result"]), (&json!("success"), &json!("slept")), "{ended}");
    }
    let runs = host.get("/runs").await.expect(200);
    let count = |status: &str| runs.as_array().unwrap().iter().filter(|run| run["status"] == status).count();
    assert_eq!((count("FAILED"), count("COMPLETED"), count("RUNNING")), (cut_off.len(), 2, 0), "{runs}");
    // Whoever heard the stream comes back, and is told that it is over.
    let last = host.call("GET", "/v1/agents/slow/stream", &[("last-event-id", &heard)], None).await;
    assert!(last.text.contains("event: error") && last.text.contains("OPERATION_LOST"), "{}", last.text);
    // Each end is told of once.
    let log = host.get(&format!("/v1/webhooks/{hook}/deliveries?limit=100")).await.expect(200);
    let told: BTreeSet<&str> =
        log["data"].as_array().unwrap().iter().map(|one| one["body"]["data"]["check_url"].as_str().unwrap()).collect();
    let all: BTreeSet<&str> = cut_off.iter().chain(&waiting).map(String::as_str).collect();
    assert_eq!((told, &log["pagination"]["total"]), (all, &json!(cut_off.len() + 2)));
}

/// Begins a stream and leaves it: the id of its first event.
async fn first_event(host: &Host, path: &str) -> String {
    let request =
        Request::get(format!("{}{path}", host.platform.address)).header("authorization", format!("Bearer {KEY}"));
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let answer = Outbound::plain().open(request, Duration::from_secs(60)).await.unwrap();
    let first = answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    first.strip_prefix("id: ").unwrap().lines().next().unwrap().to_string()
}

async fn until_ended(host: &Host, check: &str) -> Value {
    loop {
        let shown = host.get(check).await.expect(200);
        if !["pending", "running"].contains(&shown["status"].as_str().unwrap()) {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What somebody was told: how often, and what, by the id of the event.
type Told = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

/// How often the platform is killed.
const KILLS: usize = 12;

#[tokio::test]
#[ignore = "takes a minute; `cargo xtask test` runs it"]
async fn what_webhooks_are_to_be_told_survives_kills() {
    let (told, hangs, hanging) = (Told::default(), Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let url = receiver(&told, &hangs, &hanging).await;
    let private = |command: &mut std::process::Command| {
        command.env("PLATFORM_WEBHOOKS_PRIVATE_NETWORKS", "true");
    };
    let mut host = Host::over(Platform::start("second-hooks", private), Model::start().await);
    let hook = host.post("/v1/webhooks", json!({"url": url, "events": ["run.completed"]})).await.expect(201);
    let hook = hook["data"]["id"].as_str().unwrap().to_string();
    let mut acknowledged: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for round in 0..KILLS {
        hanging.store(0, Ordering::SeqCst);
        let mut made = 0;
        // Always in the middle: somebody is being told, and has not answered.
        while made < 5 + round || hanging.load(Ordering::SeqCst) == 0 {
            let run = host.post("/runs", json!({"agent_id": "a", "user_id": "u"})).await.expect(201);
            let run = run["id"].as_str().unwrap().to_string();
            let event = host.post(&format!("/runs/{run}/events"), json!({"type": "COMPLETED"})).await.expect(201);
            let id = format!("evt_{}", event["event_id"].as_str().unwrap().replace('-', ""));
            acknowledged.insert(id, (run, event["seq"].as_i64().unwrap()));
            made += 1;
        }
        let Host { platform, model, .. } = host;
        drop(platform);
        host = Host::over(Platform::again("second-hooks", private), model);
    }
    hangs.store(false, Ordering::SeqCst);
    let path = format!("/v1/webhooks/{hook}/deliveries?status=");
    let total =
        async |status: &str| host.get(&format!("{path}{status}")).await.expect(200)["pagination"]["total"].clone();
    while total("pending").await != 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!((total("failed").await, total("skipped").await), (json!(0), json!(0)));
    let told = told.lock().unwrap().clone();
    for (id, (run, seq)) in &acknowledged {
        let bodies = told.get(id).unwrap_or_else(|| panic!("{id} was not told"));
        let body: Value = serde_json::from_str(&bodies[0]).unwrap();
        assert_eq!((body["id"].as_str(), body["data"]["run_id"].as_str()), (Some(id.as_str()), Some(run.as_str())));
        assert_eq!(body["data"]["seq"], *seq);
        assert!(bodies.iter().all(|other| *other == bodies[0]), "{id} was told differently");
    }
    // What was told and not acknowledged is there too: a kill came between.
    assert_eq!(total("delivered").await, told.len());
    let twice = told.values().filter(|bodies| bodies.len() > 1).count();
    assert!(twice >= KILLS, "the kills came in the middle: {twice} of {}", told.len());
}

/// Somebody who takes what is told, and as long as `hangs` does not answer every third time.
async fn receiver(told: &Told, hangs: &Arc<AtomicBool>, hanging: &Arc<AtomicUsize>) -> String {
    let (told, hangs, hanging) = (Arc::clone(told), Arc::clone(hangs), Arc::clone(hanging));
    let count = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let routes = Router::new().fallback(move |headers: HeaderMap, body: String| {
        let id = headers["webhook-id"].to_str().unwrap().to_string();
        told.lock().unwrap().entry(id).or_default().push(body);
        let waits = count.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) && hangs.load(Ordering::SeqCst);
        if waits {
            hanging.fetch_add(1, Ordering::SeqCst);
        }
        async move {
            if waits {
                std::future::pending::<()>().await;
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}
