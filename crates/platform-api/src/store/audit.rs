//! Audit: who changed what, when, from what to what. Secrets stand elsewhere, and so never here.

use serde_json::Value;

use super::chain::{CHANGES, ChangeFields};
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
    pub fn note(&mut self, workspace: Workspace<'_>, change: Change) {
        self.noted.push((workspace.into(), change));
    }

    /// Writes what was noted into the chains of its workspaces.
    pub(super) async fn write_noted(&mut self) -> Result<(), StoreError> {
        const SQL: &str = "insert into audit (id, workspace, at, actor, action, resource, before, after, number, link) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let mut noted = std::mem::take(&mut self.noted);
        // Whoever writes into several chains takes them in the same order as everybody else.
        noted.sort_by(|a, b| a.0.cmp(&b.0));
        for of_one in noted.chunk_by(|a, b| a.0 == b.0) {
            let workspace = of_one[0].0.as_str();
            let mut head = self.lock_chain(workspace, CHANGES).await?;
            for (_, change) in of_one {
                let [before, after] = [&change.before, &change.after].map(|value| value.as_ref().map(Value::to_string));
                let fields = ChangeFields {
                    id: &change.id,
                    at: change.at,
                    actor: &change.actor,
                    action: &change.action,
                    resource: &change.resource,
                    before: before.as_deref(),
                    after: after.as_deref(),
                };
                head.number += 1;
                head.link = self.chain.of_change(workspace, &head.link, head.number, &fields);
                on!(self, db => sqlx::query(SQL)
                    .bind(&change.id).bind(workspace).bind(change.at).bind(&change.actor).bind(&change.action)
                    .bind(&change.resource).bind(&before).bind(&after).bind(head.number).bind(&head.link)
                    .execute(db).await.map(drop))?;
            }
            self.set_chain(workspace, CHANGES, &head).await?;
        }
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
