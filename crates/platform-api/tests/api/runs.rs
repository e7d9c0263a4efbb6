//! Runs: their life, their numbered events, their blocked actions, what is exported of them.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_run_goes_from_its_first_message_to_its_end_as_the_documents_show,
    both_vocabularies_are_answered,
    who_follows_a_run_hears_each_event_once_and_goes_on_where_they_were_cut_off,
    runs_are_found_by_agent_and_status,
    what_is_not_as_it_must_be_is_refused_in_the_documents_words,
    two_hundred_at_once_leave_no_gap,
    only_one_of_two_hundred_blocks_a_run,
    whatever_is_sent_in_whatever_order_no_run_leaves_its_paths,
    an_approval_that_nobody_gave_in_time_fails_the_run,
    a_run_is_exported_for_whoever_audits_it,
    each_workspace_has_runs_of_its_own,
);

async fn begin(platform: &Platform) -> String {
    let run = json!({"agent_id": "payment-agent", "user_id": "admin@example.com"});
    platform.post("/runs", run).await.expect(201)["id"].as_str().unwrap().to_string()
}

async fn block(platform: &Platform, run: &str) -> String {
    let action = json!({"tool_id": "stripe-api", "capability": "create-charge", "payload_hash": "sha256:abc123"});
    let action = platform.post(&format!("/runs/{run}/actions"), action).await.expect(201);
    action["action_id"].as_str().unwrap().to_string()
}

async fn types(platform: &Platform, run: &str) -> Vec<String> {
    let events = platform.get(&format!("/api/v1/runs/{run}/events")).await.expect(200);
    let events = events.as_array().unwrap();
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], json!(n + 1), "{event}");
    }
    events.iter().map(|event| event["type"].as_str().unwrap().to_string()).collect()
}

async fn status(platform: &Platform, run: &str) -> String {
    platform.get(&format!("/runs/{run}")).await.expect(200)["status"].as_str().unwrap().to_string()
}

async fn a_run_goes_from_its_first_message_to_its_end_as_the_documents_show(platform: Platform) {
    let run = begin(&platform).await;
    for (kind, actor) in [("USER_MESSAGE", "admin@example.com"), ("TOOL_REQUEST", "payment-agent")] {
        let event = json!({"type": kind, "actor": actor});
        platform.post(&format!("/runs/{run}/events"), event).await.expect(201);
    }
    let action = block(&platform, &run).await;
    let paused = platform.get(&format!("/runs/{run}")).await.expect(200);
    assert_eq!([&paused["status"], &paused["blocked_action_id"]], [&json!("PAUSED_APPROVAL"), &json!(action)]);
    let approve = format!("/api/v1/runs/{run}/actions/{action}/approve");
    let approved = platform.post(&approve, json!({"payload_hash": "sha256:abc123"})).await.expect(200);
    assert_eq!(approved["status"], "APPROVED");
    let running = platform.get(&format!("/runs/{run}")).await.expect(200);
    assert_eq!([&running["status"], &running["blocked_action_id"]], [&json!("RUNNING"), &Value::Null]);
    let done = platform.call("PATCH", &format!("/runs/{run}"), Some(json!({"status": "COMPLETED"}))).await;
    assert_eq!(done.expect(200)["status"], "COMPLETED");
    assert_eq!(types(&platform, &run).await, ["USER_MESSAGE", "TOOL_REQUEST", "APPROVAL_REQUIRED", "APPROVED"]);
}

