//! Resume: a run that paused at a call goes on once somebody has said yes. Whoever waits for its answer left long ago, so
//! the platform asks the agent again, by itself, exactly once, whatever stops in between.

use axum::body::Bytes;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use super::Running;
use super::invocation::Invocation;
use super::recording::{Entry, Recording, Waiting};
use crate::agents;
use crate::app::App;
use crate::auth::Identity;
use crate::config::Resumes;
use crate::runs::events::{NewEvent, append};
use crate::runs::{self, RunStatus, checkpoints};
use crate::store::{RunRow, Tx, Workspace};

/// What the calls of a run are sealed under, as `{run}/{number}`; what it waits with and what its agent was asked, as
/// `{run}`.
const CALLS: &str = "recorded call";
const WAITS: &str = "waiting call";

/// What the last answer of a resumed run is sealed under: whoever asked first has left.
pub const ANSWER: &str = "answer";

/// What agents are asked beside a message, as the programs that start them hand it on.
const MORE: [&str; 4] = ["parameters", "session_id", "input_args", "input_kwargs"];

/// How many runs go on in one round.
const BATCH: i64 = 16;

/// How often an agent is asked again in one run, when the platform stops meanwhile.
const TRIES: i64 = 5;

/// What an agent was asked, to be asked again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// At which path of its own.
    pub path: String,
    /// The headers that it was shown.
    pub headers: Vec<(String, String)>,
    /// Base64.
    body: String,
}

impl Question {
    /// As it came.
    pub fn new(path: &str, headers: Vec<(String, String)>, body: &[u8]) -> Question {
        Question { path: path.into(), headers, body: BASE64.encode(body) }
    }

    /// What was sent.
    pub fn body(&self) -> Bytes {
        BASE64.decode(&self.body).unwrap_or_default().into()
    }
}

/// What is kept of a run that waits.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    question: Question,
    user: Option<String>,
    waiting: Waiting,
}

/// A run that goes on.
pub struct Resumed {
    /// What its agent is to be asked.
    pub question: Question,
    /// For whom, where an identity provider vouched for them.
    pub user: Option<String>,
    /// What it did before.
    pub recording: Recording,
}

/// The run of an invocation waits at an action, in the caller's transaction: with what it did so far, and what its agent
/// was asked. The invocation itself is to be told once that is true.
pub async fn pause(tx: &mut Tx, invocation: &Invocation, action: &str, waiting: &Waiting) -> Result<(), ApiError> {
    let Invocation { workspace, run, question, user, .. } = invocation;
    tx.add_resumption(workspace, run, action).await?;
    let kept = Kept { question: question.clone(), user: user.clone(), waiting: waiting.clone() };
    Ok(tx.seal_part(workspace, WAITS, run, 0, &kept).await?)
}

/// What a run waited for is there.
pub async fn ready(app: &App, tx: &mut Tx, run: &str) -> Result<(), ApiError> {
    tx.ready_resumption(run).await?;
    app.wake();
    Ok(())
}

/// Nothing of a run is needed again.
pub async fn forget(tx: &mut Tx, workspace: Workspace<'_>, run: &str) -> Result<(), ApiError> {
    tx.drop_resumption(run).await?;
    tx.forget_parts(workspace, CALLS, run).await?;
    Ok(tx.forget_parts(workspace, WAITS, run).await?)
}

/// Keeps calls of a run.
pub async fn save(
    tx: &mut Tx,
    workspace: Workspace<'_>,
    run: &str,
    entries: &[(usize, Entry)],
) -> Result<(), ApiError> {
    for (number, entry) in entries {
        tx.seal_part(workspace, CALLS, run, *number, entry).await?;
    }
    Ok(())
}

/// A run that waited goes on in the caller's transaction, unless it is not to, or somebody else is at it: then none.
pub async fn begin(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    run: &RunRow,
    replica: &str,
) -> Result<Option<Resumed>, ApiError> {
    let Some(row) = tx.take_resumption(&run.id, replica).await? else { return Ok(None) };
    let kept: Vec<Kept> = tx.unseal_parts(&who.workspace, WAITS, &run.id).await?;
    let Some(Kept { mut question, user, waiting }) = kept.into_iter().next() else { return Ok(None) };
    let entries = tx.unseal_parts(&who.workspace, CALLS, &run.id).await?;
    let mut data = Map::from_iter([("action_id".to_string(), Value::from(row.action_id.clone()))]);
    if row.tries > 1 {
        data.insert("tries".into(), row.tries.into());
    }
    append(app, tx, who, &run.id, NewEvent { kind: "RESUMED", data, ..NewEvent::default() }).await?;
    // Its runtime kept the state that it was in, and goes on from there.
    if checkpoints::exists(tx, &who.workspace, &run.id, &row.action_id).await? {
        let stream = if question.path.ends_with("/stream") { "/stream" } else { "" };
        // What else it was asked its runtime has not kept; for whom, a body does not say.
        let asked: Value = serde_json::from_slice(&question.body()).unwrap_or_default();
        let more = MORE.iter().filter_map(|name| Some((name.to_string(), asked.get(name)?.clone())));
        let mut body: Map<String, Value> = more.collect();
        body.insert("run_id".into(), run.id.clone().into());
        let body = Value::Object(body).to_string();
        let headers = vec![("content-type".to_string(), "application/json".to_string())];
        question = Question::new(&format!("/resume/{}{stream}", row.action_id), headers, body.as_bytes());
    }
    Ok(Some(Resumed { question, user, recording: Recording::resumed(entries, waiting) }))
}

/// Lets runs go on that may.
pub async fn due(app: &App, running: &Running) -> Result<(), ApiError> {
    if app.config().approvals.resumes == Resumes::Caller {
        return Ok(());
    }
    let ready = app.store().read().await?.ready_resumptions(BATCH).await?;
    for (workspace, run) in ready {
        let who = Identity::platform(&workspace);
        let mut tx = app.store().begin().await?;
        let Some(row) = tx.lock_run(&workspace, &run).await? else { continue };
        if row.status != RunStatus::Running {
            forget(&mut tx, &workspace, &run).await?;
            tx.commit().await?;
            continue;
        }
        let Some(resumed) = begin(app, &mut tx, &who, &row, running.replica()).await? else { continue };
        tx.add_invocation(&workspace, &run, running.replica()).await?;
        tx.commit().await?;
        agents::resume(app, running, &workspace, &row, resumed);
    }
    Ok(())
}

/// A run in which the platform stopped while an agent was asked again is taken up once more; false if it was not such a
/// run, or that has been tried often enough.
pub async fn again(tx: &mut Tx, run: &str) -> Result<bool, ApiError> {
    match tx.resumption(run).await? {
        Some(row) if row.replica.is_some() && row.tries < TRIES => {
            tx.free_resumption(run).await?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// A run cannot go on: what its agent does now is not what it did before.
pub async fn fail(app: &App, invocation: &Invocation, why: &str) {
    let failed = invocation
        .write(app, async |tx, who| {
            if let Some(run) = tx.lock_run(&invocation.workspace, &invocation.run).await?
                && run.status == RunStatus::Running
            {
                runs::change(app, tx, who, &run, RunStatus::Failed, None).await?;
                let data = Map::from_iter([("error".to_string(), Value::from(why))]);
                append(app, tx, who, &run.id, NewEvent { kind: "FAILED", data, ..NewEvent::default() }).await?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = failed {
        warn!(%error, run = invocation.run, "that a run failed is not written");
    }
}
