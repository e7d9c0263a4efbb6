//! Webhooks: what they are to be told, and what they were told.

use super::{StoreError, Tx, Workspace, on};

/// One event for one webhook.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct WebhookDeliveryRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub workspace: String,
    /// Who is told.
    pub webhook_id: String,
    /// Of what: the same id however often it is told.
    pub event_id: String,
    /// What happened.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// What is sent.
    pub body: String,
    /// `pending`, `delivered`, `failed` or `skipped`.
    pub status: String,
    /// Each attempt of which the end is known, as a JSON array.
    pub attempts: String,
    /// When it is tried next, in milliseconds since 1970 as all times here.
    pub due_at: i64,
    /// When it happened.
    pub created_at: i64,
    /// When it was clear how it ended.
    pub ended_at: Option<i64>,
}

impl Tx {
    /// A webhook is to be told.
    pub async fn add_webhook_delivery(&mut self, row: &WebhookDeliveryRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into webhook_delivery \
             (id, workspace, webhook_id, event_id, type, body, status, attempts, due_at, created_at, ended_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.id).bind(&row.workspace).bind(&row.webhook_id).bind(&row.event_id).bind(&row.kind)
            .bind(&row.body).bind(&row.status).bind(&row.attempts).bind(row.due_at).bind(row.created_at)
            .bind(row.ended_at).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Is there one that is due?
    pub async fn has_webhook_delivery(&mut self, now: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select id from webhook_delivery where status = 'pending' and due_at <= $1 limit 1";
        let found: Option<String> = on!(self, db => sqlx::query_scalar(SQL).bind(now).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Takes at most so many that are due, the longest due first; whoever else asks before `until` does not get them.
    pub async fn take_webhook_deliveries(
        &mut self,
        now: i64,
        until: i64,
        most: i64,
    ) -> Result<Vec<WebhookDeliveryRow>, StoreError> {
        const SQL: &str = "update webhook_delivery set due_at = $2 where status = 'pending' and due_at <= $1 and id in \
             (select id from webhook_delivery where status = 'pending' and due_at <= $1 \
             order by due_at, id limit $3) returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(now).bind(until).bind(most).fetch_all(db).await)?)
    }

    /// Writes what came of an attempt, unless another has ended it.
    pub async fn keep_webhook_delivery(&mut self, row: &WebhookDeliveryRow) -> Result<(), StoreError> {
        const SQL: &str = "update webhook_delivery set status = $2, attempts = $3, due_at = $4, ended_at = $5 \
             where id = $1 and status = 'pending'";
        on!(self, db => sqlx::query(SQL)
            .bind(&row.id).bind(&row.status).bind(&row.attempts).bind(row.due_at).bind(row.ended_at)
            .execute(db).await.map(drop))?;
        Ok(())
    }

    /// One that has ended is to be tried once more; is there one?
    pub async fn retry_webhook_delivery(&mut self, webhook: &str, id: &str, now: i64) -> Result<bool, StoreError> {
        const SQL: &str = "update webhook_delivery set status = 'pending', due_at = $3, ended_at = null \
             where webhook_id = $1 and id = $2 and status <> 'pending'";
        let changed = on!(self, db => sqlx::query(SQL)
            .bind(webhook).bind(id).bind(now).execute(db).await.map(|done| done.rows_affected()))?;
        Ok(changed > 0)
    }

    /// One of them.
    pub async fn webhook_delivery(
        &mut self,
        workspace: Workspace<'_>,
        webhook: &str,
        id: &str,
    ) -> Result<Option<WebhookDeliveryRow>, StoreError> {
        const SQL: &str = "select * from webhook_delivery where workspace = $1 and webhook_id = $2 and id = $3";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(webhook).bind(id).fetch_optional(db).await)?)
    }

    /// What one webhook is told, newest first, with statuses that match a `like` pattern; and how many there are.
    pub async fn webhook_deliveries(
        &mut self,
        workspace: Workspace<'_>,
        webhook: &str,
        status: &str,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<WebhookDeliveryRow>, i64), StoreError> {
        const SQL: &str = "select * from webhook_delivery where workspace = $1 and webhook_id = $2 and status like $3 \
             order by created_at desc, id desc limit $4 offset $5";
        const COUNT: &str =
            "select count(*) from webhook_delivery where workspace = $1 and webhook_id = $2 and status like $3";
        let total = on!(self, db =>
            sqlx::query_scalar(COUNT).bind(workspace).bind(webhook).bind(status).fetch_one(db).await)?;
        let rows = on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(webhook).bind(status).bind(limit).bind(offset).fetch_all(db).await)?;
        Ok((rows, total))
    }

    /// Nothing is left of what a webhook was told.
    pub async fn drop_webhook_deliveries(&mut self, workspace: Workspace<'_>, webhook: &str) -> Result<(), StoreError> {
        const SQL: &str = "delete from webhook_delivery where workspace = $1 and webhook_id = $2";
        on!(self, db => sqlx::query(SQL).bind(workspace).bind(webhook).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Did any end before a time?
    pub async fn has_old_webhook_delivery(&mut self, before: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select id from webhook_delivery where ended_at < $1 limit 1";
        let found: Option<String> = on!(self, db => sqlx::query_scalar(SQL).bind(before).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Forgets those that ended before a time.
    pub async fn forget_webhook_deliveries(&mut self, before: i64) -> Result<(), StoreError> {
        const SQL: &str = "delete from webhook_delivery where ended_at < $1";
        on!(self, db => sqlx::query(SQL).bind(before).execute(db).await.map(drop))?;
        Ok(())
    }
}
