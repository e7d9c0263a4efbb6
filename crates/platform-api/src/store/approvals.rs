//! Approvals: who asked for what, what was decided, and which connectors are still to be told.

use super::{StoreError, Tx, Workspace, on};
use crate::approvals::{ApprovalStatus, Scope};

/// A request for approval, and once granted the grant.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ApprovalRow {
    /// Its id.
    pub id: String,
    /// Its workspace.
    pub workspace: String,
    /// Who wants to: a user or a service.
    pub subject: String,
    /// Through which agent.
    pub agent_id: Option<String>,
    /// With which tool.
    pub tool_id: String,
    /// In which run.
    pub run_id: Option<String>,
    /// What that run waits for.
    pub action_id: Option<String>,
    /// What is to be done with the tool.
    pub capability: Option<String>,
    /// SHA-256 of what is to be sent.
    pub payload_hash: Option<String>,
    /// By which HTTP method.
    pub tool_method: Option<String>,
    /// To which address.
    pub tool_url: Option<String>,
    /// Where it is.
    #[sqlx(try_from = "String")]
    pub status: ApprovalStatus,
    /// How long a grant is wished for, or holds.
    pub duration: String,
    /// What was granted, as [`Scope::name`] writes it.
    pub scope: Option<String>,
    /// Who decided.
    pub approver_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What a repeated request is recognized by, as long as this one is pending.
    pub pending_key: Option<String>,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    /// When its status changed last.
    pub updated_at: i64,
    /// Until when it can be decided; once granted, when the grant ends.
    pub expires_at: Option<i64>,
    /// When a grant for one call was used.
    pub used_at: Option<i64>,
    /// Ids of the connectors that are told of it, and so may decide, as a JSON array.
    pub told: String,
    /// Who may decide, as [`Deciders`](crate::approvals::Deciders) in JSON.
    pub deciders: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// `APPROVED` or `REJECTED`.
    pub status: ApprovalStatus,
    /// What was granted.
    pub scope: Option<Scope>,
    /// For how long.
    pub duration: &'a str,
    /// Until when.
    pub expires_at: Option<i64>,
    /// By whom.
    pub approver: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
}

/// Connectors that are to be told of a request.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryRow {
    /// The request.
    pub request_id: String,
    /// Its workspace.
    pub workspace: String,
    /// Ids of the connectors that were not reached yet, in their order, as a JSON array.
    pub connectors: String,
    /// `first_success` or `all`.
    pub mode: String,
    /// Somebody was reached.
    pub reached: bool,
    /// The console is enough if nobody is.
    pub fallback: bool,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub due_at: i64,
}

impl Tx {
    /// A new request; false if one like it is pending.
    pub async fn add_approval(&mut self, row: &ApprovalRow) -> Result<bool, StoreError> {
        const SQL: &str = "insert into approval (id, workspace, subject, agent_id, tool_id, run_id, action_id, \
             capability, payload_hash, tool_method, tool_url, status, duration, pending_key, created_at, updated_at, \
             expires_at, told, deciders) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
             on conflict (pending_key) do nothing";
        let added = on!(self, db => sqlx::query(SQL)
            .bind(&row.id).bind(&row.workspace).bind(&row.subject).bind(&row.agent_id).bind(&row.tool_id)
            .bind(&row.run_id).bind(&row.action_id).bind(&row.capability).bind(&row.payload_hash)
            .bind(&row.tool_method).bind(&row.tool_url).bind(row.status.name()).bind(&row.duration)
            .bind(&row.pending_key).bind(row.created_at).bind(row.updated_at).bind(row.expires_at).bind(&row.told)
            .bind(&row.deciders)
            .execute(db).await.map(|done| done.rows_affected()))?;
        Ok(added > 0)
    }

    /// The pending request that a repeated one is.
    pub async fn pending_approval(&mut self, pending_key: &str) -> Result<Option<ApprovalRow>, StoreError> {
        const SQL: &str = "select * from approval where pending_key = $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(pending_key).fetch_optional(db).await)?)
    }

