//! Requests an hour, by what a key is worth.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use futures_util::future::join_all;
use serde_json::json;

use crate::staged::{deploy, runs};
use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_limit_is_exact_however_many_ask_at_once,
    a_key_is_worth_what_the_operator_says,
    health_is_not_counted_and_beside_this_surface_nothing_is,
);

async fn a_limit_is_exact_however_many_ask_at_once(platform: Platform) {
    // Two replicas over one store.
    let platforms = [runs(&platform, "one", Router::new()).await, runs(&platform, "two", Router::new()).await];
    let made = platform.post("/api/v1/auth/api-keys", json!({"name": "small", "tier": "free"})).await.expect(201);
    let token = made["token"].as_str().unwrap();
    let asking = (0..130).map(|n| {
        let caller = platforms[n % 2].as_caller(token);
        async move { caller.get("/v1/agents").await }
    });
    let replies = join_all(asking).await;
    let granted: Vec<_> = replies.iter().filter(|reply| reply.status == 200).collect();
    assert_eq!(granted.len(), 100);
    let left: BTreeSet<i64> =
        granted.iter().map(|reply| reply.header("x-ratelimit-remaining").parse().unwrap()).collect();
    assert_eq!(left, (0..100).collect());
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        let body = refused.expect(429);
        assert_eq!(body["error"]["code"], "RATE_LIMIT_EXCEEDED", "{body}");
        assert_eq!((refused.header("x-ratelimit-limit"), refused.header("x-ratelimit-remaining")), ("100", "0"));
        // 10:15:30 by the clock of the test.
        assert_eq!((refused.header("retry-after"), refused.header("x-ratelimit-reset-after")), ("2670", "2670"));
        assert_eq!(refused.header("x-ratelimit-reset"), "1771844400");
    }
    platform.world.advance(Duration::from_secs(2_669));
    platforms[0].as_caller(token).get("/v1/agents").await.expect(429);
    platform.world.advance(Duration::from_secs(1));
    let again = platforms[1].as_caller(token).get("/v1/agents").await;
    assert_eq!((again.status.as_u16(), again.header("x-ratelimit-remaining")), (200, "99"));
}

async fn a_key_is_worth_what_the_operator_says(platform: Platform) {
    let key = async |body| platform.post("/api/v1/auth/api-keys", body).await;
    let limit = async |body| {
        let made = key(body).await.expect(201);
        let reply = platform.as_caller(made["token"].as_str().unwrap()).get("/v1/agents").await;
        (reply.header("x-ratelimit-limit").to_string(), made["key"].clone())
    };
    assert_eq!(limit(json!({"name": "usual"})).await.0, "1000");
    assert_eq!(limit(json!({"name": "team", "tier": "team"})).await.0, "5000");
    let (own, shown) = limit(json!({"name": "large", "tier": "enterprise", "requestsPerHour": 77})).await;
    assert_eq!((own.as_str(), &shown["tier"], &shown["requestsPerHour"]), ("77", &json!("enterprise"), &json!(77)));
    assert_eq!(limit(json!({"name": "open", "tier": "enterprise", "requestsPerHour": 0})).await.0, "");
    assert!(key(json!({"name": "x", "tier": "gold"})).await.refused(400).starts_with("tier must be free"));
    assert!(key(json!({"name": "x", "requestsPerHour": -1})).await.refused(400).contains("0 or more"));
    let admin = key(json!({"name": "admin", "scopes": ["admin"]})).await.expect(201);
    let admin = platform.as_caller(admin["token"].as_str().unwrap());
    let refused = admin.post("/api/v1/auth/api-keys", json!({"name": "mine", "tier": "enterprise"})).await.refused(403);
    assert!(refused.contains("operator"), "{refused}");
}

async fn health_is_not_counted_and_beside_this_surface_nothing_is(platform: Platform) {
    deploy(&platform, "support").await;
    let made = platform.post("/api/v1/auth/api-keys", json!({"name": "one", "requestsPerHour": 1})).await.expect(201);
    let caller = platform.as_caller(made["token"].as_str().unwrap());
    for _ in 0..3 {
        let reply = caller.get("/v1/agents/support/health").await;
        assert_eq!((reply.status.as_u16(), reply.header("x-ratelimit-remaining")), (200, "1"));
        let other = caller.get("/api/v1/agents").await;
        assert_eq!((other.status.as_u16(), other.header("x-ratelimit-limit")), (200, ""));
    }
    caller.get("/v1/agents").await.expect(200);
    caller.get("/v1/agents").await.expect(429);
    caller.get("/v1/agents/support/health").await.expect(200);
}
