//! Jobs: what happens by itself. Each step may be done by any replica, and twice without harm.

use std::time::Duration;

use ingestion_server::web::ApiError;
use tracing::warn;

use crate::app::App;
use crate::approvals::{self, connectors};

/// How often the platform looks whether there is something to do.
const PACE: Duration = Duration::from_secs(1);

/// Does what is due, again and again.
pub async fn run(app: App) {
    loop {
        if let Err(error) = tick(&app).await {
            warn!(error = %std::error::Error::source(&error).unwrap_or(&error), "a job failed and will be tried again");
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Does what is due.
pub async fn tick(app: &App) -> Result<(), ApiError> {
    approvals::expire_due(app).await?;
    connectors::deliver::due(app).await
}
