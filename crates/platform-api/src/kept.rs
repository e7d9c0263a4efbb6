//! Kept: what was read from the store, for as long as nothing changes there. What this process changes is seen at once;
//! what other replicas change, within a second.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ingestion_server::web::World;

use crate::store::Store;

/// For so long what other replicas change may not be seen.
const FRESH: Duration = Duration::from_secs(1);

/// How many are kept at once.
const MOST: usize = 10_000;

/// What was read, by what it is about.
pub struct Kept<K, V> {
    store: Store,
    world: World,
    known: Mutex<HashMap<K, (Moment, V)>>,
}

/// When something was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    changes: u64,
    at: Duration,
}

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    /// Of a store; nothing yet.
    pub fn new(store: Store, world: World) -> Kept<K, V> {
        Kept { store, world, known: Mutex::default() }
    }

    /// Now. To be asked before anything is read: what changes meanwhile makes it old.
    pub fn moment(&self) -> Moment {
        Moment { changes: self.store.changes(), at: self.world.elapsed() }
    }

    /// What was read, if it is still so.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, about: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let now = self.moment();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, value) = known.get(about)?;
        let is_so = read.changes == now.changes && now.at.saturating_sub(read.at) < FRESH;
        is_so.then(|| value.clone())
    }

    /// This was read then.
    pub fn put(&self, about: K, read: Moment, value: V) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(about, (read, value));
    }
}

impl<K, V> fmt::Debug for Kept<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