async fn who_follows_a_run_hears_each_event_once_and_goes_on_where_they_were_cut_off(platform: Platform) {
    let run = begin(&platform).await;
    let say = async |kind: &str| {
        platform.post(&format!("/runs/{run}/events"), json!({"type": kind})).await.expect(201);
    };
    let follow = async |last: &str| {
        let request = axum::http::Request::get(format!("/api/v1/runs/{run}/events/stream"));
        let request = request.header("authorization", format!("Bearer {}", crate::support::KEY));
        let told = platform.send(request.header("last-event-id", last).body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(told.status.as_u16(), 200, "{}", told.text());
        let lines = told.text().lines().map(str::to_string);
        lines.filter(|line| line.starts_with("id:") || line.starts_with("event:")).collect::<Vec<_>>()
    };
    say("USER_MESSAGE").await;
    let going_on = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        say("AGENT_MESSAGE").await;
        platform.call("PATCH", &format!("/runs/{run}"), Some(json!({"status": "COMPLETED"}))).await.expect(200);
    };
    let (heard, ()) = tokio::join!(follow(""), going_on);
    assert_eq!(heard, ["id: 1", "id: 2", "event: end"]);
    assert_eq!(follow("1").await, ["id: 2", "event: end"]);
    let unknown = platform.get("/runs/run-of-nobody/events/stream").await;
    assert_eq!(unknown.refused(404), "run run-of-nobody not found");
    let request = axum::http::Request::get(format!("/runs/{run}/events/stream")).header("last-event-id", "soon");
    let request = request.header("authorization", format!("Bearer {}", crate::support::KEY));
    let refused = platform.send(request.body(axum::body::Body::empty()).unwrap()).await.refused(400);
    assert_eq!(refused, "Last-Event-ID must be a whole number of at least 0");
}

async fn both_vocabularies_are_answered(platform: Platform) {
    let platform = platform.with(|config| config.public_url = "https://agents.example.com/".into()).await;
    let body = json!({"agent_id": "hello-world", "user_id": "u", "conversation_id": "conv-1", "namespace": "default"});
    let run = platform.post("/api/v1/runs", body).await.expect(201);
    assert_eq!([&run["agent"], &run["agent_id"]], ["hello-world", "hello-world"]);
    assert_eq!([&run["state"], &run["status"]], ["RUNNING", "RUNNING"]);
    assert_eq!(run["created_at"], run["updated_at"]);
    assert_eq!(run["conversation_id"], "conv-1");
    assert_eq!(run["invoke_url"], "https://agents.example.com/api/agents/default/hello-world/invoke");
    assert!(run.get("blocked_action_id").is_none() && run.get("initial_message").is_none(), "{run}");
    let body = json!({"agent_id": "a", "user_id": "u", "invoke_url": "http://127.0.0.1:9/invoke"});
    let own = platform.post("/runs", body).await.expect(201);
    assert_eq!([&own["invoke_url"], &own["namespace"]], ["http://127.0.0.1:9/invoke", "agent-system"]);
    let run = own["id"].as_str().unwrap();
    let data = json!({"tool_id": "t", "status_code": 200});
    for kind in ["LLM_CALL", "TOOL_CALL", "APPROVAL_GRANTED", "ERROR", "RUN_STARTED"] {
        let event = json!({"type": kind, "data": data});
        let event = platform.post(&format!("/runs/{run}/events"), event).await.expect(201);
        assert_eq!([&event["type"], &event["data"]], [&json!(kind), &data]);
        assert!(event.get("actor").is_none() && event["timestamp"].is_string(), "{event}");
    }
    let some = platform.get(&format!("/runs/{run}/events?after_seq=1&limit=2")).await.expect(200);
    assert_eq!(some.as_array().unwrap().iter().map(|event| event["seq"].clone()).collect::<Vec<_>>(), [2, 3]);
}

async fn runs_are_found_by_agent_and_status(platform: Platform) {
    let mut runs = Vec::new();
    for agent in ["one", "two", "one"] {
        let body = json!({"agent_id": agent, "user_id": "u"});
        runs.push(platform.post("/runs", body).await.expect(201)["id"].as_str().unwrap().to_string());
        platform.world.advance(Duration::from_secs(1));
    }
    block(&platform, &runs[1]).await;
    platform.call("PATCH", &format!("/runs/{}", runs[2]), Some(json!({"status": "FAILED"}))).await.expect(200);
    for (query, expected) in [
        ("", vec![2, 1, 0]),
        ("?status=", vec![2, 1, 0]),
        ("?agent_id=one", vec![2, 0]),
        ("?agent=two", vec![1]),
        ("?agent_id=none", vec![]),
        ("?status=PAUSED", vec![1]),
        ("?status=PAUSED_APPROVAL", vec![1]),
        ("?status=PAUSED_CONSENT", vec![]),
        ("?status=RUNNING&agent=one", vec![0]),
        ("?limit=2", vec![2, 1]),
    ] {
        let found = platform.get(&format!("/runs{query}")).await.expect(200);
        let found: Vec<_> = found.as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap()).collect();
        let expected: Vec<_> = expected.into_iter().map(|n: usize| runs[n].as_str()).collect();
        assert_eq!(found, expected, "{query}");
    }
    assert!(platform.get("/runs?status=DONE").await.refused(400).starts_with("status must be one of PAUSED, RUNNING"));
    for limit in ["0", "-1", "many"] {
        let refusal = platform.get(&format!("/runs?limit={limit}")).await.refused(400);
        assert_eq!(refusal, "limit must be a whole number of at least 1");
    }
}

