//! Runs: each with its numbered events and its blocked actions.

use super::{StoreError, Tx, Workspace, on};
use crate::runs::{ActionStatus, RunStatus};

/// A run as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// The agent's name.
    pub agent_id: String,
    /// Where the agent is.
    pub namespace: String,
    /// For whom it runs.
    pub user_id: String,
    /// What the run is a part of.
    pub conversation_id: Option<String>,
    /// Where the agent is called again; none for the agent's own address.
    pub invoke_url: Option<String>,
    /// What the user said first.
    pub initial_message: Option<String>,
    /// Where it is.
    #[sqlx(try_from = "String")]
    pub status: RunStatus,
    /// What it waits for.
    pub blocked_action_id: Option<String>,
    /// The number of its last event.
    pub events: i64,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    /// When its status changed last.
    pub updated_at: i64,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EventRow {
    /// Its run.
    pub run_id: String,
    /// 1, 2, 3, … within the run.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// What happened.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// SHA-256 of the payload that it is about.
    pub payload_hash: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// More of it, as a JSON object.
    pub data: Option<String>,
    /// When.
    pub created_at: i64,
}

/// A call that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ActionRow {
    /// Its id.
    pub id: String,
    /// Its run.
    pub run_id: String,
    /// The tool that is to be called.
    pub tool_id: String,
    /// What is to be done with it.
    pub capability: Option<String>,
    /// SHA-256 of what is to be sent.
    pub payload_hash: Option<String>,
    /// Where it is.
    #[sqlx(try_from = "String")]
    pub status: ActionStatus,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
}

impl Tx {
    /// A new run.
    pub async fn add_run(&mut self, workspace: Workspace<'_>, run: &RunRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into run (id, workspace, agent_id, namespace, user_id, conversation_id, invoke_url, \
             initial_message, status, blocked_action_id, events, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
        on!(self, db => sqlx::query(SQL)
            .bind(&run.id).bind(workspace).bind(&run.agent_id).bind(&run.namespace).bind(&run.user_id)
            .bind(&run.conversation_id).bind(&run.invoke_url).bind(&run.initial_message).bind(run.status.name())
            .bind(&run.blocked_action_id).bind(run.events).bind(run.created_at).bind(run.updated_at)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// The run of that id.
    pub async fn run(&mut self, workspace: Workspace<'_>, id: &str) -> Result<Option<RunRow>, StoreError> {
        const SQL: &str = "select * from run where workspace = $1 and id = $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(id).fetch_optional(db).await)?)
    }

    /// The same, and nobody else changes it before this transaction ends. Whoever locks a run and an approval locks the
    /// run first.
    pub async fn lock_run(&mut self, workspace: Workspace<'_>, id: &str) -> Result<Option<RunRow>, StoreError> {
        const SQL: &str = "update run set events = events where workspace = $1 and id = $2 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(id).fetch_optional(db).await)?)
    }

    /// Runs of an agent, or of all; with statuses that match a `like` pattern; newest first.
    pub async fn runs(
        &mut self,
        workspace: Workspace<'_>,
        agent: Option<&str>,
        status: &str,
        limit: i64,
    ) -> Result<Vec<RunRow>, StoreError> {
        const SQL: &str = "select * from run where workspace = $1 and agent_id = coalesce($2, agent_id) \
             and status like $3 order by created_at desc, id desc limit $4";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(agent).bind(status).bind(limit).fetch_all(db).await)?)
    }

    /// Another status for a run, and what it waits for.
    pub async fn set_run(
        &mut self,
        id: &str,
        status: RunStatus,
        blocked_action: Option<&str>,
        now: i64,
    ) -> Result<RunRow, StoreError> {
        const SQL: &str =
            "update run set status = $2, blocked_action_id = $3, updated_at = $4 where id = $1 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(id).bind(status.name()).bind(blocked_action).bind(now).fetch_one(db).await)?)
    }

    /// The number of the next event of a run; none if there is no such run. Another who asks waits until this
    /// transaction ends, so that no number is missing.
    pub async fn next_event(&mut self, workspace: Workspace<'_>, run: &str) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "update run set events = events + 1 where workspace = $1 and id = $2 returning events";
        Ok(on!(self, db => sqlx::query_scalar(SQL).bind(workspace).bind(run).fetch_optional(db).await)?)
    }

    /// Writes an event under its number, linked to the one before it.
    pub async fn add_event(&mut self, event: &EventRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into event (run_id, seq, id, type, payload_hash, actor, data, created_at, link) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let before = if event.seq == 1 { String::new() } else { self.event_link(&event.run_id, event.seq - 1).await? };
        let link = self.chain.of_event(&before, event);
        on!(self, db => sqlx::query(SQL)
            .bind(&event.run_id).bind(event.seq).bind(&event.id).bind(&event.kind).bind(&event.payload_hash)
            .bind(&event.actor).bind(&event.data).bind(event.created_at).bind(link).execute(db).await.map(drop))?;
        Ok(())
    }

    /// The events of a run after number `after`, in order.
    pub async fn events(&mut self, run: &str, after: i64, limit: i64) -> Result<Vec<EventRow>, StoreError> {
        const SQL: &str = "select * from event where run_id = $1 and seq > $2 order by seq limit $3";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(run).bind(after).bind(limit).fetch_all(db).await)?)
    }

    /// A new action.
    pub async fn add_action(&mut self, action: &ActionRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into action \
             (id, run_id, tool_id, capability, payload_hash, status, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, db => sqlx::query(SQL)
            .bind(&action.id).bind(&action.run_id).bind(&action.tool_id).bind(&action.capability)
            .bind(&action.payload_hash).bind(action.status.name()).bind(action.created_at).bind(action.updated_at)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// One action of a run.
    pub async fn action(&mut self, run: &str, id: &str) -> Result<Option<ActionRow>, StoreError> {
        const SQL: &str = "select * from action where run_id = $1 and id = $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(run).bind(id).fetch_optional(db).await)?)
    }

    /// The actions of a run, oldest first.
    pub async fn actions(&mut self, run: &str) -> Result<Vec<ActionRow>, StoreError> {
        const SQL: &str = "select * from action where run_id = $1 order by created_at, id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(run).fetch_all(db).await)?)
    }

    /// Another status for an action.
    pub async fn set_action(&mut self, id: &str, status: ActionStatus, now: i64) -> Result<ActionRow, StoreError> {
        const SQL: &str = "update action set status = $2, updated_at = $3 where id = $1 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(id).bind(status.name()).bind(now).fetch_one(db).await)?)
    }
}
