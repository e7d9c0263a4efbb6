//! Approvers: who may decide on a request, where a policy says so.

use axum::body::Body;
use axum::http::Request;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use crate::quiet::Stage;
use crate::support::{Platform, Reply, on_both_engines};

on_both_engines!(
    only_the_approvers_of_a_rule_decide,
    a_member_of_every_group_decides_where_all_are_needed,
    an_action_is_not_approved_past_its_approvers,
    the_rule_that_was_in_force_when_it_was_asked_counts,
    a_connector_says_who_decided_and_the_rules_own_connectors_are_believed,
    a_tools_group_decides_and_nobody_else,
    a_rule_lets_nobody_decide_past_the_tools_group,
    a_person_at_a_connector_decides_as_a_member_of_the_tools_group,
    a_rule_that_is_bound_to_a_group_counts_for_its_members,
    a_policy_of_a_group_counts_where_an_agent_acts_for_its_member,
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
    let refusal = "only its approvers may decide on this request: carol, members of one of the groups finance, ops";
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
    assert_eq!(refusal, "only its approvers may decide on this request: members of the group finance");
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

/// HMAC-SHA256 in hex digits.
fn hmac(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A webhook approves, and says more of it.
async fn call_back(platform: &Platform, id: &str, secret: &str, request: &Value, more: Value) -> Reply {
    let mut body = json!({"request_id": request["id"], "decision": "approved", "approver_id": "bob"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (body, seconds) = (body.to_string(), (platform.world.now() / 1000).to_string());
    let signature = format!("sha256={}", hmac(secret, &format!("{seconds}.{body}")));
    let sent = Request::post(format!("/callbacks/approvals/{id}")).header("x-runagents-timestamp", seconds);
    platform.send(sent.header("x-runagents-signature", signature).body(Body::from(body)).unwrap()).await
}

/// Somebody presses a button in Slack.
async fn press(platform: &Platform, id: &str, secret: &str, request: &Value, user: &str) -> Reply {
    let payload = json!({"type": "block_actions", "user": {"id": user},
        "actions": [{"action_id": "approved", "value": request["id"]}]});
    let body =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    let seconds = (platform.world.now() / 1000).to_string();
    let signature = format!("v0={}", hmac(secret, &format!("v0:{seconds}:{body}")));
    let sent = Request::post(format!("/callbacks/approvals/{id}")).header("x-slack-request-timestamp", seconds);
    platform.send(sent.header("x-slack-signature", signature).body(Body::from(body)).unwrap()).await
}

async fn a_connector_says_who_decided_and_the_rules_own_connectors_are_believed(platform: Platform) {
    let hook = json!({"name": "hook", "endpoint": "http://127.0.0.1:9/hook"});
    let hook = platform.post("/api/v1/approval-connectors", hook).await.expect(201);
    let (id, secret) = (hook["id"].as_str().unwrap(), hook["signing_secret"].as_str().unwrap());
    let call_back = async |request: &Value, more: Value| call_back(&platform, id, secret, request, more).await;
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

/// The tool that the requests here are about, which leaves decisions to a group.
async fn with_group(platform: &Platform, group: &str) {
    let tool = json!({"name": "stripe-api", "spec": {"connection": {"baseUrl": "https://api.stripe.com"},
        "governance": {"accessControl": {"mode": "Critical"}, "approval": {"group": group}}}});
    platform.post("/api/tools", tool).await.expect(201);
}

async fn a_tools_group_decides_and_nobody_else(platform: Platform) {
    with_group(&platform, "finance").await;
    let request = ask(&platform).await;
    assert_eq!([&request["approver_group"], &request["status"]], ["finance", "PENDING"]);
    let refusal = "only its approvers may decide on this request: members of the group finance";
    let strangers = [
        platform.clone(),
        caller(&platform, None, &[]).await,
        caller(&platform, Some("finance"), &["finances", "Finance"]).await,
    ];
    for stranger in &strangers {
        for how in ["approve", "reject"] {
            assert_eq!(decide(stranger, &request, how).await.refused(403), refusal);
        }
    }
    let run = request["run_id"].as_str().unwrap();
    let action = format!("/runs/{run}/actions/{}/approve", request["action_id"].as_str().unwrap());
    assert_eq!(strangers[1].call("POST", &action, None).await.refused(403), refusal);
    assert_eq!(platform.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL");

    let ann = caller(&platform, Some("ann"), &["ops", "finance"]).await;
    assert_eq!(decide(&ann, &request, "approve").await.expect(200)["approver_id"], "ann");
    assert_eq!(decide(&ann, &ask(&platform).await, "reject").await.expect(200)["status"], "REJECTED");

    // An action that nobody made a request for is one more decision about the tool.
    let run = platform.post("/runs", json!({"agent_id": "payer", "user_id": "alice"})).await.expect(201);
    let actions = format!("/runs/{}/actions", run["id"].as_str().unwrap());
    let action = platform.post(&actions, json!({"tool_id": "stripe-api"})).await.expect(201);
    let approve = format!("{actions}/{}/approve", action["action_id"].as_str().unwrap());
    assert_eq!(strangers[1].call("POST", &approve, None).await.refused(403), refusal);
    assert_eq!(ann.call("POST", &approve, None).await.expect(200)["status"], "APPROVED");

    // The group that was named when it was asked counts; a blank one is none.
    let request = ask(&platform).await;
    with_group(&platform, " ").await;
    assert_eq!(decide(&platform, &request, "approve").await.refused(403), refusal);
    let open = ask(&platform).await;
    assert!(open.get("approver_group").is_none(), "{open}");
    decide(&strangers[1], &open, "approve").await.expect(200);
}

async fn a_rule_lets_nobody_decide_past_the_tools_group(platform: Platform) {
    with_group(&platform, "finance").await;
    with_rule(&platform, json!({"groups": ["ops"], "users": ["carol"]}), json!([])).await;
    let request = ask(&platform).await;
    for (user, groups) in [("ann", vec!["finance"]), ("bob", vec!["ops"]), ("carol", vec![])] {
        let refusal = decide(&caller(&platform, Some(user), &groups).await, &request, "approve").await.refused(403);
        let named = "carol, members of the group ops; of them only members of the group finance, as the tool demands";
        assert!(refusal.ends_with(named), "{refusal}");
    }
    decide(&caller(&platform, Some("carol"), &["finance"]).await, &request, "approve").await.expect(200);
    decide(&caller(&platform, Some("eve"), &["ops", "finance"]).await, &ask(&platform).await, "approve")
        .await
        .expect(200);
}

async fn a_person_at_a_connector_decides_as_a_member_of_the_tools_group(platform: Platform) {
    let secret = "a-signing-secret-of-the-tests";
    let slack = json!({"name": "slack", "type": "slack", "endpoint": "http://127.0.0.1:9/hook",
        "headers": {"X-Slack-Signing-Secret": secret}, "group_members": {"finance": ["U0ANN"], "ops": ["slack:U0BOB"]}});
    let slack = platform.post("/api/v1/approval-connectors", slack).await.expect(201);
    assert_eq!(slack["group_members"], json!({"finance": ["U0ANN"], "ops": ["slack:U0BOB"]}));
    let id = slack["id"].as_str().unwrap();
    let hook = json!({"name": "hook", "endpoint": "http://127.0.0.1:9/hook"});
    let hook = platform.post("/api/v1/approval-connectors", hook).await.expect(201);
    let (hook, key) = (hook["id"].as_str().unwrap(), hook["signing_secret"].as_str().unwrap());
    with_group(&platform, "finance").await;
    let request = ask(&platform).await;
    for stranger in ["U0BOB", "U0EVE", "finance"] {
        let refusal = press(&platform, id, secret, &request, stranger).await.refused(403);
        assert_eq!(refusal, "only its approvers may decide on this request: members of the group finance");
    }
    call_back(&platform, hook, key, &request, json!({})).await.refused(403);
    let granted = press(&platform, id, secret, &request, "U0ANN").await.expect(200);
    assert_eq!(granted["approver_id"], format!("{id}/slack:U0ANN"));
    call_back(&platform, hook, key, &ask(&platform).await, json!({"approver_groups": ["finance"]})).await.expect(200);

    // A rule that names the connector says nothing of the tool's group, unless it names that itself.
    with_rule(&platform, json!({"groups": ["ops", "finance"]}), json!(["slack"])).await;
    press(&platform, id, secret, &ask(&platform).await, "U0EVE").await.refused(403);
    with_rule(&platform, json!({"groups": ["finance"]}), json!(["slack"])).await;
    press(&platform, id, secret, &ask(&platform).await, "U0EVE").await.expect(200);

    // Whoever is asked at a connector may be a member; what is not sent of a connector stays.
    platform.delete("/api/v1/policies/refunds").await.expect(200);
    let path = format!("/api/v1/approval-connectors/{id}");
    let all = json!({"group_members": {"finance": ["*"]}});
    platform.call("PATCH", &path, Some(all)).await.expect(200);
    let same = platform.call("PATCH", &path, Some(json!({"timeout_seconds": 7}))).await.expect(200);
    assert_eq!(same["group_members"], json!({"finance": ["*"]}));
    press(&platform, id, secret, &ask(&platform).await, "U0EVE").await.expect(200);
    let wrong = platform.call("PATCH", &path, Some(json!({"group_members": {"finance": [""]}}))).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/group_members/finance/0");
}

async fn a_rule_that_is_bound_to_a_group_counts_for_its_members(platform: Platform) {
    let rule = json!({"name": "refunds", "toolIds": ["stripe-api"], "approvers": {"groups": ["finance"]}});
    let policy = json!({"name": "interns", "spec": {"policies": [], "approvals": [rule]}});
    platform.post("/api/v1/policies", policy).await.expect(201);
    let subjects = json!([{"kind": "Group", "name": "interns"}]);
    let binding = json!({"name": "of-interns", "policy": "interns", "subjects": subjects});
    platform.post("/api/v1/policy-bindings", binding).await.expect(201);

    let request = ask(&platform).await;
    assert!(request.get("approvers").is_none(), "nobody says that alice is an intern: {request}");
    decide(&platform, &request, "approve").await.expect(200);
    let key = json!({"name": "k", "user": "alice", "groups": ["interns"], "expiresInDays": 1});
    platform.post("/api/v1/auth/api-keys", key).await.expect(201);
    let request = ask(&platform).await;
    assert_eq!(request["approvers"]["groups"], json!(["finance"]));
    decide(&platform, &request, "approve").await.refused(403);
    decide(&caller(&platform, None, &["finance"]).await, &request, "approve").await.expect(200);
    // A key that opens nothing any more says nothing any more.
    platform.world.advance(std::time::Duration::from_secs(2 * 86_400));
    assert!(ask(&platform).await.get("approvers").is_none());
}

async fn a_policy_of_a_group_counts_where_an_agent_acts_for_its_member(platform: Platform) {
    let stage = Stage::over(platform.app.store().clone(), |_| {}).await;
    let platform = &stage.platform;
    platform.post("/api/starter-kit", json!({})).await.expect(200);
    stage.agent("helper", &["echo-tool"]).await;
    let base = platform.get("/api/tools/echo-tool").await.expect(200)["base_url"].as_str().unwrap().to_string();
    let rules = json!([{"permission": "deny", "resource": format!("{}/*", base.trim_end_matches('/'))}]);
    platform.post("/api/v1/policies", json!({"name": "interns", "spec": {"policies": rules}})).await.expect(201);
    let subjects = json!([{"kind": "Group", "name": "interns"}]);
    let binding = json!({"name": "of-interns", "policy": "interns", "subjects": subjects});
    platform.post("/api/v1/policy-bindings", binding).await.expect(201);

    let (alice, bob) = (stage.asked_for("helper", "alice").await, stage.asked_for("helper", "bob").await);
    let calls = async |asked| stage.calls("helper", "echo-tool/echo", Some(asked)).await.status.as_u16();
    assert_eq!((calls(&alice).await, calls(&bob).await), (200, 200));
    let key = json!({"name": "k", "user": "alice", "groups": ["interns"]});
    let key = platform.post("/api/v1/auth/api-keys", key).await.expect(201);
    let denied = stage.calls("helper", "echo-tool/echo", Some(&alice)).await.expect(403);
    assert_eq!(denied["code"], "POLICY_DENIED", "{denied}");
    assert_eq!(calls(&bob).await, 200);
    // Whoever is no member any more is not treated as one.
    platform.delete(&format!("/api/v1/auth/api-keys/{}", key["key"]["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(calls(&alice).await, 200);
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
