//! Webhooks: who wants to know what agents do is told, whatever happens meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use platform_api::jobs;
use serde_json::{Value, json};

use crate::staged::{deploy, runs};
use crate::stub::{Seen, Stub, hmac};
use crate::support::{Platform, on_both_engines};

on_both_engines!(
    a_webhook_is_made_changed_and_taken_away_and_its_secret_is_shown_once,
    what_an_agent_does_is_told_once_to_whom_it_concerns,
    what_is_told_is_signed_in_both_ways,
    what_is_not_heard_is_told_again_under_the_same_id,
    an_attempt_that_was_cut_off_is_made_again,
    replicas_together_tell_each_event_once,
    operations_and_deployments_are_told,
    an_agent_that_is_too_slow_is_told_as_such,
    a_webhook_is_tried_and_a_delivery_is_sent_anew,
    what_ended_long_ago_is_forgotten,
    nobody_in_a_private_network_is_told,
    one_that_was_made_while_that_was_allowed_is_not_told_any_more,
);

const WEBHOOKS: &str = "/v1/webhooks";

async fn inside(platform: Platform) -> Platform {
    platform.with(|config| config.webhooks.private_networks = true).await
}

/// A webhook of these events at a stub.
async fn subscribe(platform: &Platform, stub: &Stub, more: Value) -> Value {
    let mut body = json!({"url": format!("{}/hook", stub.url), "events": ["*"]});
    more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
    platform.post(WEBHOOKS, body).await.expect(201)["data"].clone()
}

fn answering() -> Router {
    let answer = async |body: axum::body::Bytes| {
        let body: Value = serde_json::from_slice(&body).unwrap();
        match body["message"].as_str().unwrap() {
            "fail" => Err((axum::http::StatusCode::BAD_REQUEST, Json(json!({"error": "no time today"})))),
            message => Ok(Json(json!({"response": format!("heard {message}")}))),
        }
    };
    Router::new().route("/invoke", post(answer))
}

fn types(told: &[Seen]) -> Vec<String> {
    told.iter().map(|one| one.json()["type"].as_str().unwrap().to_string()).collect()
}

async fn deliveries(platform: &Platform, webhook: &Value, query: &str) -> Value {
    let path = format!("{WEBHOOKS}/{}/deliveries{query}", webhook["id"].as_str().unwrap());
    platform.get(&path).await.expect(200)
}

async fn a_webhook_is_made_changed_and_taken_away_and_its_secret_is_shown_once(platform: Platform) {
    let body = json!({"url": "https://example.com/hook?key=hush", "events": ["agent.completed", "agent.failed"],
        "description": "pages"});
    let made = platform.post(WEBHOOKS, body).await.expect(201);
    let webhook = &made["data"];
    let secret = webhook["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && webhook["id"].as_str().unwrap().starts_with("wh_"), "{webhook}");
    assert_eq!(webhook["url"], "https://example.com/hook?********");
    let own = format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap());
    let mine = json!({"secret": "a secret of my very own", "enabled": false, "url": webhook["url"]});
    let changed = platform.call("PATCH", &own, Some(mine)).await;
    assert_eq!(
        (&changed.expect(200)["data"]["enabled"], &changed.json()["data"]["description"]),
        (&json!(false), &json!("pages"))
    );
    let list = platform.get(WEBHOOKS).await;
    assert_eq!(list.expect(200)["pagination"]["total"], 1);
    let mut tx = platform.app.store().read().await.unwrap();
    let audit = format!("{:?}", tx.changes("default", 100).await.unwrap());
    drop(tx);
    assert!(audit.contains("webhook.put"));
    for text in [changed.text(), platform.get(&own).await.text(), list.text(), audit.as_str()] {
        for hidden in [secret, "hush", "a secret of my very own"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
    // Another workspace, and whoever may only look.
    let other = platform.post("/api/v1/workspaces/other/auth/api-keys", json!({"name": "k"})).await.expect(201);
    let other = platform.as_caller(other["token"].as_str().unwrap());
    assert_eq!(other.get(&own).await.expect(404)["error"]["code"], "WEBHOOK_NOT_FOUND");
    let reader = json!({"name": "reader", "scopes": ["read"]});
    let reader = platform.post("/api/v1/auth/api-keys", reader).await.expect(201);
    let reader = platform.as_caller(reader["token"].as_str().unwrap());
    assert_eq!(reader.delete(&own).await.expect(403)["error"]["code"], "FORBIDDEN");
    reader.get(&own).await.expect(200);

    let wrong = |body: Value| async { platform.post(WEBHOOKS, body).await };
    let url = "https://example.com/hook";
    for (body, status, code, field) in [
        (json!({"events": ["*"]}), 400, "INVALID_INPUT", "url"),
        (json!({"url": url}), 400, "INVALID_INPUT", "events"),
        (json!({"url": 7, "events": ["*"]}), 400, "INVALID_FIELD_TYPE", "url"),
        (json!({"url": "http://example.com/", "events": ["*"]}), 400, "INVALID_INPUT", "url"),
        (json!({"url": url, "events": ["agent.slept"]}), 400, "INVALID_INPUT", "events"),
        (json!({"url": url, "events": ["*"], "secret": "short"}), 400, "INVALID_INPUT", "secret"),
    ] {
        let refused = wrong(body).await.expect(status);
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["details"]["field"]),
            (&json!(code), &json!(field)),
            "{refused}"
        );
    }
    let nobody = wrong(json!({"url": url, "events": ["*"], "agent_id": "nobody"})).await.expect(404);
    assert_eq!(nobody["error"]["code"], "AGENT_NOT_FOUND");

    assert_eq!(platform.delete(&own).await.expect(200)["data"]["deleted"], true);
    for method in ["GET", "PATCH", "DELETE"] {
        platform.call(method, &own, Some(json!({}))).await.expect(404);
    }
    for n in 0..100 {
        wrong(json!({"url": format!("{url}/{n}"), "events": ["*"]})).await.expect(201);
    }
    assert_eq!(wrong(json!({"url": url, "events": ["*"]})).await.expect(409)["error"]["code"], "CONFLICT");
}

