//! Told: which connectors were told of a request, until they were told how it ended.

use super::{StoreError, Tx, on};

/// A connector that was told of a request.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ToldRow {
    /// The request.
    pub request_id: String,
    /// The connector.
    pub connector_id: String,
    /// Their workspace.
    pub workspace: String,
    /// What the other end calls the message, as JSON.
    pub reference: String,
    /// How often it was tried to say how it ended.
    pub attempts: i64,
    /// When it is tried next, in milliseconds since 1970.
    pub due_at: i64,
}

/// Those whose request has ended.
const DUE: &str = "select told.request_id, told.connector_id from told join approval on approval.id = told.request_id \
     where told.due_at <= $1 and approval.status <> 'PENDING' order by told.due_at, told.request_id limit 1";

impl Tx {
    /// A connector was told.
    pub async fn add_told(&mut self, row: &ToldRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into told (request_id, connector_id, workspace, reference, attempts, due_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (request_id, connector_id) do update \
             set reference = excluded.reference";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.request_id).bind(&row.connector_id).bind(&row.workspace).bind(&row.reference)
            .bind(row.attempts).bind(row.due_at).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Whether one of them is to be told how it ended.
    pub async fn has_told(&mut self, now: i64) -> Result<bool, StoreError> {
        let found: Option<(String, String)> = on!(self, db => sqlx::query_as(DUE).bind(now).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Takes one of them; whoever else asks before `until` does not get it.
    pub async fn take_told(&mut self, now: i64, until: i64) -> Result<Option<ToldRow>, StoreError> {
        let due: Option<(String, String)> = on!(self, db => sqlx::query_as(DUE).bind(now).fetch_optional(db).await)?;
        let Some((request, connector)) = due else { return Ok(None) };
        const SQL: &str = "update told set due_at = $4 where request_id = $1 and connector_id = $2 and due_at <= $3 \
             returning *";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(request).bind(connector).bind(now).bind(until).fetch_optional(db).await)?)
    }

    /// It is to be tried again.
    pub async fn keep_told(&mut self, row: &ToldRow) -> Result<(), StoreError> {
        const SQL: &str = "update told set attempts = $3, due_at = $4 where request_id = $1 and connector_id = $2";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.request_id).bind(&row.connector_id).bind(row.attempts).bind(row.due_at)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// It is over.
    pub async fn drop_told(&mut self, row: &ToldRow) -> Result<(), StoreError> {
        const SQL: &str = "delete from told where request_id = $1 and connector_id = $2";
        on!(self, db =>
            sqlx::query(SQL).bind(&row.request_id).bind(&row.connector_id).execute(db).await.map(drop))?;
        Ok(())
    }
}
