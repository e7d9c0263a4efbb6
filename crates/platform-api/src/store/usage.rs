//! Usage: how many runs a workspace began, and how many calls of tools they recorded.

use super::{StoreError, Tx, Workspace, on};

impl Tx {
    /// Calls of tools by day since 1970, within `from..until` in milliseconds; days without any are left out.
    pub async fn tool_calls_by_day(
        &mut self,
        workspace: Workspace<'_>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(i64, i64)>, StoreError> {
        // A worker that keeps its own run asks for a tool; of an agent that runs here the call itself is seen.
        const SQL: &str = "select event.created_at / 86400000 as day, count(*) from event \
             join run on run.id = event.run_id where run.workspace = $1 \
             and event.type in ('TOOL_REQUEST', 'TOOL_CALLED') \
             and event.created_at >= $2 and event.created_at < $3 group by day order by day";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(from).bind(until).fetch_all(db).await)?)
    }

    /// Runs of an agent, or of all, that began within `from..until` in milliseconds: the agent, the status, how many.
    pub async fn runs_by_status(
        &mut self,
        workspace: Workspace<'_>,
        agent: Option<&str>,
        from: i64,
        until: i64,
    ) -> Result<Vec<(String, String, i64)>, StoreError> {
        const SQL: &str = "select agent_id, status, count(*) from run where workspace = $1 \
             and agent_id = coalesce($2, agent_id) and created_at >= $3 and created_at < $4 \
             group by agent_id, status order by agent_id, status";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(agent).bind(from).bind(until).fetch_all(db).await)?)
    }

    /// Calls of tools of an agent, or of all, since then, the newest first: the agent, what is said of it, and when.
    pub async fn tool_calls(
        &mut self,
        workspace: Workspace<'_>,
        agent: Option<&str>,
        since: i64,
        limit: i64,
    ) -> Result<Vec<(String, Option<String>, i64)>, StoreError> {
        const SQL: &str = "select run.agent_id, event.data, event.created_at from event \
             join run on run.id = event.run_id where run.workspace = $1 and run.agent_id = coalesce($2, run.agent_id) \
             and event.type = 'TOOL_CALLED' and event.created_at >= $3 order by event.created_at desc limit $4";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(agent).bind(since).bind(limit).fetch_all(db).await)?)
    }
}