async fn what_an_agent_does_is_told_once_to_whom_it_concerns(platform: Platform) {
    let platform = inside(platform).await;
    deploy(&platform, "support").await;
    deploy(&platform, "other").await;
    let platform = runs(&platform, "one", answering()).await;
    let (all, own, few, off) = (Stub::start().await, Stub::start().await, Stub::start().await, Stub::start().await);
    subscribe(&platform, &all, json!({})).await;
    subscribe(&platform, &own, json!({"agent_id": "other"})).await;
    subscribe(&platform, &few, json!({"events": ["agent.failed"]})).await;
    subscribe(&platform, &off, json!({"enabled": false})).await;
    let answer = platform.post("/v1/agents/support/invoke", json!({"query": "me"})).await.expect(200);
    platform.post("/v1/agents/support/invoke", json!({"query": "fail"})).await.expect(502);
    // The other surface's runs are told in the same way.
    platform.post("/api/v1/agents/other/invoke", json!({"message": "you"})).await.expect(200);
    assert!(all.take().is_empty(), "nobody waits for a webhook");
    jobs::tick(&platform.app).await.unwrap();
    let told = all.take();
    let mut kinds = types(&told);
    kinds.sort();
    let expected = [
        "agent.completed",
        "agent.completed",
        "agent.failed",
        "agent.invoked",
        "agent.invoked",
        "agent.invoked",
        "run.completed",
        "run.completed",
        "run.failed",
    ];
    assert_eq!(kinds, expected);
    let run = &answer["metadata"]["run_id"];
    let completed =
        told.iter().map(Seen::json).find(|one| one["type"] == "agent.completed" && one["data"]["run_id"] == *run);
    let completed = completed.unwrap();
    assert_eq!((&completed["agent_id"], &completed["data"]["status_code"]), (&json!("support"), &json!(200)));
    assert_eq!(completed["created"], "2026-02-23T10:15:30Z");
    // What was said stays here.
    assert!(told.iter().all(|one| !one.body.contains("heard me")));
    let ids: BTreeSet<String> = told.iter().map(|one| one.header("webhook-id").to_string()).collect();
    assert_eq!(ids.len(), told.len());
    assert_eq!(types(&few.take()), ["agent.failed"]);
    let own = own.take();
    assert!(own.len() == 3 && own.iter().all(|one| one.json()["agent_id"] == "other"));
    assert!(off.take().is_empty());
    jobs::tick(&platform.app).await.unwrap();
    assert!(all.take().is_empty(), "once is enough");
}

