//! Engine: who analyzes, when, and for how long. A few at a time, each content once, nobody without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use analyzer_core::{Analysis, Limits, Options, Sources, SourcesError};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, info_span};

use crate::cache::{Answer, Cache, Content, Print};
use crate::config::Config;
use crate::enrichment::{self, Enricher, EnrichmentError, Excerpt};
use crate::web::body::{Held, json, off_thread};
use crate::web::traces::TARGET;
use crate::web::{ApiError, Received, World, metrics};
use crate::wire::{self, Files, Submission};

/// What analyzes: [`analyzer_core::analyze`], or a test's own.
pub type Analyzer = Arc<dyn Fn(&Sources, &Options) -> Analysis + Send + Sync>;

/// The analyzer behind a cache and a queue. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Engine {
    analyzer: Analyzer,
    enricher: Option<Arc<dyn Enricher>>,
    retry: Duration,
    cache: Cache,
    limits: Limits,
    /// Places in the queue, those at work included.
    places: Arc<Semaphore>,
    /// Those at work.
    workers: Arc<Semaphore>,
    worker_count: usize,
    wait: Duration,
    deadline: Duration,
    counts: Counts,
    world: World,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Why there is no answer. What one flight learned goes to all who wait for it, so it can be cloned.
#[derive(Debug, Clone)]
enum Refusal {
    QueueFull,
    TooLong,
    Panicked,
}

/// What the engine counts.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    answers: Family<Origin, Counter>,
    outcomes: Family<Outcome, Counter>,
    enrichments: Family<Outcome, Counter>,
    bytes: Counter,
    running: Gauge,
    waiting: Gauge,
    cached: Gauge,
    seconds: Seconds,
}

