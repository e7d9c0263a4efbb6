//! Deploy: both dialects, the plan behind them, the policies that come with it.

use std::collections::BTreeMap;

use platform_api::agents::{AgentRecord, AgentStatus, Phase};
use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    each_dialect_is_answered_in_its_own_words,
    what_a_deploy_needs_is_said_in_the_documents_words,
    the_preview_says_what_the_deploy_does,
    the_request_wins_over_the_code_and_the_difference_is_said,
    only_open_tools_come_with_policies_of_their_own,
    who_may_deploy_may_not_decide_what_is_allowed,
    a_new_name_for_a_guarded_host_opens_nothing,
    a_decision_holds_as_long_as_the_code_asks_for_the_same,
    deploying_anew_changes_only_what_the_deploy_made,
    an_agent_that_is_deleted_takes_its_policies_along,
    values_that_may_be_secret_are_masked_everywhere,
    a_workspace_may_refuse_secrets,
    drafts_have_versions_and_owners,
    a_draft_becomes_an_agent,
    the_configuration_can_be_changed_in_part,
    builds_are_known_by_id_and_their_image_by_content,
);

const AGENT: &str = "import os, requests, openai\n\nclient = openai.OpenAI()\n\ndef run():\n    requests.get(\"https://api.stripe.com/v1/charges\")\n    requests.post(f\"https://api.stripe.com/v1/refunds\")\n    return client.chat.completions.create(model=\"gpt-4o-mini\", messages=[{\"role\": \"system\", \"content\": \"Be kind.\"}])\n\nif __name__ == \"__main__\":\n    run()\n";

fn payment_agent() -> Value {
    json!({
        "agent_name": "payment-agent",
        "source_files": {"agent.py": AGENT},
        "tools_to_create": [{"name": "stripe-api", "base_url": "https://api.stripe.com", "auth_type": "APIKey"}],
        "required_tools": ["stripe-api"],
        "llm_configs": [{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}],
    })
}

fn tool(name: &str, mode: &str) -> Value {
    json!({"name": name, "base_url": "https://api.stripe.com", "governance": {"accessControl": {"mode": mode}}})
}

async fn each_dialect_is_answered_in_its_own_words(platform: Platform) {
    let answer = platform.post("/api/deploy", payment_agent()).await.expect(201);
    assert_eq!(answer["agent"], "payment-agent");
    assert_eq!([&answer["namespace"], &answer["status"]], ["agent-system", "created"]);
    assert_eq!(answer["tools_created"], json!(["stripe-api"]));
    assert_eq!(answer["policies_created"], json!(["payment-agent-stripe-api-auto"]));
    assert!(answer["build_id"].as_str().unwrap().starts_with("build-"));
    let image = answer["image_uri"].as_str().unwrap();
    assert!(image.starts_with("registry.runagents.io/payment-agent:"), "{image}");
    let again = platform.post("/api/v1/deploy", payment_agent()).await.expect(201);
    assert_eq!([&again["status"], &again["image_uri"]], ["updated", image]);
    assert_eq!(again["tools_created"], json!([]));

    let quickstart = json!({"name": "hello-world", "files": {"agent.py": "print(1)\n"}, "required_tools": ["stripe-api"],
        "llm_configs": [{"role": "default", "provider": "openai", "model": "gpt-4o-mini"}], "identity_provider": null});
    let answer = platform.post("/api/deploy", quickstart).await.expect(200);
    assert_eq!(answer["status"], "ok");
    assert_eq!(answer["agent"], json!({"name": "hello-world", "namespace": "default", "status": "Pending"}));
    assert_eq!(answer["policies_created"], json!(["hello-world-stripe-api-auto"]));

    let list = platform.get("/api/agents").await.expect(200);
    assert_eq!([&list[0]["status"], &list[1]["status"]["phase"]], ["Pending", "Pending"]);
    assert_eq!(list[0]["llm_model"], "gpt-4o-mini");
    let agent = platform.get("/api/agents/agent-system/payment-agent").await.expect(200);
    assert_eq!(agent["spec"]["requiredTools"], json!([{"name": "stripe-api"}]));
    assert_eq!(agent["spec"]["llmConfig"], json!({"provider": "openai", "model": "gpt-4o-mini"}));
    assert_eq!(agent["spec"]["systemPrompt"], "Be kind.");
    let env: BTreeMap<&str, &str> = agent["spec"]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair["name"].as_str().unwrap(), pair["value"].as_str().unwrap()))
        .collect();
    assert_eq!((env["LLM_MODEL"], env["LLM_PROVIDER"], env["PORT"]), ("gpt-4o-mini", "openai", "8080"));
    assert_eq!(env["TOOL_URL_STRIPE_API"], env["TOOL_STRIPE_API_URL"]);
    let lost = platform.get("/api/agents/default/payment-agent").await.refused(404);
    assert_eq!(lost, "agent default/payment-agent not found");
    assert_eq!(platform.get("/api/v1/agents/none").await.refused(404), "agent none not found");
    assert_eq!(platform.get("/api/agents/none").await.refused(400), "path must be /api/agents/{namespace}/{name}");
    let refused = platform.post("/api/agents/default/hello-world/invoke", json!({})).await.refused(502);
    assert!(refused.starts_with("failed to reach agent: "), "{refused}");
}

