//! Account: keys of a workspace, its settings, what it used, who changed what.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_key_is_shown_once_and_opens_its_workspace_alone,
    a_key_may_do_what_its_scopes_say,
    a_rotated_key_has_another_secret_and_the_old_one_is_dead,
    a_key_expires_and_opens_again_only_with_a_new_end,
    settings_stay_within_their_limits,
    billing_counts_and_sells_nothing,
    the_audit_log_says_who_changed_what,
);

async fn make(platform: &Platform, body: Value) -> (String, String) {
    let fresh = platform.post("/api/v1/auth/api-keys", body).await.expect(201);
    (fresh["key"]["id"].as_str().unwrap().into(), fresh["token"].as_str().unwrap().into())
}

async fn a_key_is_shown_once_and_opens_its_workspace_alone(platform: Platform) {
    let fresh = platform.post("/api/v1/auth/api-keys", json!({"name": "ci", "expiresInDays": 30})).await.expect(201);
    let token = fresh["token"].as_str().unwrap();
    assert!(token.starts_with("ra_ws_"), "{token}");
    assert_eq!([&fresh["header"], &fresh["key"]["prefix"]], ["X-RunAgents-API-Key", "ra_ws_"]);
    assert_eq!(fresh["key"]["last4"].as_str().unwrap(), &token[token.len() - 4..]);
    assert_eq!(fresh["key"]["expiresAt"], "2026-03-25T10:15:30Z");
    assert_eq!(fresh["key"].get("lastUsedAt"), None);
    let listed = platform.get("/api/v1/auth/api-keys").await;
    assert_eq!(listed.expect(200), json!([fresh["key"]]));
    let own = platform.as_caller(token);
    own.get("/api/v1/tools").await.expect(200);
    own.get("/api/v1/workspaces/other/tools").await.refused(403);
    for answer in [listed, platform.get("/api/v1/audit-log").await, platform.get("/api/v1/auth/api-keys").await] {
        assert!(!answer.text().contains(token));
    }
    let id = fresh["key"]["id"].as_str().unwrap();
    platform.delete(&format!("/api/v1/auth/api-keys/{id}")).await.expect(200);
    own.get("/api/v1/tools").await.refused(401);
    let gone = platform.delete(&format!("/api/v1/auth/api-keys/{id}")).await.refused(404);
    assert_eq!(gone, format!("API key {id:?} not found"));
    assert_eq!(platform.post("/api/v1/auth/api-keys", json!({})).await.refused(400), "name is required");
}

async fn a_key_may_do_what_its_scopes_say(platform: Platform) {
    let tool = json!({"name": "a", "base_url": "https://a.io"});
    let (_, token) = make(&platform, json!({"name": "looker", "scopes": ["read"]})).await;
    let looker = platform.as_caller(&token);
    looker.get("/api/v1/tools").await.expect(200);
    let refused = looker.post("/api/v1/tools", tool.clone()).await.refused(403);
    assert_eq!(refused, "this API key lacks the scope `write`");
    let (_, token) = make(&platform, json!({"name": "usual"})).await;
    let usual = platform.as_caller(&token);
    usual.post("/api/v1/tools", tool).await.expect(201);
    usual.get("/api/v1/auth/api-keys").await.refused(403);
    let (_, token) = make(&platform, json!({"name": "boss", "scopes": ["admin"]})).await;
    platform.as_caller(&token).get("/api/v1/auth/api-keys").await.expect(200);
    let wrong =
        platform.post("/api/v1/auth/api-keys", json!({"name": "x", "scopes": ["read", "fly"]})).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/scopes/1");
}

async fn a_rotated_key_has_another_secret_and_the_old_one_is_dead(platform: Platform) {
    let (id, old) = make(&platform, json!({"name": "ci", "expiresInDays": 30})).await;
    let path = format!("/api/v1/auth/api-keys/{id}/rotate");
    let rotated = platform.call("POST", &path, None).await.expect(200);
    let new = rotated["token"].as_str().unwrap();
    assert_ne!(new, old);
    assert_eq!([&rotated["key"]["id"], &rotated["key"]["expiresAt"]], [id.as_str(), "2026-03-25T10:15:30Z"]);
    platform.as_caller(&old).get("/api/tools").await.refused(401);
    platform.as_caller(new).get("/api/tools").await.expect(200);
    let longer = platform.post(&path, json!({"expiresInDays": 60})).await.expect(200);
    assert_eq!(longer["key"]["expiresAt"], "2026-04-24T10:15:30Z");
    platform.post(&path, json!({"expiresInDays": 0})).await.refused(400);
    platform.post("/api/v1/auth/api-keys/none/rotate", json!({})).await.refused(404);
}

