//! Judges: the compiled policies of agents, made once and kept until something changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingestion_server::web::ApiError;

use crate::app::App;
use crate::policies::evaluate::Judge;
use crate::policies::{Principal, bound_policies};
use crate::tools::ToolRecord;

/// For so long what other replicas change may not be seen.
const FRESH: Duration = Duration::from_secs(1);

/// Agents and users of whom judges are kept.
const MOST: usize = 10_000;

/// Whose policies: workspace, agent, user.
type Whose = (String, String, Option<String>);

/// The judges at hand.
#[derive(Debug, Default)]
pub struct Judges(Mutex<HashMap<Whose, Kept>>);

#[derive(Debug)]
struct Kept {
    changes: u64,
    read_at: Duration,
    judge: Arc<Judge>,
}

impl Judges {
    /// The judge of an agent that acts for a user, or for nobody in particular.
    pub async fn of(
        &self,
        app: &App,
        workspace: &str,
        agent: &str,
        user: Option<&str>,
    ) -> Result<Arc<Judge>, ApiError> {
        let whose = (workspace.to_string(), agent.to_string(), user.map(str::to_string));
        // Before anything is read: what changes meanwhile makes it old.
        let (changes, now) = (app.store().changes(), app.world().elapsed());
        if let Some(kept) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&whose)
            && kept.changes == changes
            && now.saturating_sub(kept.read_at) < FRESH
        {
            return Ok(Arc::clone(&kept.judge));
        }
        let mut tx = app.store().read().await?;
        let tools = tx.list::<ToolRecord>(workspace).await?.into_iter().map(|tool| tool.value).collect();
        let policies = bound_policies(&mut tx, workspace, &Principal { agent, user, groups: &[] }).await?;
        drop(tx);
        let judge = Judge::new(tools, &policies).map_err(|error| ApiError::Internal(error.into()))?;
        let judge = Arc::new(judge);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(whose, Kept { changes, read_at: now, judge: Arc::clone(&judge) });
        Ok(judge)
    }
}
