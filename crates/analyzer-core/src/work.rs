//! Work: how much it took to answer, counted in steps, so that bounds can be stated and tested without a clock.
//!
//! What is counted is what could grow faster than the input: nodes walked, steps of questions, bindings and blocks
//! looked at, elements gathered, bytes of text built. The counter is the thread's own; whoever wants the work of a
//! whole analysis runs it on one thread.

use std::cell::Cell;

thread_local! {
    static DONE: Cell<u64> = const { Cell::new(0) };
}

/// Some steps were done.
#[inline]
pub(crate) fn done(steps: usize) {
    DONE.set(DONE.get().wrapping_add(steps as u64));
}

/// What a function gives, and the steps that this thread did for it.
pub fn counted<T>(ask: impl FnOnce() -> T) -> (T, u64) {
    let before = DONE.get();
    let answer = ask();
    (answer, DONE.get().wrapping_sub(before))
}
