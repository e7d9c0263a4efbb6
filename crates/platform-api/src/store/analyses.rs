//! Analyses: what was found in submitted files, for whoever comes back with the id. The files are not here.

use super::{StoreError, Tx, Workspace, on};

/// How much of one workspace is kept.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// So many analyses.
    pub rows: i64,
    /// So many bytes of them.
    pub bytes: i64,
}

impl Tx {
    /// Whether this very analysis was given since `since`.
    pub async fn has_analysis(
        &mut self,
        workspace: Workspace<'_>,
        id: &str,
        body: &str,
        since: i64,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "select 1 from analysis where workspace = $1 and id = $2 and given_at >= $3 and body = $4";
        let found: Option<i32> = on!(self, db => sqlx::query_scalar(SQL)
            .bind(workspace).bind(id).bind(since).bind(body).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Keeps an analysis, given now, in place of the one of that id; those that were given the longest ago make room.
    pub async fn keep_analysis(
        &mut self,
        workspace: Workspace<'_>,
        id: &str,
        body: &str,
        now: i64,
        room: Room,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into analysis (workspace, id, bytes, given_at, body) values ($1, $2, $3, $4, $5) \
             on conflict (workspace, id) do update \
             set bytes = excluded.bytes, given_at = excluded.given_at, body = excluded.body";
        const REST: &str = "delete from analysis where workspace = $1 and id in (select id from \
             (select id, row_number() over newest as place, sum(bytes) over newest as total from analysis \
             where workspace = $1 window newest as (order by given_at desc, id)) as counted \
             where place > $2 or total > $3)";
        let bytes = body.len() as i64;
        on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(id).bind(bytes).bind(now).bind(body).execute(db).await.map(drop))?;
        on!(self, db => sqlx::query(REST)
            .bind(workspace).bind(room.rows).bind(room.bytes).execute(db).await.map(drop))?;
        Ok(())
    }

    /// The analysis of that id, if it was given after `after`.
    pub async fn analysis(
        &mut self,
        workspace: Workspace<'_>,
        id: &str,
        after: i64,
    ) -> Result<Option<String>, StoreError> {
        const SQL: &str = "select body from analysis where workspace = $1 and id = $2 and given_at > $3";
        Ok(on!(self, db => sqlx::query_scalar(SQL).bind(workspace).bind(id).bind(after).fetch_optional(db).await)?)
    }

    /// Is there anything that was given at `before` or earlier?
    pub async fn has_analyses_before(&mut self, before: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select 1 from analysis where given_at <= $1 limit 1";
        let found: Option<i32> = on!(self, db => sqlx::query_scalar(SQL).bind(before).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Forgets what was given at `before` or earlier, in any workspace.
    pub async fn forget_analyses(&mut self, before: i64) -> Result<(), StoreError> {
        const SQL: &str = "delete from analysis where given_at <= $1";
        on!(self, db => sqlx::query(SQL).bind(before).execute(db).await.map(drop))?;
        Ok(())
    }
}
