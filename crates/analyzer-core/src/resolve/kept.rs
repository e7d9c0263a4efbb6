//! Answers that are kept for the next question of the same pass over a file.
//!
//! Keeping changes no answer: only what met no limit is kept, and it is used only where asking anew would have met none
//! either. It counts as the steps and the depth that it took.

use super::*;

/// Answers by expression.
#[derive(Default)]
pub(super) struct Kept(FxHashMap<At, Answer>);

struct Answer {
    refs: Box<[Ref]>,
    steps: u32,
    depth: u32,
    open: bool,
}

/// Where a question stood before an expression was asked about.
#[derive(Clone, Copy)]
pub(super) struct Before {
    fuel: u32,
    text: usize,
    deepest: u32,
    cut: bool,
    open: bool,
}

/// Steps below which asking again is cheaper than keeping.
const CHEAP: u32 = 3;

impl Kept {
    /// Takes an answer as it is.
    pub(super) fn settle(&mut self, at: At, refs: Box<[Ref]>) {
        self.0.insert(at, Answer { refs, steps: 0, depth: 0, open: true });
    }
}

impl Question {
    /// The kept answer, if it fits into what is left of the budget.
    pub(super) fn recall(&mut self, at: At) -> Option<Vec<Ref>> {
        let answer = self.kept.0.get(&at)?;
        let fits = self.depth + answer.depth <= DEPTH && self.fuel.saturating_sub(answer.steps) + PATIENCE >= FUEL;
        if !fits {
            return None;
        }
        self.fuel -= answer.steps;
        self.deepest = self.deepest.max(self.depth + answer.depth);
        self.open |= answer.open;
        work::done(1);
        Some(answer.refs.to_vec())
    }

    /// Begins an expression.
    pub(super) fn begin(&mut self) -> Before {
        let before = Before { fuel: self.fuel, text: self.text, deepest: self.deepest, cut: self.cut, open: self.open };
        (self.deepest, self.cut, self.open) = (self.depth, false, false);
        before
    }

    /// Ends it, and keeps the answer if that is worth it.
    pub(super) fn end(&mut self, at: At, before: Before, refs: &[Ref]) {
        let steps = before.fuel - self.fuel;
        if steps >= CHEAP && !self.cut && !self.is_tangled() && self.text == before.text {
            let depth = self.deepest - self.depth;
            self.kept.0.insert(at, Answer { refs: refs.into(), steps, depth, open: self.open });
        }
        self.deepest = self.deepest.max(before.deepest);
        self.cut |= before.cut;
        self.open |= before.open;
    }
}
