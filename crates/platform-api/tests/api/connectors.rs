//! Connectors: approvers are told over HTTP, and decide by what they sign.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request as HttpRequest;
use platform_api::jobs;
use serde_json::{Value, json};

use crate::stub::{Stub, hmac};
use crate::support::{Platform, Reply, on_both_engines};

on_both_engines!(
    a_connector_is_made_changed_and_taken_away_and_its_secrets_never_come_back,
    defaults_are_changed_one_by_one,
    a_webhook_is_told_and_its_signed_decision_counts,
    slack_is_told_with_buttons_and_a_press_counts,
    each_kind_is_told_as_its_api_wants_it,
    what_is_not_signed_by_the_connector_decides_nothing,
    one_is_enough_or_all_are_told,
    what_cannot_be_delivered_is_tried_again_and_survives_a_restart,
    where_the_console_is_not_enough_a_request_that_reached_nobody_ends,
    nobody_is_told_of_what_is_decided_already,
    a_connector_is_tried_before_it_is_kept,
    whoever_was_told_is_told_how_it_ended,
    how_it_ended_is_told_again_until_it_works,
);

const CONNECTORS: &str = "/api/v1/approval-connectors";

async fn connect(platform: &Platform, body: Value) -> Value {
    platform.post(CONNECTORS, body).await.expect(201)
}

async fn ask(platform: &Platform) -> Value {
    let run = platform.post("/runs", json!({"agent_id": "payment-agent", "user_id": "alice"})).await.expect(201);
    let body = json!({"subject": "alice", "tool_id": "stripe-api", "run_id": run["id"], "tool_method": "POST",
        "tool_url": "https://api.stripe.com/v1/charges"});
    platform.post("/governance/requests", body).await.expect(201)
}

async fn status(platform: &Platform, request: &Value) -> Value {
    let path = format!("/governance/requests/{}", request["id"].as_str().unwrap());
    platform.get(&path).await.expect(200)["status"].clone()
}

async fn activity(platform: &Platform) -> Vec<String> {
    let all = platform.get(&format!("{CONNECTORS}/activity")).await.expect(200);
    let event = |one: &Value| one["event"].as_str().unwrap().to_string();
    let mut events: Vec<_> = all.as_array().unwrap().iter().map(event).collect();
    events.reverse();
    events
}

