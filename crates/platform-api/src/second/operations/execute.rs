//! Execute: operations that wait are carried out by whichever replica takes them, and each ends in a true state.

use std::error::Error;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ingestion_server::web::ApiError;
use serde_json::{Value, json};
use tracing::warn;

use super::{REQUEST, RESULT, Request};
use crate::agents::find;
use crate::app::App;
use crate::auth::{Identity, Scope};
use crate::second::ask::Subject;
use crate::second::refused::Refused;
use crate::second::webhooks;
use crate::store::{OperationRow, Tx};

/// How many are carried out here at a time.
const AT_ONCE: usize = 32;

/// Milliseconds from where one is taken in the store until it is under way in its process, at the very most.
const GRACE: i64 = 60_000;

/// Milliseconds after which nobody will take one any more.
const PATIENCE: i64 = 24 * 3_600_000;

/// Milliseconds for which ended ones are kept.
const KEPT: i64 = 7 * 24 * 3_600_000;

/// How many seconds are waited after each time that an end could not be written.
const PAUSES: [u64; 5] = [1, 2, 5, 15, 60];

/// What is said of one that was cut off.
const CUT_OFF: &str = "the platform stopped before the agent answered; whether it did something is in its run";

/// Takes what waits, as long as there is room.
pub fn take(app: &App) -> BoxFuture<'_, ()> {
    async {
        if let Err(error) = taken(app).await {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            warn!(error = %cause, "operations that wait could not be taken and will be");
        }
    }
    .boxed()
}

async fn taken(app: &App) -> Result<(), ApiError> {
    // What waits is kept for who comes after a process that ends.
    let Some(running) = app.running().filter(|running| !running.is_stopping()) else { return Ok(()) };
    let _one_at_a_time = app.operations().taking().await;
    let room = AT_ONCE.saturating_sub(app.operations().count());
    if room == 0 || !app.store().read().await?.has_operation_to_take().await? {
        return Ok(());
    }
    let mut tx = app.store().begin().await?;
    let most = i64::try_from(room).unwrap_or(i64::MAX);
    let rows = tx.take_operations(running.replica(), app.world().now(), most).await?;
    tx.commit().await?;
    for row in rows {
        let app = app.clone();
        let entered = app.operations().enter(&app, &row.id, None);
        tokio::spawn(async move {
            // Cancelled while it was taken: nobody is asked.
            let ended = tokio::select! {
                biased;
                () = entered.stop.notified() => return,
                ended = execute(&app, &row) => ended,
            };
            write(&app, &row, ended).await;
            drop(entered);
            // Others may wait for the room.
            take(&app).await;
        });
    }
    Ok(())
}

async fn execute(app: &App, row: &OperationRow) -> Result<Value, Refused> {
    let mut tx = app.store().read().await?;
    let request: Option<Request> = tx.unseal(&row.workspace, REQUEST, &row.id).await?;
    let request = request.ok_or_else(|| ApiError::Internal("an operation without its request".into()))?;
    let who = request.who(&row.workspace);
    must_still_open(app, &mut tx, &who).await?;
    let agent = find(&mut tx, &who, None, &row.agent_id).await?;
    drop(tx);
    let subject = Subject::again(agent, who, request.user.clone(), request.run.as_deref());
    let mut answer = request.wanted.answer(app, &subject, &request.request_id).await?;
    Ok(answer["data"].take())
}

/// An error unless the key with which it was asked, perhaps yesterday, opens agents still. Who came with a token alone was
/// let in by it.
async fn must_still_open(app: &App, tx: &mut Tx, who: &Identity) -> Result<(), ApiError> {
    if who.key == Identity::of_token(&who.workspace).key {
        return Ok(());
    }
    let key = tx.key(&who.key).await?.filter(|key| key.expires_at.is_none_or(|end| end > app.world().now()));
    let key = key.ok_or(ApiError::Unauthorized)?;
    Identity { scopes: Scope::split(&key.scopes), ..who.clone() }.must(Scope::Deploy)
}

/// Writes how it ended, unless it was cancelled meanwhile.
pub async fn write(app: &App, row: &OperationRow, ended: Result<Value, Refused>) {
    let (status, result) = match ended {
        Ok(data) => ("success", json!({"data": data})),
        Err(refused) => ("failed", json!({"error": refused.body()})),
    };
    // A store that is away for a while does not cost the answer.
    for pause in PAUSES {
        let Err(error) = end(app, row, status, &result).await else { return };
        warn!(%error, operation = row.id, "the end of an operation is not written yet");
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    // Nobody is at it any more, which the next round finds.
}

/// Ends an operation with what came of it.
pub async fn end(app: &App, row: &OperationRow, status: &str, result: &Value) -> Result<bool, ApiError> {
    let mut tx = app.store().begin().await?;
    let ended = tx.end_operation(&row.id, status, app.world().now()).await?;
    if ended {
        tx.seal(&row.workspace, RESULT, &row.id, result).await?;
        tx.forget_sealed(&row.workspace, REQUEST, &row.id).await?;
        webhooks::events::of_operation(app, &mut tx, row, status).await?;
    }
    tx.commit().await?;
    Ok(ended)
}

/// What is due: those that wait are taken, those that others cancelled are stopped, those that nobody is at any more end,
/// and those that ended long ago are forgotten.
pub async fn due(app: &App) -> Result<(), ApiError> {
    taken(app).await?;
    let now = app.world().now();
    let own = app.running().map_or("", |running| running.replica());
    let mut tx = app.store().read().await?;
    let cancelled = if own.is_empty() { Vec::new() } else { tx.cancelled_operations(own, now - 60_000).await? };
    let mut lost = tx.lost_operations(own, now - PATIENCE).await?;
    // What is written as this process's and is not under way here: its end could not be written.
    let here = if own.is_empty() { Vec::new() } else { tx.operations_at(own, now - GRACE).await? };
    lost.extend(here.into_iter().filter(|row| app.operations().get(&row.id).is_none()));
    let old = tx.old_operations(now - KEPT).await?;
    drop(tx);
    cancelled.iter().for_each(|id| app.operations().stop(id));
    for row in lost {
        let text = if row.status == "pending" { "nobody took it for a day" } else { CUT_OFF };
        warn!(operation = row.id, "{text}");
        let error = json!({"code": "OPERATION_LOST", "message": text, "details": {}});
        end(app, &row, "failed", &json!({"error": error})).await?;
    }
    if !old.is_empty() {
        let mut tx = app.store().begin().await?;
        for row in old {
            tx.forget_sealed(&row.workspace, REQUEST, &row.id).await?;
            tx.forget_sealed(&row.workspace, RESULT, &row.id).await?;
            tx.drop_operation(&row.id).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
