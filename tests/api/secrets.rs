//! Credentials that callers submit are in no answer, no error, no metric and no line of the log.

use std::sync::Arc;

use analyzer_core::analyze;
use serde_json::json;
use test_bench::secrets::{ROUNDS, corpus};

use crate::app::App;
use crate::operations::Log;

#[tokio::test]
async fn no_credential_of_the_corpus_is_answered_or_logged() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.subscriber());
    let app = App::with(|_| {}, Arc::new(analyze));
    for sample in corpus(ROUNDS, 9, 1, 0) {
        let value = &sample.secret.as_ref().expect("no look-alikes were asked for").value;
        let files = json!({"files": {&sample.file: &sample.text}}).to_string();
        let answered = app.post("/analyze", files.clone()).await;
        // A body that breaks off, a path that escapes, a route that is none: refusals do not quote.
        let broken = app.post("/analyze", files[..files.len() - 2].to_owned()).await;
        let escaping =
            app.post("/analyze", json!({"files": {(format!("../{value}")): &sample.text}}).to_string()).await;
        let lost = app.get("/no/such/path").await;
        let found = !answered.json()["secrets"].as_array().expect("a list").is_empty();
        let hidden = &value[value.len() / 2..];
        for reply in [&answered, &broken, &lost] {
            assert!(!found || !reply.text().contains(hidden), "{} in {}", sample.kind, sample.context);
        }
        assert!(!escaping.status.is_success());
        assert!(!log.text().contains(hidden), "{} in the log", sample.kind);
    }
    assert!(log.text().contains("/analyze"));
    assert!(!app.get("/metrics").await.text().contains("sk-"));
}
