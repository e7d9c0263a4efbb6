//! Two started binaries over one PostgreSQL answer as one would: whichever is asked, and whichever is restarted.

mod binary;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{HeaderMap, Request};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use ingestion_server::web::outbound::OutboundError;
use ingestion_server::web::{Outbound, World};
use platform_api::auth::first_key;
use platform_api::store::{SealingKeys, Store, create_schema};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use binary::{KEY, Platform};

/// Requests of a key a minute, where a test is about that.
const LIMIT: usize = 100;

/// Who writes while replicas are restarted.
const WRITERS: usize = 8;

fn sealing_key() -> String {
    BASE64_STANDARD.encode([7; 32])
}

/// A database that nothing is in yet.
async fn database(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test runner says where the server is")]
    let url = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL; `cargo xtask test` sets it");
    let schema = format!("replicas_{name}_{}", std::process::id());
    let url = format!("{url}?options=-csearch_path%3D{schema}");
    create_schema(&url, &schema).await.unwrap();
    url
}

/// One more process over a database; `change` says what else is different.
async fn start(name: String, database: &str, change: fn(&mut Command)) -> Platform {
    let database = database.to_string();
    let started = move || {
        Platform::start(&name, |command| {
            command.env("DATABASE_URL", &database).env("PLATFORM_SEALING_KEY", sealing_key());
            change(command);
        })
    };
    tokio::task::spawn_blocking(started).await.unwrap()
}

/// Ends a process as a service manager does, and waits for its end.
async fn end(mut platform: Platform) {
    let ended = move || {
        assert!(Command::new("kill").arg(platform.child.id().to_string()).status().unwrap().success());
        assert_eq!(platform.child.wait().unwrap().code(), Some(0));
    };
    tokio::task::spawn_blocking(ended).await.unwrap();
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    #[track_caller]
    fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Whoever asks, with a key.
#[derive(Clone)]
struct Client {
    http: Outbound,
    key: String,
}

impl Client {
    fn with(key: &str) -> Client {
        Client { http: Outbound::plain(), key: key.into() }
    }

    async fn ask(
        &self,
        address: &str,
        method: &str,
        path: &str,
        once: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, OutboundError> {
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let request = Request::builder().method(method).uri(format!("{address}{path}"));
        let mut request = request.header("authorization", format!("Bearer {}", self.key));
        if let Some(key) = once {
            request = request.header("idempotency-key", key);
        }
        let answer = self.http.send(request.body(Full::new(body)).unwrap(), Duration::from_secs(60), 8 << 20).await?;
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, text })
    }

    async fn get(&self, at: &Platform, path: &str) -> Reply {
        self.ask(&at.address, "GET", path, None, None).await.unwrap()
    }

    async fn post(&self, at: &Platform, path: &str, body: Value) -> Reply {
        self.ask(&at.address, "POST", path, None, Some(&body)).await.unwrap()
    }
}

