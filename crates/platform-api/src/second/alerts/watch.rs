//! Watch: alerts are looked at by every process, and each is told by one of them.

use std::sync::atomic::{AtomicI64, Ordering};

use ingestion_server::web::ApiError;
use serde_json::json;

use super::{AlertRecord, Fired};
use crate::app::App;
use crate::second::webhooks::events::{Happened, happened};
use crate::store::Stored;
use crate::time::rfc3339;

/// Milliseconds after which a process looks again.
const PACE: i64 = 10_000;

/// When this process looked last, in milliseconds since 1970.
#[derive(Debug, Default)]
pub struct Watch(AtomicI64);

/// Looks at all alerts, and tells of those whose threshold is reached.
pub async fn due(app: &App) -> Result<(), ApiError> {
    let now = app.world().now();
    let Watch(looked) = app.watch();
    if now - looked.load(Ordering::Relaxed) < PACE {
        return Ok(());
    }
    looked.store(now, Ordering::Relaxed);
    let mut tx = app.store().read().await?;
    let mut reached = Vec::new();
    for (workspace, Stored { value: mut alert, version, .. }) in tx.list_everywhere::<AlertRecord>().await? {
        if !alert.enabled || alert.has_fired(now) {
            continue;
        }
        let value = alert.value(&mut tx, &workspace, now).await?;
        if value >= alert.threshold {
            let (period_start, _) = alert.period.around(now);
            alert.fired = Some(Fired { period_start, at: now, value });
            reached.push((workspace, alert, version, value));
        }
    }
    drop(tx);
    for (workspace, alert, version, value) in reached {
        let mut tx = app.store().begin().await?;
        // Whoever comes first, of all replicas, tells it.
        if tx.update(&workspace, &alert, version, now).await?.is_some() {
            let (start, end) = alert.period.around(now);
            let data = json!({
                "alert_id": alert.id,
                "name": alert.name,
                "metric": alert.metric,
                "period": alert.period,
                "period_start": rfc3339(start),
                "period_end": rfc3339(end),
                "threshold": alert.threshold,
                "value": value,
            });
            let what = Happened { kind: "alert.triggered", agent: alert.agent_id, data, ..Happened::default() };
            happened(app, &mut tx, &workspace, &what).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}
