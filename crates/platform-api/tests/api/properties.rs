//! What holds for every page of every list of the second system's surface, and for every limit of its keys: against a model
//! of a few lines.

use std::collections::HashMap;
use std::future::Future;

use axum::Router;
use platform_api::agents::AgentRecord;
use platform_api::store::{OperationRow, WebhookDeliveryRow};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::staged::{deploy, runs};
use crate::support::Platform;

/// Whether it holds for so many values; one that it does not hold for is made as small as may be.
fn holds<S: Strategy, W>(
    cases: u32,
    world: impl Future<Output = W>,
    values: S,
    check: impl AsyncFn(&W, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(world);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&values, |value| runtime.block_on(check(&world, value))).unwrap();
}

/// A list, and the ids of everything in it, in order.
type List = (String, Vec<String>);

/// Items of each list.
const LISTS: [(&str, usize); 5] =
    [("/v1/agents", 43), ("/v1/operations", 57), ("/v1/webhooks", 37), ("/v1/alerts", 20), ("deliveries", 61)];

/// What identifies an item, whichever list it is of.
fn id(item: &Value) -> String {
    item.get("operation_id").unwrap_or(&item["id"]).as_str().unwrap().into()
}

async fn lists(platform: Platform) -> (Platform, Vec<List>) {
    deploy(&platform, "agent").await;
    let hook = json!({"url": "https://example.com/hook", "events": ["run.failed"]});
    let first = platform.post("/v1/webhooks", hook.clone()).await.expect(201)["data"]["id"].clone();
    let first = first.as_str().unwrap();
    let count = |name: &str| LISTS.iter().find(|(own, _)| *own == name).unwrap().1;
    for _ in 1..count("/v1/webhooks") {
        platform.post("/v1/webhooks", hook.clone()).await.expect(201);
    }
    for n in 1..=count("/v1/alerts") {
        platform.post("/v1/alerts", json!({"metric": "runs", "threshold": n})).await.expect(201);
    }
    let now = platform.world.now();
    let mut tx = platform.app.store().begin().await.unwrap();
    let agent = tx.get::<AgentRecord>("default", "agent").await.unwrap().unwrap().value;
    for n in 1..count("/v1/agents") {
        tx.put("default", &AgentRecord { name: format!("agent-{n}"), ..agent.clone() }, now).await.unwrap();
    }
    for n in 0..count("/v1/operations") {
        let row = OperationRow {
            id: format!("op_{n}"),
            workspace: "default".into(),
            agent_id: "agent".into(),
            kind: "invoke".into(),
            status: "success".into(),
            replica: None,
            // Several began at one time.
            created_at: now + n as i64 / 5,
            started_at: None,
            ended_at: Some(now),
        };
        tx.add_operation(&row).await.unwrap();
    }
    for n in 0..count("deliveries") {
        let row = WebhookDeliveryRow {
            id: format!("dlv_{n}"),
            workspace: "default".into(),
            webhook_id: first.into(),
            event_id: format!("evt_{n}"),
            kind: "run.failed".into(),
            body: "{}".into(),
            status: "delivered".into(),
            attempts: "[]".into(),
            due_at: now,
            created_at: now + n as i64 / 7,
            ended_at: Some(now),
        };
        tx.add_webhook_delivery(&row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut all = Vec::new();
    for (name, count) in LISTS {
        let path = if name == "deliveries" { format!("/v1/webhooks/{first}/deliveries") } else { name.to_string() };
        let whole = platform.get(&format!("{path}?limit=100")).await.expect(200);
        let ids: Vec<String> = whole["data"].as_array().unwrap().iter().map(id).collect();
        assert_eq!(ids.len(), count, "{name}");
        all.push((path, ids));
    }
    (platform, all)
}

async fn a_page_is_its_part_of_the_list(
    (platform, lists): &(Platform, Vec<List>),
    (list, page, limit): (usize, i64, i64),
) -> Result<(), TestCaseError> {
    let (path, ids) = &lists[list];
    let reply = platform.get(&format!("{path}?page={page}&limit={limit}")).await;
    let body = reply.json();
    if page < 1 || !(1..=100).contains(&limit) {
        prop_assert_eq!((reply.status.as_u16(), &body["error"]["code"]), (400, &json!("INVALID_INPUT")));
        return Ok(());
    }
    prop_assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
    let shown: Vec<String> = body["data"].as_array().unwrap().iter().map(id).collect();
    let before = usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX);
    let expected: Vec<String> = ids.iter().skip(before).take(limit as usize).cloned().collect();
    prop_assert_eq!(shown, expected);
    let pages = (ids.len() as i64 + limit - 1) / limit;
    let pagination = json!({"page": page, "limit": limit, "total": ids.len(), "pages": pages});
    prop_assert_eq!(&body["pagination"], &pagination);
    Ok(())
}

fn pages() -> impl Strategy<Value = (usize, i64, i64)> {
    let page = prop_oneof![8 => 1..=60i64, 1 => -2..=1i64, 1 => i64::MAX - 3..=i64::MAX];
    let limit = prop_oneof![8 => 1..=100i64, 1 => -1..=1i64, 1 => 100..=102i64];
    (0..LISTS.len(), page, limit)
}

#[test]
fn every_page_of_every_list_is_its_part() {
    holds(200, async { lists(Platform::on_sqlite().await).await }, pages(), a_page_is_its_part_of_the_list);
}

#[test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
fn every_page_of_every_list_is_its_part_on_postgres() {
    holds(200, async { lists(Platform::on_postgres().await).await }, pages(), a_page_is_its_part_of_the_list);
}

/// What somebody with a key does.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// Asks one of two replicas.
    Ask(usize),
    /// Asks how an agent is doing, which is not counted.
    Look(usize),
    /// Waits, some minutes.
    Wait(u64),
}

