//! Jobs: what happens by itself. Each step may be done by any replica, and twice without harm.

use std::error::Error;
use std::time::Duration;

use ingestion_server::web::ApiError;
use tokio::task::JoinSet;
use tracing::warn;

use crate::analyses;
use crate::app::App;
use crate::approvals::{self, connectors};
use crate::auth;
use crate::credentials::oauth;
use crate::runs::record;
use crate::second::{alerts, operations, tiers, webhooks};

/// How often the platform looks whether there is something to do.
const PACE: Duration = Duration::from_secs(1);

/// How many rounds may be under way: one that waits for somebody slow does not hold up the next.
const AT_ONCE: usize = 16;

/// Does what is due, again and again. Dropped, it stops wherever it is; the store knows what is left to do.
pub async fn run(app: App) {
    let mut rounds = JoinSet::new();
    loop {
        while rounds.try_join_next().is_some() {}
        if rounds.len() < AT_ONCE {
            let app = app.clone();
            rounds.spawn(async move {
                if let Err(error) = tick(&app).await {
                    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                    warn!(error = %cause, "a job failed and will be tried again");
                }
            });
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Does what is due: each step, whatever became of those before it; the first error is given.
pub async fn tick(app: &App) -> Result<(), ApiError> {
    let steps = [
        approvals::expire_due(app).await,
        oauth::expire_due(app).await,
        auth::forget_old(app).await,
        app.gateway().ledger().write(false).await.map_err(Into::into),
        analyses::forget_old(app).await,
        connectors::deliver::due(app).await,
        connectors::notices::due(app).await,
        tiers::forget_old(app).await,
        record::seal_ended(app).await,
        record::forget_old(app).await,
        operations::execute::due(app).await,
        alerts::due(app).await,
        webhooks::deliver::due(app).await,
    ];
    steps.into_iter().collect()
}
