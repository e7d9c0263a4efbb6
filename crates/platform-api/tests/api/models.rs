//! Model providers: two spellings in, one out, credentials never back; what models cost.

use platform_api::store::SpendRow;
use platform_api::time::month_of;
use serde_json::json;

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    every_spelling_of_a_model_provider_is_understood,
    everything_that_is_wrong_with_a_provider_is_said_with_its_place,
    credentials_of_a_provider_are_kept_and_never_given_back,
    a_provider_that_is_gone_is_not_found,
    what_models_cost_is_zero_before_anybody_asks_and_counted_after,
);

async fn every_spelling_of_a_model_provider_is_understood(platform: Platform) {
    let endpoint = "https://api.openai.com";
    let spellings = [
        json!({"name": "nested", "spec": {"provider": "openai", "endpoint": endpoint, "models": ["gpt-4o"],
            "auth": {"type": "APIKey", "apiKeyConfig": {"in": "Header", "name": "Authorization", "valuePrefix": "Bearer ",
            "secretRef": {"name": "openai-key"}}}}}),
        json!({"name": "flat", "provider": "openai", "endpoint": endpoint, "models": ["gpt-4o"], "auth": {"type": "apikey"}}),
        json!({"name": "bare", "provider": "OpenAI", "endpoint": endpoint, "models": ["gpt-4o"]}),
    ];
    for spelling in spellings {
        let provider = platform.post("/api/model-providers", spelling.clone()).await.expect(201);
        assert_eq!(provider["spec"]["provider"], "openai", "{spelling}");
        assert_eq!(provider["spec"]["auth"]["type"], "APIKey", "{spelling}");
        assert_eq!(provider["spec"]["auth"]["apiKeyConfig"]["valuePrefix"], "Bearer ", "{spelling}");
        assert_eq!(provider["status"], json!({"phase": "Pending", "message": ""}));
        assert_eq!(provider["namespace"], "agent-system");
        let flat = [&provider["provider"], &provider["endpoint"], &provider["models"][0]];
        assert_eq!(flat, ["openai", endpoint, "gpt-4o"]);
    }
    let claude = json!({"name": "claude", "spec": {"provider": "anthropic", "endpoint": "https://api.anthropic.com",
        "models": ["claude-sonnet-4-5"], "rateLimit": {"requestsPerMinute": 60}}});
    let claude = platform.post("/api/v1/model-providers", claude).await.expect(201);
    assert_eq!(claude["spec"]["auth"]["apiKeyConfig"]["name"], "x-api-key");
    assert_eq!(claude["spec"]["rateLimit"]["requestsPerMinute"], 60);
    let bedrock = json!({"name": "bedrock", "spec": {"provider": "bedrock",
        "endpoint": "https://bedrock-runtime.us-east-1.amazonaws.com", "models": ["anthropic.claude-3"],
        "auth": {"type": "AWSSignature", "awsConfig": {"region": "us-east-1", "credentialsSecretRef": {"name": "aws"}}}}});
    let bedrock = platform.post("/api/v1/model-providers", bedrock).await.expect(201);
    assert_eq!(bedrock["spec"]["auth"]["awsConfig"]["credentialsSecretRef"]["name"], "aws");
    let ollama =
        json!({"name": "local", "provider": "ollama", "endpoint": "http://127.0.0.1:11434", "models": ["llama3"]});
    let ollama = platform.post("/api/v1/model-providers", ollama).await.expect(201);
    assert_eq!(ollama["spec"]["auth"], json!({"type": "None"}));
    assert_eq!(platform.get("/api/v1/model-providers").await.expect(200).as_array().unwrap().len(), 6);
}

async fn everything_that_is_wrong_with_a_provider_is_said_with_its_place(platform: Platform) {
    let refused = async |body| platform.post("/api/model-providers", body).await.expect(400);
    let wrong = refused(json!({"name": "a", "spec": {"provider": "skynet", "endpoint": "api.io", "models": []}})).await;
    let pointers: Vec<_> = wrong["errors"].as_array().unwrap().iter().map(|error| error["pointer"].clone()).collect();
    assert_eq!(pointers, ["/spec/provider", "/spec/endpoint", "/spec/models"]);
    assert!(wrong["error"].as_str().unwrap().starts_with("\"skynet\" is no provider that this platform can ask"));
    let wrong = refused(json!({"name": "a"})).await;
    assert_eq!(wrong["errors"].as_array().unwrap().len(), 3);
    assert_eq!(wrong["errors"][1], json!({"pointer": "/endpoint", "message": "endpoint is required"}));
    let wrong = refused(json!({"spec": {}})).await;
    assert_eq!(wrong["error"], "model provider name is required");
    let body = json!({"name": "a", "provider": "bedrock", "endpoint": "https://b.io", "models": ["m"]});
    assert_eq!(refused(body).await["errors"][0]["pointer"], "/auth/awsConfig/region");
    let body = json!({"name": "a", "provider": "openai", "endpoint": "https://me:hush@b.io", "models": ["m"]});
    let wrong = refused(body).await;
    assert!(!wrong.to_string().contains("hush"), "{wrong}");
}