/// Two processes over one database.
async fn two(name: &str, change: fn(&mut Command)) -> [Platform; 2] {
    let database = database(name).await;
    let [one, two] = [1, 2].map(|n| format!("replicas-{name}-{n}"));
    // Both at once: one makes the tables, and both know them.
    let (one, two) = tokio::join!(start(one, &database, change), start(two, &database, change));
    [one, two]
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
async fn the_first_start_of_two_at_once_makes_one_key() {
    let url = database("first").await;
    let fresh = |command: &mut Command| {
        command.env_remove("PLATFORM_API_KEY");
    };
    let [one, two] = ["replicas-first-1", "replicas-first-2"].map(String::from);
    let keys = SealingKeys::parse("test", &sealing_key()).unwrap();
    let store = Store::postgres(&url, 8, keys).await.unwrap();
    let mut starting = JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        starting.spawn(async move { first_key(&store, &World::Real, None).await.unwrap().is_some() });
    }
    let made: Vec<bool> = starting.join_all().await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let (one, two) = tokio::join!(start(one, &url, fresh), start(two, &url, fresh));
    assert_eq!(store.read().await.unwrap().count_keys().await.unwrap(), 1);
    drop((one, two));
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
async fn what_one_is_told_the_other_knows() {
    let [one, two] = two("known", |_| {}).await;
    let operator = Client::with(KEY);

    // Keys: made at one, they open the other; taken away, they open neither, after a second at most.
    let fresh = operator.post(&one, "/api/v1/auth/api-keys", json!({"name": "ci"})).await.expect(201);
    let caller = Client::with(fresh["token"].as_str().unwrap());
    caller.get(&two, "/api/tools").await.expect(200);
    let key = format!("/api/v1/auth/api-keys/{}", fresh["key"]["id"].as_str().unwrap());
    let rotated = operator.post(&one, &format!("{key}/rotate"), json!({})).await.expect(200);
    caller.get(&one, "/api/tools").await.expect(401);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    caller.get(&two, "/api/tools").await.expect(401);
    let caller = Client::with(rotated["token"].as_str().unwrap());

    // Resources, and secrets that one sealed.
    let tool = json!({"name": "stripe-api", "base_url": "https://api.stripe.com", "auth_type": "APIKey",
        "credentials": {"api_key": "a-key-of-the-tests"}});
    caller.post(&one, "/api/tools", tool).await.expect(201);
    assert_eq!(caller.get(&two, "/api/tools/stripe-api").await.expect(200)["status"]["phase"], "Pending");
    let deploy = json!({"name": "payer", "files": {"agent.py": "import requests\nrequests.get('https://api.stripe.com/v1/charges')\n"}});
    caller.post(&two, "/api/deploy", deploy).await.expect(200);
    let seen = [caller.get(&one, "/api/v1/agents/payer").await, caller.get(&two, "/api/v1/agents/payer").await];
    assert_eq!(seen[0].expect(200), seen[1].expect(200));
    assert_eq!(seen[0].expect(200)["required_tools"], json!(["stripe-api"]));

    // An analysis by its id.
    let files =
        json!({"files": {"agent.py": "import os, requests\nrequests.post(os.environ['TOOL_ECHO_TOOL_URL'])\n"}});
    let made = caller.post(&one, "/ingestion/analyze", files).await;
    let path = format!("/analysis/{}", made.expect(201)["id"].as_str().unwrap());
    for replica in [&one, &two] {
        let found = caller.get(replica, &path).await;
        found.expect(200);
        assert_eq!(found.text, made.text);
    }
    // Another workspace does not find it, whichever is asked.
    for replica in [&one, &two] {
        let elsewhere = format!("/api/v1/workspaces/other{path}");
        assert_eq!(operator.get(replica, &elsewhere).await.expect(404)["error"], "analysis not found");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
async fn a_limit_is_that_of_both_together_to_the_last_request() {
    let limited = |command: &mut Command| {
        command.env("PLATFORM_LIMITS_REQUESTS_PER_MINUTE", LIMIT.to_string());
    };
    let [one, two] = two("limits", limited).await;
    let operator = Client::with(KEY);
    let fresh = operator.post(&one, "/api/v1/auth/api-keys", json!({"name": "ci"})).await;
    // `"key";r=95;t=37`: so many seconds are left of the clock's minute.
    let left = |reply: &Reply| reply.header("ratelimit").rsplit("t=").next().unwrap().parse::<u64>().unwrap();
    if left(&fresh) < 30 {
        tokio::time::sleep(Duration::from_secs(left(&fresh) + 1)).await;
    }
    let caller = Client::with(fresh.expect(201)["token"].as_str().unwrap());

    let mut askers = JoinSet::new();
    for n in 0..16 {
        let (caller, address) = (caller.clone(), [&one, &two][n % 2].address.clone());
        askers.spawn(async move {
            let mut granted = 0;
            loop {
                let reply = caller.ask(&address, "GET", "/api/tools", None, None).await.unwrap();
                match reply.status {
                    200 => granted += 1,
                    429 => return (n % 2, granted, reply),
                    _ => panic!("{}", reply.text),
                }
            }
        });
    }
    let mut by_replica = [0, 0];
    while let Some(asker) = askers.join_next().await {
        let (replica, granted, refused) = asker.unwrap();
        by_replica[replica] += granted;
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait) && wait == left(&refused), "{:?}", refused.headers);
        assert!(refused.header("ratelimit").contains("r=0;"), "{:?}", refused.headers);
    }
    assert_eq!(by_replica[0] + by_replica[1], LIMIT, "{by_replica:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
async fn a_repeated_request_has_its_effect_once_whichever_is_asked() {
    let replicas = two("once", |_| {}).await;
    let client = Client::with(KEY);
    let body = json!({"agent_id": "payer", "user_id": "alice"});
    let mut askers = JoinSet::new();
    for n in 0..20 {
        let (client, address, body) = (client.clone(), replicas[n % 2].address.clone(), body.clone());
        askers.spawn(async move { client.ask(&address, "POST", "/runs", Some("one-run"), Some(&body)).await.unwrap() });
    }
    let mut ids = BTreeSet::new();
    while let Some(reply) = askers.join_next().await {
        let reply = reply.unwrap();
        match reply.status {
            409 => assert!(reply.text.contains("still being answered"), "{}", reply.text),
            _ => drop(ids.insert(reply.expect(201)["id"].as_str().unwrap().to_string())),
        }
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    for replica in &replicas {
        let again = client.ask(&replica.address, "POST", "/runs", Some("one-run"), Some(&body)).await.unwrap();
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.expect(201)["id"].as_str(), ids.first().map(String::as_str));
        let other = json!({"agent_id": "payer", "user_id": "bob"});
        client.ask(&replica.address, "POST", "/runs", Some("one-run"), Some(&other)).await.unwrap().expect(422);
        assert_eq!(client.get(replica, "/runs").await.expect(200).as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
async fn a_decision_at_one_is_the_others_too() {
    let [one, two] = two("decided", |_| {}).await;
    let client = Client::with(KEY);
    let ask = async || {
        let run = client.post(&one, "/runs", json!({"agent_id": "payer", "user_id": "alice"})).await.expect(201);
        let body = json!({"subject": "alice", "tool_id": "stripe-api", "run_id": run["id"]});
        let request = client.post(&two, "/governance/requests", body).await.expect(201);
        let path = |of: &str, id: &Value| format!("{of}/{}", id.as_str().unwrap());
        (path("/governance/requests", &request["id"]), path("/runs", &run["id"]))
    };
    let (request, run) = ask().await;
    assert_eq!(client.get(&one, &run).await.expect(200)["status"], "PAUSED_APPROVAL");
    client.post(&one, &format!("{request}/approve"), json!({})).await.expect(200);
    assert_eq!(client.get(&two, &request).await.expect(200)["status"], "APPROVED");
    assert_eq!(client.get(&two, &run).await.expect(200)["status"], "RUNNING");
    let late = client.post(&two, &format!("{request}/reject"), json!({})).await.expect(409);
    assert_eq!(late["error"], "request is not pending");

    // Of two who decide at once, each at another, one is first.
    for _ in 0..10 {
        let (request, run) = ask().await;
        let (approve, reject) = (format!("{request}/approve"), format!("{request}/reject"));
        let (yes, no) = tokio::join!(client.post(&one, &approve, json!({})), client.post(&two, &reject, json!({})));
        let (status, of_run) = match (yes.status, no.status) {
            (200, 409) => ("APPROVED", "RUNNING"),
            (409, 200) => ("REJECTED", "FAILED"),
            _ => panic!("{} {}", yes.text, no.text),
        };
        for replica in [&one, &two] {
            assert_eq!(client.get(replica, &request).await.expect(200)["status"], status);
            assert_eq!(client.get(replica, &run).await.expect(200)["status"], of_run);
            let events = client.get(replica, &format!("{run}/events")).await.expect(200);
            let kinds: Vec<_> = events.as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
            assert_eq!(kinds, ["APPROVAL_REQUIRED", status]);
        }
    }
}

/// What writers share: where replicas are, and what these acknowledged.
struct Shared {
    addresses: Mutex<[String; 2]>,
    is_over: AtomicBool,
    count: AtomicUsize,
}

impl Shared {
    /// Sends until one of the two has answered. Whoever does not know what became of a request sends it again, as the
    /// same one.
    async fn send(&self, client: &Client, path: &str, once: &str, body: &Value) -> Value {
        for attempt in 0.. {
            assert!(attempt < 500, "{path} is answered by nobody");
            let address = self.addresses.lock().unwrap()[attempt % 2].clone();
            match client.ask(&address, "POST", path, Some(once), Some(body)).await {
                Ok(reply) if reply.status == 201 => return reply.expect(201),
                // Being answered by the other at this moment.
                Ok(reply) if reply.status == 409 && reply.text.contains("still being answered") => {}
                Ok(reply) => panic!("{path}: {} {}", reply.status, reply.text),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        unreachable!("it ends sooner")
    }

    /// Until so many more requests were acknowledged.
    async fn wait_for(&self, more: usize) {
        let until = self.count.load(Ordering::SeqCst) + more;
        while self.count.load(Ordering::SeqCst) < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Writes events of one run, and gives the run with what was acknowledged.
async fn write(shared: Arc<Shared>, writer: usize) -> (String, Vec<String>) {
    let client = Client::with(KEY);
    let run = json!({"agent_id": "payer", "user_id": format!("user-{writer}")});
    let run = shared.send(&client, "/runs", &format!("run-{writer}"), &run).await["id"].as_str().unwrap().to_string();
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if shared.is_over.load(Ordering::SeqCst) {
            break;
        }
        let event = json!({"type": "USER_MESSAGE", "actor": format!("{writer}-{n}")});
        let path = format!("/runs/{run}/events");
        let event = shared.send(&client, &path, &format!("event-{writer}-{n}"), &event).await;
        acknowledged.push(event["actor"].as_str().unwrap().to_string());
        shared.count.fetch_add(1, Ordering::SeqCst);
    }
    (run, acknowledged)
}

#[tokio::test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
async fn a_rolling_restart_loses_nothing_and_does_nothing_twice() {
    let url = database("rolling").await;
    let name = |n: usize| format!("replicas-rolling-{n}");
    let mut replicas = Vec::new();
    for n in 0..2 {
        replicas.push(start(name(n), &url, |_| {}).await);
    }
    let addresses = [replicas[0].address.clone(), replicas[1].address.clone()];
    let (is_over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let shared = Arc::new(Shared { addresses: Mutex::new(addresses), is_over, count });
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&shared), writer));
    }
    for round in 0..4 {
        shared.wait_for(100).await;
        end(replicas.remove(0)).await;
        // Alone, the other goes on.
        shared.wait_for(100).await;
        let again = start(name(round + 2), &url, |_| {}).await;
        shared.addresses.lock().unwrap()[round % 2] = again.address.clone();
        replicas.push(again);
    }
    shared.wait_for(100).await;
    shared.is_over.store(true, Ordering::SeqCst);
    let mut runs = BTreeMap::new();
    while let Some(writer) = writers.join_next().await {
        let (run, acknowledged) = writer.unwrap();
        runs.insert(run, acknowledged);
    }
    assert_eq!(runs.len(), WRITERS);
    let client = Client::with(KEY);
    for replica in &replicas {
        for (run, acknowledged) in &runs {
            let events = client.get(replica, &format!("/runs/{run}/events")).await.expect(200);
            let events = events.as_array().unwrap();
            let actors: Vec<_> = events.iter().map(|event| event["actor"].as_str().unwrap().to_string()).collect();
            assert_eq!(&actors, acknowledged);
            let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
            assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
        }
    }
}
