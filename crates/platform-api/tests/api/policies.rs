//! Policies: kept, bound, said in plain words, and asked about calls that nobody made.

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_policy_comes_back_with_what_clients_look_for,
    the_first_clients_send_rules_beside_the_name,
    a_rule_that_cannot_be_is_refused_with_its_place,
    a_policy_is_changed_only_if_it_is_there,
    a_binding_says_for_whom_a_policy_counts,
    a_policy_of_a_user_or_a_group_counts_for_whom_an_agent_acts,
    a_policy_that_goes_takes_its_bindings_along,
    plain_sentences_become_rules,
    what_is_no_plain_sentence_is_refused_with_what_one_looks_like,
    a_simulation_says_what_decides_and_why_nothing_else_does,
    a_policy_that_only_logs_is_shown_as_one_and_decides_nothing,
    a_simulation_asks_the_tool_what_it_can_do,
);

fn billing() -> Value {
    json!({"name": "billing", "spec": {
        "policies": [
            {"permission": "allow", "operations": ["GET"], "resource": "https://api.stripe.com/v1/charges*"},
            {"permission": "approval_required", "resource": "https://api.stripe.com/v1/charges/*/refund"},
            {"permission": "deny", "tags": ["pii"], "operations": ["DELETE"]}],
        "approvals": [{"name": "refunds", "toolIds": ["stripe-api"], "approvers": {"groups": ["finance"], "match": "any"},
            "defaultDuration": "4h", "delivery": {"connectors": ["ac_1"], "mode": "first_success", "fallbackToUI": true}}]}})
}

async fn a_policy_comes_back_with_what_clients_look_for(platform: Platform) {
    let put = platform.post("/api/v1/policies", billing()).await.expect(201);
    assert_eq!(put["spec"]["policies"], billing()["spec"]["policies"]);
    let approval = &put["spec"]["approvals"][0];
    assert_eq!(
        [&approval["approvers"], &approval["delivery"]],
        [&billing()["spec"]["approvals"][0]["approvers"], &billing()["spec"]["approvals"][0]["delivery"]]
    );
    assert_eq!([&approval["capabilities"], &approval["tags"]], [&json!([]), &json!([])]);
    assert_eq!(put["namespace"], "default");
    assert_eq!(put["status"], json!({"ready": true, "message": ""}));
    assert_eq!(put["used_by"], json!([]));
    assert_eq!(platform.get("/api/policies/billing").await.expect(200), put);
    assert_eq!(platform.get("/api/v1/policies").await.expect(200), json!([put]));
    assert_eq!(platform.delete("/api/v1/policies/billing").await.expect(200), json!({"status": "deleted"}));
    assert_eq!(platform.get("/api/v1/policies/billing").await.refused(404), "policy \"billing\" not found");
}

async fn the_first_clients_send_rules_beside_the_name(platform: Platform) {
    let rules = json!([{"permission": "allow", "resource": "https://api.stripe.com/*", "operations": ["GET", "POST"]}]);
    let put = platform.post("/api/policies", json!({"name": "first", "rules": rules})).await.expect(201);
    assert_eq!([&put["rules"], &put["spec"]["policies"]], [&rules, &rules]);
}

