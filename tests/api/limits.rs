//! Limits of size, time, memory and number, each with an answer that says which.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use analyzer_core::Analysis;
use analyzer_core::analysis::Stats;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::app::{App, Gate, files};

#[tokio::test]
async fn a_large_body_is_refused_announced_or_not() {
    let gate = Gate::default();
    let app = App::with(|config| config.http.body_bytes = 100, gate.analyzer());
    let large = files([("a.py", "x".repeat(100).as_str())]);
    let refusal = (413, "the request body is too large; at most 100 bytes are allowed".to_string());
    assert_eq!(app.post("/analyze", large.clone()).await.error(), refusal);

    let pieces = large.as_bytes().chunks(7).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
    let body = Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()));
    assert_eq!(app.post("/analyze", body).await.error(), refusal);

    let announced = Request::post("/analyze").header("content-length", "101").header("expect", "100-continue");
    let never = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    assert_eq!(app.send(announced.body(never).unwrap()).await.error(), refusal);
    assert_eq!(gate.calls(), 0);
}

#[tokio::test]
async fn a_body_in_pieces_is_put_together() {
    let app = App::new();
    let whole = files([("a.py", "x = 1"), ("b.py", "y = 2")]);
    let pieces = whole.as_bytes().chunks(7).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece)));
    let body = Body::from_stream(stream::iter(pieces.collect::<Vec<_>>()));
    assert_eq!(app.post("/analyze", body).await.body, app.post("/analyze", whole).await.body);
}

#[tokio::test]
async fn too_many_files_and_too_much_text_are_refused() {
    let app = App::with(|config| (config.analysis.files, config.analysis.bytes) = (2, 10), Gate::default().analyzer());
    let (status, text) = app.post("/analyze", files([("a", ""), ("b", ""), ("c", "")])).await.error();
    assert_eq!((status, text.contains("at most 2 allowed")), (413, true), "{text}");
    let (status, text) = app.post("/analyze", files([("a", "12345678901")])).await.error();
    assert_eq!((status, text.contains("at most 10 allowed")), (413, true), "{text}");
}

#[tokio::test]
async fn a_hundred_megabytes_are_left_where_they_are_and_give_their_memory_back() {
    let app = App::new();
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    for _ in 0..10 {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let pieces = stream::iter(std::iter::repeat_n(piece.clone(), 100)).inspect(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let reply = app.post("/analyze", Body::from_stream(pieces.map(Ok::<_, Infallible>))).await;
        assert_eq!(reply.error().0, 413);
        assert!(taken.load(Ordering::Relaxed) <= 33, "{taken:?} of 100 are more than the limit of a body");
    }
    // Together they were four times what all bodies may hold: nothing is held any more.
    assert_eq!(app.analyze("print(1)").await.status, 201);
}

#[tokio::test]
async fn ten_thousand_files_are_one_submission_and_more_than_the_limit_are_none() {
    let app = App::with(
        |_| {},
        Arc::new(|sources, _| {
            let stats = Stats { files: sources.files().len(), ..Stats::default() };
            Analysis { id: "analysis-00".into(), stats, ..Analysis::default() }
        }),
    );
    let many = |count: usize| {
        let paths: Vec<String> = (0..count).map(|index| format!("deep/er/file{index}.py")).collect();
        files(paths.iter().map(|path| (path.as_str(), "x = 1\n")))
    };
    let reply = app.post("/analyze", many(10_000)).await;
    assert_eq!((reply.status.as_u16(), reply.json()["stats"]["files"].as_u64()), (201, Some(10_000)));
    let (status, text) = app.post("/analyze", many(20_001)).await.error();
    assert_eq!((status, text.contains("at most 20000 allowed")), (413, true), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let app = App::new();
    let silent = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let refusal = (408, "the request body did not arrive within 60 seconds".to_string());
    assert_eq!(app.post("/analyze", silent).await.error(), refusal);
}

#[tokio::test]
async fn bodies_share_a_limited_memory() {
    let gate = Gate::default();
    let app = App::with(|config| config.http.held_bytes = 4_096, gate.analyzer());
    let text = "x".repeat(3_000);
    let first = app.analyze(&text);
    let (first, second) = tokio::join!(first, async {
        gate.until_called(1).await;
        let second = app.analyze(&text[1..]).await;
        gate.open();
        second
    });
    assert_eq!(first.status, 201);
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(second.error(), (503, "too many large requests at once; try again in a moment".into()));
    assert_eq!(app.analyze(&text[2..]).await.status, 201);
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let gate = Gate::default();
    let app = App::with(|config| (config.analysis.workers, config.analysis.queue) = (1, 1), gate.analyzer());
    let (one, two, three) = tokio::join!(app.analyze("1"), app.analyze("2"), async {
        gate.until_called(1).await;
        let third = app.analyze("3").await;
        gate.open();
        third
    });
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (201, 201));
    assert_eq!(three.header("retry-after"), "1");
    assert_eq!(three.error(), (503, "too many analyses at once; try again in a moment".into()));
}

#[tokio::test]
async fn an_analysis_past_its_deadline_is_stopped_and_not_kept() {
    let gate = Gate::default();
    let app = App::with(|config| config.analysis.deadline_seconds = 0, gate.analyzer());
    let refusal = "the analysis took longer than 0 seconds and was stopped; submit fewer or smaller files";
    assert_eq!(app.analyze("1").await.error(), (503, refusal.into()));
    gate.until_stopped().await;
    assert_eq!(app.analyze("1").await.error(), (503, refusal.into()));
    gate.until_called(2).await;
}

#[tokio::test]
async fn an_analysis_that_nobody_waits_for_is_stopped() {
    let gate = Gate::default();
    let app = App::with(|_| {}, gate.analyzer());
    tokio::select! {
        biased;
        _ = app.analyze("1") => unreachable!("the gate is shut"),
        () = gate.until_called(1) => {}
    }
    gate.until_stopped().await;
}
