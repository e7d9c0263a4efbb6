//! Models through the platform: who is asked, with what, what comes back, and what it may cost. Providers are local
//! stand-ins that speak their formats.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use platform_api::gateway::budget::Exhausted;
use platform_api::gateway::tokens;
use platform_api::store::BudgetKey;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tower::ServiceExt;

use crate::support::{KEY, Platform, on_both_engines};

/// A provider's stand-in: what it was sent, and where it is.
struct Stub {
    address: String,
    seen: Seen,
}

/// Paths, headers and bodies.
type Seen = Arc<Mutex<Vec<(String, axum::http::HeaderMap, Value)>>>;

type Answering = Arc<dyn Fn(usize) -> Response<Body> + Send + Sync>;

impl Stub {
    async fn start(answer: impl Fn(usize) -> Response<Body> + Send + Sync + 'static) -> Stub {
        let seen = Seen::default();
        let state: (Seen, Answering) = (Arc::clone(&seen), Arc::new(answer));
        let router = Router::new().fallback(stand_in).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Stub { address, seen }
    }

    async fn saying(body: Value) -> Stub {
        Stub::start(move |_| Response::new(Body::from(body.to_string()))).await
    }

    fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(path, ..)| path.clone()).collect()
    }
}

async fn stand_in(State((seen, answer)): State<(Seen, Answering)>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let count = {
        let mut seen = seen.lock().unwrap();
        seen.push((parts.uri.to_string(), parts.headers, body));
        seen.len()
    };
    answer(count)
}

