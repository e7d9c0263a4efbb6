//! Keys: who may come, by the hash of what they show.

use super::{StoreError, Tx, on};

/// An API key as it is kept: never the key itself.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// The one workspace that it opens; none for the operator's, which opens all.
    pub workspace: Option<String>,
    /// What its maker calls it.
    pub name: String,
    /// SHA-256 in hex digits.
    pub hash: String,
    /// `ra_live_` or `ra_ws_`; empty for a key that its owner chose.
    pub prefix: String,
    /// Its last four characters.
    pub last4: String,
    /// What it may do, separated by spaces.
    pub scopes: String,
    /// Who shows it, if it is one person's.
    pub person: Option<String>,
    /// The groups of whoever shows it, as a JSON array.
    pub person_groups: String,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    /// From then on it opens nothing.
    pub expires_at: Option<i64>,
    /// Within a minute.
    pub last_used_at: Option<i64>,
    /// What it is worth on the second system's surface; none for the tier that the settings name.
    pub tier: Option<String>,
    /// Requests an hour there, in place of its tier's; 0 is no limit.
    pub hourly_limit: Option<i64>,
}

impl Tx {
    /// The key with that hash.
    pub async fn key_by_hash(&mut self, hash: &str) -> Result<Option<KeyRow>, StoreError> {
        const SQL: &str = "select * from api_key where hash = $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(hash).fetch_optional(db).await)?)
    }

    /// The key with that id.
    pub async fn key(&mut self, id: &str) -> Result<Option<KeyRow>, StoreError> {
        const SQL: &str = "select * from api_key where id = $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(id).fetch_optional(db).await)?)
    }

    /// The keys of a workspace, or with none those of the operator, oldest first.
    pub async fn keys(&mut self, workspace: Option<&str>) -> Result<Vec<KeyRow>, StoreError> {
        const SQL: &str = "select * from api_key where coalesce(workspace, '') = $1 order by created_at, id";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace.unwrap_or("")).fetch_all(db).await)?)
    }

    /// What keys that still open something say of the groups of a person, each a JSON array.
    pub async fn groups_of_person(
        &mut self,
        workspace: &str,
        person: &str,
        now: i64,
    ) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "select person_groups from api_key \
             where workspace = $1 and person = $2 and (expires_at is null or expires_at > $3)";
        Ok(on!(self, db => sqlx::query_scalar(SQL)
            .bind(workspace).bind(person).bind(now).fetch_all(db).await)?)
    }

    /// How many keys there are at all.
    pub async fn count_keys(&mut self) -> Result<i64, StoreError> {
        Ok(on!(self, db => sqlx::query_scalar("select count(*) from api_key").fetch_one(db).await)?)
    }

    /// A new key; false if its hash is known already.
    pub async fn add_key(&mut self, key: &KeyRow) -> Result<bool, StoreError> {
        self.has_changed = true;
        const SQL: &str = "insert into api_key \
             (id, workspace, name, hash, prefix, last4, scopes, created_at, expires_at, last_used_at, person, person_groups, \
             tier, hourly_limit) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict (hash) do nothing";
        let added = on!(self, db => sqlx::query(SQL)
            .bind(&key.id).bind(&key.workspace).bind(&key.name).bind(&key.hash).bind(&key.prefix).bind(&key.last4)
            .bind(&key.scopes).bind(key.created_at).bind(key.expires_at).bind(key.last_used_at)
            .bind(&key.person).bind(&key.person_groups).bind(&key.tier).bind(key.hourly_limit)
            .execute(db).await.map(|done| done.rows_affected()))?;
        Ok(added > 0)
    }

    /// Another secret for the key of that id; what was known before opens nothing any more.
    pub async fn replace_key(
        &mut self,
        workspace: &str,
        id: &str,
        hash: &str,
        last4: &str,
        now: i64,
        expires_at: Option<i64>,
    ) -> Result<Option<KeyRow>, StoreError> {
        self.has_changed = true;
        const SQL: &str = "update api_key set hash = $3, last4 = $4, created_at = $5, last_used_at = null, expires_at = $6 \
             where workspace = $1 and id = $2 returning *";
        Ok(on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(id).bind(hash).bind(last4).bind(now).bind(expires_at).fetch_optional(db).await)?)
    }

    /// Takes a key away; was there one?
    pub async fn delete_key(&mut self, workspace: &str, id: &str) -> Result<bool, StoreError> {
        self.has_changed = true;
        const SQL: &str = "delete from api_key where workspace = $1 and id = $2";
        let gone = on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(id).execute(db).await.map(|done| done.rows_affected()))?;
        Ok(gone > 0)
    }

    /// Notes that a key was used.
    pub async fn use_key(&mut self, id: &str, now: i64) -> Result<(), StoreError> {
        const SQL: &str = "update api_key set last_used_at = $2 where id = $1";
        on!(self, db => sqlx::query(SQL).bind(id).bind(now).execute(db).await.map(drop))?;
        Ok(())
    }

    /// Counts `more` requests of a key in a minute, and gives how many those are by now.
    pub async fn count_requests(&mut self, key: &str, minute: i64, more: i64) -> Result<i64, StoreError> {
        const SQL: &str = "insert into rate (key, minute, used) values ($1, $2, $3) \
             on conflict (key, minute) do update set used = rate.used + excluded.used returning used";
        const OLD: &str = "delete from rate where key = $1 and minute < $2";
        on!(self, db => sqlx::query(OLD).bind(key).bind(minute).execute(db).await.map(drop))?;
        Ok(on!(self, db => sqlx::query_scalar(SQL).bind(key).bind(minute).bind(more).fetch_one(db).await)?)
    }
}

impl Tx {
    /// The key from the environment, in place of the one that stood there before.
    pub async fn preset_key(&mut self, key: &KeyRow) -> Result<(), StoreError> {
        self.has_changed = true;
        const OLD: &str = "delete from api_key where id = $1 and hash <> $2";
        on!(self, db => sqlx::query(OLD).bind(&key.id).bind(&key.hash).execute(db).await.map(drop))?;
        self.add_key(key).await.map(drop)
    }
}
