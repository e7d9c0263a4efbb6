//! Deliver: webhooks are told what they are to be told. Each attempt is written down; one that a killed platform was at is
//! made again, under the same ids and with the same bytes, so that whoever is told may recognize it.

use std::error::Error;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Request, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use hmac::Mac;
use http_body_util::Full;
use ingestion_server::web::{ApiError, Outbound, Reach};
use tracing::{info, warn};

use super::wire::{Sealed, WebhookAttempt, WebhookRecord};
use crate::app::{App, json};
use crate::approvals::connectors::deliver::{PAUSES, exchange};
use crate::approvals::connectors::signature::{hex, mac};
use crate::config::WebhooksConfig;
use crate::store::{Resource, WebhookDeliveryRow};
use crate::time::rfc3339;

/// How many are told at a time.
const AT_ONCE: i64 = 16;

/// How long a webhook has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds after which somebody who was telling is taken for dead: longer than an attempt takes.
const LEASE: i64 = 20_000;

/// After so long a round leaves the rest to the next.
const ROUND: Duration = Duration::from_secs(5);

/// Milliseconds for which the log keeps what has ended.
const KEPT: i64 = 7 * 24 * 3_600_000;

/// Who tells them, and how far that goes.
#[derive(Debug)]
pub struct Webhooks {
    outbound: Outbound,
    reach: Reach,
}

impl Webhooks {
    /// As it is configured.
    pub fn new(outbound: &Outbound, config: &WebhooksConfig) -> Webhooks {
        let reach = if config.private_networks { Reach::Inside } else { Reach::Outside };
        Webhooks { outbound: outbound.within(reach), reach }
    }

    /// How far a delivery goes.
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

/// Tells whoever is to be told by now, several at a time.
pub async fn due(app: &App) -> Result<(), ApiError> {
    let began = app.world().elapsed();
    while app.world().elapsed().saturating_sub(began) < ROUND {
        let now = app.world().now();
        // Most of the time there is nothing, which is found out without a lock.
        if !app.store().read().await?.has_webhook_delivery(now).await? {
            break;
        }
        let mut tx = app.store().begin().await?;
        let rows = tx.take_webhook_deliveries(now, now + LEASE, AT_ONCE).await?;
        tx.commit().await?;
        let telling = rows.into_iter().map(|row| async {
            let delivery = row.id.clone();
            if let Err(error) = tell(app, row, true).await {
                let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                warn!(delivery, error = %cause, "what a webhook was told is not written down; it will be told again");
            }
        });
        join_all(telling).await;
    }
    forget_old(app).await
}

async fn forget_old(app: &App) -> Result<(), ApiError> {
    let before = app.world().now() - KEPT;
    if app.store().read().await?.has_old_webhook_delivery(before).await? {
        let mut tx = app.store().begin().await?;
        tx.forget_webhook_deliveries(before).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// One attempt for a row that is in the caller's hands, until its lease ends. Whether another follows where it fails, the
/// caller says.
pub async fn tell(app: &App, mut row: WebhookDeliveryRow, again: bool) -> Result<WebhookDeliveryRow, ApiError> {
    let mut tx = app.store().read().await?;
    let webhook = tx.get::<WebhookRecord>(&row.workspace, &row.webhook_id).await?;
    let sealed = tx.unseal::<Sealed>(&row.workspace, WebhookRecord::KIND, &row.webhook_id).await?;
    drop(tx);
    let webhook = webhook.filter(|webhook| webhook.value.enabled || !again);
    let mut attempts: Vec<WebhookAttempt> = serde_json::from_str(&row.attempts).unwrap_or_default();
    let pause = match (webhook, sealed) {
        (Some(_), Some(sealed)) => {
            let attempt = attempt(app, &row, &sealed).await;
            info!(delivery = row.id, webhook = row.webhook_id, status_code = attempt.status_code, "told a webhook");
            row.status = if attempt.error.is_none() { "delivered".into() } else { "failed".into() };
            attempts.push(attempt);
            PAUSES.get(attempts.len() - 1).filter(|_| again && row.status == "failed")
        }
        _ => {
            row.status = "skipped".into();
            None
        }
    };
    let now = app.world().now();
    row.attempts = json(&attempts).to_string();
    match pause {
        Some(pause) => (row.status, row.due_at) = ("pending".into(), now + pause),
        None => row.ended_at = Some(now),
    }
    let mut tx = app.store().begin().await?;
    tx.keep_webhook_delivery(&row).await?;
    tx.commit().await?;
    Ok(row)
}

/// When a row is taken that was made just now, until when nobody else takes it.
pub fn leased(now: i64) -> i64 {
    now + LEASE
}

async fn attempt(app: &App, row: &WebhookDeliveryRow, sealed: &Sealed) -> WebhookAttempt {
    let now = app.world().now();
    let of = |status_code, duration_ms, error| WebhookAttempt { at: rfc3339(now), status_code, duration_ms, error };
    let Some(request) = request(row, sealed, now) else {
        return of(0, 0, Some("its url is not an address".into()));
    };
    match exchange(app, &app.webhooks().outbound, request, PATIENCE).await {
        (Ok(response), took) if response.status().is_success() => of(response.status().as_u16(), took, None),
        (Ok(response), took) => {
            let status = response.status().as_u16();
            of(status, took, Some(format!("it answered {status}")))
        }
        (Err(error), took) => of(0, took, Some(error.to_string())),
    }
}

/// Signed twice: over the body alone as the second system's documents have it, and as Standard Webhooks do, where a
/// recording is recognized by its time.
fn request(row: &WebhookDeliveryRow, sealed: &Sealed, now: i64) -> Option<Request<Full<Bytes>>> {
    let body = row.body.as_bytes();
    let seconds = (now / 1000).to_string();
    let head = format!("{}.{seconds}.", row.event_id);
    let standard = mac(&sealed.standard_key(), &[head.as_bytes(), body]).finalize().into_bytes();
    let mut request = Request::new(Full::new(Bytes::from(row.body.clone())));
    *request.method_mut() = axum::http::Method::POST;
    *request.uri_mut() = sealed.url.parse().ok()?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("platform-api"));
    for (name, value) in [
        ("webhook-id", row.event_id.clone()),
        ("webhook-timestamp", seconds),
        ("webhook-signature", format!("v1,{}", BASE64_STANDARD.encode(standard))),
        ("x-runagent-signature", hex(mac(sealed.secret.as_bytes(), &[body]))),
        ("x-runagent-event", row.kind.clone()),
        ("x-runagent-delivery", row.id.clone()),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_that_others_compute() {
        let row = WebhookDeliveryRow {
            id: "dlv_1".into(),
            workspace: "default".into(),
            webhook_id: "wh_1".into(),
            event_id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            kind: "test".into(),
            body: r#"{"test": 2432232314}"#.into(),
            status: "pending".into(),
            attempts: "[]".into(),
            due_at: 0,
            created_at: 0,
            ended_at: None,
        };
        // The example of the specification of Standard Webhooks.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_string();
        let sealed = Sealed { url: "https://a.io/hook".into(), secret };
        let request = request(&row, &sealed, 1_614_265_330_000).unwrap();
        let of = |name: &str| request.headers()[name].to_str().unwrap();
        assert_eq!(of("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!([of("webhook-timestamp"), of("x-runagent-delivery")], ["1614265330", "dlv_1"]);
        // By OpenSSL.
        assert_eq!(of("x-runagent-signature"), "80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c");
    }
}
