//! Execute: builds that wait are carried out, by whichever replica takes them. What one says is kept, sealed, since the
//! words of tools may hold what is nobody's business.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_runner::{Artifact, BuildError, Language, Source};
use ingestion_server::web::ApiError;
use tracing::warn;

use super::{BuildRecord, BuildStatus, LOG};
use crate::agents::SOURCE;
use crate::app::App;
use crate::running::Running;
use crate::store::Stored;

/// How often the log of a build under way is written.
const PACE: Duration = Duration::from_secs(1);

/// Lines and characters of a line that are kept; the last lines say most.
const LINES: usize = 2_000;
const LINE: usize = 1_000;

/// Takes builds that wait, as many as there is room for.
pub async fn take(app: &App, running: &Running) -> Result<(), ApiError> {
    let room = running.free_places();
    if room == 0 || !app.store().read().await?.has_queued_build().await? {
        return Ok(());
    }
    let mut tx = app.store().begin().await?;
    let taken = tx.take_builds(running.replica(), i64::try_from(room).unwrap_or(i64::MAX)).await?;
    tx.commit().await?;
    for (workspace, id) in taken {
        let (app, running, place) = (app.clone(), running.clone(), running.place());
        tokio::spawn(async move {
            if let Err(error) = execute(&app, &running, &workspace, &id).await {
                warn!(%error, build = id, "a build could not be carried out; it will be again");
                give_back(&app, &workspace, &id).await;
            }
            drop(place);
        });
    }
    Ok(())
}

/// Makes on this host what another one made, or what was lost.
pub fn again(app: &App, running: &Running, workspace: &str, id: &str) {
    if running.free_places() == 0 {
        return;
    }
    let (app, running, place) = (app.clone(), running.clone(), running.place());
    let (workspace, id) = (workspace.to_string(), id.to_string());
    tokio::spawn(async move {
        let made = async {
            let mut tx = app.store().read().await?;
            let build = tx.get::<BuildRecord>(&workspace, &id).await?;
            let files: Option<BTreeMap<String, String>> = tx.unseal(&workspace, SOURCE, &id).await?;
            drop(tx);
            if let (Some(build), Some(files)) = (build, files)
                && let Err(error) = make(&running, &build.value, files, &|_: &str| ()).await
            {
                warn!(%error, build = id, "a build could not be made again");
                // Not at once: whatever is in the way will hardly be gone.
                tokio::time::sleep(PACE * 10).await;
            }
            Ok::<_, ApiError>(())
        };
        if let Err(error) = made.await {
            warn!(%error, build = id, "a build could not be made again");
        }
        drop(place);
    });
}

/// The state of a build once it is at its end, or after so long.
pub async fn wait(app: &App, workspace: &str, id: &str, patience: Duration) -> Result<Option<BuildRecord>, ApiError> {
    let until = app.world().elapsed() + patience;
    loop {
        let mut tx = app.store().read().await?;
        let build = tx.get::<BuildRecord>(workspace, id).await?.map(|build| build.value);
        drop(tx);
        let is_over = build.as_ref().is_none_or(|build| build.status.is_final());
        if is_over || app.world().elapsed() >= until {
            return Ok(build);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn execute(app: &App, running: &Running, workspace: &str, id: &str) -> Result<(), ApiError> {
    let mut tx = app.store().begin().await?;
    let build = tx.get::<BuildRecord>(workspace, id).await?;
    let files: Option<BTreeMap<String, String>> = tx.unseal(workspace, SOURCE, id).await?;
    let (Some(Stored { value: mut build, .. }), Some(files)) = (build, files) else {
        // Taken away meanwhile, with its agent.
        tx.unqueue_build(id).await?;
        tx.commit().await?;
        return Ok(());
    };
    build.status = BuildStatus::Building;
    tx.put(workspace, &build, app.world().now()).await?;
    tx.commit().await?;

    let said: Arc<Mutex<Vec<String>>> = Arc::default();
    let hear = |line: &str| {
        let line: String = running.scrubbed(line).chars().take(LINE).collect();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == LINES {
            said.remove(0);
        }
        said.push(line);
    };
    let made = {
        let mut making = std::pin::pin!(make(running, &build, files, &hear));
        let mut written = 0;
        loop {
            tokio::select! {
                made = &mut making => break made,
                () = tokio::time::sleep(PACE) => {
                    let lines = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    if lines.len() != written {
                        written = lines.len();
                        let mut tx = app.store().begin().await?;
                        tx.seal(workspace, LOG, id, &lines).await?;
                        tx.commit().await?;
                    }
                }
            }
        }
    };
    match made {
        Ok(artifact) => (build.status, build.artifact) = (BuildStatus::Succeeded, Some(artifact)),
        Err(error) => {
            let error = running.scrubbed(&error.to_string());
            hear(&error);
            (build.status, build.error) = (BuildStatus::Failed, Some(error));
        }
    }
    let now = app.world().now();
    build.completed_at = Some(now);
    let lines = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut tx = app.store().begin().await?;
    tx.unqueue_build(id).await?;
    // Its agent may have been deleted while it was made.
    if tx.get::<BuildRecord>(workspace, id).await?.is_some() {
        tx.seal(workspace, LOG, id, &lines).await?;
        tx.put(workspace, &build, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Whoever looks next may try again.
async fn give_back(app: &App, workspace: &str, id: &str) {
    tokio::time::sleep(PACE).await;
    let given = async {
        let mut tx = app.store().begin().await?;
        tx.queue_build(workspace, id).await?;
        tx.commit().await
    };
    if let Err(error) = given.await {
        // Then this process seems to be at it until it ends.
        warn!(%error, build = id, "a build could not be given back");
    }
}

async fn make(
    running: &Running,
    build: &BuildRecord,
    files: BTreeMap<String, String>,
    log: &(dyn Fn(&str) + Send + Sync),
) -> Result<Artifact, BuildError> {
    let language = if build.runtime_family == "node" { Language::Node } else { Language::Python };
    let entry_point = Some(build.entry_point.clone()).filter(|entry_point| !entry_point.is_empty());
    let source = Source::new(language, files, build.packages.clone(), entry_point);
    let source = source.map_err(|error| BuildError::Failed(error.to_string()))?;
    running.builder().build(&source, log).await
}
