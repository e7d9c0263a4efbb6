//! Hours: requests of keys on the second system's surface, counted exactly, by all replicas together.

use super::{StoreError, Tx, on};

impl Tx {
    /// Counts one request of a key in an hour if fewer than `limit` were; how many those are by now. None: no more.
    pub async fn count_in_hour(
        &mut self,
        key: &str,
        workspace: &str,
        hour: i64,
        limit: i64,
    ) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "insert into key_hour (key_id, workspace, hour, used) values ($1, $2, $3, 1) \
             on conflict (key_id, hour) do update set used = key_hour.used + 1 where key_hour.used < $4 returning used";
        Ok(on!(self, db => sqlx::query_scalar(SQL)
            .bind(key).bind(workspace).bind(hour).bind(limit).fetch_optional(db).await)?)
    }

    /// What a key used in an hour.
    pub async fn used_in_hour(&mut self, key: &str, hour: i64) -> Result<i64, StoreError> {
        const SQL: &str = "select used from key_hour where key_id = $1 and hour = $2";
        let used: Option<i64> = on!(self, db => sqlx::query_scalar(SQL).bind(key).bind(hour).fetch_optional(db).await)?;
        Ok(used.unwrap_or_default())
    }

    /// What a workspace used from one hour to before another, by key.
    pub async fn used_by_keys(
        &mut self,
        workspace: &str,
        from: i64,
        to: i64,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "select key_id, cast(sum(used) as bigint) from key_hour \
             where workspace = $1 and hour >= $2 and hour < $3 group by key_id order by key_id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(from).bind(to).fetch_all(db).await)?)
    }

    /// Forgets what was counted before an hour.
    pub async fn forget_hours(&mut self, before: i64) -> Result<(), StoreError> {
        on!(self, db => sqlx::query("delete from key_hour where hour < $1").bind(before).execute(db).await.map(drop))?;
        Ok(())
    }
}
