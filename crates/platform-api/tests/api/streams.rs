//! Streams: an answer as it is made, and taken up again.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use axum::routing::post;
use futures_util::stream;
use http_body_util::BodyExt;
use platform_api::jobs;
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::staged::{deploy, runs};
use crate::support::{KEY, Platform, on_both_engines};

on_both_engines!(
    an_answer_is_heard_as_it_is_made,
    whoever_comes_back_goes_on_after_what_they_heard,
    a_stream_that_was_cut_off_says_so,
    what_an_agent_says_of_its_failure_is_the_last_event,
);

/// An agent that says one word for each step of the gate.
fn speaking(words: &'static [&'static str], gate: watch::Receiver<usize>) -> Router {
    let say = move || {
        let gate = gate.clone();
        let body = stream::unfold((gate, 0), move |(mut gate, n)| async move {
            let word = words.get(n)?;
            gate.wait_for(|open| *open > n).await.ok()?;
            Some((Ok::<_, std::io::Error>(format!("data: {word}\n\n")), (gate, n + 1)))
        });
        async { Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(body)).unwrap() }
    };
    Router::new().route("/invoke/stream", post(say))
}

const WORDS: &[&str] = &[
    r#"{"type":"content","delta":"One, "}"#,
    r#"{"type":"tool_call","tool":"crm","arguments":""}"#,
    r#"{"type":"content","delta":"two, "}"#,
    r#"{"type":"content","delta":"three."}"#,
    r#"{"type":"done"}"#,
    "[DONE]",
];

/// The events of a text: id, name, data.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let one = |part: &str| {
        let field = |name: &str| {
            let line = part.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{part}")).to_string()
        };
        (field("id: "), field("event: "), serde_json::from_str(&field("data: ")).unwrap())
    };
    text.split("\n\n").filter(|part| !part.is_empty()).map(one).collect()
}

fn request(last: Option<&str>) -> Request<Body> {
    let mut request = Request::get("/v1/agents/support/stream?query=count&session_id=s-1");
    request = request.header("authorization", format!("Bearer {KEY}")).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.body(Body::empty()).unwrap()
}

async fn hear(platform: &Platform, last: Option<&str>) -> Vec<(String, String, Value)> {
    let reply = platform.send(request(last)).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "text/event-stream"), "{}", reply.text());
    events(reply.text())
}

async fn an_answer_is_heard_as_it_is_made(platform: Platform) {
    deploy(&platform, "support").await;
    let (open, gate) = watch::channel(0);
    let platform = runs(&platform, "one", speaking(WORDS, gate)).await;
    let mut body = platform.router.clone().oneshot(request(None)).await.unwrap().into_body();
    let mut next = async || {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        events(std::str::from_utf8(&frame).unwrap())
    };
    // Each is heard before the agent may say the next.
    assert_eq!(next().await[0].2, json!({"message": "Stream started", "session_id": "s-1"}));
    open.send(1).unwrap();
    assert_eq!(next().await[0].2, json!({"content": "One, ", "index": 0}));
    open.send(3).unwrap();
    assert_eq!(next().await[0].2, json!({"content": "two, ", "index": 1}));
    open.send(9).unwrap();
    let mut rest = next().await;
    while rest.last().unwrap().1 != "done" {
        rest.extend(next().await);
    }
    assert_eq!(rest[0].2, json!({"content": "three.", "index": 2}));
    let done = &rest[1].2;
    assert_eq!((&done["message"], &done["usage"]["total_tokens"]), (&json!("Stream completed"), &json!(0)));
    assert!(done["execution_time"].is_number(), "{done}");

    let posted = platform.post("/v1/agents/support/stream", json!({"query": "again"})).await;
    let names: Vec<String> = events(posted.text()).into_iter().map(|(_, name, _)| name).collect();
    assert_eq!(names, ["start", "chunk", "chunk", "chunk", "done"]);
    assert_eq!(platform.post("/v1/agents/support/stream", json!({})).await.expect(400)["status"], "error");
    assert_eq!(platform.get("/v1/agents/support/stream").await.expect(400)["error"]["details"]["field"], "query");
}

