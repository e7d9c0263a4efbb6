//! Analyze, fetch again, requirements.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::future::join_all;

use crate::app::{App, Gate, analysis, files};

#[tokio::test]
async fn every_spelling_of_a_path_answers() {
    let app = App::new();
    for prefix in ["/ingestion", "", "/api/v1"] {
        let reply = app.post(&format!("{prefix}/analyze"), files([("a.py", "")])).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (201, "application/json"));
        let id = reply.json()["id"].as_str().unwrap().to_string();
        let again = app.get(&format!("{prefix}/analysis/{id}")).await;
        assert_eq!((again.status.as_u16(), again.body), (200, reply.body));
        let requirements = app.post(&format!("{prefix}/requirements"), files([("a.py", "")])).await;
        assert_eq!(requirements.status, 200);
        assert_eq!(requirements.text(), r#"{"requirements":["requests"],"entry_point":"a.py"}"#);
    }
}

#[tokio::test]
async fn an_analysis_is_kept_for_an_hour() {
    let app = App::new();
    let id = app.analyze("x = 1").await.json()["id"].as_str().unwrap().to_string();
    app.world.advance(Duration::from_secs(3_599));
    assert_eq!(app.get(&format!("/analysis/{id}")).await.status, 200);
    app.world.advance(Duration::from_secs(1));
    assert_eq!(app.get(&format!("/analysis/{id}")).await.error(), (404, "analysis not found".into()));
}

#[tokio::test]
async fn an_unknown_or_unreadable_id_is_not_found() {
    let app = App::new();
    for id in ["analysis-00000000", "%ff", "x%2Fy", "%00"] {
        assert_eq!(app.get(&format!("/analysis/{id}")).await.error(), (404, "analysis not found".into()));
    }
}

#[tokio::test]
async fn the_content_type_is_not_looked_at() {
    let app = App::new();
    for kind in ["application/x-www-form-urlencoded", "text/plain", "nonsense"] {
        let request = Request::post("/analyze").header("content-type", kind);
        let reply = app.send(request.body(files([("a.py", "")]).into()).unwrap()).await;
        assert_eq!(reply.status, 201);
    }
}

#[tokio::test]
async fn the_same_content_is_analyzed_once_however_it_is_spelt() {
    let gate = Gate::default();
    gate.open();
    let app = App::with(|_| {}, gate.analyzer());
    let bodies = [
        r#"{"files":{"a.py":"1","b.py":"2"}}"#,
        r#"{"files":{"a.py":"1","b.py":"2"}}"#,
        r#"{"files":{"./b.py":"2","a.py":"\u0031"},"name":"x"}"#,
    ];
    let mut replies = Vec::new();
    for body in bodies {
        replies.push(app.post("/analyze", body).await.body);
    }
    app.post("/requirements", bodies[0]).await;
    assert_eq!(gate.calls(), 1);
    assert!(replies.iter().all(|reply| *reply == replies[0]));
}

#[tokio::test]
async fn many_at_once_with_the_same_content_share_one_analysis() {
    let gate = Gate::default();
    let app = App::with(|_| {}, gate.analyzer());
    let asked = join_all((0..8).map(|_| app.analyze("x = 1")));
    let (replies, ()) = tokio::join!(asked, async {
        gate.until_called(1).await;
        gate.open();
    });
    assert!(replies.iter().all(|reply| reply.status == 201));
    assert_eq!(gate.calls(), 1);
}

#[tokio::test]
async fn the_next_in_line_takes_over_when_the_first_one_leaves() {
    let gate = Gate::default();
    let app = App::with(|_| {}, gate.analyzer());
    let mut first = Box::pin(app.analyze("x = 1"));
    let mut second = Box::pin(app.analyze("x = 1"));
    tokio::select! {
        biased;
        _ = &mut first => unreachable!("the gate is shut"),
        _ = &mut second => unreachable!("the gate is shut"),
        () = gate.until_called(1) => {}
    }
    drop(first);
    let (reply, ()) = tokio::join!(second, async {
        gate.until_stopped().await;
        gate.until_called(2).await;
        gate.open();
    });
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_the_next_request_is_served() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let app = App::with(
        |_| {},
        Arc::new(move |sources, _| {
            assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "first call");
            analysis(sources)
        }),
    );
    assert_eq!(app.analyze("x = 1").await.error(), (500, "internal error".into()));
    assert_eq!(app.analyze("x = 1").await.status, 201);
}

#[tokio::test]
async fn head_and_options_are_no_surprise() {
    let app = App::new();
    let ask = |method: &str| Request::builder().method(method).uri("/analyze").body(Body::empty()).unwrap();
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let reply = app.send(ask(method)).await;
        assert_eq!(reply.header("allow"), "POST");
        assert_eq!(reply.error(), (405, format!("this path does not answer {method}")));
    }
    assert_eq!(app.send(ask("HEAD")).await.status, 405);
}