#[derive(Debug, Clone)]
struct Seconds(Histogram);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Origin {
    origin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Tells the analysis to stop when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Engine {
    /// An engine with an empty cache.
    pub fn new(config: &Config, analyzer: Analyzer, enricher: Option<Arc<dyn Enricher>>, world: World) -> Engine {
        let Config { analysis: config, cache, enrichment, .. } = config;
        let processors = || std::thread::available_parallelism().map_or(2, usize::from);
        let workers = if config.workers == 0 { processors() } else { config.workers };
        Engine {
            analyzer,
            enricher,
            retry: Duration::from_secs(enrichment.retry_seconds),
            cache: Cache::new(cache, world.clone()),
            limits: Limits { files: config.files, bytes: config.bytes, ..Limits::default() },
            places: Arc::new(Semaphore::new(workers + config.queue)),
            workers: Arc::new(Semaphore::new(workers)),
            worker_count: workers,
            wait: Duration::from_secs(config.queue_seconds),
            deadline: Duration::from_secs(config.deadline_seconds),
            counts: Counts::default(),
            world,
        }
    }

    /// The answer to a request body, `{"files": …}`, of whoever is named.
    pub async fn answer(&self, received: Received, whose: &str) -> Result<Arc<Answer>, ApiError> {
        let Received { bytes, held } = received;
        let size = bytes.len();

        // The same body again needs no reading.
        let hashed = bytes.clone();
        let print: Print = off_thread(size, move || blake3::hash(&hashed).into()).await?;
        let print = self.of(print, whose);
        if let Some(answer) = self.cache.by_body(&print).await {
            self.counts.answer("body");
            return Ok(answer);
        }

        let limits = self.limits.clone();
        let (sources, content) = off_thread(size, move || {
            let files = json::<Submission>(&bytes).and_then(Submission::files)?;
            sources(files, &limits)
        })
        .await??;
        let place = self.place()?;
        let answer = self.find_or_analyze(sources, content, whose, Some(self.wait), held, &place).await?;
        self.cache.remember(print, self.of(content, whose)).await;
        Ok(answer)
    }

    /// The answer to files that were read before, by someone who has a place and all the time that it takes to get
    /// a worker: a batch asks for many.
    pub async fn answer_files(&self, files: Files, place: &Place, whose: &str) -> Result<Arc<Answer>, ApiError> {
        let limits = self.limits.clone();
        let (sources, content) = off_thread(files.bytes(), move || sources(files, &limits)).await??;
        self.find_or_analyze(sources, content, whose, None, Held::default(), place).await
    }

    /// Where a model is asked, the same content has another answer for somebody else: it is their model that says it.
    fn of(&self, content: [u8; 32], whose: &str) -> [u8; 32] {
        match self.enricher {
            None => content,
            Some(_) => *blake3::Hasher::new().update(&content).update(whose.as_bytes()).finalize().as_bytes(),
        }
    }

    /// A place in the queue, or the advice to come back.
    pub fn place(&self) -> Result<Place, ApiError> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| self.refusal(Refusal::QueueFull))?;
        Ok(Place { _permit: permit })
    }

    /// An earlier answer.
    pub async fn by_id(&self, id: &str) -> Option<Arc<Answer>> {
        self.cache.by_id(id).await
    }

    /// How many analyses run at one time.
    pub fn workers(&self) -> usize {
        self.worker_count
    }

    /// Makes its counts visible.
    pub fn register(&self, registry: &mut Registry) {
        let Counts { answers, outcomes, enrichments, bytes, running, waiting, cached, seconds } = &self.counts;
        registry.register("ingestion_answers", "Answers by where they came from", answers.clone());
        registry.register("ingestion_analyses", "Analyses by how they ended", outcomes.clone());
        registry.register("ingestion_enrichments", "Questions to the model by how they ended", enrichments.clone());
        registry.register_with_unit("ingestion_analyzed", "Source text analyzed", Unit::Bytes, bytes.clone());
        registry.register("ingestion_running", "Analyses at work", running.clone());
        registry.register("ingestion_waiting", "Analyses in the queue", waiting.clone());
        registry.register_with_unit("ingestion_cache", "Answers in memory", Unit::Bytes, cached.clone());
        registry.register_with_unit("ingestion_analysis", "Time of analyses", Unit::Seconds, seconds.0.clone());
    }

    async fn find_or_analyze(
        &self,
        sources: Sources,
        content: Content,
        whose: &str,
        wait: Option<Duration>,
        held: Held,
        _place: &Place,
    ) -> Result<Arc<Answer>, ApiError> {
        let mut mine = false;
        let made = self.cache.get_or_make(self.of(content, whose), async {
            mine = true;
            let worker = self.worker(wait).await?;
            let span = info_span!(target: TARGET, "analysis");
            self.analyze(sources, whose, worker, held).instrument(span).await
        });
        // Whoever joined a flight of the more patient is not bound to their patience.
        let answer = match wait {
            Some(wait) => tokio::time::timeout(wait + self.deadline, made).await.unwrap_or(Err(Refusal::TooLong)),
            None => made.await,
        };
        match &answer {
            Ok(_) if mine => self.counts.answer("analysis"),
            Ok(_) => self.counts.answer("content"),
            Err(_) => {}
        }
        self.counts.cached.set(self.cache.bytes() as i64);
        answer.map_err(|refusal| self.refusal(refusal))
    }

    async fn worker(&self, wait: Option<Duration>) -> Result<OwnedSemaphorePermit, Refusal> {
        let _waiting = Counted::new(&self.counts.waiting);
        let worker = Arc::clone(&self.workers).acquire_owned();
        let worker = match wait {
            Some(wait) => tokio::time::timeout(wait, worker).await.map_err(|_| Refusal::QueueFull)?,
            None => worker.await,
        };
        Ok(worker.expect("never closed"))
    }

    /// Off the threads that serve connections. The worker is free again when the analysis has really ended, which
    /// after the deadline may be a moment later.
    async fn analyze(
        &self,
        sources: Sources,
        whose: &str,
        worker: OwnedSemaphorePermit,
        held: Held,
    ) -> Result<Arc<Answer>, Refusal> {
        let stop = StopOnDrop(Arc::default());
        let options = Options { cancel: Some(Arc::clone(&stop.0)), ..Options::default() };
        let (analyzer, world, counts) = (Arc::clone(&self.analyzer), self.world.clone(), self.counts.clone());
        let shown = self.enricher.as_ref().map(|enricher| enricher.source_bytes());
        let began = self.world.elapsed();
        let work = move || {
            let _until_the_end = (worker, held, Counted::new(&counts.running));
            let began = world.elapsed();
            let analysis = analyzer(&sources, &options);
            counts.bytes.inc_by(analysis.stats.bytes as u64);
            counts.seconds.0.observe(world.elapsed().saturating_sub(began).as_secs_f64());
            // What was stopped is incomplete, and no answer.
            if analysis.cancelled {
                return None;
            }
            Some(match shown {
                None => Made::Answer(answer(&analysis, world.elapsed(), None)),
                Some(bytes) => {
                    let excerpt = Excerpt::new(&sources, &analysis, &options, bytes);
                    Made::Enrichable(Box::new((analysis, excerpt)))
                }
            })
        };
        let outcome = match tokio::time::timeout(self.deadline, tokio::task::spawn_blocking(work)).await {
            Ok(Ok(Some(made))) => Ok(made),
            Ok(Ok(None)) | Err(_) => Err(Refusal::TooLong),
            Ok(Err(_)) => Err(Refusal::Panicked),
        };
        let word = match &outcome {
            Ok(_) => "done",
            Err(Refusal::Panicked) => "panicked",
            Err(_) => "stopped",
        };
        self.counts.outcomes.get_or_create(&Outcome { outcome: word }).inc();
        match outcome? {
            Made::Answer(answer) => Ok(answer),
            Made::Enrichable(made) => {
                let spent = self.world.elapsed().saturating_sub(began);
                self.enrich(made.0, made.1, whose, self.deadline.saturating_sub(spent)).await
            }
        }
    }

    /// Asks the model, without a worker: the analysis is done, and what follows is waiting. Whatever happens, the
    /// analysis is the answer.
    async fn enrich(
        &self,
        analysis: Analysis,
        excerpt: Excerpt,
        whose: &str,
        left: Duration,
    ) -> Result<Arc<Answer>, Refusal> {
        let Some(enricher) = &self.enricher else { unreachable!("an excerpt is made for an enricher") };
        let suggested = tokio::time::timeout(left, enricher.suggest(whose, &excerpt)).await;
        let suggested = suggested.unwrap_or(Err(EnrichmentError::Slow));
        let word = if suggested.is_ok() { "done" } else { "failed" };
        self.counts.enrichments.get_or_create(&Outcome { outcome: word }).inc();
        let now = self.world.elapsed();
        let renew_at = suggested.is_err().then(|| now + self.retry);
        let finish = move || {
            let analysis = match suggested {
                Ok(suggestion) => enrichment::merge(analysis, suggestion, &excerpt),
                Err(error) => {
                    tracing::warn!(%error, "no enrichment");
                    enrichment::without(analysis, &error)
                }
            };
            answer(&analysis, now, renew_at)
        };
        tokio::task::spawn_blocking(finish).await.map_err(|_| Refusal::Panicked)
    }

    fn refusal(&self, refusal: Refusal) -> ApiError {
        match refusal {
            Refusal::QueueFull => ApiError::Busy("too many analyses at once; try again in a moment"),
            Refusal::TooLong => ApiError::Deadline(self.deadline.as_secs()),
            Refusal::Panicked => ApiError::Internal("the analysis panicked".into()),
        }
    }
}

/// What the blocking part of an analysis ends with.
enum Made {
    Answer(Arc<Answer>),
    Enrichable(Box<(Analysis, Excerpt)>),
}

fn answer(analysis: &Analysis, given: Duration, renew_at: Option<Duration>) -> Arc<Answer> {
    Arc::new(Answer {
        id: analysis.id.as_str().into(),
        analysis: wire::analysis(analysis),
        requirements: wire::requirements(analysis),
        given,
        renew_at,
    })
}

fn sources(files: Files, limits: &Limits) -> Result<(Sources, Content), ApiError> {
    let sources = Sources::with_limits(files.0, limits).map_err(|error| match error {
        SourcesError::TooMany { .. } | SourcesError::TooLarge { .. } => ApiError::TooLarge(error.to_string()),
        SourcesError::BadPath { .. } | SourcesError::Duplicate(_) => ApiError::BadRequest(error.to_string()),
    })?;
    let content = sources.digest();
    Ok((sources, content))
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Counts {
    fn answer(&self, origin: &'static str) {
        self.answers.get_or_create(&Origin { origin }).inc();
    }
}

impl Default for Seconds {
    fn default() -> Seconds {
        Seconds(metrics::histogram())
    }
}

/// One more as long as it lives.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