async fn whoever_comes_back_goes_on_after_what_they_heard(platform: Platform) {
    deploy(&platform, "support").await;
    let (open, gate) = watch::channel(1);
    let platform = runs(&platform, "one", speaking(WORDS, gate.clone())).await;
    let response = platform.router.clone().oneshot(request(None)).await.unwrap();
    let left = response.headers()["x-ratelimit-remaining"].clone();
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let id = events(std::str::from_utf8(&first).unwrap())[0].0.clone();
    // The reader leaves; the agent does not notice.
    drop(body);
    open.send(9).unwrap();
    let all = hear(&platform, Some(&id)).await;
    let content: String = all.iter().filter_map(|(_, _, data)| data["content"].as_str()).collect();
    assert_eq!((content.as_str(), all.last().unwrap().1.as_str()), ("One, two, three.", "done"));
    // Another replica says the same, and from each place.
    let other = runs(&platform, "two", Router::new()).await;
    assert_eq!(hear(&other, Some(&id)).await, all);
    for n in 0..all.len() {
        assert_eq!(hear(&other, Some(&all[n].0)).await, all[n + 1..]);
    }
    // One run, counted once.
    assert_eq!(platform.get("/runs").await.expect(200).as_array().unwrap().len(), 1);
    assert_eq!(platform.get("/v1/agents/support/health").await.header("x-ratelimit-remaining"), left);
    for unknown in ["op_1:0", "op_1"] {
        assert!(other.send(request(Some(unknown))).await.status.is_client_error(), "{unknown}");
    }
    let far = format!("{}:{}", id.rsplit_once(':').unwrap().0, usize::MAX);
    assert_eq!(hear(&other, Some(&far)).await, []);
}

async fn a_stream_that_was_cut_off_says_so(platform: Platform) {
    deploy(&platform, "support").await;
    let (_shut, gate) = watch::channel(1);
    let first = runs(&platform, "one", speaking(WORDS, gate)).await;
    let mut body = first.router.clone().oneshot(request(None)).await.unwrap().into_body();
    let start = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let id = events(std::str::from_utf8(&start).unwrap())[0].0.clone();
    let mut tx = platform.app.store().begin().await.unwrap();
    tx.forget_silent(platform.world.now() + 1).await.unwrap();
    tx.commit().await.unwrap();
    let second = runs(&platform, "two", Router::new()).await;
    jobs::tick(&second.app).await.unwrap();
    let last = hear(&second, Some(&id)).await;
    assert_eq!(
        (last.len(), last[0].1.as_str(), &last[0].2["code"]),
        (1, "error", &json!("OPERATION_LOST")),
        "{last:?}"
    );
}

async fn what_an_agent_says_of_its_failure_is_the_last_event(platform: Platform) {
    deploy(&platform, "support").await;
    const SAID: &[&str] = &[r#"{"type":"content","delta":"Well"}"#, r#"{"type":"error","message":"no time"}"#];
    let (_open, gate) = watch::channel(9);
    let failing = runs(&platform, "one", speaking(SAID, gate)).await;
    let all = hear(&failing, None).await;
    assert_eq!(all[2].1, "error");
    assert_eq!(all[2].2, json!({"error": "no time", "code": "AGENT_EXECUTION_FAILED"}));
    let waiting = [r#"{"type":"approval_required","tool":"crm","detail":{"message":"an approver is asked"}}"#];
    let (_open, gate) = watch::channel(9);
    let waiting = runs(&platform, "two", speaking(waiting.to_vec().leak(), gate)).await;
    assert_eq!(hear(&waiting, None).await[1].2["code"], "APPROVAL_REQUIRED");
    // One that does not stream is one chunk.
    let whole = Router::new().route("/invoke/stream", post(async || r#"{"response": "at once"}"#));
    let whole = runs(&platform, "three", whole).await;
    assert_eq!(hear(&whole, None).await[1].2, json!({"content": "at once", "index": 0}));
    // Nobody there.
    let nobody = runs(&platform, "four", Router::new()).await;
    assert_eq!(hear(&nobody, None).await[1].1, "error");
}
