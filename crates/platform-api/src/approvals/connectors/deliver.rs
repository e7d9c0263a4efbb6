//! Deliver: approvers are told of a request. What is still to be told stands in the store, so that neither a restart nor
//! an unreachable connector loses it; a connector may be told twice, under the same id.

use std::error::Error;
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http_body_util::Full;
use ingestion_server::web::outbound::OutboundError;
use ingestion_server::web::{ApiError, Outbound};
use serde_json::Value;
use tracing::{info, warn};

use super::messages::{Message, Subject};
use super::{Activity, ConnectorRecord, Secrets, defaults_of, find, note};
use crate::app::App;
use crate::approvals::{ApprovalStatus, expire_now};
use crate::policies::{ApprovalRule, DeliveryMode};
use crate::store::{ApprovalRow, DeliveryRow, StoreError, ToldRow, Tx, Workspace};

/// Milliseconds to wait after each attempt; after the last there is no other.
pub const PAUSES: [i64; 4] = [60_000, 5 * 60_000, 30 * 60_000, 2 * 3_600_000];

/// Milliseconds after which somebody who was telling is taken for dead. Longer than all connectors of a request may
/// take together in practice; at worst a connector is told twice.
pub(super) const LEASE: i64 = 10 * 60_000;

/// How many requests are told of at a time.
const AT_ONCE: usize = 16;

/// Bytes of an answer, of which little is used.
const MOST: usize = 64 << 10;

/// What one connector made of a message.
pub(super) struct Attempt {
    pub(super) status_code: u16,
    pub(super) duration_ms: u64,
    pub(super) result: Result<(), String>,
    /// What the other end calls the message.
    reference: Value,
}

/// Whom to tell of a request: those that the rule names, else all; none if there is nobody and nobody is missed.
pub async fn plan(
    tx: &mut Tx,
    workspace: Workspace<'_>,
    request: &str,
    rule: Option<&ApprovalRule>,
    now: i64,
) -> Result<Option<DeliveryRow>, StoreError> {
    let known = tx.list::<ConnectorRecord>(workspace).await?;
    let enabled = || known.iter().map(|stored| &stored.value).filter(|connector| connector.enabled);
    let named = rule.map(|rule| &rule.delivery).filter(|delivery| !delivery.connectors.is_empty());
    let (ids, mode, fallback): (Vec<&str>, _, _) = match named {
        Some(delivery) => {
            // By id, or by the name that its owner knows.
            let find = |name: &String| enabled().find(|one| one.id == *name || one.name == *name);
            let ids = delivery.connectors.iter().filter_map(find).map(|connector| connector.id.as_str());
            (ids.collect(), delivery.mode, delivery.fallback_to_ui)
        }
        None => {
            let defaults = defaults_of(tx, workspace).await?;
            let fallback = defaults.default_fallback_to_ui || known.is_empty();
            (enabled().map(|connector| connector.id.as_str()).collect(), defaults.default_delivery_mode, fallback)
        }
    };
    if ids.is_empty() && fallback {
        return Ok(None);
    }
    Ok(Some(DeliveryRow {
        request_id: request.into(),
        workspace: workspace.into(),
        connectors: crate::app::json(&ids).to_string(),
        mode: match mode {
            DeliveryMode::FirstSuccess => "first_success".into(),
            DeliveryMode::All => "all".into(),
        },
        reached: false,
        fallback,
        attempts: 0,
        due_at: now,
    }))
}

/// Tells whoever is to be told by now, several at a time.
pub async fn due(app: &App) -> Result<(), ApiError> {
    let rows = stream::try_unfold((), |()| async { Ok(take(app).await?.map(|row| (row, ()))) });
    rows.try_for_each_concurrent(AT_ONCE, |row| async move {
        let request = row.request_id.clone();
        if let Err(error) = tell(app, row).await {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            warn!(%request, error = %cause, "what connectors were told is not written down; they will be told again");
        }
        Ok(())
    })
    .await
}

/// The next request of which somebody is to be told.
async fn take(app: &App) -> Result<Option<DeliveryRow>, ApiError> {
    let now = app.world().now();
    // Most of the time there is nothing, which is found out without a lock.
    let mut tx = app.store().read().await?;
    if !tx.has_delivery(now).await? {
        return Ok(None);
    }
    drop(tx);
    let mut tx = app.store().begin().await?;
    let taken = tx.take_delivery(now, now + LEASE).await?;
    tx.commit().await?;
    Ok(taken)
}

