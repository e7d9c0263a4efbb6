//! Documented exchanges: `fixtures/api/<dialect>/<case>.http` holds request and reply as the documents show them.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::app::App;

#[tokio::test]
async fn every_documented_exchange_is_as_documented() {
    let app = App::with(|_| {}, Arc::new(analyzer_core::analyze));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/api/runagents");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        let (request, status, expected) = exchange(&text);
        let reply = app.send(request).await;
        assert_eq!(reply.status.as_u16(), status, "{}: {}", case.display(), reply.text());
        if let Some(problem) = differs(&expected, &reply.json(), "") {
            panic!("{}: {problem}\n{:#}", case.display(), reply.json());
        }
    }
}

/// Comments, a request, `---` and the status, the reply.
fn exchange(text: &str) -> (Request<Body>, u16, Value) {
    let (ask, answer) = text.split_once("\n--- ").unwrap();
    let mut lines = ask.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let body = lines.collect::<Vec<_>>().join("\n");
    let (status, reply) = answer.split_once('\n').unwrap();
    (request.body(body.into()).unwrap(), status.trim().parse().unwrap(), serde_json::from_str(reply).unwrap())
}

/// What is documented must be there exactly; more keys may be. Ids differ in their digits.
fn differs(expected: &Value, found: &Value, at: &str) -> Option<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match found.get(key) {
                Some(found) => differs(value, found, &at),
                None => Some(format!("{at} is missing")),
            }
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(n, (expected, found))| differs(expected, found, &format!("{at}[{n}]")))
        }
        (Value::String(expected), Value::String(found)) if expected.starts_with("analysis-") => {
            let digits = found.strip_prefix("analysis-").unwrap_or_default();
            let sound = digits.len() >= 8 && digits.chars().all(|c| c.is_ascii_hexdigit());
            (!sound).then(|| format!("{at} is {found:?}, not like {expected:?}"))
        }
        _ => (expected != found).then(|| format!("{at} is {found}, documented as {expected}")),
    }
}
