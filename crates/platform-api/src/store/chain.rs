//! Chain: what is on the record cannot be changed afterwards without leaving a trace. Changes of a workspace, events of
//! a run, and the ends of runs are three kinds of chains: the link of a row is a keyed hash of the row and of the link
//! before it. Whoever can write to the database alone lacks the key, which is sealed.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{EventRow, RunRow, StoreError, Tx, Workspace, on};

/// Changes of a workspace, and ends of its runs.
pub const CHANGES: &str = "changes";
/// See [`CHANGES`].
pub const RUNS: &str = "runs";

const KEY_BYTES: usize = 32;

/// What links are made with. Cloning gives the same key.
#[derive(Clone)]
pub struct ChainKey([u8; KEY_BYTES]);

/// The newest place of a chain. Kept elsewhere, it proves later that nothing was cut off the end meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Head {
    /// How many rows the chain has.
    pub number: i64,
    /// The link of the last.
    pub link: String,
}

/// A run that ended, or that was removed, as the chain of runs has it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SealRow {
    /// 1, 2, 3, … within the workspace.
    pub number: i64,
    /// The run.
    pub run_id: String,
    /// `ended` or `removed`.
    pub kind: String,
    /// How many events it had.
    pub events: i64,
    /// The link of the last of them.
    pub last_link: String,
    /// A keyed hash of the run itself; empty for one that is not there any more.
    pub run_hash: String,
    /// When the row was written.
    pub at: i64,
    /// The row's own link.
    pub link: String,
}

impl ChainKey {
    /// A new one.
    pub fn random() -> ChainKey {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).expect("the operating system has random numbers");
        ChainKey(key)
    }

    /// As it is sealed.
    pub(super) fn encode(&self) -> String {
        BASE64.encode(self.0)
    }

    /// What was sealed.
    pub(super) fn decode(text: &str) -> Option<ChainKey> {
        BASE64.decode(text).ok()?.try_into().ok().map(ChainKey)
    }

    /// The link of a row with these fields after a row with the link `before`. No two lists of fields are hashed alike.
    fn link(&self, what: &str, before: &str, fields: &[Option<&str>]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for field in [Some(what), Some(before)].iter().chain(fields) {
            match field {
                None => mac.update(&[0]),
                Some(text) => {
                    mac.update(&[1]);
                    mac.update(&(text.len() as u64).to_le_bytes());
                    mac.update(text.as_bytes());
                }
            }
        }
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Of a change, as its row has it.
    pub(super) fn of_change(&self, workspace: &str, before: &str, number: i64, change: &ChangeFields<'_>) -> String {
        let ChangeFields { id, at, actor, action, resource, before: was, after } = change;
        let (number, at) = (number.to_string(), at.to_string());
        let fields = [Some(workspace), Some(&number), Some(id), Some(&at), Some(actor), Some(action), Some(resource)];
        self.link(CHANGES, before, &[&fields[..], &[*was, *after]].concat())
    }

    /// Of an event.
    pub fn of_event(&self, before: &str, event: &EventRow) -> String {
        let EventRow { run_id, seq, id, kind, payload_hash, actor, data, created_at } = event;
        let (seq, at) = (seq.to_string(), created_at.to_string());
        let fields = [Some(run_id.as_str()), Some(&seq), Some(id), Some(kind), Some(&at)];
        let rest = [payload_hash.as_deref(), actor.as_deref(), data.as_deref()];
        self.link("events", before, &[&fields[..], &rest].concat())
    }

    /// Of the end of a run.
    pub fn of_seal(&self, workspace: &str, before: &str, seal: &SealRow) -> String {
        let SealRow { number, run_id, kind, events, last_link, run_hash, at, link: _ } = seal;
        let numbers = [number, events, at].map(|number| number.to_string());
        let [number, events, at] = numbers.each_ref().map(|text| Some(text.as_str()));
        let fields = [Some(workspace), number, Some(run_id), Some(kind), events, Some(last_link), Some(run_hash), at];
        self.link(RUNS, before, &fields)
    }

    /// Of a run that ended: nothing of it changes any more.
    pub fn of_run(&self, workspace: &str, run: &RunRow) -> String {
        let RunRow { id, agent_id, namespace, user_id, conversation_id, initial_message, status, created_at, .. } = run;
        let created = created_at.to_string();
        let fields = [Some(workspace), Some(id), Some(agent_id), Some(namespace), Some(user_id), Some(status.name())];
        let rest = [conversation_id.as_deref(), initial_message.as_deref(), Some(&created)];
        self.link("run", "", &[&fields[..], &rest].concat())
    }
}

impl std::fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChainKey")
    }
}

/// A change as its row has it.
pub(super) struct ChangeFields<'a> {
    pub id: &'a str,
    pub at: i64,
    pub actor: &'a str,
    pub action: &'a str,
    pub resource: &'a str,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
}

