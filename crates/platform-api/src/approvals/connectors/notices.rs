//! Notices: whoever was told of a request is told how it ended: the message is changed where its service allows that,
//! else another follows. Tried again like the first, and on the record like it.

use ingestion_server::web::ApiError;
use tracing::info;

use super::deliver::{LEASE, PAUSES, about, send};
use super::messages::{Subject, outcome};
use super::{Activity, find, note};
use crate::app::App;
use crate::store::ToldRow;

/// Tells whoever is to be told by now.
pub async fn due(app: &App) -> Result<(), ApiError> {
    loop {
        let now = app.world().now();
        let mut tx = app.store().read().await?;
        if !tx.has_told(now).await? {
            return Ok(());
        }
        drop(tx);
        let mut tx = app.store().begin().await?;
        let taken = tx.take_told(now, now + LEASE).await?;
        tx.commit().await?;
        // Another replica was faster; it goes on from there.
        let Some(row) = taken else { return Ok(()) };
        tell(app, row).await?;
    }
}

async fn tell(app: &App, mut row: ToldRow) -> Result<(), ApiError> {
    let mut tx = app.store().read().await?;
    let request = tx.approval(&row.workspace, &row.request_id).await?;
    let connector = find(&mut tx, &row.workspace, &row.connector_id).await?;
    drop(tx);
    let connector = connector.filter(|(connector, _)| connector.enabled);
    let (Some(request), Some((connector, secrets))) = (request, connector) else {
        let mut tx = app.store().begin().await?;
        tx.drop_told(&row).await?;
        return Ok(tx.commit().await?);
    };
    let reference = serde_json::from_str(&row.reference).unwrap_or_default();
    let attempt = send(app, &connector, &secrets, Subject::Ended(&request, &reference)).await;
    let decision = outcome(&request);
    let (event, message) = match &attempt.result {
        Ok(()) => ("update_succeeded", format!("the connector was told that the request was {decision}")),
        Err(problem) => ("update_failed", problem.clone()),
    };
    info!(request = %request.id, connector = %connector.id, event, "told a connector how it ended");
    let activity = Activity {
        event: event.into(),
        decision: Some(decision.into()),
        approver_id: request.approver_id.clone(),
        status_code: attempt.status_code,
        duration_ms: attempt.duration_ms,
        message,
        ..about(&request, &connector.id, &connector.name)
    };
    let pause = usize::try_from(row.attempts).ok().and_then(|attempt| PAUSES.get(attempt));
    let mut tx = app.store().begin().await?;
    note(app, &mut tx, &row.workspace, activity).await?;
    match (attempt.result, pause) {
        (Err(_), Some(pause)) => {
            row.attempts += 1;
            row.due_at = app.world().now() + pause;
            tx.keep_told(&row).await?;
        }
        _ => tx.drop_told(&row).await?,
    }
    Ok(tx.commit().await?)
}
