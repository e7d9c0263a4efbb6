//! Resuming: runs that paused, and what they were answered before, which is sealed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, Tx, Workspace, on};

/// A run that paused at a call of its agent.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ResumptionRow {
    /// The run.
    pub run_id: String,
    /// Whose it is.
    pub workspace: String,
    /// What it waits for.
    pub action_id: String,
    /// 1 once somebody has said yes.
    pub is_ready: i64,
    /// Who is asking the agent again.
    pub replica: Option<String>,
    /// How often that has been begun.
    pub tries: i64,
}

impl Tx {
    /// A run waits at an action, whatever it waited for before.
    pub async fn add_resumption(
        &mut self,
        workspace: Workspace<'_>,
        run: &str,
        action: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into resumption (run_id, workspace, action_id, is_ready, replica, tries) \
             values ($1, $2, $3, 0, null, 0) on conflict (run_id) do update \
             set action_id = excluded.action_id, is_ready = 0, replica = null, tries = 0";
        on!(self, db => sqlx::query(SQL).bind(run).bind(workspace).bind(action).execute(db).await.map(drop))?;
        Ok(())
    }

    /// What it waited for is there.
    pub async fn ready_resumption(&mut self, run: &str) -> Result<(), StoreError> {
        const SQL: &str = "update resumption set is_ready = 1 where run_id = $1";
        on!(self, db => sqlx::query(SQL).bind(run).execute(db).await.map(drop))?;
        Ok(())
    }

    /// How a run waits, if it does.
    pub async fn resumption(&mut self, run: &str) -> Result<Option<ResumptionRow>, StoreError> {
        const SQL: &str = "select * from resumption where run_id = $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(run).fetch_optional(db).await)?)
    }

    /// Runs that may go on and that nobody is at: the workspace and the id of each.
    pub async fn ready_resumptions(&mut self, most: i64) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "select workspace, run_id from resumption where is_ready = 1 and replica is null \
             and run_id not in (select run_id from invocation) order by run_id limit $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(most).fetch_all(db).await)?)
    }

    /// Takes one of them; none if somebody else did.
    pub async fn take_resumption(&mut self, run: &str, replica: &str) -> Result<Option<ResumptionRow>, StoreError> {
        const SQL: &str = "update resumption set replica = $2, tries = tries + 1 where run_id = $1 and is_ready = 1 \
             and replica is null and run_id not in (select run_id from invocation) returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(run).bind(replica).fetch_optional(db).await)?)
    }

    /// Whoever was at it is gone.
    pub async fn free_resumption(&mut self, run: &str) -> Result<(), StoreError> {
        const SQL: &str = "update resumption set replica = null where run_id = $1";
        on!(self, db => sqlx::query(SQL).bind(run).execute(db).await.map(drop))?;
        Ok(())
    }

    /// A run waits for nothing any more.
    pub async fn drop_resumption(&mut self, run: &str) -> Result<(), StoreError> {
        on!(self, db => sqlx::query("delete from resumption where run_id = $1").bind(run).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Seals the part of a run with a number. Nobody keeps it in memory, so that nothing else has to be read again.
    pub async fn seal_part<T: Serialize>(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        run: &str,
        number: usize,
        value: &T,
    ) -> Result<(), StoreError> {
        let had_changed = self.has_changed;
        self.seal(workspace, kind, &format!("{run}/{number:06}"), value).await?;
        self.has_changed = had_changed;
        Ok(())
    }

    /// The parts of a run, by their numbers.
    pub async fn unseal_parts<T: DeserializeOwned>(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        run: &str,
    ) -> Result<Vec<T>, StoreError> {
        const SQL: &str = "select name from sealed where workspace = $1 and kind = $2 and name like $3 order by name";
        let names: Vec<String> = on!(self, db =>
            sqlx::query_scalar(SQL).bind(workspace).bind(kind).bind(format!("{run}/%")).fetch_all(db).await)?;
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            parts.extend(self.unseal(workspace, kind, &name).await?);
        }
        Ok(parts)
    }

    /// Takes all parts of a run away.
    pub async fn forget_parts(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        run: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "delete from sealed where workspace = $1 and kind = $2 and name like $3";
        let below = format!("{run}/%");
        on!(self, db => sqlx::query(SQL).bind(workspace).bind(kind).bind(below).execute(db).await.map(drop))?;
        Ok(())
    }
}