fn completion() -> Value {
    json!({"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "x": 1,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}})
}

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

impl Platform {
    async fn provider(&self, name: &str, api: &str, stub: &Stub, more: Value) {
        let mut body = json!({"name": name, "provider": api, "endpoint": stub.address, "models": ["gpt-4o-mini"],
            "credentials": {"api_key": "the-providers-key"}});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.post("/api/model-providers", body).await.expect(201);
    }

    /// An agent with a budget, and the path at which it finds the gateway.
    async fn agent(&self, name: &str, budget_usd: Option<f64>) -> String {
        let mut model = json!({"provider": "openai", "model": "gpt-4o-mini", "role": "chat"});
        if let Some(budget) = budget_usd {
            model["monthly_budget_usd"] = budget.into();
        }
        let body = json!({"agent_name": name, "image": "registry.example/x:1", "llm_configs": [model]});
        self.post("/api/deploy", body).await.expect(201);
        let mut tx = self.app.store().begin().await.unwrap();
        let token = tokens::issue(&mut tx, "default", name).await.unwrap();
        tx.commit().await.unwrap();
        format!("{}/{name}/{token}", tokens::PREFIX)
    }
}

async fn the_providers_key_is_sent_and_the_callers_is_not(platform: Platform) {
    let stub = Stub::saying(completion()).await;
    platform.provider("main", "openai", &stub, json!({})).await;
    for prefix in ["/v1", "/api/v1", "/api/v1/v1"] {
        let reply = platform.post(&format!("{prefix}/chat/completions"), hello("gpt-4o-mini")).await;
        assert_eq!(reply.expect(200), completion(), "an answer in the caller's own format is not touched");
        assert!(reply.header("x-gateway-overhead-us").parse::<u64>().is_ok());
    }
    for (path, headers, body) in stub.seen.lock().unwrap().iter() {
        assert_eq!(path, "/v1/chat/completions");
        assert_eq!(headers["authorization"], "Bearer the-providers-key");
        assert!(!format!("{headers:?}").contains(KEY));
        assert_eq!(*body, hello("gpt-4o-mini"));
    }
    let listed = platform.get("/v1/models").await.expect(200);
    assert_eq!(listed["data"][0]["id"], "gpt-4o-mini");
    // What was asked with a key is nobody's agent's, and counted all the same.
    let spend = platform.get("/api/v1/model-spend").await.expect(200);
    assert_eq!(spend["top_models"][0]["estimated_spend_usd"], 135.0 / 1e6);
}

async fn what_cannot_be_asked_is_refused_in_documented_words(platform: Platform) {
    let refused = |reply: crate::support::Reply, status| reply.refused(status);
    let path = "/v1/chat/completions";
    assert_eq!(refused(platform.post(path, json!({"messages": []})).await, 400), "model is required");
    assert_eq!(refused(platform.post(path, hello("m")).await, 404), "no provider found for model \"m\"");
    let stub = Stub::start(|count| {
        let (status, body) = match count {
            1 => (400, json!({"error": {"message": "bad key the-providers-key"}}).to_string()),
            2 => (200, "<html>".to_string()),
            _ => (429, json!({"error": "slow down"}).to_string()),
        };
        Response::builder().status(status).header("retry-after", "7").body(Body::from(body)).unwrap()
    })
    .await;
    platform.provider("main", "openai", &stub, json!({})).await;
    let ask = || platform.post(path, hello("gpt-4o-mini"));
    let said = refused(ask().await, 502);
    assert_eq!(said, "provider request failed: the provider answered 400: bad key ********");
    assert_eq!(refused(ask().await, 502), "provider request failed: the answer is no JSON");
    let busy = ask().await;
    assert_eq!(busy.header("retry-after"), "7");
    assert_eq!(refused(busy, 429), "provider request failed: the provider answered 429: slow down");
    let words = platform.post("/v1/messages", hello("m")).await.expect(404);
    assert_eq!(words["error"]["type"], "not_found_error");
}

async fn an_agent_is_known_by_its_secret_path_whatever_its_client_appends(platform: Platform) {
    let stub = Stub::saying(completion()).await;
    platform.provider("main", "openai", &stub, json!({})).await;
    let base = platform.agent("desk", None).await;
    let nobody = |method: &str, path: String, body: Value| {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.to_string())).unwrap();
        platform.send(request)
    };
    for rest in [
        "",
        "/v1",
        "/chat/completions",
        "/v1/chat/completions",
        "/v1/v1/chat/completions",
        "/v1/p/main/chat/completions",
    ] {
        let reply = nobody("POST", format!("{base}{rest}"), hello("gpt-4o-mini")).await;
        assert_eq!(reply.status, 200, "{rest}: {}", reply.text());
    }
    for rest in ["/healthz", "/v1/healthz", "/v1/models"] {
        assert_eq!(nobody("GET", format!("{base}{rest}"), json!({})).await.status, 200, "{rest}");
    }
    let pinned = nobody("POST", format!("{base}/v1/p/other/chat/completions"), hello("gpt-4o-mini")).await;
    assert_eq!(pinned.status, 404);
    // Neither another's token nor half of one opens.
    let other = platform.agent("other", None).await;
    let stolen = other.replace("/other/", "/desk/");
    let cut = &base[..base.len() - 1];
    for path in [stolen.as_str(), cut, "/agents-gateway/desk/default.", "/agents-gateway/desk/x"] {
        assert_eq!(nobody("POST", format!("{path}/v1"), hello("gpt-4o-mini")).await.status, 401, "{path}");
    }
    let shown = platform.get("/api/v1/agents/desk").await.text().to_string();
    assert!(!shown.contains(base.rsplit('.').next().unwrap()), "the token is shown nowhere");
    platform.delete("/api/v1/agents/desk").await.expect(200);
    assert_eq!(nobody("POST", format!("{base}/v1"), hello("gpt-4o-mini")).await.status, 401);
}

