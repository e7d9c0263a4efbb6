//! The description of the API: complete against the published contract, except where `NOT_YET` says why not.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::Platform;

/// What the published contract has and this one has not, each with its reason.
const NOT_YET: &[(&str, &str)] = &[
    ("get /billing/publishable-key: publishable_key", BILLING),
    ("post /billing/payment-method: payment_method_id", BILLING),
    ("post /billing/payment-method: status", BILLING),
    ("post /billing/portal: return_url", BILLING),
    ("post /billing/portal: url", BILLING),
    ("post /billing/setup-intent: client_secret", BILLING),
    ("post /billing/subscribe: cancel_url", BILLING),
    ("post /billing/subscribe: success_url", BILLING),
    ("post /billing/subscribe: url", BILLING),
];

/// Answered by 501 and a text.
const BILLING: &str = "payments are a service of the documents' own platform";

/// Every operation of the published contract, as `fixtures/api/runagents-operations.txt` lists them.
#[tokio::test]
async fn every_operation_of_the_published_contract_is_offered() {
    let platform = Platform::on_sqlite().await;
    let own = description(&platform).await;
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/api/runagents-operations.txt");
    let published = std::fs::read_to_string(root).unwrap();
    let mut missing = BTreeSet::new();
    for line in published.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (operation, fields) = line.split_once(": ").unwrap_or((line, ""));
        let (method, path) = operation.split_once(' ').unwrap();
        let Some(found) = find(&own, method, path) else {
            missing.insert(operation.to_string());
            continue;
        };
        let known = properties(&own, found);
        for field in fields.split_whitespace().filter(|field| !known.contains(*field)) {
            missing.insert(format!("{operation}: {field}"));
        }
    }
    let excused: BTreeSet<String> = NOT_YET.iter().map(|(operation, _)| operation.to_string()).collect();
    assert_eq!(missing, excused, "missing, against those that are excused");
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_and_says_how_it_refuses() {
    let platform = Platform::on_sqlite().await;
    let own = description(&platform).await;
    assert_eq!(own["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in own["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(!id.is_empty() && ids.insert(id.to_string()), "{method} {path}: {id:?}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{method} {path}");
            assert!(operation["responses"].get("401").is_some(), "{method} {path}");
        }
    }
    assert!(ids.len() > 60, "{}", ids.len());
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let platform = Platform::on_sqlite().await;
    let page = platform.as_caller("nobody").get("/docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("swagger") && !page.text().contains("https://"), "{}", page.text());
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        let asset = platform.as_caller("nobody").get(&format!("/docs/{asset}")).await;
        assert_eq!(asset.status, 200);
    }
}

/// The description knows types by their names alone: of two with one name the second would be described as the first.
#[test]
fn no_two_described_types_share_a_name() {
    let mut names = BTreeSet::new();
    for source in ["src", "../ingestion-server/src"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
        for text in sources(&source) {
            for part in text.split("#[derive(").skip(1) {
                let (derived, rest) = part.split_once(")]").unwrap();
                let mut words = rest
                    .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .skip_while(|word| !["struct", "enum"].contains(word));
                if let (true, Some(name)) = (derived.contains("ToSchema"), words.nth(1)) {
                    assert!(names.insert(name.to_string()), "{name}");
                }
            }
        }
    }
    assert!(names.len() > 40, "{}", names.len());
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let inner = folders.iter().flat_map(|folder| sources(folder));
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).chain(inner).collect()
}

async fn description(platform: &Platform) -> Value {
    platform.as_caller("nobody").get("/openapi.json").await.expect(200)
}

/// The operation, whatever its parameters are called.
fn find<'a>(own: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let shape = |path: &str| -> String {
        path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
    };
    let wanted = shape(&format!("/api/v1{path}"));
    own["paths"].as_object()?.iter().find(|(path, _)| shape(path) == wanted).and_then(|(_, item)| item.get(method))
}

/// Names of all properties, parameters and nested properties that an operation takes or gives.
fn properties(own: &Value, operation: &Value) -> BTreeSet<String> {
    let (mut names, mut seen) = (BTreeSet::new(), BTreeSet::new());
    gather(own, operation, &mut names, &mut seen);
    names
}

fn gather(own: &Value, value: &Value, names: &mut BTreeSet<String>, seen: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str)
                && seen.insert(reference.to_string())
                && let Some(schema) = own.pointer(reference.trim_start_matches('#'))
            {
                gather(own, schema, names, seen);
            }
            if let Some(Value::Object(properties)) = map.get("properties") {
                names.extend(properties.keys().cloned());
            }
            if let Some(name) = map.get("name").and_then(Value::as_str) {
                names.insert(name.to_string());
            }
            map.values().for_each(|value| gather(own, value, names, seen));
        }
        Value::Array(list) => list.iter().for_each(|value| gather(own, value, names, seen)),
        _ => {}
    }
}
