//! The quickstart of the documents to its end: the agent runs within seconds, answers, and its run is there.

use serde_json::{Value, json};

use crate::support::Host;

/// The body of the documents' deploy request, to the letter.
fn documented() -> Value {
    let text = include_str!("../../../../fixtures/api/curl/quickstart.txt");
    let (_, body) = text.split_once("/api/deploy").unwrap().1.split_once("-d '").unwrap();
    serde_json::from_str(body.split_once("'\n").unwrap().0).unwrap()
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn the_quickstarts_agent_runs_answers_and_is_on_the_record() {
    let host = Host::start("running-quickstart").await;
    let deployed = host.post("/api/deploy", documented()).await.expect(200);
    assert_eq!(deployed["agent"], json!({"name": "hello-world", "namespace": "default", "status": "Pending"}));
    assert_eq!(deployed["missing"], json!([]));
    host.until("hello-world", "Running").await;

    let answer = host.post("/api/agents/default/hello-world/invoke", json!({"message": "hello"})).await;
    let body = answer.expect(200);
    assert_eq!(body["handler"], "user");
    assert_eq!(body["tool_calls_made"][0]["status_code"], 200, "{body}");
    // What the agent made of it: the echo went to the model, which was shown the provider's own key.
    let asked = host.model.asked.lock().unwrap().clone();
    assert_eq!(asked[0].1["messages"][0]["content"], "Hello from my agent!");

    let run = answer.headers["x-run-id"].to_str().unwrap();
    let runs = host.get("/runs").await.expect(200);
    assert_eq!([&runs[0]["id"], &runs[0]["state"], &runs[0]["agent"]], [run, "COMPLETED", "hello-world"]);
    let events = host.events(run).await;
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "RUN_CREATED",
            "INVOKE_REQUESTED",
            "TOOL_CALLED",
            "LLM_CALL",
            "TOOL_RESPONSE",
            "INVOKE_COMPLETED",
            "COMPLETED"
        ]
    );
    let called = &events[2]["data"];
    assert_eq!([&called["tool_id"], &called["tool_method"], &called["decision"]], ["echo-tool", "POST", "allowed"]);
    assert_eq!(called["rule"], json!({"policy": "hello-world-echo-tool-auto", "index": 0}));
    let model = &events[3]["data"];
    assert_eq!([&model["model"], &model["model_provider"]], ["gpt-4o-mini", "playground-llm"]);
    assert_eq!([&model["input_tokens"], &model["output_tokens"]], [7, 3]);

    // It is isolated as far as this host can, and says so; what it wrote is there.
    let agent = host.get("/api/v1/agents/hello-world").await.expect(200);
    assert!(["netns", "landlock", "advisory"].contains(&agent["status"]["isolation"].as_str().unwrap()), "{agent}");
    assert!(host.logs("hello-world").await.contains("user_handler_discovered"));

    let gone = host.call("DELETE", "/api/agents/default/hello-world", &[], None).await;
    assert_eq!(gone.expect(200), json!({"status": "deleted"}));
    host.invoke("hello-world", "hello").await.expect(404);
    assert_eq!(host.get("/runs").await.expect(200)[0]["id"], run, "runs stay");
}

