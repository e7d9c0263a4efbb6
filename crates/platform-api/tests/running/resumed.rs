//! A run that pauses goes on: a person says yes, and the platform asks the agent again. What the run did before is not done
//! twice, whatever stops in between; what nobody agreed to is not done at all.

use std::time::Duration;

use ingestion_server::web::World;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::governed::{Asked, register};
use crate::stub::{Stub, hmac};
use crate::support::Host;

/// It takes a note, refunds, and takes another note. Its runtime is the published one.
const CLERK: &str = "import json, os, time, requests\n\
    BASE = os.environ['TOOL_URL_BANK']\n\n\
    def note(text):\n    return requests.post(f'{BASE}/v1/notes', json={'text': text})\n\n\
    def refund(amount):\n    return requests.post(f'{BASE}/v1/refunds', json={'amount': amount})\n\n\
    def handler(request):\n    \
    wish = json.loads(request['message'])\n    \
    note('wanted')\n    \
    answer = refund(time.time() if wish.get('drifts') else wish['amount'])\n    \
    if answer.status_code == 200:\n        print('refunded', flush=True)\n        time.sleep(wish.get('sleeps', 0))\n    \
    note('over')\n    \
    return json.dumps([answer.status_code, answer.json()])\n";

async fn clerk(name: &str, variables: &[(&str, &str)]) -> (Host, Asked) {
    let host = Host::start_with(name, variables).await;
    let asked = register(&host).await;
    host.deploy("clerk", &[("agent.py", CLERK)], json!({"required_tools": ["bank"]})).await.expect(200);
    let base = host.get("/api/tools/bank").await.expect(200)["base_url"].as_str().unwrap().to_string();
    host.ask_first("clerk", "POST", &format!("{base}/v1/refunds")).await;
    host.until("clerk", "Running").await;
    (host, asked)
}

/// Asks for a refund: the run, and the request that waits.
async fn paused(host: &Host, wish: Value) -> (String, String) {
    let reply = host.invoke("clerk", &wish.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL");
    let pending = host.get("/governance/requests?status=PENDING").await.expect(200);
    (run, pending[0]["id"].as_str().unwrap().to_string())
}

async fn approve(host: &Host, request: &str) {
    host.post(&format!("/governance/requests/{request}/approve"), json!({})).await.expect(200);
}

/// What the tool was asked: the end of each path, and the body.
fn told(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|(_, path, _, body)| format!("{} {body}", path.rsplit('/').next().unwrap())).collect()
}

async fn types(host: &Host, run: &str) -> Vec<String> {
    host.events(run).await.iter().map(|event| event["type"].as_str().unwrap().to_string()).collect()
}

const DONE: [&str; 3] = ["notes {\"text\": \"wanted\"}", "refunds {\"amount\": 20}", "notes {\"text\": \"over\"}"];

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn an_approved_run_goes_on_by_itself_and_does_nothing_twice() {
    let (host, asked) = clerk("resumed", &[]).await;
    let (run, request) = paused(&host, json!({"amount": 20})).await;
    assert_eq!(told(&asked), DONE[..1], "a run that waits does nothing more");
    approve(&host, &request).await;
    host.until_run(&run, "COMPLETED").await;
    assert_eq!(told(&asked), DONE);
    let events = host.events(&run).await;
    let kinds = types(&host, &run).await;
    let calls = kinds.iter().filter(|kind| *kind == "TOOL_CALLED").count();
    let at = |kind: &str| kinds.iter().position(|own| own == kind).unwrap_or_else(|| panic!("{kind}: {kinds:?}"));
    assert!(
        at("APPROVAL_REQUIRED") < at("APPROVED") && at("APPROVED") < at("RESUMED") && at("RESUMED") < at("COMPLETED")
    );
    assert_eq!(
        calls, 5,
        "a note, a refund and a note that waited, the refund and the note that were made: {events:#?}"
    );
    let refused: Vec<&Value> = events.iter().filter_map(|event| event["data"].get("error")).collect();
    assert_eq!(refused, ["APPROVAL_REQUIRED"], "the note that waited was not made, though its policy allows it");
    assert!(events.iter().any(|event| event["data"]["replayed_calls"] == 1), "{events:#?}");
    let seqs: Vec<i64> = events.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=events.len() as i64).collect::<Vec<_>>());
    let action = events[at("APPROVAL_REQUIRED")]["data"]["action_id"].as_str().unwrap().to_string();
    let action = host.get(&format!("/runs/{run}/actions/{action}")).await.expect(200);
    assert_eq!(action["status"], "EXECUTED");
    // Whoever asked has left: the answer is kept.
    let answer = host.get(&format!("/runs/{run}/answer")).await.expect(200);
    assert_eq!(answer["status_code"], 200);
    assert_eq!(answer["body"]["response"], "[200, {\"done\": true}]", "{answer}");
}

