//! Working: which processes are alive, the builds that wait for one of them or are in its hands, and the runs in which
//! one of them is asking an agent.

use super::{Pool, Store, StoreError, Tx, Workspace, on};

impl Store {
    /// Nobody else can be at work on it: one process has the file.
    pub fn is_one_process(&self) -> bool {
        matches!(self.pool, Pool::Sqlite { .. })
    }
}

impl Tx {
    /// This process is alive.
    pub async fn beat(&mut self, replica: &str, now: i64) -> Result<(), StoreError> {
        const SQL: &str = "insert into replica (id, seen_at) values ($1, $2) \
             on conflict (id) do update set seen_at = excluded.seen_at";
        on!(self, db => sqlx::query(SQL).bind(replica).bind(now).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Whoever was not seen since then is gone, and what it was at is free.
    pub async fn forget_silent(&mut self, before: i64) -> Result<(), StoreError> {
        on!(self, db => sqlx::query("delete from replica where seen_at < $1").bind(before).execute(db).await.map(drop))?;
        const FREE: &str = "update build_queue set replica = null \
             where replica is not null and replica not in (select id from replica)";
        on!(self, db => sqlx::query(FREE).execute(db).await.map(drop))?;
        Ok(())
    }

    /// A build waits for somebody.
    pub async fn queue_build(&mut self, workspace: Workspace<'_>, build: &str) -> Result<(), StoreError> {
        const SQL: &str = "insert into build_queue (build_id, workspace) values ($1, $2) \
             on conflict (build_id) do update set replica = null";
        on!(self, db => sqlx::query(SQL).bind(build).bind(workspace).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Is there a build that waits?
    pub async fn has_queued_build(&mut self) -> Result<bool, StoreError> {
        const SQL: &str = "select build_id from build_queue where replica is null limit 1";
        let found: Option<String> = on!(self, db => sqlx::query_scalar(SQL).fetch_optional(db).await)?;
        Ok(found.is_some())
    }

    /// Takes at most so many builds that wait: the workspace and the id of each.
    pub async fn take_builds(&mut self, replica: &str, most: i64) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "update build_queue set replica = $1 where replica is null and build_id in \
             (select build_id from build_queue where replica is null order by build_id limit $2) \
             returning workspace, build_id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(replica).bind(most).fetch_all(db).await)?)
    }

    /// A build is at its end.
    pub async fn unqueue_build(&mut self, build: &str) -> Result<(), StoreError> {
        on!(self, db =>
            sqlx::query("delete from build_queue where build_id = $1").bind(build).execute(db).await.map(drop))?;
        Ok(())
    }

    /// An agent is being asked in a run.
    pub async fn add_invocation(
        &mut self,
        workspace: Workspace<'_>,
        run: &str,
        replica: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into invocation (run_id, workspace, replica) values ($1, $2, $3) \
             on conflict (run_id) do update set replica = excluded.replica";
        on!(self, db => sqlx::query(SQL).bind(run).bind(workspace).bind(replica).execute(db).await.map(drop))?;
        Ok(())
    }

    /// It has answered, or will not.
    pub async fn drop_invocation(&mut self, run: &str) -> Result<(), StoreError> {
        on!(self, db => sqlx::query("delete from invocation where run_id = $1").bind(run).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Runs in which an agent was asked by somebody who is gone: the workspace and the id of each.
    pub async fn lost_invocations(&mut self, most: i64) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "select workspace, run_id from invocation \
             where replica not in (select id from replica) order by run_id limit $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(most).fetch_all(db).await)?)
    }
}