async fn what_a_deploy_needs_is_said_in_the_documents_words(platform: Platform) {
    let cases = [
        (json!({}), "agent_name is required"),
        (json!({"agent_name": "a"}), "either image or source_files is required"),
        (
            json!({"agent_name": "a", "image": "i", "tools_to_create": [{"name": "t"}]}),
            "tool name and base_url are required",
        ),
        (
            json!({"agent_name": "a", "image": "i", "llm_configs": [{"provider": "openai"}]}),
            "llm config model is required",
        ),
        (json!({"agent_name": "a", "image": "i", "policies": ["none"]}), "policy \"none\" not found"),
    ];
    for (body, text) in cases {
        assert_eq!(platform.post("/api/deploy", body.clone()).await.refused(400), text);
    }
    let wrong = json!({"agent_name": "My Agent", "image": "i"});
    assert_eq!(platform.post("/api/deploy", wrong).await.expect(400)["errors"][0]["pointer"], "/agent_name");
    assert_eq!(platform.get("/api/agents").await.expect(200), json!([]));
    assert_eq!(platform.get("/api/tools").await.expect(200), json!([]));
    let image =
        json!({"agent_name": "my-agent", "image": "myregistry.io/my-agent:v1.2.0", "required_tools": ["vector-db"]});
    let answer = platform.post("/api/deploy", image).await.expect(201);
    assert!(answer.get("build_id").is_none() && answer.get("image_uri").is_none(), "{answer}");
    let agent = platform.get("/api/v1/agents/my-agent").await.expect(200);
    assert!(agent["status"]["message"].as_str().unwrap().contains("\"vector-db\" is not registered"), "{agent}");
}

async fn the_preview_says_what_the_deploy_does(platform: Platform) {
    let preview = platform.post("/api/v1/deploy/preview", payment_agent()).await.expect(200);
    assert_eq!(platform.get("/api/tools").await.expect(200), json!([]));
    let plan = &preview["plan"];
    assert_eq!(preview["user_state"], "preparing_runtime");
    assert_eq!([&plan["entry_point"], &plan["runtime_family"]], ["agent.py", "python"]);
    assert_eq!(
        plan["tools"],
        json!([{"detected": "stripe-api", "file": "agent.py", "line": 6, "tool": "stripe-api",
        "matched_by": "name"}])
    );
    assert_eq!(plan["requirements"], json!(["openai>=1.0", "requests"]));
    let rules = json!([
        {"permission": "allow", "resource": "https://api.stripe.com/v1/charges", "operations": ["GET"]},
        {"permission": "allow", "resource": "https://api.stripe.com/v1/refunds", "operations": ["POST"]},
    ]);
    assert_eq!(plan["policies"][0]["spec"]["policies"], rules);
    assert_eq!(plan["policies"][0]["evidence"][0]["calls"][0]["line"], 6);
    assert!(plan["dockerfile"].as_str().unwrap().starts_with("FROM python:3.11-slim\nWORKDIR /app\n"));

    let answer = platform.post("/api/v1/deploy", payment_agent()).await.expect(201);
    assert_eq!(answer["image_uri"], plan["image"]);
    let mut tx = platform.app.store().read().await.unwrap();
    let policy = tx.get::<platform_api::policies::PolicyRecord>("default", "payment-agent-stripe-api-auto").await;
    assert_eq!(json!(policy.unwrap().unwrap().value.spec.policies), rules);
}

