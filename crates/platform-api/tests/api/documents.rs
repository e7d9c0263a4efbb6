//! Documented exchanges of the platform: `fixtures/api/platform/<case>.http` holds what is sent and what the documents
//! say comes back, several one after the other where one needs what another made.

use std::collections::HashMap;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::documented::differs;
use crate::support::{KEY, Platform, Reply, on_both_engines};

on_both_engines!(every_documented_exchange_is_as_documented,);

async fn every_documented_exchange_is_as_documented(platform: Platform) {
    are_as_documented(&platform, "platform").await;
}

/// Sends each exchange of a folder of `fixtures/api`.
pub async fn are_as_documented(platform: &Platform, folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/api").join(folder);
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case.file_stem().unwrap().to_str().unwrap().to_string();
        let text = std::fs::read_to_string(&case).unwrap();
        // What `$NAME` stands for.
        let mut known = HashMap::from([("RUNAGENTS_API_KEY".to_string(), KEY.to_string())]);
        for exchange in exchanges(&text) {
            // A workspace of its own: what other cases made is not there.
            let reply = platform.send(exchange.request(&name, &known)).await;
            let at = format!("{name}: {} {}", exchange.method, exchange.path);
            assert_eq!(reply.status.as_u16(), exchange.status, "{at}: {}", reply.text());
            for (name, value) in &exchange.reply_headers {
                assert_eq!(reply.header(name), *value, "{at}: {name}");
            }
            let found = if reply.header("content-type") == "text/event-stream" { events(&reply) } else { reply.json() };
            if let Some(problem) = differs(&exchange.reply, &found, "", &mut known) {
                panic!("{at}: {problem}\n{found:#}");
            }
        }
    }
}

/// A stream as the list of its events.
fn events(reply: &Reply) -> Value {
    let one = |text: &str| {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_string();
        let data: Value = serde_json::from_str(&field("data: ")).unwrap();
        json!({"id": field("id: "), "event": field("event: "), "data": data})
    };
    reply.text().split_terminator("\n\n").map(one).collect()
}

struct Exchange<'t> {
    method: &'t str,
    path: &'t str,
    headers: Vec<(&'t str, &'t str)>,
    body: String,
    status: u16,
    reply_headers: Vec<(&'t str, &'t str)>,
    reply: Value,
}

impl Exchange<'_> {
    fn request(&self, workspace: &str, known: &HashMap<String, String>) -> Request<Body> {
        let path = match self.path.strip_prefix("/api/v1/").or_else(|| self.path.strip_prefix("/api/")) {
            Some(rest) if self.path.starts_with("/api/v1/") => format!("/api/v1/workspaces/{workspace}/{rest}"),
            _ => self.path.to_string(),
        };
        let mut request = Request::builder().method(self.method).uri(filled(&path, known));
        for (name, value) in &self.headers {
            request = request.header(*name, filled(value, known));
        }
        request.body(Body::from(filled(&self.body, known))).unwrap()
    }
}

/// Requests, each with the reply that follows it: comments, a request, `--- 200`, headers that count, the reply.
fn exchanges(text: &str) -> Vec<Exchange<'_>> {
    let mut exchanges = Vec::new();
    let mut rest = text;
    while let Some((ask, answer)) = rest.split_once("\n--- ") {
        let mut lines = ask.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
        let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines.by_ref().take_while(|line| !line.is_empty());
        let headers = headers.map(|line| line.split_once(": ").unwrap()).collect();
        let body = lines.collect::<Vec<_>>().join("\n");
        let (status, mut after) = answer.split_once('\n').unwrap();
        let mut reply_headers = Vec::new();
        while let Some((line, more)) = after.split_once('\n').filter(|(line, _)| !line.starts_with(['{', '['])) {
            reply_headers.extend(line.split_once(": "));
            after = more;
        }
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
        let reply = values.next().unwrap().unwrap();
        rest = &after[values.byte_offset()..];
        exchanges.push(Exchange {
            method,
            path,
            headers,
            body,
            status: status.trim().parse().unwrap(),
            reply_headers,
            reply,
        });
    }
    assert!(rest.trim().is_empty() && !exchanges.is_empty(), "{rest}");
    exchanges
}

fn filled(text: &str, known: &HashMap<String, String>) -> String {
    known.iter().fold(text.to_string(), |text, (name, value)| text.replace(&format!("${name}"), value))
}
