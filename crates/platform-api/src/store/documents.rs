//! Documents: resources as JSON, each under its workspace, kind and name, with a version that counts its changes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{StoreError, Tx, Workspace, on};

/// What is kept as a document.
pub trait Resource: Serialize + DeserializeOwned {
    /// What it is, in one word: `tool`.
    const KIND: &'static str;

    /// What it is found by, unique in its workspace.
    fn key(&self) -> &str;
}

/// A document with what the store knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<T> {
    /// The resource.
    pub value: T,
    /// 1 when it was made, one more with each change.
    pub version: i64,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// Milliseconds since 1970.
    pub updated_at: i64,
}

type Row = (String, String, i64, i64, i64);

fn stored<T: Resource>((name, body, version, created_at, updated_at): Row) -> Result<Stored<T>, StoreError> {
    let value = serde_json::from_str(&body).map_err(|cause| StoreError::Document { kind: T::KIND, name, cause })?;
    Ok(Stored { value, version, created_at, updated_at })
}

impl Tx {
    /// The document of that name.
    pub async fn get<T: Resource>(
        &mut self,
        workspace: Workspace<'_>,
        name: &str,
    ) -> Result<Option<Stored<T>>, StoreError> {
        const SQL: &str = "select name, body, version, created_at, updated_at from document \
             where workspace = $1 and kind = $2 and name = $3";
        let row: Option<Row> = on!(self, db =>
            sqlx::query_as(SQL).bind(workspace).bind(T::KIND).bind(name).fetch_optional(db).await)?;
        row.map(stored).transpose()
    }

    /// All documents of a kind, oldest first.
    pub async fn list<T: Resource>(&mut self, workspace: Workspace<'_>) -> Result<Vec<Stored<T>>, StoreError> {
        const SQL: &str = "select name, body, version, created_at, updated_at from document \
             where workspace = $1 and kind = $2 order by created_at, name";
        let rows: Vec<Row> = on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(T::KIND).fetch_all(db).await)?;
        rows.into_iter().map(stored).collect()
    }

    /// All documents of a kind, each after its workspace.
    pub async fn list_everywhere<T: Resource>(&mut self) -> Result<Vec<(String, Stored<T>)>, StoreError> {
        const SQL: &str = "select workspace, name, body, version, created_at, updated_at from document \
             where kind = $1 order by workspace, name";
        type Placed = (String, String, String, i64, i64, i64);
        let rows: Vec<Placed> = on!(self, db => sqlx::query_as(SQL).bind(T::KIND).fetch_all(db).await)?;
        let placed = rows.into_iter().map(|(workspace, name, body, version, created_at, updated_at)| {
            Ok((workspace, stored((name, body, version, created_at, updated_at))?))
        });
        placed.collect()
    }

    /// Writes a document, whether or not there is one of its name.
    pub async fn put<T: Resource>(
        &mut self,
        workspace: Workspace<'_>,
        value: &T,
        now: i64,
    ) -> Result<Stored<T>, StoreError> {
        const SQL: &str = "insert into document (workspace, kind, name, version, created_at, updated_at, body) \
             values ($1, $2, $3, 1, $4, $4, $5) on conflict (workspace, kind, name) do update \
             set version = document.version + 1, updated_at = excluded.updated_at, body = excluded.body \
             returning name, body, version, created_at, updated_at";
        let (name, body) = (value.key(), body(value)?);
        self.has_changed = true;
        let row: Row = on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(T::KIND).bind(name).bind(now).bind(body).fetch_one(db).await)?;
        stored(row)
    }

    /// Writes a document that is new; none if there is one of its name.
    pub async fn create<T: Resource>(
        &mut self,
        workspace: Workspace<'_>,
        value: &T,
        now: i64,
    ) -> Result<Option<Stored<T>>, StoreError> {
        const SQL: &str = "insert into document (workspace, kind, name, version, created_at, updated_at, body) \
             values ($1, $2, $3, 1, $4, $4, $5) on conflict (workspace, kind, name) do nothing \
             returning name, body, version, created_at, updated_at";
        let (name, body) = (value.key(), body(value)?);
        self.has_changed = true;
        let row: Option<Row> = on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(T::KIND).bind(name).bind(now).bind(body).fetch_optional(db).await)?;
        row.map(stored).transpose()
    }

    /// Writes over the version that the caller saw; none if it is another by now.
    pub async fn update<T: Resource>(
        &mut self,
        workspace: Workspace<'_>,
        value: &T,
        version: i64,
        now: i64,
    ) -> Result<Option<Stored<T>>, StoreError> {
        const SQL: &str = "update document set version = version + 1, updated_at = $5, body = $6 \
             where workspace = $1 and kind = $2 and name = $3 and version = $4 \
             returning name, body, version, created_at, updated_at";
        let (name, body) = (value.key(), body(value)?);
        self.has_changed = true;
        let row: Option<Row> = on!(self, db => sqlx::query_as(SQL)
            .bind(workspace).bind(T::KIND).bind(name).bind(version).bind(now).bind(body).fetch_optional(db).await)?;
        row.map(stored).transpose()
    }

    /// Takes a document away, and what is sealed under its name; was there one?
    pub async fn delete<T: Resource>(&mut self, workspace: Workspace<'_>, name: &str) -> Result<bool, StoreError> {
        const SQL: &str = "delete from document where workspace = $1 and kind = $2 and name = $3";
        self.forget_sealed(workspace, T::KIND, name).await?;
        self.has_changed = true;
        let gone = on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(T::KIND).bind(name).execute(db).await.map(|done| done.rows_affected()))?;
        Ok(gone > 0)
    }
}

fn body<T: Resource>(value: &T) -> Result<String, StoreError> {
    let name = || value.key().to_string();
    serde_json::to_string(value).map_err(|cause| StoreError::Document { kind: T::KIND, name: name(), cause })
}
