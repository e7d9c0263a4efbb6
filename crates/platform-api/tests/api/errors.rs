//! Every documented refusal: its status, its text to the letter, the code that stands for it, the request's id, and for
//! fields that are wrong where they stand. `…` in a text is the part that the documents leave open. And what no refusal may
//! ever say.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{KEY, Platform, Reply, on_both_engines};

on_both_engines!(
    every_documented_refusal_is_as_documented,
    who_may_not_is_told_so_and_nothing_else,
    an_error_of_ours_says_nothing_of_the_store,
);

/// Of one request: method, path, body, status, text, and pointers to what is wrong.
type Row = (&'static str, &'static str, &'static str, u16, &'static str, &'static [&'static str]);

/// `{api}` is either prefix, `{gov}` either place of approvals, `{runs}` either of runs, `{llm}` each of the gateway's.
const ROWS: &[Row] = &[
    // General.
    ("GET", "/nowhere", "", 404, "path not found", &[]),
    ("GET", "/api/v1/nowhere", "", 404, "path not found", &[]),
    ("PATCH", "{api}/tools", "{}", 405, "this path does not answer PATCH", &[]),
    ("GET", "/governance/requests/x/approve", "", 405, "this path does not answer GET", &[]),
    ("POST", "{api}/deploy", "{", 400, "…", &[]),
    ("POST", "{api}/deploy", "[]", 400, "…", &[]),
    ("POST", "{api}/tools", "\"x\"", 400, "…", &[]),
    // Ingestion.
    ("POST", "/ingestion/analyze", "{}", 400, "files is required…", &[]),
    ("POST", "/analyze", r#"{"files": ["a"]}"#, 400, "…", &["/files"]),
    ("POST", "/api/v1/analyze", r#"{"files": {"a.py": 1}}"#, 400, "…", &["/files/a.py"]),
    ("POST", "/requirements", "{}", 400, "files is required…", &[]),
    ("GET", "/analysis/none", "", 404, "analysis not found", &[]),
    ("GET", "/ingestion/analysis/none", "", 404, "analysis not found", &[]),
    ("GET", "/api/v1/analysis/none", "", 404, "analysis not found", &[]),
    // Deploy.
    ("POST", "{api}/deploy", "{}", 400, "agent_name is required", &["/agent_name"]),
    ("POST", "{api}/deploy", r#"{"agent_name": ""}"#, 400, "agent_name is required", &["/agent_name"]),
    (
        "POST",
        "{api}/deploy",
        r#"{"agent_name": "a"}"#,
        400,
        "either image or source_files is required",
        &["/source_files"],
    ),
    ("POST", "{api}/deploy", r#"{"name": "a"}"#, 400, "either image or source_files is required", &["/files"]),
    (
        "POST",
        "{api}/deploy",
        r#"{"agent_name": "a", "image": "i", "tools_to_create": [{"name": "t"}]}"#,
        400,
        "tool name and base_url are required",
        &["/tools_to_create/0"],
    ),
    (
        "POST",
        "{api}/deploy",
        r#"{"agent_name": "a", "image": "i", "llm_configs": [{"provider": "openai"}]}"#,
        400,
        "llm config model is required",
        &["/llm_configs/0/model"],
    ),
    ("POST", "{api}/deploy/preview", "{}", 400, "agent_name is required", &["/agent_name"]),
    ("GET", "{api}/deploy-drafts/none", "", 404, "draft \"none\" not found", &[]),
    ("PATCH", "{api}/deploy-drafts/none", "{}", 404, "draft \"none\" not found", &[]),
    ("DELETE", "{api}/deploy-drafts/none", "", 404, "draft \"none\" not found", &[]),
    ("POST", "{api}/deploy-drafts/none/complete", "", 404, "draft \"none\" not found", &[]),
    ("POST", "{api}/deploy-drafts/none/abandon", "", 404, "draft \"none\" not found", &[]),
    (
        "PATCH",
        "{api}/deploy-drafts/$draft",
        r#"{"expected_version": 7}"#,
        409,
        "the draft is at version 1, not 7; read it again and repeat the change",
        &[],
    ),
    // Agents.
    ("GET", "/api/agents/none", "", 400, "path must be /api/agents/{namespace}/{name}", &[]),
    ("DELETE", "/api/agents/none", "", 400, "path must be /api/agents/{namespace}/{name}", &[]),
    ("GET", "/api/agents/default/none", "", 404, "agent default/none not found", &[]),
    ("DELETE", "/api/agents/default/none", "", 404, "agent default/none not found", &[]),
    ("POST", "/api/agents/default/none/invoke", "{}", 404, "agent default/none not found", &[]),
    ("GET", "/api/agents/default/payer", "", 404, "agent default/payer not found", &[]),
    ("POST", "/api/agents/agent-system/payer/invoke", "{}", 502, "failed to reach agent: …", &[]),
    ("GET", "/api/v1/agents/agent-system/payer", "", 400, "path must be /agents/{name}", &[]),
    ("DELETE", "/api/v1/agents/agent-system/payer", "", 400, "path must be /agents/{name}", &[]),
    ("GET", "/api/v1/agents/", "", 400, "path must be /agents/{name}", &[]),
    ("GET", "/api/v1/agents/none", "", 404, "agent none not found", &[]),
    ("DELETE", "/api/v1/agents/none", "", 404, "agent none not found", &[]),
    ("GET", "/api/v1/agents/none/config", "", 404, "agent none not found", &[]),
    ("PUT", "/api/v1/agents/none/config", "{}", 404, "agent none not found", &[]),
    ("POST", "/api/v1/agents/none/invoke", "{}", 404, "agent none not found", &[]),
    ("POST", "/api/v1/agents/payer/invoke", "{}", 502, "failed to reach agent: …", &[]),
    // Registries.
    ("GET", "{api}/tools/none", "", 404, "tool \"none\" not found", &[]),
    ("DELETE", "{api}/tools/none", "", 404, "tool \"none\" not found", &[]),
    ("POST", "{api}/tools/none/test", "", 404, "tool \"none\" not found", &[]),
    ("POST", "{api}/tools", r#"{"name": "t"}"#, 400, "tool name and base_url are required", &[]),
    ("POST", "{api}/tools", r#"{"base_url": "https://a.io"}"#, 400, "tool name and base_url are required", &[]),
    ("POST", "{api}/tools", r#"{"name": "t", "base_url": "ftp://a.io"}"#, 400, "…", &["/base_url"]),
    ("POST", "{api}/tools", r#"{"name": "No Host", "base_url": "https://a.io"}"#, 400, "…", &["/name"]),
    ("POST", "{api}/tools/probe", "{}", 400, "url is required", &["/url"]),
    ("GET", "{api}/model-providers/none", "", 404, "model provider \"none\" not found", &[]),
    ("DELETE", "{api}/model-providers/none", "", 404, "model provider \"none\" not found", &[]),
    ("POST", "{api}/model-providers", "{}", 400, "model provider name is required", &["/name"]),
    ("GET", "{api}/identity-providers/none", "", 404, "identity provider \"none\" not found", &[]),
    ("DELETE", "{api}/identity-providers/none", "", 404, "identity provider \"none\" not found", &[]),
    ("POST", "{api}/identity-providers", "{}", 400, "identity provider name is required", &["/name"]),
    ("GET", "{api}/builds/none", "", 404, "build not found", &[]),
    ("POST", "{api}/builds", r#"{"files": {"a.py": ""}}"#, 400, "name is required", &["/name"]),
    ("POST", "{api}/builds", r#"{"name": "a"}"#, 400, "files is required", &["/files"]),
    // Runs, events, actions.
    ("POST", "{runs}", r#"{"user_id": "u"}"#, 400, "agent_id is required", &["/agent_id"]),
    ("POST", "{runs}", r#"{"agent_id": "a"}"#, 400, "user_id is required", &["/user_id"]),
    ("GET", "{runs}?status=DONE", "", 400, "status must be one of PAUSED, …", &[]),
    ("GET", "{runs}/none", "", 404, "run none not found", &[]),
    ("PATCH", "{runs}/none", r#"{"status": "FAILED"}"#, 404, "run none not found", &[]),
    ("PATCH", "{runs}/$run", "{}", 400, "status is required", &["/status"]),
    ("PATCH", "{runs}/$run", r#"{"status": "DONE"}"#, 400, "status must be one of …", &["/status"]),
    ("PATCH", "{runs}/$done", r#"{"status": "RUNNING"}"#, 409, "invalid transition from COMPLETED to RUNNING", &[]),
    (
        "PATCH",
        "{runs}/$paused",
        r#"{"status": "COMPLETED"}"#,
        409,
        "invalid transition from PAUSED_APPROVAL to COMPLETED",
        &[],
    ),
    ("GET", "{runs}/none/events", "", 404, "run none not found", &[]),
    ("POST", "{runs}/none/events", r#"{"type": "USER_MESSAGE"}"#, 404, "run none not found", &[]),
    ("POST", "{runs}/$run/events", "{}", 400, "type is required", &["/type"]),
    ("POST", "{runs}/$run/events", r#"{"type": "NEWS"}"#, 400, "type must be one of …", &["/type"]),
    ("GET", "{runs}/$run/events?after_seq=x", "", 400, "after_seq must be a whole number …", &[]),
    ("GET", "{runs}/none/audit/export", "", 404, "run none not found", &[]),
    ("POST", "{runs}/none/actions", r#"{"tool_id": "t"}"#, 404, "run none not found", &[]),
    ("POST", "{runs}/$run/actions", "{}", 400, "tool_id is required", &["/tool_id"]),
    (
        "POST",
        "{runs}/$paused/actions",
        r#"{"tool_id": "t"}"#,
        409,
        "run is PAUSED_APPROVAL, must be RUNNING to create actions",
        &[],
    ),
    (
        "POST",
        "{runs}/$done/actions",
        r#"{"tool_id": "t"}"#,
        409,
        "run is COMPLETED, must be RUNNING to create actions",
        &[],
    ),
    ("GET", "{runs}/$run/actions/none", "", 404, "action none not found", &[]),
    ("POST", "{runs}/$run/actions/none/approve", "{}", 404, "action none not found", &[]),
    ("POST", "{runs}/none/actions/none/approve", "{}", 404, "run none not found", &[]),
    ("POST", "{runs}/$paused/actions/$action/approve", "{}", 409, "payload_hash mismatch", &[]),
    (
        "POST",
        "{runs}/$paused/actions/$action/approve",
        r#"{"payload_hash": "sha256:b"}"#,
        409,
        "payload_hash mismatch",
        &[],
    ),
    (
        "POST",
        "{runs}/$done/actions/$approved/approve",
        "{}",
        409,
        "action is APPROVED, must be BLOCKED to approve",
        &[],
    ),
    // Policies.
    ("GET", "{api}/policies/none", "", 404, "policy \"none\" not found", &[]),
    ("PUT", "{api}/policies/none", r#"{"spec": {}}"#, 404, "policy \"none\" not found", &[]),
    ("DELETE", "{api}/policies/none", "", 404, "policy \"none\" not found", &[]),
    ("POST", "{api}/policies", r#"{"spec": {}}"#, 400, "policy name is required", &["/name"]),
    ("POST", "{api}/policies", r#"{"name": "p"}"#, 400, "policy spec is required", &["/spec"]),
    ("POST", "{api}/policies/translate", "{}", 400, "text is required", &["/text"]),
    ("POST", "{api}/policies/simulate", r#"{"url": "https://a.io"}"#, 400, "agent is required", &["/agent"]),
    ("POST", "{api}/policies/simulate", r#"{"agent": "a"}"#, 400, "url is required", &["/url"]),
    // Approvals.
    ("POST", "{gov}/requests", "{}", 400, "subject and tool_id are required", &[]),
    ("POST", "{gov}/requests", r#"{"subject": "a", "tool_id": "t", "run_id": "none"}"#, 404, "run none not found", &[]),
    (
        "POST",
        "{gov}/requests",
        r#"{"subject": "a", "tool_id": "t", "run_id": "$done"}"#,
        409,
        "run is COMPLETED, must be RUNNING to create actions",
        &[],
    ),
    (
        "POST",
        "{gov}/requests",
        r#"{"subject": "a", "tool_id": "t", "duration": "soon"}"#,
        400,
        "duration must be …",
        &["/duration"],
    ),
    ("GET", "{gov}/requests?status=DONE", "", 400, "status must be one of PENDING, APPROVED, REJECTED, EXPIRED", &[]),
    ("GET", "{gov}/requests/none", "", 404, "request not found", &[]),
    ("POST", "{gov}/requests/none/approve", "", 404, "request not found", &[]),
    ("POST", "{gov}/requests/none/reject", "", 404, "request not found", &[]),
    ("POST", "{gov}/requests/$decided/approve", "", 409, "request is not pending", &[]),
    ("POST", "{gov}/requests/$decided/reject", "null", 409, "request is not pending", &[]),
    ("GET", "/api/v1/approval-connectors/none", "", 404, "connector not found", &[]),
    ("POST", "/api/v1/approval-connectors", "{}", 400, "name is required", &["/name"]),
    (
        "POST",
        "/api/v1/approval-connectors",
        r#"{"name": "a", "endpoint": "https://a.io", "type": "pigeon"}"#,
        400,
        "type must be one of webhook, slack, teams, jira, pagerduty",
        &["/type"],
    ),
    (
        "POST",
        "/api/v1/approval-connectors",
        r#"{"name": "a", "endpoint": "https://a.io", "timeout_seconds": 121}"#,
        400,
        "timeout_seconds must be between 1 and 120",
        &["/timeout_seconds"],
    ),
    // Models.
    ("POST", "{llm}/chat/completions", r#"{"messages": []}"#, 400, "model is required", &["/model"]),
    (
        "POST",
        "{llm}/chat/completions",
        r#"{"model": "gpt-99", "messages": []}"#,
        404,
        "no provider found for model \"gpt-99\"",
        &[],
    ),
    (
        "POST",
        "{llm}/chat/completions",
        r#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}"#,
        502,
        "provider request failed…",
        &[],
    ),
    // The rest.
    ("GET", "{api}/catalog/none", "", 404, "catalog entry not found", &[]),
    ("GET", "{api}/catalog/none/versions", "", 404, "catalog entry not found", &[]),
    ("GET", "{api}/catalog/a/b/c", "", 400, "invalid catalog path", &[]),
    ("POST", "{api}/actions/validate", "{}", 400, "…", &["/actions"]),
    ("POST", "{api}/auth/api-keys", "{}", 400, "name is required", &["/name"]),
    ("DELETE", "{api}/auth/api-keys/none", "", 404, "API key \"none\" not found", &[]),
    ("POST", "{api}/auth/api-keys/none/rotate", "", 404, "API key \"none\" not found", &[]),
    ("POST", "{api}/billing/setup-intent", "{}", 501, "…", &[]),
];

/// The code of a status; fields that are wrong have one of their own.
fn code(status: u16, pointers: &[&str]) -> &'static str {
    match status {
        400 if pointers.is_empty() => "bad_request",
        400 => "invalid_fields",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        409 => "conflict",
        500 => "failed",
        501 => "not_implemented",
        502 => "bad_gateway",
        _ => unreachable!("{status}"),
    }
}

/// Every path that a row stands for.
fn paths(path: &str) -> Vec<String> {
    let spellings: [(&str, &[&str]); 4] = [
        ("{api}", &["/api", "/api/v1"]),
        ("{gov}", &["/governance", "/api/v1/approvals"]),
        ("{runs}", &["/runs", "/api/v1/runs"]),
        ("{llm}", &["/v1", "/api/v1", "/api/v1/v1"]),
    ];
    match spellings.iter().find(|(mark, _)| path.starts_with(mark)) {
        Some((mark, prefixes)) => prefixes.iter().map(|prefix| path.replacen(mark, prefix, 1)).collect(),
        None => vec![path.to_string()],
    }
}

fn is_like(found: &str, documented: &str) -> bool {
    match documented.split_once('…') {
        Some((before, after)) => {
            found.len() > before.len() + after.len() && found.starts_with(before) && found.ends_with(after)
        }
        None => found == documented,
    }
}

/// What a refusal is whatever it is about; and what it never says: SQL, what an operating system says, a path, a secret.
#[track_caller]
fn is_sound(reply: &Reply, at: &str) -> Value {
    assert_eq!(reply.header("content-type"), "application/json", "{at}");
    let body = reply.json();
    let (id, error) = (body["request_id"].as_str().unwrap_or_default(), body["error"].as_str().unwrap_or_default());
    assert!(!id.is_empty() && id == reply.header("x-request-id"), "{at}: {body}");
    assert!(!error.is_empty() && !error.contains('\n') && body["code"].is_string(), "{at}: {body}");
    let said = reply.text().to_lowercase();
    let never = [
        "sql",
        "select ",
        "insert into",
        "constraint",
        "syntax error at",
        "pool",
        "os error",
        "errno",
        "no such file",
        "panicked",
        "stack",
        ".rs:",
        "/tmp",
        "/var/",
        "/home",
        "/target/",
        "/src/",
        KEY,
        "hush",
        "127.0.0.1",
        "localhost",
    ];
    let slip = never.iter().find(|word| said.contains(**word));
    assert!(slip.is_none(), "{at} says {slip:?}: {body}");
    body
}

/// What the rows are about, by the names that they use.
async fn prepared(platform: &Platform) -> BTreeMap<&'static str, String> {
    let tool = json!({"name": "stripe-api", "base_url": "https://api.stripe.com", "auth_type": "APIKey",
        "credentials": {"api_key": "hush"}});
    platform.post("/api/tools", tool).await.expect(201);
    let provider = json!({"name": "main", "provider": "openai", "endpoint": "http://127.0.0.1:9",
        "models": ["gpt-4o-mini"], "credentials": {"api_key": "hush"}});
    platform.post("/api/model-providers", provider).await.expect(201);
    platform.post("/api/deploy", json!({"agent_name": "payer", "image": "registry.example/x:1"})).await.expect(201);
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_string();
    let run = async || {
        let body = json!({"agent_id": "payer", "user_id": "alice"});
        text(&platform.post("/runs", body).await.expect(201), "id")
    };
    let mut known = BTreeMap::from([("$run", run().await), ("$paused", run().await), ("$done", run().await)]);
    let action = json!({"tool_id": "stripe-api", "payload_hash": "sha256:a"});
    let action = platform.post(&format!("/runs/{}/actions", known["$paused"]), action).await.expect(201);
    known.insert("$action", text(&action, "action_id"));
    let done = format!("/runs/{}", known["$done"]);
    let approved = platform.post(&format!("{done}/actions"), json!({"tool_id": "stripe-api"})).await.expect(201);
    known.insert("$approved", text(&approved, "action_id"));
    platform.post(&format!("{done}/actions/{}/approve", known["$approved"]), json!({})).await.expect(200);
    platform.call("PATCH", &done, Some(json!({"status": "COMPLETED"}))).await.expect(200);
    let request = json!({"subject": "alice", "tool_id": "stripe-api", "agent_id": "payer"});
    let request = text(&platform.post("/governance/requests", request).await.expect(201), "id");
    platform.post(&format!("/governance/requests/{request}/approve"), json!({})).await.expect(200);
    known.insert("$decided", request);
    known.insert("$draft", text(&platform.post("/api/v1/deploy-drafts", json!({})).await.expect(201), "id"));
    known
}

async fn every_documented_refusal_is_as_documented(platform: Platform) {
    let platform = platform.with(|config| config.gateway.tries = 1).await;
    let known = prepared(&platform).await;
    let fill = |text: &str| known.iter().fold(text.to_string(), |text, (name, value)| text.replace(name, value));
    let mut problems = Vec::new();
    for (method, path, body, status, text, pointers) in ROWS {
        for path in paths(path) {
            let at = format!("{method} {path} {body}");
            let body = if body.is_empty() { Body::empty() } else { Body::from(fill(body)) };
            let request = Request::builder().method(*method).uri(fill(&path));
            let request = request.header("authorization", format!("Bearer {KEY}")).body(body).unwrap();
            let reply = platform.send(request).await;
            if reply.status.is_success() {
                problems.push(format!("{at}\n  documented {status} {text:?}\n  {} {}", reply.status, reply.text()));
                continue;
            }
            let said = is_sound(&reply, &at);
            let errors = said.get("errors").map(|errors| errors.as_array().unwrap().as_slice()).unwrap_or_default();
            let found: Vec<_> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
            let is_as_documented = reply.status.as_u16() == *status
                && is_like(said["error"].as_str().unwrap(), text)
                && said["code"] == code(*status, pointers)
                && found == *pointers
                && errors.iter().all(|error| error["message"].as_str().is_some_and(|text| !text.is_empty()));
            if !is_as_documented {
                problems.push(format!("{at}\n  documented {status} {text:?} {pointers:?}\n  {} {said}", reply.status));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

async fn who_may_not_is_told_so_and_nothing_else(platform: Platform) {
    let known = prepared(&platform).await;
    let nobody = platform.as_caller("ra_live_somebody-elses-key-of-some-length");
    for (method, path, ..) in ROWS.iter().filter(|(_, path, ..)| !path.contains("nowhere")) {
        for path in paths(path) {
            let reply = nobody.call(method, &path, Some(json!({}))).await;
            let at = format!("{method} {path}");
            assert_eq!(reply.status, 401, "{at}: {}", reply.text());
            let said = is_sound(&reply, &at);
            assert_eq!((&said["code"], reply.header("www-authenticate")), (&json!("unauthorized"), "Bearer"), "{at}");
        }
    }
    let reader = json!({"name": "k", "scopes": ["read"]});
    let reader = platform.post("/api/v1/auth/api-keys", reader).await.expect(201);
    let reader = platform.as_caller(reader["token"].as_str().unwrap());
    let draft = format!("/api/v1/deploy-drafts/{}", known["$draft"]);
    for (method, path, text) in [
        ("POST", "/api/tools", "this API key lacks the scope `write`"),
        ("DELETE", "/api/tools/stripe-api", "this API key lacks the scope `write`"),
        ("POST", "/api/deploy", "this API key lacks the scope `deploy`"),
        ("POST", "/api/v1/agents/payer/invoke", "this API key lacks the scope `deploy`"),
        ("POST", "/governance/requests/x/approve", "this API key lacks the scope `approve`"),
        ("GET", "/api/v1/auth/api-keys", "this API key lacks the scope `admin`"),
        ("GET", draft.as_str(), "this draft is somebody else's"),
        ("GET", "/api/v1/workspaces/other/tools", "this API key does not open the workspace \"other\""),
    ] {
        let reply = reader.call(method, path, Some(json!({"name": "t", "base_url": "https://a.io"}))).await;
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.text());
        let said = is_sound(&reply, path);
        assert_eq!((&said["code"], &said["error"]), (&json!("forbidden"), &json!(text)), "{method} {path}");
    }
}

async fn an_error_of_ours_says_nothing_of_the_store(platform: Platform) {
    let known = prepared(&platform).await;
    // Keys are known for a while, and then nothing answers any more.
    platform.get("/api/tools").await.expect(200);
    platform.app.store().close().await;
    let run = format!("/runs/{}", known["$run"]);
    for path in ["/api/tools", "/api/v1/agents/payer", "/api/v1/policies", "/api/v1/runs", "/governance/requests", &run]
    {
        let reply = platform.get(path).await;
        assert_eq!(reply.status, 500, "{path}: {}", reply.text());
        let said = is_sound(&reply, path);
        assert_eq!((&said["error"], &said["code"]), (&json!("internal error"), &json!("internal")), "{path}");
    }
    let deploy = json!({"agent_name": "a", "image": "registry.example/x:1"});
    assert_eq!(is_sound(&platform.post("/api/deploy", deploy).await, "deploy")["error"], "internal error");
    let ready = platform.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    is_sound(&ready, "/readyz");
}

/// A store that does not take one kind of documents breaks a deploy in its middle.
#[tokio::test]
async fn what_a_deploy_cannot_keep_is_said_in_the_documents_words_and_nothing_is_kept() {
    use sqlx::{Connection, SqliteConnection};
    let (platform, file) = Platform::in_file().await;
    let mut store = SqliteConnection::connect(file.to_str().unwrap()).await.unwrap();
    let deploy = json!({"agent_name": "a", "image": "registry.example/x:1",
        "tools_to_create": [{"name": "t", "base_url": "https://a.io"}]});
    for (kind, text) in [("tool", "failed to create tool \"t\": …"), ("agent", "failed to create agent: …")] {
        let trigger = format!(
            "create trigger broken before insert on document when new.kind = '{kind}' \
             begin select raise(abort, 'broken by the test'); end"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut store).await.unwrap();
        for path in paths("{api}/deploy") {
            let reply = platform.post(&path, deploy.clone()).await;
            assert_eq!(reply.status, 500, "{}", reply.text());
            let said = is_sound(&reply, &path);
            assert!(is_like(said["error"].as_str().unwrap(), text), "{said}");
            assert!(said["code"] == "failed" && !reply.text().contains("broken"), "{said}");
        }
        sqlx::raw_sql("drop trigger broken").execute(&mut store).await.unwrap();
        for path in ["/api/tools", "/api/agents", "/api/v1/policies"] {
            assert_eq!(platform.get(path).await.expect(200), json!([]), "{path}");
        }
    }
    platform.post("/api/deploy", deploy).await.expect(201);
}
