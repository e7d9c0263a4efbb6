//! Idempotency: what was answered to a request that may come again.

use serde::{Deserialize, Serialize};

use super::{StoreError, Tx, Workspace, on};

/// The kind under which answers are sealed: an answer may hold a key that is shown only once.
const KIND: &str = "reply";

/// An answer as it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Nothing; from now on the caller is the one who answers.
    Mine,
    /// It stands for another request.
    Other,
    /// Somebody is answering.
    InProgress,
    /// It was answered.
    Answered(Reply),
}

impl Tx {
    /// Claims a key for a request, whose hash is given. A claim before `abandoned` that was never answered is taken over.
    pub async fn claim(
        &mut self,
        workspace: Workspace<'_>,
        key: &str,
        request: &str,
        now: i64,
        abandoned: i64,
    ) -> Result<Known, StoreError> {
        const CLAIM: &str = "insert into idempotency (workspace, key, request, created_at) values ($1, $2, $3, $4) \
             on conflict (workspace, key) do update set created_at = excluded.created_at \
             where idempotency.status is null and idempotency.request = excluded.request \
             and idempotency.created_at < $5";
        const SEEN: &str = "select request, status from idempotency where workspace = $1 and key = $2";
        let claimed = on!(self, db => sqlx::query(CLAIM)
            .bind(workspace).bind(key).bind(request).bind(now).bind(abandoned)
            .execute(db).await.map(|done| done.rows_affected()))?;
        if claimed > 0 {
            return Ok(Known::Mine);
        }
        let (seen, status): (String, Option<i64>) =
            on!(self, db => sqlx::query_as(SEEN).bind(workspace).bind(key).fetch_one(db).await)?;
        Ok(match status {
            _ if seen != request => Known::Other,
            None => Known::InProgress,
            Some(_) => match self.unseal(workspace, KIND, key).await? {
                Some(reply) => Known::Answered(reply),
                None => Known::InProgress,
            },
        })
    }

    /// Keeps the answer.
    pub async fn answered(&mut self, workspace: Workspace<'_>, key: &str, reply: &Reply) -> Result<(), StoreError> {
        const SQL: &str = "update idempotency set status = $3 where workspace = $1 and key = $2";
        on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(key).bind(i64::from(reply.status)).execute(db).await.map(drop))?;
        self.seal(workspace, KIND, key, reply).await
    }

    /// Gives the key back: what failed on our side may be tried again.
    pub async fn unclaim(&mut self, workspace: Workspace<'_>, key: &str) -> Result<(), StoreError> {
        const SQL: &str = "delete from idempotency where workspace = $1 and key = $2 and status is null";
        on!(self, db => sqlx::query(SQL).bind(workspace).bind(key).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Is there anything that was claimed before `before`?
    pub async fn has_replies_before(&mut self, before: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select 1 from idempotency where created_at < $1 limit 1";
        let found: Option<i32> = on!(self, db => sqlx::query_scalar(SQL).bind(before).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Forgets what was claimed before `before`.
    pub async fn forget_replies(&mut self, before: i64) -> Result<(), StoreError> {
        const SEALED: &str = "delete from sealed where kind = 'reply' and exists (select 1 from idempotency \
             where idempotency.workspace = sealed.workspace and idempotency.key = sealed.name \
             and idempotency.created_at < $1)";
        const CLAIMS: &str = "delete from idempotency where created_at < $1";
        on!(self, db => sqlx::query(SEALED).bind(before).execute(db).await.map(drop))?;
        on!(self, db => sqlx::query(CLAIMS).bind(before).execute(db).await.map(drop))?;
        Ok(())
    }
}
