//! Judges: the compiled policies of agents, made once and kept until something changes.

use std::sync::Arc;

use ingestion_server::web::{ApiError, World};

use crate::app::App;
use crate::kept::Kept;
use crate::policies::evaluate::Judge;
use crate::policies::{Principal, bound_policies, groups_of};
use crate::store::Store;
use crate::tools::ToolRecord;

/// Whose policies: workspace, agent, user.
type Whose = (String, String, Option<String>);

/// The judges at hand.
#[derive(Debug)]
pub struct Judges(Kept<Whose, Arc<Judge>>);

impl Judges {
    /// Over a store.
    pub fn new(store: Store, world: World) -> Judges {
        Judges(Kept::new(store, world))
    }

    /// The judge of an agent that acts for a user, or for nobody in particular.
    pub async fn of(
        &self,
        app: &App,
        workspace: &str,
        agent: &str,
        user: Option<&str>,
    ) -> Result<Arc<Judge>, ApiError> {
        let whose = (workspace.to_string(), agent.to_string(), user.map(str::to_string));
        if let Some(judge) = self.0.get(&whose) {
            return Ok(judge);
        }
        let read = self.0.moment();
        let mut tx = app.store().read().await?;
        let tools = tx.list::<ToolRecord>(workspace).await?.into_iter().map(|tool| tool.value).collect();
        let groups = groups_of(&mut tx, workspace, user, app.world().now()).await?;
        let policies = bound_policies(&mut tx, workspace, &Principal { agent, user, groups: &groups }).await?;
        drop(tx);
        let judge = Judge::new(tools, &policies).map_err(|error| ApiError::Internal(error.into()))?;
        let judge = Arc::new(judge);
        self.0.put(whose, read, Arc::clone(&judge));
        Ok(judge)
    }
}
