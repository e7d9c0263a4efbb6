//! Approvers: who may decide on a request, where a policy says so.

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::support::{Platform, Reply, on_both_engines};

on_both_engines!(
    only_the_approvers_of_a_rule_decide,
    a_member_of_every_group_decides_where_all_are_needed,
    an_action_is_not_approved_past_its_approvers,
    the_rule_that_was_in_force_when_it_was_asked_counts,
    a_connector_says_who_decided_and_the_rules_own_connectors_are_believed,
    a_key_says_whose_it_is,
);

/// A platform where somebody is asked about refunds: those whom `approvers` names, over `connectors`.
async fn with_rule(platform: &Platform, approvers: Value, connectors: Value) {
    let rule = json!({"name": "refunds", "toolIds": ["stripe-api"], "approvers": approvers,
        "delivery": {"connectors": connectors, "mode": "first_success", "fallbackToUI": true}});
    let policy = json!({"name": "refunds", "spec": {"policies": [], "approvals": [rule]}});
    platform.post("/api/v1/policies", policy).await.expect(201);
    let subjects = json!([{"kind": "ServiceAccount", "name": "payer"}]);
    let binding = json!({"name": "refunds-of-payer", "policy": "refunds", "subjects": subjects});
    platform.post("/api/v1/policy-bindings", binding).await.expect(201);
}

async fn ask(platform: &Platform) -> Value {
    let run = platform.post("/runs", json!({"agent_id": "payer", "user_id": "alice"})).await.expect(201);
    let body = json!({"subject": "alice", "tool_id": "stripe-api", "agent_id": "payer", "run_id": run["id"]});
    platform.post("/governance/requests", body).await.expect(201)
}

/// Whoever has a key of that user and those groups.
async fn caller(platform: &Platform, user: Option<&str>, groups: &[&str]) -> Platform {
    let body = json!({"name": "k", "user": user, "groups": groups, "scopes": ["approve", "write"]});
    let fresh = platform.post("/api/v1/auth/api-keys", body).await.expect(201);
    platform.as_caller(fresh["token"].as_str().unwrap())
}

async fn decide(caller: &Platform, request: &Value, how: &str) -> Reply {
    caller.call("POST", &format!("/api/v1/approvals/requests/{}/{how}", request["id"].as_str().unwrap()), None).await
}

async fn only_the_approvers_of_a_rule_decide(platform: Platform) {
    with_rule(&platform, json!({"groups": ["finance", "ops"], "users": ["carol"], "match": "any"}), json!([])).await;
    let request = ask(&platform).await;
    assert_eq!(request["approvers"], json!({"users": ["carol"], "groups": ["finance", "ops"], "match": "any"}));
    let strangers = [
        caller(&platform, None, &[]).await,
        caller(&platform, Some("bob"), &["sales"]).await,
        // The name of a group is not the name of a user, nor does it help to be in a group that is called like one.
        caller(&platform, Some("finance"), &["carol"]).await,
        // Who may do everything else is no approver.
        platform.clone(),
    ];
    let refusal = "this API key may not decide on this request; its approvers are: carol, members of one of the groups \
                   finance, ops";
    for stranger in &strangers {
        for how in ["approve", "reject"] {
            assert_eq!(decide(stranger, &request, how).await.refused(403), refusal);
        }
    }
    let seen = platform.get(&format!("/governance/requests/{}", request["id"].as_str().unwrap())).await.expect(200);
    assert_eq!([&seen["status"], &seen["approvers"]], [&json!("PENDING"), &request["approvers"]]);

    let ann = caller(&platform, Some("ann"), &["finance"]).await;
    let granted = decide(&ann, &request, "approve").await.expect(200);
    assert_eq!([&granted["status"], &granted["approver_id"]], ["APPROVED", "ann"]);
    let carol = caller(&platform, Some("carol"), &[]).await;
    let rejected = decide(&carol, &ask(&platform).await, "reject").await.expect(200);
    assert_eq!([&rejected["status"], &rejected["approver_id"]], ["REJECTED", "carol"]);
    // What no rule is about is anybody's who may approve.
    let other = json!({"subject": "alice", "tool_id": "echo-tool", "agent_id": "payer"});
    let other = platform.post("/governance/requests", other).await.expect(201);
    assert!(other.get("approvers").is_none(), "{other}");
    decide(&strangers[0], &other, "approve").await.expect(200);
}

async fn a_member_of_every_group_decides_where_all_are_needed(platform: Platform) {
    with_rule(&platform, json!({"groups": ["finance", "ops"], "match": "all"}), json!([])).await;
    let request = ask(&platform).await;
    let one = caller(&platform, Some("ann"), &["finance"]).await;
    let refusal = decide(&one, &request, "approve").await.refused(403);
    assert!(refusal.ends_with("members of all of the groups finance, ops"), "{refusal}");
    let both = caller(&platform, Some("bob"), &["ops", "finance"]).await;
    decide(&both, &request, "approve").await.expect(200);
}