async fn every_caller_reaches_every_provider(platform: Platform) {
    let anthropic = Stub::saying(json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [{"type": "text", "text": "Hello."}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2}}))
    .await;
    platform.provider("a", "anthropic", &anthropic, json!({"models": ["claude"]})).await;
    let gemini =
        Stub::saying(json!({"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}],
        "embeddings": [{"values": [0.5]}]}))
        .await;
    platform.provider("g", "gemini", &gemini, json!({"models": ["gemini"]})).await;
    let bedrock = Stub::saying(json!({"results": [{"outputText": "Hello.", "completionReason": "FINISH"}]})).await;
    let aws = json!({"models": ["amazon.titan-text-lite-v1"], "auth": {"type": "AWSSignature", "awsConfig": {"region": "us-east-1"}},
        "credentials": {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "hush"}});
    platform.provider("b", "bedrock", &bedrock, aws).await;
    let ollama =
        Stub::saying(json!({"message": {"content": "Hello."}, "done": true, "prompt_eval_count": 1, "eval_count": 1}))
            .await;
    platform.provider("o", "ollama", &ollama, json!({"models": ["llama"], "credentials": null})).await;
    let openai = Stub::saying(completion()).await;
    platform.provider("p", "openai", &openai, json!({})).await;
    for model in ["claude", "gemini", "amazon.titan-text-lite-v1", "llama", "gpt-4o-mini"] {
        let chat = platform.post("/v1/chat/completions", hello(model)).await.expect(200);
        assert_eq!(chat["choices"][0]["message"]["content"], "Hello.", "{model}");
        let mut body = hello(model);
        body["max_tokens"] = 10.into();
        let message = platform.post("/v1/messages", body).await.expect(200);
        assert_eq!(message["content"][0]["text"], "Hello.", "{model}");
        let response = platform.post("/v1/responses", json!({"model": model, "input": "Hello"})).await.expect(200);
        assert_eq!(response["output"][0]["content"][0]["text"], "Hello.", "{model}");
    }
    assert_eq!(anthropic.paths(), ["/v1/messages"; 3]);
    let headers = anthropic.seen.lock().unwrap()[0].1.clone();
    assert_eq!(
        (headers["x-api-key"].as_bytes(), headers["anthropic-version"].as_bytes()),
        (&b"the-providers-key"[..], &b"2023-06-01"[..])
    );
    assert_eq!(gemini.paths(), ["/v1beta/models/gemini:generateContent"; 3]);
    assert_eq!(gemini.seen.lock().unwrap()[0].1["x-goog-api-key"], "the-providers-key");
    let signature = bedrock.seen.lock().unwrap()[0].1["authorization"].to_str().unwrap().to_string();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{signature}");
    assert!(!ollama.seen.lock().unwrap()[0].1.contains_key("authorization"));
    let vectors = platform.post("/v1/embeddings", json!({"model": "gemini", "input": "Hello"})).await.expect(200);
    assert_eq!(vectors["data"][0]["embedding"], json!([0.5]));
    let count = platform.post("/v1/messages/count_tokens", hello("gpt-4o-mini")).await.expect(200);
    assert!(count["input_tokens"].as_u64().unwrap() > 0);
}

async fn who_fails_is_asked_again_and_then_another_is(platform: Platform) {
    let fails = Stub::start(|_| Response::builder().status(503).body(Body::empty()).unwrap()).await;
    let works = Stub::saying(completion()).await;
    platform.provider("old", "openai", &works, json!({})).await;
    platform.world.advance(Duration::from_secs(1));
    platform.provider("new", "openai", &fails, json!({})).await;
    platform.post("/v1/chat/completions", hello("gpt-4o-mini")).await.expect(200);
    assert_eq!((fails.paths().len(), works.paths().len()), (3, 1), "the newest first, three times");
    // After five failures it is left alone.
    for _ in 0..3 {
        platform.post("/v1/chat/completions", hello("gpt-4o-mini")).await.expect(200);
    }
    assert!(fails.paths().len() <= 6, "{}", fails.paths().len());
    assert_eq!(works.paths().len(), 4);
}

async fn a_providers_limit_is_kept_by_all_replicas_together(platform: Platform) {
    let stub = Stub::saying(completion()).await;
    platform.provider("main", "openai", &stub, json!({"rateLimit": {"requestsPerMinute": 10}})).await;
    let replica = platform.clone().with(|_| {}).await;
    let mut granted = 0;
    for _ in 0..10 {
        for one in [&platform, &replica] {
            let reply = one.post("/v1/chat/completions", hello("gpt-4o-mini")).await;
            granted += usize::from(reply.status == 200);
            if reply.status != 200 {
                assert_eq!(reply.status, 429);
                assert!(reply.header("retry-after").parse::<u64>().unwrap() <= 60);
            }
        }
    }
    assert_eq!((granted, stub.paths().len()), (10, 10));
}