async fn the_request_wins_over_the_code_and_the_difference_is_said(platform: Platform) {
    let mut request = payment_agent();
    request["entry_point"] = json!("main.py");
    request["requirements"] = json!("openai>=1.0\n# the rest comes with the image\n");
    request["required_tools"] = json!([]);
    let answer = platform.post("/api/deploy", request).await.expect(201);
    let warnings = answer["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        warnings,
        [
            "entry_point is \"main.py\" as requested; the code says \"agent.py\"",
            "the code imports requests but requirements do not name it",
            "the code calls \"stripe-api\" (agent.py:6), which is not among required_tools; its calls will be denied",
        ]
    );
    assert!(answer["missing"][0].as_str().unwrap().starts_with("no submitted file is called \"main.py\""));
    assert_eq!(answer["policies_created"], json!([]));
}

async fn only_open_tools_come_with_policies_of_their_own(platform: Platform) {
    for mode in ["Restricted", "Critical"] {
        platform.post("/api/tools", tool("stripe-api", mode)).await.expect(201);
        let mut request = payment_agent();
        request["tools_to_create"] = json!([]);
        let answer = platform.post("/api/deploy", request.clone()).await.expect(201);
        assert_eq!(answer["policies_created"], json!([]), "{mode}");
        let suggested = &answer["policies_suggested"][0];
        assert_eq!(suggested["name"], "payment-agent-stripe-api-auto");
        assert!(answer["missing"].to_string().contains("is not open to everyone"), "{answer}");
        assert_eq!(platform.get("/api/v1/agents/payment-agent/config").await.expect(200)["policies"], json!([]));
        // Naming it decides.
        request["policies"] = json!(["payment-agent-stripe-api-auto"]);
        let answer = platform.post("/api/deploy", request).await.expect(201);
        assert_eq!(answer["policies_created"], json!(["payment-agent-stripe-api-auto"]));
        assert_eq!(answer["policies_suggested"], json!([]));
        platform.delete("/api/v1/agents/payment-agent").await.expect(200);
    }
    let mut grave = tool("stripe-api", "Critical");
    grave["riskTags"] = json!(["financial"]);
    platform.post("/api/tools", grave).await.expect(201);
    let mut request = payment_agent();
    request["tools_to_create"] = json!([]);
    let answer = platform.post("/api/deploy", request).await.expect(201);
    let rules = &answer["policies_suggested"][0]["spec"]["policies"];
    assert!(rules.as_array().unwrap().iter().all(|rule| rule["permission"] == "approval_required"), "{rules}");
}

async fn who_may_deploy_may_not_decide_what_is_allowed(platform: Platform) {
    platform.post("/api/tools", tool("stripe-api", "Restricted")).await.expect(201);
    let key = json!({"name": "ci", "scopes": ["deploy"]});
    let key = platform.post("/api/v1/auth/api-keys", key).await.expect(201)["token"].as_str().unwrap().to_string();
    let deployer = platform.as_caller(&key);
    let mut request = payment_agent();
    request["tools_to_create"] = json!([]);
    deployer.post("/api/deploy", request.clone()).await.expect(201);
    let names = json!(["payment-agent-stripe-api-auto"]);
    request["policies"] = names.clone();
    assert_eq!(deployer.post("/api/deploy", request).await.refused(403), "this API key lacks the scope `write`");
    let config = Some(json!({"policies": names}));
    deployer.call("PUT", "/api/v1/agents/payment-agent/config", config).await.refused(403);
    assert_eq!(deployer.get("/api/v1/agents/payment-agent/config").await.expect(200)["policies"], json!([]));
}