async fn what_is_not_as_it_must_be_is_refused_in_the_documents_words(platform: Platform) {
    let none = "7f2a9c3e";
    for path in ["", "/events", "/audit/export", "/actions/a"] {
        assert_eq!(platform.get(&format!("/runs/{none}{path}")).await.refused(404), "run 7f2a9c3e not found");
    }
    for (path, body) in [("events", json!({"type": "FAILED"})), ("actions", json!({"tool_id": "t"}))] {
        assert_eq!(platform.post(&format!("/runs/{none}/{path}"), body).await.refused(404), "run 7f2a9c3e not found");
    }
    assert_eq!(platform.post("/runs", json!({"user_id": "u"})).await.refused(400), "agent_id is required");
    assert_eq!(platform.post("/runs", json!({"agent_id": "a"})).await.expect(400)["errors"][0]["pointer"], "/user_id");

    let run = begin(&platform).await;
    let patch = async |to: &str| platform.call("PATCH", &format!("/runs/{run}"), Some(json!({"status": to}))).await;
    assert_eq!(patch("PAUSED").await.refused(400), "status must be one of COMPLETED, FAILED, PAUSED_APPROVAL, RUNNING");
    assert_eq!(patch("RUNNING").await.refused(409), "invalid transition from RUNNING to RUNNING");
    let event = platform.post(&format!("/runs/{run}/events"), json!({"type": "SNEEZED"})).await.refused(400);
    assert!(event.starts_with("type must be one of USER_MESSAGE, AGENT_MESSAGE"), "{event}");
    let event = platform.post(&format!("/runs/{run}/events"), json!({"type": "FAILED", "data": "x"})).await.expect(400);
    assert_eq!(event["errors"][0]["pointer"], "/data");
    let unnamed = platform.post(&format!("/runs/{run}/actions"), json!({})).await.refused(400);
    assert_eq!(unnamed, "tool_id is required");
    assert_eq!(platform.get(&format!("/runs/{run}/actions/a")).await.refused(404), "action a not found");

    let action = block(&platform, &run).await;
    assert_eq!(patch("COMPLETED").await.refused(409), "invalid transition from PAUSED_APPROVAL to COMPLETED");
    let again = platform.post(&format!("/runs/{run}/actions"), json!({"tool_id": "t"})).await.refused(409);
    assert_eq!(again, "run is PAUSED_APPROVAL, must be RUNNING to create actions");
    let approve = format!("/runs/{run}/actions/{action}/approve");
    for body in [None, Some(json!({})), Some(Value::Null), Some(json!({"payload_hash": "sha256:other"}))] {
        assert_eq!(platform.call("POST", &approve, body).await.refused(409), "payload_hash mismatch");
    }
    platform.post(&approve, json!({"payload_hash": "sha256:abc123"})).await.expect(200);
    let again = platform.post(&approve, json!({"payload_hash": "sha256:abc123"})).await.refused(409);
    assert_eq!(again, "action is APPROVED, must be BLOCKED to approve");
    patch("COMPLETED").await.expect(200);
    assert_eq!(patch("RUNNING").await.refused(409), "invalid transition from COMPLETED to RUNNING");
}

async fn two_hundred_at_once_leave_no_gap(platform: Platform) {
    let run = begin(&platform).await;
    let path = format!("/runs/{run}/events");
    let sent = (0..200).map(|n| {
        let (platform, path) = (platform.clone(), path.clone());
        tokio::spawn(async move {
            let event = json!({"type": "TOOL_CALLED", "data": {"n": n}});
            platform.post(&path, event).await.expect(201)["seq"].as_i64().unwrap()
        })
    });
    let mut told = BTreeSet::new();
    for one in sent.collect::<Vec<_>>() {
        told.insert(one.await.unwrap());
    }
    assert_eq!(told, (1..=200).collect());
    let events = platform.get(&path).await.expect(200);
    let kept: BTreeSet<_> =
        events.as_array().unwrap().iter().map(|event| event["data"]["n"].as_i64().unwrap()).collect();
    assert_eq!(kept, (0..200).collect());
    assert_eq!(types(&platform, &run).await.len(), 200);
}