/// Tells the connectors of one request, and writes down what came of it.
async fn tell(app: &App, mut row: DeliveryRow) -> Result<(), ApiError> {
    let ids: Vec<String> = serde_json::from_str(&row.connectors).unwrap_or_default();
    let mut tx = app.store().read().await?;
    let request = tx.approval(&row.workspace, &row.request_id).await?;
    let mut connectors = Vec::new();
    for id in &ids {
        connectors.push(find(&mut tx, &row.workspace, id).await?.filter(|(connector, _)| connector.enabled));
    }
    drop(tx);
    let Some(request) = request.filter(|request| request.status == ApprovalStatus::Pending) else {
        return finish(app, &row, Vec::new(), None).await;
    };

    let (mut activities, mut rest, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for (id, connector) in ids.iter().zip(&connectors) {
        let Some((connector, secrets)) = connector else {
            activities.push(Activity {
                event: "dispatch_skipped".into(),
                message: "the connector is disabled or gone".into(),
                ..about(&request, id, "")
            });
            continue;
        };
        if row.reached && row.mode == "first_success" {
            break;
        }
        let attempt = send(app, connector, secrets, Subject::Request(&request)).await;
        let (event, message) = match &attempt.result {
            Ok(()) => ("dispatch_succeeded", "Connector delivery succeeded".to_string()),
            Err(problem) => ("dispatch_failed", problem.clone()),
        };
        info!(request = %request.id, connector = %connector.id, event, "told a connector");
        match attempt.result {
            Ok(()) => {
                row.reached = true;
                told.push(ToldRow {
                    request_id: request.id.clone(),
                    connector_id: id.clone(),
                    workspace: row.workspace.clone(),
                    reference: attempt.reference.to_string(),
                    attempts: 0,
                    due_at: app.world().now(),
                });
            }
            Err(_) => rest.push(id),
        }
        activities.push(Activity {
            event: event.into(),
            status_code: attempt.status_code,
            duration_ms: attempt.duration_ms,
            message,
            ..about(&request, id, &connector.name)
        });
    }

    if !told.is_empty() {
        let mut tx = app.store().begin().await?;
        for told in &told {
            tx.add_told(told).await?;
        }
        tx.commit().await?;
    }
    let pause = usize::try_from(row.attempts).ok().and_then(|attempt| PAUSES.get(attempt));
    let satisfied = rest.is_empty() || row.reached && row.mode == "first_success";
    row.attempts += 1;
    row.connectors = crate::app::json(&rest).to_string();
    match pause {
        Some(pause) if !satisfied => {
            row.due_at = app.world().now() + pause;
            let mut tx = app.store().begin().await?;
            for activity in activities {
                note(app, &mut tx, &row.workspace, activity).await?;
            }
            tx.keep_delivery(&row).await?;
            Ok(tx.commit().await?)
        }
        _ => finish(app, &row, activities, Some(&request)).await,
    }
}

/// Nothing is to be told any more. Where nobody was reached, the console is enough or the request ends.
async fn finish(
    app: &App,
    row: &DeliveryRow,
    activities: Vec<Activity>,
    request: Option<&ApprovalRow>,
) -> Result<(), ApiError> {
    let mut tx = app.store().begin().await?;
    // The run is locked before the request, and both before the rest.
    if let Some(request) = request.filter(|_| !row.reached) {
        warn!(request = %request.id, fallback = row.fallback, "no connector was reached");
        if row.fallback {
            let activity = Activity {
                event: "fallback_to_ui".into(),
                message: "no connector was reached; the request can be decided in the console".into(),
                ..about(request, "", "")
            };
            note(app, &mut tx, &row.workspace, activity).await?;
        } else {
            expire_now(app, &mut tx, request, Some("no approver was reached")).await?;
        }
    }
    for activity in activities {
        note(app, &mut tx, &row.workspace, activity).await?;
    }
    tx.drop_delivery(&row.request_id).await?;
    Ok(tx.commit().await?)
}

/// Sends one message.
pub(super) async fn try_out(app: &App, connector: &ConnectorRecord, secrets: &Secrets) -> (Result<(), String>, u64) {
    let attempt = send(app, connector, secrets, Subject::Test).await;
    (attempt.result, attempt.duration_ms)
}

pub(super) async fn send(app: &App, connector: &ConnectorRecord, secrets: &Secrets, subject: Subject<'_>) -> Attempt {
    let message = Message { config: app.config(), connector, secrets, subject, now: app.world().now() };
    let request = match message.request() {
        Ok(request) => request,
        Err(problem) => {
            return Attempt { status_code: 0, duration_ms: 0, result: Err(problem), reference: Value::Null };
        }
    };
    let patience = Duration::from_secs(connector.timeout_seconds.into());
    let (answer, duration_ms) = exchange(app, app.outbound(), request, patience).await;
    match answer {
        Ok(response) => Attempt {
            status_code: response.status().as_u16(),
            duration_ms,
            result: message.arrived(&response),
            reference: message.reference(&response),
        },
        Err(error) => Attempt { status_code: 0, duration_ms, result: Err(error.to_string()), reference: Value::Null },
    }
}

/// Sends a request; the answer, and how many milliseconds that took.
pub async fn exchange(
    app: &App,
    outbound: &Outbound,
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> (Result<Response<Bytes>, OutboundError>, u64) {
    let began = app.world().elapsed();
    let answer = outbound.send(request, patience, MOST).await;
    (answer, app.world().elapsed().saturating_sub(began).as_millis() as u64)
}

/// What all that is noted of a request has in common.
pub(super) fn about(request: &ApprovalRow, connector: &str, name: &str) -> Activity {
    Activity {
        connector_id: connector.into(),
        connector_name: name.into(),
        request_id: request.id.clone(),
        action_id: request.action_id.clone(),
        run_id: request.run_id.clone(),
        ..Activity::default()
    }
}