async fn an_action_is_not_approved_past_its_approvers(platform: Platform) {
    with_rule(&platform, json!({"groups": ["finance"]}), json!([])).await;
    let request = ask(&platform).await;
    let (run, action) = (request["run_id"].as_str().unwrap(), request["action_id"].as_str().unwrap());
    let path = format!("/runs/{run}/actions/{action}/approve");
    let refusal = platform.call("POST", &path, None).await.refused(403);
    assert_eq!(refusal, "this API key may not decide on this request; its approvers are: members of the group finance");
    assert_eq!(platform.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL");
    let ann = caller(&platform, Some("ann"), &["finance"]).await;
    assert_eq!(ann.call("POST", &path, None).await.expect(200)["status"], "APPROVED");
    let events = platform.get(&format!("/runs/{run}/events")).await.expect(200);
    let approved = events.as_array().unwrap().iter().find(|event| event["type"] == "APPROVED").unwrap();
    assert_eq!(approved["actor"], "ann");
}

async fn the_rule_that_was_in_force_when_it_was_asked_counts(platform: Platform) {
    with_rule(&platform, json!({"groups": ["finance"]}), json!([])).await;
    let request = ask(&platform).await;
    let open = json!({"spec": {"policies": [], "approvals": []}});
    platform.call("PUT", "/api/v1/policies/refunds", Some(open)).await.expect(200);
    decide(&platform, &request, "approve").await.refused(403);
    platform.delete("/api/v1/policies/refunds").await.expect(200);
    decide(&platform, &request, "approve").await.refused(403);
    decide(&caller(&platform, None, &["finance"]).await, &request, "approve").await.expect(200);
}

async fn a_connector_says_who_decided_and_the_rules_own_connectors_are_believed(platform: Platform) {
    let hook = json!({"name": "hook", "endpoint": "http://127.0.0.1:9/hook"});
    let hook = platform.post("/api/v1/approval-connectors", hook).await.expect(201);
    let (id, secret) = (hook["id"].as_str().unwrap(), hook["signing_secret"].as_str().unwrap());
    let call_back = async |request: &Value, more: Value| {
        let mut body = json!({"request_id": request["id"], "decision": "approved", "approver_id": "bob"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (body, seconds) = (body.to_string(), (platform.world.now() / 1000).to_string());
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{seconds}.{body}").as_bytes());
        let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let sent = Request::post(format!("/callbacks/approvals/{id}")).header("x-runagents-timestamp", seconds);
        let sent = sent.header("x-runagents-signature", format!("sha256={signature}")).body(Body::from(body)).unwrap();
        platform.send(sent).await
    };
    // One that is told of everything says of which groups whoever decided is.
    with_rule(&platform, json!({"groups": ["finance"]}), json!([])).await;
    let request = ask(&platform).await;
    call_back(&request, json!({})).await.refused(403);
    call_back(&request, json!({"approver_groups": ["sales"]})).await.refused(403);
    let granted = call_back(&request, json!({"approver_groups": ["finance"]})).await.expect(200);
    assert_eq!(granted["approver_id"], format!("{id}/bob"));
    // One that the rule names asks its approvers and nobody else.
    with_rule(&platform, json!({"groups": ["finance", "ops"], "match": "all"}), json!(["hook"])).await;
    call_back(&ask(&platform).await, json!({})).await.expect(200);
    with_rule(&platform, json!({"users": ["carol"]}), json!(["hook"])).await;
    call_back(&ask(&platform).await, json!({})).await.expect(200);
}

async fn a_key_says_whose_it_is(platform: Platform) {
    let body = json!({"name": "k", "user": "ann@example.com", "groups": ["finance", "ops", "finance"]});
    let key = platform.post("/api/v1/auth/api-keys", body).await.expect(201)["key"].clone();
    assert_eq!([&key["user"], &key["groups"]], [&json!("ann@example.com"), &json!(["finance", "ops"])]);
    assert_eq!(platform.get("/api/v1/auth/api-keys").await.expect(200), json!([key]));
    let path = format!("/api/v1/auth/api-keys/{}/rotate", key["id"].as_str().unwrap());
    let rotated = platform.call("POST", &path, None).await.expect(200);
    assert_eq!([&rotated["key"]["user"], &rotated["key"]["groups"]], [&key["user"], &key["groups"]]);
    let wrong = json!({"name": "k", "groups": ["finance", ""]});
    assert_eq!(platform.post("/api/v1/auth/api-keys", wrong).await.expect(400)["errors"][0]["pointer"], "/groups/1");
    let usual = platform.post("/api/v1/auth/api-keys", json!({"name": "k"})).await.expect(201);
    assert_eq!([usual["key"].get("user"), usual["key"].get("groups")], [None, Some(&json!([]))]);
}
