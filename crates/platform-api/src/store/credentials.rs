//! Credentials: who is fetching a token from an authorization server, and which users were asked to agree. Tokens, and
//! what a user must bring back, are sealed.

use super::{StoreError, Tx, Workspace, on};

/// What tokens are sealed under, as `{tool}/{subject}`.
pub const TOKEN: &str = "oauth_token";

/// What a user must bring back is sealed under this, by the id of their consent.
pub const CONSENT: &str = "oauth_consent";

/// A token that is fetched, was, or could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct TokenRow {
    /// Until when somebody is believed to fetch one, in milliseconds since 1970.
    pub leased_until: i64,
    /// How often nobody got one.
    pub failures: i64,
    /// Why the last time.
    pub failure: String,
}

/// A user who was asked to agree.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ConsentRow {
    /// Its id.
    pub id: String,
    /// Its workspace.
    pub workspace: String,
    /// The tool.
    pub tool: String,
    /// Whose token it will be.
    pub subject: String,
    /// The agent that asked.
    pub agent: String,
    /// The run that asked; empty for none.
    pub run_id: String,
    /// What that run waits for.
    pub action_id: Option<String>,
    /// Until when, in milliseconds since 1970.
    pub expires_at: i64,
}

impl Tx {
    /// How fetching a token goes.
    pub async fn token(&mut self, workspace: Workspace<'_>, tool: &str, subject: &str) -> Result<TokenRow, StoreError> {
        const SQL: &str = "select leased_until, failures, failure from oauth_token \
             where workspace = $1 and tool = $2 and subject = $3";
        let row: Option<TokenRow> = on!(self, db =>
            sqlx::query_as(SQL).bind(workspace).bind(tool).bind(subject).fetch_optional(db).await)?;
        Ok(row.unwrap_or_default())
    }

