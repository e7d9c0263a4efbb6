//! Limits: how often a key may ask. The store counts, so that all replicas together keep to one limit; each takes a few
//! requests at a time, so that not every request writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ingestion_server::web::World;

use crate::store::{Store, StoreError};

const MINUTE: i64 = 60_000;

/// Counts requests by key. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Limits {
    store: Store,
    world: World,
    per_minute: i64,
    leases: Arc<Mutex<HashMap<String, Lease>>>,
}

/// Requests that the store counted already and that were not made yet.
#[derive(Debug, Clone, Copy, Default)]
struct Lease {
    minute: i64,
    left: i64,
    /// What the store still had when it was asked last.
    beyond: i64,
}

/// What a caller is told of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// May this request be made?
    pub granted: bool,
    /// Requests a minute.
    pub limit: i64,
    /// At least so many are left.
    pub remaining: i64,
    /// Seconds until there are more.
    pub reset: i64,
}

impl Limits {
    /// At most `per_minute` requests of one key in each minute of the clock; 0 is no limit.
    pub fn new(store: Store, world: World, per_minute: u32) -> Limits {
        Limits { store, world, per_minute: i64::from(per_minute), leases: Arc::default() }
    }

    /// Counts one request.
    pub async fn take(&self, key: &str) -> Result<Allowance, StoreError> {
        self.take_of(key, self.per_minute).await
    }

    /// Counts one request of whoever has a limit of their own; 0 is no limit.
    pub async fn take_of(&self, key: &str, per_minute: i64) -> Result<Allowance, StoreError> {
        let now = self.world.now();
        let (minute, reset) = (now / MINUTE, (MINUTE - now % MINUTE + 999) / 1000);
        let told = |granted, remaining| Allowance { granted, limit: per_minute, remaining, reset };
        if per_minute == 0 {
            return Ok(told(true, i64::MAX));
        }
        if let Some(lease) = self.of_lease(key, minute) {
            return Ok(told(lease.left >= 0, (lease.left + lease.beyond).max(0)));
        }
        // A twentieth at a time: twenty writes a minute, and little lies idle when the minute ends.
        let wanted = (per_minute / 20).max(1);
        let mut tx = self.store.begin().await?;
        let used = tx.count_requests(key, minute, wanted).await?;
        tx.commit().await?;
        let granted = (wanted - (used - per_minute).max(0)).max(0);
        let beyond = (per_minute - used).max(0);
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has nothing left from the last minute is not asking any more.
        leases.retain(|_, lease| lease.minute >= minute);
        let lease = leases.entry(key.to_string()).or_insert(Lease { minute, ..Lease::default() });
        if lease.minute != minute {
            // Meanwhile another minute has begun; what is over is lost with the old one.
            return Ok(told(granted > 0, 0));
        }
        lease.beyond = beyond;
        // Where the store has nothing left, others of this process may have taken what they do not need.
        let at_hand = lease.left + granted;
        lease.left = (at_hand - 1).max(0);
        Ok(told(at_hand > 0, lease.left + beyond))
    }

    /// One request of what is at hand; none when the store must be asked. A negative rest: even the store has none.
    fn of_lease(&self, key: &str, minute: i64) -> Option<Lease> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = leases.get_mut(key).filter(|lease| lease.minute == minute)?;
        match (lease.left, lease.beyond) {
            (0, 0) => Some(Lease { left: -1, ..*lease }),
            (0, _) => None,
            _ => {
                lease.left -= 1;
                Some(*lease)
            }
        }
    }
}