/// What one call of a thousand tokens is put aside for.
fn worst() -> i64 {
    let mut body = hello("gpt-4o-mini");
    body["max_tokens"] = 1_000.into();
    let price = llm_gateway::provider::PROVIDERS.find("openai", &"http://127.0.0.1:1".parse().unwrap()).unwrap();
    price.price("gpt-4o-mini").unwrap().worst(llm_gateway::meter::most_tokens(&body), 1_000, 1)
}

fn thousand_tokens(path: &str) -> Request<Body> {
    let mut body = hello("gpt-4o-mini");
    body["max_tokens"] = 1_000.into();
    Request::post(path).body(Body::from(body.to_string())).unwrap()
}

async fn a_budget_for_ten_admits_ten_of_a_thousand_calls_at_once(platform: Platform) {
    // Nobody is answered before everybody was refused or sent on.
    let (open, count) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let router = {
        let (open, count) = (Arc::clone(&open), Arc::clone(&count));
        Router::new().fallback(move || {
            let (open, count) = (Arc::clone(&open), Arc::clone(&count));
            async move {
                count.fetch_add(1, Ordering::Relaxed);
                open.acquire().await.unwrap().forget();
                Response::new(Body::from(completion().to_string()))
            }
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stub = Stub { address: format!("http://{}", listener.local_addr().unwrap()), seen: Arc::default() };
    tokio::spawn(async move { axum::serve(listener, router).await });
    platform.provider("main", "openai", &stub, json!({})).await;
    let budget = worst() * 10 + worst() / 2;
    let path = format!("{}/v1", platform.agent("desk", Some(budget as f64 / 1e6)).await);
    let replica = platform.clone().with(|_| {}).await;
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..1_000 {
        let router = if index % 2 == 0 { platform.router.clone() } else { replica.router.clone() };
        let request = thousand_tokens(&path);
        calls.spawn(async move { router.oneshot(request).await.unwrap().status().as_u16() });
    }
    for _ in 0..990 {
        assert_eq!(calls.join_next().await.unwrap().unwrap(), 403);
    }
    open.add_permits(10);
    while let Some(status) = calls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(count.load(Ordering::Relaxed), 10);
    // What they cost was less than feared: the rest of the budget is free again, in either replica.
    for one in [&platform, &replica] {
        one.app.gateway().ledger().write(true).await.unwrap();
    }
    let spend = platform.get("/api/v1/model-spend").await.expect(200);
    assert_eq!(spend["top_models"][0]["estimated_spend_usd"], 450.0 / 1e6);
    platform.world.advance(Duration::from_secs(1));
    open.add_permits(1);
    assert_eq!(platform.send(thousand_tokens(&path)).await.status, 200);
}

async fn what_one_call_counts_on_no_other_is_admitted_with(platform: Platform) {
    let ledger = platform.app.gateway().ledger();
    let (workspace, agent, model) = ("default".into(), "desk".into(), "gpt-4o-mini".into());
    let key = BudgetKey { workspace, month: 0, agent, model };
    let reserve = |worst| ledger.reserve(key.clone(), Some(100), worst);
    ledger.release(reserve(95).await.unwrap().unwrap());
    // The first has 95 at hand and asks the store for 5 more when the second comes.
    let (first, second) = tokio::join!(reserve(100), reserve(95));
    assert!(first.unwrap().is_ok());
    assert_eq!(second.unwrap().unwrap_err(), Exhausted);
}

async fn who_leaves_while_the_store_is_asked_takes_no_money_along(platform: Platform) {
    let ledger = platform.app.gateway().ledger();
    let (workspace, agent, model) = ("default".into(), "desk".into(), "gpt-4o-mini".into());
    let key = BudgetKey { workspace, month: 0, agent, model };
    ledger.release(ledger.reserve(key.clone(), Some(100), 95).await.unwrap().unwrap());
    tokio::select! {
        biased;
        _ = ledger.reserve(key.clone(), Some(100), 100) => panic!("the store answers at once"),
        () = std::future::ready(()) => {}
    }
    assert!(ledger.reserve(key, Some(100), 95).await.unwrap().is_ok());
}

async fn a_provider_that_hangs_up_on_a_request_is_paid_for_reading_it(platform: Platform) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stub = Stub { address: format!("http://{}", listener.local_addr().unwrap()), seen: Arc::default() };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1 << 12]).await.unwrap() > 0, "a request came");
    });
    platform.provider("main", "openai", &stub, json!({})).await;
    let path = format!("{}/v1", platform.agent("desk", Some(worst() as f64 / 1e6)).await);
    let said = platform.send(thousand_tokens(&path)).await.refused(502);
    assert_eq!(said, "provider request failed: the connection to the provider broke");
    let spend = platform.get("/api/v1/model-spend").await.expect(200);
    assert!(spend["top_models"][0]["estimated_spend_usd"].as_f64().unwrap() > 0.0, "{spend}");
}