/// A press of a button as Slack sends it, signed with this secret at this time.
async fn press(host: &Host, connector: &str, button: &Value, secret: &str, seconds: i64) -> u16 {
    let press = json!({"type": "block_actions", "user": {"id": "U1", "username": "bob"},
        "actions": [{"action_id": button["action_id"], "value": button["value"]}]});
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    let body = form.append_pair("payload", &press.to_string()).finish();
    let signature = format!("v0={}", hmac(secret, &format!("v0:{seconds}:{body}")));
    let seconds = seconds.to_string();
    let headers = [("x-slack-request-timestamp", seconds.as_str()), ("x-slack-signature", signature.as_str())];
    host.send("POST", &format!("/callbacks/approvals/{connector}"), &headers, body).await.status
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_button_in_slack_lets_a_run_go_on_and_another_ends_one() {
    let slack = Stub::start().await;
    let api = format!("{}/api", slack.url);
    let (host, asked) = clerk("resumed-slack", &[("PLATFORM_APPROVALS_SLACK_API", &api)]).await;
    let headers = json!({"X-Slack-Bot-Token": "a-token", "X-Slack-Signing-Secret": "a-secret"});
    let connector = json!({"name": "slack", "type": "slack", "endpoint": "C01", "headers": headers,
        "slack_security_mode": "strict"});
    let connector = host.post("/api/v1/approval-connectors", connector).await.expect(201);
    let connector = connector["id"].as_str().unwrap();
    let told_slack = async || {
        let wait = async {
            loop {
                let found = slack.take().into_iter().map(|seen| seen.json());
                if let Some(message) = found.into_iter().find(|message| message["blocks"][2]["elements"].is_array()) {
                    return message["blocks"][2]["elements"].clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("Slack is told")
    };
    let (run, _) = paused(&host, json!({"amount": 20})).await;
    let buttons = told_slack().await;
    let now = World::Real.now() / 1000;
    assert_eq!(press(&host, connector, &buttons[0], "not-the-secret", now).await, 403);
    assert_eq!(press(&host, connector, &buttons[0], "a-secret", now - 3_600).await, 403, "an old press");
    assert_eq!(told(&asked), DONE[..1]);
    assert_eq!(press(&host, connector, &buttons[0], "a-secret", now).await, 200);
    host.until_run(&run, "COMPLETED").await;
    assert_eq!(told(&asked), DONE, "once, and nothing twice");

    let (run, _) = paused(&host, json!({"amount": 30})).await;
    let buttons = told_slack().await;
    assert_eq!(press(&host, connector, &buttons[1], "a-secret", World::Real.now() / 1000).await, 200);
    host.until_run(&run, "FAILED").await;
    assert!(!told(&asked).iter().any(|call| call.contains("30")), "{:?}", told(&asked));
    let rejected = host.events(&run).await.into_iter().find(|event| event["type"] == "REJECTED").unwrap();
    assert!(rejected["actor"].as_str().unwrap().ends_with("/slack:U1"), "{rejected}");
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn what_is_rejected_or_is_not_what_was_approved_is_not_done() {
    let (host, asked) = clerk("resumed-refused", &[]).await;
    let (run, request) = paused(&host, json!({"amount": 20})).await;
    let reason = json!({"reason": "too much"});
    host.post(&format!("/governance/requests/{request}/reject"), reason).await.expect(200);
    host.until_run(&run, "FAILED").await;
    assert!(types(&host, &run).await.contains(&"REJECTED".to_string()));

    let (run, request) = paused(&host, json!({"drifts": true})).await;
    approve(&host, &request).await;
    host.until_run(&run, "FAILED").await;
    let events = host.events(&run).await;
    let failed = events.iter().find(|event| event["type"] == "FAILED").unwrap();
    assert!(failed["data"]["error"].as_str().unwrap().starts_with("the payload is not the one"), "{failed}");
    assert!(!told(&asked).iter().any(|call| call.starts_with("refunds")), "{:?}", told(&asked));
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_call_that_is_held_is_answered_when_somebody_has_decided() {
    let (host, asked) = clerk("resumed-held", &[("PLATFORM_APPROVALS_HOLD_SECONDS", "50")]).await;
    let deciding = async {
        loop {
            let pending = host.get("/governance/requests?status=PENDING").await.expect(200);
            if let Some(request) = pending[0]["id"].as_str() {
                approve(&host, request).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let wish = json!({"amount": 20}).to_string();
    let (reply, ()) = tokio::join!(host.invoke("clerk", &wish), deciding);
    assert_eq!(reply.expect(200)["response"], "[200, {\"done\": true}]", "{}", reply.text);
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "COMPLETED");
    assert_eq!(told(&asked), DONE);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(told(&asked), DONE, "and nobody asks the agent again");
}

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_run_goes_on_to_its_end_wherever_the_platform_is_killed() {
    let name = "resumed-killed";
    let (host, asked) = clerk(name, &[]).await;
    let (run, request) = paused(&host, json!({"amount": 20, "sleeps": 3})).await;
    // While it waits for a person.
    let host = host.again(name).await;
    host.until("clerk", "Running").await;
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL");
    // As soon as somebody has said yes.
    approve(&host, &request).await;
    let host = host.again(name).await;
    // When what was approved is done and the rest is not.
    let refunded = async {
        while told(&asked).len() < 2 || !host.logs("clerk").await.contains("\"refunded\"") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(240), refunded).await.expect("the refund is made");
    assert_eq!(told(&asked), DONE[..2]);
    let host = host.again(name).await;
    host.until_run(&run, "COMPLETED").await;
    assert_eq!(told(&asked), DONE, "each thing once");
    let resumed = types(&host, &run).await.iter().filter(|kind| *kind == "RESUMED").count();
    assert!(resumed >= 2, "{:?}", types(&host, &run).await);
}

/// It writes into its user's calendar.
const SECRETARY: &str = "import os, requests\n\
    BASE = os.environ['TOOL_URL_CALENDAR']\n\n\
    def write(text):\n    return requests.post(f'{BASE}/events', json={'text': text})\n\n\
    def handler(request):\n    \
    return str(write(request['message']).status_code)\n";

#[tokio::test]
#[ignore = "needs uv and the package index; `cargo xtask test` installs it"]
async fn a_run_goes_on_when_its_user_has_agreed() {
    let host = Host::start_with("resumed-consent", &[("PLATFORM_PUBLIC_URL", "http://platform.test")]).await;
    let authority = Authority::start().await;
    authority.inner().redirect = "http://platform.test/oauth/callback".into();
    host.post("/api/tools", authority.tool("calendar", true)).await.expect(201);
    let deployed = host.deploy("secretary", &[("agent.py", SECRETARY)], json!({"required_tools": ["calendar"]})).await;
    deployed.expect(200);
    host.until("secretary", "Running").await;
    let reply = host.invoke("secretary", "lunch").await;
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_CONSENT", "{}", reply.text);
    let events = host.events(&run).await;
    let asked = events.iter().find(|event| event["type"] == "CONSENT_REQUIRED").unwrap();
    let location = authority.agree(asked["data"]["authorization_url"].as_str().unwrap(), "ada");
    assert!(authority.inner().called.is_empty(), "nothing reached the tool");
    // Their browser needs no key.
    let path = location.strip_prefix("http://platform.test").unwrap();
    let page = host.ask("GET", path, &[], None).await;
    assert_eq!(page.status, 200, "{}", page.text);
    host.until_run(&run, "COMPLETED").await;
    let answer = host.get(&format!("/runs/{run}/answer")).await.expect(200);
    assert_eq!(answer["body"]["response"], "200", "{answer}");
    assert_eq!(authority.inner().called.len(), 1, "and once");
}

/// The runtime's loop takes no notice of a call that waits, and tells the model that it failed.
#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn the_runtimes_own_loop_is_paused_and_resumed_too() {
    let host = Host::start("resumed-loop").await;
    let more = json!({"required_tools": ["echo-tool"], "system_prompt": "Be brief.", "entry_point": "agent.py",
        "llm_configs": [{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}]});
    let nothing = [("agent.py", "\"\"\"An agent that echoes.\"\"\"\n")];
    host.deploy("looped", &nothing, more).await.expect(200);
    let base = host.get("/api/tools/echo-tool").await.expect(200)["base_url"].as_str().unwrap().to_string();
    host.ask_first("looped", "POST", &format!("{base}/**")).await;
    host.until("looped", "Running").await;
    let reply = host.invoke("looped", "ping").await;
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL", "{}", reply.text);
    let models_asked = host.model.asked.lock().unwrap().len();
    let pending = host.get("/governance/requests?status=PENDING").await.expect(200);
    approve(&host, pending[0]["id"].as_str().unwrap()).await;
    host.until_run(&run, "COMPLETED").await;
    let answer = host.get(&format!("/runs/{run}/answer")).await.expect(200);
    assert_eq!(answer["body"]["response"], "pong: {\"echo\":\"ping\",\"reply\":\"ping\"}", "{answer}");
    assert_eq!(host.model.asked.lock().unwrap().len(), models_asked + 1, "what the model said first was kept");
}

/// An agent without code is the platform's own: nothing is built, nothing is started, and it waits and goes on as any other.
#[tokio::test]
#[ignore = "needs uv; `cargo xtask test` installs it"]
async fn an_agent_without_code_is_paused_killed_and_resumed_once() {
    let name = "resumed-words";
    let host = Host::start(name).await;
    let more = json!({"required_tools": ["echo-tool"], "system_prompt": "Be brief.",
        "llm_configs": [{"role": "chat", "provider": "openai", "model": "gpt-4o-mini"}]});
    host.deploy("words", &[("README.md", "An agent that echoes.\n")], more).await.expect(200);
    let base = host.get("/api/tools/echo-tool").await.expect(200)["base_url"].as_str().unwrap().to_string();
    host.ask_first("words", "POST", &format!("{base}/**")).await;
    host.until("words", "Running").await;
    let reply = host.invoke("words", "ping").await;
    let answer = reply.expect(200);
    assert_eq!(answer["approval_required"]["code"], "APPROVAL_REQUIRED", "{answer}");
    let run = reply.headers["x-run-id"].to_str().unwrap().to_string();
    let models_asked = host.model.asked.lock().unwrap().len();
    // The platform is killed while the run waits, and goes on with it all the same.
    let host = host.again(name).await;
    assert_eq!(host.get(&format!("/runs/{run}")).await.expect(200)["status"], "PAUSED_APPROVAL");
    let pending = host.get("/governance/requests?status=PENDING").await.expect(200);
    approve(&host, pending[0]["id"].as_str().unwrap()).await;
    host.until_run(&run, "COMPLETED").await;
    let answer = host.get(&format!("/runs/{run}/answer")).await.expect(200);
    assert_eq!(answer["body"]["response"], "pong: {\"echo\":\"ping\",\"reply\":\"ping\"}", "{answer}");
    assert_eq!(host.model.asked.lock().unwrap().len(), models_asked + 1, "what the model said first was kept");
}