async fn only_one_of_two_hundred_blocks_a_run(platform: Platform) {
    let run = begin(&platform).await;
    let path = format!("/runs/{run}/actions");
    let sent = (0..200).map(|_| {
        let (platform, path) = (platform.clone(), path.clone());
        tokio::spawn(async move { platform.post(&path, json!({"tool_id": "t"})).await.status.as_u16() })
    });
    let mut statuses = Vec::new();
    for one in sent.collect::<Vec<_>>() {
        statuses.push(one.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");
    assert_eq!(types(&platform, &run).await, ["APPROVAL_REQUIRED"]);
}

/// Something that a client may send about a run.
#[derive(Debug, Clone)]
enum Step {
    Patch(&'static str),
    Block,
    Ask,
    ApproveAction,
    ApproveRequest,
    Reject,
    Wait,
}

async fn whatever_is_sent_in_whatever_order_no_run_leaves_its_paths(platform: Platform) {
    let step = prop_oneof![
        prop::sample::select(vec!["RUNNING", "PAUSED_APPROVAL", "COMPLETED", "FAILED"]).prop_map(Step::Patch),
        Just(Step::Block),
        Just(Step::Ask),
        Just(Step::ApproveAction),
        Just(Step::ApproveRequest),
        Just(Step::Reject),
        Just(Step::Wait),
    ];
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
    );
    for _ in 0..24 {
        let steps = prop::collection::vec(step.clone(), 1..10).new_tree(&mut runner).unwrap().current();
        live(&platform, &steps).await;
    }
}

/// Lives a run, and after each step compares what is said of it with what may be.
async fn live(platform: &Platform, steps: &[Step]) {
    let run = begin(platform).await;
    let (mut action, mut request) = (String::from("none"), String::from("none"));
    let mut before = "RUNNING".to_string();
    for step in steps {
        let (method, path, body) = match step {
            Step::Patch(to) => ("PATCH", format!("/runs/{run}"), json!({"status": to})),
            Step::Block => ("POST", format!("/runs/{run}/actions"), json!({"tool_id": "t"})),
            Step::Ask => {
                ("POST", "/governance/requests".into(), json!({"subject": "s", "tool_id": "t", "run_id": run}))
            }
            Step::ApproveAction => ("POST", format!("/runs/{run}/actions/{action}/approve"), Value::Null),
            Step::ApproveRequest => ("POST", format!("/governance/requests/{request}/approve"), Value::Null),
            Step::Reject => ("POST", format!("/governance/requests/{request}/reject"), Value::Null),
            Step::Wait => {
                platform.world.advance(Duration::from_secs(25 * 3600));
                ("GET", format!("/runs/{run}"), Value::Null)
            }
        };
        let reply = platform.call(method, &path, Some(body)).await;
        assert!([200, 201, 404, 409].contains(&reply.status.as_u16()), "{steps:?}: {}", reply.text());
        let said = reply.json();
        if let Some(id) = said["action_id"].as_str() {
            action = id.into();
        }
        if let (Step::Ask, Some(id)) = (step, said["id"].as_str()) {
            request = id.into();
        }

        let shown = platform.get(&format!("/runs/{run}")).await.expect(200);
        let after = shown["status"].as_str().unwrap().to_string();
        let legal = match (before.as_str(), after.as_str()) {
            (same, other) if same == other => true,
            ("COMPLETED" | "FAILED", _) => false,
            ("PAUSED_APPROVAL", "COMPLETED") => false,
            _ => true,
        };
        assert!(legal, "{before} to {after}: {steps:?}");
        // What a run waits for is blocked, and what ended waits for nothing.
        let waits_for = shown["blocked_action_id"].as_str();
        if let Some(action) = waits_for {
            let action = platform.get(&format!("/runs/{run}/actions/{action}")).await.expect(200);
            assert_eq!(action["status"], "BLOCKED", "{steps:?}");
            assert_eq!(after, "PAUSED_APPROVAL", "{steps:?}");
        }
        if ["COMPLETED", "FAILED"].contains(&after.as_str()) {
            let audit = platform.get(&format!("/runs/{run}/audit/export")).await.expect(200);
            let statuses = |of: &str| {
                let all = audit[of].as_array().unwrap().iter();
                all.map(|one| one["status"].as_str().unwrap().to_string()).collect::<Vec<_>>()
            };
            assert!(!statuses("actions").contains(&"BLOCKED".to_string()), "{steps:?}: {audit}");
            assert!(!statuses("approvals").contains(&"PENDING".to_string()), "{steps:?}: {audit}");
        }
        types(platform, &run).await;
        before = after;
    }
}

async fn an_approval_that_nobody_gave_in_time_fails_the_run(platform: Platform) {
    let run = begin(&platform).await;
    let ask = json!({"subject": "alice@example.com", "tool_id": "stripe-api", "run_id": run});
    let request = platform.post("/governance/requests", ask).await.expect(201);
    platform.world.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(status(&platform, &run).await, "PAUSED_APPROVAL");
    platform.world.advance(Duration::from_secs(1));
    // Nothing but a look is needed.
    assert_eq!(status(&platform, &run).await, "FAILED");
    let path = format!("/governance/requests/{}", request["id"].as_str().unwrap());
    let expired = platform.get(&path).await.expect(200);
    assert_eq!([&expired["status"], &expired["reason"]], ["EXPIRED", "nobody decided in time"]);
    let action = format!("/runs/{run}/actions/{}", request["action_id"].as_str().unwrap());
    assert_eq!(platform.get(&action).await.expect(200)["status"], "FAILED");
    assert_eq!(types(&platform, &run).await, ["APPROVAL_REQUIRED", "FAILED"]);
    assert_eq!(platform.post(&format!("{path}/approve"), json!({})).await.refused(409), "request is not pending");
}

async fn a_run_is_exported_for_whoever_audits_it(platform: Platform) {
    let run = begin(&platform).await;
    let event = json!({"type": "USER_MESSAGE", "actor": "admin@example.com", "data": {"message": "hello"}});
    platform.post(&format!("/runs/{run}/events"), event).await.expect(201);
    platform.world.advance(Duration::from_millis(250));
    block(&platform, &run).await;
    let path = format!("/api/v1/runs/{run}/audit/export");
    let whole = platform.get(&path).await.expect(200);
    assert_eq!(whole["run"]["id"], json!(run));
    assert_eq!(whole["events"].as_array().unwrap().len(), 2);
    assert_eq!(whole["actions"][0]["status"], "BLOCKED");
    assert_eq!(whole["approvals"], json!([]));

    let reply = platform.get(&format!("{path}?format=ndjson")).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&lines[0]["type"], &lines[1]["type"]], ["USER_MESSAGE", "APPROVAL_REQUIRED"]);
    assert_eq!([&lines[1]["run_id"], &lines[1]["agent_id"]], [&json!(run), &json!("payment-agent")]);

    let reply = platform.get(&format!("{path}?schema=splunk_hec")).await;
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&lines[0]["time"], &lines[1]["time"]], [&json!(1771841730.0), &json!(1771841730.25)]);
    assert_eq!(lines[0]["sourcetype"], "runagents:audit");
    assert_eq!(lines[0]["event"]["data"]["message"], "hello");
    assert_eq!(platform.get(&format!("{path}?format=csv")).await.refused(400), "format must be json or ndjson");
    platform.get(&format!("{path}?schema=ecs")).await.refused(400);
}

async fn each_workspace_has_runs_of_its_own(platform: Platform) {
    let run = begin(&platform).await;
    for path in ["", "/events", "/actions/a", "/audit/export"] {
        platform.get(&format!("/api/v1/workspaces/other/runs/{run}{path}")).await.refused(404);
    }
    let event = json!({"type": "FAILED"});
    platform.post(&format!("/api/v1/workspaces/other/runs/{run}/events"), event).await.refused(404);
    assert_eq!(platform.get("/api/v1/workspaces/other/runs").await.expect(200), json!([]));
    assert_eq!(types(&platform, &run).await, Vec::<String>::new());
}
