//! Usage, alerts, and versions: what the second system's surface tells of itself, counted in the store.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use platform_api::jobs;
use platform_api::store::SpendRow;
use platform_api::time::month_of;
use serde_json::{Value, json};

use crate::staged::{deploy, runs};
use crate::stub::Stub;
use crate::support::{Platform, on_both_engines};

on_both_engines!(
    what_was_used_is_what_the_store_counted,
    each_key_sees_what_it_asked_and_an_administrator_what_all_asked,
    an_alert_is_told_once_in_each_period,
    what_was_reached_at_the_end_of_a_period_is_told_after_it,
    what_cannot_be_an_alert_is_refused,
    a_version_that_is_replaced_says_so_with_each_answer,
);

/// 10:15:30 on the 23rd of February 2026 is when the clock of a test begins.
async fn spend(platform: &Platform, at: i64, agent: &str, tokens: (i64, i64), micro_usd: i64) {
    let row = SpendRow {
        agent: agent.into(),
        namespace: "default".into(),
        role: "chat".into(),
        model_provider: "playground-llm".into(),
        provider: "openai".into(),
        model: "gpt-4o-mini".into(),
        input_tokens: tokens.0,
        output_tokens: tokens.1,
        micro_usd,
    };
    let mut tx = platform.app.store().begin().await.unwrap();
    tx.add_spend("default", month_of(at).0, &row).await.unwrap();
    tx.commit().await.unwrap();
}

async fn what_was_used_is_what_the_store_counted(platform: Platform) {
    deploy(&platform, "support").await;
    let answer = async |body: axum::body::Bytes| match body.windows(4).any(|part| part == b"fail") {
        true => Err(axum::http::StatusCode::BAD_GATEWAY),
        false => Ok(r#"{"response": "done"}"#),
    };
    let platform = runs(&platform, "one", Router::new().route("/invoke", post(answer))).await;
    let now = platform.world.now();
    spend(&platform, now, "support", (100, 50), 1_250_000).await;
    spend(&platform, now, "looper", (7, 3), 500_000).await;
    spend(&platform, month_of(now).0 - 1, "support", (1, 1), 1).await;
    for query in ["one", "two", "fail"] {
        platform.post("/v1/agents/support/invoke", json!({"query": query})).await;
    }
    let usage = platform.get("/v1/usage").await.expect(200)["data"].clone();
    assert_eq!(usage["period"], "2026-02");
    assert_eq!([&usage["period_start"], &usage["period_end"]], ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]);
    let requests = json!({"used": 4, "limit": 1000, "remaining": 996, "resets_at": "2026-02-23T11:00:00Z", "total": 4});
    assert_eq!(usage["requests"], requests);
    assert_eq!(usage["tokens"], json!({"prompt_tokens": 107, "completion_tokens": 53, "total_tokens": 160}));
    assert_eq!(usage["estimated_usd"], 1.75);
    assert_eq!(usage["runs"], json!({"total": 3, "completed": 2, "failed": 1, "open": 0}));
    let names: Vec<&Value> = usage["agents"].as_array().unwrap().iter().map(|agent| &agent["agent_id"]).collect();
    assert_eq!(names, ["looper", "support"]);
    assert_eq!(
        (&usage["agents"][1]["tokens"]["total_tokens"], &usage["agents"][1]["runs"]["failed"]),
        (&json!(150), &json!(1))
    );

    let before = platform.get("/v1/usage?period=2026-01").await.expect(200)["data"].clone();
    assert_eq!((&before["tokens"]["total_tokens"], &before["requests"]["total"]), (&json!(2), &json!(0)));
    let refused = platform.get("/v1/usage?period=2025-12").await.expect(400);
    assert_eq!(refused["error"]["message"], "period must be 2026-02 or 2026-01");
    // An hour later the hour's count begins anew, and the month's goes on.
    platform.world.advance(Duration::from_secs(3_600));
    let usage = platform.get("/v1/usage").await.expect(200)["data"].clone();
    assert_eq!((&usage["requests"]["used"], &usage["requests"]["total"]), (&json!(1), &json!(7)));
    // Another workspace used nothing but this request.
    let other = platform.post("/api/v1/workspaces/other/auth/api-keys", json!({"name": "k"})).await.expect(201);
    let other = platform.as_caller(other["token"].as_str().unwrap());
    let usage = other.get("/v1/usage").await.expect(200)["data"].clone();
    assert_eq!((&usage["requests"]["total"], &usage["agents"]), (&json!(1), &json!([])));
}