async fn a_rule_that_cannot_be_is_refused_with_its_place(platform: Platform) {
    let refused = async |rules: Value| {
        let body = json!({"name": "p", "spec": {"policies": rules}});
        platform.post("/api/v1/policies", body).await.expect(400)
    };
    let good = json!({"permission": "allow", "resource": "https://a.io/*"});
    let wrong = refused(json!([good, {"permission": "deny", "resource": "stripe"}, {"permission": "allow"},
        {"permission": "deny", "operations": ["GET", "G T"]}, {"permission": "maybe"}]))
    .await;
    let pointers: Vec<_> = wrong["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    let expected =
        ["1/resource", "2", "3/operations/1", "4/permission"].map(|at| json!(format!("/spec/policies/{at}")));
    assert_eq!(pointers, expected);
    let text = wrong["error"].as_str().unwrap();
    assert!(text.starts_with("policy \"p\", rule 2: resource \"stripe\" is no address; write scheme"), "{text}");
    // A misspelt limit would be none.
    let wrong = refused(json!([{"permission": "allow", "resource": "https://a.io/*", "operation": ["GET"]}])).await;
    assert!(wrong["error"].as_str().unwrap().contains("unknown field `operation`"), "{wrong}");
    let body = json!({"name": "p", "spec": {"approvals": [{"defaultDuration": "soon"}]}});
    let wrong = platform.post("/api/v1/policies", body).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/spec/approvals/0/defaultDuration");
    assert_eq!(platform.post("/api/v1/policies", json!({"spec": {}})).await.refused(400), "policy name is required");
    assert_eq!(platform.post("/api/v1/policies", json!({"name": "p"})).await.refused(400), "policy spec is required");
    assert_eq!(platform.get("/api/v1/policies").await.expect(200), json!([]));
}

async fn a_policy_is_changed_only_if_it_is_there(platform: Platform) {
    let put = async |body| platform.call("PUT", "/api/v1/policies/billing", Some(body)).await;
    put(billing()).await.refused(404);
    platform.post("/api/v1/policies", billing()).await.expect(201);
    let changed = put(json!({"spec": {"policies": [{"permission": "deny"}]}})).await.expect(200);
    assert_eq!(changed["spec"]["policies"], json!([{"permission": "deny"}]));
    let other = put(json!({"name": "other", "spec": {}})).await.expect(400);
    assert_eq!(other["errors"][0]["pointer"], "/name");
}

fn binding() -> Value {
    json!({"name": "billing-agents", "policy": "billing", "subjects": [
        {"kind": "ServiceAccount", "name": "auditor"}, {"kind": "ServiceAccount", "name": "payer"}]})
}

async fn a_binding_says_for_whom_a_policy_counts(platform: Platform) {
    let wrong = platform.post("/api/policy-bindings", binding()).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/policy");
    platform.post("/api/policies", billing()).await.expect(201);
    let put = platform.post("/api/policy-bindings", binding()).await.expect(201);
    assert_eq!(
        [&put["name"], &put["policy"], &put["subjects"]],
        [&binding()["name"], &binding()["policy"], &binding()["subjects"]]
    );
    assert_eq!(platform.get("/api/v1/policy-bindings").await.expect(200), json!([put]));
    assert_eq!(platform.get("/api/v1/policy-bindings/billing-agents").await.expect(200), put);
    let used = platform.get("/api/v1/policies/billing").await.expect(200)["used_by"].clone();
    let agent = |name| json!({"name": name, "namespace": "agent-system"});
    assert_eq!(used, json!([agent("auditor"), agent("payer")]));

    // Posted again it counts for whom it says now.
    let fewer = json!({"name": "billing-agents", "policy": "billing", "subjects": [{"kind": "ServiceAccount", "name": "payer"}]});
    platform.post("/api/policy-bindings", fewer).await.expect(201);
    assert_eq!(platform.get("/api/v1/policies/billing").await.expect(200)["used_by"], json!([agent("payer")]));
    let odd = json!({"name": "b", "policy": "billing", "subjects": [{"kind": "Robot", "name": "ann"}]});
    let wrong = platform.post("/api/policy-bindings", odd).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/subjects/0/kind");
    platform.delete("/api/policy-bindings/billing-agents").await.expect(200);
    let gone = platform.delete("/api/policy-bindings/billing-agents").await.refused(404);
    assert_eq!(gone, "policy binding \"billing-agents\" not found");
    assert_eq!(platform.get("/api/v1/policies/billing").await.expect(200)["used_by"], json!([]));
}

async fn a_policy_of_a_user_or_a_group_counts_for_whom_an_agent_acts(platform: Platform) {
    let tool = json!({"name": "crm", "base_url": "https://crm.example.com"});
    platform.post("/api/tools", tool).await.expect(201);
    let rules = json!([{"permission": "allow", "resource": "https://crm.example.com/*", "operations": ["GET"]}]);
    platform.post("/api/policies", json!({"name": "read-crm", "rules": rules})).await.expect(201);
    let bind = |name: &str, kind: &str, subject: &str| {
        platform.post(
            "/api/policy-bindings",
            json!({"name": name, "policy": "read-crm", "subjects": [{"kind": kind, "name": subject}]}),
        )
    };
    let user = bind("of-ann", "User", "ann@example.com").await.expect(201);
    assert_eq!(user["subjects"], json!([{"kind": "User", "name": "ann@example.com"}]));
    bind("of-support", "Group", "Support team").await.expect(201);
    for (kind, name) in [("User", ""), ("Group", "a\nb"), ("ServiceAccount", "Not A Name")] {
        assert_eq!(bind("wrong", kind, name).await.expect(400)["errors"][0]["pointer"], "/subjects/0/name");
    }
    platform.post("/api/deploy", json!({"agent_name": "helper", "image": "a/b:1"})).await.expect(201);
    let decision = async |who: Value| {
        let mut call = json!({"agent": "helper", "url": "https://crm.example.com/people"});
        call.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        platform.post("/api/v1/policies/simulate", call).await.expect(200)["decision"].clone()
    };
    assert_eq!(decision(json!({})).await, "deny");
    assert_eq!(decision(json!({"user": "bob@example.com", "groups": ["sales"]})).await, "deny");
    assert_eq!(decision(json!({"user": "ann@example.com"})).await, "allow");
    assert_eq!(decision(json!({"user": "bob@example.com", "groups": ["sales", "Support team"]})).await, "allow");
    // An agent that is called like a user is another subject.
    assert_eq!(decision(json!({"user": "helper"})).await, "deny");
    platform.delete("/api/policy-bindings/of-ann").await.expect(200);
    assert_eq!(decision(json!({"user": "ann@example.com"})).await, "deny");
}

async fn a_policy_that_goes_takes_its_bindings_along(platform: Platform) {
    platform.post("/api/policies", billing()).await.expect(201);
    platform.post("/api/policy-bindings", binding()).await.expect(201);
    platform.delete("/api/policies/billing").await.expect(200);
    assert_eq!(platform.get("/api/policy-bindings").await.expect(200), json!([]));
    platform.post("/api/policies", billing()).await.expect(201);
    assert_eq!(platform.get("/api/policies/billing").await.expect(200)["used_by"], json!([]));
}

async fn stripe(platform: &Platform, mode: &str) {
    let tool = json!({"name": "stripe-api", "spec": {"connection": {"baseUrl": "https://api.stripe.com"},
        "governance": {"accessControl": {"mode": mode}}}});
    platform.post("/api/tools", tool).await.expect(201);
}

async fn plain_sentences_become_rules(platform: Platform) {
    stripe(&platform, "Open").await;
    let text = "Allow reads on stripe-api and require approval for POST on https://api.stripe.com/v1/refunds*";
    let answer = platform.post("/api/v1/policies/translate", json!({"text": text})).await.expect(200);
    let rules = json!([
        {"permission": "allow", "resource": "https://api.stripe.com/*", "operations": ["GET", "HEAD"]},
        {"permission": "approval_required", "resource": "https://api.stripe.com/v1/refunds*", "operations": ["POST"]}]);
    assert_eq!(answer, json!({"rules": rules, "source": "sentence"}));
    // As they are, they can be posted.
    platform.post("/api/v1/policies", json!({"name": "p", "spec": {"policies": answer["rules"]}})).await.expect(201);
}

async fn what_is_no_plain_sentence_is_refused_with_what_one_looks_like(platform: Platform) {
    stripe(&platform, "Open").await;
    let text = json!({"text": "Let it look at small charges, but nothing else"});
    let refused = platform.post("/api/v1/policies/translate", text).await.refused(400);
    assert!(refused.starts_with("\"Let\" is not understood here; write sentences such as: allow reads"), "{refused}");
    assert_eq!(platform.post("/api/v1/policies/translate", json!({})).await.refused(400), "text is required");
}

async fn simulate(platform: &Platform, method: &str, url: &str) -> Value {
    let call = json!({"agent": "payer", "method": method, "url": url});
    platform.post("/api/v1/policies/simulate", call).await.expect(200)
}

async fn a_simulation_says_what_decides_and_why_nothing_else_does(platform: Platform) {
    let call = json!({"agent": "payer", "url": "https://api.stripe.com/v1/charges"});
    let unknown = platform.post("/api/v1/policies/simulate", call).await.refused(404);
    assert_eq!(unknown, "agent payer not found");
    platform.post("/api/policies", billing()).await.expect(201);
    platform.post("/api/policy-bindings", binding()).await.expect(201);
    let nowhere = simulate(&platform, "GET", "https://api.stripe.com/v1/charges").await;
    assert_eq!([&nowhere["decision"], &nowhere["reason"]], ["deny", "no registered tool has this host"]);

    stripe(&platform, "Restricted").await;
    let read = simulate(&platform, "get", "https://api.stripe.com/v1/x/../charges/ch_1?limit=3").await;
    assert_eq!([&read["decision"], &read["tool"]["name"], &read["method"]], ["allow", "stripe-api", "GET"]);
    assert_eq!(read["url"], "https://api.stripe.com/v1/charges/ch_1?limit=3");
    assert_eq!([&read["rule"]["policy"], &read["rule"]["index"]], [&json!("billing"), &json!(0)]);
    let why: Vec<_> = read["rules"].as_array().unwrap().iter().map(|rule| rule["why_not"].clone()).collect();
    assert_eq!(why, [json!(null), json!("other_path"), json!("other_operation")]);
    assert_eq!(read["policies"], json!(["billing"]));

    let refund = simulate(&platform, "GET", "https://api.stripe.com/v1/charges/ch_1/refund").await;
    assert_eq!([&refund["decision"], &refund["rules"][0]["why_not"]], ["approval_required", "weaker"]);
    let other = simulate(&platform, "POST", "https://api.stripe.com/v1/customers").await;
    assert_eq!(other["reason"], "no rule covers the call, and what no rule covers is denied");
    assert_eq!([&other["decision"], &other["rule"]], [&json!("deny"), &json!(null)]);
    stripe(&platform, "Critical").await;
    let other = simulate(&platform, "POST", "https://api.stripe.com/v1/customers").await;
    assert_eq!(other["decision"], "approval_required");
    let secret = simulate(&platform, "GET", "https://me:hush@api.stripe.com/").await;
    assert!(secret["decision"] == "deny" && !secret.to_string().contains("hush"), "{secret}");
}

async fn a_policy_that_only_logs_is_shown_as_one_and_decides_nothing(platform: Platform) {
    platform.post("/api/policies", billing()).await.expect(201);
    platform.post("/api/policy-bindings", binding()).await.expect(201);
    stripe(&platform, "Restricted").await;
    let rules = json!([{"permission": "deny", "resource": "https://api.stripe.com/*"}]);
    let stricter = json!({"name": "stricter", "spec": {"policies": rules, "log_only": true}});
    let made = platform.post("/api/policies", stricter).await.expect(201);
    assert_eq!(made["spec"]["log_only"], true);
    let bound = json!({"name": "trial", "policy": "stricter", "subjects": [{"name": "payer"}]});
    platform.post("/api/policy-bindings", bound).await.expect(201);
    let read = simulate(&platform, "GET", "https://api.stripe.com/v1/charges").await;
    assert_eq!([&read["decision"], &read["rule"]["policy"]], ["allow", "billing"]);
    let would = json!({"decision": "deny", "reason": "rule 1 of the policy \"stricter\" decides"});
    assert_eq!(read["log_only"], would);
    let last = read["rules"].as_array().unwrap().last().unwrap();
    assert_eq!(
        [&last["policy"], &last["log_only"], &last["decided"]],
        [&json!("stricter"), &json!(true), &json!(false)]
    );
    assert_eq!(last["explanation"], "it would decide, but its policy only logs");
    // From now on it decides.
    let enforced = json!({"spec": {"policies": rules, "logOnly": false}});
    let put = platform.call("PUT", "/api/policies/stricter", Some(enforced)).await.expect(200);
    assert_eq!(put["spec"]["log_only"], json!(null));
    let read = simulate(&platform, "GET", "https://api.stripe.com/v1/charges").await;
    assert_eq!([&read["decision"], &read["log_only"]], [&json!("deny"), &json!(null)]);
}

async fn a_simulation_asks_the_tool_what_it_can_do(platform: Platform) {
    let tool = json!({"name": "stripe-api", "base_url": "https://api.stripe.com", "capabilities": [
        {"name": "list-charges", "method": "GET", "path": "/v1/charges"}]});
    platform.post("/api/tools", tool).await.expect(201);
    let everything =
        json!({"name": "billing", "rules": [{"permission": "allow", "resource": "https://api.stripe.com/*"}]});
    platform.post("/api/policies", everything).await.expect(201);
    platform.post("/api/policy-bindings", binding()).await.expect(201);
    let listed = simulate(&platform, "GET", "https://api.stripe.com/v1/charges/ch_1").await;
    assert_eq!(listed["capability"], json!({"checked": true, "permitted": true, "matched": "list-charges"}));
    let refused = simulate(&platform, "POST", "https://api.stripe.com/v1/charges").await;
    assert_eq!([&refused["decision"], &refused["capability"]["permitted"]], [&json!("deny"), &json!(false)]);
    assert!(refused["reason"].as_str().unwrap().starts_with("operation not permitted"));
}