impl Tx {
    /// The newest place of a chain, which nobody else moves before this transaction ends.
    pub(super) async fn lock_chain(&mut self, workspace: Workspace<'_>, name: &str) -> Result<Head, StoreError> {
        const SQL: &str = "insert into chain (workspace, name, number, link) values ($1, $2, 0, '') \
             on conflict (workspace, name) do update set number = chain.number returning number, link";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(name).fetch_one(db).await)?)
    }

    /// Moves it.
    pub(super) async fn set_chain(
        &mut self,
        workspace: Workspace<'_>,
        name: &str,
        head: &Head,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update chain set number = $3, link = $4 where workspace = $1 and name = $2";
        on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(name).bind(head.number).bind(&head.link).execute(db).await.map(drop))?;
        Ok(())
    }

    /// The newest place of a chain.
    pub async fn head(&mut self, workspace: Workspace<'_>, name: &str) -> Result<Head, StoreError> {
        const SQL: &str = "select number, link from chain where workspace = $1 and name = $2";
        let head: Option<Head> =
            on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(name).fetch_optional(db).await)?;
        Ok(head.unwrap_or_default())
    }

    /// The link of an event; empty where there is none.
    pub async fn event_link(&mut self, run: &str, seq: i64) -> Result<String, StoreError> {
        const SQL: &str = "select link from event where run_id = $1 and seq = $2";
        let link: Option<Option<String>> =
            on!(self, db => sqlx::query_scalar(SQL).bind(run).bind(seq).fetch_optional(db).await)?;
        Ok(link.flatten().unwrap_or_default())
    }

    /// Runs whose ends are in no chain yet, with their workspaces.
    pub async fn unsealed_runs(&mut self, limit: i64) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "select workspace, id from run where is_sealed = 0 and status in ('COMPLETED', 'FAILED') \
             order by workspace, updated_at, id limit $1";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(limit).fetch_all(db).await)?)
    }

    /// Runs of any workspace whose ends went on the record before then, with their workspaces.
    pub async fn old_runs(&mut self, before: i64, limit: i64) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "select run.workspace, run.id from run_seal join run on run.id = run_seal.run_id \
             and run.workspace = run_seal.workspace where run_seal.kind = 'ended' and run_seal.at < $1 \
             order by run_seal.at limit $2";
        Ok(on!(self, db => sqlx::query_as(SQL).bind(before).bind(limit).fetch_all(db).await)?)
    }

    /// Puts the ends of runs of one workspace into its chain, all at once; those that another process did are left out.
    pub async fn seal_runs(&mut self, workspace: Workspace<'_>, runs: &[&str], now: i64) -> Result<(), StoreError> {
        const SQL: &str = "update run set is_sealed = 1 where workspace = $1 and id = $2 and is_sealed = 0 returning *";
        let mut head = self.lock_chain(workspace, RUNS).await?;
        for run in runs {
            let run: Option<RunRow> =
                on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(*run).fetch_optional(db).await)?;
            let Some(run) = run else { continue };
            let last_link = self.event_link(&run.id, run.events).await?;
            let seal = SealRow { last_link, ..SealRow::new("ended", &run, now) };
            let run_hash = self.chain.of_run(workspace, &run);
            self.add_seal(workspace, &mut head, SealRow { run_hash, ..seal }).await?;
        }
        self.set_chain(workspace, RUNS, &head).await
    }

    /// Removes runs of one workspace with all that happened in them, and says how many; that they were removed stays on the
    /// record. One whose end is not on the record since before `before`, as it is, stays: whoever can write here could have
    /// made it look old. So does one with a grant in force.
    pub async fn remove_runs(
        &mut self,
        workspace: Workspace<'_>,
        runs: &[&str],
        before: i64,
        now: i64,
    ) -> Result<usize, StoreError> {
        const BELOW: [&str; 3] = [
            "delete from approval where run_id = $1",
            "delete from action where run_id = $1",
            "delete from event where run_id = $1",
        ];
        const RUN: &str = "delete from run where workspace = $1 and id = $2";
        const PARTS: &str = "delete from sealed where workspace = $1 and name like $2";
        let mut head = self.lock_chain(workspace, RUNS).await?;
        let mut removed = 0;
        for id in runs {
            let Some(run) = self.lock_run(workspace, id).await? else { continue };
            if !self.is_old(workspace, &run, before).await? || self.has_grant(id, now).await? {
                continue;
            }
            for below in BELOW {
                on!(self, db => sqlx::query(below).bind(*id).execute(db).await.map(drop))?;
            }
            on!(self, db => sqlx::query(RUN).bind(workspace).bind(*id).execute(db).await.map(drop))?;
            let below = format!("{id}/%");
            on!(self, db => sqlx::query(PARTS).bind(workspace).bind(below).execute(db).await.map(drop))?;
            self.add_seal(workspace, &mut head, SealRow::new("removed", &run, now)).await?;
            removed += 1;
        }
        self.set_chain(workspace, RUNS, &head).await?;
        Ok(removed)
    }

    /// Whether the record, as it was written, says that a run ended before then.
    async fn is_old(&mut self, workspace: Workspace<'_>, run: &RunRow, before: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select number, run_id, kind, events, last_link, run_hash, at, link from run_seal \
             where workspace = $1 and run_id = $2 and kind = 'ended' order by number limit 1";
        const LINK: &str = "select link from run_seal where workspace = $1 and number = $2";
        let seal: Option<SealRow> =
            on!(self, db => sqlx::query_as(SQL).bind(workspace).bind(&run.id).fetch_optional(db).await)?;
        let Some(seal) = seal.filter(|seal| seal.at < before) else { return Ok(false) };
        let link: Option<String> = on!(self, db =>
            sqlx::query_scalar(LINK).bind(workspace).bind(seal.number - 1).fetch_optional(db).await)?;
        let is_written = self.chain.of_seal(workspace, &link.unwrap_or_default(), &seal) == seal.link;
        Ok(is_written && self.chain.of_run(workspace, run) == seal.run_hash)
    }

    /// Whether an approval that was given in a run still holds.
    async fn has_grant(&mut self, run: &str, now: i64) -> Result<bool, StoreError> {
        const SQL: &str = "select count(*) from approval where run_id = $1 and status = 'APPROVED' \
             and used_at is null and (expires_at is null or expires_at > $2)";
        let grants: i64 = on!(self, db => sqlx::query_scalar(SQL).bind(run).bind(now).fetch_one(db).await)?;
        Ok(grants > 0)
    }

    /// Links what was written before there were chains, as it is now.
    pub(super) async fn link_all(&mut self) -> Result<(), StoreError> {
        const CHANGES_THERE: &str = "select id, workspace, at, actor, action, resource, before, after from audit \
             where number is null order by workspace, at, id limit 500";
        const CHANGE: &str = "update audit set number = $2, link = $3 where id = $1";
        const EVENTS_THERE: &str = "select * from event where link is null order by run_id, seq limit 500";
        const EVENT: &str = "update event set link = $3 where run_id = $1 and seq = $2";
        type Row = (String, String, i64, String, String, String, Option<String>, Option<String>);
        loop {
            let rows: Vec<Row> = on!(self, db => sqlx::query_as(CHANGES_THERE).fetch_all(db).await)?;
            if rows.is_empty() {
                break;
            }
            for (id, workspace, at, actor, action, resource, before, after) in rows {
                let mut head = self.lock_chain(&workspace, CHANGES).await?;
                let (before, after) = (before.as_deref(), after.as_deref());
                let fields =
                    ChangeFields { id: &id, at, actor: &actor, action: &action, resource: &resource, before, after };
                head.number += 1;
                head.link = self.chain.of_change(&workspace, &head.link, head.number, &fields);
                on!(self, db => sqlx::query(CHANGE)
                    .bind(&id).bind(head.number).bind(&head.link).execute(db).await.map(drop))?;
                self.set_chain(&workspace, CHANGES, &head).await?;
            }
        }
        loop {
            let rows: Vec<EventRow> = on!(self, db => sqlx::query_as(EVENTS_THERE).fetch_all(db).await)?;
            if rows.is_empty() {
                return Ok(());
            }
            for event in rows {
                let before = self.event_link(&event.run_id, event.seq - 1).await?;
                let link = self.chain.of_event(&before, &event);
                on!(self, db => sqlx::query(EVENT)
                    .bind(&event.run_id).bind(event.seq).bind(link).execute(db).await.map(drop))?;
            }
        }
    }

    /// Writes a row after the newest one of its chain.
    async fn add_seal(&mut self, workspace: Workspace<'_>, head: &mut Head, seal: SealRow) -> Result<(), StoreError> {
        const SQL: &str = "insert into run_seal \
             (workspace, number, run_id, kind, events, last_link, run_hash, at, link) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let seal = SealRow { number: head.number + 1, ..seal };
        let link = self.chain.of_seal(workspace, &head.link, &seal);
        on!(self, db => sqlx::query(SQL)
            .bind(workspace).bind(seal.number).bind(&seal.run_id).bind(&seal.kind).bind(seal.events)
            .bind(&seal.last_link).bind(&seal.run_hash).bind(seal.at).bind(&link).execute(db).await.map(drop))?;
        *head = Head { number: seal.number, link };
        Ok(())
    }
}

impl SealRow {
    fn new(kind: &str, run: &RunRow, at: i64) -> SealRow {
        SealRow {
            number: 0,
            run_id: run.id.clone(),
            kind: kind.into(),
            events: run.events,
            last_link: String::new(),
            run_hash: String::new(),
            at,
            link: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_and_so_is_what_came_before() {
        let key = ChainKey::random();
        let link = |before: &str, fields: &[Option<&str>]| key.link("events", before, fields);
        let one = link("", &[Some("ab"), Some("c")]);
        assert_eq!(one, link("", &[Some("ab"), Some("c")]));
        for other in [
            link("", &[Some("a"), Some("bc")]),
            link("", &[Some("ab"), Some("c"), None]),
            link("", &[Some("ab"), None]),
            link("x", &[Some("ab"), Some("c")]),
            key.link(RUNS, "", &[Some("ab"), Some("c")]),
            ChainKey::random().link("events", "", &[Some("ab"), Some("c")]),
        ] {
            assert_ne!(one, other);
        }
        assert_eq!(one, ChainKey::decode(&key.encode()).unwrap().link("events", "", &[Some("ab"), Some("c")]));
    }
}
