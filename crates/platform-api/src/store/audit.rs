//! Audit: who changed what, when, from what to what. Secrets stand elsewhere, and so never here.

use serde_json::Value;

use super::{StoreError, Tx, Workspace, on};

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its id; ids of later changes are greater.
    pub id: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// The id of the key that asked for it, or `platform`.
    pub actor: String,
    /// `tool.put`, `agent.delete`, …
    pub action: String,
    /// What was changed: `tools/stripe-api`.
    pub resource: String,
    /// As it was.
    pub before: Option<Value>,
    /// As it is.
    pub after: Option<Value>,
}

impl Tx {
    /// Writes a change down, together with it.
    pub async fn note(&mut self, workspace: Workspace<'_>, change: &Change) -> Result<(), StoreError> {
        const SQL: &str = "insert into audit (id, workspace, at, actor, action, resource, before, after) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)";
        let [before, after] = [&change.before, &change.after].map(|value| value.as_ref().map(Value::to_string));
        on!(self, db => sqlx::query(SQL)
            .bind(&change.id).bind(workspace).bind(change.at).bind(&change.actor).bind(&change.action)
            .bind(&change.resource).bind(before).bind(after).execute(db).await.map(drop))?;
        Ok(())
    }

    /// The newest changes, newest first.
    pub async fn changes(&mut self, workspace: Workspace<'_>, limit: i64) -> Result<Vec<Change>, StoreError> {
        type Row = (String, i64, String, String, String, Option<String>, Option<String>);
        const SQL: &str = "select id, at, actor, action, resource, before, after from audit \
             where workspace = $1 order by at desc, id desc limit $2";
        let rows: Vec<Row> = on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(limit).fetch_all(db).await)?;
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(rows
            .into_iter()
            .map(|(id, at, actor, action, resource, before, after)| Change {
                id,
                at,
                actor,
                action,
                resource,
                before: json(before),
                after: json(after),
            })
            .collect())
    }
}
