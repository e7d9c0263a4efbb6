//! Invocation: somebody asks an agent. While it answers, what it calls belongs to its run; what happens is noted in
//! memory and written with the next round, or at the end, so that no call of an agent waits for a commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent_runner::AgentId;
use axum::http::HeaderMap;
use ingestion_server::web::ApiError;
use serde_json::{Map, Value};
use tracing::warn;

use super::recording::Recording;
use super::resume::{self, Question};
use super::{Running, agent_id};
use crate::app::App;
use crate::auth::Identity;
use crate::runs::events::{NewEvent, append};
use crate::runs::{self, RunStatus};
use crate::store::Tx;

/// How many lost ones are looked at in one round.
const BATCH: i64 = 100;

/// An agent that is being asked.
#[derive(Debug)]
pub struct Invocation {
    /// Whose agent it is.
    pub workspace: String,
    /// The agent.
    pub agent: String,
    /// The run that this belongs to.
    pub run: String,
    /// What the platform calls this request, and the agent in what it asks for it.
    pub request: String,
    /// For whom, where an identity provider vouches for them.
    pub user: Option<String>,
    /// What the agent is asked.
    pub question: Question,
    /// What it was answered in this run.
    pub recording: Recording,
    noted: Mutex<Vec<NewEvent>>,
    /// Held while what was noted is written, so that events stay in their order.
    writing: tokio::sync::Mutex<()>,
}

/// An invocation among those under way, until it is dropped.
pub struct Entered {
    running: Running,
    id: AgentId,
    /// What is under way.
    pub invocation: Arc<Invocation>,
}

impl Invocation {
    /// One that begins.
    pub fn new(workspace: &str, agent: &str, run: &str, request: &str, question: Question) -> Invocation {
        Invocation {
            workspace: workspace.into(),
            agent: agent.into(),
            run: run.into(),
            request: request.into(),
            user: None,
            question,
            recording: Recording::default(),
            noted: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Something happened, at this time in milliseconds since 1970.
    pub fn note(&self, at: i64, kind: &'static str, payload_hash: Option<String>, data: Map<String, Value>) {
        let event = NewEvent { kind, payload_hash, data, at: Some(at), ..NewEvent::default() };
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    /// Writes what was noted and recorded, and then whatever `more` does, in one transaction.
    pub async fn write(
        &self,
        app: &App,
        more: impl AsyncFnOnce(&mut Tx, &Identity) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let _in_order = self.writing.lock().await;
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        let recorded = self.recording.unsaved();
        let who = Identity::platform(&self.workspace);
        let written = async {
            let mut tx = app.store().begin().await?;
            for event in noted.iter().cloned() {
                append(app, &mut tx, &who, &self.run, event).await?;
            }
            resume::save(&mut tx, &self.workspace, &self.run, &recorded).await?;
            more(&mut tx, &who).await?;
            Ok(tx.commit().await?)
        };
        let written: Result<(), ApiError> = written.await;
        if written.is_err() {
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).splice(0..0, noted);
            self.recording.not_saved(&recorded);
        }
        written
    }

    fn has_noted(&self) -> bool {
        !self.noted.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Running {
    /// From now on it is under way.
    pub fn enter(&self, invocation: Invocation) -> Entered {
        let id = agent_id(&invocation.workspace, &invocation.agent);
        let invocation = Arc::new(invocation);
        let mut under_way = self.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.entry(id.clone()).or_default().insert(invocation.request.clone(), Arc::clone(&invocation));
        drop(under_way);
        Entered { running: self.clone(), id, invocation }
    }

    /// What a call of an agent belongs to: what it says it belongs to, if that is under way; else what alone is under
    /// way. Whose call it is, the agent does not say.
    pub fn invocation(&self, workspace: &str, agent: &str, headers: &HeaderMap) -> Option<Arc<Invocation>> {
        let under_way = self.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        named(under_way.get(&agent_id(workspace, agent))?, headers).cloned()
    }
}

/// The one that a request names, or the only one.
fn named<'a>(own: &'a BTreeMap<String, Arc<Invocation>>, headers: &HeaderMap) -> Option<&'a Arc<Invocation>> {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let by_request = said("x-request-id").and_then(|request| own.get(request));
    let by_run = || said("x-run-id").and_then(|run| own.values().find(|invocation| invocation.run == run));
    let alone = || own.values().next().filter(|_| own.len() == 1 && said("x-run-id").is_none());
    by_request.or_else(by_run).or_else(alone)
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut under_way = self.running.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = under_way.get_mut(&self.id) {
            own.remove(&self.invocation.request);
            if own.is_empty() {
                under_way.remove(&self.id);
            }
        }
    }
}

/// Writes what was noted since the last round.
pub async fn flush(app: &App, running: &Running) -> Result<(), ApiError> {
    let all: Vec<Arc<Invocation>> = {
        let under_way = running.inner.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.values().flat_map(|own| own.values()).filter(|one| one.has_noted()).cloned().collect()
    };
    for invocation in all {
        invocation.write(app, async |_, _| Ok(())).await?;
    }
    Ok(())
}

/// Runs in which a process that is gone was asking an agent end as failed: nobody will bring their answer. Those that the
/// platform itself made go on do so once more.
pub async fn fail_lost(app: &App) -> Result<(), ApiError> {
    let lost = app.store().read().await?.lost_invocations(BATCH).await?;
    for (workspace, run) in lost {
        warn!(run, "the platform stopped while an agent was asked in this run");
        let who = Identity::platform(&workspace);
        let mut tx = app.store().begin().await?;
        if let Some(row) = tx.lock_run(&workspace, &run).await?
            && !resume::again(&mut tx, &run).await?
        {
            let data =
                Map::from_iter([("error".to_string(), Value::from("the platform stopped before the agent answered"))]);
            append(
                app,
                &mut tx,
                &who,
                &run,
                NewEvent { kind: "INVOKE_FAILED", data: data.clone(), ..NewEvent::default() },
            )
            .await?;
            if row.status == RunStatus::Running {
                runs::change(app, &mut tx, &who, &row, RunStatus::Failed, None).await?;
                append(app, &mut tx, &who, &run, NewEvent { kind: "FAILED", data, ..NewEvent::default() }).await?;
            }
        }
        tx.drop_invocation(&run).await?;
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_belongs_to_what_it_names_or_to_what_alone_is_under_way() {
        let one = |n: u8| {
            let (run, request) = (format!("run-{n}"), format!("req-{n}"));
            (request.clone(), Arc::new(Invocation::new("w", "a", &run, &request, Question::default())))
        };
        let of = |own: &BTreeMap<String, Arc<Invocation>>, name: &'static str, value: &str| {
            let headers = HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), value.parse().unwrap())]);
            named(own, &headers).map(|invocation| invocation.run.clone())
        };
        let alone = BTreeMap::from([one(1)]);
        assert_eq!(of(&alone, "accept", "*/*").as_deref(), Some("run-1"));
        assert_eq!(of(&alone, "x-run-id", "run-of-somebody-else"), None);
        let both = BTreeMap::from([one(1), one(2)]);
        assert_eq!(of(&both, "accept", "*/*"), None);
        assert_eq!(of(&both, "x-request-id", "req-2").as_deref(), Some("run-2"));
        assert_eq!(of(&both, "x-run-id", "run-1").as_deref(), Some("run-1"));
    }
}