async fn what_is_told_is_signed_in_both_ways(platform: Platform) {
    let platform = inside(platform).await;
    deploy(&platform, "support").await;
    let platform = runs(&platform, "one", answering()).await;
    let (made, given) = (Stub::start().await, Stub::start().await);
    let webhook = subscribe(&platform, &made, json!({"events": ["agent.completed"]})).await;
    let secret = "a secret of the receiver's own";
    let shown = subscribe(&platform, &given, json!({"events": ["agent.completed"], "secret": secret})).await;
    assert_eq!(shown.get("secret"), None);
    platform.post("/v1/agents/support/invoke", json!({"query": "me"})).await.expect(200);
    jobs::tick(&platform.app).await.unwrap();
    let whsec = webhook["secret"].as_str().unwrap();
    let bytes = BASE64_STANDARD.decode(whsec.strip_prefix("whsec_").unwrap()).unwrap();
    for (stub, secret, key) in [(&made, whsec, bytes), (&given, secret, secret.as_bytes().to_vec())] {
        let told = stub.take().remove(0);
        assert_eq!((told.method.as_str(), told.path.as_str()), ("POST", "/hook"));
        assert_eq!(told.header("x-runagent-signature"), hmac(secret, &told.body));
        let (id, time) = (told.header("webhook-id"), told.header("webhook-timestamp"));
        let mut standard = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        standard.update(format!("{id}.{time}.{}", told.body).as_bytes());
        let expected = format!("v1,{}", BASE64_STANDARD.encode(standard.finalize().into_bytes()));
        assert_eq!(told.header("webhook-signature"), expected);
        assert_eq!((told.json()["id"].as_str(), time), (Some(id), "1771841730"));
        assert_eq!(told.header("x-runagent-event"), "agent.completed");
    }
}

async fn what_is_not_heard_is_told_again_under_the_same_id(platform: Platform) {
    let platform = inside(platform).await;
    deploy(&platform, "support").await;
    let platform = runs(&platform, "one", answering()).await;
    let stub = Stub::start().await;
    let webhook = subscribe(&platform, &stub, json!({"events": ["agent.completed"]})).await;
    stub.answers(503, json!({}));
    platform.post("/v1/agents/support/invoke", json!({"query": "me"})).await.expect(200);
    let mut told = Vec::new();
    for minutes in [0, 1, 5, 30, 120] {
        if minutes > 0 {
            platform.world.advance(Duration::from_secs(60 * minutes - 1));
            jobs::tick(&platform.app).await.unwrap();
            assert!(stub.take().is_empty(), "before {minutes} minutes");
            platform.world.advance(Duration::from_secs(1));
        }
        jobs::tick(&platform.app).await.unwrap();
        told.extend(stub.take());
    }
    assert_eq!(told.len(), 5);
    for one in &told {
        assert_eq!((&one.body, one.header("webhook-id")), (&told[0].body, told[0].header("webhook-id")));
        assert_eq!(one.header("x-runagent-delivery"), told[0].header("x-runagent-delivery"));
    }
    platform.world.advance(Duration::from_secs(86_400));
    jobs::tick(&platform.app).await.unwrap();
    assert!(stub.take().is_empty());
    let log = deliveries(&platform, &webhook, "?status=failed").await;
    let one = &log["data"][0];
    assert_eq!((&one["status"], one["attempts"].as_array().unwrap().len()), (&json!("failed"), 5), "{one}");
    assert_eq!(one["attempts"][4]["error"], "it answered 503");
    assert_eq!(one["attempts"][1]["at"], "2026-02-23T10:16:30Z");
    assert_eq!(deliveries(&platform, &webhook, "?status=delivered").await["pagination"]["total"], 0);
    let path = format!("{WEBHOOKS}/{}/deliveries?status=lost", webhook["id"].as_str().unwrap());
    assert_eq!(platform.get(&path).await.expect(400)["error"]["details"]["field"], "status");
}

async fn an_attempt_that_was_cut_off_is_made_again(platform: Platform) {
    let platform = inside(platform).await;
    deploy(&platform, "support").await;
    let platform = runs(&platform, "one", answering()).await;
    let stub = Stub::start().await;
    let webhook = subscribe(&platform, &stub, json!({"events": ["agent.completed"]})).await;
    platform.post("/v1/agents/support/invoke", json!({"query": "me"})).await.expect(200);
    // Somebody took it and is gone.
    let now = platform.world.now();
    let mut tx = platform.app.store().begin().await.unwrap();
    let taken = tx.take_webhook_deliveries(now, now + 20_000, 16).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(taken.len(), 1);
    jobs::tick(&platform.app).await.unwrap();
    assert!(stub.take().is_empty(), "two do not tell at once");
    platform.world.advance(Duration::from_secs(20));
    jobs::tick(&platform.app).await.unwrap();
    let told = stub.take();
    assert_eq!((told.len(), told[0].header("webhook-id")), (1, taken[0].event_id.as_str()));
    assert_eq!(deliveries(&platform, &webhook, "").await["data"][0]["status"], "delivered");
}

