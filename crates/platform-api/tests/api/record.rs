//! The record: what was done here is there, as it was written, for as long as it is kept.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Platform, on_both_engines};

on_both_engines!(
    the_record_of_a_workspace_is_verified_by_whoever_administers_it,
    a_run_is_removed_when_it_is_old_and_the_record_says_so,
);

/// A run that ended, with one event of its own.
async fn ended(platform: &Platform) -> String {
    let run = json!({"agent_id": "payer", "user_id": "ann"});
    let run = platform.post("/runs", run).await.expect(201)["id"].as_str().unwrap().to_string();
    platform.post(&format!("/runs/{run}/events"), json!({"type": "USER_MESSAGE"})).await.expect(201);
    platform.call("PATCH", &format!("/runs/{run}"), Some(json!({"status": "COMPLETED"}))).await.expect(200);
    run
}

async fn verified(platform: &Platform, query: &str) -> Value {
    platform.get(&format!("/api/v1/audit-log/verify{query}")).await.expect(200)
}

async fn the_record_of_a_workspace_is_verified_by_whoever_administers_it(platform: Platform) {
    let nothing = verified(&platform, "").await;
    assert_eq!([&nothing["ok"], &nothing["runs"], &nothing["faults"]], [&json!(true), &json!(0), &json!([])]);
    let tool = json!({"name": "stripe", "base_url": "https://api.stripe.com"});
    platform.post("/api/tools", tool).await.expect(201);
    ended(&platform).await;
    let run = json!({"agent_id": "payer", "user_id": "ann"});
    platform.post("/runs", run).await.expect(201);
    platform_api::jobs::tick(&platform.app).await.unwrap();
    let found = verified(&platform, "").await;
    assert_eq!([&found["ok"], &found["runs"], &found["faulty"]], [&json!(true), &json!(1), &json!(0)], "{found}");
    assert!(found["events"].as_u64() >= Some(1) && found["changes"].as_u64() >= Some(1), "{found}");
    // What was shown then holds later, however much was written meanwhile.
    let anchors: Vec<&str> = found["anchors"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert_eq!(anchors.len(), 2);
    ended(&platform).await;
    platform_api::jobs::tick(&platform.app).await.unwrap();
    let later = verified(&platform, &format!("?days=30&anchor={}", anchors.join(","))).await;
    assert_eq!([&later["ok"], &later["runs"]], [&json!(true), &json!(2)], "{later}");
    let wrong = verified(&platform, &format!("?anchor=changes:1:{}", "0".repeat(64))).await;
    assert_eq!(wrong["faults"], json!(["the chain of changes has not the link at 1 that it once had"]));
    platform.get("/api/v1/audit-log/verify?anchor=x").await.refused(400);
    let reader = json!({"name": "reader", "scopes": ["read"]});
    let reader =
        platform.post("/api/v1/auth/api-keys", reader).await.expect(201)["token"].as_str().unwrap().to_string();
    platform.as_caller(&reader).get("/api/v1/audit-log/verify").await.refused(403);
}

async fn a_run_is_removed_when_it_is_old_and_the_record_says_so(platform: Platform) {
    let platform = platform.with(|config| config.runs.keep_days = 30).await;
    let old = ended(&platform).await;
    platform_api::jobs::tick(&platform.app).await.unwrap();
    platform.world.advance(Duration::from_secs(29 * 86_400));
    let young = ended(&platform).await;
    platform_api::jobs::tick(&platform.app).await.unwrap();
    platform.get(&format!("/runs/{old}")).await.expect(200);
    platform.world.advance(Duration::from_secs(2 * 86_400));
    platform_api::jobs::tick(&platform.app).await.unwrap();
    platform.get(&format!("/runs/{old}")).await.refused(404);
    platform.get(&format!("/runs/{old}/events")).await.refused(404);
    platform.get(&format!("/runs/{young}")).await.expect(200);
    let found = verified(&platform, "").await;
    assert_eq!([&found["ok"], &found["runs"], &found["removed_runs"]], [&json!(true), &json!(1), &json!(1)], "{found}");
}
