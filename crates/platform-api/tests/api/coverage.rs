//! Coverage: what an agent may do against what it did, and what another policy would have changed.

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    what_nothing_used_and_what_nothing_covers_is_said,
    a_changed_policy_is_tried_on_the_calls_that_were_made,
);

/// An agent that may read charges and take them, and has asked for refunds too.
async fn payer(platform: &Platform) -> String {
    let tool = json!({"name": "stripe-api", "base_url": "https://api.stripe.com",
        "governance": {"accessControl": {"mode": "Restricted"}}});
    platform.post("/api/tools", tool).await.expect(201);
    platform.post("/api/deploy", json!({"agent_name": "payer", "image": "a/b:1"})).await.expect(201);
    let rules = json!([
        {"permission": "allow", "operations": ["GET"], "resource": "https://api.stripe.com/v1/charges*"},
        {"permission": "allow", "operations": ["POST", "PUT"], "resource": "https://api.stripe.com/v1/charges"}]);
    platform.post("/api/v1/policies", json!({"name": "billing", "rules": rules})).await.expect(201);
    let subjects = json!([{"kind": "ServiceAccount", "name": "payer"}]);
    let binding = json!({"name": "b", "policy": "billing", "subjects": subjects});
    platform.post("/api/v1/policy-bindings", binding).await.expect(201);
    let run = json!({"agent_id": "payer", "user_id": "admin"});
    let run = platform.post("/runs", run).await.expect(201)["id"].as_str().unwrap().to_string();
    for (method, path, decision) in [
        ("GET", "charges", "allowed"),
        ("GET", "charges", "allowed"),
        ("GET", "charges/ch_1", "allowed"),
        ("POST", "refunds", "denied"),
    ] {
        let data = json!({"tool_method": method, "tool_url": format!("https://api.stripe.com/v1/{path}"),
            "tool": "stripe-api", "decision": decision});
        platform.post(&format!("/runs/{run}/events"), json!({"type": "TOOL_CALLED", "data": data})).await.expect(201);
    }
    run
}

async fn what_nothing_used_and_what_nothing_covers_is_said(platform: Platform) {
    payer(&platform).await;
    let said = platform.get("/api/v1/agents/payer/coverage").await.expect(200);
    assert_eq!([&said["calls"], &said["complete"]], [&json!(4), &json!(true)]);
    let counts: Vec<Value> = said["permissions"].as_array().unwrap().iter().map(|rule| rule["calls"].clone()).collect();
    assert_eq!(counts, [json!(3), json!(0)]);
    assert_eq!(said["permissions"][1]["last_called_at"], Value::Null);
    assert_eq!(said["unused"], json!(["- POST api.stripe.com/v1/charges", "- PUT api.stripe.com/v1/charges"]));
    let undeclared = &said["undeclared"][0];
    assert_eq!([&undeclared["line"], &undeclared["attempts"]], [&json!("+ POST api.stripe.com/v1/refunds"), &json!(1)]);
    assert_eq!(undeclared["tool"], "stripe-api");

    platform.world.advance(std::time::Duration::from_secs(2 * 86_400));
    assert_eq!(platform.get("/api/v1/agents/payer/coverage?days=1").await.expect(200)["calls"], 0);
    assert_eq!(platform.get("/api/v1/agents/payer/coverage?days=3").await.expect(200)["calls"], 4);
    assert_eq!(platform.get("/api/v1/agents/nobody/coverage").await.refused(404), "agent nobody not found");
    platform.get("/api/v1/agents/payer/coverage?days=none").await.refused(400);
}

async fn a_changed_policy_is_tried_on_the_calls_that_were_made(platform: Platform) {
    payer(&platform).await;
    let tried = async |name: &str, rules: Value, agent: Option<&str>| {
        let body = json!({"policy": {"name": name, "rules": rules}, "agent": agent});
        platform.post("/api/v1/policies/simulate", body).await.expect(200)
    };
    let narrow = json!([
        {"permission": "allow", "operations": ["GET"], "resource": "https://api.stripe.com/v1/charges"},
        {"permission": "approval_required", "resource": "https://api.stripe.com/v1/refunds"}]);
    let said = tried("billing", narrow.clone(), None).await;
    assert_eq!([&said["calls"], &said["policy"]], [&json!(4), &json!("billing")]);
    let changes: Vec<_> = said["changes"].as_array().unwrap().iter().collect();
    let of = |at: usize| ["method", "url", "before", "after"].map(|name| changes[at][name].as_str().unwrap());
    assert_eq!(changes.len(), 2, "{said}");
    assert_eq!(of(0), ["GET", "https://api.stripe.com/v1/charges/ch_1", "allow", "deny"]);
    assert_eq!(of(1), ["POST", "https://api.stripe.com/v1/refunds", "deny", "approval_required"]);
    assert_eq!(changes[1]["reason"], "rule 2 of the policy \"billing\" decides");

    // One that is bound to nobody changes nothing, unless it is said to whom it would be.
    let refunds = json!([{"permission": "allow", "resource": "https://api.stripe.com/v1/refunds"}]);
    assert_eq!(tried("new", refunds.clone(), None).await["calls"], 0);
    let said = tried("new", refunds, Some("payer")).await;
    assert_eq!(said["changes"].as_array().unwrap().len(), 1, "{said}");
    // Nothing of it is kept.
    platform.get("/api/v1/policies/new").await.refused(404);
    let bad = json!({"policy": {"name": "bad", "rules": [{"permission": "perhaps"}]}});
    platform.post("/api/v1/policies/simulate", bad).await.refused(400);
}
