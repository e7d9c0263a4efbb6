//! Many projects in one request, each answered in a line as soon as it is done.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::app::{App, Gate};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn each_project_is_answered_in_a_line_of_its_own() {
    let app = App::new();
    let alone = app.analyze("x = 1").await.json();
    let body = json!({"projects": [
        {"files": {"agent.py": "x = 1"}},
        {"id": "bad", "files": {"../agent.py": ""}},
        {"id": 7, "files": {"b.py": ""}},
        {"id": "none"},
    ]});
    for prefix in ["/ingestion", "", "/api/v1"] {
        let reply = app.post(&format!("{prefix}/analyze/batch"), body.to_string()).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/x-ndjson"));
        let mut lines = lines(reply.text());
        lines.sort_by_key(|line| line["id"].to_string());
        assert_eq!(lines.len(), 4);
        let refused = "file path \"../agent.py\" is not allowed: it leaves the project with `..`";
        assert_eq!(lines[0], json!({"id": "bad", "error": refused}));
        assert!(lines[1]["error"].as_str().unwrap().starts_with("files is required; "));
        assert_eq!(lines[2], json!({"id": 0, "analysis": alone}));
        assert_eq!(lines[3]["analysis"]["entry_point"], "b.py");
    }
}

#[tokio::test]
async fn a_line_is_sent_when_it_is_done_and_not_when_all_are() {
    let gate = Gate::default();
    let slow = gate.analyzer();
    let app = App::with(
        |config| config.analysis.workers = 2,
        std::sync::Arc::new(move |sources, options| match &*sources.files()[0].path {
            "slow.py" => slow(sources, options),
            _ => crate::app::analysis(sources),
        }),
    );
    let body = json!({"projects": [{"id": "slow", "files": {"slow.py": ""}}, {"id": "fast", "files": {"a.py": ""}}]});
    let request = Request::post("/analyze/batch").body(Body::from(body.to_string())).unwrap();
    let mut stream = app.router.clone().oneshot(request).await.unwrap().into_body();
    let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(lines(std::str::from_utf8(&first).unwrap())[0]["id"], "fast");
    gate.open();
    let rest = stream.collect().await.unwrap().to_bytes();
    assert_eq!(lines(std::str::from_utf8(&rest).unwrap())[0]["id"], "slow");
}

#[tokio::test]
async fn a_batch_larger_than_the_queue_waits_for_its_turns() {
    let gate = Gate::default();
    gate.open();
    let app = App::with(|config| (config.analysis.workers, config.analysis.queue) = (1, 0), gate.analyzer());
    let projects: Vec<_> = (0..50).map(|n| json!({"files": {"a.py": format!("{n}")}})).collect();
    let reply = app.post("/analyze/batch", json!({ "projects": projects }).to_string()).await;
    assert_eq!(lines(reply.text()).iter().filter(|line| line["analysis"].is_object()).count(), 50);
}

#[tokio::test]
async fn a_batch_that_cannot_be_told_apart_is_refused() {
    let app = App::with(|config| config.analysis.batch = 2, Gate::default().analyzer());
    let project = |id: Value| json!({"id": id, "files": {"a.py": ""}});
    let post = async |body: Value| app.post("/analyze/batch", body.to_string()).await.error();
    let twice = post(json!({"projects": [project("a".into()), project("a".into())]})).await;
    assert_eq!(twice, (400, "projects[1] has the id of an earlier project; ids must differ".into()));
    let many = post(json!({"projects": [project(1.into()), project(2.into()), project(3.into())]})).await;
    assert_eq!(many, (413, "too many projects: 3 submitted, at most 2 allowed in one batch".into()));
    for none in [json!({}), json!({"projects": []}), json!({"projects": null})] {
        let (status, text) = post(none).await;
        assert_eq!((status, text.starts_with("projects is required; send ")), (400, true));
    }
    assert_eq!(post(json!({"projects": [{"files": {"a.py": 1}}]})).await.0, 400);
}
