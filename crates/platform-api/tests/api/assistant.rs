//! What the platform itself asks a model: at the workspace's provider, within a budget, on its bill and in its audit log.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Platform, Reply, on_both_engines};

on_both_engines!(
    a_text_that_is_no_plain_sentence_is_read_by_the_workspaces_model,
    what_a_model_says_goes_through_the_door_of_all_rules,
    nobody_is_asked_who_is_not_the_workspaces_or_has_no_key,
    nothing_is_asked_beyond_the_budget,
    an_analysis_is_enriched_by_the_model_of_whoever_asked_for_it,
);

/// A provider that says what it is told to say, and keeps what it was asked, with the key that it was shown.
#[derive(Clone)]
struct Model {
    address: String,
    says: Arc<Mutex<Value>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Model {
    async fn start() -> Model {
        let (says, asked) = (Arc::new(Mutex::new(json!({}))), Arc::new(Mutex::new(Vec::new())));
        let (answer, seen) = (Arc::clone(&says), Arc::clone(&asked));
        let router = axum::Router::new().fallback(async move |headers: axum::http::HeaderMap, body: String| {
            let shown = ["authorization", "x-api-key"].iter().find_map(|name| headers.get(*name));
            let shown = shown.map_or("", |value| value.to_str().unwrap()).to_string();
            let body: Value = serde_json::from_str(&body).unwrap();
            let content = match &*answer.lock().unwrap() {
                Value::String(text) => text.clone(),
                object => object.to_string(),
            };
            let is_messages = body.get("system").is_some();
            seen.lock().unwrap().push((shown, body));
            axum::Json(match is_messages {
                true => json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                    "content": [{"type": "text", "text": content}], "stop_reason": "end_turn",
                    "usage": {"input_tokens": 1_000, "output_tokens": 500}}),
                false => json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
                    "choices": [{"index": 0, "finish_reason": "stop",
                        "message": {"role": "assistant", "content": content}}],
                    "usage": {"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500}}),
            })
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Model { address, says, asked }
    }

    fn says(&self, answer: Value) {
        *self.says.lock().unwrap() = answer;
    }

    fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// As it is registered in a workspace.
    async fn register(&self, platform: &Platform, workspace: &str, more: Value) {
        let mut body = json!({"name": "main", "provider": "openai", "endpoint": self.address,
            "models": ["gpt-4o-mini"], "credentials": {"api_key": format!("the-key-of-{workspace}")}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        platform.post(&format!("/api/v1/workspaces/{workspace}/model-providers"), body).await.expect(201);
    }
}

async fn with_stripe(platform: &Platform, workspace: &str) {
    let tool = json!({"name": "stripe-api", "base_url": "https://api.stripe.com"});
    platform.post(&format!("/api/v1/workspaces/{workspace}/tools"), tool).await.expect(201);
}

async fn translate(platform: &Platform, workspace: &str) -> Reply {
    let text = json!({"text": "Let it look at small charges, but nothing else"});
    platform.post(&format!("/api/v1/workspaces/{workspace}/policies/translate"), text).await
}

/// Who had which model asked, and what became of it.
async fn audited(platform: &Platform, workspace: &str) -> Vec<Value> {
    let mut tx = platform.app.store().read().await.unwrap();
    let changes = tx.changes(workspace, 100).await.unwrap();
    let asked = changes.into_iter().filter(|change| change.action == "model.ask");
    let line = |change: platform_api::store::Change| json!([change.actor, change.resource, change.after.unwrap()]);
    asked.map(line).collect()
}

/// What the platform's own questions cost a workspace this month: model, provider, dollars, budget, status.
async fn spent(platform: &Platform, workspace: &str) -> Value {
    let page = platform.get(&format!("/api/v1/workspaces/{workspace}/model-spend")).await.expect(200);
    let own = page["top_models"].as_array().unwrap().iter().find(|item| item["agent_name"] == "(platform)").cloned();
    own.map_or(Value::Null, |own| {
        json!([
            own["model"],
            own["model_provider"],
            own["estimated_spend_usd"],
            own["monthly_budget_usd"],
            own["status"]
        ])
    })
}

fn charges() -> Value {
    json!([{"permission": "allow", "resource": "https://api.stripe.com/v1/charges*", "operations": ["GET"]}])
}

async fn a_text_that_is_no_plain_sentence_is_read_by_the_workspaces_model(platform: Platform) {
    let model = Model::start().await;
    with_stripe(&platform, "default").await;
    model.register(&platform, "default", json!({})).await;
    model.says(json!({"rules": charges()}));
    let translated = translate(&platform, "default").await;
    assert_eq!(translated.expect(200), json!({"rules": charges(), "source": "llm"}));
    {
        let asked = model.asked.lock().unwrap();
        let [(shown, body)] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!((shown.as_str(), &body["model"]), ("Bearer the-key-of-default", &json!("gpt-4o-mini")));
        let data = body["messages"][1]["content"].as_str().unwrap();
        assert!(data.contains("small charges") && data.contains("https://api.stripe.com"), "{data}");
    }
    // A thousand tokens in and five hundred out, by the price of the model.
    let dollars = (1_000.0 * 0.15 + 500.0 * 0.6) / 1e6;
    assert_eq!(spent(&platform, "default").await, json!(["gpt-4o-mini", "main", dollars, 10.0, "Active"]));
    let answered = json!({"for": "policies/translate", "outcome": "answered"});
    assert_eq!(audited(&platform, "default").await, [json!(["key-preset", "models/gpt-4o-mini", answered])]);

    // What the grammar reads costs nothing.
    let plain = json!({"text": "allow reads on stripe-api"});
    assert_eq!(platform.post("/api/v1/policies/translate", plain).await.expect(200)["source"], "sentence");
    assert_eq!(model.times_asked(), 1);

    // A provider of another kind is asked in its own words.
    let claude = json!({"provider": "anthropic", "models": ["claude-sonnet-4-5"], "auth": {"type": "APIKey",
        "apiKeyConfig": {"in": "Header", "name": "x-api-key", "valuePrefix": ""}}});
    model.register(&platform, "default", claude).await;
    let platform = platform.with(|config| config.assistant.model = "claude-sonnet-4-5".into()).await;
    assert_eq!(translate(&platform, "default").await.expect(200)["rules"], charges());
    assert_eq!(model.asked.lock().unwrap()[1].0, "the-key-of-default");
}

async fn what_a_model_says_goes_through_the_door_of_all_rules(platform: Platform) {
    let model = Model::start().await;
    with_stripe(&platform, "default").await;
    model.register(&platform, "default", json!({})).await;
    for (says, why) in [
        (json!({"rules": [{"permission": "allow"}]}), "it would allow every call of every tool"),
        (json!("I would rather not."), "was not the JSON that it was asked for"),
        (json!({"rules": []}), "and the model found no rule in it"),
    ] {
        model.says(says);
        let refused = translate(&platform, "default").await;
        assert_eq!(refused.expect(400)["errors"][0]["pointer"], "/text");
        assert!(refused.refused(400).contains(why), "{}", refused.text());
    }
}

async fn nobody_is_asked_who_is_not_the_workspaces_or_has_no_key(platform: Platform) {
    let model = Model::start().await;
    model.says(json!({"rules": charges()}));
    model.register(&platform, "other", json!({})).await;
    for workspace in ["default", "other"] {
        with_stripe(&platform, workspace).await;
    }
    let plain = "\"Let\" is not understood here; write sentences such as: allow reads";
    assert!(translate(&platform, "default").await.refused(400).starts_with(plain));
    // The starter kit's provider has no key until somebody brings one.
    platform.post("/api/starter-kit", json!({})).await.expect(200);
    model.register(&platform, "default", json!({"credentials": null})).await;
    assert!(translate(&platform, "default").await.refused(400).starts_with(plain));
    // Whoever may only look spends nothing.
    let key = json!({"name": "k", "scopes": ["read"]});
    let key = platform.post("/api/v1/workspaces/other/auth/api-keys", key).await.expect(201);
    let reader = platform.as_caller(key["token"].as_str().unwrap());
    assert!(translate(&reader, "other").await.refused(400).starts_with(plain));
    assert_eq!((model.times_asked(), audited(&platform, "default").await), (0, Vec::new()));
    translate(&platform, "other").await.expect(200);
    assert_eq!(model.asked.lock().unwrap()[0].0, "Bearer the-key-of-other");
    assert_eq!(spent(&platform, "default").await, Value::Null);
}

async fn nothing_is_asked_beyond_the_budget(platform: Platform) {
    let model = Model::start().await;
    model.says(json!({"rules": charges()}));
    let poor = platform.clone().with(|config| config.assistant.monthly_budget_usd = 0.000_001).await;
    with_stripe(&poor, "default").await;
    model.register(&poor, "default", json!({})).await;
    let refused = translate(&poor, "default").await.refused(400);
    assert!(refused.contains("the monthly budget") && refused.contains("is used up"), "{refused}");
    let noted = &audited(&poor, "default").await[0][2]["outcome"];
    assert!(noted.as_str().unwrap().contains("is used up"), "{noted}");
    for nothing in [0.0, -1.0] {
        let none = platform.clone().with(|config| config.assistant.monthly_budget_usd = nothing).await;
        assert!(translate(&none, "default").await.refused(400).contains("not understood here; write"));
    }
    let off = platform.clone().with(|config| config.assistant.model = String::new()).await;
    assert!(translate(&off, "default").await.refused(400).contains("not understood here; write"));
    assert_eq!(model.times_asked(), 0);
    translate(&platform, "default").await.expect(200);
}

async fn an_analysis_is_enriched_by_the_model_of_whoever_asked_for_it(platform: Platform) {
    let model = Model::start().await;
    model.register(&platform, "default", json!({})).await;
    model.says(json!({"system_prompt": "Be kind.", "tools": []}));
    let files = json!({"files": {"agent.py": "import requests\nrequests.get('https://api.github.com/user')\n"}});
    let analyze = async |platform: &Platform, workspace: &str| {
        platform.post(&format!("/api/v1/workspaces/{workspace}/analyze"), files.clone()).await.expect(201)
    };
    // Off, nothing is sent to anyone.
    assert_eq!(analyze(&platform, "default").await["system_prompt_suggestion"], "");
    assert_eq!(model.times_asked(), 0);

    let platform = platform.with(|config| config.enrichment.enabled = true).await;
    let enriched = analyze(&platform, "default").await;
    assert_eq!(enriched["system_prompt_suggestion"], "Be kind.");
    assert_eq!(enriched["tools"][0]["name"], "github-api");
    // Once for each content; and another workspace has a model of its own, or none.
    assert_eq!(analyze(&platform, "default").await, enriched);
    assert_eq!(model.times_asked(), 1);
    let bare = analyze(&platform, "other").await;
    assert_eq!(bare["system_prompt_suggestion"], "");
    let note = &bare["notes"][0];
    let text = "no model provider with credentials serves the model that is to be asked";
    assert!(note["code"] == "enrichment" && note["message"].as_str().unwrap().starts_with(text), "{bare}");
    model.register(&platform, "other", json!({})).await;
    platform.world.advance(std::time::Duration::from_secs(31));
    assert_eq!(analyze(&platform, "other").await["system_prompt_suggestion"], "Be kind.");
    assert_eq!(model.asked.lock().unwrap()[1].0, "Bearer the-key-of-other");
    let answered = json!({"for": "enrichment", "outcome": "answered"});
    for workspace in ["default", "other"] {
        assert_eq!(spent(&platform, workspace).await[0], "gpt-4o-mini");
        let audited = audited(&platform, workspace).await;
        assert_eq!(audited, [json!(["platform", "models/gpt-4o-mini", answered])]);
    }
}