async fn a_key_expires_and_opens_again_only_with_a_new_end(platform: Platform) {
    let (id, token) = make(&platform, json!({"name": "short", "expiresInDays": 1})).await;
    platform.as_caller(&token).get("/api/tools").await.expect(200);
    platform.world.advance(Duration::from_secs(86_400));
    platform.as_caller(&token).get("/api/tools").await.refused(401);
    let path = format!("/api/v1/auth/api-keys/{id}/rotate");
    assert!(platform.call("POST", &path, None).await.refused(400).starts_with("this key has expired"));
    let again = platform.post(&path, json!({"expiresInDays": 1})).await.expect(200);
    platform.as_caller(again["token"].as_str().unwrap()).get("/api/tools").await.expect(200);
}

async fn settings_stay_within_their_limits(platform: Platform) {
    let settings = platform.get("/api/v1/settings/auth").await.expect(200);
    assert_eq!(settings["sessionIdleTimeoutMinutes"], 60);
    assert_eq!([&settings["programmaticHeader"], &settings["apiKeyPrefix"]], ["X-RunAgents-API-Key", "ra_ws_"]);
    assert_eq!(settings["apiKeyCount"], 0);
    assert_eq!(settings["oauthCallbackUrl"], "http://127.0.0.1:8092/oauth/callback");
    let public = platform.clone().with(|config| config.public_url = "https://agents.example.com/".into()).await;
    let settings = public.get("/api/v1/settings/auth").await.expect(200);
    assert_eq!(settings["oauthCallbackUrl"], "https://agents.example.com/oauth/callback");
    make(&platform, json!({"name": "ci"})).await;
    let put = async |minutes: Value| {
        let body = json!({"sessionIdleTimeoutMinutes": minutes});
        platform.call("PUT", "/api/v1/settings/auth", Some(body)).await
    };
    let changed = put(json!(15)).await.expect(200);
    assert_eq!([&changed["sessionIdleTimeoutMinutes"], &changed["apiKeyCount"]], [&json!(15), &json!(1)]);
    assert_eq!(platform.get("/api/v1/settings/auth").await.expect(200), changed);
    put(json!(1)).await.refused(400);
    put(json!(null)).await.refused(400);
}

async fn billing_counts_and_sells_nothing(platform: Platform) {
    let billing = platform.get("/api/v1/billing").await.expect(200);
    assert_eq!([&billing["plan_status"], &billing["period_end"]], ["active", "2026-03-01T00:00:00Z"]);
    assert_eq!([&billing["actions_used"], &billing["days_remaining"]], [&json!(0), &json!(6)]);
    let days = platform.get("/api/v1/billing/usage/daily").await.expect(200);
    assert_eq!(days.as_array().unwrap().len(), 30);
    assert_eq!(days[29], json!({"date": "2026-02-23", "count": 0}));
    let run = platform.post("/runs", json!({"agent_id": "a", "user_id": "u"})).await.expect(201);
    let events = format!("/runs/{}/events", run["id"].as_str().unwrap());
    for kind in ["USER_MESSAGE", "TOOL_REQUEST", "TOOL_REQUEST"] {
        platform.post(&events, json!({"type": kind})).await.expect(201);
    }
    assert_eq!(platform.get("/api/v1/billing").await.expect(200)["actions_used"], 2);
    assert_eq!(platform.get("/api/v1/billing/usage/daily").await.expect(200)[29]["count"], 2);
    for path in ["setup-intent", "payment-method", "subscribe", "portal"] {
        let refused = platform.post(&format!("/api/v1/billing/{path}"), json!({})).await.refused(501);
        assert!(refused.starts_with("this platform sells nothing"), "{refused}");
    }
    platform.get("/api/v1/billing/publishable-key").await.refused(501);
}

async fn the_audit_log_says_who_changed_what(platform: Platform) {
    for url in ["https://a.io", "https://b.io"] {
        platform.post("/api/tools", json!({"name": "a", "base_url": url})).await.expect(201);
    }
    platform.delete("/api/tools/a").await.expect(200);
    let log = platform.get("/api/v1/audit-log?limit=2").await.expect(200);
    let said: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(said, ["tool.delete", "tool.put"]);
    let put = &log[1];
    assert_eq!([&put["actor"], &put["resource"]], ["key-preset", "tools/a"]);
    assert_eq!(put["before"]["spec"]["connection"]["baseUrl"], "https://a.io");
    assert_eq!(put["after"]["spec"]["connection"]["baseUrl"], "https://b.io");
    platform.get("/api/v1/audit-log?limit=none").await.refused(400);
}
