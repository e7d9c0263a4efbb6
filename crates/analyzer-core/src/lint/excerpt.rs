//! Lines of the submitted files as they may be shown: without their credentials.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::memo::{self, Asked, Memo, On};
use crate::sources::Sources;

/// Lines by path. A line that cannot be matched with what was submitted is not shown at all.
#[derive(Debug, Clone, Default)]
pub struct Excerpts {
    files: BTreeMap<Arc<str>, Arc<Shown>>,
}

#[derive(Debug, Clone)]
struct Shown {
    redacted: Arc<str>,
    /// Lines that are the same file's from its beginning, and from its end, where redaction took lines away.
    first: usize,
    last: usize,
    lines: usize,
    /// Characters taken, by line.
    taken: BTreeMap<u32, i64>,
}

impl Excerpts {
    pub(super) fn new(sources: &Sources, redacted: &Sources, memo: Option<&Memo>) -> Excerpts {
        let of = (sources.files(), redacted.files());
        let shown = memo::each(memo, of.0.len(), Asked::Excerpts, &of, |(own, clean), file| {
            // What is redacted are the file's own secrets and those of all others.
            memo::note(On::Secrets, 0);
            let (own, clean) = (&own[file], &clean[file]);
            let (lines, left) = (own.text.lines().count(), clean.text.lines().count());
            let (first, last) = match lines == left {
                true => (lines, 0),
                false => {
                    let same = |(a, b): &(&str, &str)| a == b;
                    let first = own.text.lines().zip(clean.text.lines()).take_while(same).count();
                    let last = own.text.lines().rev().zip(clean.text.lines().rev()).take_while(same).count();
                    (first, last.min(left.saturating_sub(first)))
                }
            };
            let mut taken = BTreeMap::new();
            if lines == left && own.text != clean.text {
                for (index, (own, clean)) in own.text.lines().zip(clean.text.lines()).enumerate() {
                    let less = own.chars().count() as i64 - clean.chars().count() as i64;
                    taken.extend((less != 0).then_some((index as u32 + 1, less)));
                }
            }
            Shown { redacted: clean.text.clone(), first, last, lines, taken }
        });
        Excerpts { files: sources.files().iter().map(|own| own.path.clone()).zip(shown).collect() }
    }

    /// A line, from 1; none where it cannot be shown.
    pub fn line(&self, path: &str, line: u32) -> Option<&str> {
        let shown = self.files.get(path)?;
        let line = (line as usize).checked_sub(1)?;
        if line < shown.first {
            return shown.redacted.lines().nth(line);
        }
        let from_end = shown.lines.checked_sub(line + 1)?;
        (from_end < shown.last).then(|| shown.redacted.lines().rev().nth(from_end)).flatten()
    }

    /// Characters that redaction took from a line: columns behind what was taken are less by so many.
    pub fn taken(&self, path: &str, line: u32) -> i64 {
        self.files.get(path).and_then(|shown| shown.taken.get(&line)).copied().unwrap_or(0)
    }

    /// Lines of a file.
    pub fn lines(&self, path: &str) -> u32 {
        self.files.get(path).map_or(0, |shown| shown.lines as u32)
    }

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|path| &**path)
    }

    /// The whole text.
    pub(super) fn shown(&self, path: &str) -> Option<&Arc<str>> {
        self.files.get(path).map(|shown| &shown.redacted)
    }

    /// Bytes at the end of a line that redaction leaves as they are.
    pub(super) fn unchanged_end(&self, path: &str, line: u32, own: &str) -> usize {
        let Some(clean) = self.line(path, line).filter(|clean| *clean != own) else { return 0 };
        let same = own.chars().rev().zip(clean.chars().rev()).take_while(|(a, b)| a == b);
        same.map(|(c, _)| c.len_utf8()).sum()
    }

    /// What stands between two places as it may be shown; nothing where that is not known.
    pub fn between(&self, path: &str, from: (u32, u32), to: (u32, u32)) -> String {
        let mut out = String::new();
        for line in from.0..=to.0.min(from.0 + 40) {
            let Some(text) = self.line(path, line) else { continue };
            let skip = if line == from.0 { from.1.saturating_sub(1) as usize } else { 0 };
            let take = if line == to.0 { (to.1 as usize).saturating_sub(skip + 1) } else { usize::MAX };
            out.extend(text.chars().skip(skip).take(take));
            out.push('\n');
        }
        out
    }
}