    /// The request of that id.
    pub async fn approval(&mut self, workspace: Workspace<'_>, id: &str) -> Result<Option<ApprovalRow>, StoreError> {
        const SQL: &str = "select * from approval where workspace = $1 and id = $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(id).fetch_optional(db).await)?)
    }

    /// The same, and nobody else changes it before this transaction ends. Its run, if it has one, is locked first.
    pub async fn lock_approval(
        &mut self,
        workspace: Workspace<'_>,
        id: &str,
    ) -> Result<Option<ApprovalRow>, StoreError> {
        const SQL: &str = "update approval set told = told where workspace = $1 and id = $2 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(id).fetch_optional(db).await)?)
    }

    /// The request that is pending for an action whose run is locked, locked too.
    pub async fn lock_pending_approval_of(&mut self, action: &str) -> Result<Option<ApprovalRow>, StoreError> {
        const SQL: &str = "update approval set told = told where run_id = (select run_id from action where id = $1) \
             and action_id = $1 and status = 'PENDING' returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(action).fetch_optional(db).await)?)
    }

    /// Requests with a status, or with any, oldest first.
    pub async fn approvals(
        &mut self,
        workspace: Workspace<'_>,
        status: Option<ApprovalStatus>,
    ) -> Result<Vec<ApprovalRow>, StoreError> {
        const SQL: &str = "select * from approval where workspace = $1 and status = coalesce($2, status) \
             order by created_at, id";
        let status = status.map(ApprovalStatus::name);
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(status).fetch_all(db).await)?)
    }

    /// Requests of a run, oldest first.
    pub async fn approvals_of_run(&mut self, run: &str) -> Result<Vec<ApprovalRow>, StoreError> {
        const SQL: &str = "select * from approval where run_id = $1 order by created_at, id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(run).fetch_all(db).await)?)
    }

    /// What was granted for a tool, still holds and was not used up, oldest first.
    pub async fn grants(
        &mut self,
        workspace: Workspace<'_>,
        tool: &str,
        now: i64,
    ) -> Result<Vec<ApprovalRow>, StoreError> {
        const SQL: &str = "select * from approval where workspace = $1 and tool_id = $2 and status = 'APPROVED' \
             and expires_at > $3 and used_at is null order by created_at, id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(tool).bind(now).fetch_all(db).await)?)
    }

    /// Uses a grant for one call up; false if somebody else did, or it ended.
    pub async fn use_grant(&mut self, id: &str, now: i64) -> Result<bool, StoreError> {
        const SQL: &str = "update approval set used_at = $2 where id = $1 and used_at is null \
             and status = 'APPROVED' and expires_at > $2";
        let used = on!(self, db => sqlx::query(SQL)
            .bind(id).bind(now).execute(db).await.map(|done| done.rows_affected()))?;
        Ok(used > 0)
    }

    /// Writes down what was decided on a locked request.
    pub async fn decide_approval(
        &mut self,
        id: &str,
        verdict: &Verdict<'_>,
        now: i64,
    ) -> Result<ApprovalRow, StoreError> {
        const SQL: &str = "update approval set status = $2, scope = $3, duration = $4, expires_at = $5, \
             approver_id = $6, reason = $7, updated_at = $8, pending_key = null where id = $1 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(id).bind(verdict.status.name()).bind(verdict.scope.map(Scope::name)).bind(verdict.duration)
            .bind(verdict.expires_at).bind(verdict.approver).bind(verdict.reason).bind(now)
            .fetch_one(db).await)?)
    }

    /// What is pending or granted and whose time is over, in any workspace, the longest ago first.
    pub async fn due_approvals(&mut self, now: i64, limit: i64) -> Result<Vec<ApprovalRow>, StoreError> {
        const SQL: &str = "select * from approval where status in ('PENDING', 'APPROVED') and expires_at <= $1 \
             order by expires_at, id limit $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(now).bind(limit).fetch_all(db).await)?)
    }

    /// Ends a request or grant that has this status; false if it has another by now.
    pub async fn expire_approval(
        &mut self,
        id: &str,
        from: ApprovalStatus,
        reason: Option<&str>,
        now: i64,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "update approval set status = 'EXPIRED', reason = coalesce(reason, $3), updated_at = $4, \
             pending_key = null where id = $1 and status = $2";
        let ended = on!(self, db => sqlx::query(SQL)
            .bind(id).bind(from.name()).bind(reason).bind(now).execute(db).await.map(|done| done.rows_affected()))?;
        Ok(ended > 0)
    }

    /// Ends the pending requests of a run that ended.
    pub async fn close_approvals(&mut self, run: &str, reason: &str, now: i64) -> Result<(), StoreError> {
        const SQL: &str = "update approval set status = 'EXPIRED', reason = $2, updated_at = $3, pending_key = null \
             where run_id = $1 and status = 'PENDING'";
        on!(self, db => sqlx::query(SQL).bind(run).bind(reason).bind(now).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Connectors are to be told.
    pub async fn add_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into delivery \
             (request_id, workspace, connectors, mode, reached, fallback, attempts, due_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.request_id).bind(&row.workspace).bind(&row.connectors).bind(&row.mode).bind(row.reached)
            .bind(row.fallback).bind(row.attempts).bind(row.due_at).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Whether anything is due.
    pub async fn has_delivery(&mut self, now: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select count(*) from delivery where due_at <= $1";
        let count: i64 = on!(self, db => sqlx::query_scalar(SQL).bind(now).fetch_one(db).await)?;
        Ok(count > 0)
    }

    /// Takes what is due; whoever else asks before `until` does not get it. If the taker is killed, it is due then.
    pub async fn take_delivery(&mut self, now: i64, until: i64) -> Result<Option<DeliveryRow>, StoreError> {
        const SQL: &str = "update delivery set due_at = $2 where due_at <= $1 and request_id = \
             (select request_id from delivery where due_at <= $1 order by due_at, request_id limit 1) returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(now).bind(until).fetch_optional(db).await)?)
    }

    /// It is to be tried again.
    pub async fn keep_delivery(&mut self, row: &DeliveryRow) -> Result<(), StoreError> {
        const SQL: &str = "update delivery set connectors = $2, reached = $3, attempts = $4, due_at = $5 \
             where request_id = $1";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.request_id).bind(&row.connectors).bind(row.reached).bind(row.attempts).bind(row.due_at)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// It is over.
    pub async fn drop_delivery(&mut self, request: &str) -> Result<(), StoreError> {
        on!(self, db => sqlx::query("delete from delivery where request_id = $1")
            .bind(request).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Notes what a connector did.
    pub async fn add_activity(
        &mut self,
        workspace: Workspace<'_>,
        id: &str,
        at: i64,
        body: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into activity (id, workspace, at, body) values ($1, $2, $3, $4)";
        on!(self, db => sqlx::query(SQL).bind(id).bind(workspace).bind(at).bind(body).execute(db).await.map(drop))?;
        Ok(())
    }

    /// What connectors did last, newest first.
    pub async fn activity(&mut self, workspace: Workspace<'_>, limit: i64) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "select body from activity where workspace = $1 order by at desc, id desc limit $2";
        Ok(on!(self, db => sqlx::query_scalar(SQL).bind(workspace).bind(limit).fetch_all(db).await)?)
    }

    /// The workspace of the document of that kind and name, where names are unique in all of them.
    pub async fn workspace_of(&mut self, kind: &str, name: &str) -> Result<Option<String>, StoreError> {
        const SQL: &str = "select workspace from document where kind = $1 and name = $2";
        Ok(on!(self, db => sqlx::query_scalar(SQL).bind(kind).bind(name).fetch_optional(db).await)?)
    }
}
