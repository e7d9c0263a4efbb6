//! Operations: what is answered later. Each is in one process's hands at most, and ends once.

use super::{StoreError, Tx, Workspace, on};

/// An operation as it is kept; what was asked and what came of it are sealed.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OperationRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub workspace: String,
    /// The agent that is asked.
    pub agent_id: String,
    /// `invoke` or `stream`.
    pub kind: String,
    /// `pending`, `running`, `success`, `failed` or `cancelled`.
    pub status: String,
    /// Who is at it.
    pub replica: Option<String>,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    /// When somebody took it.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
}

impl Tx {
    /// A new operation.
    pub async fn add_operation(&mut self, row: &OperationRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into operation \
             (id, workspace, agent_id, kind, status, replica, created_at, started_at, ended_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.id).bind(&row.workspace).bind(&row.agent_id).bind(&row.kind).bind(&row.status)
            .bind(&row.replica).bind(row.created_at).bind(row.started_at).bind(row.ended_at)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// One operation.
    pub async fn operation(&mut self, workspace: Workspace<'_>, id: &str) -> Result<Option<OperationRow>, StoreError> {
        const SQL: &str = "select * from operation where workspace = $1 and id = $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(id).fetch_optional(db).await)?)
    }

    /// Operations of a workspace, newest first, and how many there are.
    pub async fn operations(
        &mut self,
        workspace: Workspace<'_>,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<OperationRow>, i64), StoreError> {
        const SQL: &str =
            "select * from operation where workspace = $1 order by created_at desc, id desc limit $2 offset $3";
        const COUNT: &str = "select count(*) from operation where workspace = $1";
        let total = on!(self, db => sqlx::query_scalar(COUNT).bind(workspace).fetch_one(db).await)?;
        let rows = on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(limit).bind(offset).fetch_all(db).await)?;
        Ok((rows, total))
    }

    /// Is there one that waits?
    pub async fn has_operation_to_take(&mut self) -> Result<bool, StoreError> {
        const SQL: &str = "select id from operation where status = 'pending' limit 1";
        let found: Option<String> = on!(self, db => sqlx::query_scalar(SQL).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Takes at most so many that wait, the oldest first.
    pub async fn take_operations(
        &mut self,
        replica: &str,
        now: i64,
        most: i64,
    ) -> Result<Vec<OperationRow>, StoreError> {
        const SQL: &str = "update operation set status = 'running', replica = $1, started_at = $2 \
             where status = 'pending' and id in \
             (select id from operation where status = 'pending' order by created_at, id limit $3) returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(replica).bind(now).bind(most).fetch_all(db).await)?)
    }

    /// Ends an operation that has not ended; did it?
    pub async fn end_operation(&mut self, id: &str, status: &str, now: i64) -> Result<bool, StoreError> {
        const SQL: &str = "update operation set status = $2, ended_at = $3 \
             where id = $1 and status in ('pending', 'running')";
        let ended = on!(self, db => sqlx::query(SQL)
            .bind(id).bind(status).bind(now).execute(db).await.map(|done| done.rows_affected()))?;
        Ok(ended > 0)
    }

    /// Those of somebody that were cancelled after a time.
    pub async fn cancelled_operations(&mut self, replica: &str, since: i64) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "select id from operation where status = 'cancelled' and replica = $1 and ended_at >= $2";
        Ok(on!(self, db => sqlx::query_scalar(SQL).bind(replica).bind(since).fetch_all(db).await)?)
    }

    /// Those that somebody was at who is gone, or that nobody took since `before`. `own` is the process that asks.
    pub async fn lost_operations(&mut self, own: &str, before: i64) -> Result<Vec<OperationRow>, StoreError> {
        const SQL: &str = "select * from operation where (status = 'running' and replica <> $1 \
             and replica not in (select id from replica)) or (status = 'pending' and created_at < $2) \
             order by created_at limit 100";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(own).bind(before).fetch_all(db).await)?)
    }

    /// Those that a process is at since before a time, as the store has it.
    pub async fn operations_at(&mut self, replica: &str, before: i64) -> Result<Vec<OperationRow>, StoreError> {
        const SQL: &str = "select * from operation where status = 'running' and replica = $1 and started_at < $2 \
             order by created_at limit 100";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(replica).bind(before).fetch_all(db).await)?)
    }

    /// Those that ended before a time.
    pub async fn old_operations(&mut self, before: i64) -> Result<Vec<OperationRow>, StoreError> {
        const SQL: &str = "select * from operation where ended_at < $1 order by ended_at limit 100";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(before).fetch_all(db).await)?)
    }

    /// Takes an operation away.
    pub async fn drop_operation(&mut self, id: &str) -> Result<(), StoreError> {
        on!(self, db => sqlx::query("delete from operation where id = $1").bind(id).execute(db).await.map(drop))?;
        Ok(())
    }
}