async fn each_key_sees_what_it_asked_and_an_administrator_what_all_asked(platform: Platform) {
    let key = async |body: Value| {
        let made = platform.post("/api/v1/auth/api-keys", body).await.expect(201);
        (platform.as_caller(made["token"].as_str().unwrap()), made["key"]["id"].clone(), made["token"].clone())
    };
    let (small, id, token) = key(json!({"name": "small", "tier": "free"})).await;
    let (admin, _, _) =
        key(json!({"name": "admin", "scopes": ["admin"], "tier": "enterprise", "requestsPerHour": 0})).await;
    for _ in 0..3 {
        small.get("/v1/agents").await.expect(200);
    }
    let reply = small.get("/v1/keys/usage").await;
    let own = reply.expect(200);
    assert_eq!(own["pagination"]["total"], 1);
    let shown = &own["data"][0];
    assert_eq!((&shown["key_id"], &shown["tier"], &shown["limit"]), (&id, &json!("free"), &json!(100)));
    assert_eq!([&shown["used"], &shown["remaining"], &shown["today"], &shown["this_month"]], [4, 96, 4, 4]);
    assert!(!reply.text().contains(token.as_str().unwrap()));
    platform.world.advance(Duration::from_secs(3_600));
    small.get("/v1/agents").await.expect(200);
    let all = admin.get("/v1/keys/usage").await.expect(200);
    assert_eq!(all["pagination"]["total"], 2);
    let shown = all["data"].as_array().unwrap().iter().find(|key| key["key_id"] == id).unwrap();
    assert_eq!([&shown["used"], &shown["today"]], [1, 5]);
    let mine = all["data"].as_array().unwrap().iter().find(|key| key["name"] == "admin").unwrap();
    assert_eq!((&mine["limit"], &mine["remaining"]), (&Value::Null, &Value::Null));
    // The operator sees their own keys too.
    assert_eq!(platform.get("/v1/keys/usage?limit=1").await.expect(200)["pagination"]["pages"], 3);
    platform.world.advance(Duration::from_secs(86_400));
    let shown = small.get("/v1/keys/usage").await.expect(200)["data"][0].clone();
    assert_eq!([&shown["today"], &shown["this_month"]], [1, 6]);
}

