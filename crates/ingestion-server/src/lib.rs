//! The analyzer over HTTP: [`Ingestion::routes`] to mount elsewhere, [`Ingestion::alone`] to run by itself.

pub mod cache;
pub mod config;
pub mod engine;
pub mod enrichment;
mod routes;
pub mod shelf;
pub mod web;
pub mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use analyzer_core::Analysis;
use axum::Router;
use axum::middleware::from_fn_with_state;

pub use config::Config;
use engine::{Analyzer, Engine};
use enrichment::Enricher;
use shelf::Shelf;
use web::keys::require_key;
use web::shell::Shell;
use web::{ApiError, Intake, Keys, Metrics, World};

/// Everything the routes reach. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Ingestion {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    intake: Intake,
    metrics: Arc<Metrics>,
    world: World,
    largest_batch: usize,
    stopping: AtomicBool,
}

impl Inner {
    fn new(config: &Config, world: World, analyzer: Analyzer, enricher: Option<Arc<dyn Enricher>>) -> Inner {
        let engine = Engine::new(config, analyzer, enricher, world.clone());
        let wait = Duration::from_secs(config.http.body_seconds);
        Inner {
            intake: Intake::new(config.http.body_bytes, wait, config.http.held_bytes),
            metrics: Arc::new(Metrics::new(|registry| engine.register(registry))),
            engine,
            world,
            largest_batch: config.analysis.batch,
            stopping: AtomicBool::new(false),
        }
    }
}

impl Ingestion {
    /// With the analyzer that this workspace is about.
    pub fn new(config: &Config, world: World, enricher: Option<enrichment::Client>) -> Ingestion {
        let enricher = enricher.map(|client| Arc::new(client) as Arc<dyn Enricher>);
        Ingestion::with(config, world, Arc::new(analyzer_core::analyze), enricher)
    }

    /// With an analyzer of one's own.
    pub fn with_analyzer(config: &Config, world: World, analyzer: Analyzer) -> Ingestion {
        Ingestion::with(config, world, analyzer, None)
    }

    /// With an analyzer and an enricher of one's own.
    pub fn with(config: &Config, world: World, analyzer: Analyzer, enricher: Option<Arc<dyn Enricher>>) -> Ingestion {
        Ingestion { inner: Arc::new(Inner::new(config, world, analyzer, enricher)) }
    }

    /// The routes alone: analyze, analysis, requirements, health and metrics.
    pub fn routes(&self) -> Router {
        let (analyzer, _) = routes::analyzer().split_for_parts();
        analyzer.merge(routes::health()).with_state(self.clone())
    }

    /// How the analyzer's routes are described.
    pub fn description() -> utoipa::openapi::OpenApi {
        routes::analyzer().into_openapi()
    }

    /// A whole server: the routes, with keys if there are any, and what surrounds them.
    pub fn alone(&self, keys: Option<Keys>) -> Router {
        self.surround(self.routes(), |router| match keys {
            Some(keys) => router.layer(from_fn_with_state(keys, require_key)),
            None => router,
        })
    }

    /// Puts around `routes` what every server of ours has: JSON for what no route answers, behind `door` too, log and
    /// metrics.
    pub fn surround(&self, routes: Router, door: impl FnOnce(Router) -> Router) -> Router {
        let router = door(Shell::fallbacks(routes));
        Shell { world: self.inner.world.clone(), metrics: Arc::clone(&self.inner.metrics) }.around(router)
    }

    /// From now on `/readyz` sends new callers elsewhere.
    pub fn stop(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        !self.inner.stopping.load(Ordering::Relaxed)
    }

    fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The analysis of files, as an answer to a request would hold it, and kept as that would be.
    pub async fn analyze(
        &self,
        files: impl IntoIterator<Item = (String, String)>,
        shelf: &dyn Shelf,
    ) -> Result<Analysis, ApiError> {
        let files = files.into_iter().map(|(path, text)| (path, text.into())).collect();
        let place = self.engine().place()?;
        let answer = self.engine().answer_files(wire::Files(files), &place, shelf.whose()).await?;
        shelf.keep(&answer).await;
        serde_json::from_slice(&answer.analysis).map_err(|error| ApiError::Internal(error.into()))
    }

    /// Limits of request bodies.
    pub fn intake(&self) -> &Intake {
        &self.inner.intake
    }

    fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    fn largest_batch(&self) -> usize {
        self.inner.largest_batch
    }
}