async fn replicas_together_tell_each_event_once(platform: Platform) {
    let platform = inside(platform).await;
    let replicas = [runs(&platform, "one", Router::new()).await, runs(&platform, "two", Router::new()).await];
    let stub = Stub::start().await;
    subscribe(&platform, &stub, json!({"events": ["run.completed"]})).await;
    for _ in 0..40 {
        let run = platform.post("/runs", json!({"agent_id": "a", "user_id": "u"})).await.expect(201);
        let path = format!("/runs/{}/events", run["id"].as_str().unwrap());
        platform.post(&path, json!({"type": "COMPLETED"})).await.expect(201);
    }
    let ticks = (0..8).map(|n| jobs::tick(&replicas[n % 2].app));
    join_all(ticks).await.into_iter().for_each(|done| done.unwrap());
    let told = stub.take();
    let ids: BTreeSet<&str> = told.iter().map(|one| one.header("webhook-id")).collect();
    assert_eq!((told.len(), ids.len()), (40, 40));
}

async fn operations_and_deployments_are_told(platform: Platform) {
    let platform = inside(platform).await;
    let stub = Stub::start().await;
    let events = [
        "operation.completed",
        "operation.failed",
        "operation.cancelled",
        "deployment.created",
        "deployment.updated",
        "deployment.deleted",
    ];
    subscribe(&platform, &stub, json!({"events": events})).await;
    deploy(&platform, "support").await;
    deploy(&platform, "support").await;
    let (open, gate) = tokio::sync::watch::channel(false);
    let answer = move |Json(body): Json<Value>| {
        let mut gate = gate.clone();
        async move {
            let _ = gate.wait_for(|open| *open || body["message"] == "now").await;
            Json(json!({"response": "done"}))
        }
    };
    let platform = runs(&platform, "one", Router::new().route("/invoke", post(answer))).await;
    let ask = async |query: &str| {
        let body = json!({"query": query, "async": true});
        platform.post("/v1/agents/support/invoke", body).await.expect(202)["check_url"].as_str().unwrap().to_string()
    };
    let now = ask("now").await;
    while platform.get(&now).await.expect(200)["status"] != "success" {
        tokio::task::yield_now().await;
    }
    let never = ask("later").await;
    platform.delete(&never).await.expect(200);
    open.send(true).unwrap();
    platform.delete("/api/v1/agents/support").await.expect(200);
    jobs::tick(&platform.app).await.unwrap();
    let told: Vec<Value> = stub.take().iter().map(Seen::json).collect();
    let of = |kind: &str| told.iter().filter(|one| one["type"] == kind).collect::<Vec<_>>();
    for (kind, count) in events.into_iter().zip([1, 0, 1, 1, 1, 1]) {
        assert_eq!(of(kind).len(), count, "{kind}: {told:#?}");
    }
    assert_eq!(of("operation.completed")[0]["data"]["check_url"], now);
    assert_eq!(of("operation.cancelled")[0]["data"]["check_url"], never);
    assert_eq!(of("deployment.created")[0]["agent_id"], "support");
}

async fn an_agent_that_is_too_slow_is_told_as_such(platform: Platform) {
    let platform = platform.with(|config| {
        config.webhooks.private_networks = true;
        config.runner.answer_seconds = 1;
    });
    let platform = platform.await;
    deploy(&platform, "support").await;
    let slow = Router::new().route("/invoke", post(async || std::future::pending::<String>().await));
    let platform = runs(&platform, "one", slow).await;
    let stub = Stub::start().await;
    subscribe(&platform, &stub, json!({"events": ["agent.failed", "agent.timeout"]})).await;
    platform.post("/v1/agents/support/invoke", json!({"query": "me"})).await.expect(502);
    jobs::tick(&platform.app).await.unwrap();
    let told = stub.take();
    assert_eq!(types(&told), ["agent.timeout"]);
    assert!(told[0].json()["data"]["error"].as_str().unwrap().contains("did not answer within 1 s"));
}