async fn an_alert_is_told_once_in_each_period(platform: Platform) {
    let platform = platform.with(|config| config.webhooks.private_networks = true).await;
    let stub = Stub::start().await;
    let hook = json!({"url": stub.url, "events": ["alert.triggered"]});
    platform.post("/v1/webhooks", hook).await.expect(201);
    let alert = async |body: Value| platform.post("/v1/alerts", body).await.expect(201)["data"]["id"].clone();
    let by_hour = alert(json!({"name": "busy", "metric": "requests", "period": "hour", "threshold": 5})).await;
    let by_cost = alert(json!({"metric": "cost_usd", "threshold": 1.5})).await;
    let told = async || {
        platform.world.advance(Duration::from_secs(10));
        jobs::tick(&platform.app).await.unwrap();
        stub.take().iter().map(|one| one.json()["data"].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(told().await, Vec::<Value>::new());
    platform.get("/v1/agents").await.expect(200);
    let path = format!("/v1/alerts/{}", by_hour.as_str().unwrap());
    let shown = platform.get(&path).await.expect(200)["data"].clone();
    assert_eq!((&shown["status"], &shown["value"], &shown["name"]), (&json!("ok"), &json!(5.0), &json!("busy")));
    let first = told().await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(
        (&first[0]["alert_id"], &first[0]["value"], &first[0]["threshold"]),
        (&by_hour, &json!(5.0), &json!(5.0))
    );
    assert_eq!((&first[0]["metric"], &first[0]["period_end"]), (&json!("requests"), &json!("2026-02-23T11:00:00Z")));
    assert_eq!(told().await.len(), 0, "once is enough");
    let shown = platform.get(&path).await.expect(200)["data"].clone();
    assert_eq!((&shown["status"], &shown["last_triggered_value"]), (&json!("triggered"), &json!(5.0)));

    spend(&platform, platform.world.now(), "support", (1, 1), 1_500_000).await;
    assert_eq!(told().await[0]["alert_id"], by_cost);
    // Another hour, another count; the month is the same.
    platform.world.advance(Duration::from_secs(3_600));
    assert_eq!(platform.get(&path).await.expect(200)["data"]["status"], "ok");
    assert_eq!(told().await.len(), 0);
    for _ in 0..5 {
        platform.get("/v1/agents").await.expect(200);
    }
    assert_eq!(told().await[0]["alert_id"], by_hour);
    // One that looks from elsewhere on is told anew; one that is disabled or gone is not.
    platform.call("PATCH", &path, Some(json!({"threshold": 6}))).await.expect(200);
    assert_eq!(told().await[0]["threshold"], 6.0);
    platform.call("PATCH", &path, Some(json!({"threshold": 3, "enabled": false}))).await.expect(200);
    assert_eq!(told().await.len(), 0);
    platform.delete(&path).await.expect(200);
    assert_eq!(platform.get(&path).await.expect(404)["error"]["code"], "ALERT_NOT_FOUND");
    assert_eq!(platform.get("/v1/alerts").await.expect(200)["pagination"]["total"], 1);
}

async fn what_was_reached_at_the_end_of_a_period_is_told_after_it(platform: Platform) {
    let platform = platform.with(|config| config.webhooks.private_networks = true).await;
    let stub = Stub::start().await;
    platform.post("/v1/webhooks", json!({"url": stub.url, "events": ["alert.triggered"]})).await.expect(201);
    let alert = json!({"metric": "requests", "period": "hour", "threshold": 5});
    platform.post("/v1/alerts", alert).await.expect(201);
    jobs::tick(&platform.app).await.unwrap();
    for _ in 0..5 {
        platform.get("/v1/agents").await.expect(200);
    }
    platform.world.advance(Duration::from_secs(3_600));
    jobs::tick(&platform.app).await.unwrap();
    let told: Vec<Value> = stub.take().iter().map(|one| one.json()["data"].clone()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["period_end"], "2026-02-23T11:00:00Z");
    platform.world.advance(Duration::from_secs(10));
    jobs::tick(&platform.app).await.unwrap();
    assert!(stub.take().is_empty(), "once, and nothing of the hour that began");
}

async fn what_cannot_be_an_alert_is_refused(platform: Platform) {
    deploy(&platform, "support").await;
    for (body, code, field) in [
        (json!({"threshold": 1}), "INVALID_INPUT", "metric"),
        (json!({"metric": "runs"}), "INVALID_INPUT", "threshold"),
        (json!({"metric": "weather", "threshold": 1}), "INVALID_INPUT", "metric"),
        (json!({"metric": "runs", "threshold": 0}), "INVALID_INPUT", "threshold"),
        (json!({"metric": "runs", "threshold": "many"}), "INVALID_FIELD_TYPE", "threshold"),
        (json!({"metric": "tokens", "threshold": 1, "period": "day"}), "INVALID_INPUT", "period"),
        (json!({"metric": "requests", "threshold": 1, "agent_id": "support"}), "INVALID_INPUT", "agent_id"),
    ] {
        let refused = platform.post("/v1/alerts", body).await.expect(400);
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["details"]["field"]),
            (&json!(code), &json!(field)),
            "{refused}"
        );
    }
    let nobody = json!({"metric": "runs", "threshold": 1, "agent_id": "nobody"});
    assert_eq!(platform.post("/v1/alerts", nobody).await.expect(404)["error"]["code"], "AGENT_NOT_FOUND");
    let own = json!({"metric": "failed_runs", "threshold": 1, "agent_id": "support"});
    assert_eq!(platform.post("/v1/alerts", own).await.expect(201)["data"]["value"], 0.0);
}

async fn a_version_that_is_replaced_says_so_with_each_answer(platform: Platform) {
    let reply = platform.get("/v1/agents").await;
    assert_eq!((reply.header("deprecation"), reply.header("sunset")), ("", ""));
    let told = json!({"v1_deprecated": "2026-06-01T00:00:00Z", "v1_sunset": "2027-06-01T00:00:00Z"});
    let versions = serde_json::from_value(told).unwrap();
    let platform = platform.with(|config| config.versions = versions).await;
    for (path, status) in
        [("/v1/agents", 200), ("/v1/agents/nobody", 404), ("/v1/nothing", 404), ("/api/v1/agents", 200)]
    {
        let reply = platform.get(path).await;
        let expected = match path {
            "/v1/agents" | "/v1/agents/nobody" => ("@1780272000", "Tue, 01 Jun 2027 00:00:00 GMT"),
            _ => ("", ""),
        };
        assert_eq!(reply.status, status);
        assert_eq!((reply.header("deprecation"), reply.header("sunset")), expected, "{path}");
    }
    let stranger = platform.as_caller("nobody's").get("/v1/usage").await;
    assert_eq!((stranger.status.as_u16(), stranger.header("deprecation")), (401, "@1780272000"));
    assert!(stranger.header("link").contains("/docs/>; rel=\"sunset\""), "{}", stranger.header("link"));
}
