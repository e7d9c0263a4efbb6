//! Verify: is the record as it was written? Each chain is walked from its beginning, row by row; what was changed, moved,
//! put in or taken out breaks it. What no link holds yet is the end of a run that goes on: its newest events can be cut off,
//! and it can be taken away as a whole. What is cut off the end of a chain only who kept an anchor sees.

use std::fmt;

use super::chain::{CHANGES, ChangeFields, Head, RUNS, SealRow};
use super::{EventRow, RunRow, Store, StoreError, Tx, Workspace, on};

/// Rows that are read at a time.
const PAGE: i64 = 500;

/// Faults that are named; more are only counted.
const NAMED: usize = 100;

/// What was found in the record of one workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Changes that are as they were written.
    pub changes: u64,
    /// Runs that ended, and are.
    pub runs: u64,
    /// Events of runs, ended or not, that are.
    pub events: u64,
    /// Runs that were removed since, as the record says.
    pub removed: u64,
    /// What is wrong, the first hundred of it.
    pub faults: Vec<Fault>,
    /// How much is wrong.
    pub faulty: u64,
    /// The newest place of the chain of changes.
    pub changes_head: Head,
    /// The newest place of the chain of runs.
    pub runs_head: Head,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A change is not what was written.
    Change(i64),
    /// So many rows of changes are in no chain.
    ChangesForeign(u64),
    /// So many rows of ends of runs are in no chain.
    RunsForeign(u64),
    /// A run counts as ended, and its end is in no chain.
    RunUnsealed(String),
    /// Changes from this number on are not there, up to another.
    ChangesMissing(i64, i64),
    /// The end of a run is not what was written.
    Run(String),
    /// Ends of runs are not there, from this number to that one.
    RunsMissing(i64, i64),
    /// A run is not there, and nobody removed it as old runs are removed.
    RunMissing(String),
    /// An event is not what was written.
    Event(String, i64),
    /// An event is not there.
    EventMissing(String, i64),
    /// The chain of this name does not have this place, which it once had.
    NotAt(String, i64),
}

/// A place that a chain once had: `changes:12:<link>`, as verifying shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    chain: &'static str,
    head: Head,
}

impl std::str::FromStr for Anchor {
    type Err = String;

