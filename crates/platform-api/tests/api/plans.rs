//! Plans and context: several changes in one request, each once, and what the workspace has afterwards.

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_plan_is_carried_out_in_order_and_once,
    a_plan_with_anything_invalid_changes_nothing,
    a_plan_stops_at_the_first_failure_unless_told_to_go_on,
    a_key_without_the_scope_plans_no_deploy,
    the_context_holds_everything_that_a_workspace_has,
);

fn action(id: &str, kind: &str, params: Value) -> Value {
    json!({"id": id, "type": kind, "idempotency_key": format!("key-{id}"), "params": params})
}

fn everything() -> Value {
    let source = "import os, requests\n\ndef handler(request):\n    return requests.get(os.environ['TOOL_CRM_URL'] + '/accounts').json()\n";
    json!({"plan_id": "plan-1", "actions": [
        action("kit", "starter_kit.seed", json!({})),
        action("tool", "tool.upsert", json!({"name": "crm", "spec": {"connection": {"baseUrl": "https://crm.acme.io"}}})),
        action("model", "model_provider.upsert", json!({"name": "local", "spec": {"provider": "ollama",
            "endpoint": "http://127.0.0.1:11434", "models": ["llama3"]}})),
        action("policy", "policy.upsert", json!({"name": "reads", "spec": {"policies": [
            {"permission": "allow", "resource": "https://crm.acme.io/*", "operations": ["GET"]}]}})),
        action("draft", "deploy_draft.create_or_patch", json!({"id": "draft-1", "step": "tools",
            "agent_config": {"agent_name": "seller"}})),
        action("deploy", "deploy.execute", json!({"agent_name": "seller", "source_files": {"agent.py": source},
            "required_tools": ["crm"], "policies": ["reads"]})),
    ]})
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

async fn a_plan_is_carried_out_in_order_and_once(platform: Platform) {
    let checked = platform.post("/api/v1/actions/validate", everything()).await.expect(200);
    assert_eq!([&checked["valid"], &checked["plan_id"]], [&json!(true), &json!("plan-1")], "{checked}");
    let places: Vec<_> = checked["results"].as_array().unwrap().iter().map(|result| &result["resource_ref"]).collect();
    assert_eq!(
        places,
        [
            "/starter-kit",
            "/tools/crm",
            "/model-providers/local",
            "/policies/reads",
            "/deploy-drafts/draft-1",
            "/agents/seller"
        ]
    );
    platform.get("/api/tools/crm").await.refused(404);

    let applied = platform.post("/api/v1/actions/apply", everything()).await.expect(200);
    assert_eq!(statuses(&applied), ["applied"; 6], "{applied}");
    assert_eq!(
        [&applied["applied"], &applied["applied_count"], &applied["failed_count"]],
        [&json!(true), &json!(6), &json!(0)]
    );
    for path in ["tools/crm", "tools/echo-tool", "model-providers/local", "policies/reads", "agents/seller"] {
        platform.get(&format!("/api/v1/{path}")).await.expect(200);
    }
    platform.delete("/api/tools/crm").await.expect(200);
    let again = platform.post("/api/actions/apply", everything()).await.expect(200);
    assert_eq!((statuses(&again), &again["applied_count"]), (vec!["skipped"; 6], &json!(0)));
    platform.get("/api/tools/crm").await.refused(404);
    let warned = platform.post("/api/actions/validate", everything()).await.expect(200);
    assert_eq!(warned["results"][1]["warnings"].as_array().unwrap().len(), 1);
}

async fn a_plan_with_anything_invalid_changes_nothing(platform: Platform) {
    let mut plan = everything();
    plan["actions"][2].as_object_mut().unwrap().remove("idempotency_key");
    let refused = platform.post("/api/v1/actions/apply", plan.clone()).await.expect(400);
    assert_eq!(refused["results"][2]["error"], "idempotency_key is required");
    assert_eq!([&refused["error"], &refused["applied"]], [&json!("idempotency_key is required"), &json!(false)]);
    assert_eq!(statuses(&refused), ["skipped", "skipped", "invalid", "skipped", "skipped", "skipped"]);
    assert_eq!(platform.get("/api/tools").await.expect(200), json!([]));

    plan["actions"] = json!([
        action("a", "tool.upsert", json!({"name": "a"})),
        action("a", "policy.upsert", json!({"name": "p", "spec": {"policies": [{"permission": "allow"}]}})),
        action("c", "tool.paint", json!({})),
        action("d", "deploy.execute", json!({})),
    ]);
    let checked = platform.post("/api/v1/actions/validate", plan).await.expect(200);
    assert_eq!(checked["valid"], false);
    let errors: Vec<_> = checked["results"].as_array().unwrap().iter().map(|result| &result["errors"]).collect();
    assert_eq!(errors[0], &json!(["tool name and base_url are required"]));
    assert_eq!(errors[1].as_array().unwrap().len(), 3, "{}", errors[1]);
    assert!(errors[2][0].as_str().unwrap().starts_with("type \"tool.paint\" is none; there are tool.upsert"));
    assert_eq!(errors[3].as_array().unwrap().len(), 2);

    for bad in [json!({"actions": []}), json!({}), json!({"actions": [{"name": "x"}]}), json!({"steps": []})] {
        platform.post("/api/v1/actions/validate", bad.clone()).await.refused(400);
        platform.post("/api/v1/actions/apply", bad).await.refused(400);
    }
}

async fn a_plan_stops_at_the_first_failure_unless_told_to_go_on(platform: Platform) {
    let mut plan = json!({"actions": [
        action("a", "tool.upsert", json!({"name": "a", "base_url": "https://a.io"})),
        action("b", "deploy.execute", json!({"agent_name": "x", "draft_id": "draft-none"})),
        action("c", "tool.upsert", json!({"name": "c", "base_url": "https://c.io"}))]});
    let stopped = platform.post("/api/v1/actions/apply", plan.clone()).await.expect(200);
    assert_eq!(statuses(&stopped), ["applied", "failed", "skipped"]);
    assert_eq!(stopped["applied"], false);
    assert_eq!(stopped["results"][1]["error"], "draft \"draft-none\" not found");
    platform.get("/api/tools/c").await.refused(404);
    plan["continue_on_error"] = json!(true);
    let went_on = platform.post("/api/v1/actions/apply", plan).await.expect(200);
    assert_eq!(statuses(&went_on), ["skipped", "failed", "applied"]);
    assert_eq!([&went_on["applied_count"], &went_on["failed_count"]], [1, 1]);
    // A key stands for one kind of change.
    let other = json!({"actions": [{"type": "starter_kit.seed", "idempotency_key": "key-a"}]});
    let other = platform.post("/api/v1/actions/apply", other).await.expect(200);
    assert_eq!([&other["results"][0]["status"], &other["results"][0]["id"]], ["failed", "action-1"]);
}

async fn a_key_without_the_scope_plans_no_deploy(platform: Platform) {
    let body = json!({"name": "writer", "scopes": ["write"]});
    let fresh = platform.post("/api/v1/auth/api-keys", body).await.expect(201);
    let writer = platform.as_caller(fresh["token"].as_str().unwrap());
    let refused = writer.post("/api/v1/actions/apply", everything()).await.expect(400);
    assert_eq!(refused["error"], "this API key lacks the scope `deploy`");
    assert_eq!(platform.get("/api/tools").await.expect(200), json!([]));
}

async fn the_context_holds_everything_that_a_workspace_has(platform: Platform) {
    let empty = platform.get("/api/v1/context/export").await.expect(200);
    assert_eq!([&empty["namespace"], &empty["resources"]["tools"]], [&json!("default"), &json!([])]);
    platform.post("/api/v1/actions/apply", everything()).await.expect(200);
    let export = platform.get("/api/context/export").await.expect(200);
    let counts = |kind: &str| export["meta"][format!("{kind}_count")].as_u64().unwrap();
    assert_eq!(
        ["agents", "tools", "model_providers", "identity_providers", "approval_connectors", "deploy_drafts"]
            .map(counts),
        [1, 2, 2, 0, 0, 1],
        "{export}"
    );
    assert!(counts("policies") >= 1);
    let ask = json!({"subject": "seller", "tool_id": "crm"});
    let asked = platform.post("/governance/requests", ask).await.expect(201);
    let after = platform.get("/api/context/export").await.expect(200);
    assert_eq!(after["resources"]["approvals"], json!([asked]));
    let name = |kind: &str| export["resources"][kind][0]["name"].clone();
    assert_eq!(["agents", "policies", "deploy_drafts"].map(name), [json!("seller"), json!("reads"), json!(null)]);
    assert_eq!(export["resources"]["deploy_drafts"][0]["id"], "draft-1");
    assert_eq!(platform.get("/api/v1/agents").await.expect(200), export["resources"]["agents"]);
}