/// A callback as a connector sends it, without any key.
async fn call_back(platform: &Platform, connector: &Value, headers: &[(&str, String)], body: &str) -> Reply {
    let path = format!("/callbacks/approvals/{}", connector["id"].as_str().unwrap());
    let mut request = HttpRequest::post(path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    platform.send(request.body(Body::from(body.to_string())).unwrap()).await
}

fn signed(platform: &Platform, secret: &str, body: &str) -> [(&'static str, String); 2] {
    let seconds = (platform.world.now() / 1000).to_string();
    let signature = format!("sha256={}", hmac(secret, &format!("{seconds}.{body}")));
    [("x-runagents-timestamp", seconds), ("x-runagents-signature", signature)]
}

async fn a_connector_is_made_changed_and_taken_away_and_its_secrets_never_come_back(platform: Platform) {
    let body = json!({"name": "secops-slack", "type": "slack", "endpoint": "C0123456789",
        "headers": {"X-Slack-Bot-Token": "a-token-of-the-tests"}, "timeout_seconds": 15,
        "slack_security_mode": "compat"});
    let made = platform.post(CONNECTORS, body).await;
    let connector = made.expect(201);
    assert!(connector["id"].as_str().unwrap().starts_with("ac_"), "{connector}");
    assert_eq!(connector["endpoint"], "C0123456789");
    assert_eq!(connector["headers"], json!({"X-Slack-Bot-Token": "********"}));
    assert_eq!([&connector["enabled"], &connector["timeout_seconds"]], [&json!(true), &json!(15)]);
    let own = format!("{CONNECTORS}/{}", connector["id"].as_str().unwrap());
    let patch = json!({"enabled": false, "timeout_seconds": 20, "headers": connector["headers"]});
    let changed = platform.call("PATCH", &own, Some(patch)).await;
    assert_eq!(changed.expect(200)["enabled"], false);
    let hook = json!({"name": "hook", "endpoint": "https://example.com/hook?key=hush"});
    let hook = platform.post(CONNECTORS, hook).await;
    assert!(hook.expect(201)["signing_secret"].as_str().unwrap().starts_with("whsec_"));
    let secret = hook.json()["signing_secret"].as_str().unwrap().to_string();
    let list = platform.get(CONNECTORS).await;
    assert_eq!(list.expect(200).as_array().unwrap().len(), 2);
    for answer in [&made, &changed, &platform.get(&own).await, &list] {
        for hidden in ["a-token-of-the-tests", "hush", secret.as_str()] {
            assert!(!answer.text().contains(hidden), "{}", answer.text());
        }
    }
    let mut tx = platform.app.store().read().await.unwrap();
    let audit = format!("{:?}", tx.changes("default", 100).await.unwrap());
    drop(tx);
    assert!(audit.contains("connector.put") && !audit.contains("a-token-of-the-tests") && !audit.contains("hush"));

    assert_eq!(platform.delete(&own).await.expect(200), json!({"status": "deleted"}));
    for method in ["GET", "PATCH", "DELETE"] {
        assert_eq!(platform.call(method, &own, Some(json!({}))).await.refused(404), "connector not found");
    }
    let wrong = platform.post(CONNECTORS, json!({"name": "a", "endpoint": "ftp://a"})).await.expect(400);
    assert_eq!(wrong["errors"][0]["pointer"], "/endpoint");
}

async fn defaults_are_changed_one_by_one(platform: Platform) {
    let path = format!("{CONNECTORS}/defaults");
    let defaults = json!({"default_delivery_mode": "first_success", "default_fallback_to_ui": true,
        "default_timeout_seconds": 10, "min_timeout_seconds": 1, "max_timeout_seconds": 120});
    assert_eq!(platform.get(&path).await.expect(200), defaults);
    let body = json!({"default_delivery_mode": "all", "default_timeout_seconds": 20});
    let changed = platform.call("PUT", &path, Some(body)).await.expect(200);
    assert_eq!(changed["default_fallback_to_ui"], true);
    assert_eq!(platform.get(&path).await.expect(200), changed);
    for body in [json!({"default_delivery_mode": "some"}), json!({"default_timeout_seconds": 121})] {
        platform.call("PUT", &path, Some(body)).await.refused(400);
    }
    let hook = connect(&platform, json!({"name": "hook", "endpoint": "https://example.com/hook"})).await;
    assert_eq!(hook["timeout_seconds"], 20);
}

async fn a_webhook_is_told_and_its_signed_decision_counts(platform: Platform) {
    let stub = Stub::start().await;
    let body = json!({"name": "hook", "endpoint": format!("{}/hook", stub.url), "headers": {"X-Team": "secops"}});
    let connector = connect(&platform, body).await;
    let secret = connector["signing_secret"].as_str().unwrap();
    let request = ask(&platform).await;
    assert!(stub.take().is_empty());
    jobs::tick(&platform.app).await.unwrap();
    let [told] = &stub.take()[..] else { panic!("told once") };
    assert_eq!([told.method.as_str(), told.path.as_str(), told.header("x-team")], ["POST", "/hook", "secops"]);
    let expected = hmac(secret, &format!("{}.{}", told.header("x-runagents-timestamp"), told.body));
    assert_eq!(told.header("x-runagents-signature"), format!("sha256={expected}"));
    assert!(!format!("{told:?}").contains(secret));
    let message = told.json();
    assert_eq!([&message["type"], &message["request"]["id"]], [&json!("approval.requested"), &request["id"]]);
    let callback = format!("http://127.0.0.1:8092/callbacks/approvals/{}", connector["id"].as_str().unwrap());
    assert_eq!(message["callback_url"], callback);

    let body = json!({"request_id": request["id"], "decision": "approved", "scope": "run", "duration": "30m",
        "approver_id": "bob@example.com", "reason": "fine"});
    let body = body.to_string();
    let reply = call_back(&platform, &connector, &signed(&platform, secret, &body), &body).await;
    let granted = reply.expect(200);
    assert_eq!([&granted["status"], &granted["scope"], &granted["reason"]], ["APPROVED", "run", "fine"]);
    assert!(granted["approver_id"].as_str().unwrap().ends_with("/bob@example.com"), "{granted}");
    let run = platform.get(&format!("/runs/{}", request["run_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(run["status"], "RUNNING");
    let again = call_back(&platform, &connector, &signed(&platform, secret, &body), &body).await;
    assert_eq!(again.refused(409), "request is not pending");
    assert_eq!(activity(&platform).await, ["dispatch_succeeded", "decision_received"]);
    let newest = platform.get(&format!("{CONNECTORS}/activity?limit=1")).await.expect(200);
    assert_eq!(newest.as_array().unwrap().len(), 1);
    assert_eq!([&newest[0]["decision"], &newest[0]["approver_id"]], ["approved", "bob@example.com"]);
    assert!(newest[0]["id"].as_str().unwrap().starts_with("aca_"), "{newest}");
}

async fn slack_is_told_with_buttons_and_a_press_counts(platform: Platform) {
    let stub = Stub::start().await;
    let api = format!("{}/api", stub.url);
    let platform = platform.with(|config| config.approvals.slack_api = api).await;
    let headers = json!({"X-Slack-Bot-Token": "a-token", "X-Slack-Signing-Secret": "a-secret"});
    let body = json!({"name": "slack", "type": "slack", "endpoint": "C01", "headers": headers,
        "slack_security_mode": "strict"});
    let connector = connect(&platform, body).await;
    let request = ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    let [told] = &stub.take()[..] else { panic!("told once") };
    assert_eq!([told.path.as_str(), told.header("authorization")], ["/api/chat.postMessage", "Bearer a-token"]);
    assert!(told.header("x-slack-signing-secret").is_empty() && !told.body.contains("a-secret"));
    let message = told.json();
    assert_eq!(message["channel"], "C01");
    let buttons = &message["blocks"][2]["elements"];
    assert_eq!([&buttons[0]["action_id"], &buttons[1]["action_id"]], ["approve", "reject"]);

    let press = json!({"type": "block_actions", "user": {"id": "U1", "username": "bob"},
        "actions": [{"action_id": "reject", "value": buttons[1]["value"]}]});
    let body: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &press.to_string()).finish();
    let seconds = (platform.world.now() / 1000).to_string();
    let signature = format!("v0={}", hmac("a-secret", &format!("v0:{seconds}:{body}")));
    let headers = [("x-slack-request-timestamp", seconds), ("x-slack-signature", signature)];
    let rejected = call_back(&platform, &connector, &headers, &body).await.expect(200);
    assert_eq!(rejected["status"], "REJECTED");
    assert!(rejected["approver_id"].as_str().unwrap().ends_with("/slack:U1"), "{rejected}");
    let run = platform.get(&format!("/runs/{}", request["run_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(run["status"], "FAILED");

    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(stub.take().len(), 1, "told how it ended");
    // Slack says 200 and means no; without a secret there are no buttons.
    stub.answers(200, json!({"ok": false, "error": "channel_not_found"}));
    let own = format!("{CONNECTORS}/{}", connector["id"].as_str().unwrap());
    let compat = json!({"slack_security_mode": "compat", "headers": {"X-Slack-Bot-Token": "********"}});
    platform.call("PATCH", &own, Some(compat)).await.expect(200);
    ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    let told = stub.take();
    assert_eq!(told[0].header("authorization"), "Bearer a-token");
    assert_eq!(told[0].json()["blocks"].as_array().unwrap().len(), 2);
    let failed = platform.get(&format!("{CONNECTORS}/activity?limit=1")).await.expect(200);
    assert_eq!([&failed[0]["event"], &failed[0]["message"]], ["dispatch_failed", "Slack says channel_not_found"]);
}

async fn each_kind_is_told_as_its_api_wants_it(platform: Platform) {
    let stub = Stub::start().await;
    let put = json!({"default_delivery_mode": "all"});
    platform.call("PUT", &format!("{CONNECTORS}/defaults"), Some(put)).await.expect(200);
    for body in [
        json!({"name": "hook of slack", "type": "slack", "endpoint": format!("{}/services/T0/B0/hush", stub.url)}),
        json!({"name": "teams", "type": "teams", "endpoint": format!("{}/teams?sig=hush", stub.url)}),
        json!({"name": "jira", "type": "jira", "endpoint": stub.url,
            "headers": {"X-Jira-Project": "OPS", "Authorization": "Basic a-token"}}),
        json!({"name": "pagerduty", "type": "pagerduty", "endpoint": stub.url,
            "headers": {"X-PagerDuty-Routing-Key": "a-key"}}),
    ] {
        connect(&platform, body).await;
    }
    let request = ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    let told = stub.take();
    let paths: Vec<_> = told.iter().map(|told| told.path.as_str()).collect();
    assert_eq!(paths, ["/services/T0/B0/hush", "/teams?sig=hush", "/rest/api/3/issue", "/v2/enqueue"]);
    let [slack, teams, jira, pagerduty] = [0, 1, 2, 3].map(|n: usize| told[n].json());
    let title = "payment-agent asks for approval to use stripe-api";
    assert_eq!(slack["text"], title);
    let card = &teams["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!(card["content"]["body"][0]["text"], title);
    assert_eq!([&jira["fields"]["project"]["key"], &jira["fields"]["issuetype"]["name"]], ["OPS", "Task"]);
    assert_eq!(jira["fields"]["summary"], title);
    assert_eq!([told[2].header("authorization"), told[2].header("x-jira-project")], ["Basic a-token", ""]);
    assert_eq!([&pagerduty["routing_key"], &pagerduty["event_action"]], ["a-key", "trigger"]);
    assert_eq!([&pagerduty["dedup_key"], &pagerduty["payload"]["source"]], [&request["id"], &json!("payment-agent")]);
    assert_eq!(pagerduty["payload"]["custom_details"]["Call"], "POST https://api.stripe.com/v1/charges");
    assert_eq!(activity(&platform).await, ["dispatch_succeeded"; 4]);
}

async fn what_is_not_signed_by_the_connector_decides_nothing(platform: Platform) {
    let stub = Stub::start().await;
    let endpoint = format!("{}/hook", stub.url);
    let headers = json!({"X-RunAgents-Signing-Secret": "a-secret"});
    let before = ask(&platform).await;
    let connector = connect(&platform, json!({"name": "hook", "endpoint": endpoint, "headers": headers})).await;
    assert!(connector.get("signing_secret").is_none(), "{connector}");
    let request = ask(&platform).await;
    let body = json!({"request_id": request["id"], "decision": "approved"}).to_string();
    let refusal = "the signature is missing, too old or wrong";
    let good = signed(&platform, "a-secret", &body);
    let stale = {
        let seconds = (platform.world.now() / 1000 - 301).to_string();
        let signature = format!("sha256={}", hmac("a-secret", &format!("{seconds}.{body}")));
        [("x-runagents-timestamp", seconds), ("x-runagents-signature", signature)]
    };
    for headers in [&good[..1], &good[1..], &[], &stale[..], &signed(&platform, "other", &body)[..]] {
        assert_eq!(call_back(&platform, &connector, headers, &body).await.refused(403), refusal);
    }
    let other = json!({"request_id": request["id"], "decision": "rejected"}).to_string();
    assert_eq!(call_back(&platform, &connector, &good, &other).await.refused(403), refusal);
    assert_eq!(call_back(&platform, &json!({"id": "ac_none"}), &good, &body).await.refused(403), refusal);
    // It was never told of what came before it.
    let body = json!({"request_id": before["id"], "decision": "approved"}).to_string();
    let reply = call_back(&platform, &connector, &signed(&platform, "a-secret", &body), &body).await;
    assert_eq!(reply.refused(404), "request not found");
    // Nor does it decide while it is switched off.
    let own = format!("{CONNECTORS}/{}", connector["id"].as_str().unwrap());
    platform.call("PATCH", &own, Some(json!({"enabled": false}))).await.expect(200);
    let body = json!({"request_id": request["id"], "decision": "approved"}).to_string();
    let reply = call_back(&platform, &connector, &signed(&platform, "a-secret", &body), &body).await;
    assert_eq!(reply.refused(403), refusal);
    assert_eq!(status(&platform, &request).await, "PENDING");
}

async fn one_is_enough_or_all_are_told(platform: Platform) {
    let (down, first, second) = (Stub::start().await, Stub::start().await, Stub::start().await);
    down.answers(500, json!({}));
    for (name, stub) in [("down", &down), ("first", &first), ("second", &second)] {
        connect(&platform, json!({"name": name, "endpoint": stub.url})).await;
        platform.world.advance(Duration::from_secs(1));
    }
    ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!([down.take().len(), first.take().len(), second.take().len()], [1, 1, 0]);
    assert_eq!(activity(&platform).await, ["dispatch_failed", "dispatch_succeeded"]);
    let put = json!({"default_delivery_mode": "all"});
    platform.call("PUT", &format!("{CONNECTORS}/defaults"), Some(put)).await.expect(200);
    ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!([down.take().len(), first.take().len(), second.take().len()], [1, 1, 1]);
    // Who was reached is not told again.
    platform.world.advance(Duration::from_secs(60));
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!([down.take().len(), first.take().len(), second.take().len()], [1, 0, 0]);
}

async fn what_cannot_be_delivered_is_tried_again_and_survives_a_restart(platform: Platform) {
    let stub = Stub::start().await;
    stub.answers(503, json!({}));
    connect(&platform, json!({"name": "hook", "endpoint": stub.url})).await;
    let request = ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(stub.take().len(), 1);
    let mut id = String::new();
    for pause in [60, 5 * 60, 30 * 60] {
        platform.world.advance(Duration::from_secs(pause - 1));
        jobs::tick(&platform.app).await.unwrap();
        assert!(stub.take().is_empty());
        platform.world.advance(Duration::from_secs(1));
        jobs::tick(&platform.app).await.unwrap();
        let told = stub.take();
        assert_eq!(told.len(), 1);
        id = told[0].header("x-runagents-delivery").into();
    }
    assert_eq!(id, request["id"].as_str().unwrap());
    // Another process on the same store goes on.
    let now = platform.world.elapsed();
    let restarted = platform.with(|_| {}).await;
    restarted.world.advance(now + Duration::from_secs(2 * 3600));
    jobs::tick(&restarted.app).await.unwrap();
    assert_eq!(stub.take().len(), 1);
    assert_eq!(
        activity(&restarted).await,
        [&["dispatch_failed"; 4][..], &["fallback_to_ui", "dispatch_failed"]].concat()
    );
    restarted.world.advance(Duration::from_secs(2 * 3600));
    jobs::tick(&restarted.app).await.unwrap();
    assert!(stub.take().is_empty());
    assert_eq!(status(&restarted, &request).await, "PENDING");
}

async fn where_the_console_is_not_enough_a_request_that_reached_nobody_ends(platform: Platform) {
    connect(&platform, json!({"name": "hook", "endpoint": "http://127.0.0.1:1/hook"})).await;
    let put = json!({"default_fallback_to_ui": false});
    platform.call("PUT", &format!("{CONNECTORS}/defaults"), Some(put)).await.expect(200);
    let request = ask(&platform).await;
    for pause in [0, 60, 5 * 60, 30 * 60] {
        platform.world.advance(Duration::from_secs(pause));
        jobs::tick(&platform.app).await.unwrap();
        assert_eq!(status(&platform, &request).await, "PENDING");
    }
    platform.world.advance(Duration::from_secs(2 * 3600));
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(status(&platform, &request).await, "EXPIRED");
    let run = platform.get(&format!("/runs/{}", request["run_id"].as_str().unwrap())).await.expect(200);
    assert_eq!(run["status"], "FAILED");
}

async fn nobody_is_told_of_what_is_decided_already(platform: Platform) {
    let stub = Stub::start().await;
    connect(&platform, json!({"name": "hook", "endpoint": stub.url})).await;
    let request = ask(&platform).await;
    let approve = format!("/governance/requests/{}/approve", request["id"].as_str().unwrap());
    platform.call("POST", &approve, None).await.expect(200);
    jobs::tick(&platform.app).await.unwrap();
    assert!(stub.take().is_empty());
    assert!(activity(&platform).await.is_empty());
}

async fn a_connector_is_tried_before_it_is_kept(platform: Platform) {
    let stub = Stub::start().await;
    let test = format!("{CONNECTORS}/test");
    let tried = async |body: Value| {
        let result = platform.post(&test, body).await.expect(200);
        let status = |check: &Value| check["status"].as_str().unwrap().to_string();
        let checks: Vec<_> = result["checks"].as_array().unwrap().iter().map(status).collect();
        (result["status"].as_str().unwrap().to_string(), checks.join(" "))
    };
    let hook = json!({"endpoint": format!("{}/hook", stub.url)});
    assert_eq!(tried(hook.clone()).await, ("healthy".into(), "passed passed passed".into()));
    assert_eq!(stub.take()[0].json()["type"], "approval.test");
    let jira = json!({"type": "jira", "endpoint": stub.url, "headers": {"X-Jira-Project": "OPS"}});
    assert_eq!(tried(jira).await.0, "healthy");
    let seen = stub.take();
    assert_eq!([seen[0].method.as_str(), seen[0].path.as_str()], ["GET", "/rest/api/3/project/OPS"]);
    stub.answers(404, json!({}));
    assert_eq!(tried(hook).await, ("unhealthy".into(), "passed passed failed".into()));
    let keyless = json!({"type": "pagerduty", "endpoint": stub.url});
    assert_eq!(tried(keyless).await, ("unhealthy".into(), "passed failed skipped".into()));
    let plain = json!({"endpoint": "http://example.com/hook"});
    assert_eq!(tried(plain).await, ("unhealthy".into(), "failed skipped skipped".into()));
    assert_eq!(platform.post(&test, json!({})).await.refused(400), "endpoint is required");
    platform.post(&test, json!({"endpoint": "https://a.io", "type": "email"})).await.refused(400);
    assert_eq!(platform.get(CONNECTORS).await.expect(200), json!([]));
}

/// Each kind of connector at one stub, which calls its messages something.
async fn all_kinds(platform: Platform) -> (Platform, Stub) {
    let stub = Stub::start().await;
    let api = format!("{}/api", stub.url);
    let platform = platform.with(|config| config.approvals.slack_api = api).await;
    stub.answers(200, json!({"ok": true, "channel": "C01", "ts": "17.1", "key": "OPS-7"}));
    let put = json!({"default_delivery_mode": "all"});
    platform.call("PUT", &format!("{CONNECTORS}/defaults"), Some(put)).await.expect(200);
    for body in [
        json!({"name": "slack", "type": "slack", "endpoint": "C01",
            "headers": {"X-Slack-Bot-Token": "a-token", "X-Slack-Signing-Secret": "a-secret"}}),
        json!({"name": "teams", "type": "teams", "endpoint": format!("{}/teams", stub.url)}),
        json!({"name": "jira", "type": "jira", "endpoint": stub.url, "headers": {"X-Jira-Project": "OPS"}}),
        json!({"name": "pagerduty", "type": "pagerduty", "endpoint": stub.url,
            "headers": {"X-PagerDuty-Routing-Key": "a-key"}}),
        json!({"name": "hook", "endpoint": format!("{}/hook", stub.url),
            "headers": {"X-RunAgents-Signing-Secret": "a-secret"}}),
    ] {
        connect(&platform, body).await;
        platform.world.advance(Duration::from_secs(1));
    }
    (platform, stub)
}

async fn whoever_was_told_is_told_how_it_ended(platform: Platform) {
    let (platform, stub) = all_kinds(platform).await;
    for (decision, outcome) in [("approve", "approved"), ("reject", "rejected"), ("", "expired")] {
        let request = ask(&platform).await;
        jobs::tick(&platform.app).await.unwrap();
        assert_eq!(stub.take().len(), 5);
        jobs::tick(&platform.app).await.unwrap();
        assert!(stub.take().is_empty(), "nothing is decided yet");
        match decision {
            "" => platform.world.advance(Duration::from_secs(24 * 3600)),
            _ => {
                let path = format!("/governance/requests/{}/{decision}", request["id"].as_str().unwrap());
                platform.post(&path, json!({"reason": "so <it> is"})).await.expect(200);
            }
        }
        jobs::tick(&platform.app).await.unwrap();
        let mut told = stub.take();
        told.sort_by(|one, other| one.path.cmp(&other.path));
        let paths: Vec<_> = told.iter().map(|told| told.path.as_str()).collect();
        assert_eq!(paths, ["/api/chat.update", "/hook", "/rest/api/3/issue/OPS-7/comment", "/teams", "/v2/enqueue"]);
        let [slack, hook, jira, teams, pagerduty] = [0, 1, 2, 3, 4].map(|n: usize| told[n].json());
        let title = format!("{}: payment-agent asked for approval to use stripe-api", outcome.to_uppercase());
        assert_eq!([&slack["channel"], &slack["ts"], &slack["text"]], ["C01", "17.1", title.as_str()]);
        assert!(slack["blocks"].as_array().unwrap().iter().all(|block| block["type"] != "actions"), "{slack}");
        assert_eq!(told[0].header("authorization"), "Bearer a-token");
        assert_eq!(jira["body"]["content"][0]["content"][0]["text"], title);
        assert_eq!(teams["attachments"][0]["content"]["body"][0]["text"], title);
        assert_eq!([&pagerduty["event_action"], &pagerduty["dedup_key"]], [&json!("resolve"), &request["id"]]);
        assert_eq!(hook["type"], format!("approval.{outcome}"));
        assert_eq!(
            [&hook["request"]["id"], &hook["request"]["status"]],
            [&request["id"], &json!(outcome.to_uppercase())]
        );
        let signed = hmac("a-secret", &format!("{}.{}", told[1].header("x-runagents-timestamp"), told[1].body));
        assert_eq!(told[1].header("x-runagents-signature"), format!("sha256={signed}"));
        assert_eq!(told[1].header("x-runagents-delivery"), format!("{}-{outcome}", request["id"].as_str().unwrap()));
        let newest = platform.get(&format!("{CONNECTORS}/activity?limit=1")).await.expect(200);
        assert_eq!([&newest[0]["event"], &newest[0]["decision"]], ["update_succeeded", outcome]);
        jobs::tick(&platform.app).await.unwrap();
        assert!(stub.take().is_empty(), "once");
    }
}

async fn how_it_ended_is_told_again_until_it_works(platform: Platform) {
    let stub = Stub::start().await;
    connect(&platform, json!({"name": "hook", "endpoint": stub.url})).await;
    let request = ask(&platform).await;
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(stub.take().len(), 1);
    // The run ends, and with it what it asked for.
    let run = format!("/runs/{}", request["run_id"].as_str().unwrap());
    platform.call("PATCH", &run, Some(json!({"status": "FAILED"}))).await.expect(200);
    stub.answers(503, json!({}));
    jobs::tick(&platform.app).await.unwrap();
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(stub.take().len(), 1);
    stub.answers(200, json!({}));
    platform.world.advance(Duration::from_secs(60));
    jobs::tick(&platform.app).await.unwrap();
    assert_eq!(stub.take()[0].json()["type"], "approval.expired");
    assert_eq!(activity(&platform).await, ["dispatch_succeeded", "update_failed", "update_succeeded"]);
}
