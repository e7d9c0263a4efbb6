//! Record: ends of runs go into the chain of their workspace, many at once, and runs that are old enough are removed.

use std::collections::BTreeMap;

use ingestion_server::web::ApiError;

use super::observed::DAY;
use crate::app::App;

/// How many runs are looked at in one round.
const BATCH: i64 = 500;

/// Puts the ends of runs on the record: those of one round in one transaction, so that no run waits for a lock.
pub async fn seal_ended(app: &App) -> Result<(), ApiError> {
    let ended = app.store().read().await?.unsealed_runs(BATCH).await?;
    for (workspace, runs) in &by_workspace(&ended) {
        let mut tx = app.store().begin().await?;
        tx.seal_runs(workspace, runs, app.world().now()).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Removes runs whose ends are on the record for longer than they are kept.
pub async fn forget_old(app: &App) -> Result<(), ApiError> {
    let days = i64::from(app.config().runs.keep_days);
    if days == 0 {
        return Ok(());
    }
    let now = app.world().now();
    let before = now - days * DAY;
    let old = app.store().read().await?.old_runs(before, BATCH).await?;
    for (workspace, runs) in &by_workspace(&old) {
        let mut tx = app.store().begin().await?;
        tx.remove_runs(workspace, runs, before, now).await?;
        tx.commit().await?;
    }
    Ok(())
}

fn by_workspace(runs: &[(String, String)]) -> BTreeMap<&str, Vec<&str>> {
    let mut sorted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (workspace, run) in runs {
        sorted.entry(workspace).or_default().push(run);
    }
    sorted
}
