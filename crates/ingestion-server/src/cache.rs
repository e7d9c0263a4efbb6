//! Cache: answers by content, found again by request body and by id; bounded in bytes and in time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use moka::future::Cache as Moka;
use moka::policy::EvictionPolicy;

use crate::config::CacheConfig;
use crate::web::World;

/// Identity of a submission: SHA-256 over its files.
pub type Content = [u8; 32];

/// Identity of a request body: BLAKE3 over its bytes.
pub type Print = [u8; 32];

/// Renewing an answer more often than this would be work without effect.
const RENEW: Duration = Duration::from_secs(1);

/// What an entry costs beside its bytes.
const OVERHEAD: usize = 512;

/// A finished analysis, spelt once and given out as often as it is asked for.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The analysis's id.
    pub id: Arc<str>,
    /// The analysis as JSON.
    pub analysis: Bytes,
    /// Its requirements and entry point as JSON.
    pub requirements: Bytes,
    /// When it was last given.
    pub given: Duration,
    /// Something is missing in it that may be had from then on: a new request makes it anew.
    pub renew_at: Option<Duration>,
}

/// The answers of the last hour.
///
/// Least recently used goes first: a new answer must be there when its sender comes back with the id, and the
/// library's default policy may turn newcomers away.
#[derive(Debug, Clone)]
pub struct Cache {
    answers: Moka<Content, Arc<Answer>>,
    names: Moka<Name, Content>,
    keep: Duration,
    world: World,
}

/// Other ways to ask for the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Body(Print),
    Id(Arc<str>),
}

impl Cache {
    /// An empty cache.
    pub fn new(config: &CacheConfig, world: World) -> Cache {
        let keep = Duration::from_secs(config.keep_seconds);
        let weigh = |_: &Content, answer: &Arc<Answer>| {
            u32::try_from(answer.analysis.len() + answer.requirements.len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        Cache {
            answers: Moka::builder()
                .max_capacity(config.bytes)
                .weigher(weigh)
                .time_to_live(keep)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            // An answer has an id and, most often, one or two bodies.
            names: Moka::builder()
                .max_capacity((config.bytes / 1_024).max(16))
                .time_to_live(keep)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
            keep,
            world,
        }
    }

    /// By content.
    pub async fn get(&self, content: &Content) -> Option<Arc<Answer>> {
        let answer = self.answers.get(content).await?;
        if self.world.elapsed().saturating_sub(answer.given) < self.keep {
            return Some(answer);
        }
        self.answers.invalidate(content).await;
        None
    }

    /// By id.
    pub async fn by_id(&self, id: &str) -> Option<Arc<Answer>> {
        let content = self.names.get(&Name::Id(id.into())).await?;
        // Two contents may share an id, as it is shorter than their digests; the later one has it.
        self.get(&content).await.filter(|answer| *answer.id == *id)
    }

    /// By the bytes of an earlier request, whose hour then begins anew.
    pub async fn by_body(&self, print: &Print) -> Option<Arc<Answer>> {
        let content = self.names.get(&Name::Body(*print)).await?;
        let answer = self.get(&content).await.filter(|answer| !self.is_due(answer))?;
        self.renew(&content, &answer).await;
        Some(answer)
    }

    /// By content, or made now: once, however many ask for it at the same time.
    ///
    /// If the one who makes it goes away, the next in line makes it.
    pub async fn get_or_make<E: Clone + Send + Sync + 'static>(
        &self,
        content: Content,
        make: impl Future<Output = Result<Arc<Answer>, E>>,
    ) -> Result<Arc<Answer>, E> {
        match self.get(&content).await {
            Some(answer) if self.is_due(&answer) => self.answers.invalidate(&content).await,
            Some(answer) => {
                self.renew(&content, &answer).await;
                return Ok(answer);
            }
            None => {}
        }
        let answer = self.answers.try_get_with(content, make).await.map_err(|error| E::clone(&error))?;
        self.names.insert(Name::Id(answer.id.clone()), content).await;
        Ok(answer)
    }

    /// Remembers that this body was this content.
    pub async fn remember(&self, print: Print, content: Content) {
        self.names.insert(Name::Body(print), content).await;
    }

    /// Bytes in use.
    pub fn bytes(&self) -> u64 {
        self.answers.weighted_size()
    }

    fn is_due(&self, answer: &Answer) -> bool {
        answer.renew_at.is_some_and(|at| at <= self.world.elapsed())
    }

    async fn renew(&self, content: &Content, answer: &Arc<Answer>) {
        let now = self.world.elapsed();
        if now.saturating_sub(answer.given) >= RENEW {
            let renewed = Arc::new(Answer { given: now, ..Answer::clone(answer) });
            self.answers.insert(*content, renewed).await;
            self.names.insert(Name::Id(answer.id.clone()), *content).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(id: &str, bytes: usize, world: &World) -> Result<Arc<Answer>, ()> {
        let analysis = vec![b'x'; bytes].into();
        Ok(Arc::new(Answer {
            id: id.into(),
            analysis,
            requirements: Bytes::new(),
            given: world.elapsed(),
            renew_at: None,
        }))
    }

    #[tokio::test]
    async fn an_answer_is_kept_an_hour_after_it_was_last_given() {
        let world = World::staged();
        let cache = Cache::new(&CacheConfig { bytes: 1 << 20, keep_seconds: 3_600 }, world.clone());
        cache.get_or_make([1; 32], async { answer("a", 10, &world) }).await.unwrap();
        cache.remember([7; 32], [1; 32]).await;
        world.advance(Duration::from_secs(3_599));
        assert!(cache.by_body(&[7; 32]).await.is_some());
        world.advance(Duration::from_secs(3_599));
        assert!(cache.by_id("a").await.is_some());
        world.advance(Duration::from_secs(1));
        assert!(cache.by_id("a").await.is_none());
        assert!(cache.by_body(&[7; 32]).await.is_none());
    }

    #[tokio::test]
    async fn the_newest_answers_fit_and_the_oldest_make_room() {
        let world = World::staged();
        let cache = Cache::new(&CacheConfig { bytes: 10_000, keep_seconds: 3_600 }, world.clone());
        for n in 0..20u8 {
            cache.get_or_make([n; 32], async { answer(&n.to_string(), 1_000, &world) }).await.unwrap();
            cache.answers.run_pending_tasks().await;
            assert!(cache.by_id(&n.to_string()).await.is_some());
        }
        assert!(cache.bytes() <= 10_000);
        assert!(cache.by_id("0").await.is_none());
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let world = World::staged();
        let cache = Cache::new(&CacheConfig { bytes: 10_000, keep_seconds: 3_600 }, world.clone());
        assert!(cache.get_or_make([1; 32], async { Err("no") }).await.is_err());
        let made = async { answer("a", 1, &world).map_err(|()| "no") };
        assert!(cache.get_or_make([1; 32], made).await.is_ok());
    }
}