async fn credentials_of_a_provider_are_kept_and_never_given_back(platform: Platform) {
    let secret = "sk_a-secret-of-the-tests";
    let body = json!({"name": "openai", "provider": "openai", "endpoint": "https://api.openai.com",
        "models": ["gpt-4o"], "credentials": {"api_key": secret}});
    let put = platform.post("/api/model-providers", body.clone()).await;
    let auth = &put.expect(201)["spec"]["auth"];
    assert_eq!(auth["apiKeyConfig"]["secretRef"]["name"], "openai-credentials");
    let answers = [
        put,
        platform.get("/api/model-providers").await,
        platform.get("/api/v1/model-providers/openai").await,
        platform.get("/api/v1/audit-log").await,
    ];
    assert!(answers.iter().all(|answer| answer.status.is_success() && !answer.text().contains(secret)));
    // Changing something else keeps them.
    let mut again = body;
    again.as_object_mut().unwrap().remove("credentials");
    platform.post("/api/model-providers", again).await.expect(201);
    let mut tx = platform.app.store().read().await.unwrap();
    let kept: Option<serde_json::Value> = tx.unseal("default", "model_provider", "openai").await.unwrap();
    assert_eq!(kept.unwrap()["api_key"], secret);
}

async fn a_provider_that_is_gone_is_not_found(platform: Platform) {
    let body = json!({"name": "a", "provider": "ollama", "endpoint": "http://a.io", "models": ["m"]});
    platform.post("/api/model-providers", body).await.expect(201);
    assert_eq!(platform.delete("/api/v1/model-providers/a").await.expect(200), json!({"status": "deleted"}));
    assert_eq!(platform.get("/api/model-providers/a").await.refused(404), "model provider \"a\" not found");
    assert_eq!(platform.delete("/api/model-providers/a").await.refused(404), "model provider \"a\" not found");
}

async fn what_models_cost_is_zero_before_anybody_asks_and_counted_after(platform: Platform) {
    let spend = platform.get("/api/v1/model-spend").await.expect(200);
    assert_eq!(spend["summary"]["total_estimated_spend_usd"], 0.0);
    assert_eq!(spend["summary"]["period_start"], "2026-02-01T00:00:00Z");
    assert_eq!([&spend["warnings"], &spend["top_models"]], [&json!([]), &json!([])]);

    let agent = json!({"agent_name": "billing", "image": "registry.acme.io/billing:1",
        "llm_configs": [{"provider": "openai", "model": "gpt-4o", "monthly_budget_usd": 1.0}]});
    platform.post("/api/v1/deploy", agent).await.expect(201);
    let month = month_of(platform.world.now()).0;
    let call = SpendRow {
        agent: "billing".into(),
        namespace: "agent-system".into(),
        role: "chat".into(),
        model_provider: "openai".into(),
        provider: "openai".into(),
        model: "gpt-4o".into(),
        input_tokens: 1_000,
        output_tokens: 100,
        micro_usd: 300_000,
    };
    let others = SpendRow { model: "o1".into(), ..call.clone() };
    let mut tx = platform.app.store().begin().await.unwrap();
    for call in [&call, &call, &call, &others] {
        tx.add_spend("default", month, call).await.unwrap();
    }
    // Last month's is last month's.
    tx.add_spend("default", month_of(month - 1).0, &call).await.unwrap();
    tx.commit().await.unwrap();

    let spend = platform.get("/api/model-spend").await.expect(200);
    assert_eq!(spend["summary"]["total_estimated_spend_usd"], 1.2);
    assert_eq!(spend["summary"]["uncapped_spend_usd"], 0.3);
    let top = &spend["top_models"][0];
    assert_eq!([&top["model"], &top["status"], &top["agent_name"]], ["gpt-4o", "Near budget", "billing"]);
    assert_eq!(spend["warnings"][0]["model"], "gpt-4o");
    let config = platform.get("/api/v1/agents/billing/config").await.expect(200);
    let usage = &config["model_usage"][0];
    assert_eq!([&usage["status"], &usage["label"]], ["Near budget", "gpt-4o (chat)"]);
    assert_eq!([&usage["estimated_spend_usd"], &config["model_usage"][1]["model"]], [&json!(0.9), &json!("o1")]);
    assert_eq!(platform.get("/api/v1/workspaces/other/model-spend").await.expect(200)["top_models"], json!([]));
}
