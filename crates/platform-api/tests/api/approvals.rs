//! Approvals: requests, decisions, grants and their end.

use std::time::Duration;

use platform_api::approvals::grants::{Call, take};
use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    the_same_question_is_the_same_request_until_somebody_answers,
    a_decision_takes_no_body_an_empty_one_or_none,
    an_approval_lets_the_run_go_on_and_a_rejection_ends_it,
    a_grant_holds_for_as_long_as_the_first_who_said_so,
    what_cannot_be_asked_or_decided_is_refused,
    a_grant_for_one_call_is_taken_by_one_of_many,
    approving_the_action_decides_the_request_and_the_other_way_round,
    a_run_that_ends_leaves_no_question_open,
    of_many_who_ask_or_decide_at_once_one_is_first,
    deciding_needs_a_key_that_may_decide,
);

const SUBJECT: &str = "alice@example.com";

async fn ask(platform: &Platform, more: Value) -> Value {
    let mut body = json!({"subject": SUBJECT, "tool_id": "stripe-api"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = platform.post("/governance/requests", body).await;
    assert!([200, 201].contains(&reply.status.as_u16()), "{}", reply.text());
    let mut request = reply.json();
    request["http"] = reply.status.as_u16().into();
    request
}

async fn begin(platform: &Platform) -> String {
    let run = json!({"agent_id": "payment-agent", "user_id": SUBJECT});
    platform.post("/runs", run).await.expect(201)["id"].as_str().unwrap().to_string()
}

fn path(request: &Value, rest: &str) -> String {
    format!("/governance/requests/{}{rest}", request["id"].as_str().unwrap())
}

async fn run_status(platform: &Platform, run: &str) -> Value {
    platform.get(&format!("/runs/{run}")).await.expect(200)["status"].clone()
}

async fn the_same_question_is_the_same_request_until_somebody_answers(platform: Platform) {
    let first = ask(&platform, json!({"agent_id": "payment-agent"})).await;
    assert_eq!([&first["http"], &first["status"], &first["duration"]], [&json!(201), &json!("PENDING"), &json!("4h")]);
    assert_eq!([&first["agent"], &first["tool"]], ["payment-agent", "stripe-api"]);
    platform.world.advance(Duration::from_secs(1));
    let again = ask(&platform, json!({"payload_hash": "sha256:other"})).await;
    assert_eq!([&again["http"], &again["id"]], [&json!(200), &first["id"]]);
    for other in [json!({"tool_id": "jira"}), json!({"subject": "bob"})] {
        assert_eq!(ask(&platform, other).await["http"], 201);
    }
    // Each run asks for itself, and once.
    let (one, two) = (begin(&platform).await, begin(&platform).await);
    let of_one = ask(&platform, json!({"run_id": one})).await;
    let of_two = ask(&platform, json!({"run_id": two})).await;
    assert_eq!([&of_one["http"], &of_two["http"]], [201, 201]);
    assert_eq!(of_one["agent_id"], "payment-agent");
    let again = ask(&platform, json!({"run_id": one})).await;
    assert_eq!([&again["http"], &again["id"], &again["action_id"]], [&json!(200), &of_one["id"], &of_one["action_id"]]);

    platform.post(&path(&first, "/approve"), json!({})).await.expect(200);
    assert_eq!(ask(&platform, json!({})).await["http"], 201);
    let pending = platform.get("/api/v1/approvals/requests?status=PENDING").await.expect(200);
    assert_eq!(pending.as_array().unwrap().len(), 5);
    let all = platform.get("/governance/requests").await.expect(200);
    assert_eq!([&all[0]["id"], &json!(all.as_array().unwrap().len())], [&first["id"], &json!(6)]);
}

async fn a_decision_takes_no_body_an_empty_one_or_none(platform: Platform) {
    for body in [None, Some(Value::Null), Some(json!({})), Some(json!({"scope": "", "duration": "", "reason": ""}))] {
        let request = ask(&platform, json!({})).await;
        let granted = platform.call("POST", &path(&request, "/approve"), body.clone()).await.expect(200);
        assert_eq!([&granted["status"], &granted["scope"]], ["APPROVED", "agent_user_ttl"]);
        assert_eq!(granted["expires_at"], "2026-02-23T14:15:30Z");
        assert!(granted["approver_id"].is_string() && granted.get("reason").is_none(), "{granted}");
        let request = ask(&platform, json!({})).await;
        let rejected = platform.call("POST", &path(&request, "/reject"), body).await.expect(200);
        assert_eq!(rejected["status"], "REJECTED");
        assert!(rejected.get("expires_at").is_none(), "{rejected}");
    }
    let request = ask(&platform, json!({})).await;
    let body = json!({"scope": "once", "duration": "30m", "reason": "only this"});
    let granted = platform.post(&path(&request, "/approve"), body).await.expect(200);
    assert_eq!([&granted["scope"], &granted["duration"], &granted["reason"]], ["once", "30m", "only this"]);
    assert_eq!(granted["expires_at"], "2026-02-23T10:45:30Z");
    assert_eq!(platform.post(&path(&request, "/reject"), json!({})).await.refused(409), "request is not pending");
}

async fn an_approval_lets_the_run_go_on_and_a_rejection_ends_it(platform: Platform) {
    for (verdict, run_after, action_after, event) in
        [("approve", "RUNNING", "APPROVED", "APPROVED"), ("reject", "FAILED", "FAILED", "REJECTED")]
    {
        let run = begin(&platform).await;
        let more = json!({"run_id": run, "capability": "create-charge", "payload_hash": "sha256:a",
            "tool_method": "POST", "tool_url": "https://api.stripe.com/v1/charges"});
        let request = ask(&platform, more).await;
        assert_eq!(run_status(&platform, &run).await, "PAUSED_APPROVAL");
        let decided = platform.post(&path(&request, &format!("/{verdict}")), json!({"reason": "because"})).await;
        let decided = decided.expect(200);
        assert_eq!(decided["reason"], "because");
        assert_eq!(run_status(&platform, &run).await, run_after);
        let action = platform.get(&format!("/runs/{run}/actions/{}", request["action_id"].as_str().unwrap())).await;
        assert_eq!(action.expect(200)["status"], action_after);
        let events = platform.get(&format!("/runs/{run}/events")).await.expect(200);
        assert_eq!(events.as_array().unwrap().len(), 2);
        assert_eq!([&events[0]["type"], &events[1]["type"]], ["APPROVAL_REQUIRED", event]);
        assert_eq!(events[0]["data"]["tool_url"], "https://api.stripe.com/v1/charges");
        assert_eq!(events[0]["payload_hash"], "sha256:a");
        assert_eq!(events[1]["data"]["approver_id"], decided["approver_id"]);
        assert_eq!(events[1]["data"]["message"], "because");
        if verdict == "approve" {
            // What is approved and not done in time may not be done any more; the run itself goes on.
            platform.world.advance(Duration::from_secs(4 * 3600));
            assert_eq!(platform.get(&path(&request, "")).await.expect(200)["status"], "EXPIRED");
            let action = format!("/runs/{run}/actions/{}", request["action_id"].as_str().unwrap());
            assert_eq!(platform.get(&action).await.expect(200)["status"], "EXPIRED");
            assert_eq!(run_status(&platform, &run).await, "RUNNING");
        }
    }
}

async fn a_grant_holds_for_as_long_as_the_first_who_said_so(platform: Platform) {
    let tool = json!({"name": "stripe-api", "spec": {"connection": {"baseUrl": "https://api.stripe.com"},
        "riskTags": ["financial"], "governance": {"approval": {"group": "g", "defaultDuration": "2h"}}}});
    platform.post("/api/tools", tool).await.expect(201);
    assert_eq!(ask(&platform, json!({"subject": "a"})).await["duration"], "2h");
    assert_eq!(ask(&platform, json!({"subject": "b", "duration": "1d"})).await["duration"], "1d");

    let rule = json!({"tags": ["financial"], "defaultDuration": "30m"});
    let record = json!({"name": "p", "spec": {"policies": [], "approvals": [rule]}, "origin": {"by": "person"}});
    let record: platform_api::policies::PolicyRecord = serde_json::from_value(record).unwrap();
    let binding =
        platform_api::policies::Binding::new("payment-agent", "p", platform_api::policies::BindingOrigin::Bound);
    let mut tx = platform.app.store().begin().await.unwrap();
    tx.put("default", &record, 0).await.unwrap();
    tx.put("default", &binding, 0).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ask(&platform, json!({"subject": "c", "agent_id": "payment-agent"})).await["duration"], "30m");
    assert_eq!(ask(&platform, json!({"subject": "d", "agent_id": "other-agent"})).await["duration"], "2h");
}

async fn what_cannot_be_asked_or_decided_is_refused(platform: Platform) {
    for body in [json!({}), json!({"subject": "a"}), json!({"tool_id": "t", "subject": ""})] {
        let refusal = platform.post("/governance/requests", body).await.refused(400);
        assert_eq!(refusal, "subject and tool_id are required");
    }
    let long = json!({"subject": "a", "tool_id": "t", "duration": "forever"});
    assert_eq!(platform.post("/governance/requests", long).await.expect(400)["errors"][0]["pointer"], "/duration");
    let lost = json!({"subject": "a", "tool_id": "t", "run_id": "r"});
    assert_eq!(platform.post("/governance/requests", lost).await.refused(404), "run r not found");
    let run = begin(&platform).await;
    platform.call("PATCH", &format!("/runs/{run}"), Some(json!({"status": "COMPLETED"}))).await.expect(200);
    let late = json!({"subject": "a", "tool_id": "t", "run_id": run});
    let late = platform.post("/governance/requests", late).await.refused(409);
    assert_eq!(late, "run is COMPLETED, must be RUNNING to create actions");

    for (method, rest) in [("GET", ""), ("POST", "/approve"), ("POST", "/reject")] {
        let path = format!("/api/v1/approvals/requests/req-0{rest}");
        assert_eq!(platform.call(method, &path, None).await.refused(404), "request not found");
    }
    let request = ask(&platform, json!({})).await;
    let approve = path(&request, "/approve");
    for (body, pointer) in [
        (json!({"scope": "always"}), "/scope"),
        (json!({"scope": "run"}), "/scope"),
        (json!({"duration": "4"}), "/duration"),
        (json!({"reason": 4}), "/reason"),
    ] {
        assert_eq!(platform.post(&approve, body).await.expect(400)["errors"][0]["pointer"], pointer);
    }
    platform.call("POST", &approve, Some(json!("yes"))).await.refused(400);
    let refusal = platform.get("/governance/requests?status=Pending").await.refused(400);
    assert_eq!(refusal, "status must be one of PENDING, APPROVED, REJECTED, EXPIRED");
    assert_eq!(platform.get(&path(&request, "")).await.expect(200)["status"], "PENDING");
}

async fn a_grant_for_one_call_is_taken_by_one_of_many(platform: Platform) {
    let request = ask(&platform, json!({"agent_id": "payment-agent"})).await;
    platform.post(&path(&request, "/approve"), json!({"scope": "once"})).await.expect(200);
    let call = || async {
        let call = Call { subject: SUBJECT, agent: "payment-agent", tool: "stripe-api", ..Call::default() };
        let mut tx = platform.app.store().begin().await.unwrap();
        let taken = take(&mut tx, "default", &call, platform.world.now()).await.unwrap();
        tx.commit().await.unwrap();
        taken
    };
    let taken = futures_util::future::join_all((0..20).map(|_| call())).await;
    assert_eq!(taken.iter().flatten().count(), 1);

    let request = ask(&platform, json!({"agent_id": "payment-agent"})).await;
    platform.post(&path(&request, "/approve"), json!({"duration": "30m"})).await.expect(200);
    for _ in 0..3 {
        assert_eq!(call().await.unwrap().id, request["id"]);
    }
    platform.world.advance(Duration::from_secs(30 * 60));
    assert!(call().await.is_none());
}

async fn approving_the_action_decides_the_request_and_the_other_way_round(platform: Platform) {
    let run = begin(&platform).await;
    let request = ask(&platform, json!({"run_id": run, "payload_hash": "sha256:a"})).await;
    let action = format!("/runs/{run}/actions/{}", request["action_id"].as_str().unwrap());
    assert_eq!(platform.post(&format!("{action}/approve"), json!({})).await.refused(409), "payload_hash mismatch");
    let approved = platform.post(&format!("{action}/approve"), json!({"payload_hash": "sha256:a"})).await.expect(200);
    assert_eq!(approved["status"], "APPROVED");
    let decided = platform.get(&path(&request, "")).await.expect(200);
    assert_eq!([&decided["status"], &decided["scope"]], ["APPROVED", "once"]);
    assert_eq!(run_status(&platform, &run).await, "RUNNING");
    let events = platform.get(&format!("/runs/{run}/events")).await.expect(200);
    assert_eq!(events.as_array().unwrap().len(), 2);
}

async fn a_run_that_ends_leaves_no_question_open(platform: Platform) {
    let run = begin(&platform).await;
    let request = ask(&platform, json!({"run_id": run})).await;
    platform.call("PATCH", &format!("/runs/{run}"), Some(json!({"status": "FAILED"}))).await.expect(200);
    let closed = platform.get(&path(&request, "")).await.expect(200);
    assert_eq!([&closed["status"], &closed["reason"]], ["EXPIRED", "the run ended before a decision"]);
    assert_eq!(platform.post(&path(&request, "/approve"), json!({})).await.refused(409), "request is not pending");
}

async fn of_many_who_ask_or_decide_at_once_one_is_first(platform: Platform) {
    for run in [None, Some(begin(&platform).await)] {
        let body = json!({"run_id": run});
        let asked = futures_util::future::join_all((0..20).map(|_| ask(&platform, body.clone()))).await;
        assert_eq!(asked.iter().filter(|request| request["http"] == 201).count(), 1);
        assert!(asked.iter().all(|request| request["id"] == asked[0]["id"]));
        let decide = async |n: usize| {
            let verdict = if n.is_multiple_of(2) { "/approve" } else { "/reject" };
            platform.post(&path(&asked[0], verdict), json!({})).await.status.as_u16()
        };
        let mut statuses = futures_util::future::join_all((0..20).map(decide)).await;
        statuses.sort();
        assert_eq!(statuses, [&[200][..], &[409; 19]].concat());
        if let Some(run) = run {
            let events = platform.get(&format!("/runs/{run}/events")).await.expect(200);
            assert_eq!(events.as_array().unwrap().len(), 2);
        }
    }
}

async fn deciding_needs_a_key_that_may_decide(platform: Platform) {
    use platform_api::auth::{Key, Scope};
    let request = ask(&platform, json!({})).await;
    let (writer, approver) = (Key::make("ra_ws_"), Key::make("ra_ws_"));
    let mut tx = platform.app.store().begin().await.unwrap();
    for (key, scope) in [(&writer, Scope::Write), (&approver, Scope::Approve)] {
        let row = key.row(format!("key-{scope}"), Some("default"), "n", &[scope], 0);
        tx.add_key(&row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let approve = path(&request, "/approve");
    let refusal = platform.as_caller(writer.expose()).call("POST", &approve, None).await.refused(403);
    assert_eq!(refusal, "this API key lacks the scope `approve`");
    let hook = json!({"name": "mine", "endpoint": "https://example.com/hook"});
    platform.as_caller(writer.expose()).post("/api/v1/approval-connectors", hook).await.refused(403);
    let granted = platform.as_caller(approver.expose()).call("POST", &approve, None).await.expect(200);
    assert_eq!(granted["approver_id"], "key-approve");
}