async fn a_new_name_for_a_guarded_host_opens_nothing(platform: Platform) {
    platform.post("/api/tools", tool("stripe-api", "Critical")).await.expect(201);
    let mut request = payment_agent();
    request["tools_to_create"] = json!([{"name": "payments", "base_url": "https://API.stripe.com"}]);
    request["required_tools"] = json!(["payments"]);
    for created in [json!(["payments"]), json!([])] {
        let answer = platform.post("/api/deploy", request.clone()).await.expect(201);
        assert_eq!((&answer["tools_created"], &answer["policies_created"]), (&created, &json!([])));
        assert_eq!(answer["policies_suggested"][0]["name"], "payment-agent-payments-auto");
    }
}

async fn a_decision_holds_as_long_as_the_code_asks_for_the_same(platform: Platform) {
    platform.post("/api/tools", tool("stripe-api", "Restricted")).await.expect(201);
    let mut request = payment_agent();
    request["tools_to_create"] = json!([]);
    request["policies"] = json!(["payment-agent-stripe-api-auto"]);
    platform.post("/api/deploy", request.clone()).await.expect(201);
    request["policies"] = json!([]);
    let same = platform.post("/api/deploy", request.clone()).await.expect(201);
    assert_eq!(same["policies_suggested"], json!([]));
    // More than was decided: what was decided stays, and what is new is proposed.
    request["source_files"]["agent.py"] = json!(AGENT.replace("requests.post(", "requests.delete("));
    let more = platform.post("/api/deploy", request).await.expect(201);
    assert_eq!(more["policies_created"], json!([]));
    assert!(more["policies_suggested"].to_string().contains("DELETE"), "{more}");
    let mut tx = platform.app.store().read().await.unwrap();
    let kept = tx.get::<platform_api::policies::PolicyRecord>("default", "payment-agent-stripe-api-auto").await;
    assert!(!json!(kept.unwrap().unwrap().value).to_string().contains("DELETE"));
}

async fn deploying_anew_changes_only_what_the_deploy_made(platform: Platform) {
    platform.post("/api/deploy", payment_agent()).await.expect(201);
    let mut without = payment_agent();
    without["required_tools"] = json!([]);
    platform.post("/api/deploy", without).await.expect(201);
    let mut tx = platform.app.store().read().await.unwrap();
    let policies = tx.list::<platform_api::policies::PolicyRecord>("default").await.unwrap();
    assert_eq!(policies.len(), 0);
    assert_eq!(tx.list::<platform_api::policies::Binding>("default").await.unwrap().len(), 0);
}

async fn an_agent_that_is_deleted_takes_its_policies_along(platform: Platform) {
    let build =
        platform.post("/api/deploy", payment_agent()).await.expect(201)["build_id"].as_str().unwrap().to_string();
    platform.post("/api/deploy", payment_agent()).await.expect(201);
    assert_eq!(
        platform.delete("/api/agents/agent-system/payment-agent").await.expect(200),
        json!({"status": "deleted"})
    );
    platform.get("/api/v1/agents/payment-agent").await.refused(404);
    let mut tx = platform.app.store().read().await.unwrap();
    assert_eq!(tx.list::<platform_api::policies::PolicyRecord>("default").await.unwrap().len(), 0);
    for name in ["payment-agent", &build] {
        let source: Option<BTreeMap<String, String>> = tx.unseal("default", "source", name).await.unwrap();
        assert_eq!(source, None);
    }
    platform.get("/api/tools/stripe-api").await.expect(200);
}