async fn a_webhook_is_tried_and_a_delivery_is_sent_anew(platform: Platform) {
    let platform = inside(platform).await;
    let stub = Stub::start().await;
    let webhook = subscribe(&platform, &stub, json!({"events": ["run.failed"], "enabled": false})).await;
    let own = format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap());
    stub.answers(302, json!({}));
    let tried = platform.post(&format!("{own}/test"), json!({})).await.expect(200)["data"].clone();
    assert_eq!((&tried["status"], &tried["attempts"][0]["status_code"]), (&json!("failed"), &json!(302)), "{tried}");
    stub.answers(204, json!({}));
    let told = stub.take();
    assert_eq!(types(&told), ["webhook.test"]);
    platform.world.advance(Duration::from_secs(86_400));
    jobs::tick(&platform.app).await.unwrap();
    assert!(stub.take().is_empty(), "it is tried once");

    platform.call("PATCH", &own, Some(json!({"enabled": true}))).await.expect(200);
    let again = format!("{own}/deliveries/{}/retry", tried["id"].as_str().unwrap());
    assert_eq!(platform.post(&again, json!({})).await.expect(202)["data"]["status"], "pending");
    assert_eq!(platform.post(&again, json!({})).await.expect(409)["error"]["code"], "CONFLICT");
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(stub.take()[0].header("webhook-id"), told[0].header("webhook-id"));
    let log = deliveries(&platform, &webhook, "").await;
    assert_eq!(
        (&log["data"][0]["status"], log["data"][0]["attempts"].as_array().unwrap().len()),
        (&json!("delivered"), 2)
    );
    let unknown = platform.post(&format!("{own}/deliveries/dlv_1/retry"), json!({})).await.expect(404);
    assert_eq!(unknown["error"]["code"], "DELIVERY_NOT_FOUND");
    // Whoever is disabled meanwhile is not told.
    platform.post(&again, json!({})).await.expect(202);
    platform.call("PATCH", &own, Some(json!({"enabled": false}))).await.expect(200);
    jobs::tick(&platform.app).await.unwrap();
    assert!(stub.take().is_empty());
    assert_eq!(deliveries(&platform, &webhook, "?status=skipped").await["pagination"]["total"], 1);
}

async fn what_ended_long_ago_is_forgotten(platform: Platform) {
    let platform = inside(platform).await;
    let stub = Stub::start().await;
    let webhook = subscribe(&platform, &stub, json!({})).await;
    let own = format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap());
    platform.post(&format!("{own}/test"), json!({})).await.expect(200);
    platform.world.advance(Duration::from_secs(7 * 86_400));
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(deliveries(&platform, &webhook, "").await["pagination"]["total"], 1);
    platform.world.advance(Duration::from_secs(1));
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(deliveries(&platform, &webhook, "").await["pagination"]["total"], 0);
}

async fn nobody_in_a_private_network_is_told(platform: Platform) {
    let stub = Stub::start().await;
    for url in [stub.url.as_str(), "https://192.168.1.1/", "http://localhost/", "https://169.254.169.254/"] {
        let refused = platform.post(WEBHOOKS, json!({"url": url, "events": ["*"]})).await.expect(400);
        assert_eq!(refused["error"]["message"], "url must be an address of the public network", "{url}");
    }
    // A name that leads there is found out with each delivery.
    let named = platform.post(WEBHOOKS, json!({"url": "https://localhost.localdomain/", "events": ["*"]})).await;
    let own = format!("{WEBHOOKS}/{}/test", named.expect(201)["data"]["id"].as_str().unwrap());
    let tried = platform.post(&own, json!({})).await.expect(200)["data"].clone();
    assert_eq!(tried["status"], "failed", "{tried}");
}

async fn one_that_was_made_while_that_was_allowed_is_not_told_any_more(platform: Platform) {
    let stub = Stub::start().await;
    let before = inside(platform).await;
    let webhook = subscribe(&before, &stub, json!({})).await;
    let now = before.with(|config| config.webhooks.private_networks = false).await;
    let own = format!("{WEBHOOKS}/{}/test", webhook["id"].as_str().unwrap());
    let tried = now.post(&own, json!({})).await.expect(200)["data"].clone();
    assert_eq!(tried["attempts"][0]["error"], "this address may not be asked", "{tried}");
    assert!(stub.take().is_empty());
}