async fn what_a_process_held_when_it_died_counts_as_spent(platform: Platform) {
    let stub = Stub::saying(completion()).await;
    platform.provider("main", "openai", &stub, json!({})).await;
    let path = format!("{}/v1", platform.agent("desk", Some(worst() as f64 * 1.5 / 1e6)).await);
    assert_eq!(platform.send(thousand_tokens(&path)).await.status, 200);
    // The next process knows nothing of what this one holds.
    let next = platform.clone().with(|_| {}).await;
    assert_eq!(next.send(thousand_tokens(&path)).await.status, 403);
    let said = next.send(thousand_tokens(&path)).await.refused(403);
    assert_eq!(said, "the monthly budget of agent \"desk\" for model \"gpt-4o-mini\" is used up");
}

async fn a_stream_passes_as_it_comes_and_ends_with_its_caller(platform: Platform) {
    let (gone, sent) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    struct Watch(Arc<Notify>);
    impl Drop for Watch {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let stub = {
        let (gone, sent) = (Arc::clone(&gone), Arc::clone(&sent));
        Stub::start(move |_| {
            let (watch, sent) = (Watch(Arc::clone(&gone)), Arc::clone(&sent));
            let chunk = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "x".repeat(1_000)}}]});
            let stream = futures_util::stream::repeat_with(move || {
                let _ = &watch;
                sent.fetch_add(1, Ordering::Relaxed);
                Ok::<_, std::io::Error>(format!("data: {chunk}\n\n"))
            });
            Response::new(Body::from_stream(stream))
        })
        .await
    };
    platform.provider("main", "openai", &stub, json!({})).await;
    let mut body = hello("gpt-4o-mini");
    body["stream"] = true.into();
    let request = Request::post("/v1/chat/completions").header("authorization", format!("Bearer {KEY}"));
    let response = platform.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
    let mut stream = response.into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: {\"id\":\"c\""));
    assert_eq!(stub.seen.lock().unwrap()[0].2["stream_options"], json!({"include_usage": true}));
    // A provider that never ends is read only as far as its caller reads, and let go with the caller.
    drop(stream);
    gone.notified().await;
    assert!(sent.load(Ordering::Relaxed) < 100_000);
    let spend = platform.get("/api/v1/model-spend").await.expect(200);
    assert!(spend["top_models"][0]["estimated_spend_usd"].as_f64().unwrap() > 0.0, "{spend}");
}

on_both_engines!(
    the_providers_key_is_sent_and_the_callers_is_not,
    what_cannot_be_asked_is_refused_in_documented_words,
    an_agent_is_known_by_its_secret_path_whatever_its_client_appends,
    every_caller_reaches_every_provider,
    who_fails_is_asked_again_and_then_another_is,
    a_providers_limit_is_kept_by_all_replicas_together,
    a_budget_for_ten_admits_ten_of_a_thousand_calls_at_once,
    what_one_call_counts_on_no_other_is_admitted_with,
    who_leaves_while_the_store_is_asked_takes_no_money_along,
    a_provider_that_hangs_up_on_a_request_is_paid_for_reading_it,
    what_a_process_held_when_it_died_counts_as_spent,
    a_stream_passes_as_it_comes_and_ends_with_its_caller,
);
