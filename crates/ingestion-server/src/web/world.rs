//! World: the clock and the dice. Everything else takes times and ids as given.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Where time and ids come from.
#[derive(Debug, Clone, Default)]
pub enum World {
    /// The real ones.
    #[default]
    Real,
    /// Time moves when told, ids count: `req-1`, `req-2`.
    Staged(Arc<Stage>),
}

/// A world in a test's hands.
#[derive(Debug, Default)]
pub struct Stage {
    now: Mutex<Duration>,
    ids: Mutex<HashMap<&'static str, u64>>,
}

impl World {
    /// A world that stands still at zero.
    pub fn staged() -> World {
        World::Staged(Arc::default())
    }

    /// Time since this process first asked. It never goes back, so it measures; it says nothing about the date.
    pub fn elapsed(&self) -> Duration {
        match self {
            World::Real => START.elapsed(),
            World::Staged(stage) => *stage.now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Milliseconds since 1970. A staged world began on 2026-02-23 at 10:15:30 UTC.
    pub fn now(&self) -> i64 {
        const STAGED: i64 = 1_771_841_730_000;
        match self {
            World::Real => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar")]
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                since.as_millis() as i64
            }
            World::Staged(_) => STAGED + self.elapsed().as_millis() as i64,
        }
    }

    /// A new UUID, the later the greater (version 7); a staged world's count.
    pub fn uuid(&self) -> String {
        match self {
            World::Real => {
                let mut random = [0; 10];
                getrandom::fill(&mut random).expect("the operating system has random numbers");
                uuid::Builder::from_unix_timestamp_millis(self.now() as u64, &random).into_uuid().to_string()
            }
            World::Staged(stage) => format!("00000000-0000-4000-8000-{:012}", stage.count("uuid")),
        }
    }

    /// A new id: `req-4f0c9a1be2d35867`.
    pub fn id(&self, kind: &'static str) -> String {
        match self {
            World::Real => {
                let random = getrandom::u64().expect("the operating system has random numbers");
                format!("{kind}-{random:016x}")
            }
            World::Staged(stage) => format!("{kind}-{}", stage.count(kind)),
        }
    }

    /// Moves a staged world's clock; the real one moves by itself.
    pub fn advance(&self, by: Duration) {
        if let World::Staged(stage) = self {
            *stage.now.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }
}

impl Stage {
    fn count(&self, kind: &'static str) -> u64 {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let count = ids.entry(kind).or_default();
        *count += 1;
        *count
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_world_moves_when_told() {
        let world = World::staged();
        world.advance(Duration::from_secs(5));
        assert_eq!(world.clone().elapsed(), Duration::from_secs(5));
        assert_eq!([world.id("run"), world.id("run"), world.id("req")], ["run-1", "run-2", "req-1"]);
    }
}
