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
    let before = looked.swap(now, Ordering::Relaxed);
    let mut tx = app.store().read().await?;
    let mut reached = Vec::new();
    for (workspace, stored) in tx.list_everywhere::<AlertRecord>().await? {
        let Stored { value: mut alert, version, created_at, .. } = stored;
        if !alert.enabled {
            continue;
        }
        let (start, _) = alert.period.around(now);
        // What was reached after the last look at a period is told too, once.
        let at_end = (before < start && created_at < start).then_some(start - 1);
        for at in at_end.into_iter().chain([now]) {
            let (period_start, _) = alert.period.around(at);
            if alert.has_fired_since(period_start) {
                continue;
            }
            let value = alert.value(&mut tx, &workspace, at).await?;
            if value >= alert.threshold {
                alert.fired = Some(Fired { period_start, at: now, value });
                reached.push((workspace, alert, version, value, at));
                // The other has its turn at the next look.
                break;
            }
        }
    }
    drop(tx);
    for (workspace, alert, version, value, at) in reached {
        let mut tx = app.store().begin().await?;
        // Whoever comes first, of all replicas, tells it.
        if tx.update(&workspace, &alert, version, now).await?.is_some() {
            let (start, end) = alert.period.around(at);
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
