//! Documented exchanges: each `fixtures/api/platform/<case>.http` is lived on a platform of its own, exchange by
//! exchange.
//!
//! A case begins with comments. Each exchange is a request, `--- ` with the status, and the reply; `###` separates them.
//! In a reply `$NAME` takes the place of what only the platform can know, and stands for it from then on; times need
//! only be times. What is documented must be there, and more may be.

use std::collections::HashMap;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::support::{KEY, Platform};

mod sqlite {
    #[tokio::test]
    async fn every_documented_exchange_is_as_documented() {
        super::live(crate::support::Platform::on_sqlite).await;
    }
}

mod postgres {
    #[tokio::test]
    #[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
    async fn every_documented_exchange_is_as_documented() {
        super::live(crate::support::Platform::on_postgres).await;
    }
}

/// Lives each case on a platform of its own.
async fn live<F: Future<Output = Platform>>(platform: impl Fn() -> F) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/api/platform");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&case).unwrap();
        let platform = platform().await;
        let mut known = HashMap::from([("RUNAGENTS_API_KEY".to_string(), KEY.to_string())]);
        for (n, exchange) in text.split("\n###\n").enumerate() {
            if let Err(problem) = exchanged(&platform, exchange, &mut known).await {
                panic!("{name}, exchange {}: {problem}", n + 1);
            }
        }
    }
}

async fn exchanged(platform: &Platform, text: &str, known: &mut HashMap<String, String>) -> Result<(), String> {
    let (ask, answer) = text.split_once("\n--- ").ok_or("no reply")?;
    let (status, expected) = answer.split_once('\n').ok_or("no body")?;
    let expected: Value = serde_json::from_str(expected).map_err(|error| error.to_string())?;
    let reply = platform.send(request(&filled(ask, known))).await;
    if reply.status.as_str() != status.trim() {
        return Err(format!("{} {}", reply.status, reply.text()));
    }
    match differs(&expected, &reply.json(), "", known) {
        Some(difference) => Err(format!("{difference}\n{:#}", reply.json())),
        None => Ok(()),
    }
}

fn request(text: &str) -> Request<Body> {
    let mut lines = text.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(lines.collect::<Vec<_>>().join("\n").into()).unwrap()
}

fn filled(text: &str, known: &HashMap<String, String>) -> String {
    let mut names: Vec<_> = known.iter().collect();
    // The longer first: `$RUN_ID` is not `$RUN`.
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names.into_iter().fold(text.to_string(), |text, (name, value)| text.replace(&format!("${name}"), value))
}

fn differs(expected: &Value, found: &Value, at: &str, known: &mut HashMap<String, String>) -> Option<String> {
    let is_time = |text: &str| text.len() >= 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected.iter().find_map(|(key, value)| {
            let at = format!("{at}.{key}");
            match found.get(key) {
                Some(found) => differs(value, found, &at, known),
                None => Some(format!("{at} is missing")),
            }
        }),
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs.into_iter().find_map(|(n, (expected, found))| differs(expected, found, &format!("{at}[{n}]"), known))
        }
        (Value::String(expected), Value::String(found)) if expected.starts_with('$') => {
            let seen = known.entry(expected[1..].to_string()).or_insert_with(|| found.clone());
            (seen != found).then(|| format!("{at} is {found:?}, before it was {seen:?}"))
        }
        (Value::String(expected), Value::String(found)) if is_time(expected) && is_time(found) => None,
        (Value::String(text), found) if text.contains('$') => {
            let filled = filled(text, known);
            (*found != filled.as_str()).then(|| format!("{at} is {found}, documented as {filled:?}"))
        }
        _ => (expected != found).then(|| format!("{at} is {found}, documented as {expected}")),
    }
}