/// The Deploy API's example, invoked as the Agents API's example has it. Its code has no handler, so the runtime's own loop
/// answers, with the model.
#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn the_payment_agent_of_the_documents_is_deployed_and_invoked() {
    let host = Host::start("running-payment").await;
    let text = include_str!("../../../../fixtures/api/curl/agents.txt");
    let (_, body) = text.split_once("/api/deploy").unwrap().1.split_once("-d '").unwrap();
    let mut body: Value = serde_json::from_str(body.split_once("'\n").unwrap().0).unwrap();
    body["identity_provider"] = Value::Null;
    host.post("/api/deploy", body).await.expect(201);
    host.until("payment-agent", "Running").await;
    let asked = json!({"message": "What are the recent charges?"});
    let reply = host.post("/api/agents/agent-system/payment-agent/invoke", asked).await;
    assert_eq!(reply.expect(200)["response"], "pong: What are the recent charges?", "{}", reply.text);
    assert!(host.logs("payment-agent").await.contains("has no handler"));
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn what_cannot_be_built_or_loaded_says_why() {
    let host = Host::start("running-broken").await;
    let handler = ("agent.py", "def handler(request):\n    return 'ok'\n");
    let refused = host.deploy("unbuildable", &[handler], json!({"requirements": "no-such-package-anywhere==1"})).await;
    let error = refused.expect(500)["error"].as_str().unwrap().to_string();
    assert!(error.starts_with("build failed: ") && error.contains("no-such-package-anywhere"), "{error}");
    assert!(!error.contains("/target/"), "paths of this host are nobody's business: {error}");
    assert_eq!(host.until("unbuildable", "Failed").await, error);

    let broken = [("agent.py", "import os\nos.nothing_of_that_name\ndef handler(request):\n    return 'ok'\n")];
    host.deploy("unloadable", &broken, json!({})).await.expect(200);
    let why = host.until("unloadable", "Failed").await;
    assert_eq!(why, "module 'os' has no attribute 'nothing_of_that_name'");
    let refused = host.invoke("unloadable", "hello").await.expect(502)["error"].as_str().unwrap().to_string();
    assert!(refused.starts_with("failed to reach agent: it is Failed: ") && refused.contains(&why), "{refused}");
    let failed = host.get("/runs?status=FAILED").await.expect(200);
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");

    // A new version that does not load leaves the one before it in place.
    host.deploy("steady", &[handler], json!({})).await.expect(200);
    host.until("steady", "Running").await;
    host.deploy("steady", &broken, json!({})).await.expect(200);
    let why = host.until("steady", "Failed").await;
    assert!(why.ends_with("; the version before it goes on answering"), "{why}");
    assert_eq!(host.invoke("steady", "hello").await.expect(200)["response"], "ok");
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn a_build_is_carried_out_and_its_words_are_kept() {
    let host = Host::start("running-build").await;
    let files = json!({"agent.py": "def handler(request):\n    return 'ok'\n"});
    let build = host.post("/api/builds", json!({"name": "built", "files": files})).await.expect(202);
    assert_eq!(build["status"], "PENDING");
    let id = build["id"].as_str().unwrap();
    // As it goes on, until it is over.
    let told = host.get(&format!("/api/builds/{id}/logs?follow=true")).await;
    assert!(told.text.contains("event: end\ndata: {\"status\":\"SUCCEEDED\"}"), "{}", told.text);
    let log = host.get(&format!("/api/builds/{id}/logs")).await.expect(200);
    assert!(!log["lines"].as_array().unwrap().is_empty(), "{log}");
    let build = host.get(&format!("/api/builds/{id}")).await.expect(200);
    assert!(build["completed_at"].is_string() && build["error"].is_null(), "{build}");
}

#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn an_agent_reaches_nothing_but_what_it_may() {
    let host = Host::start("running-egress").await;
    let code = "import json, requests\n\
        def handler(request):\n    out = {}\n    for line in request['message'].splitlines():\n        \
        method, url = line.split(' ')\n        try:\n            \
        answer = requests.request(method, url, timeout=20)\n            \
        out[line] = [answer.status_code, answer.json()]\n        \
        except Exception as error:\n            out[line] = [0, type(error).__name__]\n    return json.dumps(out)\n";
    host.deploy("curious", &[("agent.py", code)], json!({"requirements": "requests"})).await.expect(200);
    host.until("curious", "Running").await;
    let own = host.platform.address.trim_start_matches("http://");
    let wishes = [
        "GET https://api.stripe.com/v1/charges".to_string(),
        "GET http://example.org/".to_string(),
        format!("GET http://{own}/api/v1/agents"),
        "GET http://169.254.169.254/latest/meta-data/".to_string(),
    ];
    let answer = host.invoke("curious", &wishes.join("\n")).await;
    let said: Value = serde_json::from_str(answer.expect(200)["response"].as_str().unwrap()).unwrap();
    for (wish, named) in [(&wishes[0], "api.stripe.com"), (&wishes[1], "example.org")] {
        assert_eq!(said[wish][0], 403, "{said}");
        let body = &said[wish][1];
        assert_eq!([&body["code"], &body["host"]], ["UNREGISTERED_DESTINATION", named]);
    }
    for wish in &wishes[2..] {
        assert_ne!(said[wish][0], 200, "{said}");
    }
    let events = host.events(answer.headers["x-run-id"].to_str().unwrap()).await;
    let denied: Vec<&Value> = events.iter().filter(|event| event["data"]["decision"] == "denied").collect();
    for wish in &wishes[..2] {
        let url = wish.trim_start_matches("GET ");
        assert!(denied.iter().any(|event| event["data"]["tool_url"] == url), "{url} is on the record: {events:#?}");
    }
}