    fn from_str(text: &str) -> Result<Anchor, String> {
        let mut parts = text.splitn(3, ':');
        let chain = match parts.next() {
            Some(CHANGES) => Some(CHANGES),
            Some(RUNS) => Some(RUNS),
            _ => None,
        };
        let number = parts.next().and_then(|number| number.parse().ok());
        let link = parts.next().filter(|link| link.len() == 64 && link.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (chain, number, link) {
            (Some(chain), Some(number), Some(link)) => {
                Ok(Anchor { chain, head: Head { number, link: link.to_ascii_lowercase() } })
            }
            _ => Err("an anchor is a line that verifying showed: changes:NUMBER:LINK or runs:NUMBER:LINK".into()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Change(number) => write!(f, "change {number} is not what was written"),
            Fault::ChangesForeign(count) => write!(f, "{count} changes were not written by this platform"),
            Fault::RunsForeign(count) => write!(f, "{count} ends of runs were not written by this platform"),
            Fault::RunUnsealed(run) => write!(f, "run {run} counts as on the record, and is not"),
            Fault::ChangesMissing(from, to) if from == to => write!(f, "change {from} is missing"),
            Fault::ChangesMissing(from, to) => write!(f, "the changes {from} to {to} are missing"),
            Fault::Run(run) => write!(f, "the end of run {run} is not what was written"),
            Fault::RunsMissing(from, to) if from == to => write!(f, "end of run number {from} is missing"),
            Fault::RunsMissing(from, to) => write!(f, "the ends of runs number {from} to {to} are missing"),
            Fault::RunMissing(run) => write!(f, "run {run} is missing"),
            Fault::Event(run, seq) => write!(f, "event {seq} of run {run} is not what was written"),
            Fault::EventMissing(run, seq) => write!(f, "event {seq} of run {run} is missing"),
            Fault::NotAt(chain, number) => {
                write!(f, "the chain of {chain} has not the link at {number} that it once had")
            }
        }
    }
}

impl Verified {
    /// The newest places of its chains, to be given as anchors later.
    pub fn anchors(&self) -> Vec<String> {
        let heads = [(CHANGES, &self.changes_head), (RUNS, &self.runs_head)];
        let begun = heads.into_iter().filter(|(_, head)| head.number > 0);
        begun.map(|(chain, head)| format!("{chain}:{}:{}", head.number, head.link)).collect()
    }

    fn fault(&mut self, fault: Fault) {
        self.faulty += 1;
        if self.faults.len() < NAMED {
            self.faults.push(fault);
        }
    }
}

#[derive(sqlx::FromRow)]
struct ChangeRow {
    number: i64,
    link: String,
    id: String,
    at: i64,
    actor: String,
    action: String,
    resource: String,
    before: Option<String>,
    after: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Linked {
    #[sqlx(flatten)]
    event: EventRow,
    link: Option<String>,
}

impl Store {
    /// The workspaces that have a record.
    pub async fn recorded_workspaces(&self) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "select workspace from chain union select workspace from run \
             union select workspace from audit union select workspace from run_seal order by 1";
        let mut tx = self.read().await?;
        Ok(on!(tx, db => sqlx::query_scalar(SQL).fetch_all(db).await)?)
    }

    /// Walks the record of a workspace, as it is at one moment: all of it, or what was written since a time in
    /// milliseconds since 1970. Chains that once had an anchor must have it still.
    pub async fn verify(
        &self,
        workspace: Workspace<'_>,
        since: i64,
        anchors: &[Anchor],
    ) -> Result<Verified, StoreError> {
        let mut tx = self.read().await?;
        let mut found = Verified::default();
        tx.verify_changes(workspace, since, &mut found).await?;
        tx.verify_runs(workspace, since, &mut found).await?;
        tx.verify_unsealed(workspace, &mut found).await?;
        for Anchor { chain, head } in anchors {
            if tx.link_at(workspace, chain, head.number).await?.as_ref() != Some(&head.link) {
                found.fault(Fault::NotAt((*chain).into(), head.number));
            }
        }
        Ok(found)
    }
}

impl Tx {
    async fn link_at(
        &mut self,
        workspace: Workspace<'_>,
        chain: &str,
        number: i64,
    ) -> Result<Option<String>, StoreError> {
        const OF_CHANGE: &str = "select link from audit where workspace = $1 and number = $2";
        const OF_RUN: &str = "select link from run_seal where workspace = $1 and number = $2";
        let sql = if chain == CHANGES { OF_CHANGE } else { OF_RUN };
        let link: Option<Option<String>> =
            on!(self, db => sqlx::query_scalar(sql).bind(workspace).bind(number).fetch_optional(db).await)?;
        Ok(link.flatten())
    }

    /// Where to begin: at the last row before `since`, so that the row whose time is believed is looked at too. The link
    /// before that is taken as it is.
    async fn start(
        &mut self,
        workspace: Workspace<'_>,
        chain: &str,
        last: &'static str,
        since: i64,
    ) -> Result<Head, StoreError> {
        let number: Option<i64> =
            on!(self, db => sqlx::query_scalar(last).bind(workspace).bind(since).fetch_one(db).await)?;
        let number = number.map_or(0, |number| (number - 1).max(0));
        let link = self.link_at(workspace, chain, number).await?.unwrap_or_default();
        Ok(Head { number, link })
    }

    async fn verify_changes(
        &mut self,
        workspace: Workspace<'_>,
        since: i64,
        found: &mut Verified,
    ) -> Result<(), StoreError> {
        const LAST: &str = "select max(number) from audit where workspace = $1 and at < $2";
        const ROWS: &str = "select number, link, id, at, actor, action, resource, before, after from audit \
             where workspace = $1 and number > $2 order by number limit $3";
        const FOREIGN: &str = "select count(*) from audit where workspace = $1 and (number is null or number < 1)";
        let head = self.head(workspace, CHANGES).await?;
        let mut at = self.start(workspace, CHANGES, LAST, since).await?;
        loop {
            let rows: Vec<ChangeRow> = on!(self, db =>
                sqlx::query_as(ROWS).bind(workspace).bind(at.number).bind(PAGE).fetch_all(db).await)?;
            let is_last = (rows.len() as i64) < PAGE;
            for row in rows {
                let expected = at.number + 1;
                if row.number > expected {
                    found.fault(Fault::ChangesMissing(expected, row.number - 1));
                } else {
                    let fields = ChangeFields {
                        id: &row.id,
                        at: row.at,
                        actor: &row.actor,
                        action: &row.action,
                        resource: &row.resource,
                        before: row.before.as_deref(),
                        after: row.after.as_deref(),
                    };
                    match self.chain.of_change(workspace, &at.link, row.number, &fields) == row.link {
                        true => found.changes += 1,
                        false => found.fault(Fault::Change(row.number)),
                    }
                }
                at = Head { number: row.number, link: row.link };
            }
            if is_last {
                break;
            }
        }
        if at.number < head.number {
            found.fault(Fault::ChangesMissing(at.number + 1, head.number));
        } else if at != head {
            found.fault(Fault::Change(at.number));
        }
        let foreign: i64 = on!(self, db => sqlx::query_scalar(FOREIGN).bind(workspace).fetch_one(db).await)?;
        if foreign > 0 {
            found.fault(Fault::ChangesForeign(foreign.unsigned_abs()));
        }
        found.changes_head = head;
        Ok(())
    }

    async fn verify_runs(
        &mut self,
        workspace: Workspace<'_>,
        since: i64,
        found: &mut Verified,
    ) -> Result<(), StoreError> {
        const LAST: &str = "select max(number) from run_seal where workspace = $1 and at < $2";
        const ROWS: &str = "select number, run_id, kind, events, last_link, run_hash, at, link from run_seal \
             where workspace = $1 and number > $2 order by number limit $3";
        const REMOVED: &str = "select count(*) from run_seal where run_id = $1 and kind = 'removed' \
             and workspace = $2 and number > $3 and number <= $4";
        const FOREIGN: &str = "select count(*) from run_seal where workspace = $1 and number < 1";
        let head = self.head(workspace, RUNS).await?;
        let mut at = self.start(workspace, RUNS, LAST, since).await?;
        loop {
            let rows: Vec<SealRow> = on!(self, db =>
                sqlx::query_as(ROWS).bind(workspace).bind(at.number).bind(PAGE).fetch_all(db).await)?;
            let is_last = (rows.len() as i64) < PAGE;
            for seal in rows {
                let expected = at.number + 1;
                let is_next = seal.number == expected;
                if !is_next {
                    found.fault(Fault::RunsMissing(expected, seal.number - 1));
                }
                let has_ended = seal.kind == "ended";
                found.removed += u64::from(!has_ended);
                let run = if has_ended { self.run(workspace, &seal.run_id).await? } else { None };
                let is_gone = has_ended && run.is_none();
                if is_gone {
                    let removed: i64 = on!(self, db => sqlx::query_scalar(REMOVED).bind(&seal.run_id)
                        .bind(workspace).bind(seal.number).bind(head.number).fetch_one(db).await)?;
                    if removed == 0 {
                        found.fault(Fault::RunMissing(seal.run_id.clone()));
                    }
                }
                let is_own = !is_next || self.chain.of_seal(workspace, &at.link, &seal) == seal.link;
                let is_run = run.as_ref().is_none_or(|run| self.chain.of_run(workspace, run) == seal.run_hash);
                match is_own && is_run {
                    true => found.runs += u64::from(run.is_some()),
                    false => found.fault(Fault::Run(seal.run_id.clone())),
                }
                if let Some(run) = run {
                    self.verify_events(&run, Some(&seal), found).await?;
                }
                at = Head { number: seal.number, link: seal.link };
            }
            if is_last {
                break;
            }
        }
        if at.number < head.number {
            found.fault(Fault::RunsMissing(at.number + 1, head.number));
        } else if at != head {
            found.fault(Fault::RunsMissing(at.number, at.number));
        }
        let foreign: i64 = on!(self, db => sqlx::query_scalar(FOREIGN).bind(workspace).fetch_one(db).await)?;
        if foreign > 0 {
            found.fault(Fault::RunsForeign(foreign.unsigned_abs()));
        }
        found.runs_head = head;
        Ok(())
    }

    /// Runs that have not ended, or only just.
    async fn verify_unsealed(&mut self, workspace: Workspace<'_>, found: &mut Verified) -> Result<(), StoreError> {
        const RUNS: &str = "select * from run where workspace = $1 and id > $2 and not exists \
             (select 1 from run_seal where run_seal.run_id = run.id and run_seal.workspace = run.workspace \
              and run_seal.kind = 'ended') order by id limit $3";
        const SEALED: &str = "select is_sealed from run where id = $1";
        let mut after = String::new();
        loop {
            let runs: Vec<RunRow> = on!(self, db =>
                sqlx::query_as(RUNS).bind(workspace).bind(&after).bind(PAGE).fetch_all(db).await)?;
            let Some(last) = runs.last() else { return Ok(()) };
            after.clone_from(&last.id);
            for run in &runs {
                let is_sealed: i64 = on!(self, db => sqlx::query_scalar(SEALED).bind(&run.id).fetch_one(db).await)?;
                if is_sealed != 0 {
                    found.fault(Fault::RunUnsealed(run.id.clone()));
                }
                self.verify_events(run, None, found).await?;
            }
        }
    }

    async fn verify_events(
        &mut self,
        run: &RunRow,
        seal: Option<&SealRow>,
        found: &mut Verified,
    ) -> Result<(), StoreError> {
        const ROWS: &str = "select * from event where run_id = $1 and seq > $2 order by seq limit $3";
        let (mut seq, mut before) = (0, String::new());
        loop {
            let rows: Vec<Linked> =
                on!(self, db => sqlx::query_as(ROWS).bind(&run.id).bind(seq).bind(PAGE).fetch_all(db).await)?;
            let is_last = (rows.len() as i64) < PAGE;
            for Linked { event, link } in rows {
                if event.seq != seq + 1 {
                    found.fault(Fault::EventMissing(run.id.clone(), seq + 1));
                }
                match &link {
                    Some(link) if event.seq != seq + 1 || *link == self.chain.of_event(&before, &event) => {
                        found.events += 1;
                    }
                    _ => found.fault(Fault::Event(run.id.clone(), event.seq)),
                }
                seq = event.seq;
                before = link.unwrap_or_default();
                if seal.is_some_and(|seal| seal.events == seq && seal.last_link != before) {
                    found.fault(Fault::Event(run.id.clone(), seq));
                }
            }
            if is_last {
                break;
            }
        }
        let expected = run.events.max(seal.map_or(0, |seal| seal.events));
        if seq < expected {
            found.fault(Fault::EventMissing(run.id.clone(), seq + 1));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, SealingKeys};
    use super::*;
    use crate::runs::RunStatus;

    const WORKSPACE: &str = "default";

    /// A store with three changes, a run that ended with three events, and one under way with two.
    async fn store(name: &str) -> Store {
        let folder = std::env::temp_dir().join(format!("platform-verify-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let keys = SealingKeys::in_file(&folder.join("keys")).unwrap();
        let store = Store::sqlite(&folder.join("platform.db"), keys).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        for number in 1..=3 {
            tx.note(WORKSPACE, change(number));
        }
        tx.commit().await.unwrap();
        for (run, events, status) in [("ended", 3, RunStatus::Completed), ("under-way", 2, RunStatus::Running)] {
            let mut tx = store.begin().await.unwrap();
            tx.add_run(WORKSPACE, &run_row(run, status)).await.unwrap();
            for _ in 0..events {
                let seq = tx.next_event(WORKSPACE, run).await.unwrap().unwrap();
                tx.add_event(&event_row(run, seq)).await.unwrap();
            }
            tx.commit().await.unwrap();
        }
        let ended = store.read().await.unwrap().unsealed_runs(10).await.unwrap();
        assert_eq!(ended, [(WORKSPACE.to_string(), "ended".to_string())]);
        let mut tx = store.begin().await.unwrap();
        tx.seal_runs(WORKSPACE, &["ended"], 5).await.unwrap();
        tx.commit().await.unwrap();
        store
    }

    fn change(number: i64) -> Change {
        Change {
            id: format!("c{number}"),
            at: number,
            actor: "key".into(),
            action: "policy.put".into(),
            resource: "policies/billing".into(),
            before: None,
            after: Some(serde_json::json!({"number": number})),
        }
    }

    fn run_row(id: &str, status: RunStatus) -> RunRow {
        RunRow {
            id: id.into(),
            agent_id: "payer".into(),
            namespace: "default".into(),
            user_id: "ann".into(),
            conversation_id: None,
            invoke_url: None,
            initial_message: Some("pay".into()),
            status,
            blocked_action_id: None,
            events: 0,
            created_at: 1,
            updated_at: 2,
        }
    }

    fn event_row(run: &str, seq: i64) -> EventRow {
        EventRow {
            run_id: run.into(),
            seq,
            id: format!("{run}-{seq}"),
            kind: "TOOL_CALLED".into(),
            payload_hash: None,
            actor: None,
            data: Some("{\"decision\":\"denied\"}".into()),
            created_at: seq,
        }
    }

    async fn tamper(store: &Store, statements: &str) {
        let mut tx = store.begin().await.unwrap();
        for statement in statements.split(';') {
            on!(tx, db => sqlx::query(sqlx::AssertSqlSafe(statement)).execute(db).await.map(drop)).unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn faults(store: &Store) -> Vec<String> {
        store.verify(WORKSPACE, 0, &[]).await.unwrap().faults.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_record_that_nobody_touched_is_as_it_was_written() {
        let store = store("whole").await;
        let found = store.verify(WORKSPACE, 0, &[]).await.unwrap();
        assert_eq!((found.changes, found.runs, found.events, found.faulty), (3, 1, 5, 0), "{found:?}");
        assert_eq!(store.recorded_workspaces().await.unwrap(), [WORKSPACE]);
        assert_eq!(store.verify("another", 0, &[]).await.unwrap(), Verified::default());
        // Of what is newer alone there is less, and it is whole too.
        let newer = store.verify(WORKSPACE, 3, &[]).await.unwrap();
        assert_eq!((newer.changes, newer.runs, newer.faulty), (2, 1, 0), "and the row before, whose time is believed");
    }

    #[tokio::test]
    async fn whatever_is_changed_moved_or_taken_out_is_found() {
        for (number, (statements, expected)) in [
            ("update audit set actor = 'nobody' where number = 2", "change 2 is not what was written"),
            ("update audit set after = null where number = 3", "change 3 is not what was written"),
            ("update audit set workspace = 'another' where number = 1", "change 1 is missing"),
            ("delete from audit where number = 2", "change 2 is missing"),
            ("delete from audit where number = 3", "change 3 is missing"),
            ("delete from audit where number > 1", "the changes 2 to 3 are missing"),
            (
                "update audit set number = 9 where number = 1; update audit set number = 1 where number = 2; \
                 update audit set number = 2 where number = 9",
                "change 1 is not what was written; change 2 is not what was written; change 3 is not what was written",
            ),
            (
                "update event set data = '{\"decision\":\"allowed\"}' where run_id = 'ended' and seq = 2",
                "event 2 of run ended is not what was written",
            ),
            (
                "update event set created_at = 7 where run_id = 'under-way' and seq = 1",
                "event 1 of run under-way is not what was written",
            ),
            ("delete from event where run_id = 'ended' and seq = 1", "event 1 of run ended is missing"),
            ("delete from event where run_id = 'under-way' and seq = 2", "event 2 of run under-way is missing"),
            (
                "delete from event where run_id = 'ended' and seq = 3; update run set events = 2 where id = 'ended'",
                "event 3 of run ended is missing",
            ),
            ("update run set user_id = 'bob' where id = 'ended'", "the end of run ended is not what was written"),
            ("update run set status = 'FAILED' where id = 'ended'", "the end of run ended is not what was written"),
            ("delete from run where id = 'ended'", "run ended is missing"),
            (
                "delete from run where id = 'ended'; delete from event where run_id = 'ended'; \
                 delete from run_seal where run_id = 'ended'",
                "end of run number 1 is missing",
            ),
            ("update audit set number = null where number = 1", "change 1 is missing; 1 changes were not written by this platform"),
            (
                "insert into audit select 'x', workspace, at, actor, action, resource, before, after, -1, link from audit \
                 where number = 1",
                "1 changes were not written by this platform",
            ),
            ("update event set link = null where run_id = 'under-way' and seq = 2", "event 2 of run under-way is not what was written"),
            ("update run set is_sealed = 1 where id = 'under-way'", "run under-way counts as on the record, and is not"),
            (
                "insert into run_seal select workspace, -1, run_id, 'removed', events, '', '', at, link from run_seal; \
                 delete from run where id = 'ended'",
                "run ended is missing; 1 ends of runs were not written by this platform",
            ),
            (
                "insert into run_seal select 'nobody', 5, run_id, 'removed', events, '', '', at, link from run_seal; \
                 delete from run where id = 'ended'",
                "run ended is missing",
            ),
            (
                "insert into run_seal select workspace, 2, run_id, 'removed', events, '', '', at, link from run_seal; \
                 delete from run where id = 'ended'",
                "run ended is missing; the end of run ended is not what was written; end of run number 2 is missing",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let store = store(&format!("tampered-{number}")).await;
            tamper(&store, statements).await;
            assert_eq!(faults(&store).await.join("; "), expected, "{statements}");
        }
    }

    #[tokio::test]
    async fn what_was_cut_off_the_end_is_found_by_whoever_kept_an_anchor() {
        let store = store("anchor").await;
        let before = store.verify(WORKSPACE, 0, &[]).await.unwrap().anchors();
        let anchors: Vec<Anchor> = before.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(store.verify(WORKSPACE, 0, &anchors).await.unwrap().faulty, 0);
        tamper(
            &store,
            "delete from audit where number = 3; \
             update chain set number = 2, link = (select link from audit where number = 2) where name = 'changes'",
        )
        .await;
        assert!(faults(&store).await.is_empty(), "nothing in the store says so");
        let found = store.verify(WORKSPACE, 0, &anchors).await.unwrap();
        assert_eq!(found.faults, [Fault::NotAt("changes".into(), 3)]);
        // Nor does the same number alone do.
        let mut tx = store.begin().await.unwrap();
        tx.note(WORKSPACE, change(4));
        tx.commit().await.unwrap();
        assert_eq!(store.verify(WORKSPACE, 0, &anchors).await.unwrap().faulty, 1);
        for odd in ["", "changes", "changes:1:abc", "events:1:0", "changes:x:0"] {
            assert!(odd.parse::<Anchor>().is_err(), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_time_that_was_put_back_hides_nothing() {
        let store = store("time").await;
        tamper(&store, "update audit set actor = 'nobody' where number = 3; update audit set at = 0 where number = 3")
            .await;
        let found = store.verify(WORKSPACE, 3, &[]).await.unwrap();
        assert_eq!(found.faults, [Fault::Change(3)]);
        // Nor does a run become old by it.
        tamper(&store, "update run_seal set at = 0").await;
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.remove_runs(WORKSPACE, &["ended"], 4, 9).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_was_there_before_there_were_chains_is_linked_at_the_first_start() {
        let store = store("before").await;
        tamper(
            &store,
            "update audit set number = null, link = null; update event set link = null; delete from chain; \
             delete from run_seal; update run set is_sealed = 0; delete from sealed where kind = 'chain'",
        )
        .await;
        let folder = std::env::temp_dir().join(format!("platform-verify-{}-before", std::process::id()));
        let keys = SealingKeys::in_file(&folder.join("keys")).unwrap();
        store.close().await;
        let store = Store::sqlite(&folder.join("platform.db"), keys).await.unwrap();
        let found = store.verify(WORKSPACE, 0, &[]).await.unwrap();
        assert_eq!((found.changes, found.events, found.faulty), (3, 5, 0), "{found:?}");
    }

    #[tokio::test]
    async fn a_run_that_is_removed_as_old_runs_are_leaves_that_behind() {
        let store = store("removed").await;
        assert!(store.read().await.unwrap().old_runs(5, 10).await.unwrap().is_empty());
        let old = store.read().await.unwrap().old_runs(6, 10).await.unwrap();
        assert_eq!(old, [(WORKSPACE.to_string(), "ended".to_string())]);
        let mut tx = store.begin().await.unwrap();
        assert_eq!(tx.remove_runs(WORKSPACE, &["ended", "under-way"], 6, 9).await.unwrap(), 1);
        tx.commit().await.unwrap();
        let found = store.verify(WORKSPACE, 0, &[]).await.unwrap();
        assert_eq!((found.runs, found.removed, found.events, found.faulty), (0, 1, 2, 0), "{found:?}");
        let mut tx = store.read().await.unwrap();
        assert!(tx.run(WORKSPACE, "ended").await.unwrap().is_none());
        assert!(tx.run(WORKSPACE, "under-way").await.unwrap().is_some(), "it has not ended");
    }
}
