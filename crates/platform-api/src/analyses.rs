//! Analyses by id, kept in the store for an hour: every replica answers alike, and each workspace finds its own.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ingestion_server::cache::Answer;
use ingestion_server::shelf::{Shelf, Shelved};
use ingestion_server::web::ApiError;
use tracing::warn;

use crate::app::App;
use crate::auth::Identity;
use crate::store::{Room, StoreError};

/// What was given so short a time ago is not written again.
const RENEW: i64 = 1_000;

/// The analyses of one workspace.
pub struct Analyses<'a> {
    app: &'a App,
    workspace: &'a str,
}

/// The same for a request that is on its way.
struct Held {
    app: App,
    workspace: String,
}

impl<'a> Analyses<'a> {
    /// Those of a workspace.
    pub fn of(app: &'a App, workspace: &'a str) -> Analyses<'a> {
        Analyses { app, workspace }
    }

    async fn write(&self, answer: &Answer) -> Result<(), StoreError> {
        let body = std::str::from_utf8(&answer.analysis).expect("JSON is text");
        let now = self.app.world().now();
        let mut tx = self.app.store().read().await?;
        let is_there = tx.has_analysis(self.workspace, &answer.id, body, now - RENEW).await?;
        drop(tx);
        if is_there {
            return Ok(());
        }
        let config = &self.app.config().analyses;
        let room = Room { rows: config.rows.into(), bytes: i64::try_from(config.bytes).unwrap_or(i64::MAX) };
        let mut tx = self.app.store().begin().await?;
        tx.keep_analysis(self.workspace, &answer.id, body, now, room).await?;
        tx.commit().await
    }

    async fn read(&self, id: &str) -> Result<Option<Bytes>, ApiError> {
        let mut tx = self.app.store().read().await?;
        let found = tx.analysis(self.workspace, id, oldest(self.app)).await?;
        Ok(found.map(Bytes::from))
    }
}

impl Shelf for Analyses<'_> {
    fn whose(&self) -> &str {
        self.workspace
    }

    fn keep<'f>(&'f self, answer: &'f Answer) -> BoxFuture<'f, ()> {
        let kept = self.write(answer);
        kept.map(|kept| kept.unwrap_or_else(|error| warn!(%error, "an analysis is not kept under its id"))).boxed()
    }

    fn find<'f>(&'f self, id: &'f str) -> BoxFuture<'f, Result<Option<Bytes>, ApiError>> {
        self.read(id).boxed()
    }
}

impl Shelf for Held {
    fn whose(&self) -> &str {
        &self.workspace
    }

    fn keep<'f>(&'f self, answer: &'f Answer) -> BoxFuture<'f, ()> {
        async { Analyses::of(&self.app, &self.workspace).keep(answer).await }.boxed()
    }

    fn find<'f>(&'f self, id: &'f str) -> BoxFuture<'f, Result<Option<Bytes>, ApiError>> {
        async { Analyses::of(&self.app, &self.workspace).find(id).await }.boxed()
    }
}

/// Middleware, behind the door: the analyzer's routes keep what they answer in the caller's workspace.
pub async fn shelve(State(app): State<App>, mut request: Request, next: Next) -> Response {
    if let Some(who) = request.extensions().get::<Identity>() {
        let held = Held { app, workspace: who.workspace.clone() };
        request.extensions_mut().insert(Shelved::new(held));
    }
    next.run(request).await
}

/// Forgets the analyses that nobody may ask for any more.
pub async fn forget_old(app: &App) -> Result<(), ApiError> {
    let before = oldest(app);
    if app.store().read().await?.has_analyses_before(before).await? {
        let mut tx = app.store().begin().await?;
        tx.forget_analyses(before).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// What was given then is an hour old.
fn oldest(app: &App) -> i64 {
    let keep = i64::try_from(app.config().cache.keep_seconds).unwrap_or(i64::MAX);
    app.world().now().saturating_sub(keep.saturating_mul(1_000))
}