async fn replicas(platform: Platform) -> [Platform; 2] {
    deploy(&platform, "agent").await;
    [runs(&platform, "one", Router::new()).await, runs(&platform, "two", Router::new()).await]
}

const HOUR: i64 = 3_600_000;

async fn a_limit_grants_exactly_so_many_an_hour(
    replicas: &[Platform; 2],
    (limit, steps): (i64, Vec<Step>),
) -> Result<(), TestCaseError> {
    let made = json!({"name": "k", "tier": "enterprise", "requestsPerHour": limit});
    let made = replicas[0].post("/api/v1/auth/api-keys", made).await.expect(201);
    let callers = [0, 1].map(|n| replicas[n].as_caller(made["token"].as_str().unwrap()));
    let mut used: HashMap<i64, i64> = HashMap::new();
    for step in steps {
        let now = callers[0].world.now();
        let counted = used.entry(now / HOUR).or_default();
        let (reply, granted) = match step {
            Step::Wait(minutes) => {
                callers[0].world.advance(std::time::Duration::from_secs(60 * minutes));
                continue;
            }
            Step::Look(n) => (callers[n].get("/v1/agents/agent/health").await, true),
            Step::Ask(n) => {
                let granted = *counted < limit;
                *counted += i64::from(granted);
                (callers[n].get("/v1/agents").await, granted)
            }
        };
        prop_assert_eq!(reply.status.as_u16(), if granted { 200 } else { 429 }, "{}", reply.text());
        let of = |name: &str| reply.header(name).parse::<i64>().unwrap();
        let reset = (now / HOUR + 1) * HOUR;
        prop_assert_eq!((of("x-ratelimit-limit"), of("x-ratelimit-remaining")), (limit, limit - *counted));
        prop_assert_eq!(of("x-ratelimit-reset"), reset / 1000);
        if !granted {
            prop_assert_eq!(of("retry-after"), (reset - now + 999) / 1000);
            prop_assert_eq!(&reply.json()["error"]["code"], "RATE_LIMIT_EXCEEDED");
        }
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = (i64, Vec<Step>)> {
    let step = prop_oneof![
        8 => (0..2usize).prop_map(Step::Ask),
        1 => (0..2usize).prop_map(Step::Look),
        1 => (1..50u64).prop_map(Step::Wait),
    ];
    (1..=8i64, proptest::collection::vec(step, 1..40))
}

#[test]
fn every_limit_grants_exactly_so_many_requests() {
    let world = async { replicas(Platform::on_sqlite().await).await };
    holds(40, world, steps(), a_limit_grants_exactly_so_many_an_hour);
}

#[test]
#[ignore = "needs PostgreSQL; `cargo xtask test` starts one"]
fn every_limit_grants_exactly_so_many_requests_on_postgres() {
    let world = async { replicas(Platform::on_postgres().await).await };
    holds(40, world, steps(), a_limit_grants_exactly_so_many_an_hour);
}