async fn values_that_may_be_secret_are_masked_everywhere(platform: Platform) {
    let mut request = payment_agent();
    let secret = "a-value-that-nobody-may-see";
    request["env"] = json!([{"name": "CRM_PASSWORD", "value": secret}, {"name": "REGION", "value": "eu-west-1"}]);
    platform.post("/api/deploy", request.clone()).await.expect(201);
    let agent = platform.get("/api/v1/agents/payment-agent").await;
    assert!(
        agent.text().contains("CRM_PASSWORD") && agent.text().contains("eu-west-1") && !agent.text().contains(secret)
    );
    let preview = platform.post("/api/v1/deploy/preview", request).await;
    assert!(!preview.text().contains(secret));
    let mut tx = platform.app.store().read().await.unwrap();
    let changes = tx.changes("default", 100).await.unwrap();
    assert!(changes.len() >= 2 && !format!("{changes:?}").contains(secret));
    let sealed: BTreeMap<String, String> = tx.unseal("default", "environment", "payment-agent").await.unwrap().unwrap();
    assert_eq!(sealed["CRM_PASSWORD"], secret);
}

async fn a_workspace_may_refuse_secrets(platform: Platform) {
    let key = format!("sk_live_{}", "4eC39HqLyjWDarjtT1zdp7dcx0Q2");
    let mut request = payment_agent();
    request["source_files"]["agent.py"] = json!(format!("import stripe\nstripe.api_key = \"{key}\"\n{AGENT}"));
    let answer = platform.post("/api/deploy", request.clone()).await.expect(201);
    assert!(answer["warnings"].to_string().contains("1 credential of high severity"), "{answer}");
    platform.call("PUT", "/api/v1/settings/deploy", Some(json!({"refuse_secrets": true}))).await.expect(200);
    let refused = platform.post("/api/deploy", request).await;
    assert_eq!(refused.expect(400)["errors"][0]["pointer"], "/source_files/agent.py");
    assert!(refused.text().contains("line 2: ") && !refused.text().contains(&key[..16]), "{}", refused.text());
}

async fn drafts_have_versions_and_owners(platform: Platform) {
    let draft = platform.post("/api/v1/deploy-drafts", json!({"step": "source"})).await.expect(201);
    assert_eq!((&draft["status"], &draft["version"]), (&json!("IN_PROGRESS"), &json!(1)));
    let path = format!("/api/v1/deploy-drafts/{}", draft["id"].as_str().unwrap());
    let change = json!({"expected_version": 1, "agent_config": {"agent_name": "a"}, "tool_states": {"x": "y"}});
    let changed = platform.call("PATCH", &path, Some(change.clone())).await.expect(200);
    assert_eq!((&changed["step"], &changed["version"]), (&json!("source"), &json!(2)));
    let conflict = platform.call("PATCH", &path, Some(change)).await.refused(409);
    assert!(conflict.starts_with("the draft is at version 2, not 1"), "{conflict}");
    let wrong = platform.call("PATCH", &path, Some(json!({"agent_config": {"access_mode": "x"}}))).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/agent_config/access_mode");
    assert_eq!(platform.get("/api/v1/deploy-drafts").await.expect(200).as_array().unwrap().len(), 1);
    assert_eq!(platform.post(&format!("{path}/abandon"), json!({})).await.expect(200)["status"], "ABANDONED");
    assert_eq!(platform.get("/api/v1/deploy-drafts").await.expect(200), json!([]));
    assert_eq!(platform.get("/api/v1/deploy-drafts?status=ABANDONED").await.expect(200).as_array().unwrap().len(), 1);
    platform.get("/api/v1/deploy-drafts?status=WRONG").await.refused(400);
    assert_eq!(platform.call("PATCH", &path, Some(json!({}))).await.refused(409), "the draft is ABANDONED");
    platform.delete(&path).await.expect(200);
    platform.get(&path).await.refused(404);
}