    /// From now on nobody else fetches it before `until`; false if somebody does already.
    pub async fn lease_token(
        &mut self,
        workspace: Workspace<'_>,
        tool: &str,
        subject: &str,
        lease: &str,
        (now, until): (i64, i64),
    ) -> Result<bool, StoreError> {
        const SQL: &str = "insert into oauth_token (workspace, tool, subject, lease, leased_until, failures, failure) \
             values ($1, $2, $3, $4, $6, 0, '') on conflict (workspace, tool, subject) do update \
             set lease = excluded.lease, leased_until = excluded.leased_until where oauth_token.leased_until <= $5";
        let leased = on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(tool).bind(subject).bind(lease).bind(now).bind(until)
            .execute(db).await.map(|done| done.rows_affected()))?;
        Ok(leased > 0)
    }

    /// Somebody is done fetching; false if it was taken from them meanwhile, by time or because the tool is gone.
    pub async fn release_token(
        &mut self,
        workspace: Workspace<'_>,
        tool: &str,
        subject: &str,
        lease: &str,
        failure: Option<&str>,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "update oauth_token set lease = '', leased_until = 0, failures = failures + $5, \
             failure = $6 where workspace = $1 and tool = $2 and subject = $3 and lease = $4";
        let released = on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(tool).bind(subject).bind(lease)
            .bind(i64::from(failure.is_some())).bind(failure.unwrap_or_default())
            .execute(db).await.map(|done| done.rows_affected()))?;
        Ok(released > 0)
    }

    /// That there is a token, so that it is found when its tool goes.
    pub async fn note_token(&mut self, workspace: Workspace<'_>, tool: &str, subject: &str) -> Result<(), StoreError> {
        const SQL: &str = "insert into oauth_token (workspace, tool, subject, lease, leased_until, failures, failure) \
             values ($1, $2, $3, '', 0, 0, '') on conflict (workspace, tool, subject) do nothing";
        on!(self, db =>
            sqlx::query(SQL).bind(workspace).bind(tool).bind(subject).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Takes away the tokens of a tool and whoever is asked to agree, or the same of one subject with every tool.
    pub async fn forget_tokens(
        &mut self,
        workspace: Workspace<'_>,
        tool: Option<&str>,
        subject: Option<&str>,
    ) -> Result<(), StoreError> {
        const THEIRS: [&str; 4] = [
            "delete from sealed where workspace = $1 and kind = 'oauth_token' and name in \
             (select tool || '/' || subject from oauth_token where workspace = $1 and tool = coalesce($2, tool) \
             and subject = coalesce($3, subject))",
            "delete from oauth_token where workspace = $1 and tool = coalesce($2, tool) \
             and subject = coalesce($3, subject)",
            "delete from sealed where workspace = $1 and kind = 'oauth_consent' and name in \
             (select id from consent where workspace = $1 and tool = coalesce($2, tool) \
             and subject = coalesce($3, subject))",
            "delete from consent where workspace = $1 and tool = coalesce($2, tool) \
             and subject = coalesce($3, subject)",
        ];
        for sql in THEIRS {
            on!(self, db => sqlx::query(sql).bind(workspace).bind(tool).bind(subject).execute(db).await.map(drop))?;
        }
        Ok(())
    }

    /// Somebody is asked to agree; false if they are already.
    pub async fn add_consent(&mut self, row: &ConsentRow) -> Result<bool, StoreError> {
        const SQL: &str = "insert into consent (id, workspace, tool, subject, agent, run_id, action_id, expires_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing";
        let added = on!(self, db => sqlx::query(SQL)
            .bind(&row.id).bind(&row.workspace).bind(&row.tool).bind(&row.subject).bind(&row.agent)
            .bind(&row.run_id).bind(&row.action_id).bind(row.expires_at)
            .execute(db).await.map(|done| done.rows_affected()))?;
        Ok(added > 0)
    }

    /// What somebody is asked already.
    pub async fn consent_for(
        &mut self,
        workspace: Workspace<'_>,
        tool: &str,
        subject: &str,
        run: &str,
    ) -> Result<Option<ConsentRow>, StoreError> {
        const SQL: &str = "select * from consent where workspace = $1 and tool = $2 and subject = $3 and run_id = $4";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(tool).bind(subject).bind(run).fetch_optional(db).await)?)
    }

    /// What the same user is asked in any run.
    pub async fn consents_of(
        &mut self,
        workspace: Workspace<'_>,
        tool: &str,
        subject: &str,
    ) -> Result<Vec<ConsentRow>, StoreError> {
        const SQL: &str = "select * from consent where workspace = $1 and tool = $2 and subject = $3 order by id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(tool).bind(subject).fetch_all(db).await)?)
    }

    /// The consent of that id, and nobody else changes it before this transaction ends. Its run, if it has one, is locked first.
    pub async fn lock_consent(&mut self, id: &str) -> Result<Option<ConsentRow>, StoreError> {
        const SQL: &str = "update consent set expires_at = expires_at where id = $1 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(id).fetch_optional(db).await)?)
    }

    /// What a run waits for, and for how long.
    pub async fn set_consent(&mut self, id: &str, action: Option<&str>, expires_at: i64) -> Result<(), StoreError> {
        const SQL: &str = "update consent set action_id = $2, expires_at = $3 where id = $1";
        on!(self, db => sqlx::query(SQL).bind(id).bind(action).bind(expires_at).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Nobody is asked any more.
    pub async fn drop_consent(&mut self, workspace: Workspace<'_>, id: &str) -> Result<(), StoreError> {
        self.forget_sealed(workspace, CONSENT, id).await?;
        on!(self, db => sqlx::query("delete from consent where id = $1").bind(id).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Those who did not come back in time, in any workspace.
    pub async fn due_consents(&mut self, now: i64, limit: i64) -> Result<Vec<ConsentRow>, StoreError> {
        const SQL: &str = "select * from consent where expires_at <= $1 order by expires_at, id limit $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(now).bind(limit).fetch_all(db).await)?)
    }
}
