//! Breaker: who does not answer is not asked again for a while. Times are given.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many failures in a row open it.
const FAILURES: u32 = 5;

/// How long it stays open.
const OPEN: Duration = Duration::from_secs(10);

/// One for each provider.
#[derive(Debug, Default)]
pub struct Breakers {
    states: Mutex<HashMap<String, State>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    /// Until when nobody asks; then one call tries.
    open_until: Option<Duration>,
}

impl Breakers {
    /// May this one be asked? After its pause one caller may, and the others once that one had an answer.
    pub fn may_ask(&self, provider: &str, now: Duration) -> bool {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = states.get_mut(provider) else { return true };
        match state.open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.open_until = Some(now + OPEN);
                true
            }
        }
    }

    /// It answered.
    pub fn succeeded(&self, provider: &str) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(provider);
    }

    /// It did not.
    pub fn failed(&self, provider: &str, now: Duration) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(provider.to_string()).or_default();
        state.failures += 1;
        if state.failures >= FAILURES {
            state.open_until = Some(now + OPEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_again_and_again_is_left_alone_then_tried_once() {
        let (breakers, second) = (Breakers::default(), Duration::from_secs);
        for _ in 1..FAILURES {
            breakers.failed("a", second(0));
            assert!(breakers.may_ask("a", second(0)));
        }
        breakers.failed("a", second(0));
        assert!(!breakers.may_ask("a", second(9)));
        assert!(breakers.may_ask("b", second(9)), "others are not meant");
        assert!(breakers.may_ask("a", second(10)));
        assert!(!breakers.may_ask("a", second(10)), "one tries, the others wait");
        breakers.failed("a", second(11));
        assert!(!breakers.may_ask("a", second(20)));
        assert!(breakers.may_ask("a", second(21)));
        breakers.succeeded("a");
        assert!(breakers.may_ask("a", second(21)));
    }
}