async fn a_draft_becomes_an_agent(platform: Platform) {
    let files = json!({"source_type": "code", "source_files": {"agent.py": AGENT}});
    let artifact = platform.post("/api/v1/workflow-artifacts", files).await.expect(201);
    platform.post("/api/tools", tool("stripe-api", "Open")).await.expect(201);
    let draft = json!({"id": "my-draft", "artifact_id": artifact["id"], "required_tool_names": ["stripe-api"],
        "agent_config": {"agent_name": "payment-agent", "system_prompt": "Pay."},
        "model_mappings": {"chat": {"provider": "openai", "model": "gpt-4o-mini"}}});
    platform.post("/api/v1/deploy-drafts", draft).await.expect(201);
    let answer = platform.post("/api/v1/deploy", json!({"draft_id": "my-draft"})).await.expect(201);
    assert_eq!(answer["policies_created"], json!(["payment-agent-stripe-api-auto"]));
    let agent = platform.get("/api/v1/agents/payment-agent").await.expect(200);
    assert_eq!([&agent["system_prompt"], &agent["llm_model"]], ["Pay.", "gpt-4o-mini"]);
    assert_eq!(platform.get("/api/v1/deploy-drafts/my-draft").await.expect(200)["status"], "COMPLETED");
    let lost =
        platform.post("/api/v1/deploy", json!({"agent_name": "a", "artifact_id": "art_none"})).await.refused(404);
    assert_eq!(lost, "artifact \"art_none\" not found");
}

async fn the_configuration_can_be_changed_in_part(platform: Platform) {
    platform.post("/api/deploy", payment_agent()).await.expect(201);
    let config = platform.get("/api/v1/agents/payment-agent/config").await.expect(200);
    assert_eq!(config["policies"], json!(["payment-agent-stripe-api-auto"]));
    assert_eq!(config["model_usage"][0]["status"], "Uncapped");
    let change =
        json!({"system_prompt": "New.", "llm_configs": [{"provider": "openai", "model": "gpt-4o"}], "policies": []});
    let config = platform.call("PUT", "/api/v1/agents/payment-agent/config", Some(change)).await.expect(200);
    assert_eq!((&config["system_prompt"], &config["policies"]), (&json!("New."), &json!([])));
    assert_eq!(config["required_tools"], json!(["stripe-api"]));
    let agent = platform.get("/api/v1/agents/payment-agent").await.expect(200);
    assert!(agent["spec"]["env"].to_string().contains("\"gpt-4o\""));
    platform.call("PUT", "/api/v1/agents/none/config", Some(json!({}))).await.refused(404);
}

async fn builds_are_known_by_id_and_their_image_by_content(platform: Platform) {
    let request = json!({"name": "a", "files": {"agent.py": AGENT}});
    let build = platform.post("/api/builds", request.clone()).await.expect(202);
    assert_eq!(build["status"], "PENDING");
    let again = platform.post("/api/v1/builds", request).await.expect(202);
    assert_eq!(build["image"], again["image"]);
    let read = platform.get(&format!("/api/builds/{}", build["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(read["image"], build["image"]);
    assert!(read.get("completed_at").is_none());
    assert_eq!(platform.get("/api/builds/build-none").await.refused(404), "build not found");
    assert_eq!(platform.post("/api/builds", json!({"name": "a"})).await.refused(400), "files is required");
}

#[tokio::test]
async fn an_agent_that_ran_is_not_said_to_run_by_a_platform_that_runs_nothing() {
    let platform = Platform::on_sqlite().await;
    let files = json!({"agent.py": "def handler(request):\n    return 1\n"});
    platform.post("/api/deploy", json!({"name": "hello-world", "files": files})).await.expect(200);
    let mut tx = platform.app.store().begin().await.unwrap();
    let mut agent = tx.get::<AgentRecord>("default", "hello-world").await.unwrap().unwrap().value;
    agent.status = AgentStatus { phase: Phase::Running, message: String::new(), isolation: Some("netns".into()) };
    tx.put("default", &agent, platform.world.now()).await.unwrap();
    tx.commit().await.unwrap();

    platform_api::running::recover(&platform.app).await.unwrap();
    let status = platform.get("/api/v1/agents/hello-world").await.expect(200)["status"].clone();
    assert_eq!(status["phase"], "Pending");
    assert!(status["message"].as_str().unwrap().contains("without a runner"), "{status}");
}
