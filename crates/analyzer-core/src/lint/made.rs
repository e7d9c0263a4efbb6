//! Findings as they are made of drafts. In a session each is made once: it depends on nothing but its draft, the text of
//! its file and what of that may be shown.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::view::{Draft, Seen};
use super::{Finding, Rule, Severity};
use crate::memo::On;

/// Findings by file.
#[derive(Default)]
pub(super) struct Made {
    files: FxHashMap<usize, OfFile>,
}

struct OfFile {
    text: Arc<str>,
    shown: Arc<str>,
    /// By rule and first byte.
    findings: FxHashMap<(&'static str, usize), Vec<One>>,
}

struct One {
    draft: Draft,
    severity: Option<Severity>,
    finding: Finding,
    /// It was asked for in this analysis.
    is_used: bool,
}

impl Made {
    /// What was made for the analysis before this one.
    pub(super) fn before(seen: &Seen) -> Made {
        let mut made: Made = seen.cx.project.memo.and_then(|memo| memo.take(On::Findings)).unwrap_or_default();
        made.files.retain(|&file, of_file| {
            let same = |one: &Arc<str>, other: &Arc<str>| Arc::ptr_eq(one, other) || one == other;
            same(&of_file.text, &seen.cx.project.source(file).text)
                && seen.shown(file).is_some_and(|shown| same(&of_file.shown, shown))
        });
        made
    }

    /// A finding of a rule.
    pub(super) fn finding(
        &mut self,
        seen: &Seen,
        rule: &'static Rule,
        severity: Option<Severity>,
        draft: Draft,
    ) -> Finding {
        let file = draft.place.file;
        let (Some(shown), Some(_)) = (seen.shown(file), seen.cx.project.memo) else {
            return seen.finding(rule, severity, draft);
        };
        let text = &seen.cx.project.source(file).text;
        let of_file = self.files.entry(file).or_insert_with(|| OfFile {
            text: text.clone(),
            shown: shown.clone(),
            findings: FxHashMap::default(),
        });
        let known = of_file.findings.entry((rule.code, draft.place.span.start)).or_default();
        if let Some(one) = known.iter_mut().find(|one| one.severity == severity && one.draft == draft) {
            one.is_used = true;
            return one.finding.clone();
        }
        let finding = seen.finding(rule, severity, draft.clone());
        known.push(One { draft, severity, finding: finding.clone(), is_used: true });
        finding
    }

    /// Keeps what was asked for, for the next analysis.
    pub(super) fn keep(mut self, seen: &Seen) {
        let Some(memo) = seen.cx.project.memo else { return };
        for of_file in self.files.values_mut() {
            of_file.findings.retain(|_, known| {
                known.retain_mut(|one| std::mem::take(&mut one.is_used));
                !known.is_empty()
            });
        }
        self.files.retain(|_, of_file| !of_file.findings.is_empty());
        memo.keep(On::Findings, self);
    }
}
